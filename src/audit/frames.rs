//! An audit of a log: from frames to parts. A frame holds whole transactions, and what is sent on
//! within one arrives in it.

use super::AuditError;
use super::auditor::Auditor;
use super::forwards::Forwards;
use super::invariant::Invariant;
use super::log::JournalLog;
use super::partition::{At, Medium, Place, StoredPart, StoredRun};
use super::report::{Extent, Progress, Report};
use crate::adapters::embedded::frame::{Frame, FrameRun};
use crate::attempt::Position;
use crate::ports::Fetched;
use crate::wire::Topic;
use crate::wire::seal::SigningKeys;
use crate::wire::section::records;
use crate::wire::signal::SignalRecord;
use crate::wire::trailer::{Mark, ROUTING_VERSION, TRAILER_KEY};
use std::collections::BTreeMap;

/// Reads `log` from its oldest frame to its end.
pub fn walk(
    log: &mut JournalLog,
    keys: &SigningKeys,
    partitions: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Report>, AuditError> {
    let from = log.at();
    let auditor = Auditor::new(keys.clone(), partitions, from == 0, Medium::Log);
    let mut frames = Frames { auditor, read: 0 };
    while let Some(frame) = log.next()? {
        frames.frame(&frame)?;
        progress(Progress { from, at: frame.end(), until: log.until() });
    }
    let torn = log.end()?;
    if frames.read == 0 {
        return Ok(None);
    }
    let extent = Extent::Log { frames: frames.read, from, end: log.at() };
    frames.finish(extent, from, torn).map(Some)
}

struct Frames {
    auditor: Auditor,
    read: u64,
}

/// The runs of a frame that no trailer has closed yet, by partition.
type Open = BTreeMap<u32, Vec<StoredRun>>;

impl Frames {
    fn frame(&mut self, frame: &Frame) -> Result<(), AuditError> {
        let lsn = frame.header.lsn;
        let unreadable = |what| AuditError::Unreadable { lsn, what };
        self.read += 1;
        let mut open: Open = Open::new();
        let mut forwards = Forwards::default();
        for run in frame.runs() {
            let run = run.ok_or_else(|| unreadable("a run that cannot be read"))?;
            if run.partition as usize >= self.auditor.partitions.len() {
                return Err(unreadable("a partition that was never made"));
            }
            match run.topic {
                Topic::Signals => self.signals(&run, lsn, &mut forwards)?,
                Topic::Attempts => self.attempts(run, lsn, &mut open, &mut forwards)?,
                Topic::Fulfillments | Topic::Transitions | Topic::Metrics | Topic::DeadLetters => {
                    self.readable(&run, lsn)?;
                    open.entry(run.partition).or_default().push(stored(run));
                }
            }
        }
        for (partition, runs) in open {
            self.auditor.orphaned(Place { partition, at: At::Frame(lsn), batch: None }, &runs);
        }
        for lost in forwards.lost() {
            let what = format!(
                "a signal was sent on to partition {} and has not arrived: frame {lsn}",
                lost.partition
            );
            self.auditor.findings.add(Invariant::Fold, None, what);
        }
        self.auditor.refuse_other_keys()
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
            let place = Place { partition: run.partition, at: At::Frame(lsn), batch: None };
            let what = format!("a run of {topic} says {says} records and has {count}: {place}");
            self.auditor.findings.add(Invariant::Atomic, None, what);
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
        let partition = &mut self.auditor.partitions[index as usize];
        if let Some(next) = partition.next_offset
            && next != run.base
        {
            let base = run.base;
            let what = format!(
                "signal {index}:{next} is next, and {index}:{base} stands there: frame {lsn}"
            );
            self.auditor.findings.add(Invariant::NoLostAck, None, what);
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
                self.auditor.findings.add(Invariant::Fold, None, what);
            }
            partition.waiting.push_back(Fetched { position, record, proven: None });
            self.auditor.signals += 1;
        }
        partition.next_offset = Some(run.base + u64::from(run.count));
        Ok(())
    }

    fn attempts(
        &mut self,
        run: FrameRun,
        lsn: u64,
        open: &mut Open,
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
        let place = Place { partition: index, at: At::Frame(lsn), batch: None };
        let alone = marks.len() == 1 && last_is_mark;
        match marks.pop() {
            Some(Mark::Owner(owner)) if alone && run.count == 1 => {
                if owner.routing != ROUTING_VERSION {
                    let what = "an owner record of a routing that this build does not know";
                    return Err(unreadable(what));
                }
                if owner.partitions as usize != self.auditor.partitions.len() {
                    let what = format!("the owner record counts other partitions: {place}");
                    self.auditor.findings.add(Invariant::Fenced, None, what);
                }
                self.auditor.partitions[index as usize].owned(
                    owner,
                    place,
                    &mut self.auditor.findings,
                );
            }
            Some(Mark::Trailer(trailer)) if alone => {
                let mut runs = open.remove(&index).unwrap_or_default();
                runs.push(stored(run));
                let batch = Some((trailer.epoch, trailer.transaction));
                let place = Place { batch, ..place };
                match self.auditor.part(&StoredPart { place, runs, trailer }) {
                    Some(sent) => forwards.expect(sent),
                    None => forwards.know_nothing_of_some(),
                }
            }
            Some(Mark::Owner(_) | Mark::Trailer(_)) => {
                let what = format!("a trailer does not stand alone at the end of its run: {place}");
                self.auditor.findings.add(Invariant::Atomic, None, what);
                forwards.know_nothing_of_some();
            }
            None => open.entry(index).or_default().push(stored(run)),
        }
        Ok(())
    }

    fn finish(mut self, extent: Extent, from: u64, torn: u64) -> Result<Report, AuditError> {
        let auditor = &mut self.auditor;
        if from > 0 {
            // Nothing is ever deleted: whatever stood there was acknowledged.
            let what = format!("the log begins at {from}, and what stood before is missing");
            auditor.findings.add(Invariant::NoLostAck, None, what);
            auditor.warnings.push(format!(
                "the journal begins at {from}: nothing is proven of what stood before"
            ));
        }
        if torn > 0 {
            auditor.warnings.push(format!(
                "{torn} bytes of an unfinished frame stand at the end; they were never \
                 acknowledged, and the next start removes them"
            ));
        }
        for index in 0..auditor.partitions.len() {
            let trust = auditor.trust(index as u32);
            for signal in std::mem::take(&mut auditor.partitions[index].waiting) {
                auditor.in_flight(&trust, &signal);
            }
        }
        self.auditor.finish(extent)
    }
}

fn stored(run: FrameRun) -> StoredRun {
    StoredRun { topic: run.topic, bytes: run.bytes }
}
