//! What a batch comes to in one partition, in bytes: outputs, states, counts, and the trailer that
//! closes them.

use super::batch::{Batch, Decided, Goes, Group, Item, session_of};
use super::resident::{Outcome, Output};
use crate::attempt::{
    Alarm, AttemptId, Claim, DeadLetter, Effect, Fate, Position, SessionId, SignalId, Stale,
    Timestamp, Verdict,
};
use crate::ports::{Append, Run};
use crate::wire::own::{Own, What};
use crate::wire::prove::{Address, Trust};
use crate::wire::section::{Record, Section};
use crate::wire::signal::{Arrival, HopTo, SignalRecord};
use crate::wire::trailer::{Counts, Mark, TRAILER_KEY, Trailer};
use crate::wire::{Topic, published, state};
use bytes::Bytes;
use smol_str::SmolStr;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What stays the same over all records of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub trust: &'a Trust,
    pub partitions: u32,
    pub at: Timestamp,
    /// `at`, as it is published.
    pub at_text: &'a str,
}

/// Where a partition stands between two batches: what its last trailer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The first signal that nobody has decided.
    pub next: u64,
    pub counts: Counts,
    /// The counts when the last metric summary was written.
    pub summarized: Counts,
    /// The newest second with traffic.
    pub second: i64,
    pub hash: u64,
}

impl From<&Trailer> for Standing {
    fn from(trailer: &Trailer) -> Self {
        Self {
            next: trailer.next,
            counts: trailer.counts,
            summarized: trailer.summarized,
            second: trailer.summary_second,
            hash: trailer.hash,
        }
    }
}

/// In whose name a part is written.
#[derive(Clone, Copy, Debug)]
pub struct Hand<'a> {
    pub writer: &'a str,
    pub epoch: u64,
    pub transaction: u64,
}

/// Writes down what `batch` comes to in `partition`, from where it stands to the trailer. A pure
/// function: the audit calls it again with what is stored and must get the same bytes.
pub fn write(
    scene: Scene<'_>,
    hand: Hand<'_>,
    batch: &Batch,
    decided: &[Decided],
    partition: u32,
    standing: &Standing,
    sums_up: bool,
) -> Written {
    let mut writer = PartWriter::with_room(batch.items.len());
    let mut after = *standing;
    if sums_up {
        let grown = standing.counts.minus(&standing.summarized);
        writer.summary(scene, partition, standing.second, &grown);
        after.summarized = standing.counts;
    }
    let mut input = batch.items.iter().filter(|item| item.position.partition == partition);
    if let Some(last) = input.next_back() {
        writer.batch(scene, batch, decided, partition, &mut after.counts);
        after.next = last.position.offset + 1;
        after.second = scene.at.seconds();
    }
    writer.close(standing.hash, |hash| Trailer {
        writer: hand.writer.to_owned(),
        epoch: hand.epoch,
        transaction: hand.transaction,
        previous: standing.next,
        next: after.next,
        counts: after.counts,
        summarized: after.summarized,
        summary_second: after.second,
        hash,
        at: scene.at,
    })
}

/// Gathers what a batch comes to in one partition.
#[derive(Debug, Default)]
struct PartWriter {
    fulfillments: Section,
    transitions: Section,
    metrics: Section,
    dead_letters: Section,
    attempts: Section,
    /// Where each state stands within `attempts`.
    states: Vec<(SmolStr, Range<usize>)>,
    forwards: Vec<Append>,
    alarms: Vec<(Alarm, SmolStr)>,
    dead: Vec<(DeadLetter, Position)>,
    reads: Vec<SessionId>,
}

/// The part's bytes, the states in them for whoever keeps a view, and what goes elsewhere.
#[derive(Debug)]
pub struct Written {
    pub runs: Vec<Run>,
    pub states: Vec<(SmolStr, Bytes)>,
    pub trailer: Trailer,
    pub forwards: Vec<Append>,
    /// What needs a person, and the stored key that it is about.
    pub alarms: Vec<(Alarm, SmolStr)>,
    pub dead: Vec<(DeadLetter, Position)>,
    /// Sessions to ask 0Gate about.
    pub reads: Vec<SessionId>,
}

impl PartWriter {
    /// Room for what so many items usually come to, to spare most growing and copying.
    fn with_room(items: usize) -> Self {
        Self {
            fulfillments: Section::with_capacity(items * 200),
            transitions: Section::with_capacity(items * 400),
            metrics: Section::with_capacity(items * 80),
            attempts: Section::with_capacity(items * 640),
            ..Self::default()
        }
    }

    /// Writes down everything that `batch` comes to in `partition`: what became of each item in
    /// order, then the newest state of each resident that was told something.
    fn batch(
        &mut self,
        scene: Scene<'_>,
        batch: &Batch,
        decided: &[Decided],
        partition: u32,
        counts: &mut Counts,
    ) {
        for item in batch.items.iter().filter(|item| item.position.partition == partition) {
            let outcome = match item.goes {
                Goes::To { group, task } => {
                    Some((&batch.groups[group], &decided[group].outcomes[task]))
                }
                Goes::On { .. } | Goes::Nowhere | Goes::DeadLetter(_) => None,
            };
            self.item(scene, item, outcome, counts);
        }
        for (group, decided) in batch.groups.iter().zip(decided) {
            if group.partition == partition {
                self.state(scene.at, group.key.clone(), &decided.state);
            }
        }
    }

