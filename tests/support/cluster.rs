//! A process of a cluster, within the test: lanes over a real Kafka and a real Redis.

use super::says;
use super::services::kafka::Kafka;
use super::services::redis::Redis;
use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidegate::actors::{DriverOptions, Engine, EngineOptions};
use tidegate::adapters::kafka::{self, KafkaJournal, KafkaOptions};
use tidegate::adapters::redis::{RedisOptions, RedisView};
use tidegate::attempt::Policy;
use tidegate::lane::machine::{Limits, Rules};
use tidegate::lane::resident::Resident;
use tidegate::ports::{Append, Journal, SystemClock};
use tidegate::telemetry::Metrics;
use tidegate::wire::Topic;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the processes of one cluster share.
pub struct Cluster {
    pub name: String,
    pub brokers: String,
    pub group: String,
    pub redis: Redis,
    /// Where the view is: that Redis, unless the test has put it elsewhere.
    pub view: String,
    pub partitions: u32,
    pub lanes: u32,
}

pub struct Process {
    pub journal: KafkaJournal,
    pub engine: Engine,
    pub metrics: Metrics,
}

impl Cluster {
    /// On the broker that the tests of a program share.
    pub async fn make(name: &str, partitions: u32, lanes: u32) -> Self {
        Self::make_on(Kafka::shared(), name, partitions, lanes).await
    }

    /// On these brokers, with a copy of everything on each.
    pub async fn make_on(kafka: &Kafka, name: &str, partitions: u32, lanes: u32) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let (group, brokers) = (name.clone(), kafka.brokers.clone());
        let redis = Redis::start();
        let view = redis.url();
        let cluster = Self { name, brokers, group, redis, view, partitions, lanes };
        let copies = cluster.brokers.split(',').count() as i32;
        kafka::create(&cluster.options("nobody"), copies).await.unwrap();
        // Made is what the controller knows; the brokers hear of it a little later.
        let began = Instant::now();
        while let Err(error) = kafka::partitions(cluster.options("nobody")).await {
            assert!(began.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cluster
    }

    /// One in which so many payments were made, by a process that has ended: all is at rest.
    pub async fn at_rest(name: &str, partitions: u32, payments: u32) -> Self {
        let cluster = Self::make(name, partitions, 1).await;
        let process = cluster.start("a").await;
        process.pay(0, payments).await;
        assert_eq!(cluster.fulfills(payments as usize).await, sessions(0, payments));
        process.stop().await;
        cluster
    }

    pub fn options(&self, instance: &str) -> KafkaOptions {
        KafkaOptions {
            brokers: self.brokers.clone(),
            group: self.group.clone(),
            topic_prefix: self.name.clone(),
            properties: BTreeMap::new(),
            instance: instance.to_owned(),
            partitions: self.partitions,
            lanes: self.lanes,
        }
    }

    pub async fn start(&self, instance: &str) -> Process {
        self.try_start(instance).await.unwrap_or_else(|error| panic!("{instance}: {error}"))
    }

    pub async fn try_start(&self, instance: &str) -> Result<Process, String> {
        let journal = KafkaJournal::open(self.options(instance), says::admission()).await.unwrap();
        let options = RedisOptions::new(self.view.clone(), self.name.clone());
        let view = RedisView::open(&options).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let rules =
            Rules { trust: says::trust(), policy: Policy::default(), partitions: self.partitions };
        let options = EngineOptions {
            lanes: self.lanes,
            driver: DriverOptions {
                limits: Limits::default(),
                attempts_memory: 8 << 20,
                core: Resident::decide,
            },
            instance: self.options(instance).writer_name(),
        };
        let engine = Engine::start(&journal, &view, &SystemClock, &rules, &options, &metrics).await;
        match engine {
            Ok(engine) => Ok(Process { journal, engine, metrics }),
            Err(error) => {
                journal.close().await;
                Err(error.to_string())
            }
        }
    }

    /// Everything that is committed to a topic now, as JSON.
    pub fn committed(&self, topic: Topic) -> Vec<serde_json::Value> {
        let records = self.records(topic).into_iter();
        records.map(|(_, value)| serde_json::from_slice(&value).unwrap()).collect()
    }

    /// Keys of everything that was ever written to a topic, committed or not.
    pub fn written(&self, topic: Topic) -> Vec<String> {
        let records = self.read(topic, "read_uncommitted").into_iter();
        records.map(|(key, _)| String::from_utf8(key).unwrap()).collect()
    }

    /// Keys and values of everything that is committed to a topic now.
    pub fn records(&self, topic: Topic) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.read(topic, "read_committed")
    }

