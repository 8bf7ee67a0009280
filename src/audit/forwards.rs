//! Signals that a part sends on, or writes of its own, against those that arrive in the same
//! frame. Every one has its original, and every original its copy.

use crate::ports::Append;
use crate::wire::own::{Own, What};
use crate::wire::signal::{Form, SignalRecord};
use std::collections::VecDeque;

/// What the parts of one frame send on.
#[derive(Debug, Default)]
pub struct Forwards {
    expected: VecDeque<Append>,
    /// A part could not be decided again, so that more may arrive than is known of.
    incomplete: bool,
}

impl Forwards {
    pub fn expect(&mut self, forwards: Vec<Append>) {
        self.expected.extend(forwards);
    }

    pub fn know_nothing_of_some(&mut self) {
        self.incomplete = true;
    }

    /// Whether a signal that arrives in `partition` has its original, where it needs one.
    pub fn has_original(&mut self, partition: u32, record: &SignalRecord) -> bool {
        if !needs_original(record) {
            return true;
        }
        let found = self
            .expected
            .iter()
            .position(|append| append.partition == partition && same(&append.record, record));
        match found {
            Some(place) => self.expected.remove(place).is_some(),
            None => self.incomplete,
        }
    }

    /// Those that were sent and did not arrive.
    pub fn lost(self) -> impl Iterator<Item = Append> {
        self.expected.into_iter()
    }
}

/// Claims and their answers are written by a part alone, and so is every copy with a hop.
pub fn needs_original(record: &SignalRecord) -> bool {
    match (&record.hop, &record.form) {
        (Some(_), _) => true,
        (None, Form::Webhook(_)) => false,
        (None, Form::Own) => Own::from_json(&record.value).is_ok_and(|own| match own.what {
            What::Claim { .. } | What::Answer { .. } => true,
            What::Command { .. } | What::Reading { .. } => false,
        }),
    }
}

/// Equal but for the seals that this build made anew: a journal keeps those of older keys, and
/// each is proven by itself when its record is decided.
fn same(ours: &SignalRecord, theirs: &SignalRecord) -> bool {
    if ours.value != theirs.value || ours.form != theirs.form {
        return false;
    }
    match (&ours.hop, &theirs.hop) {
        (None, None) => true,
        (Some(a), Some(b)) => ours.seal == theirs.seal && a.to == b.to && a.from == b.from,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