    fn item(
        &mut self,
        scene: Scene<'_>,
        item: &Item,
        outcome: Option<(&Group, &Outcome)>,
        counts: &mut Counts,
    ) {
        if item.hop().is_some() {
            counts.forwarded_in += 1;
        }
        if let Goes::On { partition, proven } = &item.goes {
            counts.forwarded_out += 1;
            let record = scene.trust.forward(&item.record, HopTo::Home, item.position);
            let proven = Some(proven.clone());
            self.forwards.push(Append { partition: *partition, record, proven });
            return;
        }
        if let Some((group, Outcome { fate: Fate::SentTo(attempt), .. })) = outcome {
            counts.forwarded_out += 1;
            if let Some(session) = session_of(group) {
                self.hand_over(scene, item, &item.record, session, attempt, Arrival::Fresh);
            }
            return;
        }
        if !item.was_released() {
            counts.accept(item.kind);
        }
        match (&item.goes, outcome) {
            (Goes::Nowhere, _) => count(counts, Verdict::Stale(Stale::TestEvent)),
            (Goes::DeadLetter(why), _) => self.dead_letter(scene, item, *why, counts),
            (Goes::To { .. } | Goes::On { .. }, Some((group, outcome))) => {
                self.outcome(scene, item, group, outcome, counts);
            }
            (Goes::To { .. } | Goes::On { .. }, None) => {}
        }
    }

    fn outcome(
        &mut self,
        scene: Scene<'_>,
        item: &Item,
        group: &Group,
        outcome: &Outcome,
        counts: &mut Counts,
    ) {
        let mut dead = None;
        for output in &outcome.outputs {
            match output {
                Output::Effect(Effect::DeadLetter(why)) => dead = Some(*why),
                Output::Effect(effect) => self.effect(scene, group, effect),
                Output::Answer { claim, holder } => self.answer(scene, item, claim, holder),
                Output::Release { session, to, record } => {
                    counts.parked_out += 1;
                    if let Ok(record) = SignalRecord::decode(record) {
                        self.hand_over(scene, item, &record, session, to, Arrival::Released);
                    }
                }
                Output::Read { session } => self.reads.push(session.clone()),
            }
        }
        match (&outcome.fate, dead) {
            (Fate::DeadLetter(why), _) => self.dead_letter(scene, item, *why, counts),
            (Fate::Decided(_), Some(why)) => self.dead_letter(scene, item, why, counts),
            (Fate::Decided(verdict), None) => count(counts, *verdict),
            (Fate::Parked { slot }, _) => {
                counts.parked_in += 1;
                if let Some(session) = session_of(group) {
                    let key = SmolStr::from(state::parked_key(session, *slot));
                    self.state(scene.at, key, &item.record.encoded());
                }
            }
            (Fate::SentTo(_), _) => {}
        }
    }

    fn effect(&mut self, scene: Scene<'_>, group: &Group, effect: &Effect) {
        match effect {
            Effect::Fulfill(fulfillment) => {
                let id = fulfillment.attempt.fulfillment_id();
                let key = fulfillment.attempt.as_str().as_bytes();
                self.fulfillments.push_with(key, id.as_bytes(), scene.at, |out| {
                    published::put_fulfillment(out, fulfillment, scene.at_text);
                });
            }
            Effect::Moved(moved) => {
                let id = numbered(&moved.attempt, moved.sequence);
                let key = moved.attempt.as_str().as_bytes();
                self.transitions.push_with(key, id.as_bytes(), scene.at, |out| {
                    published::put_transition(out, moved, scene.at_text);
                });
            }
            Effect::Outcome(outcome) => {
                let id = numbered(&outcome.attempt, outcome.sequence);
                let key = outcome.attempt.as_str().as_bytes();
                self.metrics.push_with(key, id.as_bytes(), scene.at, |out| {
                    published::put_outcome(out, outcome, scene.at, scene.at_text);
                });
            }
            Effect::Claim { session } => {
                if let Address::Attempt(attempt) = &group.address {
                    self.write_own(
                        scene,
                        format!("claim:{attempt}:{}", short(session)),
                        What::Claim { session: session.clone(), attempt: attempt.clone() },
                    );
                }
            }
            Effect::Read { session } => self.reads.push(session.clone()),
            Effect::Alarm(alarm) => self.alarms.push((*alarm, group.key.clone())),
            Effect::DeadLetter(_) => {}
        }
    }

    /// Each claim has an answer of its own, named by where the claim stands: the same question
    /// may be answered otherwise later.
    fn answer(&mut self, scene: Scene<'_>, item: &Item, claim: &Claim, holder: &AttemptId) {
        self.write_own(
            scene,
            format!("claimed:{}:{}", item.position, claim.attempt),
            What::Answer {
                session: claim.session.clone(),
                attempt: claim.attempt.clone(),
                holder: holder.clone(),
            },
        );
    }

