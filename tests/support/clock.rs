//! A clock that a test sets.
#![allow(unreachable_pub, reason = "shared by files that are crates of their own")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tidegate::attempt::Timestamp;
use tidegate::ports::{Clock, SystemClock};

/// The system's time, moved by so many milliseconds.
#[derive(Clone, Debug, Default)]
pub struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub fn move_by(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}
