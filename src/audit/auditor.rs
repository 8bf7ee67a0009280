//! From frames to parts: what belongs together in one frame, and what is missing from it.

use super::AuditError;
use super::counts;
use super::difference::attempt_of;
use super::forwards::Forwards;
use super::history::{Completed, History};
use super::invariant::Invariant;
use super::partition::{Partition, Place, Seals, StoredPart};
use super::report::{Findings, Report};
use crate::adapters::embedded::frame::{Frame, FrameRun};
use crate::attempt::{DeadLetter, Position};
use crate::ports::Fetched;
use crate::wire::Topic;
use crate::wire::prove::Said;
use crate::wire::seal::SigningKeys;
use crate::wire::section::records;
use crate::wire::signal::SignalRecord;
use crate::wire::state::StateKey;
use crate::wire::trailer::{Counts, Mark, ROUTING_VERSION, TRAILER_KEY};
use std::collections::BTreeMap;

/// Signals after which keys that have proven none of them are taken to be another journal's.
const UNPROVEN_MAX: u64 = 64;

pub struct Auditor {
    keys: SigningKeys,
    partitions: Vec<Partition>,
    history: History,
    findings: Findings,
    seals: Seals,
    whole: bool,
    frames: u64,
    parts: u64,
    /// Parts that could not be decided again, because of what stood before the journal's begin.
    undecided: u64,
    signals: u64,
    panicked: u64,
}

impl Auditor {
    pub fn new(keys: SigningKeys, partitions: u32, whole: bool) -> Self {
        Self {
            keys,
            partitions: (0..partitions).map(|index| Partition::new(index, whole)).collect(),
            history: History::new(whole),
            findings: Findings::default(),
            seals: Seals::default(),
            whole,
            frames: 0,
            parts: 0,
            undecided: 0,
            signals: 0,
            panicked: 0,
        }
    }

    pub fn frames(&self) -> u64 {
        self.frames
    }

    pub fn frame(&mut self, frame: &Frame) -> Result<(), AuditError> {
        let lsn = frame.header.lsn;
        let unreadable = |what| AuditError::Unreadable { lsn, what };
        self.frames += 1;
        let mut open: BTreeMap<u32, Vec<FrameRun>> = BTreeMap::new();
        let mut forwards = Forwards::default();
        for run in frame.runs() {
            let run = run.ok_or_else(|| unreadable("a run that cannot be read"))?;
            if run.partition as usize >= self.partitions.len() {
                return Err(unreadable("a partition that was never made"));
            }
            match run.topic {
                Topic::Signals => self.signals(&run, lsn, &mut forwards)?,
                Topic::Attempts => self.attempts(run, lsn, &mut open, &mut forwards)?,
                Topic::Fulfillments | Topic::Transitions | Topic::Metrics | Topic::DeadLetters => {
                    self.readable(&run, lsn)?;
                    open.entry(run.partition).or_default().push(run);
                }
            }
        }
        for (partition, runs) in open {
            self.orphaned(Place { partition, lsn, batch: None }, &runs);
        }
        for lost in forwards.lost() {
            let what = format!(
                "a signal was sent on to partition {} and has not arrived: frame {lsn}",
                lost.partition
            );
            self.findings.add(Invariant::Fold, None, what);
        }
        if self.seals.hold == 0 && self.seals.broken >= UNPROVEN_MAX {
            return Err(AuditError::OtherKeys { signals: self.seals.broken });
        }
        Ok(())
    }

    /// A run whose records can be read, as many as it says.
    fn readable(&mut self, run: &FrameRun, lsn: u64) -> Result<(), AuditError> {
        let mut count = 0;
        for record in records(&run.bytes) {
            record.map_err(|_| AuditError::Unreadable { lsn, what: "a record that is cut off" })?;
            count += 1;
        }
        if count != run.count {
            let (topic, says) = (run.topic.word(), run.count);
            let place = Place { partition: run.partition, lsn, batch: None };
            let what = format!("a run of {topic} says {says} records and has {count}: {place}");
            self.findings.add(Invariant::Atomic, None, what);
        }
        Ok(())
    }

