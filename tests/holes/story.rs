//! What the stories share: real processes of a cluster, some of whose safeguards are off.

use crate::support::cluster::{Cluster, PATIENCE};
use crate::support::says::{self, COMPLETED, Event};
use crate::support::served::{Configured, Launched, Served};
use crate::support::services::kafka::Kafka;
use crate::support::services::proxy::Line;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use std::future::Future;
use std::time::{Duration, Instant};
use tidegate::adapters::kafka::Past;
use tidegate::audit::{self, Report};
use tidegate::safeguard::Safeguard;
use tidegate::wire::Topic;

pub const SOON: Duration = Duration::from_secs(10);

pub type Off = &'static [Safeguard];

pub const ALL_ON: Off = &[];

/// Tells a story once with each of these switched off, all at the same time.
pub fn told<const N: usize, T, F>(off: [Off; N], story: impl Fn(Off) -> F + Copy + Send) -> [T; N]
where
    T: Send,
    F: Future<Output = T>,
{
    std::thread::scope(|scope| {
        let told = off.map(|off| scope.spawn(move || actix::System::new().block_on(story(off))));
        told.map(|told| told.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// A process that ended by itself.
#[derive(Debug)]
pub struct Refusal {
    pub code: i32,
    pub said: String,
}

impl Refusal {
    /// Whether it ended for the right reason, and said so to a person.
    pub fn says(&self, code: u8, what: &str) -> bool {
        self.code == i32::from(code) && self.said.contains(what)
    }
}

pub struct Story {
    pub cluster: Cluster,
    configured: Configured,
    off: String,
}

impl Story {
    pub async fn new(name: &str, partitions: u32, off: Off) -> Self {
        let bits: u32 = off.iter().map(|safeguard| 1 << *safeguard as u32).sum();
        let off: Vec<&str> = off.iter().map(|safeguard| safeguard.name()).collect();
        let name = format!("{name}-{bits}");
        let kafka = Kafka::behind_a_proxy();
        let cluster = Cluster::make_on(kafka, &name, partitions, partitions).await;
        let configured = Configured::of(&cluster, &cluster.redis.url());
        Self { cluster, configured, off: off.join(",") }
    }

    /// One in which so many payments were completed, by a process that has ended: all is at rest.
    pub async fn at_rest(name: &str, off: Off, payments: u32) -> Self {
        let story = Self::new(name, 1, off).await;
        let process = story.serve("first");
        (0..payments).for_each(|n| story.complete(&process, n));
        story.cluster.fulfills(payments as usize).await;
        assert_eq!(process.end(), Some(0));
        story
    }

    /// The name of a process of this story, which no other story has.
    pub fn instance(&self, who: &str) -> String {
        format!("{}-{who}", self.cluster.name)
    }

    /// The name under which the brokers know a lane of a process.
    pub fn transactional_id(&self, who: &str, lane: u32) -> String {
        let Cluster { name, group, .. } = &self.cluster;
        format!("{name}-{group}/{}/{lane}", self.instance(who))
    }

    pub fn launch_with(&self, who: &str, environment: &[(&str, &str)]) -> Launched {
        let loose = [&[("TIDEGATE_LOOSE", self.off.as_str())], environment].concat();
        self.configured.launch(&self.instance(who), &loose)
    }

    pub fn serve(&self, who: &str) -> Served {
        self.launch_with(who, &[]).ready()
    }

    /// Starts one that reaches the broker through the proxy alone.
    pub fn launch_through(&self, who: &str) -> Launched {
        let proxy = Kafka::behind_a_proxy().proxy().address();
        self.launch_with(who, &[("TIDEGATE_KAFKA__BROKERS", &proxy)])
    }

    pub fn line(&self, who: &str) -> Line {
        Kafka::behind_a_proxy().proxy().line(&self.instance(who))
    }

    pub fn said(&self, who: &str) -> String {
        self.configured.said(&self.instance(who))
    }

    /// Ready, or with what it ended and what it said.
    pub fn outcome(&self, who: &str, environment: &[(&str, &str)]) -> Result<Served, Refusal> {
        self.launch_with(who, environment).outcome(PATIENCE).map_err(|code| Refusal {
            code: code.unwrap_or_else(|| panic!("{who} goes on\n{}", self.said(who))),
            said: self.said(who),
        })
    }

    /// Tells a process that payment `n` is complete.
    pub fn complete(&self, process: &Served, n: u32) {
        let (id, session) = (format!("evt_{n}"), session(n));
        let answer = process.deliver(&Event::new(&id, COMPLETED, &session));
        assert_eq!(answer.map(|answer| answer.status), Some(200), "payment {n}");
    }

    /// Puts the word that payment `n` is complete where it belongs, as somebody else's producer.
    pub fn completes(&self, n: u32) {
        let (id, session) = (format!("evt_{n}"), session(n));
        let body = Event::new(&id, COMPLETED, &session).body();
        let signature = says::secret().sign(says::now().seconds(), &body);
        self.cluster.produce(0, &[("gate-signature", signature.as_bytes())], Some(&body));
    }

    /// Returns once so many fulfillments have reached the broker, committed or not.
    pub fn are_on_their_way(&self, count: usize) {
        let began = Instant::now();
        while self.cluster.written(Topic::Fulfillments).len() < count {
            assert!(began.elapsed() < PATIENCE, "not {count} fulfillments");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn audit(&self) -> Report {
        let past = Past::open(self.cluster.options("judge"), says::admission()).unwrap();
        audit::audit_cluster(&past, &says::trust().keys, &mut |_| {}).unwrap()
    }

    /// Everything that is decided, once all is.
    pub async fn settled(&self) -> Report {
        let began = Instant::now();
        loop {
            let report = self.audit();
            if report.in_flight == 0 || began.elapsed() > PATIENCE {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.cluster.brokers).create().unwrap()
    }

    /// A producer that has taken the name of a lane.
    pub fn takes_the_name(&self, who: &str, lane: u32) -> ThreadedProducer<DefaultProducerContext> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.cluster.brokers)
            .set("transactional.id", self.transactional_id(who, lane))
            .set("transaction.timeout.ms", "60000")
            .create()
            .unwrap();
        producer.init_transactions(SOON).unwrap();
        producer
    }
}

pub fn session(n: u32) -> String {
    format!("gs_{n:05}")
}

/// The sessions of these payments, in order.
pub fn sessions(payments: &[u32]) -> Vec<String> {
    payments.iter().copied().map(session).collect()
}
