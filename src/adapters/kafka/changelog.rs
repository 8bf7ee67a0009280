//! Reading one partition of `attempts`: the states of attempts, and the marks of who decided what;
//! and, of an output, how far it came.

use super::records::batch_of;
use super::settings::{Ahead, Isolation, KafkaOptions, PATIENCE};
use super::telling::Telling;
use super::topics::number;
use crate::ports::{JournalError, Replayed, ViewPosition};
use crate::safeguard::Safeguard;
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer};
use crate::wire::{Topic, WireError};
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Owner records stand under a key of their own: compaction keeps the newest of each, and the last
/// trailer must outlive the take-overs after it.
pub(super) const OWNER_KEY: &[u8] = b"~owner";

/// What stands behind the name of a writer that has let a partition go. Such a record takes the
/// partition over for nobody, in an epoch of its own.
const RELEASED: &str = "/released";

pub(super) fn released(writer: &str) -> String {
    format!("{writer}{RELEASED}")
}

fn holder_of(writer: &str) -> &str {
    writer.strip_suffix(RELEASED).unwrap_or(writer)
}

/// Records from the end in which the last marks are looked for at first: more than one commit has.
const TAIL: i64 = 4_000;

/// States after which a replay says how far it is, where no mark does: compaction leaves one at the
/// end of a partition alone.
const UNMARKED: usize = 4_000;

/// Records from the end in which the last output is looked for at first. Between two of them stand
/// the ends of transactions, and what was aborted.
const OUTPUTS_TAIL: i64 = 200;

const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Brokers(#[from] KafkaError),
    #[error(
        "{topic} [{partition}] has a transaction open that nobody ends; if it stays, its brokers crashed and forgot the end of it: `kafka-transactions.sh find-hanging` names it"
    )]
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

#[derive(Clone, Copy)]
pub(super) struct Changelog<'a> {
    pub readers: &'a Readers,
    pub topic: &'a str,
    pub partition: u32,
}

/// The newest marks of a partition, as far as they were looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub owner: Option<Owner>,
    pub trailer: Option<Trailer>,
    /// A state that no trailer closes: every batch ends with its trailer.
    pub unclosed: Option<i64>,
    /// Everything before this was looked at.
    until: i64,
    /// Whose the newest mark of all is, and in which epoch.
    newest: Option<(String, u64)>,
    /// The same of the mark before the newest owner record.
    before_owner: Option<(String, u64)>,
    /// Who wrote owner records in what was looked at last.
    writers: BTreeSet<String>,
}

impl Marks {
    pub(super) fn epoch(&self) -> u64 {
        let owner = self.owner.as_ref().map_or(0, |owner| owner.epoch);
        owner.max(self.trailer.as_ref().map_or(0, |trailer| trailer.epoch))
    }

    /// Whose the partition may have been last: every owner writes a record before anything else.
    /// Of whoever had lost it by the time, a release says nothing: the one before may have it.
    fn holders(&self) -> impl Iterator<Item = String> {
        let owner = self.owner.as_ref().map(|owner| owner.writer.as_str());
        let before = self.before_owner.as_ref().map(|(writer, _)| writer.as_str());
        let lost = owner.is_some_and(|owner| owner.ends_with(RELEASED)) && !self.is_release();
        owner.into_iter().chain(before.filter(|_| lost)).map(|name| holder_of(name).to_owned())
    }

    /// The newest owner record, where nothing was decided after it.
    pub(super) fn undecided(&self) -> Option<&Owner> {
        let decided = self.trailer.as_ref().map(|trailer| trailer.epoch);
        let owner = self.owner.as_ref()?;
        decided.is_none_or(|epoch| epoch < owner.epoch).then_some(owner)
    }