    fn read(&self, topic: Topic, isolation: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "judge")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        let name = format!("{}.{}", self.name, topic.word());
        let mut all = TopicPartitionList::new();
        for partition in 0..self.partitions {
            all.add_partition_offset(&name, partition as i32, Offset::Beginning).unwrap();
        }
        reader.assign(&all).unwrap();
        let (mut found, mut ended) = (vec![], 0);
        while ended < self.partitions {
            match reader.poll(PATIENCE).unwrap() {
                Ok(message) => {
                    let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
                    found.push((bytes(message.key()), bytes(message.payload())));
                }
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        found
    }

    /// The newest committed state under each key, as whoever reads all of `attempts` finds them.
    pub fn states(&self) -> BTreeMap<Bytes, Bytes> {
        let records = self.records(Topic::Attempts).into_iter();
        let states = records.filter(|(key, _)| !key.starts_with(b"~"));
        states.map(|(key, value)| (Bytes::from(key), Bytes::from(value))).collect()
    }

    /// Writes a record into `signals` as a producer of somebody else would.
    pub fn produce(&self, partition: i32, headers: &[(&str, &[u8])], body: Option<&[u8]>) {
        let key: &[u8] = if body.is_some() { b"" } else { b"tombstone" };
        self.write(Topic::Signals, partition, headers, key, body);
    }

    /// Writes a record into any topic, as nobody but a lane should.
    pub fn plant(
        &self,
        topic: Topic,
        partition: i32,
        headers: &[(&str, &[u8])],
        key: &[u8],
        value: &[u8],
    ) {
        self.write(topic, partition, headers, key, Some(value));
    }

    fn write(
        &self,
        topic: Topic,
        partition: i32,
        headers: &[(&str, &[u8])],
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("message.max.bytes", "2000000")
            .create()
            .unwrap();
        let topic = format!("{}.{}", self.name, topic.word());
        let all = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: Some(*value) })
        });
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(&topic).partition(partition).headers(all).key(key);
        let record = value.into_iter().fold(record, BaseRecord::payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    }

    /// Lets the broker compact a topic within seconds, and not within the hour.
    pub async fn compact_soon(&self, topic: Topic) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().unwrap();
        let name = format!("{}.{}", self.name, topic.word());
        let config = AlterConfig::new(ResourceSpecifier::Topic(&name))
            .set("cleanup.policy", "compact")
            .set("segment.ms", "1000")
            .set("max.compaction.lag.ms", "1000")
            .set("min.cleanable.dirty.ratio", "0.001")
            .set("delete.retention.ms", "100");
        let done = admin.alter_configs(&[config], &AdminOptions::new()).await.unwrap();
        done.into_iter().for_each(|one| assert!(one.is_ok(), "{one:?}"));
    }

    /// How many dead letters there are by reason.
    pub fn dead_letters(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        for (key, _) in self.records(Topic::DeadLetters) {
            *found.entry(String::from_utf8(key).unwrap()).or_default() += 1;
        }
        found
    }

    /// The attempts of all fulfillments, sorted: one that stands twice was fulfilled twice.
    pub fn fulfilled(&self) -> Vec<String> {
        let text = |value: serde_json::Value| value["attempt_id"].as_str().unwrap().to_owned();
        let mut attempts: Vec<String> =
            self.committed(Topic::Fulfillments).into_iter().map(text).collect();
        attempts.sort_unstable();
        attempts
    }

    /// Waits until so many fulfillments are committed, and then a little for one too many.
    pub async fn fulfills(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let fulfilled = self.fulfilled();
            if fulfilled.len() >= count {
                tokio::time::sleep(Duration::from_millis(300)).await;
                return self.fulfilled();
            }
            let told = began.elapsed() < PATIENCE;
            assert!(told, "{} of {count} fulfillments after {PATIENCE:?}", fulfilled.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Process {
    /// Tells it of payments `from..to`: three events each, the last one twice.
    pub async fn pay(&self, from: u32, to: u32) {
        let partitions = self.journal.partitions();
        let stories = [says::CREATED, says::PROCESSING, says::COMPLETED, says::COMPLETED];
        let appends = |n: u32| {
            (0..).zip(stories).map(move |(at, kind)| {
                let (id, session) = (format!("evt_{n}_{}", at.min(2)), format!("gs_{n:05}"));
                says::Event::new(&id, kind, &session).append(partitions)
            })
        };
        let all: Vec<u32> = (from..to).collect();
        for some in all.chunks(100) {
            let appends: Vec<Append> = some.iter().copied().flat_map(appends).collect();
            self.journal.append(appends).await.unwrap();
        }
    }

    /// Waits until so many records of the one partition are not decided.
    pub async fn lags(&self, records: u64) {
        let began = Instant::now();
        while self.journal.lags() != [(0, records)] {
            assert!(began.elapsed() < PATIENCE, "{records}? {:?}", self.journal.lags());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends in good order.
    pub async fn stop(self) {
        self.engine.drain(Duration::from_secs(20)).await.unwrap();
        self.journal.close().await;
    }
}

pub fn sessions(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|n| format!("gs_{n:05}")).collect()
}
