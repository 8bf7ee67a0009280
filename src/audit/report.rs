//! What an audit found.

use super::invariant::Invariant;
use crate::wire::trailer::Counts;

/// Witnesses kept per invariant. A person needs a few to see what happened; a journal that is
/// wrong throughout would otherwise fill the memory with them.
pub const WITNESSES_MAX: usize = 20;

/// One place where an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub attempt: Option<String>,
    /// What stands where, and what should.
    pub witness: String,
}

/// How far an audit has come, in addresses of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub from: u64,
    pub at: u64,
    pub until: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub attempts: u64,
    pub fulfillments: u64,
    /// Of all partitions, up to their last trailers; accepted signals that are not decided yet are
    /// counted in `accepted` and `by_kind` too.
    pub counts: Counts,
    /// Signals that wait to be decided, copies that were sent on among them.
    pub in_flight: u64,
    pub violations: Vec<Violation>,
    /// Further violations, beyond the witnesses that were kept.
    pub unshown: Vec<(Invariant, u64)>,
    /// What a person should know, and what breaks nothing.
    pub warnings: Vec<String>,
    /// Batches: what one transaction made of one partition.
    pub parts: u64,
    /// Those of them that could not be decided again.
    pub undecided: u64,
    pub signals: u64,
    pub extent: Extent,
}

/// How much was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The bytes `from..end` of a log. Where it begins after 0, what stood before is missing.
    Log { frames: u64, from: u64, end: u64 },
    /// Committed records of topics; and those beside them that were never committed, as a reader of
    /// everything sees them.
    Topics { records: u64, bytes: u64, aborted: u64, aborted_fulfillments: u64 },
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Violations of one invariant, shown or not.
    pub fn broken(&self, invariant: Invariant) -> u64 {
        let shown = self.violations.iter().filter(|found| found.invariant == invariant).count();
        let unshown = self.unshown.iter().filter(|(of, _)| *of == invariant);
        shown as u64 + unshown.map(|(_, count)| count).sum::<u64>()
    }
}

/// Violations being gathered.
#[derive(Debug, Default)]
pub struct Findings {
    shown: Vec<Violation>,
    counted: [u64; Invariant::ALL.len()],
}

impl Findings {
    pub fn add(&mut self, invariant: Invariant, attempt: Option<&str>, witness: String) {
        let counted = &mut self.counted[usize::from(invariant.code())];
        *counted += 1;
        if *counted <= WITNESSES_MAX as u64 {
            let attempt = attempt.map(str::to_owned);
            self.shown.push(Violation { invariant, attempt, witness });
        }
    }

    pub fn finish(self) -> (Vec<Violation>, Vec<(Invariant, u64)>) {
        let unshown = Invariant::ALL
            .iter()
            .zip(self.counted)
            .filter(|(_, counted)| *counted > WITNESSES_MAX as u64)
            .map(|(invariant, counted)| (*invariant, counted - WITNESSES_MAX as u64))
            .collect();
        let mut shown = self.shown;
        shown.sort_by_key(|violation| violation.invariant);
        (shown, unshown)
    }
}
