//! Sees each fulfillment when it is committed, as a ledger would.

use crate::support::cluster::Cluster;
use crate::support::says;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidegate::adapters::kafka::Past;
use tidegate::wire::Topic;

/// Far longer than anything that is measured: past it there is nothing to measure.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    at: Mutex<HashMap<String, Instant>>,
    came: Condvar,
}

pub struct Eye {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Eye {
    pub fn open(cluster: &Cluster) -> Self {
        let past = Past::open(cluster.options("eye"), says::admission()).unwrap();
        let began = Instant::now();
        // Topics that were just made have no leader yet.
        let watch = loop {
            match past.watch(Topic::Fulfillments) {
                Err(_not_yet) if began.elapsed() < PATIENCE => {}
                watch => break watch.unwrap(),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let (seen, stop) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let (sees, stops) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stops.load(Ordering::SeqCst) {
                let Some(key) = watch.next(Duration::from_millis(100)).unwrap() else { continue };
                let now = Instant::now();
                let attempt = String::from_utf8(key.to_vec()).unwrap();
                let before = sees.at.lock().unwrap().insert(attempt.clone(), now);
                assert_eq!(before, None, "{attempt} was fulfilled twice");
                sees.came.notify_all();
            }
        });
        Self { seen, stop, thread }
    }

    /// When the fulfillment of `session` was there; waits for it.
    pub fn sees(&self, session: &str) -> Instant {
        let seen = self.seen.at.lock().unwrap();
        let missing = |at: &mut HashMap<String, Instant>| !at.contains_key(session);
        let (seen, waited) = self.seen.came.wait_timeout_while(seen, PATIENCE, missing).unwrap();
        assert!(!waited.timed_out(), "{session} was not fulfilled within {PATIENCE:?}");
        seen[session]
    }

    /// Waits until so many were fulfilled.
    pub fn counts(&self, count: usize) {
        let (mut before, mut grew) = (0, Instant::now());
        loop {
            let has = self.seen.at.lock().unwrap().len();
            if has >= count {
                return;
            }
            if has > before {
                (before, grew) = (has, Instant::now());
            }
            assert!(grew.elapsed() < PATIENCE, "{has} of {count} fulfillments, and no more come");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn close(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}
