//! The same load through real Kafka and Redis: topics of its own, that go again afterwards.

use super::ClusterArgs;
use super::embedded::fire;
use super::process::{cpu_seconds_of, listener};
use super::report::{Costs, Report};
use super::stage::{Eye, Ground, Seen, Stage, endpoints, per_event, trust};
use crate::adapters::kafka::{self, KafkaJournal, KafkaOptions, Past};
use crate::adapters::redis::RedisOptions;
use crate::attempt::Policy;
use crate::audit;
use crate::cli::Failure;
use crate::cli::cluster::{Cluster, ClusterPlan};
use crate::cli::host::{Host, HostPlan};
use crate::cli::kept::random_hex;
use crate::telemetry::Metrics;
use crate::wire::Topic;
use crate::wire::admit::Admission;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(100);

pub async fn run(args: &ClusterArgs) -> anyhow::Result<Report> {
    let name = format!("tidegate-bench-{}", random_hex(4).map_err(Failure::told)?);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let options = KafkaOptions {
        brokers: args.brokers.clone(),
        group: name.clone(),
        topic_prefix: name,
        properties: BTreeMap::new(),
        instance: "bench".to_owned(),
        partitions: args.partitions,
        lanes: args.load.lanes.unwrap_or(cores),
    };
    kafka::create(&options, 1).await?;
    let report = measured(args, &options).await;
    let removed = kafka::remove(&options).await;
    let report = report?;
    removed?;
    Ok(report)
}

async fn measured(args: &ClusterArgs, options: &KafkaOptions) -> anyhow::Result<Report> {
    let metrics = Metrics::new()?;
    let trust = trust()?;
    let admission = Arc::new(Admission::new(trust.clone(), endpoints()?));
    let past = Arc::new(Past::open(options.clone(), Arc::clone(&admission))?);
    let redis = RedisOptions::new(args.redis.clone(), options.topic_prefix.clone());
    let plan = ClusterPlan {
        kafka: options.clone(),
        redis,
        trust: trust.clone(),
        admission,
        policy: Policy::default(),
        attempts_memory: args.load.attempts_memory_mb << 20,
    };
    let redis = Service::of(&plan.redis.place())?;
    let cluster = plan.start(metrics.clone()).await.map_err(Failure::told)?;
    let ground = OnBrokers {
        lanes: options.lanes.min(options.partitions),
        broker: Service::of(&args.brokers)?,
        redis,
        metrics: metrics.clone(),
        past: Arc::clone(&past),
        cluster,
    };
    let stage = Stage::set(ground, &args.load, metrics)?;
    let fired = fire(&args.load, &stage).await?;
    let report = stage.strike("cluster", &args.load, fired).await?;
    let audited =
        tokio::task::spawn_blocking(move || audit::audit_cluster(&past, &trust.keys, &mut |_| {}));
    let audited = audited.await?.context("what the bench left could not be audited")?;
    if !audited.is_clean() {
        bail!("what the bench left is not clean: {:?}", audited.violations);
    }
    Ok(report)
}

/// A service, and the CPU that it had used when the bench began, where it is on this machine.
struct Service(Option<(u32, f64)>);

impl Service {
    fn of(address: &str) -> anyhow::Result<Self> {
        let port = address.rsplit(':').next().unwrap_or_default();
        let port = port.parse().with_context(|| format!("{address} names no port"))?;
        Ok(Self(listener(port).and_then(|pid| Some((pid, cpu_seconds_of(pid)?)))))
    }

    fn per_event(&self, events: f64) -> Option<f64> {
        let (pid, began) = self.0?;
        Some(per_event(cpu_seconds_of(pid)? - began, events))
    }
}

struct OnBrokers {
    cluster: Cluster,
    lanes: u32,
    broker: Service,
    redis: Service,
    metrics: Metrics,
    past: Arc<Past>,
}

impl Ground for OnBrokers {
    type Journal = KafkaJournal;

    fn journal(&self) -> KafkaJournal {
        self.cluster.journal()
    }

    fn watch(&self, mut eye: Eye) -> anyhow::Result<JoinHandle<anyhow::Result<Seen>>> {
        let watch = self.past.watch(Topic::Fulfillments)?;
        let reader = std::thread::Builder::new().name("reader".to_owned());
        Ok(reader.spawn(move || {
            while !eye.is_done() {
                match watch.next(LOOK)? {
                    Some(key) => eye.sees(&key)?,
                    None => eye.sees_nothing()?,
                }
            }
            Ok(eye.closes())
        })?)
    }

    fn costs(&self, events: f64, seconds: f64) -> Costs {
        let transactions = self.metrics.commit_seconds.get_sample_count() as f64;
        Costs::Cluster {
            fsyncs_per_1000_events: None,
            broker_cpu_us_per_event: self.broker.per_event(events),
            redis_cpu_us_per_event: self.redis.per_event(events),
            transactions_per_second: (transactions / seconds).round(),
        }
    }

    fn lanes(&self) -> u32 {
        self.lanes
    }

    async fn end(self) -> anyhow::Result<()> {
        self.cluster.stop().await.map_err(Failure::told)
    }
}
