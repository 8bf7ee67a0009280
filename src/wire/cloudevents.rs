//! CloudEvents 1.0, binary mode: the headers that travel beside an output's value.

use super::Topic;
use super::published::{FULFILLED_TYPE, METRIC_TYPE, MOVED_TYPE};
use super::section::Record;

/// What our outputs say they come from.
pub const SOURCE: &str = "urn:tidegate";

pub const SPEC_VERSION: &str = "1.0";

pub const CONTENT_TYPE: &str = "application/json";

/// The type of a topic's records; none for topics that are not published.
pub fn type_of(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::Fulfillments => Some(FULFILLED_TYPE),
        Topic::Transitions => Some(MOVED_TYPE),
        Topic::Metrics => Some(METRIC_TYPE),
        Topic::Signals | Topic::Attempts | Topic::DeadLetters => None,
    }
}

/// How many headers a published record has.
pub const HEADERS: usize = 6;

/// The headers of one record, in a fixed order. `time` is the record's, as it is published.
pub fn headers<'a>(
    topic: Topic,
    record: &Record<'a>,
    time: &'a str,
) -> Option<[(&'static str, &'a [u8]); HEADERS]> {
    let kind = type_of(topic)?;
    Some([
        ("ce_specversion", SPEC_VERSION.as_bytes()),
        ("ce_id", record.id),
        ("ce_type", kind.as_bytes()),
        ("ce_source", SOURCE.as_bytes()),
        ("ce_time", time.as_bytes()),
        ("content-type", CONTENT_TYPE.as_bytes()),
    ])
}
