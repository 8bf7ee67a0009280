//! A partition that a lane decides for: where it stands, and how carefully its next signal is decided.

use super::part::Standing;
use crate::attempt::Timestamp;
use crate::wire::trailer::{Trailer, Tries};

/// Lives that may end before a signal is decided until it is decided alone: a process ends for many
/// reasons, and with it whatever else was in its batch.
pub const LIVES_UNSUSPECTED: u32 = 2;

/// Lives that may end while they decide a signal alone, until it is a dead letter.
const LIVES_ALONE: u32 = 3;

/// Signals decided one at a time after the first: it stood at the head of a batch, and any of that
/// may have ended the process.
const ALONE_AFTER: u32 = 1_000;

#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) epoch: u64,
    pub(super) transaction: u64,
    pub(super) standing: Standing,
    pub(super) changelog: u64,
    /// Signals before this have come already, or were decided.
    pub(super) fetched_to: u64,
    pub(super) care: Care,
}

/// How the next signal of a partition is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Together with others.
    Plain,
    /// Processes ended before it was decided. Not before it is written down that it is tried alone.
    Suspect,
    /// Alone, and so many after it.
    Alone { after: u32 },
    /// Not at all: it ended every process that tried. A person has to look at it.
    Condemned,
}

impl Care {
    fn of(tries: Tries) -> Self {
        if tries.ended_alone >= LIVES_ALONE {
            Self::Condemned
        } else if tries.now_alone {
            Self::Alone { after: ALONE_AFTER }
        } else if tries.ended >= LIVES_UNSUSPECTED {
            Self::Suspect
        } else {
            Self::Plain
        }
    }

    /// Once the next signal is decided.
    pub(super) fn after_one(self) -> Self {
        match self {
            Self::Plain | Self::Suspect | Self::Alone { after: 0 } => Self::Plain,
            Self::Alone { after } => Self::Alone { after: after - 1 },
            Self::Condemned => Self::Alone { after: ALONE_AFTER },
        }
    }
}

impl Owned {
    pub(super) fn from_trailer(
        epoch: u64,
        trailer: Option<Trailer>,
        changelog: u64,
        tries: Tries,
        survived: Option<u64>,
    ) -> Self {
        let standing = trailer.as_ref().map(Standing::from).unwrap_or_default();
        let (fetched_to, mut care) = (standing.next, Care::of(tries));
        // This life has decided it already, and it was the commit that did not come about.
        if care == Care::Suspect && survived == Some(standing.next) {
            care = Care::Plain;
        }
        Self { epoch, transaction: 0, standing, changelog, fetched_to, care }
    }

    /// So many signals that were held back are here again; what comes is new from `beyond` on. Only
    /// those can have been in a batch with the suspect.
    pub(super) fn brings_back(&mut self, count: u32, beyond: u64) {
        self.fetched_to = self.fetched_to.max(beyond);
        if let Care::Alone { after } = &mut self.care {
            *after = (*after).min(count.saturating_sub(1));
        }
    }

    /// A second with traffic is over and not yet summed up.
    pub(super) fn summary_due(&self, now: Timestamp) -> bool {
        let Standing { counts, summarized, second, .. } = &self.standing;
        counts != summarized && now.seconds() > *second
    }

    pub(super) fn summary_at(&self) -> Option<Timestamp> {
        let Standing { counts, summarized, second, .. } = &self.standing;
        (counts != summarized).then(|| Timestamp::from_seconds(second + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(ended: u32, ended_alone: u32, now_alone: bool) -> Tries {
        Tries { life: 1, ended, ended_alone, now_alone }
    }

    #[test]
    fn a_signal_is_suspect_after_two_lives_and_given_up_after_three_alone() {
        let first = Care::Alone { after: ALONE_AFTER };
        for (life, expected) in [
            (tries(0, 0, false), Care::Plain),
            (tries(1, 0, false), Care::Plain),
            (tries(2, 0, false), Care::Suspect),
            (tries(2, 0, true), first),
            (tries(3, 1, false), Care::Suspect),
            (tries(4, 2, true), first),
            (tries(5, 3, false), Care::Condemned),
        ] {
            assert_eq!(Care::of(life), expected, "{life:?}");
        }
    }

    #[test]
    fn what_this_life_has_decided_already_is_no_suspect() {
        let owned = |survived| Owned::from_trailer(1, None, 0, tries(2, 0, false), survived).care;
        assert_eq!((owned(None), owned(Some(0)), owned(Some(7))), {
            (Care::Suspect, Care::Plain, Care::Suspect)
        });
    }

    #[test]
    fn what_stood_behind_it_is_decided_one_by_one_and_then_together_again() {
        let mut care = Care::Condemned.after_one();
        for after in (0..=ALONE_AFTER).rev() {
            assert_eq!(care, Care::Alone { after });
            care = care.after_one();
        }
        assert_eq!(care, Care::Plain);
    }
}
