//! Durable signals on their way to a lane, in memory. How many bytes may be here is bounded where
//! they are taken in; see `EmbeddedJournal::hold`.

use crate::ports::{Fetched, Incoming, Intake};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Signals that an empty queue keeps room for: a few fetches.
const ROOM_KEPT: usize = 4096;

#[derive(Default)]
struct Waiting {
    signals: VecDeque<Fetched>,
    /// Partitions that the lane is not ready for yet: until it is, nothing comes of any.
    not_ready: BTreeSet<u32>,
    closed: bool,
}

/// Signals of some partitions, in the order in which they became durable.
#[derive(Clone, Default)]
pub struct Queue {
    waiting: Arc<Mutex<Waiting>>,
    changed: Arc<Notify>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that gives nothing before all of `partitions` are flowing.
    pub fn of(partitions: &[u32]) -> Self {
        let queue = Self::default();
        queue.lock().not_ready.extend(partitions);
        queue
    }

    pub fn flow(&self, partition: u32) {
        self.lock().not_ready.remove(&partition);
        self.changed.notify_one();
    }

    pub fn push(&self, signals: impl IntoIterator<Item = Fetched>) {
        self.lock().signals.extend(signals);
        self.changed.notify_one();
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Hands what waits for `partition` to a queue that serves it from now on, and the word that
    /// there will be no more, where that has been said.
    pub fn hand_over(&self, partition: u32, to: &Self) {
        let mut waiting = self.lock();
        let (theirs, ours) = std::mem::take(&mut waiting.signals)
            .into_iter()
            .partition::<VecDeque<_>, _>(|signal| signal.position.partition == partition);
        waiting.signals = ours;
        to.push(theirs);
        if waiting.closed {
            to.close();
        }
    }
}

/// The reading end of a lane's queue.
pub struct QueueIntake {
    pub(super) queue: Queue,
    /// The lane's partitions, until it has been told of them.
    pub(super) untold: Option<Vec<u32>>,
}

impl Intake for QueueIntake {
    async fn next(&mut self, most: usize) -> Incoming {
        if let Some(partitions) = self.untold.take() {
            return Incoming::Assigned(partitions);
        }
        loop {
            // Registered before looking, so that what comes in between is not missed.
            let changed = self.queue.changed.notified();
            {
                let mut waiting = self.queue.lock();
                let ready = waiting.not_ready.is_empty();
                let count = if ready { waiting.signals.len().min(most) } else { 0 };
                if waiting.closed && (waiting.signals.is_empty() || !ready) {
                    return Incoming::Closed;
                }
                if count > 0 {
                    let signals = waiting.signals.drain(..count).collect();
                    if waiting.signals.is_empty() {
                        // Room that a burst took is given back when it is over.
                        waiting.signals.shrink_to(ROOM_KEPT);
                    }
                    return Incoming::Signals(signals);
                }
            }
            changed.await;
        }
    }
}
