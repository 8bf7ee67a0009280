//! Commits put together by hand, for journals without a lane.

use super::says;
use tidegate::attempt::{Mode, Policy};
use tidegate::ports::{Part, Run};
use tidegate::wire::Topic;
use tidegate::wire::section::{Record, Section};
use tidegate::wire::trailer::{Counts, Mark, Owner, ROUTING_VERSION, TRAILER_KEY, Trailer, Tries};

pub fn owner(partitions: u32) -> Owner {
    Owner {
        writer: "contract/0".to_owned(),
        epoch: 0,
        next: 0,
        partitions,
        routing: ROUTING_VERSION,
        policy: Policy::default(),
        mode: Mode::Test,
        tries: Tries::default(),
        at: says::now(),
    }
}

/// One partition's share of a commit that decides `previous..next` and sets `states`.
pub fn part(partition: u32, epoch: u64, previous: u64, next: u64, states: &[(&str, &str)]) -> Part {
    let at = says::now();
    let mut attempts = Section::default();
    for (key, value) in states {
        attempts.push(Record { key: key.as_bytes(), id: b"", at, value: value.as_bytes() });
    }
    let trailer = Trailer {
        writer: "contract/0".to_owned(),
        epoch,
        transaction: next,
        previous,
        next,
        counts: Counts { accepted: next, ..Counts::default() },
        summarized: Counts::default(),
        summary_second: 0,
        hash: next,
        at,
    };
    attempts.push_with(TRAILER_KEY, b"", at, |out| Mark::Trailer(trailer.clone()).encode(out));
    let (count, bytes) = attempts.freeze();
    let runs = vec![Run { topic: Topic::Attempts, count, bytes }];
    Part { partition, trailer, input_bytes: 0, runs }
}
