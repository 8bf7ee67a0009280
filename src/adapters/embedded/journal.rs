//! The Journal port over the group-commit log.

use super::disk::Disk;
use super::queue::{Queue, QueueIntake};
use super::reader::LogReader;
use super::recovery::Recovery;
use super::segment::{Log, LogError};
use super::snapshot::Snapshot;
use super::writer::{Request, Shared, Writer, encode, weight};
use crate::attempt::Position;
use crate::crash;
use crate::ports::{
    Append, AppendError, Clock, Commit, CommitError, Committed, Journal, JournalError, Replayed,
    Seat, Takeover,
};
use crate::wire::Topic;
use crate::wire::section::records;
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    pub partitions: u32,
    /// A file of the log. Rolling costs a few file operations, so not too small; a start copies
    /// the last one, so not too large.
    pub segment_bytes: u64,
    /// Log between two snapshots: what a start has to read.
    pub snapshot_bytes: u64,
    /// Signals held in memory between their sync and their decision. Past this the door says 503.
    pub held_bytes: u64,
}

impl JournalOptions {
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions,
            segment_bytes: 64 << 20,
            snapshot_bytes: 128 << 20,
            held_bytes: 24 << 20,
        }
    }
}

/// Requests that may wait for the writer. Each is a webhook of a waiting client or a batch of a
/// lane; what they weigh is bounded by `held_bytes`.
const REQUESTS_MAX: usize = 4096;

#[derive(Clone)]
pub struct EmbeddedJournal {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    partitions: u32,
}

impl EmbeddedJournal {
    /// Opens the log in `folder`, recovers what it holds, and starts the writer.
    pub fn open<C: Clock>(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        options: JournalOptions,
        clock: C,
    ) -> Result<(Self, JoinHandle<()>), JournalError> {
        let snapshot = Snapshot::load(disk.as_ref(), &folder);
        // Whatever it is of, a log shorter than this has lost something.
        let least = snapshot.as_ref().map_or(0, |snapshot| snapshot.lsn);
        let snapshot = match snapshot {
            Some(snapshot)
                if snapshot
                    .fits(disk.as_ref(), &folder)
                    .map_err(|error| journal_error(&folder, error))? =>
            {
                Some(snapshot)
            }
            Some(_) | None => None,
        };
        let mut recovery = Recovery::begin(options.partitions, snapshot);
        let log = Log::open(
            Arc::clone(&disk),
            folder.clone(),
            options.segment_bytes,
            recovery.read_from(),
            least,
            |frame| recovery.frame(frame),
        )
        .map_err(|error| journal_error(&folder, error))?;
        let queues: Vec<Queue> = recovery.waiting.iter().map(|_| Queue::default()).collect();
        let mut held = 0;
        for (queue, waiting) in queues.iter().zip(recovery.waiting) {
            held += waiting
                .iter()
                .map(|signal| crate::lane::batch::weight(&signal.record) as u64)
                .sum::<u64>();
            queue.push(waiting);
        }
        let shared = Arc::new(Shared {
            held: AtomicU64::new(held),
            held_max: options.held_bytes,
            durable: watch::Sender::new(log.end()),
            syncs: AtomicU64::new(0),
            frames_bytes: AtomicU64::new(0),
            queues: std::sync::Mutex::new(queues),
            stopped: watch::Sender::new(None),
        });
        let (requests, waiting) = mpsc::channel(REQUESTS_MAX);
        let writer = Writer {
            snapshot_at: recovery.lsn,
            log,
            tails: recovery.tails,
            requests: waiting,
            shared: Arc::clone(&shared),
            clock,
            life: new_life(&folder)?,
            folder: folder.clone(),
            snapshot_bytes: options.snapshot_bytes,
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| JournalError::Files {
                folder: folder.display().to_string(),
                source,
            })?;
        Ok((Self { requests, shared, disk, folder, partitions: options.partitions }, thread))
    }

    /// Answers everything that was asked before, then ends the writer.
    pub async fn close(&self) {
        let _already = self.requests.send(Request::Close).await;
    }

    /// The address up to which the log is durable, as it grows.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// The changelog position that covers everything committed so far.
    pub fn changelog_end(&self) -> u64 {
        *self.shared.durable.borrow()
    }

    /// Why the writer has stopped, once it has.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.shared.stopped.subscribe()
    }

    /// Syncs so far in this life.
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// Bytes written so far in this life.
    pub fn written(&self) -> u64 {
        self.shared.frames_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of signals that are held until they are decided.
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    pub fn reader(&self, from: u64) -> LogReader {
        LogReader::new(Arc::clone(&self.disk), self.folder.clone(), from)
    }

    /// Reads from the oldest frame that is kept.
    pub fn oldest(&self) -> Result<LogReader, LogError> {
        LogReader::oldest(Arc::clone(&self.disk), self.folder.clone())
    }

    /// Takes up `bytes` of what may be held, or refuses.
    fn hold(&self, bytes: u64) -> Result<(), AppendError> {
        let held = self.shared.held.fetch_add(bytes, Ordering::Relaxed);
        if held + bytes > self.shared.held_max {
            self.shared.held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(AppendError::Overloaded);
        }
        Ok(())
    }
}

