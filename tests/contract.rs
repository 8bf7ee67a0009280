//! What every journal and every view promises, asked of each adapter; and, for every promise, a
//! broken adapter on which the suite must fail. A new adapter joins with one line below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

#[path = "contract/broken_journal.rs"]
mod broken_journal;
#[path = "contract/broken_view.rs"]
mod broken_view;
#[path = "contract/journal.rs"]
mod journal;
#[path = "contract/view.rs"]
mod view;

mod support;

use support::lossy_disk::LossyDisk;
use support::memory_view::MemoryView;

/// Whether a promise was kept, and if not, what was seen instead.
pub type Kept = Result<(), String>;

/// Breaks the promise unless the condition holds.
#[macro_export]
macro_rules! keep {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

/// Any error where none was promised.
pub fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

journal::every_promise!(embedded_on_files, journal::OnFiles::default());
journal::every_promise!(embedded_on_a_lossy_disk, journal::OnLossyDisk(LossyDisk::default()));
journal::every_promise!(journal_on_kafka, journal::OnKafka::default());

view::every_promise!(in_memory, view::InMemory(MemoryView::default()));
view::every_promise!(fjall, view::OnFjall::default());
view::every_promise!(view_on_redis, view::OnRedis::default());
#[cfg(feature = "redis-cluster")]
view::every_promise!(view_on_redis_cluster, view::OnRedisCluster);
