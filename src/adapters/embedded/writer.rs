//! The one thread that writes the log: gathers whatever waits into one frame, syncs it, and only
//! then tells anybody.

use super::frame::{FrameWriter, LENGTH_BYTES};
use super::queue::Queue;
use super::recovery::{Tail, snapshot};
use super::segment::Log;
use crate::attempt::Position;
use crate::ports::{
    Append, AppendError, Clock, Commit, CommitError, Fetched, JournalError, Takeover,
};
use crate::wire::Topic;
use crate::wire::section::{Record, Section};
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer, Tries};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

/// Bytes after which a group stops gathering: beyond this a larger write only delays the first
/// in it.
const GROUP_BYTES_MAX: usize = 4 << 20;

pub enum Request {
    Append {
        signals: Vec<Append>,
        /// The signals as they are stored, each with its length in front, in the same order.
        encoded: Vec<Vec<u8>>,
        reply: oneshot::Sender<Result<Vec<Position>, AppendError>>,
    },
    Commit {
        commit: Commit,
        reply: oneshot::Sender<Result<u64, CommitError>>,
    },
    TakeOver {
        partition: u32,
        owner: Owner,
        reply: oneshot::Sender<Result<Takeover, JournalError>>,
    },
    /// Everything that was asked before this is answered, then the thread ends.
    Close,
}

/// What the writer shares with those who ask it and those who read behind it.
pub struct Shared {
    /// Bytes of signals that are durable or on their way there, and not decided yet.
    pub held: AtomicU64,
    pub held_max: u64,
    /// The address up to which the log is durable.
    pub durable: watch::Sender<u64>,
    pub syncs: AtomicU64,
    pub frames_bytes: AtomicU64,
    pub queues: std::sync::Mutex<Vec<Queue>>,
    /// Why the writer has stopped, once it has.
    pub stopped: watch::Sender<Option<String>>,
}

pub struct Writer<C> {
    pub log: Log,
    pub tails: Vec<Tail>,
    pub requests: mpsc::Receiver<Request>,
    pub shared: Arc<Shared>,
    pub clock: C,
    /// This life of the process.
    pub life: u64,
    pub folder: PathBuf,
    /// Bytes of log between two snapshots.
    pub snapshot_bytes: u64,
    pub snapshot_at: u64,
}

/// What was asked for, and whom to tell.
type Asked<T, E, A> = Vec<(oneshot::Sender<Result<T, E>>, A)>;

/// What is told when the group is durable.
#[derive(Default)]
struct Group {
    appends: Asked<Vec<Position>, AppendError, Vec<Position>>,
    commits: Asked<u64, CommitError, Commit>,
    takeovers: Asked<Takeover, JournalError, Takeover>,
    /// Signals by partition, as they are stored and as they are fetched.
    signals: Vec<PartitionSignals>,
    trailers: Vec<(u32, Trailer)>,
    owners: Vec<(u32, Owner)>,
    decided_bytes: u64,
    /// What the appends hold, by their weight.
    appended_bytes: u64,
    closing: bool,
}

#[derive(Default)]
struct PartitionSignals {
    encoded: Vec<Vec<u8>>,
    fetched: Vec<Fetched>,
}

impl<C: Clock> Writer<C> {
    /// Runs until it is told to close, or until the disk fails it.
    pub fn run(mut self) {
        let mut frame = FrameWriter::default();
        let why = loop {
            let Some(first) = self.requests.blocking_recv() else { break None };
            match self.group(first, &mut frame) {
                Ok(Closing::No) => {}
                Ok(Closing::Yes) => {
                    // So that whoever reads next knows where the log ended.
                    self.save_snapshot();
                    break None;
                }
                Err(why) => break Some(why),
            }
        };
        if let Some(why) = &why {
            tracing::error!(%why, "the journal has stopped; nothing more is acknowledged");
        }
        let why = why.unwrap_or_else(|| "closed".to_owned());
        self.shared.stopped.send_replace(Some(why));
        {
            let queues = self.shared.queues.lock().unwrap_or_else(|e| e.into_inner());
            queues.iter().for_each(Queue::close);
        }
        self.turn_away();
    }

    /// Lets go of whatever still comes in, so that nobody waits for an answer that nobody gives.
    /// Dropping the receiver would not do: who has a place in the queue by then may still fill it,
    /// and would wait forever.
    fn turn_away(&mut self) {
        self.requests.close();
        while self.requests.blocking_recv().is_some() {}
    }

