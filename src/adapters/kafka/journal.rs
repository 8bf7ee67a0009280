//! The Journal port over Kafka.

mod found;

use super::changelog::{Changelog, Readers, released};
use super::inbox::{Inbox, InboxIntake};
use super::ingress::Ingress;
use super::membership::Membership;
use super::settings::{HEARTBEAT, KafkaOptions};
use super::writer::{WriteError, Writer, Writers};
use crate::attempt::Position;
use crate::ports::{
    Append, AppendError, Commit, CommitError, Committed, Doubt, Journal, JournalError, Replayed,
    Seat, Takeover,
};
use crate::wire::Topic;
use crate::wire::admit::Admission;
use crate::wire::trailer::{Owner, Tries};
use found::Found;
use rdkafka::error::KafkaError;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How long to hold still after somebody else wrote under our name. It is the newer one: by then the
/// group has said so, and this process ends. Taking the name back at once would fence it in turn.
/// librdkafka looks once a second whether a heartbeat is due, and the answer must come.
const AFTER_A_FENCE: Duration = Duration::from_millis(1_500);
const _: () = assert!(AFTER_A_FENCE.as_millis() > 1_000 + HEARTBEAT.as_millis());

/// Tries to take a partition over. A group that moves settles within a heartbeat or two; after that
/// two processes must have one name, or the brokers take nothing.
const TAKES_MAX: u32 = 3;

#[derive(Clone)]
pub struct KafkaJournal(Arc<Shared>);

struct Shared {
    options: KafkaOptions,
    /// The `attempts` topic.
    attempts: String,
    fulfillments: String,
    ingress: Ingress,
    members: Membership,
    writers: Arc<Writers>,
    /// One for each lane.
    readers: Vec<Mutex<Readers>>,
    held: Mutex<BTreeMap<u32, Held>>,
    /// This life of the process.
    life: u64,
    /// How often each partition was asked for or let go of. A take-over goes on in its thread when
    /// nobody waits for it any more; by this number it knows, and leaves the partition alone.
    turns: Mutex<BTreeMap<u32, u64>>,
    /// Names that this process has initialized producers of. Whoever had one before is fenced.
    initialized: Mutex<BTreeSet<String>>,
    /// Names of others that were fenced, and in which generation of the group. Whoever had a partition
    /// before this generation is fenced once, however many it had.
    fenced: Mutex<(Option<i32>, BTreeSet<String>)>,
}

/// A partition that this process has taken over.
#[derive(Clone, Debug)]
struct Held {
    epoch: u64,
    /// The first signal that no commit of ours covers.
    next: u64,
    /// As it was taken over.
    owner: Arc<Owner>,
    /// Whether the lane commits under it; not while it is taken over anew.
    current: bool,
}

/// What a take-over came to.
enum Tried {
    Taken(Takeover),
    /// The group has moved on meanwhile: what was read may be of before somebody else had it.
    Moved,
    /// The owner record was not written: somebody else wrote under our name, or the group has moved.
    NotWritten,
}

impl KafkaJournal {
    /// Joins the group. Partitions come to the lanes from here on.
    pub async fn open(
        options: KafkaOptions,
        admission: Arc<Admission>,
    ) -> Result<Self, JournalError> {
        let opening = spawn_blocking(move || Shared::open(options, admission));
        let shared = opening.await.map_err(|_| JournalError::Closed)?;
        Ok(Self(Arc::new(shared.map_err(brokers)?)))
    }

    /// Leaves the group. What the lanes have decided is committed; what they have not comes to whoever
    /// has the partitions next.
    pub async fn close(&self) {
        let leaving = self.blocking(|shared| {
            let held: Vec<u32> = shared.held().keys().copied().collect();
            shared.release(&held);
            shared.members.leave();
        });
        let _panicked = leaving.await;
    }

    /// Leaves the group without a word in the partitions: a lane ended of what is in one of them, and
    /// whoever has that next counts it.
    pub async fn abandon(&self) {
        let _panicked = self.blocking(|shared| shared.members.leave()).await;
    }

