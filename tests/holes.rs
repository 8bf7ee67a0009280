//! The holes that a cluster's rules close, each provoked on a real broker: nothing comes through while
//! its rule is on, and something does once it is switched off. Each story is told twice at the same
//! time, by real processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "holes"]
mod on_kafka {
    mod dead_owner;
    mod deadly;
    mod half;
    mod late_commit;
    mod memory;
    mod names;
    mod offsets;
    mod stale_member;
    mod story;
}
