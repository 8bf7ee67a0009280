//! One lane's transactional producer. A transaction either is known to be committed, or the
//! producer is thrown away and the partitions are read anew: an error says nothing about an outcome.

use super::changelog::OWNER_KEY;
use super::membership::Membership;
use super::native::{self, NotCommitted};
use super::records;
use super::settings::{KafkaOptions, PATIENCE, TRANSACTION};
use super::telling::{complain, tell};
use super::topics::{Topics, number};
use crate::attempt::Timestamp;
use crate::ports::{Append, Commit, Committed, Doubt, Part};
use crate::safeguard::Safeguard;
use crate::wire::Topic;
use crate::wire::cloudevents;
use crate::wire::published::rfc3339;
use crate::wire::section::{Record, records as records_of};
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait for room in the producer's queue. A batch is far smaller than the queue.
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a release may take. It spares others some care, and is not worth waiting for.
pub(super) const RELEASE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Kafka(KafkaError),
    /// Somebody else has initialized a producer of this name.
    #[error("another process writes under the name of this lane")]
    Fenced,
    #[error("this process is no member of the group")]
    NoMember,
    /// The group has moved on, and took no offsets. The brokers have said of the transaction that it
    /// is aborted: its outcome is known.
    #[error("the group has moved on; nothing was committed")]
    Refused,
    #[error("the transaction was not committed for certain: {0}")]
    Unknown(String),
    #[error("a connection was lost within the transaction: what is repeated of it may come late")]
    Suspect,
    #[error("what is to be written cannot be read")]
    Malformed,
}

impl From<KafkaError> for WriteError {
    fn from(error: KafkaError) -> Self {
        let code = code_of(&error);
        if code == Some(RDKafkaErrorCode::Fenced) { Self::Fenced } else { Self::Kafka(error) }
    }
}

impl WriteError {
    /// What is told of a commit that ended so.
    pub(super) fn doubt(&self) -> Doubt {
        match self {
            Self::Kafka(_) => Doubt::Refused,
            Self::Fenced => Doubt::Fenced,
            Self::NoMember => Doubt::NoMember,
            Self::Refused => Doubt::GroupMoved,
            Self::Unknown(_) => Doubt::Unanswered,
            Self::Suspect => Doubt::ConnectionLost,
            Self::Malformed => Doubt::Malformed,
        }
    }
}

impl From<NotCommitted> for WriteError {
    fn from(error: NotCommitted) -> Self {
        if error.code == RDKafkaErrorCode::Fenced {
            return Self::Fenced;
        }
        Self::Unknown(error.said)
    }
}

/// What the producer's own threads tell.
#[derive(Default)]
pub(super) struct Watch {
    /// Where the mark of each partition went.
    marks: Mutex<BTreeMap<i32, i64>>,
    /// A connection failed or a request timed out since the producer was initialized. librdkafka
    /// repeats such a request by itself, and the first copy may arrive within the next transaction.
    suspect: AtomicBool,
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "FAIL" | "REQTMOUT") {
            self.suspect.store(true, Ordering::SeqCst);
        }
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.suspect.store(true, Ordering::SeqCst);
        complain(&error, reason);
    }
}

/// Whose delivery is worth remembering.
const MARK: usize = 1;
const OTHER: usize = 0;

impl ProducerContext for Watch {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, what: usize) {
        if let (Ok(message), MARK) = (result, what) {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.insert(message.partition(), message.offset());
        }
    }
}

