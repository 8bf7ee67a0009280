//! Signals that parts send on, or write of their own, against those that arrive anywhere in the
//! topics. Partitions are read one after the other, so that either side may be met first.

use crate::attempt::{Digest, Position};
use crate::ports::Append;
use crate::webhook::digest;
use crate::wire::seal::Seal;
use crate::wire::signal::{Hop, SignalRecord};
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Sent {
    /// Copies sent, less those that arrived, where that is not nothing.
    balance: HashMap<Digest, Balance>,
    /// Arrivals whose originals may stand behind where the audit stops.
    late: Vec<(Digest, Position)>,
}

#[derive(Debug)]
struct Balance {
    copies: i64,
    /// Where one was sent to, or arrived.
    at: Place,
}

#[derive(Debug)]
enum Place {
    Towards(u32),
    Arrived(Position),
}

/// One that has no counterpart.
#[derive(Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// Sent to a partition, and not there.
    Lost(u32),
    /// It says that it was sent on, and nothing sent it.
    Forged(Position),
}

impl Sent {
    pub fn expect(&mut self, sent: Vec<Append>) {
        for Append { partition, record, .. } in sent {
            self.count(identity(partition, &record), 1, Place::Towards(partition));
        }
    }

    /// A copy that was decided in a part whose every original must have been read.
    pub fn arrived(&mut self, at: Position, record: &SignalRecord) {
        self.count(identity(at.partition, record), -1, Place::Arrived(at));
    }

    /// A copy whose original may not have been read.
    pub fn arrived_late(&mut self, at: Position, record: &SignalRecord) {
        self.late.push((identity(at.partition, record), at));
    }

    fn count(&mut self, of: Digest, copies: i64, at: Place) {
        let balance = self.balance.entry(of).or_insert(Balance { copies: 0, at });
        balance.copies += copies;
        if balance.copies == 0 {
            self.balance.remove(&of);
        }
    }

    /// What is left when everything has been read.
    pub fn unmatched(mut self) -> Vec<Unmatched> {
        for (of, at) in std::mem::take(&mut self.late) {
            if self.balance.get(&of).is_some_and(|balance| balance.copies > 0) {
                self.count(of, -1, Place::Arrived(at));
            }
        }
        let unmatched = |balance: Balance| match balance.at {
            Place::Towards(partition) => Unmatched::Lost(partition),
            Place::Arrived(at) => Unmatched::Forged(at),
        };
        self.balance.into_values().map(unmatched).collect()
    }
}

/// What makes two records copies of each other: everything but the seals that a build makes anew.
fn identity(partition: u32, record: &SignalRecord) -> Digest {
    const NONE: Seal = Seal { key: 0, mac: [0; 32] };
    let hop = record.hop.as_ref().map(|hop| Hop { seal: NONE, ..hop.clone() });
    let seal = if hop.is_some() { record.seal } else { NONE };
    let mut bytes = SignalRecord { seal, hop, ..record.clone() }.encoded();
    bytes.extend_from_slice(&partition.to_le_bytes());
    digest(&bytes)
}
