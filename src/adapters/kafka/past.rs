//! A whole journal, read again partition by partition, for whoever proves it.

use super::changelog::mark_of;
use super::records::{self, batch_of, header, written_at};
use super::settings::{Ahead, Isolation, KafkaOptions, PATIENCE};
use super::telling::Telling;
use super::topics::{number, offset};
use super::writer::POSITION;
use crate::attempt::{Position, Timestamp};
use crate::ports::Fetched;
use crate::wire::Topic;
use crate::wire::admit::Admission;
use crate::wire::trailer::Mark;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum PastError {
    #[error("the brokers do not hand the journal over: {0}")]
    Brokers(#[from] KafkaError),
    #[error("{topic} [{partition}] does not answer")]
    Silent { topic: String, partition: u32 },
    #[error("{topic} [{partition}] has a mark at {offset} that cannot be read")]
    Damaged { topic: String, partition: u32, offset: u64 },
}

/// The journal that `options` name. External producers' records are believed by `admission`.
pub struct Past {
    options: KafkaOptions,
    admission: Arc<Admission>,
    asked: BaseConsumer<Telling>,
}

impl Past {
    pub fn open(options: KafkaOptions, admission: Arc<Admission>) -> Result<Self, PastError> {
        let asked = options.reader(Isolation::Committed, Ahead::Much)?;
        Ok(Self { options, admission, asked })
    }

    pub fn partitions(&self) -> u32 {
        self.options.partitions
    }

    /// Where a partition of `topic` begins, and how far everything in it is decided.
    pub fn bounds(&self, topic: Topic, partition: u32) -> Result<(u64, u64), PastError> {
        let name = self.options.topics().name(topic);
        let (low, high) = self.asked.fetch_watermarks(&name, number(partition), PATIENCE)?;
        Ok((place(low), place(high)))
    }

    pub fn signals(&self) -> Result<Tail<Fetched>, PastError> {
        let admission = Arc::clone(&self.admission);
        self.tail(Topic::Signals, Isolation::Committed, move |message| {
            let partition = u32::try_from(message.partition()).unwrap_or_default();
            let position = Position { partition, offset: place(message.offset()) };
            let (record, proven) = records::read(message, &admission);
            Fetched { position, record, proven }
        })
    }

    pub fn outputs(&self, topic: Topic) -> Result<Tail<Output>, PastError> {
        self.tail(topic, Isolation::Committed, output)
    }

    pub fn changelog(&self) -> Result<Tail<Changed>, PastError> {
        self.tail(Topic::Attempts, Isolation::Committed, changed)
    }

    /// Where records stand at all, those that were never committed among them.
    pub fn everything(&self, topic: Topic) -> Result<Tail<()>, PastError> {
        self.tail(topic, Isolation::Uncommitted, |_| ())
    }

    fn tail<T>(
        &self,
        topic: Topic,
        isolation: Isolation,
        read: impl Fn(&BorrowedMessage<'_>) -> T + 'static,
    ) -> Result<Tail<T>, PastError> {
        Ok(Tail {
            reader: self.options.reader(isolation, Ahead::Much)?,
            topic: self.options.topics().name(topic),
            partition: 0,
            end: 0,
            ahead: None,
            over: true,
            read: Box::new(read),
            records: 0,
            bytes: 0,
        })
    }
}

/// Committed records of a topic as they come, from where it ended when the watch began.
pub struct Watch(BaseConsumer<Telling>);

impl Past {
    pub fn watch(&self, topic: Topic) -> Result<Watch, PastError> {
        let options = &self.options;
        let reader = options.reader(Isolation::Committed, Ahead::Much)?;
        let name = options.topics().name(topic);
        let mut places = TopicPartitionList::new();
        for partition in 0..options.partitions {
            let (_, end) = reader.fetch_watermarks(&name, number(partition), PATIENCE)?;
            places.add_partition_offset(&name, number(partition), Offset::Offset(end))?;
        }
        reader.assign(&places)?;
        Ok(Watch(reader))
    }
}

impl Watch {
    /// The key of the next record, if one comes within `patience`.
    pub fn next(&self, patience: Duration) -> Result<Option<Bytes>, PastError> {
        let until = Instant::now() + patience;
        loop {
            match self.0.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    return Ok(Some(Bytes::copy_from_slice(message.key().unwrap_or_default())));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            }
        }
    }
}

/// One record of `attempts`.
#[derive(Clone, Debug)]
pub enum Changed {
    State { key: Bytes, at: Timestamp, value: Bytes },
    Mark { mark: Mark, at: Timestamp, value: Bytes },
    Unreadable,
}

/// One record of another output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Epoch and transaction of the trailer that it belongs to; none where it does not say.
    pub batch: Option<(u64, u64)>,
    pub key: Bytes,
    pub id: Bytes,
    pub at: Timestamp,
    pub value: Bytes,
}

