//! One partition: its signals until they are decided, who owns it, the states as they stand, and
//! each part decided again from them.

use super::counts;
use super::difference::{differences, trailer_fields};
use super::invariant::Invariant;
use super::report::Findings;
use crate::attempt::{Attempt, DeadLetter, Mode};
use crate::lane::batch::{Batch, Decided, Goes};
use crate::lane::part::{self, Hand, Scene, Standing, Written};
use crate::lane::resident::Resident;
use crate::ports::Fetched;
use crate::wire::prove::{Proven, Trust};
use crate::wire::published::rfc3339;
use crate::wire::seal::SigningKeys;
use crate::wire::section::{Record, Section, records};
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer};
use crate::wire::{Topic, state};
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

/// What a journal is kept in, as far as a proof depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Our own log. Nobody else writes into it, and no offset is left out.
    Log,
    /// Topics. Anybody may write a signal; markers and what was aborted take offsets of their own.
    Topics,
}

/// An address in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A frame of the log.
    Frame(u64),
    /// A record of the partition's `attempts`.
    Offset(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(lsn) => write!(f, "frame {lsn}"),
            Self::Offset(offset) => write!(f, "offset {offset} of attempts"),
        }
    }
}

/// Where something stands, for a witness.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: u32,
    pub at: At,
    /// Epoch and transaction of the trailer that closes the part.
    pub batch: Option<(u64, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, ", self.partition)?;
        if let Some((epoch, transaction)) = self.batch {
            write!(f, "batch {epoch}.{transaction}, ")?;
        }
        write!(f, "{}", self.at)
    }
}

/// What one transaction made of one partition, as it is stored.
#[derive(Debug)]
pub struct StoredPart {
    pub place: Place,
    pub runs: Vec<StoredRun>,
    pub trailer: Trailer,
}

/// The records of one topic within a part.
#[derive(Clone, Debug)]
pub struct StoredRun {
    pub topic: Topic,
    pub bytes: Bytes,
}

impl StoredPart {
    /// The records of one topic; nothing where there are none.
    pub fn bytes(&self, topic: Topic) -> &[u8] {
        of_topic(&self.runs, topic)
    }
}

/// The records of one topic; nothing where there are none.
pub fn of_topic(runs: &[StoredRun], topic: Topic) -> &[u8] {
    runs.iter().find(|run| run.topic == topic).map_or(&[], |run| &run.bytes)
}

pub struct Partition {
    pub index: u32,
    /// The offset of the next signal; unknown before the first of a journal that begins later.
    pub next_offset: Option<u64>,
    pub waiting: VecDeque<Fetched>,
    pub owner: Option<Owner>,
    /// Unknown before the first trailer of a journal that begins later.
    pub standing: Option<Standing>,
    transaction: u64,
    /// Stored states by key, as the newest part left them.
    pub states: HashMap<Box<str>, Box<[u8]>>,
    /// Every part since the first is known, so that the next one must follow.
    chained: bool,
    /// A key without a state has never had one.
    complete: bool,
    medium: Medium,
}

/// Signals of a part that have been proven, and those that could not be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seals {
    pub hold: u64,
    pub broken: u64,
}

impl Partition {
    pub fn new(index: u32, whole: bool, medium: Medium) -> Self {
        Self {
            index,
            next_offset: whole.then_some(0),
            waiting: VecDeque::new(),
            owner: None,
            standing: whole.then(Standing::default),
            transaction: 0,
            states: HashMap::new(),
            chained: whole,
            complete: whole,
            medium,
        }
    }

    /// Whether `mark` can be what comes right after what is known.
    pub fn follows(&self, mark: &Mark) -> bool {
        let next = self.standing.as_ref().map(|standing| standing.next);
        let (epoch, writes) = match mark {
            Mark::Owner(owner) => (owner.epoch, owner.next),
            Mark::Trailer(trailer) => (trailer.epoch, trailer.previous),
        };
        let of_owner = match (&self.owner, mark) {
            (Some(owner), Mark::Trailer(trailer)) => {
                owner.epoch == epoch && trailer.transaction == self.transaction + 1
            }
            (Some(owner), Mark::Owner(_)) => owner.epoch < epoch,
            (None, Mark::Owner(_)) => true,
            (None, Mark::Trailer(_)) => false,
        };
        of_owner && next.is_none_or(|next| next == writes)
    }

