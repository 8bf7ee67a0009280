//! What a start finds in the log: the tail of each partition, and the signals that nobody has
//! decided yet.

use super::frame::{Frame, FrameRun};
use super::segment::Log;
use super::snapshot::{PartitionSnapshot, Snapshot};
use crate::attempt::Position;
use crate::ports::Fetched;
use crate::wire::Topic;
use crate::wire::section::records;
use crate::wire::signal::SignalRecord;
use crate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer};
use std::collections::VecDeque;

/// Where a partition stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The next signal gets this offset.
    pub next_offset: u64,
    pub epoch: u64,
    pub trailer: Option<Trailer>,
    /// Who has it, and has decided nothing yet, as far as the log says after its last snapshot.
    pub owner: Option<Owner>,
    /// Frames that hold undecided signals: the last offset in each, and its address.
    pub undecided: VecDeque<(u64, u64)>,
}

impl Tail {
    /// The first signal that nobody has decided.
    pub fn next(&self) -> u64 {
        self.trailer.as_ref().map_or(0, |trailer| trailer.next)
    }

    /// A batch that ends in `trailer` is durable.
    pub fn decided(&mut self, trailer: Trailer) {
        while self.undecided.front().is_some_and(|(last, _)| *last < trailer.next) {
            self.undecided.pop_front();
        }
        self.trailer = Some(trailer);
        self.owner = None;
    }

    pub fn owned(&mut self, owner: Owner) {
        self.epoch = owner.epoch;
        self.owner = Some(owner);
    }

    /// Signals before `next_offset` are durable, the newest of them in the frame at `lsn`.
    pub fn appended(&mut self, next_offset: u64, lsn: u64) {
        self.next_offset = next_offset;
        self.undecided.push_back((next_offset - 1, lsn));
    }
}

/// Gathers tails and undecided signals from frames in order.
#[derive(Debug)]
pub struct Recovery {
    pub tails: Vec<Tail>,
    pub waiting: Vec<VecDeque<Fetched>>,
    /// Frames before this address have been summed up by a snapshot.
    pub lsn: u64,
    read_from: u64,
}

impl Recovery {
    /// Begins from a snapshot that fits `partitions`, else from the beginning.
    pub fn begin(partitions: u32, snapshot: Option<Snapshot>) -> Self {
        let count = partitions as usize;
        let usable = snapshot.filter(|snapshot| snapshot.partitions.len() == count);
        let tails: Option<Vec<Tail>> =
            usable.as_ref().and_then(|snapshot| snapshot.partitions.iter().map(tail).collect());
        let waiting = vec![VecDeque::new(); count];
        match (usable, tails) {
            (Some(snapshot), Some(tails)) => {
                Self { tails, waiting, lsn: snapshot.lsn, read_from: snapshot.read_from }
            }
            (Some(_) | None, _) => {
                Self { tails: vec![Tail::default(); count], waiting, lsn: 0, read_from: 0 }
            }
        }
    }

    pub fn read_from(&self) -> u64 {
        self.read_from
    }

    pub fn frame(&mut self, frame: &Frame) -> Result<(), &'static str> {
        let lsn = frame.header.lsn;
        for run in frame.runs() {
            let run = run.ok_or("a checksum holds over a run that cannot be read")?;
            match run.topic {
                Topic::Signals => self.signals(&run, lsn)?,
                Topic::Attempts if lsn >= self.lsn => self.attempts(&run)?,
                Topic::Attempts
                | Topic::Fulfillments
                | Topic::Transitions
                | Topic::Metrics
                | Topic::DeadLetters => {}
            }
        }
        Ok(())
    }

    fn signals(&mut self, run: &FrameRun, lsn: u64) -> Result<(), &'static str> {
        let partition = run.partition as usize;
        let tail = self.tails.get_mut(partition).ok_or("a partition that was never made")?;
        let summed_up = lsn < self.lsn;
        if !summed_up && run.base != tail.next_offset {
            return Err("the offsets of a partition have a gap");
        }
        let end = run.base + u64::from(run.count);
        if end > tail.next() {
            if summed_up {
                tail.undecided.push_back((end - 1, lsn));
            } else {
                tail.appended(end, lsn);
            }
        } else if !summed_up {
            tail.next_offset = end;
        }
        let next = tail.next();
        for signal in run.signals() {
            let (offset, bytes) = signal.ok_or("a signal that cannot be read")?;
            if offset < next {
                continue;
            }
            let record = SignalRecord::decode(&bytes).map_err(|_| "a signal of no known form")?;
            let position = Position { partition: run.partition, offset };
            self.waiting[partition].push_back(Fetched { position, record, proven: None });
        }
        Ok(())
    }

    fn attempts(&mut self, run: &FrameRun) -> Result<(), &'static str> {
        let partition = run.partition as usize;
        let tail = self.tails.get_mut(partition).ok_or("a partition that was never made")?;
        for record in records(&run.bytes) {
            let record = record.map_err(|_| "a state record that cannot be read")?;
            if record.key != TRAILER_KEY {
                continue;
            }
            match Mark::decode(record.value).map_err(|_| "a trailer that cannot be read")? {
                Mark::Owner(owner) => tail.owned(owner),
                Mark::Trailer(trailer) => {
                    if trailer.previous != tail.next() {
                        return Err("a trailer does not follow the one before it");
                    }
                    let next = trailer.next;
                    tail.decided(trailer);
                    let waiting = &mut self.waiting[partition];
                    while waiting.front().is_some_and(|first| first.position.offset < next) {
                        waiting.pop_front();
                    }
                }
            }
        }
        Ok(())
    }
}

fn tail(snapshot: &PartitionSnapshot) -> Option<Tail> {
    let trailer = match &snapshot.trailer {
        None => None,
        Some(bytes) => match Mark::decode(bytes).ok()? {
            Mark::Trailer(trailer) => Some(trailer),
            Mark::Owner(_) => return None,
        },
    };
    Some(Tail {
        next_offset: snapshot.next_offset,
        epoch: snapshot.epoch,
        trailer,
        owner: None,
        undecided: VecDeque::new(),
    })
}

/// The snapshot of `tails` where `log` ends.
pub fn snapshot(tails: &[Tail], log: &Log) -> Snapshot {
    let lsn = log.end();
    let (last_frame, last_crc) = log.last_frame();
    let read_from = tails
        .iter()
        .filter_map(|tail| tail.undecided.front().map(|(_, lsn)| *lsn))
        .min()
        .unwrap_or(lsn);
    let partitions = tails
        .iter()
        .map(|tail| PartitionSnapshot {
            next_offset: tail.next_offset,
            epoch: tail.epoch,
            trailer: tail.trailer.clone().map(|trailer| {
                let mut bytes = vec![];
                Mark::Trailer(trailer).encode(&mut bytes);
                bytes
            }),
        })
        .collect();
    Snapshot { lsn, last_frame, last_crc, read_from, partitions }
}
