//! How clients of the brokers are made, and the settings that exactly-once rests on.

use super::telling::Telling;
use super::topics::Topics;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::BaseProducer;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether this build speaks TLS and SCRAM to brokers.
const HAS_TLS: bool = cfg!(feature = "kafka-tls");

/// Why a client cannot be made of the properties. Shows no value of theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{property}` asks for TLS or SCRAM to the brokers, which this build does not have")]
    NeedsTls { property: String },
    #[error("librdkafka refuses them: {0}")]
    Librdkafka(String),
}

#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port`, separated by commas.
    pub brokers: String,
    pub group: String,
    pub topic_prefix: String,
    /// Passed on as they are. Some are passwords.
    pub properties: BTreeMap<String, SecretString>,
    /// Unique per process, and the same after a restart.
    pub instance: String,
    pub partitions: u32,
    pub lanes: u32,
}

/// How long a member may be silent before its partitions are given away: the least that a broker
/// takes by default. It is how long a process that is killed for good keeps its partitions.
const SESSION: Duration = Duration::from_secs(6);

/// A graceful hand-over takes one heartbeat of the one who takes over.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(250);

/// The longest that a transaction may stay open. A batch takes milliseconds.
pub(super) const TRANSACTION: Duration = Duration::from_secs(15);

/// How long a webhook may be on its way to the brokers. 0Gate waits 10 s for an answer: one that is
/// refused in time comes again sooner than one that was given up.
const DELIVERY: Duration = Duration::from_secs(7);

/// Room for one record of `signals`: the largest body that anybody may bring, and what proves it.
/// A signal that is sent on grows by its hop.
pub(super) const SIGNAL_BYTES: usize = 2 << 20;

/// The largest body that is believed. One that is larger is a dead letter; the door takes none.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// Room for one record of `attempts` or `dead-letters`: the largest signal, or a state with all its
/// evidence.
pub(super) const LARGE_RECORD_BYTES: usize = 4 << 20;
const _: () = assert!(BODY_BYTES_MAX < SIGNAL_BYTES && SIGNAL_BYTES < LARGE_RECORD_BYTES);

/// What the door may have on its way to the brokers. More than this waits for an answer already.
const DOOR_KBYTES: &str = "65536";

/// The longest wait for anything that is asked of the brokers once.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

impl KafkaOptions {
    pub(super) fn topics(&self) -> Topics {
        Topics::new(&self.topic_prefix)
    }

    /// Names one lane of this instance to the brokers. Whoever initializes a producer of this name
    /// ends what the one before it had open.
    pub(super) fn transactional_id(&self, writer: &str) -> String {
        format!("{}-{writer}", self.topic_prefix)
    }

    /// Readers outside of the group have a name as well, which nothing is committed under.
    pub(super) fn reading_group(&self) -> String {
        format!("{}-reader", self.group)
    }

    /// Names this process in owner records and trailers: its group first, so that another group on
    /// the same topics is seen.
    pub fn writer_name(&self) -> String {
        format!("{}/{}", self.group, self.instance)
    }

    pub(super) fn writer(&self, seat: usize) -> String {
        format!("{}/{seat}", self.writer_name())
    }

    /// The group of whoever wrote under this name.
    pub(super) fn group_of(writer: &str) -> &str {
        writer.split('/').next().unwrap_or_default()
    }

    /// Why librdkafka does not take the properties, if it does not. Asks no broker.
    pub fn refusal(&self) -> Option<Refusal> {
        if let Some(property) = self.wants_tls().filter(|_| !HAS_TLS) {
            return Some(Refusal::NeedsTls { property: property.to_owned() });
        }
        let made: KafkaResult<BaseProducer> = self.base().create();
        let mut why = match made {
            Ok(_) => return None,
            // Its own words for this end with the value.
            Err(KafkaError::ClientConfig(_, why, _, _) | KafkaError::ClientCreation(why)) => why,
            Err(error) => error.to_string(),
        };
        for value in self.properties.values() {
            why = why.replace(&format!("\"{}\"", value.expose_secret()), "***");
        }
        Some(Refusal::Librdkafka(why))
    }

    /// The property that asks for TLS, or for a way of proving oneself that needs its library.
    fn wants_tls(&self) -> Option<&str> {
        let asks = |name: &str, value: &str| match name {
            "security.protocol" => value.ends_with("ssl"),
            "sasl.mechanism" | "sasl.mechanisms" => value.starts_with("scram"),
            _ => name.starts_with("ssl."),
        };
        let lower = |value: &SecretString| value.expose_secret().trim().to_ascii_lowercase();
        let mut asking = self.properties.iter().filter(|(name, value)| asks(name, &lower(value)));
        // Of several, that one says it best.
        let protocol = asking.clone().find(|(name, _)| name.as_str() == "security.protocol");
        protocol.or_else(|| asking.next()).map(|(name, _)| name.as_str())
    }

    pub(super) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value.expose_secret());
        }
        // Lost connections are told at this level and not as errors; a writer must hear of them.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("tidegate-{}", self.instance))
            .set("log.connection.close", "true")
            .set("socket.nagle.disable", "true")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// Asks for the topics, and makes them.
    pub(super) fn admin(&self) -> KafkaResult<AdminClient<Telling>> {
        self.base().create_with_context(Telling)
    }

    /// The member of the group that signals come to.
    pub(super) fn member(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            .set("group.instance.id", &self.instance)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION.as_millis().to_string())
            .set("heartbeat.interval.ms", HEARTBEAT.as_millis().to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "16384");
        config
    }

    /// Reads a partition that it is given, outside of any group, and fetches so much ahead.
    pub(super) fn reader(
        &self,
        isolation: Isolation,
        ahead: Ahead,
    ) -> KafkaResult<BaseConsumer<Telling>> {
        let mut config = self.base();
        config
            .set("group.id", self.reading_group())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", isolation.word())
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", ahead.kbytes());
        config.create_with_context(Telling)
    }

    /// The door's producer.
    pub(super) fn ingress(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("message.max.bytes", SIGNAL_BYTES.to_string())
            .set("queue.buffering.max.kbytes", DOOR_KBYTES)
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        config
    }

    /// A producer that commits under `transactional_id`.
    pub(super) fn transactions(&self, transactional_id: &str) -> ClientConfig {
        let mut config = self.base();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", TRANSACTION.as_millis().to_string())
            .set("linger.ms", "0")
            .set("batch.size", "1000000")
            .set("message.max.bytes", LARGE_RECORD_BYTES.to_string())
            .set("retry.backoff.ms", "5")
            .set("retry.backoff.max.ms", "200")
            .set("queue.buffering.max.messages", "1000000");
        config
    }
}

/// How much a reader fetches before it is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Somebody waits for all of it.
    Much,
    /// There may be many such readers, and none is in a hurry.
    Little,
}

impl Ahead {
    fn kbytes(self) -> &'static str {
        match self {
            Self::Much => "16384",
            Self::Little => "512",
        }
    }
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isolation {
    Committed,
    Uncommitted,
}

impl Isolation {
    fn word(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}