    /// Parts before `mark` were compacted away. What is left of them is the newest of every state,
    /// and that is all of it.
    pub fn lapse(&mut self, mark: &Mark) {
        self.chained = false;
        self.standing = None;
        self.transaction = 0;
        if let Mark::Trailer(trailer) = mark
            && self.owner.as_ref().is_some_and(|owner| owner.epoch != trailer.epoch)
        {
            self.owner = None;
        }
    }

    /// By what this partition's signals are believed.
    pub fn trust(&self, keys: &SigningKeys) -> Trust {
        let mode = self.owner.as_ref().map_or(Mode::Test, |owner| owner.mode);
        Trust { keys: keys.clone(), mode }
    }

    pub fn owned(&mut self, owner: Owner, place: Place, findings: &mut Findings) {
        let mut add = |what: String| {
            findings.add(Invariant::Fenced, None, format!("{what}: the owner record in {place}"));
        };
        if let Some(before) = &self.owner
            && owner.epoch <= before.epoch
        {
            add(format!("epoch {} comes after epoch {}", owner.epoch, before.epoch));
            return;
        }
        if let Some(standing) = &self.standing
            && owner.next != standing.next
        {
            add(format!("it begins at {}, and {} is next", owner.next, standing.next));
        }
        self.transaction = 0;
        self.owner = Some(owner);
    }

    /// Checks that the part is its owner's and follows the one before; then takes the signals that
    /// it decided. They are complete only where all of them are there.
    pub fn take(&mut self, stored: &StoredPart, findings: &mut Findings) -> (Vec<Fetched>, bool) {
        let StoredPart { place, trailer, .. } = stored;
        let mut fenced = |what: String| {
            findings.add(Invariant::Fenced, None, format!("{what}: the trailer in {place}"));
        };
        let mut follows = true;
        match &self.owner {
            None if self.chained => fenced("nobody owned the partition".to_owned()),
            None => {}
            Some(owner) => {
                let known = self.chained || self.transaction > 0;
                if trailer.epoch != owner.epoch {
                    let (is, epoch) = (trailer.epoch, owner.epoch);
                    fenced(format!("it is of epoch {is}, and epoch {epoch} owns the partition"));
                } else if trailer.writer != owner.writer {
                    fenced("it is of another writer than the owner".to_owned());
                } else if known && trailer.transaction != self.transaction + 1 {
                    let (is, last) = (trailer.transaction, self.transaction);
                    fenced(format!("transaction {is} comes after transaction {last}"));
                }
            }
        }
        if let Some(standing) = &self.standing
            && trailer.previous != standing.next
        {
            follows = false;
            let (begins, next) = (trailer.previous, standing.next);
            fenced(format!("it begins at signal {begins}, and {next} is next"));
        }
        while self.waiting.front().is_some_and(|first| first.position.offset < trailer.previous) {
            self.waiting.pop_front();
        }
        let there = self.waiting.partition_point(|signal| signal.position.offset < trailer.next);
        let inputs: Vec<_> = self.waiting.drain(..there).collect();
        let count = match self.medium {
            Medium::Log => trailer.next.saturating_sub(trailer.previous),
            // One that is missing shows in the counts, and in what was made of it.
            Medium::Topics => there as u64,
        };
        let complete = inputs.len() as u64 == count;
        if !complete && follows && self.standing.is_some() {
            let what = format!("{count} signals were decided, and {there} are there: {place}");
            findings.add(Invariant::NoLostAck, None, what);
        }
        (inputs, complete && follows)
    }

