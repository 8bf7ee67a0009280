//! Places where a test may end the process, or cut the power, as if by accident.
//!
//! In a release build each is nothing. With the feature `crash-points`, the environment variable
//! `TIDEGATE_CRASH_AT=name:n` kills the process the n-th time it passes `name`, and a test in the
//! same process may hang its own hook. `TIDEGATE_DEADLY=text` kills it before it decides a signal whose
//! body says that.

/// Every named place.
pub const POINTS: &[&str] = &[
    "journal.before_queue",
    "journal.before_write",
    "journal.after_write",
    "journal.after_sync",
    "journal.roll.after_create",
    "journal.roll.before_cut",
    "journal.roll.after_cut",
    "snapshot.before_rename",
    "snapshot.after_rename",
    "lane.before_commit",
    "lane.after_commit",
    "view.before_apply",
    "view.after_apply",
    "door.before_append",
    "door.before_answer",
];

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn deadly(_body: &[u8]) {}

#[cfg(feature = "crash-points")]
pub use armed::{deadly, point, set_hook};

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    type Hook = Box<dyn Fn(&'static str) + Send>;

    static HOOK: Mutex<Option<Hook>> = Mutex::new(None);
    static ARMED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let armed = std::env::var("TIDEGATE_CRASH_AT").ok()?;
        let (name, nth) = armed.split_once(':')?;
        Some((name.to_owned(), nth.parse().ok()?))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);

    static DEADLY: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("TIDEGATE_DEADLY").ok().filter(|text| !text.is_empty()));

    fn die() {
        let us = rustix::process::getpid();
        let _dead = rustix::process::kill_process(us, rustix::process::Signal::KILL);
    }

    pub fn deadly(body: &[u8]) {
        if let Some(text) = DEADLY.as_ref()
            && body.windows(text.len()).any(|part| part == text.as_bytes())
        {
            die();
        }
    }

    pub fn point(name: &'static str) {
        if let Some((armed, nth)) = ARMED.as_ref()
            && armed == name
            && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth
        {
            die();
        }
        let hook = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hook) = hook.as_ref() {
            hook(name);
        }
    }

    /// Calls `hook` at every point from now on, in this process.
    pub fn set_hook(hook: Option<Hook>) {
        *HOOK.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }
}
