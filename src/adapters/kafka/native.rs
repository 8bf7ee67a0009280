//! What librdkafka offers and rdkafka does not. The only place with `unsafe`: every call hands
//! over a pointer of a client that is borrowed for the call, and frees what the call gave.
#![allow(unsafe_code, reason = "librdkafka is C")]

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use std::ffi::CStr;
use std::time::Duration;

pub(super) struct NotCommitted {
    pub code: RDKafkaErrorCode,
    pub said: String,
}

/// Commits, without the flush that rdkafka puts before it and that takes 100 ms at least: the poll
/// thread of a `ThreadedProducer` serves the delivery reports that librdkafka waits for itself.
/// Blocks. Any error leaves the outcome unknown.
pub(super) fn commit_transaction<C: ClientContext>(
    client: &Client<C>,
    patience: Duration,
) -> Result<(), NotCommitted> {
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives through the call; an error that comes back is ours to destroy.
    unsafe {
        let error = sys::rd_kafka_commit_transaction(client.native_ptr(), millis);
        if error.is_null() {
            return Ok(());
        }
        let said = CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        let code = RDKafkaErrorCode::from(sys::rd_kafka_error_code(error));
        sys::rd_kafka_error_destroy(error);
        Err(NotCommitted { code, said })
    }
}

/// The generation in which a consumer is a member of its group; `None` where it is none. Offsets
/// that are committed by a consumer without one are taken from anybody.
pub(super) fn generation<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<i32> {
    // SAFETY: the consumer lives through the calls; the metadata that comes back is ours to
    // destroy, and what its text points to is read before that.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
        let named = !member.is_null() && !CStr::from_ptr(member).is_empty();
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        (generation >= 0 && named).then_some(generation)
    }
}
