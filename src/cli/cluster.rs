//! Joins the cluster engine: Kafka as the journal, Redis as the view, lanes.

use super::host::{Host, HostPlan};
use super::process::DRAIN_PATIENCE;
use super::redis_watch::Watching;
use super::topics::{ALLOW_WRITE, commits_denied, with_partitions};
use super::{Failure, exit};
use crate::actors::{DriverOptions, Engine, EngineError, EngineOptions};
use crate::adapters::kafka::{
    KafkaFeeds, KafkaJournal, KafkaOptions, Obstacle, TopicsError, may_commit,
};
use crate::adapters::redis::{RedisError, RedisOptions, RedisView};
use crate::attempt::Policy;
use crate::lane::machine::{Limits, Rules};
use crate::lane::resident::Resident;
use crate::ports::{Journal, JournalError, SystemClock};
use crate::telemetry::Metrics;
use crate::wire::admit::Admission;
use crate::wire::prove::Trust;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A cluster engine, to be started.
pub(super) struct ClusterPlan {
    /// Partitions are those that the topics have.
    pub(super) kafka: KafkaOptions,
    pub(super) redis: RedisOptions,
    pub(super) trust: Trust,
    /// For records that others write into the journal.
    pub(super) admission: Arc<Admission>,
    pub(super) policy: Policy,
    /// Memory for live attempts, over all lanes.
    pub(super) attempts_memory: usize,
}

pub(super) struct Cluster {
    journal: KafkaJournal,
    view: RedisView,
    feeds: KafkaFeeds,
    engine: Engine,
    metrics: Metrics,
    _watching: Watching,
}

impl HostPlan for ClusterPlan {
    type Host = Cluster;

    async fn start(self, metrics: Metrics) -> Result<Cluster, Failure> {
        tracing::warn!(
            "the cluster engine is new: it has not been through its proofs under faults yet"
        );
        let view = RedisView::open(&self.redis).await?;
        let watching = Watching::begin(view.clone(), metrics.clone());
        let kafka = with_partitions(self.kafka).await?;
        let probed = kafka.clone();
        let may = tokio::task::spawn_blocking(move || may_commit(&probed)).await;
        // Whatever else is in the way is told, and tried again, where the lanes meet it.
        if let Ok(Err(refused)) = may
            && refused.denied
        {
            let what = commits_denied(&kafka, &refused);
            return Err(Failure::new(exit::UNAVAILABLE, what, ALLOW_WRITE));
        }
        let journal = KafkaJournal::open(kafka.clone(), self.admission).await?;
        let rules =
            Rules { trust: self.trust, policy: self.policy, partitions: journal.partitions() };
        let options = EngineOptions {
            lanes: kafka.lanes,
            driver: DriverOptions {
                limits: Limits { commit_floor_ms: COMMIT_FLOOR_MS, ..Limits::default() },
                attempts_memory: self.attempts_memory / kafka.lanes.max(1) as usize,
                core: Resident::decide,
            },
            instance: kafka.writer_name(),
        };
        let started = Engine::start(&journal, &view, &SystemClock, &rules, &options, &metrics);
        let engine = match started.await {
            Ok(engine) => engine,
            Err(error) => {
                journal.abandon().await;
                return Err(error.into());
            }
        };
        let feeds = KafkaFeeds::new(kafka);
        Ok(Cluster { journal, view, feeds, engine, metrics, _watching: watching })
    }
}

/// Least time between two transactions of a lane while little waits. Each costs the brokers one to
/// two milliseconds of CPU.
const COMMIT_FLOOR_MS: i64 = 5;

impl Host for Cluster {
    type Journal = KafkaJournal;
    type View = RedisView;
    type Feeds = KafkaFeeds;

    fn journal(&self) -> KafkaJournal {
        self.journal.clone()
    }

    fn view(&self) -> RedisView {
        self.view.clone()
    }

    fn feeds(&self) -> KafkaFeeds {
        self.feeds.clone()
    }

    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn explain(&self, error: EngineError) -> Failure {
        if self.journal.is_replaced() { JournalError::Replaced.into() } else { error.into() }
    }

    fn refresh(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (journal, metrics) = (self.journal.clone(), self.metrics.clone());
        Arc::new(move || {
            let lags: BTreeMap<u32, u64> = journal.lags().into_iter().collect();
            for partition in 0..journal.partitions() {
                let lag = lags.get(&partition).copied().unwrap_or(0);
                let gauge = metrics.lanes.lag.with_label_values(&[&partition.to_string()]);
                gauge.set(i64::try_from(lag).unwrap_or(i64::MAX));
            }
        })
    }

    /// Where the brokers give this process up, its lanes end and say so.
    fn stopped(&self) -> impl Future<Output = String> + 'static {
        std::future::pending()
    }

    async fn stop(self) -> Result<(), Failure> {
        let drained = self.engine.drain(DRAIN_PATIENCE).await;
        self.journal.close().await;
        Ok(drained?)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let code = match &error {
            RedisError::Address(_)
            | RedisError::NoCluster
            | RedisError::Authority { .. }
            | RedisError::Evicts { .. } => exit::CONFIG,
            RedisError::Unreachable { .. }
            | RedisError::Untrusted { .. }
            | RedisError::Refused { .. }
            | RedisError::Replica { .. }
            | RedisError::NoPrimary { .. } => exit::UNAVAILABLE,
        };
        Self::new(code, &error, error.fix())
    }
}

impl From<TopicsError> for Failure {
    fn from(error: TopicsError) -> Self {
        match &error {
            TopicsError::Brokers(_) => {
                let fix = "see that the brokers of `kafka.brokers` are up and may be used";
                Self::new(exit::UNAVAILABLE, error, fix)
            }
            TopicsError::Unreached { obstacle, .. } => {
                let fix = match obstacle {
                    Obstacle::Network => {
                        "see that the brokers of `kafka.brokers` are up, and that this machine \
                         reaches them"
                    }
                    Obstacle::Protocol => {
                        "let `security.protocol` of `kafka.properties` say what that port of the \
                         brokers speaks: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
                    }
                    Obstacle::Certificate => {
                        "name whoever signed the brokers' certificates with `ssl.ca.location` of \
                         `kafka.properties`, and let `kafka.brokers` use names that stand in them"
                    }
                    Obstacle::Authentication => {
                        "mend `sasl.username` and `sasl.password` of `kafka.properties`, or let \
                         `sasl.mechanism` be one that the brokers know this user by"
                    }
                };
                Self::new(exit::UNAVAILABLE, error, fix)
            }
            TopicsError::NotAllowed { .. } => {
                let fix = "run it as a user who may Alter the cluster, on brokers that have an \
                           authorizer; a principal is written User:NAME";
                Self::new(exit::UNAVAILABLE, error, fix)
            }
            TopicsError::Missing { .. } => {
                let fix = "make them: tidegate topics init --config FILE; or let this user see \
                           them: Describe on topics";
                Self::new(exit::CONFIG, error, fix)
            }
            TopicsError::Uneven { .. } => {
                let fix = "what comes from a partition goes to the same one of each topic: they all \
                           need as many";
                Self::new(exit::CONFIG, error, fix)
            }
            TopicsError::NotMade { .. } if error.is_denial() => {
                let fix = "allow it to this user; docs/operating.md lists what is needed";
                Self::new(exit::UNAVAILABLE, error, fix)
            }
            TopicsError::NotMade { .. } => {
                Self::new(exit::UNAVAILABLE, error, "see what the brokers' log says of it")
            }
        }
    }
}
