//! Everything that a log holds, read back frame by frame: what the tests judge by.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidegate::adapters::embedded::disk::Disk;
use tidegate::adapters::embedded::reader::LogReader;
use tidegate::attempt::Position;
use tidegate::wire::Topic;
use tidegate::wire::section::records;
use tidegate::wire::signal::SignalRecord;
use tidegate::wire::trailer::{Counts, Mark, TRAILER_KEY, Trailer};

#[derive(Debug, Default)]
pub struct Ledger {
    pub signals: Vec<(Position, SignalRecord)>,
    pub fulfillments: Vec<serde_json::Value>,
    pub transitions: Vec<serde_json::Value>,
    pub dead_letters: Vec<(String, SignalRecord)>,
    /// Newest state per partition and key.
    pub states: BTreeMap<(u32, Bytes), Bytes>,
    pub trailers: BTreeMap<u32, Trailer>,
    pub frames: u64,
    pub end: u64,
}

impl Ledger {
    /// Reads to the end: the first place where no whole frame stands.
    pub fn read(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        let mut reader = LogReader::oldest(disk, folder.to_owned()).unwrap();
        let mut ledger = Self::default();
        while let Some(frame) = reader.next(u64::MAX).unwrap() {
            ledger.frames += 1;
            for run in frame.runs() {
                let run = run.expect("every run of a whole frame is well formed");
                if run.topic == Topic::Signals {
                    for signal in run.signals() {
                        let (offset, bytes) = signal.unwrap();
                        let position = Position { partition: run.partition, offset };
                        let record = SignalRecord::decode(&bytes).unwrap();
                        ledger.signals.push((position, record));
                    }
                    continue;
                }
                for record in records(&run.bytes) {
                    let record = record.unwrap();
                    let json = || serde_json::from_slice(record.value).unwrap();
                    match run.topic {
                        Topic::Fulfillments => ledger.fulfillments.push(json()),
                        Topic::Transitions => ledger.transitions.push(json()),
                        Topic::DeadLetters => {
                            let why = String::from_utf8(record.key.to_vec()).unwrap();
                            let bytes = Bytes::copy_from_slice(record.value);
                            ledger.dead_letters.push((why, SignalRecord::decode(&bytes).unwrap()));
                        }
                        Topic::Attempts if record.key == TRAILER_KEY => {
                            if let Mark::Trailer(trailer) = Mark::decode(record.value).unwrap() {
                                ledger.trailers.insert(run.partition, trailer);
                            }
                        }
                        Topic::Attempts => {
                            let key = Bytes::copy_from_slice(record.key);
                            let state = Bytes::copy_from_slice(record.value);
                            ledger.states.insert((run.partition, key), state);
                        }
                        Topic::Metrics | Topic::Signals => {}
                    }
                }
            }
        }
        ledger.end = reader.at();
        ledger
    }

    pub fn counts(&self) -> Counts {
        self.trailers.values().fold(Counts::default(), |sum, t| sum.plus(&t.counts))
    }

    /// Attempts with their fulfillments, in order.
    pub fn fulfilled(&self) -> Vec<String> {
        let mut ids: Vec<String> =
            self.fulfillments.iter().map(|f| text(f, "attempt_id")).collect();
        ids.sort();
        ids
    }

    /// The transitions of one attempt, as `to` or `to!reason`.
    pub fn story(&self, attempt: &str) -> Vec<String> {
        let of = |t: &&serde_json::Value| t["attempt_id"] == attempt;
        let told = self.transitions.iter().filter(of);
        told.map(|t| match t["reason"].as_str() {
            Some(reason) => format!("{}!{reason}", text(t, "to")),
            None => text(t, "to"),
        })
        .collect()
    }

    /// Every signal is counted once, whatever became of it.
    pub fn assert_conserved(&self) {
        let counts = self.counts();
        let decided = counts.applied
            + counts.duplicate
            + counts.stale
            + counts.contradiction
            + counts.parked()
            + counts.dead_lettered;
        assert_eq!(counts.accepted, decided, "accepted is not what became of it: {counts:?}");
        assert_eq!(counts.forwarded_in, counts.forwarded_out + counts.parked_out, "{counts:?}");
        let kinds: u64 = counts.by_kind.iter().sum();
        assert_eq!(counts.accepted, kinds, "{counts:?}");
    }

    pub fn why_dead(&self) -> Vec<&str> {
        self.dead_letters.iter().map(|(why, _)| why.as_str()).collect()
    }
}

pub fn text(value: &serde_json::Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
