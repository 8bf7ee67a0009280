//! The topics: their names, and making them.

use super::asking::{Obstacle, metadata};
use super::settings::{KafkaOptions, LARGE_RECORD_BYTES, PATIENCE, SIGNAL_BYTES};
use crate::wire::Topic;
use rdkafka::Offset;
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[derive(Clone, Debug)]
pub(super) struct Topics {
    prefix: String,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn name(&self, topic: Topic) -> String {
        format!("{}.{}", self.prefix, topic.word())
    }
}

/// A place in a partition, as librdkafka counts them.
pub(super) fn offset(next: u64) -> Offset {
    Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX))
}

/// A partition, as librdkafka counts them.
pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error("the brokers cannot be asked: {0}")]
    Brokers(#[from] KafkaError),
    #[error("the brokers cannot be reached: {why}")]
    Unreached { obstacle: Obstacle, why: String },
    #[error("{principal} cannot be allowed what it needs: {why}")]
    NotAllowed { principal: String, why: String },
    #[error("there is no topic {topic}")]
    Missing { topic: String },
    #[error("{topic} has {has} partitions, and {signals} has {partitions}")]
    Uneven { topic: String, has: u32, signals: String, partitions: u32 },
    #[error("the brokers do not do what was asked of {topic}: {why}")]
    NotMade { topic: String, why: RDKafkaErrorCode },
}

impl TopicsError {
    /// Whether it is this user who may not.
    pub fn is_denial(&self) -> bool {
        use RDKafkaErrorCode::{ClusterAuthorizationFailed, TopicAuthorizationFailed};
        let denials = [ClusterAuthorizationFailed, TopicAuthorizationFailed];
        matches!(self, Self::NotMade { why, .. } if denials.contains(why))
    }
}

const ALL: [Topic; 6] = [
    Topic::Signals,
    Topic::Fulfillments,
    Topic::Transitions,
    Topic::Metrics,
    Topic::Attempts,
    Topic::DeadLetters,
];

/// A segment of `attempts`. Only whole segments are compacted, so that a short one keeps a
/// take-over without a view short.
const ATTEMPTS_SEGMENT_MS: &str = "3600000";

/// Makes the topics that are not there, and leaves the others as they are. Says which it made.
pub async fn create(options: &KafkaOptions, replication: i32) -> Result<Vec<String>, TopicsError> {
    let asked = options.clone();
    let reached = tokio::task::spawn_blocking(move || metadata(&asked)).await;
    reached.map_err(|_| gone())??;
    let admin = options.admin()?;
    let names = ALL.map(|topic| options.topics().name(topic));
    let partitions = number(options.partitions);
    let settings = ALL.map(|topic| settings(topic, usize::try_from(replication).unwrap_or(0)));
    let wanted: Vec<NewTopic<'_>> = settings
        .iter()
        .zip(&names)
        .map(|(settings, name)| {
            let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
            settings.iter().fold(new, |new, (key, value, _)| new.set(key, value))
        })
        .collect();
    let patience =
        AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    let mut made = vec![];
    for result in admin.create_topics(&wanted, &patience).await? {
        match result {
            Ok(topic) => made.push(topic),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, why)) => return Err(TopicsError::NotMade { topic, why }),
        }
    }
    Ok(made)
}

/// Removes the topics, with all that is in them.
pub async fn remove(options: &KafkaOptions) -> Result<(), TopicsError> {
    let admin = options.admin()?;
    let names = ALL.map(|topic| options.topics().name(topic));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let patience =
        AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for result in admin.delete_topics(&names, &patience).await? {
        result.map_err(|(topic, why)| TopicsError::NotMade { topic, why })?;
    }
    Ok(())
}

/// The options with as many partitions as the topics have. Refuses topics that are not all there, or
/// not all alike.
pub async fn partitions(options: KafkaOptions) -> Result<KafkaOptions, TopicsError> {
    let asked = options.clone();
    let counted = tokio::task::spawn_blocking(move || count(&asked)).await;
    let partitions = counted.map_err(|_| gone())??;
    let lanes = options.lanes.clamp(1, partitions);
    Ok(KafkaOptions { partitions, lanes, ..options })
}

pub(super) fn gone() -> KafkaError {
    KafkaError::ClientCreation("the thread that asks has ended".to_owned())
}

fn count(options: &KafkaOptions) -> Result<u32, TopicsError> {
    let known = metadata(options)?;
    let of = |topic: Topic| {
        let name = options.topics().name(topic);
        let found = known.topics().iter().find(|it| it.name() == name);
        let count = found.map_or(0, |it| it.partitions().len() as u32);
        if count == 0 { Err(TopicsError::Missing { topic: name }) } else { Ok((name, count)) }
    };
    let (signals, partitions) = of(Topic::Signals)?;
    for topic in ALL {
        let (topic, has) = of(topic)?;
        if has != partitions {
            return Err(TopicsError::Uneven { topic, has, signals, partitions });
        }
    }
    Ok(partitions)
}