    /// Looks at the counts, decides the part again where that can be done, and compares. Says what
    /// the part sends on, as far as that is known.
    pub fn prove(
        &mut self,
        stored: &StoredPart,
        inputs: Option<Vec<Fetched>>,
        keys: &SigningKeys,
        seals: &mut Seals,
        findings: &mut Findings,
    ) -> Option<Written> {
        let place = stored.place;
        let (Some(inputs), Some(standing)) = (inputs, self.standing) else { return None };
        for wrong in counts::part(&standing, &stored.trailer, &inputs, self.medium) {
            findings.add(Invariant::Conservation, None, format!("{wrong}: {place}"));
        }
        let owner = self.owner.clone()?;
        let trust = self.trust(keys);
        let inputs = refuse_deadly(inputs, stored);
        let mut batch = Batch::new(stored.trailer.at, inputs, &trust, owner.partitions);
        for item in &batch.items {
            if matches!(item.goes, Goes::DeadLetter(DeadLetter::Unproven)) {
                seals.broken += 1;
                if self.medium == Medium::Topics {
                    continue;
                }
                let at = item.position;
                let what = format!("the seal of signal {at} does not hold over its bytes");
                findings.add(Invariant::NoLostAck, None, format!("{what}: decided in {place}"));
            } else {
                seals.hold += 1;
            }
        }
        refuse_panicked(&mut batch, stored);
        let decided = self.decide(&batch, &owner)?;
        let at_text = rfc3339(batch.at);
        let partitions = owner.partitions;
        let scene = Scene { trust: &trust, partitions, at: batch.at, at_text: &at_text };
        let Trailer { writer, epoch, transaction, .. } = &stored.trailer;
        let hand = Hand { writer, epoch: *epoch, transaction: *transaction };
        // When a second is summed up depends on when traffic came, so that is taken from the
        // trailer; what the summary says is not.
        let sums_up = stored.trailer.summarized != standing.summarized;
        let written = part::write(scene, hand, &batch, &decided, self.index, &standing, sums_up);
        compare(stored, &written, &standing, findings);
        Some(written)
    }

    /// Lets everybody decide again, from the states as they are stored. `None` where a state is
    /// from before the journal, or cannot be read.
    fn decide(&self, batch: &Batch, owner: &Owner) -> Option<Vec<Decided>> {
        let mut decided = Vec::with_capacity(batch.groups.len());
        for group in &batch.groups {
            let mut resident = match self.states.get(group.key.as_str()) {
                Some(stored) => Resident::decode(&group.address, stored).ok()?,
                None if self.complete => Resident::unseen(&group.address)?,
                None => return None,
            };
            let parked = resident.parked_keys();
            if !parked.is_empty() {
                let records = parked.iter().map(|key| self.states.get(key.as_str()));
                let records: Option<Vec<_>> =
                    records.map(|found| found.map(|bytes| Bytes::copy_from_slice(bytes))).collect();
                resident = resident.with_parked(records?);
            }
            let outcomes =
                group.tasks.iter().map(|task| resident.decide(task, &owner.policy)).collect();
            let mut state = vec![];
            resident.encode(&mut state);
            decided.push(Decided { outcomes, state: Bytes::from(state) });
        }
        Some(decided)
    }

    /// Goes on from what is stored, so that one mistake is told once.
    pub fn follow(&mut self, stored: &StoredPart) {
        self.keep(stored.bytes(Topic::Attempts));
        self.transaction = stored.trailer.transaction;
        self.standing = Some(Standing::from(&stored.trailer));
    }

    /// Keeps the states of a run.
    pub fn keep(&mut self, states: &[u8]) {
        for record in records(states).map_while(Result::ok) {
            let Ok(key) = std::str::from_utf8(record.key) else { continue };
            if record.key == TRAILER_KEY {
                continue;
            }
            match self.states.get_mut(key) {
                Some(state) => *state = Box::from(record.value),
                None => {
                    self.states.insert(Box::from(key), Box::from(record.value));
                }
            }
        }
    }

