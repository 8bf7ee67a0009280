//! What came in against what became of it, by the signals themselves and by what the trailers say.

use super::partition::Medium;
use crate::lane::part::Standing;
use crate::ports::Fetched;
use crate::wire::signal::{Arrival, HopTo, SignalRecord};
use crate::wire::trailer::{Counts, Trailer};

/// Why the counts of one part do not add up, in words; nothing where they do.
pub fn part(
    before: &Standing,
    trailer: &Trailer,
    inputs: &[Fetched],
    medium: Medium,
) -> Vec<String> {
    let mut wrong = vec![];
    let grown = trailer.counts.minus(&before.counts);
    if before.counts.plus(&grown) != trailer.counts {
        wrong.push("a count of the trailer is lower than in the one before".to_owned());
        return wrong;
    }
    let released = count(inputs, is_released);
    let became = became(&grown) + grown.parked_in;
    if grown.accepted + released != became {
        wrong.push(format!(
            "{} were accepted and {released} released, and {became} became something",
            grown.accepted
        ));
    }
    if grown.by_kind.iter().sum::<u64>() != grown.accepted {
        wrong.push(format!(
            "{} were accepted, and by kind they are {:?}",
            grown.accepted, grown.by_kind
        ));
    }
    let decided = match medium {
        Medium::Log => trailer.next.saturating_sub(trailer.previous),
        Medium::Topics => inputs.len() as u64,
    };
    let told = grown.accepted + grown.forwarded_out + released;
    if told != decided {
        wrong.push(format!("{decided} signals were decided, and {told} are counted"));
    }
    let hopped = count(inputs, |record| record.hop.is_some());
    if grown.forwarded_in != hopped {
        wrong.push(format!(
            "{hopped} signals had been sent on, and {} are counted",
            grown.forwarded_in
        ));
    }
    wrong
}

/// Why the totals do not add up. `counts` has what is decided and what is accepted in flight.
pub fn total(counts: &Counts, in_flight: u64, hops_in_flight: u64) -> Vec<String> {
    let mut wrong = vec![];
    let accounted = became(counts) + counts.parked() + in_flight;
    if counts.accepted != accounted {
        wrong.push(format!(
            "in total {} were accepted, and {accounted} are accounted for",
            counts.accepted
        ));
    }
    let sent = counts.forwarded_out + counts.parked_out;
    let arrived = counts.forwarded_in + hops_in_flight;
    if sent != arrived {
        wrong.push(format!("in total {sent} signals were sent on, and {arrived} have arrived"));
    }
    wrong
}

fn became(counts: &Counts) -> u64 {
    counts.applied + counts.duplicate + counts.stale + counts.contradiction + counts.dead_lettered
}

/// Whether this copy waited, parked, and was counted as accepted then.
pub fn is_released(record: &SignalRecord) -> bool {
    let to = record.hop.as_ref().map(|hop| &hop.to);
    matches!(to, Some(HopTo::Claim { arrival: Arrival::Released, .. }))
}

fn count(inputs: &[Fetched], which: impl Fn(&SignalRecord) -> bool) -> u64 {
    inputs.iter().filter(|signal| which(&signal.record)).count() as u64
}