/// How many brokers there are. Blocks.
pub fn brokers(options: &KafkaOptions) -> Result<usize, TopicsError> {
    Ok(metadata(options)?.brokers().len())
}

/// One way in which a topic is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    pub topic: String,
    /// What was looked at: a setting, or `partitions` or `replicas`.
    pub what: String,
    pub is: String,
    pub must_be: String,
    /// What comes of it.
    pub why: &'static str,
}

/// Compares the topics with what exactly-once and the promise to lose nothing rest on.
pub async fn verify(options: &KafkaOptions) -> Result<Vec<Deviation>, TopicsError> {
    let names = ALL.map(|topic| options.topics().name(topic));
    let mut found = vec![];
    let mut replicas = vec![];
    {
        let asked = options.clone();
        let known = tokio::task::spawn_blocking(move || metadata(&asked)).await;
        let known = known.map_err(|_| gone())??;
        let of = |name: &str| known.topics().iter().find(|it| it.name() == name);
        let signals = of(&names[0]).map_or(0, |it| it.partitions().len());
        for name in &names {
            let Some(topic) = of(name) else {
                return Err(TopicsError::Missing { topic: name.clone() });
            };
            let has = topic.partitions().len();
            let least = topic.partitions().iter().map(|one| one.replicas().len()).min();
            replicas.push(least.unwrap_or(0));
            let mut differs = |what: &str, is: usize, must_be: String, why| {
                let (topic, what, is) = (name.clone(), what.to_owned(), is.to_string());
                found.push(Deviation { topic, what, is, must_be, why });
            };
            if has != signals {
                differs("partitions", has, signals.to_string(), UNEVEN);
            }
            if replicas.last().is_some_and(|least| *least < REPLICAS) {
                differs("replicas", least.unwrap_or(0), format!("{REPLICAS} or more"), ONE_COPY);
            }
        }
    }
    let asked: Vec<ResourceSpecifier<'_>> =
        names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let patience = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = options.admin()?.describe_configs(&asked, &patience).await?;
    for (((topic, name), has), replicas) in ALL.into_iter().zip(&names).zip(described).zip(replicas)
    {
        let has = has.map_err(|why| TopicsError::NotMade { topic: name.clone(), why })?;
        for (key, must_be, why) in settings(topic, replicas) {
            let is = has.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
            if is != must_be {
                let (topic, what) = (name.clone(), key.to_owned());
                found.push(Deviation { topic, what, is, must_be, why });
            }
        }
    }
    Ok(found)
}

/// Copies of each record: one broker may be down and one more be lost.
const REPLICAS: usize = 3;

const UNEVEN: &str = "what comes from a partition goes to the same one of every topic";
const ONE_COPY: &str = "what a broker loses is lost";
const UNCLEAN: &str = "a broker that was behind may lead, and what was acknowledged is lost";
const INSYNC: &str = "an acknowledgement must mean more than one copy, and not need all of them";
const COMPACT: &str = "a take-over without a view reads every state that ever was";
const FORGETS: &str = "what is thrown away can neither be decided again nor audited";
const LARGE: &str = "a large state or body is refused, and its batch never ends";

/// What each topic must be set to, and why. Nothing is thrown away unless the operator says so later.
fn settings(topic: Topic, replicas: usize) -> Vec<(&'static str, String, &'static str)> {
    let insync = if replicas >= REPLICAS { "2" } else { "1" };
    let large = LARGE_RECORD_BYTES.to_string();
    let mut settings = vec![
        ("unclean.leader.election.enable", "false".to_owned(), UNCLEAN),
        ("min.insync.replicas", insync.to_owned(), INSYNC),
    ];
    match topic {
        Topic::Attempts => settings.extend([
            ("cleanup.policy", "compact".to_owned(), COMPACT),
            ("segment.ms", ATTEMPTS_SEGMENT_MS.to_owned(), COMPACT),
            ("max.compaction.lag.ms", ATTEMPTS_SEGMENT_MS.to_owned(), COMPACT),
            ("max.message.bytes", large, LARGE),
        ]),
        Topic::DeadLetters => settings.extend([
            ("retention.ms", "-1".to_owned(), FORGETS),
            ("max.message.bytes", large, LARGE),
        ]),
        Topic::Signals => settings.extend([
            ("retention.ms", "-1".to_owned(), FORGETS),
            ("max.message.bytes", SIGNAL_BYTES.to_string(), LARGE),
        ]),
        Topic::Fulfillments | Topic::Transitions | Topic::Metrics => {
            settings.push(("retention.ms", "-1".to_owned(), FORGETS));
        }
    }
    settings
}