    fn group(&mut self, first: Request, frame: &mut FrameWriter) -> Result<Closing, String> {
        let mut group = Group::default();
        group.signals.resize_with(self.tails.len(), PartitionSignals::default);
        frame.clear();
        let mut gathered = self.gather(first, &mut group, frame);
        while gathered < GROUP_BYTES_MAX && !group.closing {
            match self.requests.try_recv() {
                Ok(request) => gathered += self.gather(request, &mut group, frame),
                Err(_nothing_waits) => break,
            }
        }
        let closing = if group.closing { Closing::Yes } else { Closing::No };
        for (partition, signals) in group.signals.iter().enumerate() {
            if !signals.fetched.is_empty() {
                let base = self.tails[partition].next_offset;
                let count = signals.fetched.len() as u32;
                frame.signals(partition as u32, base, count, &signals.encoded);
            }
        }
        if frame.is_empty() {
            self.tell(group);
            return Ok(closing);
        }
        let lsn = match self.log.place(frame.length()) {
            Ok(lsn) => lsn,
            Err(error) if error.is_no_room() => {
                tracing::error!(%error, "no room for the journal; signals are refused until there is");
                self.refuse(group);
                return Ok(closing);
            }
            Err(error) => return Err(error.to_string()),
        };
        let sealed = frame.seal(lsn, self.clock.now());
        match self.log.write(sealed) {
            Ok(()) => {}
            Err(error) if error.is_no_room() => {
                tracing::error!(%error, "no room for the journal; signals are refused until there is");
                self.refuse(group);
                return Ok(closing);
            }
            Err(error) => return Err(error.to_string()),
        }
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        self.shared.frames_bytes.fetch_add(sealed.len() as u64, Ordering::Relaxed);
        self.settle(&mut group, lsn);
        self.shared.durable.send_replace(self.log.end());
        self.tell(group);
        self.snapshot_if_due();
        Ok(closing)
    }

    /// Takes one request into the group; answers at once what cannot be taken. Says how many bytes
    /// it added.
    fn gather(&self, request: Request, group: &mut Group, frame: &mut FrameWriter) -> usize {
        match request {
            Request::Append { signals, encoded, reply } => {
                let mut positions = Vec::with_capacity(signals.len());
                let mut bytes = 0;
                for (signal, encoded) in signals.into_iter().zip(encoded) {
                    bytes += encoded.len();
                    group.appended_bytes += weight(&signal);
                    positions.push(self.put(group, signal, encoded));
                }
                group.appends.push((reply, positions));
                bytes
            }
            Request::Commit { commit, reply } => match self.refuses(&commit, group) {
                Some(partition) => {
                    let _nobody = reply.send(Err(CommitError::Fenced { partition }));
                    0
                }
                None => {
                    let bytes = self.put_commit(&commit, group, frame);
                    group.commits.push((reply, commit));
                    bytes
                }
            },
            Request::TakeOver { partition, owner, reply } => {
                self.take_over(partition, owner, reply, group, frame);
                0
            }
            Request::Close => {
                group.closing = true;
                0
            }
        }
    }

    fn put(&self, group: &mut Group, signal: Append, encoded: Vec<u8>) -> Position {
        let partition = signal.partition;
        let signals = &mut group.signals[partition as usize];
        let offset = self.tails[partition as usize].next_offset + signals.fetched.len() as u64;
        let position = Position { partition, offset };
        signals.encoded.push(encoded);
        let (record, proven) = (signal.record, signal.proven);
        signals.fetched.push(Fetched { position, record, proven });
        position
    }

    /// The first partition of a commit that is not its writer's to write, or not from there.
    fn refuses(&self, commit: &Commit, group: &Group) -> Option<u32> {
        commit.parts.iter().map(|part| (part, part.partition)).find_map(|(part, partition)| {
            let tail = self.tails.get(partition as usize)?;
            let in_group = group.trailers.iter().rfind(|(at, _)| *at == partition);
            let owner = group.owners.iter().rfind(|(at, _)| *at == partition);
            let next = in_group.map_or(tail.next(), |(_, trailer)| trailer.next);
            let epoch = owner.map_or(tail.epoch, |(_, owner)| owner.epoch);
            (part.trailer.epoch != epoch || part.trailer.previous != next).then_some(partition)
        })
    }

    fn put_commit(&self, commit: &Commit, group: &mut Group, frame: &mut FrameWriter) -> usize {
        let mut bytes = 0;
        for part in &commit.parts {
            for run in &part.runs {
                bytes += run.bytes.len();
                frame.run(run.topic, part.partition, 0, run.count, &run.bytes);
            }
            group.trailers.push((part.partition, part.trailer.clone()));
            group.decided_bytes += part.input_bytes;
        }
        for forward in &commit.forwards {
            let encoded = encode(forward);
            bytes += encoded.len();
            self.shared.held.fetch_add(weight(forward), Ordering::Relaxed);
            self.put(group, forward.clone(), encoded);
        }
        bytes
    }

