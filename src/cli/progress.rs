//! How far a rebuild is: on a terminal a line that moves, elsewhere a line for each partition.

use super::say;
use crate::ports::{Apply, Looked, View, ViewError, ViewPosition};
use bytes::Bytes;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks of a moving line.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Progress {
    terminal: bool,
    began: Instant,
    /// The changelogs' ends, added up.
    all: u64,
    so_far: Mutex<SoFar>,
}

struct SoFar {
    /// The ends of partitions that are through.
    through: u64,
    at: u64,
    shown: u64,
    told: Instant,
}

impl Progress {
    pub(super) fn begin(all: u64) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            terminal: io::stderr().is_terminal(),
            began: now,
            all,
            so_far: Mutex::new(SoFar { through: 0, at: 0, shown: 0, told: now }),
        })
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shows(&self, states: usize, at: u64) {
        let mut so_far = self.so_far();
        so_far.shown += states as u64;
        so_far.at = so_far.at.max(at);
        if self.terminal && so_far.told.elapsed() >= AGAIN {
            so_far.told = Instant::now();
            let done = so_far.through + so_far.at;
            let line = line(done, self.all, so_far.shown, self.began.elapsed());
            let _unseen = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    pub(super) fn finished(&self, partition: u32, end: u64, states: u64, took: Duration) {
        let mut so_far = self.so_far();
        so_far.through += end;
        so_far.at = 0;
        if self.terminal {
            let _unseen = write!(io::stderr(), "\r\x1b[K");
        } else {
            say(format_args!(
                "partition {partition}: {states} states, {:.1} s",
                took.as_secs_f64()
            ));
        }
    }
}

fn line(done: u64, all: u64, states: u64, took: Duration) -> String {
    let part = done as f64 / all.max(1) as f64;
    let seconds = took.as_secs_f64();
    let left = if part > 0.0 { seconds / part - seconds } else { 0.0 };
    format!(
        "{:.0} %, {states} states, {:.0} a second, about {left:.0} s left",
        100.0 * part.min(1.0),
        states as f64 / seconds.max(0.001),
        left = left.max(0.0),
    )
}

/// A view under somebody's eyes.
#[derive(Clone)]
pub(super) struct Watched<V> {
    view: V,
    progress: Arc<Progress>,
}

impl<V: View> Watched<V> {
    pub(super) fn of(view: &V, progress: &Arc<Progress>) -> Self {
        Self { view: view.clone(), progress: Arc::clone(progress) }
    }
}

impl<V: View> View for Watched<V> {
    async fn position(&self, partition: u32) -> Result<ViewPosition, ViewError> {
        self.view.position(partition).await
    }

    async fn look_up(&self, partition: u32, keys: Vec<Bytes>) -> Result<Looked, ViewError> {
        self.view.look_up(partition, keys).await
    }

    async fn apply(&self, apply: Apply) -> Result<(), ViewError> {
        let (states, at) = (apply.states.len(), apply.position.changelog);
        self.view.apply(apply).await?;
        self.progress.shows(states, at);
        Ok(())
    }

    async fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, ViewError> {
        self.view.scan(partition, after, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use std::time::Duration;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let told = line(250, 1_000, 50_000, Duration::from_secs(2));
        assert_eq!(told, "25 %, 50000 states, 25000 a second, about 6 s left");
        assert_eq!(line(0, 0, 0, Duration::ZERO), "0 %, 0 states, 0 a second, about 0 s left");
    }
}
