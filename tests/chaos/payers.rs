//! Payments on their way in: through the doors as 0Gate delivers, and straight into the topic as a
//! producer of somebody else writes. A fifth of the events come twice, a tenth of the stories out of
//! order, and a producer puts one event in seven into another partition than its own.

use super::plan::Plan;
use crate::support::Dice;
use crate::support::cluster::Cluster;
use crate::support::says::{self, COMPLETED, CREATED, Event, PROCESSING};
use crate::support::served::Served;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The public listeners that are there now, by process.
pub type Doors = Arc<Mutex<BTreeMap<&'static str, String>>>;

/// How long a producer keeps a record that no broker takes.
const PATIENCE: Duration = Duration::from_secs(300);

const CALM: Duration = Duration::from_millis(20);

/// What was paid, and acknowledged.
#[derive(Default)]
pub struct Paid {
    pub attempts: BTreeSet<String>,
    pub events: usize,
}

pub struct Payers {
    stop: Arc<AtomicBool>,
    paid: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Paid>>,
}

impl Payers {
    pub fn start(cluster: &Cluster, doors: &Doors, plan: &Plan) -> Self {
        let (stop, paid) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let payer = |name: &'static str, seed: u64| Payer {
            name,
            dice: Dice(seed),
            stop: Arc::clone(&stop),
            count: Arc::clone(&paid),
            paid: Paid::default(),
        };
        let (client, theirs) = (payer("d", plan.seed ^ 1), Arc::clone(doors));
        let door = std::thread::spawn(move || {
            client.pay_while(|payer, event| deliver(&theirs, &mut payer.dice, event), || {})
        });
        let (producer, writer) = (payer("p", plan.seed ^ 2), Writer::of(cluster));
        let rate = plan.rate.max(1);
        let topic = std::thread::spawn(move || {
            let began = Instant::now();
            let mut made = 0;
            let paid = producer.pay_while(
                |payer, event| writer.write(&mut payer.dice, event),
                || {
                    made += 1;
                    let due = began + Duration::from_secs_f64(made as f64 / rate as f64);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                },
            );
            writer.flush();
            paid
        });
        Self { stop, paid, threads: vec![door, topic] }
    }

    pub fn paid(&self) -> usize {
        self.paid.load(Ordering::SeqCst)
    }

    pub fn stop(self) -> Paid {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Paid::default();
        for thread in self.threads {
            let Paid { attempts, events } = thread.join().unwrap();
            all.attempts.extend(attempts);
            all.events += events;
        }
        all
    }
}

struct Payer {
    name: &'static str,
    dice: Dice,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    paid: Paid,
}

impl Payer {
    fn pay_while(
        mut self,
        mut bring: impl FnMut(&mut Self, &Event<'_>),
        mut rest: impl FnMut(),
    ) -> Paid {
        let mut n = 0_u64;
        while !self.stop.load(Ordering::SeqCst) {
            let session = format!("gs_{}_{n:06}", self.name);
            let mut story = vec![(0, CREATED), (1, PROCESSING), (2, COMPLETED)];
            if self.dice.chance(10) {
                self.dice.shuffle(&mut story);
            }
            for (at, kind) in story {
                let id = format!("evt_{}_{n}_{at}", self.name);
                let event = Event::new(&id, kind, &session);
                let copies = if self.dice.chance(20) { 2 } else { 1 };
                for _ in 0..copies {
                    bring(&mut self, &event);
                    self.paid.events += 1;
                }
            }
            // An old one comes again, long after it was decided.
            if n > 0 && self.dice.chance(20) {
                let before = self.dice.below(n);
                let id = format!("evt_{}_{before}_2", self.name);
                let session = format!("gs_{}_{before:06}", self.name);
                bring(&mut self, &Event::new(&id, COMPLETED, &session));
                self.paid.events += 1;
            }
            self.paid.attempts.insert(session);
            self.count.fetch_add(1, Ordering::SeqCst);
            n += 1;
            rest();
        }
        self.paid
    }
}

/// Delivers until somebody acknowledges, as 0Gate would, to whoever is there.
fn deliver(doors: &Doors, dice: &mut Dice, event: &Event<'_>) {
    loop {
        let door = {
            let doors = doors.lock().unwrap();
            let at = dice.below(doors.len() as u64) as usize;
            doors.values().nth(at).cloned()
        };
        let answer = door.and_then(|door| Served::deliver_to(&door, event));
        if answer.is_some_and(|answer| answer.status == 200) {
            return;
        }
        std::thread::sleep(CALM);
    }
}

/// Somebody else's producer: the raw body, 0Gate's signature, and nothing of ours.
struct Writer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    partitions: u32,
}

impl Writer {
    fn of(cluster: &Cluster) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &cluster.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create()
            .unwrap();
        let topic = format!("{}.signals", cluster.name);
        Self { producer, topic, partitions: cluster.partitions }
    }

    fn write(&self, dice: &mut Dice, event: &Event<'_>) {
        let home = event.append(self.partitions).partition;
        let elsewhere = dice.below(u64::from(self.partitions)) as u32;
        let partition = if dice.chance(17) { elsewhere } else { home };
        let body = event.body();
        let signature = says::secret().sign(says::now().seconds(), &body);
        let headers =
            OwnedHeaders::new().insert(Header { key: "gate-signature", value: Some(&signature) });
        let mut record = BaseRecord::<(), [u8]>::to(&self.topic)
            .partition(partition as i32)
            .headers(headers)
            .payload(body.as_ref());
        while let Err((_full, back)) = self.producer.send(record) {
            record = back;
            std::thread::sleep(CALM);
        }
    }

    /// Every record has been acknowledged: none may still be on its way when judgement comes.
    fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
        assert_eq!(self.producer.in_flight_count(), 0, "some records were never taken");
    }
}
