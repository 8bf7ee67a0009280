//! CloudEvents 1.0, binary mode: the headers that travel beside an output's value.

use super::Topic;
use super::published::{FULFILLED_TYPE, METRIC_TYPE, MOVED_TYPE, rfc3339};
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

/// The headers of one record, in a fixed order.
pub fn headers(topic: Topic, record: &Record<'_>) -> Option<[(&'static str, String); 6]> {
    let kind = type_of(topic)?;
    Some([
        ("ce_specversion", SPEC_VERSION.to_owned()),
        ("ce_id", String::from_utf8_lossy(record.id).into_owned()),
        ("ce_type", kind.to_owned()),
        ("ce_source", SOURCE.to_owned()),
        ("ce_time", rfc3339(record.at)),
        ("content-type", CONTENT_TYPE.to_owned()),
    ])
}
