//! What it is that two runs of records do not have in common, for a person: which record, and
//! which of its fields. Never what the fields say, because that may be somebody's own.

use crate::attempt::{Attempt, Home};
use crate::wire::Topic;
use crate::wire::section::{Record, records};
use crate::wire::state::{StateKey, decode_attempt, decode_home};
use crate::wire::trailer::{TRAILER_KEY, Trailer};
use serde_json::Value;
use std::collections::BTreeMap;

/// One difference, and the attempt or session that it is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub of: Option<String>,
    pub what: String,
}

type ById<'a> = BTreeMap<(&'a [u8], &'a [u8]), Vec<Record<'a>>>;

/// What `stored` has that `decided` has not, and the other way round. Both have been read before.
pub fn differences(topic: Topic, decided: &[u8], stored: &[u8]) -> Vec<Difference> {
    let (ours, theirs) = (by_id(decided), by_id(stored));
    let mut found = vec![];
    let mut tell = |record: &Record<'_>, what: String| {
        found.push(Difference { of: attempt_of(topic, record), what });
    };
    for (id, ours) in &ours {
        let theirs = theirs.get(id).map_or(&[][..], Vec::as_slice);
        for (ours, theirs) in ours.iter().zip(theirs) {
            if ours != theirs {
                let fields = fields(topic, ours, theirs);
                tell(ours, format!("{} differs in {fields}", named(topic, ours)));
            }
        }
        for missing in ours.iter().skip(theirs.len()) {
            tell(missing, format!("{} is missing", named(topic, missing)));
        }
    }
    for (id, theirs) in &theirs {
        let expected = ours.get(id).map_or(0, Vec::len);
        for extra in theirs.iter().skip(expected) {
            tell(extra, format!("{} should not be there", named(topic, extra)));
        }
    }
    if found.is_empty() {
        let what = format!("the records of {} stand in another order", topic.word());
        found.push(Difference { of: None, what });
    }
    found
}

/// The fields in which two trailers differ, but for the hash, which is judged by itself.
pub fn trailer_fields(decided: &Trailer, stored: &Trailer) -> Vec<&'static str> {
    let (a, b) = (&decided.counts, &stored.counts);
    [
        ("accepted", a.accepted == b.accepted),
        ("applied", a.applied == b.applied),
        ("duplicate", a.duplicate == b.duplicate),
        ("stale", a.stale == b.stale),
        ("contradiction", a.contradiction == b.contradiction),
        ("parked_in", a.parked_in == b.parked_in),
        ("parked_out", a.parked_out == b.parked_out),
        ("dead_lettered", a.dead_lettered == b.dead_lettered),
        ("forwarded_in", a.forwarded_in == b.forwarded_in),
        ("forwarded_out", a.forwarded_out == b.forwarded_out),
        ("by_kind", a.by_kind == b.by_kind),
        ("summarized", decided.summarized == stored.summarized),
        ("summary_second", decided.summary_second == stored.summary_second),
        ("next", decided.next == stored.next),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}

fn by_id(bytes: &[u8]) -> ById<'_> {
    let mut found: ById<'_> = BTreeMap::new();
    for record in records(bytes).map_while(Result::ok) {
        if record.key != TRAILER_KEY {
            found.entry((record.key, record.id)).or_default().push(record);
        }
    }
    found
}

fn named(topic: Topic, record: &Record<'_>) -> String {
    let (key, id) = (text(record.key), text(record.id));
    match topic {
        Topic::Fulfillments => format!("the fulfillment {id}"),
        Topic::Transitions => format!("the transition {id}"),
        Topic::Metrics => format!("the metric {id}"),
        Topic::DeadLetters => format!("the dead letter of signal {id} ({key})"),
        Topic::Attempts => format!("the state {key}"),
        Topic::Signals => format!("the signal {id}"),
    }
}

/// The attempt, or the session, that a record is about.
pub fn attempt_of(topic: Topic, record: &Record<'_>) -> Option<String> {
    let key = text(record.key);
    match topic {
        Topic::Fulfillments | Topic::Transitions => Some(key),
        // A summary is of a partition.
        Topic::Metrics => key.parse::<u32>().is_err().then_some(key),
        Topic::Attempts => StateKey::read(record.key).map(|key| key.id().to_owned()),
        Topic::DeadLetters | Topic::Signals => None,
    }
}

fn fields(topic: Topic, ours: &Record<'_>, theirs: &Record<'_>) -> String {
    if ours.value == theirs.value {
        return "its time".to_owned();
    }
    let fields = match topic {
        Topic::Fulfillments | Topic::Transitions | Topic::Metrics => json(ours, theirs),
        Topic::Attempts => match StateKey::read(ours.key) {
            Some(StateKey::Attempt(_)) => {
                match (decode_attempt(ours.value), decode_attempt(theirs.value)) {
                    (Ok(ours), Ok(theirs)) => attempt(&ours, &theirs),
                    _unreadable => vec![],
                }
            }
            Some(StateKey::Session(_)) => {
                match (decode_home(ours.value), decode_home(theirs.value)) {
                    (Ok(Home::Adopted(ours)), Ok(Home::Adopted(theirs))) => attempt(&ours, &theirs),
                    (Ok(_), Ok(_)) => vec!["whose it is".to_owned()],
                    _unreadable => vec![],
                }
            }
            Some(StateKey::Parked(_)) | None => vec![],
        },
        Topic::DeadLetters | Topic::Signals => vec![],
    };
    if fields.is_empty() { "its bytes".to_owned() } else { fields.join(", ") }
}

fn json(ours: &Record<'_>, theirs: &Record<'_>) -> Vec<String> {
    let object = |record: &Record<'_>| serde_json::from_slice::<Value>(record.value).ok();
    let (Some(Value::Object(ours)), Some(Value::Object(theirs))) = (object(ours), object(theirs))
    else {
        return vec![];
    };
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    names.filter(|name| ours.get(*name) != theirs.get(*name)).cloned().collect()
}

fn attempt(ours: &Attempt, theirs: &Attempt) -> Vec<String> {
    [
        ("id", ours.id == theirs.id),
        ("origin", ours.origin == theirs.origin && ours.created == theirs.created),
        ("mode", ours.mode == theirs.mode),
        ("endpoint", ours.endpoint == theirs.endpoint),
        ("terms", ours.terms == theirs.terms),
        ("reference", ours.reference == theirs.reference),
        ("state", ours.state == theirs.state),
        ("sequence", ours.sequence == theirs.sequence),
        ("evidence", ours.evidence == theirs.evidence),
        ("duplicates", ours.duplicates == theirs.duplicates),
    ]
    .into_iter()
    .filter(|(_, same)| !same)
    .map(|(name, _)| name.to_owned())
    .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
