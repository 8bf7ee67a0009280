//! Reads the fulfillments as they are committed, as a ledger would, and never forgets one.

use crate::support::cluster::Cluster;
use crate::support::says;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tidegate::adapters::kafka::Past;
use tidegate::wire::Topic;

#[derive(Default)]
pub struct Verdict {
    pub fulfilled: BTreeSet<String>,
    pub doubled: Vec<String>,
}

pub struct Checker {
    seen: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Verdict>,
}

impl Checker {
    pub fn start(cluster: &Cluster) -> Self {
        let past = Past::open(cluster.options("checker"), says::admission()).unwrap();
        let watch = past.watch(Topic::Fulfillments).unwrap();
        let (seen, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counts, stops) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut verdict = Verdict::default();
            while !stops.load(Ordering::SeqCst) {
                // A broker that is down is asked again.
                let Ok(Some(key)) = watch.next(Duration::from_millis(100)) else { continue };
                let attempt = String::from_utf8(key.to_vec()).unwrap();
                if !verdict.fulfilled.insert(attempt.clone()) {
                    verdict.doubled.push(attempt);
                }
                counts.store(verdict.fulfilled.len(), Ordering::SeqCst);
            }
            verdict
        });
        Self { seen, stop, thread }
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    pub fn stop(self) -> Verdict {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}