    fn signals(
        &mut self,
        run: &FrameRun,
        lsn: u64,
        forwards: &mut Forwards,
    ) -> Result<(), AuditError> {
        let index = run.partition;
        let partition = &mut self.partitions[index as usize];
        if let Some(next) = partition.next_offset
            && next != run.base
        {
            let base = run.base;
            let what = format!(
                "signal {index}:{next} is next, and {index}:{base} stands there: frame {lsn}"
            );
            self.findings.add(Invariant::NoLostAck, None, what);
            while partition.waiting.back().is_some_and(|last| last.position.offset >= base) {
                partition.waiting.pop_back();
            }
        }
        for signal in run.signals() {
            let unreadable = |what| AuditError::Unreadable { lsn, what };
            let (offset, bytes) = signal.ok_or_else(|| unreadable("a signal that is cut off"))?;
            let record = SignalRecord::decode(&bytes)
                .map_err(|_| unreadable("a signal of no known form"))?;
            let position = Position { partition: index, offset };
            if !forwards.has_original(index, &record) {
                let what = format!(
                    "the signal {position} says that it was sent on, and nothing sent it: \
                     frame {lsn}"
                );
                self.findings.add(Invariant::Fold, None, what);
            }
            partition.waiting.push_back(Fetched { position, record, proven: None });
            self.signals += 1;
        }
        partition.next_offset = Some(run.base + u64::from(run.count));
        Ok(())
    }

    fn attempts(
        &mut self,
        run: FrameRun,
        lsn: u64,
        open: &mut BTreeMap<u32, Vec<FrameRun>>,
        forwards: &mut Forwards,
    ) -> Result<(), AuditError> {
        self.readable(&run, lsn)?;
        let unreadable = |what| AuditError::Unreadable { lsn, what };
        let mut marks = vec![];
        let mut last_is_mark = false;
        for record in records(&run.bytes).map_while(Result::ok) {
            last_is_mark = record.key == TRAILER_KEY;
            if last_is_mark {
                marks.push(
                    Mark::decode(record.value)
                        .map_err(|_| unreadable("a trailer of no known form"))?,
                );
            }
        }
        let index = run.partition;
        let place = Place { partition: index, lsn, batch: None };
        let alone = marks.len() == 1 && last_is_mark;
        match marks.pop() {
            Some(Mark::Owner(owner)) if alone && run.count == 1 => {
                if owner.routing != ROUTING_VERSION {
                    let what = "an owner record of a routing that this build does not know";
                    return Err(unreadable(what));
                }
                if owner.partitions as usize != self.partitions.len() {
                    let what = format!("the owner record counts other partitions: {place}");
                    self.findings.add(Invariant::Fenced, None, what);
                }
                self.partitions[index as usize].owned(owner, place, &mut self.findings);
            }
            Some(Mark::Trailer(trailer)) if alone => {
                let mut runs = open.remove(&index).unwrap_or_default();
                runs.push(run);
                let batch = Some((trailer.epoch, trailer.transaction));
                let place = Place { batch, ..place };
                self.part(StoredPart { place, runs, trailer }, forwards);
            }
            Some(Mark::Owner(_) | Mark::Trailer(_)) => {
                let what = format!("a trailer does not stand alone at the end of its run: {place}");
                self.findings.add(Invariant::Atomic, None, what);
                forwards.know_nothing_of_some();
            }
            None => open.entry(index).or_default().push(run),
        }
        Ok(())
    }

