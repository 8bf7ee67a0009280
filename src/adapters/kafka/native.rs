//! What librdkafka offers and rdkafka does not. The only place with `unsafe`: every call hands
//! over a pointer of a client that is borrowed for the call, and frees what the call gave.
#![allow(unsafe_code, reason = "librdkafka is C")]

use super::rights::{Operation, Pattern, Resource, Right};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;
use std::ffi::{CStr, CString};
use std::ptr;
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

/// Where a partition ends, as the brokers said with the last records of it; `None` where they have
/// said nothing yet. Asks nobody.
pub(super) fn known_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<u64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (0_i64, 0_i64);
    // SAFETY: the consumer, the name and both numbers live through the call, which keeps none.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    let known = error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // What is not known is told as a negative number.
    u64::try_from(high).ok().filter(|_| known)
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

/// Allows `principal` each of the rights, from anywhere. Blocks.
pub(super) fn create_acls<C: ClientContext>(
    client: &Client<C>,
    principal: &str,
    rights: &[Right],
    patience: Duration,
) -> Result<(), String> {
    let text = |text: &str| CString::new(text).map_err(|_| "it has a zero byte".to_owned());
    let (principal, anywhere) = (text(principal)?, text("*")?);
    let names = rights.iter().map(|right| text(&right.name)).collect::<Result<Vec<_>, _>>()?;
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client and the names live through the calls, which copy what they are given; what
    // is made here is destroyed here, after the answer that points into it has been read.
    unsafe {
        let mut bindings = vec![];
        for (right, name) in rights.iter().zip(&names) {
            let binding = sys::rd_kafka_AclBinding_new(
                resource(right.resource),
                name.as_ptr(),
                pattern(right.pattern),
                principal.as_ptr(),
                anywhere.as_ptr(),
                operation(right.operation),
                sys::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                ptr::null_mut(),
                0,
            );
            if !binding.is_null() {
                bindings.push(binding);
            }
        }
        let mut done = Err("librdkafka does not take it".to_owned());
        if bindings.len() == rights.len() {
            let (client, count) = (client.native_ptr(), bindings.len());
            let queue = sys::rd_kafka_queue_new(client);
            sys::rd_kafka_CreateAcls(client, bindings.as_mut_ptr(), count, ptr::null(), queue);
            let event = sys::rd_kafka_queue_poll(queue, millis);
            done = acls_created(event);
            if !event.is_null() {
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_queue_destroy(queue);
        }
        sys::rd_kafka_AclBinding_destroy_array(bindings.as_mut_ptr(), bindings.len());
        done
    }
}

/// # Safety
///
/// `event` is null, or an answer to `rd_kafka_CreateAcls` that is not destroyed yet.
unsafe fn acls_created(event: *mut sys::rd_kafka_event_t) -> Result<(), String> {
    let said = |text| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // SAFETY: as promised; the results live as long as the event.
    unsafe {
        if event.is_null() {
            return Err("the brokers do not answer".to_owned());
        }
        let code = sys::rd_kafka_event_error(event);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(said(sys::rd_kafka_event_error_string(event)));
        }
        let result = sys::rd_kafka_event_CreateAcls_result(event);
        if result.is_null() {
            return Err("the brokers answer something else".to_owned());
        }
        let mut count = 0;
        let each = sys::rd_kafka_CreateAcls_result_acls(result, &mut count);
        for at in 0..count {
            let error = sys::rd_kafka_acl_result_error(*each.add(at));
            if !error.is_null() {
                return Err(said(sys::rd_kafka_error_string(error)));
            }
        }
    }
    Ok(())
}

fn resource(resource: Resource) -> sys::rd_kafka_ResourceType_t {
    use sys::rd_kafka_ResourceType_t as Native;
    match resource {
        Resource::Topic => Native::RD_KAFKA_RESOURCE_TOPIC,
        Resource::Group => Native::RD_KAFKA_RESOURCE_GROUP,
        Resource::TransactionalId => Native::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    }
}

fn pattern(pattern: Pattern) -> sys::rd_kafka_ResourcePatternType_t {
    use sys::rd_kafka_ResourcePatternType_t as Native;
    match pattern {
        Pattern::Literal => Native::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        Pattern::Prefixed => Native::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
    }
}

fn operation(operation: Operation) -> sys::rd_kafka_AclOperation_t {
    use sys::rd_kafka_AclOperation_t as Native;
    match operation {
        Operation::Read => Native::RD_KAFKA_ACL_OPERATION_READ,
        Operation::Write => Native::RD_KAFKA_ACL_OPERATION_WRITE,
        Operation::Describe => Native::RD_KAFKA_ACL_OPERATION_DESCRIBE,
        Operation::DescribeConfigs => Native::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
    }
}

/// What says that somebody commits offsets who is no member of the group at all.
#[cfg(feature = "loose-safeguards")]
pub(super) fn of_nobody(group: &str) -> Option<rdkafka::consumer::ConsumerGroupMetadata> {
    let nobody: BaseConsumer = rdkafka::ClientConfig::new().set("group.id", group).create().ok()?;
    nobody.group_metadata()
}