    /// Records of each partition of ours after the last decided one, as far as the brokers have said
    /// by themselves: nobody is asked. A transaction's own mark counts as a record, so that a
    /// partition that something was forwarded to may stay at one.
    pub fn lags(&self) -> Vec<(u32, u64)> {
        let held = self.0.held().clone();
        let lag = |(partition, held): (u32, Held)| {
            let end = self.0.members.known_end(partition)?;
            Some((partition, end.saturating_sub(held.next)))
        };
        held.into_iter().filter_map(lag).collect()
    }

    /// Whether the brokers gave the name of this process to another, so that it ends.
    pub fn is_replaced(&self) -> bool {
        self.0.members.is_replaced()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Option<T> {
        let shared = Arc::clone(&self.0);
        spawn_blocking(move || what(&shared)).await.ok()
    }
}

impl Shared {
    fn open(options: KafkaOptions, admission: Arc<Admission>) -> Result<Self, KafkaError> {
        let topics = options.topics();
        let signals = topics.name(Topic::Signals);
        let lanes = options.lanes.max(1);
        let inboxes: Vec<Inbox> = (0..lanes).map(|_| Inbox::default()).collect();
        let writers = Arc::new(Writers::new(lanes));
        Ok(Self {
            attempts: topics.name(Topic::Attempts),
            fulfillments: topics.name(Topic::Fulfillments),
            ingress: Ingress::open(&options, signals.clone())?,
            members: Membership::join(&options, signals, inboxes, Arc::clone(&writers), admission)?,
            writers,
            readers: (0..lanes)
                .map(|_| Readers::open(&options).map(Mutex::new))
                .collect::<Result<_, _>>()?,
            held: Mutex::default(),
            life: getrandom::u64()
                .map_err(|error| KafkaError::ClientCreation(error.to_string()))?,
            turns: Mutex::default(),
            initialized: Mutex::default(),
            fenced: Mutex::default(),
            options,
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u32, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whatever was under way for a partition is over. Says which turn it is now.
    fn next_turn(&self, partition: u32) -> u64 {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.entry(partition).or_default();
        *turn += 1;
        *turn
    }

    fn is_turn(&self, partition: u32, turn: u64) -> bool {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.get(&partition) == Some(&turn)
    }

    fn readers(&self, partition: u32) -> MutexGuard<'_, Readers> {
        let readers = &self.readers[self.writers.seat(partition)];
        readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changelog<'a>(&'a self, readers: &'a Readers, partition: u32) -> Changelog<'a> {
        Changelog { readers, topic: &self.attempts, partition }
    }

    fn commit(&self, commit: &Commit) -> Result<Committed, CommitError> {
        let seat = commit.parts.first().map_or(0, |part| self.writers.seat(part.partition));
        let mut slot = self.writers.lock(seat);
        let Some(writer) = slot.as_ref() else {
            return Err(CommitError::InDoubt(Doubt::NoWriter));
        };
        for part in &commit.parts {
            let partition = part.partition;
            let held =
                self.held().get(&partition).map(|held| (held.current, held.epoch, held.next));
            let Some(held) = held else {
                // A take-over or a release threw the writer away, and the lane has not heard of it.
                return Err(CommitError::InDoubt(Doubt::NoWriter));
            };
            let follows = held == (true, part.trailer.epoch, part.trailer.previous);
            let ours = follows && self.members.has(partition);
            if !ours || self.writers.seat(partition) != seat {
                return Err(CommitError::Fenced { partition });
            }
        }
        match writer.commit(&self.members, commit) {
            Ok(committed) => {
                let mut held = self.held();
                for part in &commit.parts {
                    if let Some(held) = held.get_mut(&part.partition) {
                        held.next = part.trailer.next;
                    }
                }
                Ok(committed)
            }
            // Known not to have happened, by a writer that is as good as before. What the lane remembers
            // is of before it, and is read anew.
            Err(error @ WriteError::Refused) => {
                tracing::info!(%error, lane = seat, "taking over anew");
                Err(CommitError::InDoubt(error.doubt()))
            }
            Err(error) => {
                tracing::warn!(%error, lane = seat, "a commit is in doubt; what happened is read");
                self.distrust(&mut slot, seat);
                if matches!(error, WriteError::Fenced) {
                    std::thread::sleep(AFTER_A_FENCE);
                }
                Err(CommitError::InDoubt(error.doubt()))
            }
        }
    }

    /// Throws a writer away, with what was known of where its partitions stand.
    fn distrust(&self, slot: &mut Option<Writer>, seat: usize) {
        *slot = None;
        self.held().retain(|partition, _| self.writers.seat(*partition) != seat);
    }

    fn initialized(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.initialized.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a name is of this process, as it runs now: with another number of lanes it wrote
    /// under others, and those are fenced once.
    fn has_initialized(&self, name: &str) -> bool {
        self.initialized().contains(name)
    }

    fn initialize(&self, name: &str) -> Result<Writer, JournalError> {
        let writer = Writer::open(&self.options, name).map_err(written)?;
        self.initialized().insert(name.to_owned());
        Ok(writer)
    }

    /// Ends what somebody else may have open under its name. It may live, and take its name back:
    /// then it is fenced again by whoever meets it.
    fn fence(&self, other: &str) -> Result<(), JournalError> {
        let of_ours = other.strip_prefix(&self.options.writer_name());
        if of_ours.is_some_and(|seat| seat.starts_with('/')) {
            self.initialize(other)?;
            return Ok(());
        }
        let generation = self.members.generation();
        if generation.is_some() && self.was_fenced_in(generation, other) {
            return Ok(());
        }
        let fencing = Writer::open(&self.options, other).map_err(written)?;
        tracing::info!(other, "took the name of a former owner, and ended what it had open");
        // Its end takes a while, and nobody need wait for that.
        std::thread::spawn(move || drop(fencing));
        let (of, names) = &mut *self.fenced();
        if *of == generation {
            names.insert(other.to_owned());
        }
        Ok(())
    }

    fn fenced(&self) -> MutexGuard<'_, (Option<i32>, BTreeSet<String>)> {
        self.fenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_fenced(&self) {
        self.fenced().1.clear();
    }

    fn was_fenced_in(&self, generation: Option<i32>, name: &str) -> bool {
        let mut fenced = self.fenced();
        if fenced.0 != generation {
            *fenced = (generation, BTreeSet::new());
        }
        fenced.1.contains(name)
    }

    fn take_over(
        &self,
        partition: u32,
        turn: u64,
        owner: &Owner,
    ) -> Result<Takeover, JournalError> {
        for _ in 0..TAKES_MAX {
            if self.members.is_replaced() {
                return Err(JournalError::Replaced);
            }
            if self.members.is_leaving(partition) {
                return Err(JournalError::NotAssigned { partition });
            }
            match self.try_to_take_over(partition, turn, owner)? {
                Tried::Taken(taken) => return Ok(taken),
                Tried::Moved => {}
                Tried::NotWritten => std::thread::sleep(AFTER_A_FENCE),
            }
        }
        if self.members.has(partition) {
            let why = format!("partition {partition} was not taken over in {TAKES_MAX} tries");
            return Err(JournalError::Brokers(why));
        }
        Err(JournalError::NotAssigned { partition })
    }

    fn flow(&self, partition: u32) -> Result<(), JournalError> {
        let held = self.held().get(&partition).cloned();
        match held.filter(|held| held.current && self.members.has(partition)) {
            Some(held) => self.members.flow(partition, held.next).map_err(brokers),
            None => Err(JournalError::NotAssigned { partition }),
        }
    }

    fn try_to_take_over(
        &self,
        partition: u32,
        turn: u64,
        owner: &Owner,
    ) -> Result<Tried, JournalError> {
        let seat = self.writers.seat(partition);
        let name = self.options.writer(seat);
        let generation = {
            let mut slot = self.writers.lock(seat);
            if !self.is_turn(partition, turn) {
                return Err(JournalError::NotAssigned { partition });
            }
            self.members.stop_flow(partition);
            if let Some(held) = self.held().get_mut(&partition) {
                held.current = false;
            }
            if !self.members.has(partition) {
                return Err(JournalError::NotAssigned { partition });
            }
            if slot.is_none() {
                *slot = Some(self.initialize(&name)?);
            }
            self.members.generation()
        };
        // The lane goes on with its other partitions while this one is read.
        let Some(Found { marks, next, fenced }) = self.found(partition, owner)? else {
            return Ok(Tried::Moved);
        };
        let slot = &mut *self.writers.lock(seat);
        let is_ours = self.members.has(partition) && !self.members.is_leaving(partition);
        if !is_ours || !self.is_turn(partition, turn) {
            return Err(JournalError::NotAssigned { partition });
        }
        if generation.is_none() || self.members.generation() != generation {
            return Ok(Tried::Moved);
        }
        // A commit of the lane was in doubt meanwhile.
        let Some(writer) = slot.as_ref() else { return Ok(Tried::Moved) };
        let epoch = marks.epoch() + 1;
        let asked = Tries { life: self.life, ..owner.tries };
        let tries = Tries::after(marks.undecided(), next, asked);
        let owner = Owner { writer: name, epoch, next, tries, ..owner.clone() };
        let changelog_end = match writer.take_over(&self.members, partition, &owner) {
            Ok(end) => end,
            Err(WriteError::Refused) => return Ok(Tried::Moved),
            Err(error) => {
                tracing::warn!(%error, partition, "not taken over; trying again");
                self.distrust(slot, seat);
                return Ok(Tried::NotWritten);
            }
        };
        let owner = Arc::new(owner);
        self.held().insert(partition, Held { epoch, next, owner, current: true });
        Ok(Tried::Taken(Takeover { epoch, trailer: marks.trailer, changelog_end, fenced, tries }))
    }

    /// Says of partitions that nobody here writes in them any more, so that whoever has them next
    /// need not fence us. Where it cannot be said for certain, they will.
    fn release(&self, partitions: &[u32]) {
        for partition in partitions {
            self.next_turn(*partition);
        }
        for seat in 0..self.readers.len() {
            let mut slot = self.writers.lock(seat);
            let released: Vec<(u32, Owner)> = partitions
                .iter()
                .filter(|partition| self.writers.seat(**partition) == seat)
                .filter_map(|partition| {
                    let Held { epoch, next, owner, .. } = self.held().remove(partition)?;
                    let writer = released(&owner.writer);
                    let epoch = epoch + 1;
                    let tries = Tries { life: Tries::LET_GO, now_alone: false, ..owner.tries };
                    let released = Owner { writer, epoch, next, tries, ..Owner::clone(&owner) };
                    Some((*partition, released))
                })
                .collect();
            let Some(writer) = slot.as_ref().filter(|_| !released.is_empty()) else { continue };
            if let Err(error) = writer.release(&self.members, &released) {
                tracing::warn!(%error, lane = seat, "not released; whoever is next fences this lane");
                self.distrust(&mut slot, seat);
                // Brokers that do not answer are not asked once more by the next lane: an end waits.
                break;
            }
        }
    }
}

impl Journal for KafkaJournal {
    type Intake = InboxIntake;

    fn partitions(&self) -> u32 {
        self.0.options.partitions
    }

    async fn append(&self, signals: Vec<Append>) -> Result<Vec<Position>, AppendError> {
        self.0.ingress.append(signals).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let done = self.blocking(move |shared| shared.commit(&commit)).await;
        done.unwrap_or(Err(CommitError::InDoubt(Doubt::ThreadEnded)))
    }

    async fn take_over(&self, partition: u32, owner: &Owner) -> Result<Takeover, JournalError> {
        let owner = owner.clone();
        // Counted here and not in the thread, so that the order is the lane's.
        let turn = self.0.next_turn(partition);
        let done = self.blocking(move |shared| shared.take_over(partition, turn, &owner)).await;
        done.unwrap_or(Err(JournalError::Closed))
    }

    async fn release(&self, partitions: &[u32]) {
        let partitions = partitions.to_vec();
        let _panicked = self.blocking(move |shared| shared.release(&partitions)).await;
    }

    async fn flow(&self, partition: u32) -> Result<(), JournalError> {
        let done = self.blocking(move |shared| shared.flow(partition)).await;
        done.unwrap_or(Err(JournalError::Closed))
    }

    fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError> {
        let readers = self.0.readers(partition);
        Ok(self.0.changelog(&readers, partition).replay(from, each)?)
    }

    fn intake(&self, seat: Seat) -> InboxIntake {
        InboxIntake(self.0.members.inbox(seat))
    }
}

fn brokers(error: KafkaError) -> JournalError {
    JournalError::Brokers(error.to_string())
}

fn written(error: WriteError) -> JournalError {
    JournalError::Brokers(error.to_string())
}
