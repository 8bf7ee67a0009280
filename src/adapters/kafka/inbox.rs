//! What waits for a lane: partitions that come and go, and signals in between, in order.

use crate::lane::batch::weight;
use crate::ports::{Fetched, Incoming, Intake, LettingGo};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes of signals that may wait for a lane before nothing more is handed to it, and those below
/// which its partitions are resumed where they had to be paused. Several batches.
const PAUSE_AT: usize = 8 << 20;
const RESUME_AT: usize = 4 << 20;

#[derive(Default)]
struct Waiting {
    moves: VecDeque<Move>,
    signals: VecDeque<Fetched>,
    bytes: usize,
    closed: bool,
    /// The lane has ended: nobody has anything under way here.
    ended: bool,
    paused: bool,
}

enum Move {
    Assigned(Vec<u32>),
    Revoked(Vec<u32>, LettingGo),
}

#[derive(Clone, Default)]
pub(super) struct Inbox {
    waiting: Arc<Mutex<Waiting>>,
    changed: Arc<Notify>,
}

/// What the consumer is to do with a lane's partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Pause,
    Resume,
}

impl Waiting {
    fn take_back(&mut self, partitions: &[u32]) {
        self.signals.retain(|signal| !partitions.contains(&signal.position.partition));
        self.bytes = self.signals.iter().map(|signal| weight(&signal.record)).sum();
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn assign(&self, partitions: Vec<u32>) {
        self.lock().moves.push_back(Move::Assigned(partitions));
        self.changed.notify_one();
    }

    /// Takes back the signals of these partitions, and asks for the rest to be let go.
    pub(super) fn revoke(&self, partitions: Vec<u32>, letting_go: LettingGo) {
        let mut waiting = self.lock();
        waiting.take_back(&partitions);
        if !waiting.ended {
            waiting.moves.push_back(Move::Revoked(partitions, letting_go));
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Takes back what waits of a partition.
    pub(super) fn forget(&self, partition: u32) {
        self.lock().take_back(&[partition]);
    }

    pub(super) fn push(&self, signal: Fetched) {
        let mut waiting = self.lock();
        if !waiting.ended {
            waiting.bytes += weight(&signal.record);
            waiting.signals.push_back(signal);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Whether the flow of signals is to change now.
    pub(super) fn flow(&self) -> Option<Flow> {
        let mut waiting = self.lock();
        let change = match (waiting.paused, waiting.bytes) {
            (false, PAUSE_AT..) => Flow::Pause,
            (true, 0..=RESUME_AT) => Flow::Resume,
            (false | true, _) => return None,
        };
        waiting.paused = change == Flow::Pause;
        Some(change)
    }

    /// Whether the lane has enough, and its partitions are not paused for it.
    pub(super) fn is_full(&self) -> bool {
        let waiting = self.lock();
        !waiting.paused && waiting.bytes >= PAUSE_AT
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().paused
    }
}

/// The reading end of a lane's inbox.
pub struct InboxIntake(pub(super) Inbox);

impl Drop for InboxIntake {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.ended = true;
        waiting.moves.clear();
        waiting.signals.clear();
        waiting.bytes = 0;
    }
}

impl Intake for InboxIntake {
    async fn next(&mut self, most: usize) -> Incoming {
        loop {
            // Registered before looking, so that what comes in between is not missed.
            let changed = self.0.changed.notified();
            {
                let mut waiting = self.0.lock();
                match waiting.moves.pop_front() {
                    Some(Move::Assigned(partitions)) => return Incoming::Assigned(partitions),
                    Some(Move::Revoked(partitions, letting_go)) => {
                        return Incoming::Revoked(partitions, letting_go);
                    }
                    None => {}
                }
                if waiting.signals.is_empty() && waiting.closed {
                    return Incoming::Closed;
                }
                let count = waiting.signals.len().min(most);
                if count > 0 {
                    let signals: Vec<Fetched> = waiting.signals.drain(..count).collect();
                    waiting.bytes -= signals.iter().map(|it| weight(&it.record)).sum::<usize>();
                    return Incoming::Signals(signals);
                }
            }
            changed.await;
        }
    }
}
