//! Committed outputs for whoever reads them over HTTP: a topic read from its beginning, or from
//! where a reader stood.
//!
//! A position is how far each partition has been read. Partitions have no order among each other;
//! what is of one attempt stands in one of them.

use super::records::{header, written_at};
use super::settings::{Ahead, Isolation, KafkaOptions, PATIENCE};
use super::telling::Telling;
use crate::adapters::blocking;
use crate::ports::{Feed, FeedError, FeedReader, FeedRecord, Feeds};
use crate::wire::Topic;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one look for something new takes. Between two of them a reader that went away is
/// noticed.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct KafkaFeeds {
    options: KafkaOptions,
}

impl KafkaFeeds {
    pub fn new(options: KafkaOptions) -> Self {
        Self { options }
    }
}

impl Feeds for KafkaFeeds {
    type Reader = KafkaFeed;

    async fn open(&self, feed: Feed, after: &str) -> Result<KafkaFeed, FeedError> {
        let next = match after {
            "" => vec![0; self.options.partitions as usize],
            text => place(text, self.options.partitions).ok_or(FeedError::NoSuchPosition)?,
        };
        let options = self.options.clone();
        let walk = blocking(move || Walk::begin(&options, feed, next)).await?;
        Ok(KafkaFeed { walk: Arc::new(Mutex::new(walk)) })
    }
}

/// `offset.offset.…`, one for each partition.
fn place(text: &str, partitions: u32) -> Option<Vec<i64>> {
    let offsets: Option<Vec<i64>> =
        text.split('.').map(|part| part.parse().ok().filter(|offset: &i64| *offset >= 0)).collect();
    offsets.filter(|offsets| offsets.len() == partitions as usize)
}

pub struct KafkaFeed {
    /// A look that nobody waits for any more goes on to its end, and is the next one's.
    walk: Arc<Mutex<Walk>>,
}

impl KafkaFeed {
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Walk) -> Result<T, FeedError> + Send + 'static,
    ) -> Result<T, FeedError> {
        let walk = Arc::clone(&self.walk);
        blocking(move || work(&mut walk.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

impl FeedReader for KafkaFeed {
    async fn read(&mut self, most: usize) -> Result<Vec<FeedRecord>, FeedError> {
        self.with(move |walk| walk.some(most)).await
    }

    async fn grown(&mut self) -> bool {
        loop {
            let looked = self.with(|walk| {
                if walk.ready.is_empty() {
                    walk.look(LOOK)?;
                }
                Ok(!walk.ready.is_empty())
            });
            match looked.await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "a feed ends");
                    return false;
                }
            }
        }
    }
}

struct Walk {
    reader: BaseConsumer<Telling>,
    /// How far each partition has been handed over.
    next: Vec<i64>,
    /// Partitions whose committed end has been met since something came of them.
    ended: Vec<bool>,
    ready: VecDeque<FeedRecord>,
}

impl Walk {
    fn begin(options: &KafkaOptions, feed: Feed, next: Vec<i64>) -> Result<Self, FeedError> {
        let topic = options.topics().name(match feed {
            Feed::Fulfillments => Topic::Fulfillments,
            Feed::Transitions => Topic::Transitions,
            Feed::Metrics => Topic::Metrics,
        });
        let reader = options.reader(Isolation::Committed, Ahead::Little).map_err(unreadable)?;
        let mut places = TopicPartitionList::new();
        for (partition, next) in (0..).zip(&next) {
            let (low, high) =
                reader.fetch_watermarks(&topic, partition, PATIENCE).map_err(unreadable)?;
            if *next > high {
                return Err(FeedError::NoSuchPosition);
            }
            let from = Offset::Offset((*next).max(low));
            places.add_partition_offset(&topic, partition, from).map_err(unreadable)?;
        }
        reader.assign(&places).map_err(unreadable)?;
        let ended = vec![false; next.len()];
        Ok(Self { reader, next, ended, ready: VecDeque::new() })
    }

    /// Up to `most` records; none where every partition is at its committed end.
    fn some(&mut self, most: usize) -> Result<Vec<FeedRecord>, FeedError> {
        let began = Instant::now();
        while self.ready.len() < most && !self.ended.iter().all(|ended| *ended) {
            if began.elapsed() > PATIENCE {
                if self.ready.is_empty() {
                    return Err(FeedError::Unreadable("the brokers do not answer".to_owned()));
                }
                break;
            }
            self.look(LOOK)?;
        }
        let count = self.ready.len().min(most);
        Ok(self.ready.drain(..count).collect())
    }

    fn look(&mut self, patience: Duration) -> Result<(), FeedError> {
        match self.reader.poll(patience) {
            Some(Ok(message)) => {
                let at = usize::try_from(message.partition()).unwrap_or_default();
                if let (Some(next), Some(ended)) = (self.next.get_mut(at), self.ended.get_mut(at)) {
                    *next = message.offset() + 1;
                    *ended = false;
                }
                let record = record(&message, &self.next);
                self.ready.push_back(record);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let at = usize::try_from(partition).unwrap_or_default();
                if let Some(ended) = self.ended.get_mut(at) {
                    *ended = true;
                }
            }
            Some(Err(error)) => return Err(unreadable(error)),
            None => {}
        }
        Ok(())
    }
}

fn record(message: &BorrowedMessage<'_>, next: &[i64]) -> FeedRecord {
    let position: Vec<String> = next.iter().map(i64::to_string).collect();
    FeedRecord {
        position: position.join("."),
        key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
        id: Bytes::copy_from_slice(header(message, "ce_id").unwrap_or_default()),
        at: written_at(message),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

fn unreadable(error: KafkaError) -> FeedError {
    FeedError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_position_names_every_partition() {
        assert_eq!(place("0.7.12", 3), Some(vec![0, 7, 12]));
        for bad in ["", "1.2", "1.2.3.4", "1.-2.3", "1.x.3", "1..3"] {
            assert_eq!(place(bad, 3), None, "{bad}");
        }
    }
}
