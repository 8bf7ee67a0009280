//! Views that break one promise each, and proof that the suite sees it.

use crate::support::memory_view::MemoryView;
use crate::view::{self, Place};
use bytes::Bytes;
use tidegate::ports::{Apply, Looked, View, ViewError, ViewPosition};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    SaysYesAndForgets,
    ShowsWhatItFirstSaw,
    MovesItsPositionFirst,
    AppliesHalf,
    TakesOldEpochs,
    RefusesOldEpochsTooLate,
    TakesOldPositions,
    HidesGaps,
    MixesPartitions,
    ScansBackwards,
    ScansWithoutBound,
    ScansFromTheCursorOn,
}

#[derive(Clone)]
struct Broken {
    inner: MemoryView,
    fault: Fault,
}

struct BrokenPlace(Fault);

impl Place for BrokenPlace {
    type View = Broken;

    async fn make(&self) -> Broken {
        Broken { inner: MemoryView::default(), fault: self.0 }
    }
}

impl Broken {
    fn place(&self, partition: u32) -> u32 {
        if self.fault == Fault::MixesPartitions { partition % 256 } else { partition }
    }
}

impl View for Broken {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        self.inner.position(self.place(partition)).await
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        self.inner.look_up(self.place(partition), keys).await
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let mut apply = Apply { partition: self.place(apply.partition), ..apply };
        let has = self.inner.position(apply.partition).await?;
        match self.fault {
            Fault::SaysYesAndForgets => return Ok(()),
            Fault::ShowsWhatItFirstSaw => {
                let keys = apply.states.iter().map(|(key, _)| key.clone()).collect();
                let known = self.inner.look_up(apply.partition, keys).await?.values;
                let mut known = known.into_iter();
                apply.states.retain(|_| known.next().flatten().is_none());
            }
            Fault::MovesItsPositionFirst => {
                self.inner.apply(Apply { states: vec![], ..apply.clone() }).await?;
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
            Fault::AppliesHalf => apply.states.truncate(apply.states.len().div_ceil(2)),
            Fault::TakesOldEpochs => apply.position.epoch = has.epoch.max(apply.position.epoch),
            Fault::RefusesOldEpochsTooLate if has.epoch > apply.position.epoch => {
                let ours = apply.position.epoch;
                let partition = apply.partition;
                self.inner.apply(Apply { position: has, ..apply }).await?;
                return Err(ViewError::Fenced { partition, has: has.epoch, ours });
            }
            Fault::TakesOldPositions => {
                apply.position.changelog = has.changelog.max(apply.position.changelog);
            }
            Fault::HidesGaps => apply.after = 0,
            Fault::RefusesOldEpochsTooLate
            | Fault::MixesPartitions
            | Fault::ScansBackwards
            | Fault::ScansWithoutBound
            | Fault::ScansFromTheCursorOn => {}
        }
        self.inner.apply(apply).await
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        let partition = self.place(partition);
        let limit = if self.fault == Fault::ScansWithoutBound { usize::MAX } else { limit };
        let mut found = self.inner.scan(partition, after.clone(), limit).await?;
        if self.fault == Fault::ScansBackwards {
            found.reverse();
        }
        if self.fault == Fault::ScansFromTheCursorOn
            && let Some(at) = self.inner.look_up(partition, vec![after.clone()]).await?.values.pop()
        {
            found.splice(0..0, at.map(|state| (after, state)));
            found.truncate(limit);
        }
        Ok(found)
    }
}

macro_rules! caught {
    ($($test:ident: $fault:ident breaks $promise:ident;)+) => {
        $(#[actix::test]
        async fn $test() {
            let kept = view::$promise(&BrokenPlace(Fault::$fault)).await;
            assert!(kept.is_err(), "the suite does not see it");
        })+
    };
}

caught! {
    a_view_that_forgets: SaysYesAndForgets breaks what_was_applied_is_found;
    a_view_that_keeps_the_old: ShowsWhatItFirstSaw breaks the_newest_state_is_found;
    a_view_ahead_of_itself:
        MovesItsPositionFirst breaks states_and_position_become_visible_together;
    a_view_that_applies_half: AppliesHalf breaks states_and_position_become_visible_together;
    a_view_that_takes_old_epochs:
        TakesOldEpochs breaks an_older_epoch_is_refused_and_changes_nothing;
    a_view_that_refuses_too_late:
        RefusesOldEpochsTooLate breaks an_older_epoch_is_refused_and_changes_nothing;
    a_view_that_goes_back: TakesOldPositions breaks an_older_position_changes_nothing;
    a_view_that_hides_gaps: HidesGaps breaks an_apply_over_a_gap_is_refused_and_changes_nothing;
    a_view_that_mixes_partitions: MixesPartitions breaks partitions_are_apart;
    a_view_that_scans_backwards: ScansBackwards breaks a_scan_is_bounded_and_meets_every_state_once;
    a_view_that_scans_without_bound: ScansWithoutBound breaks a_scan_is_bounded_and_meets_every_state_once;
    a_view_that_scans_in_circles: ScansFromTheCursorOn breaks a_scan_is_bounded_and_meets_every_state_once;
}
