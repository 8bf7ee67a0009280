//! How a partition is found by whoever takes it over: that nobody else can write in it any more, and
//! that everything visible in it was decided as one.

use super::{KafkaOptions, Shared, brokers};
use crate::adapters::kafka::changelog::{Changelog, Marks, ReadError};
use crate::ports::JournalError;
use crate::safeguard::Safeguard;
use crate::wire::trailer::Owner;

/// A partition as it is found before it is taken over.
pub(super) struct Found {
    /// The last that were committed.
    pub(super) marks: Marks,
    /// Where to go on.
    pub(super) next: u64,
    /// Whether somebody's name was taken for it.
    pub(super) fenced: bool,
}

/// How a partition stands, for whoever takes it over.
struct Stands {
    marks: Marks,
    /// The batch of its newest fulfillment.
    output: Option<(u64, u64)>,
    /// The group's offset.
    committed: Option<u64>,
}

impl Shared {
    /// A partition in which nobody else can write any more; `None` where somebody does all the same.
    pub(super) fn found(
        &self,
        partition: u32,
        owner: &Owner,
    ) -> Result<Option<Found>, JournalError> {
        let readers = self.readers(partition);
        let changelog = self.changelog(&readers, partition);
        let known = changelog.known_marks()?;
        let newest = changelog.written_after(&known)?;
        self.refuse_strangers(partition, &newest, owner)?;
        let mut others = Changelog::holders(&known, &newest);
        others.retain(|other| !self.has_initialized(other));
        if !Safeguard::FenceEveryHolder.is_on() {
            others.retain(|other| newest.is_of(other));
        }
        if !others.is_empty() && !self.members.is_fresh(partition) {
            // It was given to somebody else meanwhile. The word of that is on its way.
            return Err(JournalError::NotAssigned { partition });
        }
        // They may be dead with a transaction open, or think that they are alive.
        if Safeguard::FenceTheOwnerBefore.is_on() {
            others.iter().try_for_each(|other| self.fence(other))?;
        }
        // Looked at before the trailer, which comes with it: what is committed meanwhile is no half.
        let outputs = Changelog { topic: &self.fulfillments, ..changelog };
        let settled = outputs.newest_batch().and_then(|output| {
            if Changelog::is_released(&known, &newest) {
                return Ok((output, known.clone()));
            }
            Ok((output, changelog.committed_after(&known)?))
        });
        if let Err(ReadError::Open { .. }) = &settled {
            // Whoever was fenced took its name back and died: the next try fences it once more.
            self.forget_fenced();
        }
        let (output, marks) = settled?;
        let committed = self.members.committed(partition).map_err(brokers)?;
        #[cfg(feature = "loose-safeguards")]
        let marks = marks.loosened(committed);
        let stands = Stands { marks, output, committed };
        let next = match self.position(partition, &stands) {
            Ok(next) => next,
            // Somebody else has it by now, and commits.
            Err(_) if changelog.committed_after(&known)?.trailer != stands.marks.trailer => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let begins = self.members.begins(partition).map_err(brokers)?;
        if begins > next {
            return Err(JournalError::Missing { partition, next, begins });
        }
        Ok(Some(Found { marks: stands.marks, next, fenced: !others.is_empty() }))
    }

    /// Two groups on the same topics would both decide everything, and other partitions or routing
    /// rules would look for an attempt where it does not live.
    fn refuse_strangers(
        &self,
        partition: u32,
        newest: &Marks,
        owner: &Owner,
    ) -> Result<(), JournalError> {
        let Some(before) = &newest.owner else { return Ok(()) };
        let group = KafkaOptions::group_of(&before.writer);
        if group != self.options.group && Safeguard::OneGroup.is_on() {
            let (group, ours) = (group.to_owned(), self.options.group.clone());
            return Err(JournalError::OtherGroup { partition, group, ours });
        }
        if (before.partitions, before.routing) != (owner.partitions, owner.routing) {
            return Err(JournalError::Pinned {
                pinned: before.partitions,
                pinned_routing: before.routing,
                asked: owner.partitions,
                asked_routing: owner.routing,
            });
        }
        Ok(())
    }

    /// Where decisions go on, if everything that is visible was decided as one.
    ///
    /// Half of a transaction can become visible: an old client's commit that arrives late ends
    /// whatever is open by then. A trailer is the last record of its batch: nothing follows the last
    /// one but owner records, no output is of a later batch, and the group's offset agrees.
    fn position(&self, partition: u32, stands: &Stands) -> Result<u64, JournalError> {
        let Stands { marks, output, committed } = stands;
        let trailer = marks.trailer.as_ref();
        let next = trailer.map_or(0, |trailer| trailer.next);
        let closed = trailer.map(|trailer| (trailer.epoch, trailer.transaction));
        let state = marks.unclosed.map(|at| format!("`{}` holds a state at {at}", self.attempts));
        let output = output.filter(|output| Some(*output) > closed).map(|(epoch, transaction)| {
            format!("`{}` holds one of batch {epoch}.{transaction}", self.fulfillments)
        });
        if let Some(what) = state.or(output).filter(|_| Safeguard::NothingAfterTheTrailer.is_on()) {
            return Err(JournalError::Half { partition, next, what });
        }
        match *committed {
            Some(committed) if committed != next => {
                Err(JournalError::Torn { partition, next, committed })
            }
            Some(_) | None => Ok(next),
        }
    }
}
