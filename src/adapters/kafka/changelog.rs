//! Reading one partition of `attempts`: the states of attempts, and the marks of who decided what.

use super::settings::{Ahead, Isolation, KafkaOptions, PATIENCE};
use super::telling::Telling;
use super::topics::number;
use crate::wire::WireError;
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Owner records stand under a key of their own: compaction keeps the newest of each, and the last
/// trailer must outlive the take-overs after it.
pub(super) const OWNER_KEY: &[u8] = b"~owner";

/// Records from the end in which the last marks are looked for at first: more than one commit has.
const TAIL: i64 = 4_000;

const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Brokers(#[from] KafkaError),
    #[error("{topic} [{partition}] has a transaction open that nobody ends")]
    Open { topic: String, partition: u32 },
    #[error("{topic} [{partition}] does not answer")]
    Silent { topic: String, partition: u32 },
    #[error("{topic} [{partition}] has a mark at {offset} that cannot be read")]
    Damaged { topic: String, partition: u32, offset: i64 },
}

type Reader = BaseConsumer<Telling>;

/// The clients that a lane reads changelogs with. A new one takes as long to reach the brokers as
/// reading does, so they are kept.
pub(super) struct Readers {
    committed: Reader,
    uncommitted: Reader,
}

impl Readers {
    pub(super) fn open(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let open = |isolation| options.reader(isolation, Ahead::Much);
        Ok(Self {
            committed: open(Isolation::Committed)?,
            uncommitted: open(Isolation::Uncommitted)?,
        })
    }
}

pub(super) struct Changelog<'a> {
    pub readers: &'a Readers,
    pub topic: &'a str,
    pub partition: u32,
}

/// The newest marks of a partition.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub owner: Option<Owner>,
    pub trailer: Option<Trailer>,
}

impl Marks {
    pub(super) fn epoch(&self) -> u64 {
        let owner = self.owner.as_ref().map_or(0, |owner| owner.epoch);
        owner.max(self.trailer.as_ref().map_or(0, |trailer| trailer.epoch))
    }

    /// Whose the partition was last. Every owner writes a record before anything else.
    pub(super) fn writer(&self) -> Option<&str> {
        self.owner.as_ref().map(|owner| owner.writer.as_str())
    }

    fn see(&mut self, mark: Mark) {
        match mark {
            Mark::Owner(owner) => self.owner = Some(owner),
            Mark::Trailer(trailer) => self.trailer = Some(trailer),
        }
    }
}

impl Changelog<'_> {
    fn place(&self, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(self.topic, number(self.partition), offset)?;
        Ok(place)
    }

    /// Where the log begins and ends, for a reader that sees as much.
    fn bounds(&self, reader: &Reader) -> Result<(i64, i64), KafkaError> {
        reader.fetch_watermarks(self.topic, number(self.partition), PATIENCE)
    }

    /// The newest marks that anybody wrote, whether they were committed or not.
    pub(super) fn newest_marks(&self) -> Result<Marks, ReadError> {
        let reader = &self.readers.uncommitted;
        let (low, high) = self.bounds(reader)?;
        self.marks(reader, low, high)
    }

    /// The newest committed marks. Nobody may have a transaction open in the partition: what it
    /// commits behind our back would be missed.
    pub(super) fn committed_marks(&self) -> Result<Marks, ReadError> {
        let (low, high) = self.settled()?;
        self.marks(&self.readers.committed, low, high)
    }

    fn marks(&self, reader: &Reader, low: i64, high: i64) -> Result<Marks, ReadError> {
        let mut tail = TAIL;
        loop {
            let from = (high - tail).max(low);
            let mut marks = Marks::default();
            self.read(reader, from, high, &mut |message| {
                if let Some(mark) = self.mark(message)? {
                    marks.see(mark);
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if from == low || (marks.owner.is_some() && marks.trailer.is_some()) {
                return Ok(marks);
            }
            tail = tail.saturating_mul(8);
        }
    }

    /// Hands over every committed record from `from` on. Says where the log ends.
    pub(super) fn replay(
        &self,
        from: u64,
        each: &mut dyn FnMut(&BorrowedMessage<'_>, Option<Mark>) -> ControlFlow<()>,
    ) -> Result<u64, ReadError> {
        let (low, high) = self.settled()?;
        let from = i64::try_from(from).unwrap_or(i64::MAX).max(low);
        self.read(&self.readers.committed, from, high, &mut |message| {
            Ok(each(message, self.mark(message)?))
        })?;
        Ok(u64::try_from(high).unwrap_or_default())
    }

    /// Where the log begins and ends, once everything in it is decided: its true end, and not where
    /// an open transaction hides what comes after it.
    fn settled(&self) -> Result<(i64, i64), ReadError> {
        let (low, high) = self.bounds(&self.readers.uncommitted)?;
        let began = Instant::now();
        while self.bounds(&self.readers.committed)?.1 < high {
            if began.elapsed() > PATIENCE {
                return Err(ReadError::Open {
                    topic: self.topic.to_owned(),
                    partition: self.partition,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok((low, high))
    }

    fn read(
        &self,
        reader: &Reader,
        from: i64,
        until: i64,
        each: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<(), ReadError> {
        if from >= until {
            return Ok(());
        }
        reader.assign(&self.place(Offset::Offset(from))?)?;
        let done = self.read_on(reader, until, each);
        // Left assigned, it would go on fetching what nobody asks for.
        reader.unassign()?;
        done
    }

    fn read_on(
        &self,
        reader: &Reader,
        until: i64,
        each: &mut dyn FnMut(&BorrowedMessage<'_>) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<(), ReadError> {
        let mut heard = Instant::now();
        loop {
            match reader.poll(POLL) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if message.offset() >= until {
                        return Ok(());
                    }
                    if each(&message)?.is_break() {
                        return Ok(());
                    }
                }
                // Everything before `until` was decided when this began: the end that it meets is
                // at least there.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) if heard.elapsed() > PATIENCE => return Err(error.into()),
                None if heard.elapsed() > PATIENCE => {
                    return Err(ReadError::Silent {
                        topic: self.topic.to_owned(),
                        partition: self.partition,
                    });
                }
                Some(Err(_)) | None => {}
            }
        }
    }

    fn mark(&self, message: &BorrowedMessage<'_>) -> Result<Option<Mark>, ReadError> {
        mark_of(message).transpose().map_err(|_| ReadError::Damaged {
            topic: self.topic.to_owned(),
            partition: self.partition,
            offset: message.offset(),
        })
    }
}

/// The mark that a record of `attempts` is, where it is one.
pub(super) fn mark_of(message: &BorrowedMessage<'_>) -> Option<Result<Mark, WireError>> {
    let is_mark = [Some(TRAILER_KEY), Some(OWNER_KEY)].contains(&message.key());
    is_mark.then(|| Mark::decode(message.payload().unwrap_or_default()))
}
