//! How much of each partition this process has shown. A view that has less by now forgot it: what it
//! answers then is older than what somebody has seen, and nobody is shown it.

use crate::ports::ViewPosition;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub struct Seen(Mutex<Vec<u64>>);

impl Seen {
    pub fn new(partitions: u32) -> Self {
        Self(Mutex::new(vec![0; partitions as usize]))
    }

    /// Whether an answer from `position` may be shown. Whoever takes a partition over gives the view
    /// a position: one that has none was emptied, or has never been shown anything.
    pub fn admits(&self, partition: u32, position: ViewPosition) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = seen.get_mut(partition as usize) else { return false };
        if position.changelog == 0 || position.changelog < *seen {
            return false;
        }
        *seen = position.changelog;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_shown_less_than_before() {
        let seen = Seen::new(2);
        let at = |changelog| ViewPosition { epoch: 1, changelog };
        assert!(!seen.admits(0, at(0)), "a view without a position knows nothing");
        assert!(seen.admits(0, at(7)) && seen.admits(0, at(7)) && seen.admits(0, at(9)));
        assert!(!seen.admits(0, at(8)));
        assert!(seen.admits(1, at(1)), "each partition by itself");
        assert!(!seen.admits(2, at(1)), "there is no such partition");
    }
}