    pub(super) fn is_of(&self, writer: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| holder_of(&owner.writer) == writer)
    }

    /// Whether the last word is that of the last owner, who has let the partition go.
    fn is_release(&self) -> bool {
        let Some(owner) = &self.owner else { return false };
        let Some((before, epoch)) = &self.before_owner else { return false };
        owner.writer.strip_suffix(RELEASED) == Some(before.as_str()) && epoch + 1 == owner.epoch
    }

    fn see(&mut self, mark: Option<Mark>, at: i64) {
        match mark {
            Some(Mark::Owner(owner)) => {
                self.before_owner = self.newest.replace((owner.writer.clone(), owner.epoch));
                self.writers.insert(holder_of(&owner.writer).to_owned());
                self.owner = Some(owner);
            }
            Some(Mark::Trailer(trailer)) => {
                // Its owner record, where that was seen, says better whose it is.
                if self.newest.as_ref().is_none_or(|(_, epoch)| *epoch != trailer.epoch) {
                    self.newest = Some((trailer.writer.clone(), trailer.epoch));
                }
                self.trailer = Some(trailer);
                self.unclosed = None;
            }
            None => self.unclosed = Some(at),
        }
    }

    /// What somebody would make of them who believed the group's offset.
    #[cfg(feature = "loose-safeguards")]
    pub(super) fn loosened(mut self, committed: Option<u64>) -> Self {
        if committed.is_none() && !Safeguard::TrailerOutlivesOffsets.is_on() {
            self.trailer = None;
        }
        if let (Some(trailer), Some(committed), false) =
            (&mut self.trailer, committed, Safeguard::OffsetAgrees.is_on())
        {
            trailer.next = committed;
        }
        self
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

    /// The newest marks that are committed already, whatever may be open after them.
    pub(super) fn known_marks(&self) -> Result<Marks, ReadError> {
        let (low, stable) = self.bounds(&self.readers.committed)?;
        self.marks(low, stable)
    }

    /// With what anybody wrote after them, whether it is ever committed or not.
    pub(super) fn written_after(&self, known: &Marks) -> Result<Marks, ReadError> {
        let reader = &self.readers.uncommitted;
        let (_, high) = self.bounds(reader)?;
        self.seen_on(reader, known, high)
    }

    /// Everybody who may have something open in a partition: whose it was last, as far as is
    /// committed, and whoever began to take it over since. Nobody where it was let go of, and nothing
    /// was written since.
    pub(super) fn holders(known: &Marks, newest: &Marks) -> BTreeSet<String> {
        if Self::is_released(known, newest) {
            return BTreeSet::new();
        }
        newest.writers.iter().cloned().chain(known.holders()).collect()
    }

    pub(super) fn is_released(known: &Marks, newest: &Marks) -> bool {
        known.is_release() && newest.until == known.until
    }

    /// With what was committed after them. Nobody may have a transaction open in the partition: what
    /// it commits behind our back would be missed.
    pub(super) fn committed_after(&self, known: &Marks) -> Result<Marks, ReadError> {
        let (_, high) = self.settled()?;
        self.seen_on(&self.readers.committed, known, high)
    }

    /// The newest committed marks, once nothing is open.
    fn committed_marks(&self) -> Result<Marks, ReadError> {
        let (low, high) = self.settled()?;
        self.marks(low, high)
    }

    fn seen_on(&self, reader: &Reader, known: &Marks, until: i64) -> Result<Marks, ReadError> {
        let mut marks = Marks { writers: BTreeSet::new(), until, ..known.clone() };
        self.see(reader, known.until, &mut marks)?;
        Ok(marks)
    }

    fn see(&self, reader: &Reader, from: i64, marks: &mut Marks) -> Result<(), ReadError> {
        self.read(reader, from, marks.until, &mut |message| {
            marks.see(self.mark(message)?, message.offset());
            Ok(ControlFlow::Continue(()))
        })
    }

    fn marks(&self, low: i64, until: i64) -> Result<Marks, ReadError> {
        let mut tail = TAIL;
        loop {
            let from = (until - tail).max(low);
            let mut marks = Marks { until, ..Marks::default() };
            self.see(&self.readers.committed, from, &mut marks)?;
            if from == low || (marks.owner.is_some() && marks.trailer.is_some()) {
                return Ok(marks);
            }
            tail = tail.saturating_mul(8);
        }
    }

    /// The newest batch that has a committed record here: its epoch and its number in that.
    pub(super) fn newest_batch(&self) -> Result<Option<(u64, u64)>, ReadError> {
        let (low, high) = self.settled()?;
        let mut tail = OUTPUTS_TAIL;
        loop {
            let from = (high - tail).max(low);
            let mut newest = None;
            self.read(&self.readers.committed, from, high, &mut |message| {
                newest = newest.max(batch_of(message));
                Ok(ControlFlow::Continue(()))
            })?;
            if newest.is_some() || from == low {
                return Ok(newest);
            }
            tail = tail.saturating_mul(8);
        }
    }

    /// Hands over every committed record from `from` on. Says where the log ends.
    pub(super) fn replay(
        &self,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, ReadError> {
        let (low, high) = self.settled()?;
        let from = i64::try_from(from).unwrap_or(i64::MAX).max(low);
        let mut unmarked = 0;
        self.read(&self.readers.committed, from, high, &mut |message| {
            let changelog = u64::try_from(message.offset()).unwrap_or_default() + 1;
            if self.mark(message)?.is_some() {
                unmarked = 0;
                return Ok(each(Replayed::Upto { changelog }));
            }
            let state = each(Replayed::State {
                key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
                value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            });
            unmarked += 1;
            if state.is_break() || unmarked < UNMARKED {
                return Ok(state);
            }
            unmarked = 0;
            Ok(each(Replayed::Upto { changelog }))
        })?;
        Ok(u64::try_from(high).unwrap_or_default())
    }

    /// Where the log begins and ends, once everything in it is decided: its true end, and not where
    /// an open transaction hides what comes after it.
    fn settled(&self) -> Result<(i64, i64), ReadError> {
        let (low, high) = self.bounds(&self.readers.uncommitted)?;
        let began = Instant::now();
        while Safeguard::NothingOpen.is_on() && self.bounds(&self.readers.committed)?.1 < high {
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

/// The changelogs of a cluster, read from outside of its group. Who is in it goes on meanwhile.
#[derive(Clone)]
pub struct Changelogs(Arc<Outside>);

struct Outside {
    readers: Mutex<Readers>,
    topic: String,
    partitions: u32,
}

impl Changelogs {
    pub fn open(options: &KafkaOptions) -> Result<Self, JournalError> {
        let readers = Readers::open(options).map_err(ReadError::Brokers)?;
        let topic = options.topics().name(Topic::Attempts);
        let partitions = options.partitions;
        Ok(Self(Arc::new(Outside { readers: Mutex::new(readers), topic, partitions })))
    }

    pub fn partitions(&self) -> u32 {
        self.0.partitions
    }

    /// In whose epoch a partition is now, and where its changelog ends. Blocks.
    pub fn end(&self, partition: u32) -> Result<ViewPosition, JournalError> {
        self.with(partition, |changelog| {
            let epoch = changelog.committed_marks()?.epoch();
            let (_, end) = changelog.bounds(&changelog.readers.committed)?;
            Ok(ViewPosition { epoch, changelog: u64::try_from(end).unwrap_or_default() })
        })
    }

    /// As `Journal::replay` does.
    pub fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        self.with(partition, |changelog| changelog.replay(from, each))
    }

    fn with<T>(
        &self,
        partition: u32,
        what: impl FnOnce(&Changelog<'_>) -> Result<T, ReadError>,
    ) -> Result<T, JournalError> {
        let Outside { readers, topic, .. } = &*self.0;
        let readers = &readers.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(what(&Changelog { readers, topic, partition })?)
    }
}

impl From<ReadError> for JournalError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } => Self::Damaged(error.to_string()),
            ReadError::Brokers(_) | ReadError::Open { .. } | ReadError::Silent { .. } => {
                Self::Brokers(error.to_string())
            }
        }
    }
}

/// The mark that a record of `attempts` is, where it is one.
pub(super) fn mark_of(message: &BorrowedMessage<'_>) -> Option<Result<Mark, WireError>> {
    let is_mark = [Some(TRAILER_KEY), Some(OWNER_KEY)].contains(&message.key());
    is_mark.then(|| Mark::decode(message.payload().unwrap_or_default()))
}