    fn take_over(
        &self,
        partition: u32,
        owner: Owner,
        reply: oneshot::Sender<Result<Takeover, JournalError>>,
        group: &mut Group,
        frame: &mut FrameWriter,
    ) {
        let tail = &self.tails[partition as usize];
        let in_group = group.owners.iter().rfind(|(at, _)| *at == partition);
        let epoch = in_group.map_or(tail.epoch, |(_, owner)| owner.epoch) + 1;
        let trailer = group
            .trailers
            .iter()
            .rfind(|(at, _)| *at == partition)
            .map(|(_, trailer)| trailer.clone())
            .or_else(|| tail.trailer.clone());
        let next = trailer.as_ref().map_or(0, |trailer| trailer.next);
        let before = in_group.map(|(_, owner)| owner).or(tail.owner.as_ref());
        let tries = Tries::after(before, next, Tries { life: self.life, ..owner.tries });
        let owner = Owner { epoch, next, tries, ..owner };
        let mut section = Section::default();
        let mut value = vec![];
        Mark::Owner(owner.clone()).encode(&mut value);
        section.push(Record { key: TRAILER_KEY, id: b"", at: owner.at, value: &value });
        frame.run(Topic::Attempts, partition, 0, 1, section.bytes());
        group.owners.push((partition, owner));
        group
            .takeovers
            .push((reply, Takeover { epoch, trailer, changelog_end: 0, fenced: false, tries }));
    }

    /// The frame is durable: what it holds is true from here on.
    fn settle(&mut self, group: &mut Group, lsn: u64) {
        for (partition, owner) in group.owners.drain(..) {
            self.tails[partition as usize].owned(owner);
        }
        for (partition, trailer) in group.trailers.drain(..) {
            self.tails[partition as usize].decided(trailer);
        }
        for (tail, signals) in self.tails.iter_mut().zip(&group.signals) {
            if !signals.fetched.is_empty() {
                tail.appended(tail.next_offset + signals.fetched.len() as u64, lsn);
            }
        }
    }

    fn tell(&self, group: Group) {
        let end = self.log.end();
        self.shared.held.fetch_sub(group.decided_bytes, Ordering::Relaxed);
        {
            let queues = self.shared.queues.lock().unwrap_or_else(|e| e.into_inner());
            for (partition, signals) in group.signals.into_iter().enumerate() {
                if !signals.fetched.is_empty() {
                    queues[partition].push(signals.fetched);
                }
            }
        }
        for (reply, positions) in group.appends {
            let _nobody = reply.send(Ok(positions));
        }
        for (reply, _) in group.commits {
            let _nobody = reply.send(Ok(end));
        }
        for (reply, takeover) in group.takeovers {
            let _nobody = reply.send(Ok(Takeover { changelog_end: end, ..takeover }));
        }
    }

    /// There was no room: nothing of the group has happened.
    fn refuse(&self, group: Group) {
        for (reply, commit) in group.commits {
            let forwards = commit.forwards.iter().map(weight).sum();
            self.shared.held.fetch_sub(forwards, Ordering::Relaxed);
            let _nobody = reply.send(Err(CommitError::Full(commit)));
        }
        self.shared.held.fetch_sub(group.appended_bytes, Ordering::Relaxed);
        for (reply, _) in group.appends {
            let _nobody = reply.send(Err(AppendError::Full));
        }
        for (reply, _) in group.takeovers {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            let folder = self.folder.display().to_string();
            let _nobody = reply.send(Err(JournalError::Files { folder, source }));
        }
    }

    fn snapshot_if_due(&mut self) {
        if self.log.end() - self.snapshot_at >= self.snapshot_bytes {
            self.save_snapshot();
        }
    }

    fn save_snapshot(&mut self) {
        if self.log.end() > self.snapshot_at {
            self.snapshot_at = self.log.end();
            self.log.save(snapshot(&self.tails, &self.log));
        }
    }
}

enum Closing {
    Yes,
    No,
}

/// What holding a signal back costs.
pub fn weight(signal: &Append) -> u64 {
    crate::lane::batch::weight(&signal.record) as u64
}

/// A signal as the log stores it: its length, then its record.
pub fn encode(signal: &Append) -> Vec<u8> {
    let mut out = Vec::with_capacity(crate::lane::batch::weight(&signal.record) + LENGTH_BYTES);
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    signal.record.encode(&mut out);
    let length = (out.len() - LENGTH_BYTES) as u32;
    out[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    out
}
