//! Something to see: payments, copies, contradictions, reviews, dead letters and forgeries, again and
//! again until it is stopped.

use crate::support::cluster::Cluster;
use crate::support::running::try_request;
use crate::support::says::{self, COMPLETED, CREATED, Event, FAILED, PROCESSING};
use crate::support::served::Served;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(20);

pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Load {
    /// Comes through this door.
    pub fn start(door: String) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !stopped.load(Ordering::SeqCst) {
                day(&door, n);
                n += 1;
                std::thread::sleep(PAUSE);
            }
            n
        });
        Self { stop, thread: Some(thread) }
    }

    /// Says how many days it made.
    pub fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// One payment that goes well, and one of each that does not.
fn day(door: &str, n: u32) {
    let tell = |name: &str, at: u32, kind: &str, amount: &str, transaction: &str| {
        let (id, session) = (format!("evt_{name}_{n}_{at}"), format!("gs_{name}_{n:05}"));
        let event = Event { amount, transaction, ..Event::new(&id, kind, &session) };
        // One that is answered 503 comes again, as 0Gate would bring it; here the next day does.
        let _answer = Served::deliver_to(door, &event);
    };
    for (at, kind) in [(0, CREATED), (1, PROCESSING), (2, COMPLETED), (2, COMPLETED)] {
        tell("well", at, kind, "100.00", "tx_1");
    }
    for (at, kind) in [(0, FAILED), (1, COMPLETED)] {
        tell("late", at, kind, "100.00", "tx_1");
    }
    tell("twice", 0, COMPLETED, "100.00", "tx_1");
    tell("twice", 1, COMPLETED, "100.00", "tx_2");
    tell("other", 0, CREATED, "100.00", "tx_1");
    tell("other", 0, CREATED, "99.00", "tx_1");
    let path = format!("/webhooks/{}", says::ENDPOINT);
    let nonsense = b"signed, and no JSON";
    let signature = says::secret().sign(says::now().seconds(), nonsense);
    let signed = format!("Gate-Signature: {signature}\r\n");
    let _taken = try_request(door, "POST", &path, &signed, nonsense);
    let forged = format!("Gate-Signature: t={},v1={}\r\n", says::now().seconds(), "0".repeat(64));
    let _refused = try_request(door, "POST", &path, &forged, nonsense);
}

/// What somebody writes into the topic whom nobody knows.
pub fn garbage(cluster: &Cluster) {
    for partition in 0..cluster.partitions {
        cluster.produce(partition as i32, &[], Some(b"{}"));
    }
}