    /// Puts a record of our own into the partition where its address lives.
    fn write_own(&mut self, scene: Scene<'_>, id: String, what: What) {
        // Both names are ids already, and short ones: see `short`.
        let Ok(id) = SignalId::parse(&id) else { return };
        let (record, proven) = scene.trust.write(&Own { id, at: scene.at, what });
        if let Some(partition) = proven.to.home(scene.partitions) {
            self.forwards.push(Append { partition, record, proven: Some(proven) });
        }
    }

    fn hand_over(
        &mut self,
        scene: Scene<'_>,
        item: &Item,
        record: &SignalRecord,
        session: &SessionId,
        attempt: &AttemptId,
        arrival: Arrival,
    ) {
        let to = HopTo::Claim { session: session.clone(), attempt: attempt.clone(), arrival };
        let record = scene.trust.forward(record, to, item.position);
        if let Some(partition) = scene.trust.address(attempt).home(scene.partitions) {
            self.forwards.push(Append { partition, record, proven: None });
        }
    }

    /// The original bytes and the reason, for a person. The topic is restricted: these are bodies.
    fn dead_letter(&mut self, scene: Scene<'_>, item: &Item, why: DeadLetter, counts: &mut Counts) {
        counts.dead_lettered += 1;
        self.dead.push((why, item.position));
        let position = item.position.to_string();
        self.dead_letters.push_with(why.word().as_bytes(), position.as_bytes(), scene.at, |out| {
            item.record.encode(out)
        });
    }

    fn state(&mut self, at: Timestamp, key: SmolStr, value: &[u8]) {
        self.attempts.push(Record { key: key.as_bytes(), id: b"", at, value });
        let end = self.attempts.bytes().len();
        self.states.push((key, end - value.len()..end));
    }

    /// One metric record for a second that is over: how much the counts grew in it. It stands
    /// outside of the fold, because when it is written depends on when traffic comes.
    fn summary(&mut self, scene: Scene<'_>, partition: u32, second: i64, grown: &Counts) {
        let id = format!("{partition}.{second}");
        let key = partition.to_string();
        let at = published::rfc3339(Timestamp::from_seconds(second));
        self.metrics.push_with(key.as_bytes(), id.as_bytes(), scene.at, |out| {
            published::put_summary(out, partition, grown, &at);
        });
    }

    /// Closes the part: the hash over everything written, then the trailer that names it.
    fn close(mut self, previous_hash: u64, trailer: impl FnOnce(u64) -> Trailer) -> Written {
        let sections = [
            (Topic::Fulfillments, &self.fulfillments),
            (Topic::Transitions, &self.transitions),
            (Topic::Metrics, &self.metrics),
            (Topic::DeadLetters, &self.dead_letters),
            (Topic::Attempts, &self.attempts),
        ];
        let hash = rolled(previous_hash, sections.map(|(_, section)| section.bytes()));
        let trailer = trailer(hash);
        self.attempts.push_with(TRAILER_KEY, b"", trailer.at, |out| {
            Mark::Trailer(trailer.clone()).encode(out);
        });
        let attempts = self.attempts.freeze();
        let states =
            self.states.into_iter().map(|(key, range)| (key, attempts.1.slice(range))).collect();
        let runs = [
            (Topic::Fulfillments, self.fulfillments.freeze()),
            (Topic::Transitions, self.transitions.freeze()),
            (Topic::Metrics, self.metrics.freeze()),
            (Topic::DeadLetters, self.dead_letters.freeze()),
            (Topic::Attempts, attempts),
        ]
        .into_iter()
        .filter(|(_, (count, _))| *count > 0)
        .map(|(topic, (count, bytes))| Run { topic, count, bytes })
        .collect();
        let Self { forwards, alarms, dead, reads, .. } = self;
        Written { runs, states, trailer, forwards, alarms, dead, reads }
    }
}

/// The hash of a partition's outputs, rolled on over one more part: the bytes of each topic in the
/// order of [`Topic::OUTPUTS`], without the trailer that will name the hash.
pub fn rolled<'a>(previous: u64, outputs: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    outputs.into_iter().fold(previous, |hash, bytes| xxh3_64_with_seed(bytes, hash))
}

fn count(counts: &mut Counts, verdict: Verdict) {
    let counter = match verdict {
        Verdict::Applied => &mut counts.applied,
        Verdict::Duplicate => &mut counts.duplicate,
        Verdict::Stale(_) => &mut counts.stale,
        Verdict::Contradiction(_) => &mut counts.contradiction,
    };
    *counter += 1;
}

fn numbered(attempt: &AttemptId, sequence: u64) -> String {
    format!("{attempt}.{sequence}")
}

/// A session's name within an id of ours: the name itself, or its digest where it is long, so that
/// what is put together stays an id.
fn short(session: &SessionId) -> String {
    const NAME_BYTES_MAX: usize = 100;
    if session.as_str().len() <= NAME_BYTES_MAX {
        return session.to_string();
    }
    crate::webhook::digest(session.as_str().as_bytes()).to_string()
}
