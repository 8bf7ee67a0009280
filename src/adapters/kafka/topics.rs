//! The topics: their names, and making them.

use super::settings::{KafkaOptions, PATIENCE};
use crate::wire::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
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

#[derive(Debug, thiserror::Error)]
pub enum TopicsError {
    #[error("the brokers cannot be asked: {0}")]
    Brokers(#[from] KafkaError),
    #[error("{topic} cannot be made: {why}")]
    NotMade { topic: String, why: RDKafkaErrorCode },
}

const ALL: [Topic; 6] = [
    Topic::Signals,
    Topic::Fulfillments,
    Topic::Transitions,
    Topic::Metrics,
    Topic::Attempts,
    Topic::DeadLetters,
];

/// Room for one record of `attempts` or `dead-letters`: the largest body beside what is kept of it.
const LARGE_RECORD_BYTES: &str = "4194304";

/// A segment of `attempts`. Only whole segments are compacted, so that a short one keeps a
/// take-over without a view short.
const ATTEMPTS_SEGMENT_MS: &str = "3600000";

/// Makes the topics that are not there, and leaves the others as they are. Says which it made.
pub async fn create(options: &KafkaOptions, replication: i32) -> Result<Vec<String>, TopicsError> {
    let admin: AdminClient<DefaultClientContext> = options.admin().create()?;
    let names = ALL.map(|topic| options.topics().name(topic));
    let partitions = i32::try_from(options.partitions).unwrap_or(i32::MAX);
    let wanted: Vec<NewTopic<'_>> = ALL
        .into_iter()
        .zip(&names)
        .map(|(topic, name)| {
            let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
            settings(topic, replication)
                .into_iter()
                .fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let patience = AdminOptions::new().operation_timeout(Some(PATIENCE));
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

/// What each topic must be set to. Nothing is thrown away unless the operator says so later.
fn settings(topic: Topic, replication: i32) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![
        ("unclean.leader.election.enable", "false"),
        ("min.insync.replicas", if replication >= 3 { "2" } else { "1" }),
    ];
    match topic {
        Topic::Attempts => settings.extend([
            ("cleanup.policy", "compact"),
            ("segment.ms", ATTEMPTS_SEGMENT_MS),
            ("max.compaction.lag.ms", ATTEMPTS_SEGMENT_MS),
            ("max.message.bytes", LARGE_RECORD_BYTES),
        ]),
        Topic::DeadLetters => {
            settings.extend([("retention.ms", "-1"), ("max.message.bytes", LARGE_RECORD_BYTES)])
        }
        Topic::Signals | Topic::Fulfillments | Topic::Transitions | Topic::Metrics => {
            settings.push(("retention.ms", "-1"));
        }
    }
    settings
}
