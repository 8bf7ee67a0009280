//! How far the view is behind what was committed, lane by lane.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Gap {
    /// How much of the changelog is committed.
    committed: u64,
    /// How much of it the view has said that it has; nothing was said yet since the take-over.
    shown: Option<u64>,
    /// When the oldest that it may lack was committed.
    since: Option<Instant>,
}

/// Of each lane, its partitions.
type Lanes = BTreeMap<u32, BTreeMap<u32, Gap>>;

#[derive(Debug, Default)]
pub struct Behind(Mutex<Lanes>);

impl Behind {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn took_over(&self, lane: u32, partition: u32, changelog: u64, now: Instant) {
        let gap = Gap { committed: changelog, shown: None, since: Some(now) };
        self.lanes().entry(lane).or_default().insert(partition, gap);
    }

    pub fn let_go(&self, lane: u32, partitions: &[u32]) {
        if let Some(gaps) = self.lanes().get_mut(&lane) {
            gaps.retain(|partition, _| !partitions.contains(partition));
        }
    }

    pub fn committed(&self, lane: u32, changelogs: &[(u32, u64)], now: Instant) {
        let mut lanes = self.lanes();
        let Some(gaps) = lanes.get_mut(&lane) else { return };
        for (partition, changelog) in changelogs {
            if let Some(gap) = gaps.get_mut(partition) {
                gap.committed = gap.committed.max(*changelog);
                gap.since.get_or_insert(now);
            }
        }
    }

    /// The view has everything up to `changelog`. What it was given was put together at `began`: what
    /// it still lacks was committed after that.
    pub fn shown(&self, lane: u32, partition: u32, changelog: u64, began: Instant) {
        let mut lanes = self.lanes();
        let gap = lanes.get_mut(&lane).and_then(|gaps| gaps.get_mut(&partition));
        let Some(gap) = gap else { return };
        let shown = gap.shown.unwrap_or(0).max(changelog);
        gap.shown = Some(shown);
        gap.since = gap.since.filter(|_| shown < gap.committed).map(|since| since.max(began));
    }

    /// Of each lane: changelog records that its partitions lack in the view, and the seconds that the
    /// oldest of them has been waiting.
    pub fn now(&self, now: Instant) -> Vec<(u32, u64, f64)> {
        let of_lane = |(lane, gaps): (&u32, &BTreeMap<u32, Gap>)| {
            let lacks =
                |gap: &Gap| gap.committed.saturating_sub(gap.shown.unwrap_or(gap.committed));
            let oldest = gaps.values().filter_map(|gap| gap.since).min();
            let seconds =
                oldest.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
            (*lane, gaps.values().map(lacks).sum(), seconds)
        };
        self.lanes().iter().map(of_lane).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Behind;
    use std::time::{Duration, Instant};

    fn seconds(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_view_lacks_is_as_old_as_the_oldest_commit_that_it_lacks() {
        let (behind, began) = (Behind::default(), Instant::now());
        behind.took_over(0, 3, 100, began);
        behind.shown(0, 3, 100, began);
        assert_eq!(behind.now(seconds(began, 9)), [(0, 0, 0.0)], "it has everything");
        behind.committed(0, &[(3, 110)], seconds(began, 10));
        behind.committed(0, &[(3, 120)], seconds(began, 12));
        assert_eq!(behind.now(seconds(began, 15)), [(0, 20, 5.0)]);
        behind.shown(0, 3, 110, seconds(began, 11));
        assert_eq!(behind.now(seconds(began, 15)), [(0, 10, 4.0)]);
        behind.shown(0, 3, 120, seconds(began, 15));
        assert_eq!(behind.now(seconds(began, 20)), [(0, 0, 0.0)]);
    }

    #[test]
    fn a_view_that_has_said_nothing_since_the_take_over_is_behind_since_then() {
        let (behind, began) = (Behind::default(), Instant::now());
        behind.took_over(1, 0, 100, began);
        assert_eq!(behind.now(seconds(began, 3)), [(1, 0, 3.0)]);
    }

    #[test]
    fn a_partition_that_is_let_go_is_behind_no_more_and_a_late_word_of_it_says_nothing() {
        let (behind, began) = (Behind::default(), Instant::now());
        behind.took_over(0, 3, 100, began);
        behind.let_go(0, &[3]);
        behind.committed(0, &[(3, 200)], began);
        behind.shown(0, 3, 150, began);
        assert_eq!(behind.now(seconds(began, 9)), [(0, 0, 0.0)]);
    }
}