    /// Every attempt that is stored here; the keys of what cannot be read go to `unreadable`.
    pub fn attempts(&self, mut each: impl FnMut(&Attempt), mut unreadable: impl FnMut(&str)) {
        for (key, bytes) in &self.states {
            let read = state::decode_attempt_at(key.as_bytes(), bytes)
                .map(|attempt| attempt.iter().for_each(&mut each));
            if read.is_err() {
                unreadable(key);
            }
        }
    }
}

/// That a decision panicked is a fact about the build that made it, and stands in the journal as a
/// dead letter; it is not decided again.
fn refuse_panicked(batch: &mut Batch, stored: &StoredPart) {
    let panicked = dead_letters(stored, DeadLetter::Panicked);
    if panicked.is_empty() {
        return;
    }
    for item in &batch.items {
        if let Goes::To { group, task } = item.goes
            && panicked.contains(&item.position.to_string())
        {
            batch.groups[group].refuse_panicked(task);
        }
    }
}

/// What ended the processes that looked into it is a dead letter, and is not looked into again.
fn refuse_deadly(mut inputs: Vec<Fetched>, stored: &StoredPart) -> Vec<Fetched> {
    let why = DeadLetter::EndedTheProcess;
    let deadly = dead_letters(stored, why);
    if !deadly.is_empty() {
        for input in &mut inputs {
            if deadly.contains(&input.position.to_string()) {
                input.proven = Some(Proven::refused_unread(&input.record, why));
            }
        }
    }
    inputs
}

/// The positions of signals that a part made dead letters for this reason.
fn dead_letters(stored: &StoredPart, why: DeadLetter) -> HashSet<String> {
    records(stored.bytes(Topic::DeadLetters))
        .map_while(Result::ok)
        .filter(|record| record.key == why.word().as_bytes())
        .map(|record| String::from_utf8_lossy(record.id).into_owned())
        .collect()
}

fn compare(stored: &StoredPart, written: &Written, standing: &Standing, findings: &mut Findings) {
    let ours = |topic| {
        written.runs.iter().find(|run| run.topic == topic).map_or(&[][..], |run| &run.bytes)
    };
    // The trailer stands in the last run and holds the hash over all of them.
    if Topic::OUTPUTS.iter().all(|topic| ours(*topic) == stored.bytes(*topic)) {
        return;
    }
    let place = stored.place;
    let mut told = false;
    let mut add = |of: Option<&str>, what: String| {
        told = true;
        findings.add(Invariant::Fold, of, format!("{what}: {place}"));
    };
    let (ours_trailed, theirs_trailed) = (trailed(&written.trailer), trailed(&stored.trailer));
    for topic in Topic::OUTPUTS {
        let (mut ours, mut theirs) = (ours(topic), stored.bytes(topic));
        if topic == Topic::Attempts {
            ours = &ours[..ours.len().saturating_sub(ours_trailed)];
            theirs = &theirs[..theirs.len().saturating_sub(theirs_trailed)];
        }
        if ours != theirs {
            for found in differences(topic, ours, theirs) {
                add(found.of.as_deref(), found.what);
            }
        }
    }
    let fields = trailer_fields(&written.trailer, &stored.trailer);
    if !fields.is_empty() {
        add(None, format!("the trailer differs in {}", fields.join(", ")));
    }
    let outputs = Topic::OUTPUTS.map(|topic| {
        let bytes = stored.bytes(topic);
        let trailer = if topic == Topic::Attempts { theirs_trailed } else { 0 };
        &bytes[..bytes.len().saturating_sub(trailer)]
    });
    if part::rolled(standing.hash, outputs) != stored.trailer.hash {
        add(None, "the rolling hash of the trailer is not that of the stored bytes".to_owned());
    }
    if !told {
        let what = format!("the stored bytes differ in what no field tells: {place}");
        findings.add(Invariant::Fold, None, what);
    }
}

/// The bytes that a trailer takes at the end of its run.
fn trailed(trailer: &Trailer) -> usize {
    let mut value = vec![];
    Mark::Trailer(trailer.clone()).encode(&mut value);
    let mut section = Section::default();
    section.push(Record { key: TRAILER_KEY, id: b"", at: trailer.at, value: &value });
    section.bytes().len()
}