/// Whether this process may write under the names that its lanes take: fencing and committing need
/// the right to. Blocks.
pub fn may_commit(options: &KafkaOptions) -> Result<(), MayNotCommit> {
    let probe = format!("{}/doctor", options.writer_name());
    Writer::open(options, &probe).map(drop).map_err(|error| MayNotCommit {
        denied: matches!(&error, WriteError::Kafka(KafkaError::Transaction(error))
            if error.code() == RDKafkaErrorCode::TransactionalIdAuthorizationFailed),
        why: error.to_string(),
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MayNotCommit {
    /// It is this user who may not, and not the moment.
    pub denied: bool,
    pub why: String,
}

pub(super) struct Writer {
    producer: ThreadedProducer<Watch>,
    topics: Topics,
}

/// One writer per lane of this process; none where the outcome of its last transaction is not
/// known for certain.
pub(super) struct Writers(Vec<Mutex<Option<Writer>>>);

impl Writers {
    pub(super) fn new(lanes: u32) -> Self {
        Self((0..lanes).map(|_| Mutex::default()).collect())
    }

    pub(super) fn seat(&self, partition: u32) -> usize {
        partition as usize % self.0.len()
    }

    /// Nobody else writes while this is held.
    pub(super) fn lock(&self, seat: usize) -> MutexGuard<'_, Option<Writer>> {
        self.0[seat].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when what a lane has under way is over.
    pub(super) fn wait(&self, seat: usize) {
        drop(self.lock(seat));
    }
}

impl Writer {
    /// Takes the name over: whatever the one before had open under it is ended.
    pub(super) fn open(options: &KafkaOptions, writer: &str) -> Result<Self, WriteError> {
        let config = options.transactions(&options.transactional_id(writer));
        let producer: ThreadedProducer<Watch> = config.create_with_context(Watch::default())?;
        // Asked for its name before it has reached a broker, librdkafka tries again half a second later.
        let topic = options.topics().name(Topic::Attempts);
        producer.client().fetch_metadata(Some(&topic), PATIENCE)?;
        producer.init_transactions(PATIENCE)?;
        producer.client().context().suspect.store(false, Ordering::SeqCst);
        Ok(Self { producer, topics: options.topics() })
    }

    pub(super) fn commit(
        &self,
        members: &Membership,
        commit: &Commit,
    ) -> Result<Committed, WriteError> {
        let next: Vec<(u32, u64)> =
            commit.parts.iter().map(|part| (part.partition, part.trailer.next)).collect();
        self.transaction(members, &next, TRANSACTION, || {
            commit.forwards.iter().try_for_each(|forward| self.forward(forward))?;
            commit.parts.iter().try_for_each(|part| self.part(part))
        })
    }

    /// Writes down who decides for a partition from here on, without moving its position.
    pub(super) fn take_over(
        &self,
        members: &Membership,
        partition: u32,
        owner: &Owner,
    ) -> Result<u64, WriteError> {
        let committed =
            self.transaction(members, &[(partition, owner.next)], TRANSACTION, || {
                self.owner(partition, owner)
            })?;
        committed.changelog.first().map(|(_, at)| *at).ok_or(WriteError::Malformed)
    }

    /// Writes down that nobody decides for these partitions from here on. It moves no position, so
    /// that a group that is on the move cannot refuse it; who has been given up meanwhile has also
    /// been fenced.
    pub(super) fn release(
        &self,
        members: &Membership,
        owners: &[(u32, Owner)],
    ) -> Result<(), WriteError> {
        self.transaction(members, &[], RELEASE, || {
            owners.iter().try_for_each(|(partition, owner)| self.owner(*partition, owner))
        })
        .map(drop)
    }

    fn owner(&self, partition: u32, owner: &Owner) -> Result<(), WriteError> {
        let mut value = vec![];
        Mark::Owner(owner.clone()).encode(&mut value);
        let topic = self.topics.name(Topic::Attempts);
        self.send(
            BaseRecord::with_opaque_to(&topic, MARK)
                .partition(number(partition))
                .key(OWNER_KEY)
                .payload(value.as_slice()),
        )
    }

    fn transaction(
        &self,
        members: &Membership,
        next: &[(u32, u64)],
        patience: Duration,
        write: impl FnOnce() -> Result<(), WriteError>,
    ) -> Result<Committed, WriteError> {
        let watch = self.producer.client().context();
        watch.marks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.producer.begin_transaction()?;
        write()?;
        if !next.is_empty() {
            let metadata = members.metadata().ok_or(WriteError::NoMember)?;
            let offsets = members.offsets(next)?;
            let sent = self.producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE);
            sent.map_err(|error| self.refused(error))?;
        }
        native::commit_transaction(self.producer.client(), patience)?;
        if watch.suspect.load(Ordering::SeqCst) && Safeguard::PoisonOnLostConnection.is_on() {
            return Err(WriteError::Suspect);
        }
        let marks = watch.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let after = |partition: u32| {
            let offset = *marks.get(&number(partition))?;
            Some((partition, u64::try_from(offset).ok()? + 1))
        };
        let changelog: Option<Vec<_>> = next.iter().map(|(p, _)| after(*p)).collect();
        Ok(Committed { changelog: changelog.ok_or(WriteError::Malformed)? })
    }

    /// Ends a transaction whose offsets were not taken. What the group refuses while it moves is
    /// certain once the abort is: anything else about it is in doubt.
    fn refused(&self, error: KafkaError) -> WriteError {
        use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress};
        if !matches!(code_of(&error), Some(IllegalGeneration | RebalanceInProgress)) {
            return error.into();
        }
        let aborted = self.producer.abort_transaction(PATIENCE);
        let suspect = self.producer.client().context().suspect.load(Ordering::SeqCst);
        if aborted.is_ok() && !suspect { WriteError::Refused } else { error.into() }
    }

    fn forward(&self, forward: &Append) -> Result<(), WriteError> {
        let topic = self.topics.name(Topic::Signals);
        self.send(
            BaseRecord::<(), [u8], usize>::with_opaque_to(&topic, OTHER)
                .partition(number(forward.partition))
                .payload(forward.record.value.as_ref())
                .headers(records::headers(&forward.record)),
        )
    }

    fn part(&self, part: &Part) -> Result<(), WriteError> {
        let mut beside = Beside::of(part);
        for run in &part.runs {
            let topic = self.topics.name(run.topic);
            for record in records_of(&run.bytes) {
                let record = record.map_err(|_| WriteError::Malformed)?;
                let is_mark = run.topic == Topic::Attempts && record.key == TRAILER_KEY;
                let kafka = BaseRecord::with_opaque_to(&topic, if is_mark { MARK } else { OTHER })
                    .partition(number(part.partition))
                    .key(record.key)
                    .payload(record.value)
                    .timestamp(record.at.0)
                    .headers(beside.headers(run.topic, &record));
                self.send(kafka)?;
            }
        }
        Ok(())
    }

    fn send<K: rdkafka::message::ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, K, [u8], usize>,
    ) -> Result<(), WriteError> {
        let (mut record, mut full_since) = (record, None);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if is_full(&error) => {
                    let since: &mut Instant = full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > QUEUE_PATIENCE {
                        return Err(error.into());
                    }
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

fn code_of(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    if let KafkaError::Transaction(error) = error {
        return Some(error.code());
    }
    error.rdkafka_error_code()
}

fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// The header that names the epoch and the transaction of an output.
pub(super) const BATCH: &str = "tg-txn";

/// The header that says which signal a dead letter was.
pub(super) const POSITION: &str = "tg-position";

/// Beside an output: what CloudEvents asks for, and the transaction that it came with. Every header
/// is an allocation of librdkafka's, so that room for all is asked for at once, and what is the same
/// in all of them is put into words once.
struct Beside {
    transaction: String,
    time: (Timestamp, String),
}

const HEADERS_MAX: usize = cloudevents::HEADERS + 2;

impl Beside {
    fn of(part: &Part) -> Self {
        let at = part.trailer.at;
        Self {
            transaction: format!("{}.{}", part.trailer.epoch, part.trailer.transaction),
            time: (at, rfc3339(at)),
        }
    }

    fn headers(&mut self, topic: Topic, record: &Record<'_>) -> OwnedHeaders {
        let stamp = Header { key: BATCH, value: Some(self.transaction.as_str()) };
        let mut headers = OwnedHeaders::new_with_capacity(HEADERS_MAX).insert(stamp);
        if topic == Topic::DeadLetters {
            headers = headers.insert(Header { key: POSITION, value: Some(record.id) });
        }
        if self.time.0 != record.at {
            self.time = (record.at, rfc3339(record.at));
        }
        let events = cloudevents::headers(topic, record, &self.time.1).into_iter().flatten();
        events.fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }
}
