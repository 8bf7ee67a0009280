//! An audit of topics: from records to parts, one partition after the other.
//!
//! `attempts` is compacted. Where its older parts are gone, the newest of every state is left, and
//! from there on everything is decided again; what was published before is held against its history
//! and its signals alone. Others may write meanwhile: what stands behind where the audit began is
//! in flight.

use super::AuditError;
use super::auditor::Auditor;
use super::forwards::needs_original;
use super::invariant::Invariant;
use super::partition::{At, Medium, Place, StoredPart, StoredRun};
use super::report::{Extent, Progress, Report};
use super::sent::{Sent, Unmatched};
use crate::adapters::kafka::{Changed, Output, Past, Tail};
use crate::ports::Fetched;
use crate::wire::Topic;
use crate::wire::seal::SigningKeys;
use crate::wire::section::{Record, Section};
use crate::wire::trailer::{Mark, ROUTING_VERSION, TRAILER_KEY, Trailer};
use bytes::Bytes;
use std::time::Duration;

/// The topics that are kept for ever, beside the changelog.
const PUBLISHED: [Topic; 4] =
    [Topic::Fulfillments, Topic::Transitions, Topic::Metrics, Topic::DeadLetters];

/// One transaction ends in all its partitions within a few milliseconds, but not at once.
const MARKERS: Duration = Duration::from_millis(500);

/// A record and the marker behind it may be all that compaction took: then two offsets are missing.
const COMPACTED_GAP: u64 = 2;

/// Epoch and transaction.
type Batch = (u64, u64);

pub fn walk(
    past: &Past,
    keys: &SigningKeys,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, AuditError> {
    let partitions = past.partitions();
    let ends = || (0..partitions).map(|index| Ok(past.bounds(Topic::Attempts, index)?.1)).collect();
    // What is decided up to the first ends has all its originals before the second.
    let settled: Vec<u64> = ends()?;
    std::thread::sleep(MARKERS);
    let until: Result<Vec<u64>, AuditError> = ends();
    let until = until?;
    let mut whole = true;
    for topic in PUBLISHED.into_iter().chain([Topic::Signals]) {
        for index in 0..partitions {
            whole &= past.bounds(topic, index)?.0 == 0;
        }
    }
    let mut walk = Walk {
        past,
        auditor: Auditor::new(keys.clone(), partitions, whole, Medium::Topics),
        sent: Sent::default(),
        signals: past.signals()?,
        changelog: past.changelog()?,
        everything: past.everything(Topic::Attempts)?,
        outputs: PUBLISHED.iter().map(|topic| past.outputs(*topic)).collect::<Result<_, _>>()?,
        fulfillments: past.everything(Topic::Fulfillments)?,
    };
    if !whole {
        walk.auditor.warnings.push(
            "a topic no longer has its beginning: nothing is proven of what stood there".to_owned(),
        );
    }
    let all: u64 = until.iter().sum();
    let mut done = 0;
    for (index, (settled, until)) in (0..partitions).zip(settled.into_iter().zip(until)) {
        walk.partition(index, settled, until, &mut |at| {
            progress(Progress { from: 0, at: done + at, until: all });
        })?;
        done += until;
    }
    for index in 0..partitions {
        walk.in_flight(index)?;
    }
    walk.finish()
}

struct Walk<'a> {
    past: &'a Past,
    auditor: Auditor,
    sent: Sent,
    signals: Tail<Fetched>,
    changelog: Tail<Changed>,
    /// The changelog again, with what was never committed.
    everything: Tail<()>,
    outputs: Vec<Tail<Output>>,
    /// The fulfillments again, with what was never committed.
    fulfillments: Tail<()>,
}

/// What has been read of a partition since its newest mark.
#[derive(Default)]
struct Open {
    states: Section,
    /// The most offsets that were missing in one place.
    gap: u64,
}