    fn part(&mut self, stored: StoredPart, forwards: &mut Forwards) {
        self.parts += 1;
        let place = stored.place;
        let mut topics: Vec<Topic> = stored.runs.iter().map(|run| run.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.len() != stored.runs.len() {
            let what = format!("a topic stands twice in one batch: {place}");
            self.findings.add(Invariant::Atomic, None, what);
        }
        self.panicked += records(stored.bytes(Topic::DeadLetters))
            .map_while(Result::ok)
            .filter(|record| record.key == DeadLetter::Panicked.word().as_bytes())
            .count() as u64;

        let partition = &mut self.partitions[place.partition as usize];
        let (inputs, complete) = partition.take(&stored, &mut self.findings);
        let policy = partition.owner.as_ref().map(|owner| owner.policy);
        let transitions = stored.bytes(Topic::Transitions);
        let completed = self.history.transitions(transitions, place, policy, &mut self.findings);
        let fulfillments = stored.bytes(Topic::Fulfillments);
        self.history.fulfillments(fulfillments, place, &inputs, completed, &mut self.findings);

        let inputs = complete.then_some(inputs);
        let (keys, seals) = (&self.keys, &mut self.seals);
        match partition.prove(&stored, inputs, keys, seals, &mut self.findings) {
            Some(written) => forwards.expect(written.forwards),
            None => {
                self.undecided += 1;
                forwards.know_nothing_of_some();
            }
        }
        partition.follow(&stored);
    }

    /// Outputs that nothing closes: a reader of them saw what was never committed.
    fn orphaned(&mut self, place: Place, runs: &[FrameRun]) {
        for run in runs {
            let first = records(&run.bytes).find_map(Result::ok);
            let of = first.as_ref().and_then(|record| attempt_of(run.topic, record));
            let what = format!("{} without a trailer: {place}", run.topic.word());
            self.findings.add(Invariant::Atomic, of.as_deref(), what);
            match run.topic {
                Topic::Transitions => {
                    self.history.transitions(&run.bytes, place, None, &mut self.findings);
                }
                Topic::Fulfillments => {
                    let nothing = Completed::new();
                    let findings = &mut self.findings;
                    self.history.fulfillments(&run.bytes, place, &[], nothing, findings);
                }
                Topic::Signals | Topic::Metrics | Topic::DeadLetters | Topic::Attempts => {}
            }
        }
    }

    /// Everything has been read, from `from` to `end`; `torn` bytes of an unfinished frame follow.
    pub fn finish(mut self, from: u64, end: u64, torn: u64) -> Result<Report, AuditError> {
        let mut report = Report { from, end, ..Report::default() };
        if from > 0 {
            // Nothing is ever deleted: whatever stood there was acknowledged.
            let what = format!("the log begins at {from}, and what stood before is missing");
            self.findings.add(Invariant::NoLostAck, None, what);
        }
        let mut hops_in_flight = 0;
        for partition in &self.partitions {
            let trust = partition.trust(&self.keys);
            let standing = partition.standing.unwrap_or_default();
            report.counts = report.counts.plus(&standing.counts);
            for signal in &partition.waiting {
                let proven = trust.prove(&signal.record);
                if proven.said == Said::Refused(DeadLetter::Unproven) {
                    self.seals.broken += 1;
                    let at = signal.position;
                    let what = format!("the seal of signal {at}, which waits, does not hold");
                    self.findings.add(Invariant::NoLostAck, None, what);
                } else {
                    self.seals.hold += 1;
                }
                report.in_flight += 1;
                hops_in_flight += u64::from(signal.record.hop.is_some());
                if !counts::is_released(&signal.record) {
                    report.counts.accept(proven.kind);
                }
            }
        }
        if self.seals.hold == 0 && self.seals.broken > 0 {
            return Err(AuditError::OtherKeys { signals: self.seals.broken });
        }
        for wrong in counts::total(&report.counts, report.in_flight, hops_in_flight) {
            self.findings.add(Invariant::Conservation, None, wrong);
        }
        if self.whole && self.undecided > 0 {
            let what = format!("{} batches could not be decided again", self.undecided);
            self.findings.add(Invariant::Fold, None, what);
        }
        report.attempts = self.settle();
        report.fulfillments = self.history.fulfillments;
        report.warnings = self.warnings(from, torn, &report.counts);
        (report.frames, report.parts, report.signals) = (self.frames, self.parts, self.signals);
        report.undecided = self.undecided;
        (report.violations, report.unshown) = self.findings.finish();
        Ok(report)
    }

    /// Holds every stored attempt against what the world was told of it; counts them.
    fn settle(&mut self) -> u64 {
        let mut attempts = 0;
        let mut unread: Vec<String> = vec![];
        for partition in &self.partitions {
            let (history, findings) = (&mut self.history, &mut self.findings);
            partition.attempts(
                |attempt| {
                    attempts += 1;
                    history.settle(attempt, findings);
                },
                |key| unread.push(key.to_owned()),
            );
        }
        unread.sort_unstable();
        for key in unread {
            let what = "its stored state cannot be read".to_owned();
            let of = StateKey::read(key.as_bytes()).map(StateKey::id);
            self.findings.add(Invariant::Fold, of, what);
        }
        self.history.unsettled(&mut self.findings);
        attempts
    }

    fn warnings(&self, from: u64, torn: u64, counts: &Counts) -> Vec<String> {
        let mut warnings = vec![];
        if !self.whole {
            warnings.push(format!(
                "the journal begins at {from}: nothing is proven of what stood before, and {} of \
                 {} batches could not be decided again because of it",
                self.undecided, self.parts
            ));
        }
        if torn > 0 {
            warnings.push(format!(
                "{torn} bytes of an unfinished frame stand at the end; they were never \
                 acknowledged, and the next start removes them"
            ));
        }
        if self.panicked > 0 {
            warnings.push(format!(
                "{} signals are dead letters because deciding them panicked; they were not \
                 decided again",
                self.panicked
            ));
        }
        if counts.accepted == 0 {
            warnings.push("no signal has been taken yet".to_owned());
        }
        warnings
    }
}