impl Journal for EmbeddedJournal {
    type Intake = QueueIntake;

    fn partitions(&self) -> u32 {
        self.partitions
    }

    async fn append(&self, signals: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        let bytes = signals.iter().map(weight).sum();
        // Encoded here, on the caller's thread, so that the one writer only copies.
        let encoded = signals.iter().map(encode).collect();
        let (reply, answer) = oneshot::channel();
        // The place in the queue first: a caller that goes away while it waits holds nothing, and
        // from here on the writer is the one who lets go.
        let Ok(place) = self.requests.reserve().await else { return Err(AppendError::Closed) };
        self.hold(bytes)?;
        crash::point("journal.before_queue");
        place.send(Request::Append { signals, encoded, reply });
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let partitions: Vec<u32> = commit.parts.iter().map(|part| part.partition).collect();
        let (reply, answer) = oneshot::channel();
        match self.requests.send(Request::Commit { commit, reply }).await {
            Ok(()) => {
                let end = answer.await.unwrap_or(Err(CommitError::Closed))?;
                let changelog = partitions.into_iter().map(|partition| (partition, end)).collect();
                Ok(Committed { changelog })
            }
            Err(_) => Err(CommitError::Closed),
        }
    }

    async fn take_over(&self, partition: u32, owner: &Owner) -> Result<Takeover, JournalError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::TakeOver { partition, owner: owner.clone(), reply };
        match self.requests.send(request).await {
            Ok(()) => answer.await.unwrap_or(Err(JournalError::Closed)),
            Err(_) => Err(JournalError::Closed),
        }
    }

    async fn flow(&self, partition: u32) -> Result<(), JournalError> {
        let queues = self.shared.queues.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(queue) = queues.get(partition as usize) {
            queue.flow(partition);
        }
        Ok(())
    }

    /// Its partitions are let go of by its end alone.
    async fn release(&self, _partitions: &[u32]) {}

    fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let until = *self.shared.durable.borrow();
        let mut reader = if from == 0 {
            LogReader::oldest(Arc::clone(&self.disk), self.folder.clone())
                .map_err(|error| journal_error(&self.folder, error))?
        } else {
            self.reader(from)
        };
        let damaged = || JournalError::Damaged("a committed state cannot be read".to_owned());
        while let Some(frame) =
            reader.next(until).map_err(|error| journal_error(&self.folder, error))?
        {
            let mut marked = false;
            for run in frame.runs() {
                let run = run.ok_or_else(damaged)?;
                if run.topic != Topic::Attempts || run.partition != partition {
                    continue;
                }
                for record in records(&run.bytes) {
                    let record = record.map_err(|_| damaged())?;
                    if record.key == TRAILER_KEY {
                        Mark::decode(record.value).map_err(|_| damaged())?;
                        marked = true;
                    } else {
                        let key = run.bytes.slice_ref(record.key);
                        let value = run.bytes.slice_ref(record.value);
                        if each(Replayed::State { key, value }).is_break() {
                            return Ok(until);
                        }
                    }
                }
            }
            if marked && each(Replayed::Upto { changelog: frame.end() }).is_break() {
                return Ok(until);
            }
        }
        if reader.at() < until {
            return Err(JournalError::Damaged(format!(
                "no whole frame at {}, though the log is durable up to {until}",
                reader.at()
            )));
        }
        Ok(until)
    }

    fn intake(&self, seat: Seat) -> QueueIntake {
        let partitions: Vec<u32> = (0..self.partitions).filter(|p| seat.has(*p)).collect();
        let queue = Queue::of(&partitions);
        let mut queues = self.shared.queues.lock().unwrap_or_else(|e| e.into_inner());
        for &partition in &partitions {
            let slot = &mut queues[partition as usize];
            slot.hand_over(partition, &queue);
            *slot = queue.clone();
        }
        QueueIntake { queue, untold: Some(partitions) }
    }
}

/// A name for this life of the process, which no other has had.
fn new_life(folder: &std::path::Path) -> Result<u64, JournalError> {
    getrandom::u64().map_err(|error| JournalError::Files {
        folder: folder.display().to_string(),
        source: std::io::Error::other(error.to_string()),
    })
}

fn journal_error(folder: &std::path::Path, error: LogError) -> JournalError {
    match error {
        LogError::Io { source, .. } | LogError::NoRoom { source, .. } => {
            JournalError::Files { folder: folder.display().to_string(), source }
        }
        LogError::Damaged { .. } | LogError::TooLarge { .. } => {
            JournalError::Damaged(error.to_string())
        }
    }
}