impl Walk<'_> {
    fn partition(
        &mut self,
        index: u32,
        settled: u64,
        until: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), AuditError> {
        self.aim(index, until)?;
        let mut open = Open::default();
        let mut stood_at = None;
        let mut marked_at: Option<u64> = None;
        while let Some((at, changed)) = self.changelog.take()? {
            open.gap = open.gap.max(missing_before(&mut self.everything, at, &mut stood_at)?);
            let place = Place { partition: index, at: At::Offset(at), batch: None };
            match changed {
                Changed::State { key, at, value } => {
                    open.states.push(Record { key: &key, id: b"", at, value: &value });
                }
                Changed::Unreadable => return Err(self.changelog.unreadable(at).into()),
                Changed::Mark { mark, at: written_at, value } => {
                    let mut open = std::mem::take(&mut open);
                    let follows = self.auditor.partitions[index as usize].follows(&mark);
                    if !follows && open.gap < COMPACTED_GAP {
                        // Compacted a moment ago, by one reading and not yet by the other.
                        let from = marked_at.map_or(0, |marked| marked + 1);
                        let mut again = self.past.everything(Topic::Attempts)?;
                        again.aim(index, from, until)?;
                        open.gap = missing_before(&mut again, at, &mut marked_at)?;
                    }
                    marked_at = Some(at);
                    let lapsed = open.gap >= COMPACTED_GAP && !follows;
                    if lapsed {
                        self.auditor.partitions[index as usize].lapse(&mark);
                    }
                    match mark {
                        Mark::Owner(owner) if owner.routing != ROUTING_VERSION => {
                            return Err(AuditError::OtherBuild { routing: owner.routing });
                        }
                        Mark::Owner(owner) => {
                            let partition = &mut self.auditor.partitions[index as usize];
                            partition.owned(owner, place, &mut self.auditor.findings);
                            self.unclosed(place, open.states, lapsed);
                        }
                        Mark::Trailer(trailer) => {
                            let mut states = open.states;
                            states.push(Record {
                                key: TRAILER_KEY,
                                id: b"",
                                at: written_at,
                                value: &value,
                            });
                            let of = (trailer, states.freeze().1);
                            self.part(place, at < settled, of, lapsed)?;
                        }
                    }
                }
            }
            progress(at);
        }
        let rest = Place { partition: index, at: At::Offset(until), batch: None };
        self.unclosed(rest, open.states, false);
        while self.everything.take()?.is_some() {}
        while self.fulfillments.take()?.is_some() {}
        self.left_over(index, until)?;
        self.auditor.refuse_other_keys()
    }

    fn aim(&mut self, index: u32, until: u64) -> Result<(), AuditError> {
        let past = self.past;
        let bounds = |topic| past.bounds(topic, index);
        let (low, _) = bounds(Topic::Attempts)?;
        self.changelog.aim(index, low, until)?;
        self.everything.aim(index, low, until)?;
        for (topic, tail) in PUBLISHED.into_iter().zip(&mut self.outputs) {
            let (low, high) = bounds(topic)?;
            tail.aim(index, low, high)?;
        }
        let (low, high) = bounds(Topic::Fulfillments)?;
        self.fulfillments.aim(index, low, high)?;
        let (low, high) = bounds(Topic::Signals)?;
        self.signals.aim(index, low, high)?;
        Ok(())
    }

    /// States that no trailer closes: left of a part that was compacted, or torn.
    fn unclosed(&mut self, place: Place, states: Section, lapsed: bool) {
        if states.is_empty() {
            return;
        }
        let states = StoredRun { topic: Topic::Attempts, bytes: states.freeze().1 };
        if lapsed {
            self.auditor.partitions[place.partition as usize].keep(&states.bytes);
        } else {
            self.auditor.orphaned(place, &[states]);
        }
    }

    fn part(
        &mut self,
        place: Place,
        settled: bool,
        (trailer, states): (Trailer, Bytes),
        lapsed: bool,
    ) -> Result<(), AuditError> {
        let batch = (trailer.epoch, trailer.transaction);
        self.strays(place, batch, lapsed)?;
        let place = Place { batch: Some(batch), ..place };
        let mut runs = vec![];
        for (topic, tail) in PUBLISHED.into_iter().zip(&mut self.outputs) {
            runs.extend(run(topic, tail, batch)?);
        }
        runs.push(StoredRun { topic: Topic::Attempts, bytes: states });
        self.read_signals(place.partition, trailer.next, settled)?;
        if let Some(sent) = self.auditor.part(&StoredPart { place, runs, trailer }) {
            self.sent.expect(sent);
        }
        Ok(())
    }

    /// Outputs of transactions before `batch` that no trailer was found for. Where parts were
    /// compacted away they are what is left of them; elsewhere nothing closes them.
    fn strays(&mut self, place: Place, batch: Batch, lapsed: bool) -> Result<(), AuditError> {
        while let Some(stray) = self.first_batch()?.filter(|first| *first < batch) {
            let mut runs = vec![];
            for (topic, tail) in PUBLISHED.into_iter().zip(&mut self.outputs) {
                runs.extend(run(topic, tail, stray)?);
            }
            let place = Place { batch: Some(stray), ..place };
            if !lapsed {
                self.auditor.orphaned(place, &runs);
                continue;
            }
            if let Some(last) = self.auditor.last_proof(&runs) {
                self.read_signals(place.partition, last + 1, false)?;
            }
            self.auditor.compacted(place, &runs);
        }
        Ok(())
    }

    fn first_batch(&mut self) -> Result<Option<Batch>, AuditError> {
        let mut first = None;
        for tail in &mut self.outputs {
            if let Some((_, output)) = tail.peek()? {
                let batch = output.batch.unwrap_or_default();
                first = Some(first.map_or(batch, |other: Batch| other.min(batch)));
            }
        }
        Ok(first)
    }

    fn read_signals(&mut self, index: u32, next: u64, settled: bool) -> Result<(), AuditError> {
        while self.signals.peek()?.is_some_and(|(offset, _)| *offset < next) {
            let Some((_, signal)) = self.signals.take()? else { break };
            self.auditor.signals += 1;
            self.arrived(&signal, settled);
            self.auditor.partitions[index as usize].waiting.push_back(signal);
        }
        Ok(())
    }

    fn arrived(&mut self, signal: &Fetched, settled: bool) {
        // Anybody may write what looks like a copy. It is refused, and that is all.
        if !needs_original(&signal.record) {
            return;
        }
        let trust = self.auditor.trust(signal.position.partition);
        if !trust.believes(&signal.record, signal.proven.as_ref()) {
            return;
        }
        if settled {
            self.sent.arrived(signal.position, &signal.record);
        } else {
            self.sent.arrived_late(signal.position, &signal.record);
        }
    }

    /// Outputs behind the last trailer: of transactions since the audit began, or of none.
    fn left_over(&mut self, index: u32, until: u64) -> Result<(), AuditError> {
        let Some(batch) = self.first_batch()? else { return Ok(()) };
        std::thread::sleep(MARKERS);
        if self.past.bounds(Topic::Attempts, index)?.1 == until {
            let place = Place { partition: index, at: At::Offset(until), batch: Some(batch) };
            self.strays(place, (u64::MAX, u64::MAX), false)?;
        }
        Ok(())
    }

    /// Signals that no part has decided.
    fn in_flight(&mut self, index: u32) -> Result<(), AuditError> {
        let (low, high) = self.past.bounds(Topic::Signals, index)?;
        let standing = self.auditor.partitions[index as usize].standing;
        let next = standing.map_or(0, |standing| standing.next);
        self.signals.aim(index, next.max(low), high)?;
        let trust = self.auditor.trust(index);
        while let Some((_, signal)) = self.signals.take()? {
            self.auditor.signals += 1;
            self.arrived(&signal, false);
            if let Some(hop) = &signal.record.hop {
                let from = self.auditor.partitions.get(hop.from.partition as usize);
                let decided = from.and_then(|it| it.standing).map_or(0, |standing| standing.next);
                if hop.from.offset >= decided {
                    continue;
                }
            }
            self.auditor.in_flight(&trust, &signal);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Report, AuditError> {
        let sees_all = self.auditor.decided_everything();
        for unmatched in std::mem::take(&mut self.sent).unmatched() {
            let what = match unmatched {
                Unmatched::Lost(partition) => {
                    format!("a signal was sent on to partition {partition} and has not arrived")
                }
                Unmatched::Forged(at) if sees_all => {
                    format!("the signal {at} says that it was sent on, and nothing sent it")
                }
                Unmatched::Forged(_) => continue,
            };
            self.auditor.findings.add(Invariant::Fold, None, what);
        }
        let committed = self.outputs.iter().map(|tail| (tail.records, tail.bytes));
        let committed = committed.chain([
            (self.signals.records, self.signals.bytes),
            (self.changelog.records, self.changelog.bytes),
        ]);
        let (records, bytes) = committed.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let of_attempts = self.everything.records.saturating_sub(self.changelog.records);
        let aborted_fulfillments =
            self.fulfillments.records.saturating_sub(self.outputs[0].records);
        let aborted = of_attempts + aborted_fulfillments;
        self.auditor.finish(Extent::Topics { records, bytes, aborted, aborted_fulfillments })
    }
}

/// How many offsets are missing before the committed record `at`, the most in one place: a marker
/// takes one, more were compacted away. What was aborted is not missing.
fn missing_before(
    everything: &mut Tail<()>,
    at: u64,
    stood_at: &mut Option<u64>,
) -> Result<u64, AuditError> {
    let mut most = 0;
    while let Some((offset, ())) = everything.peek()?.copied() {
        if offset > at {
            break;
        }
        everything.take()?;
        let next = stood_at.map_or(0, |stood| stood + 1);
        most = most.max(offset.saturating_sub(next));
        *stood_at = Some(offset);
    }
    Ok(most)
}

/// The records of one transaction in one topic.
fn run(
    topic: Topic,
    tail: &mut Tail<Output>,
    batch: Batch,
) -> Result<Option<StoredRun>, AuditError> {
    let mut section = Section::default();
    while tail.peek()?.is_some_and(|(_, output)| output.batch.unwrap_or_default() == batch) {
        let Some((_, Output { key, id, at, value, .. })) = tail.take()? else { break };
        section.push(Record { key: &key, id: &id, at, value: &value });
    }
    let bytes = section.freeze().1;
    Ok((!bytes.is_empty()).then_some(StoredRun { topic, bytes }))
}
