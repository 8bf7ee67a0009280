//! Somebody else's producer, which writes webhooks straight into the topic: what is measured is not
//! held up by a door that is down.

use crate::support::cluster::Cluster;
use crate::support::says::{self, Event};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidegate::lane::home::home;

const PATIENCE: Duration = Duration::from_secs(60);

/// Between two payments of a light, steady load.
const APART: Duration = Duration::from_millis(5);

pub struct Payer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    pub partitions: u32,
}

impl Payer {
    pub fn of(cluster: &Cluster) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &cluster.brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            .create()
            .unwrap();
        let topic = format!("{}.signals", cluster.name);
        Self { producer, topic, partitions: cluster.partitions }
    }

    pub fn says(&self, kind: &str, session: &str) {
        let id = format!("evt_{session}_{kind}");
        let body = Event::new(&id, kind, session).body();
        let signature = says::secret().sign(says::now().seconds(), &body);
        let headers =
            OwnedHeaders::new().insert(Header { key: "gate-signature", value: Some(&signature) });
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic)
            .partition(home(session.as_bytes(), self.partitions) as i32)
            .headers(headers)
            .payload(body.as_ref());
        while let Err((_full, back)) = self.producer.send(record) {
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns when the brokers have everything that was said.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

/// Sessions that nobody has heard of, each in a partition that is asked for.
pub struct Sessions {
    partitions: u32,
    next: u32,
}

impl Sessions {
    pub fn new(partitions: u32) -> Self {
        Self { partitions, next: 0 }
    }

    pub fn one(&mut self) -> String {
        self.next += 1;
        format!("gs_r{:08}", self.next)
    }

    pub fn one_in(&mut self, partition: u32) -> String {
        loop {
            let session = self.one();
            if home(session.as_bytes(), self.partitions) == partition {
                return session;
            }
        }
    }

    /// So many, spread evenly over the partitions.
    pub fn spread(&mut self, count: usize) -> Vec<String> {
        (0..self.partitions).cycle().take(count).map(|partition| self.one_in(partition)).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Sent {
    pub session: String,
    pub at: Instant,
}

/// Payments at an even pace, until it is stopped.
pub struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sent>>,
}

impl Steady {
    /// Says `kind` of one session after the other.
    pub fn begin(payer: &Arc<Payer>, kind: &'static str, sessions: Vec<String>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (payer, stops) = (Arc::clone(payer), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            let mut sent = vec![];
            for (n, session) in (0..).zip(sessions) {
                if stops.load(Ordering::SeqCst) {
                    return sent;
                }
                let due = began + n * APART;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                payer.says(kind, &session);
                sent.push(Sent { session, at: Instant::now() });
            }
            panic!("a load that ends by itself says nothing of what came after it");
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}