fn changed(message: &BorrowedMessage<'_>) -> Changed {
    let at = written_at(message);
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    match mark_of(message) {
        None => {
            let key = Bytes::copy_from_slice(message.key().unwrap_or_default());
            Changed::State { key, at, value }
        }
        Some(Ok(mark)) => Changed::Mark { mark, at, value },
        Some(Err(_)) => Changed::Unreadable,
    }
}

fn output(message: &BorrowedMessage<'_>) -> Output {
    let header = |key| header(message, key);
    let id = header("ce_id").or_else(|| header(POSITION)).unwrap_or_default();
    Output {
        batch: batch_of(message),
        key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
        id: Bytes::copy_from_slice(id),
        at: written_at(message),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

/// One partition of one topic, read forwards up to where it ended when it was aimed.
pub struct Tail<T> {
    reader: BaseConsumer<Telling>,
    topic: String,
    partition: u32,
    end: u64,
    ahead: Option<(u64, T)>,
    over: bool,
    read: Box<dyn Fn(&BorrowedMessage<'_>) -> T>,
    pub records: u64,
    pub bytes: u64,
}

impl<T> Tail<T> {
    /// Reads `from..end` of a partition from here on.
    pub fn aim(&mut self, partition: u32, from: u64, end: u64) -> Result<(), PastError> {
        (self.partition, self.end, self.ahead, self.over) = (partition, end, None, from >= end);
        if self.over {
            return Ok(self.reader.unassign()?);
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&self.topic, number(partition), offset(from))?;
        Ok(self.reader.assign(&place)?)
    }

    /// The next record and its offset, without taking it.
    pub fn peek(&mut self) -> Result<Option<&(u64, T)>, PastError> {
        if self.ahead.is_none() && !self.over {
            self.ahead = self.poll()?;
            self.over = self.ahead.is_none();
        }
        Ok(self.ahead.as_ref())
    }

    pub fn take(&mut self) -> Result<Option<(u64, T)>, PastError> {
        self.peek()?;
        Ok(self.ahead.take())
    }

    pub fn unreadable(&self, offset: u64) -> PastError {
        PastError::Damaged { topic: self.topic.clone(), partition: self.partition, offset }
    }

    fn poll(&mut self) -> Result<Option<(u64, T)>, PastError> {
        let began = Instant::now();
        loop {
            match self.reader.poll(POLL) {
                Some(Ok(message)) => {
                    let at = place(message.offset());
                    if at >= self.end {
                        return Ok(None);
                    }
                    self.records += 1;
                    self.bytes += message.payload_len() as u64;
                    return Ok(Some((at, (self.read)(&message))));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) if began.elapsed() > PATIENCE => return Err(error.into()),
                None if began.elapsed() > PATIENCE => {
                    let (topic, partition) = (self.topic.clone(), self.partition);
                    return Err(PastError::Silent { topic, partition });
                }
                Some(Err(_)) | None => {}
            }
        }
    }
}

fn place(of_kafka: i64) -> u64 {
    u64::try_from(of_kafka).unwrap_or_default()
}
