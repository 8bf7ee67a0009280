//! A journal taken apart, changed, and put together again so that every checksum holds.

use super::world::trust;
use bytes::Bytes;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tidegate::adapters::embedded::LogReader;
use tidegate::adapters::embedded::disk::RealDisk;
use tidegate::adapters::embedded::folder::log_folder;
use tidegate::adapters::embedded::frame::{Frame, FrameWriter};
use tidegate::attempt::Timestamp;
use tidegate::lane::part::rolled;
use tidegate::wire::Topic;
use tidegate::wire::section::{Record, Section, records};
use tidegate::wire::signal::{Form, SignalRecord};
use tidegate::wire::trailer::{Mark, Owner, TRAILER_KEY, Trailer};

#[derive(Clone, Debug)]
pub struct Output {
    pub key: String,
    pub id: String,
    pub at: Timestamp,
    pub value: Vec<u8>,
}

#[derive(Clone, Debug)]
pub enum Run {
    Signals { partition: u32, base: u64, records: Vec<SignalRecord> },
    Outputs { topic: Topic, partition: u32, records: Vec<Output> },
}

#[derive(Clone, Debug)]
pub struct ForgedFrame {
    pub at: Timestamp,
    pub runs: Vec<Run>,
}

pub struct Journal {
    pub frames: Vec<ForgedFrame>,
}

impl Output {
    fn read(record: Record<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (key, id) = (text(record.key), text(record.id));
        Self { key, id, at: record.at, value: record.value.to_vec() }
    }

    fn borrowed(&self) -> Record<'_> {
        let (key, id) = (self.key.as_bytes(), self.id.as_bytes());
        Record { key, id, at: self.at, value: &self.value }
    }

    pub fn is_mark(&self) -> bool {
        self.key.as_bytes() == TRAILER_KEY
    }

    /// Puts another text in place of the first of its kind.
    pub fn replace(&mut self, from: &str, to: &str) {
        let value = String::from_utf8(self.value.clone()).unwrap();
        assert!(value.contains(from), "{value} has no {from}");
        self.value = value.replacen(from, to, 1).into_bytes();
    }
}

impl Run {
    fn outputs_of(&self, of: Topic) -> Option<(u32, &Vec<Output>)> {
        match self {
            Self::Outputs { topic, partition, records } if *topic == of => {
                Some((*partition, records))
            }
            Self::Outputs { .. } | Self::Signals { .. } => None,
        }
    }

    fn section(&self) -> Section {
        let mut section = Section::default();
        if let Self::Outputs { records, .. } = self {
            records.iter().for_each(|record| section.push(record.borrowed()));
        }
        section
    }
}

impl Journal {
    pub fn read(root: &Path) -> Self {
        let frames = frames(root);
        Self { frames: frames.iter().map(ForgedFrame::read).collect() }
    }

    /// Writes the frames as one segment in place of those that were there.
    pub fn write(&self, root: &Path) {
        self.write_from(root, 0);
    }

    /// Writes the frames from `first` on, at the addresses that they have behind the others.
    pub fn write_from(&self, root: &Path, first: usize) {
        let folder = log_folder(root);
        fs::remove_dir_all(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        let (mut bytes, mut lsn, mut base) = (vec![], 0, 0);
        for (place, frame) in self.frames.iter().enumerate() {
            if place == first {
                base = lsn;
            }
            let mut writer = FrameWriter::default();
            writer.clear();
            frame.runs.iter().for_each(|run| run.put(&mut writer));
            let sealed = writer.seal(lsn, frame.at);
            lsn += sealed.len() as u64;
            if place >= first {
                bytes.extend_from_slice(sealed);
            }
        }
        fs::write(folder.join(format!("{base:020}.seg")), bytes).unwrap();
    }

    /// Makes every rolling hash right again, as a careful forger would.
    pub fn rehash(&mut self) {
        let mut hashes: HashMap<u32, u64> = HashMap::new();
        for frame in &mut self.frames {
            for place in 0..frame.runs.len() {
                let Run::Outputs { topic: Topic::Attempts, partition, records } =
                    &frame.runs[place]
                else {
                    continue;
                };
                let (partition, last) = (*partition, records.last().cloned());
                let Some(mark) = last.filter(Output::is_mark) else { continue };
                let Ok(Mark::Trailer(trailer)) = Mark::decode(&mark.value) else { continue };
                let outputs = Topic::OUTPUTS.map(|topic| frame.written(topic, partition, place));
                let before = hashes.get(&partition).copied().unwrap_or_default();
                let hash = rolled(before, outputs.iter().map(Vec::as_slice));
                hashes.insert(partition, hash);
                let Run::Outputs { records, .. } = &mut frame.runs[place] else { continue };
                let mark = records.last_mut().unwrap();
                mark.value = vec![];
                Mark::Trailer(Trailer { hash, ..trailer }).encode(&mut mark.value);
            }
        }
    }

    /// The nth record of a topic that fits, to be changed.
    pub fn output(&mut self, of: Topic, fits: impl Fn(&Output) -> bool) -> &mut Output {
        let (frame, run, record) = self.find(of, fits);
        &mut self.outputs(frame, run)[record]
    }

    /// Where the first record of a topic stands that fits: frame, run and record.
    pub fn find(&self, of: Topic, fits: impl Fn(&Output) -> bool) -> (usize, usize, usize) {
        let places = self.frames.iter().enumerate().flat_map(|(at, frame)| {
            frame.runs.iter().enumerate().map(move |(place, run)| (at, place, run))
        });
        for (frame, place, run) in places {
            let Some((_, records)) = run.outputs_of(of) else { continue };
            if let Some(record) = records.iter().position(&fits) {
                return (frame, place, record);
            }
        }
        panic!("nothing in {of:?} fits");
    }

    pub fn outputs(&mut self, frame: usize, run: usize) -> &mut Vec<Output> {
        match &mut self.frames[frame].runs[run] {
            Run::Outputs { records, .. } => records,
            Run::Signals { .. } => panic!("these are signals"),
        }
    }

    /// Takes one record out; its run too, if it was the only one.
    pub fn remove(&mut self, of: Topic, fits: impl Fn(&Output) -> bool) {
        let (frame, run, record) = self.find(of, fits);
        let records = self.outputs(frame, run);
        records.remove(record);
        if records.is_empty() {
            self.frames[frame].runs.remove(run);
        }
    }

    pub fn trailer(&mut self, fits: impl Fn(&Trailer) -> bool, change: impl FnOnce(&mut Trailer)) {
        let decoded = |output: &Output| match Mark::decode(&output.value) {
            Ok(Mark::Trailer(trailer)) if output.is_mark() => Some(trailer),
            Ok(_) | Err(_) => None,
        };
        let found = self.output(Topic::Attempts, |it| decoded(it).is_some_and(|it| fits(&it)));
        let mut trailer = decoded(found).unwrap();
        change(&mut trailer);
        found.value = vec![];
        Mark::Trailer(trailer).encode(&mut found.value);
    }

    pub fn owner(&mut self, fits: impl Fn(&Owner) -> bool, change: impl FnOnce(&mut Owner)) {
        let decoded = |output: &Output| match Mark::decode(&output.value) {
            Ok(Mark::Owner(owner)) if output.is_mark() => Some(owner),
            Ok(_) | Err(_) => None,
        };
        let found = self.output(Topic::Attempts, |it| decoded(it).is_some_and(|it| fits(&it)));
        let mut owner = decoded(found).unwrap();
        change(&mut owner);
        found.value = vec![];
        Mark::Owner(owner).encode(&mut found.value);
    }

    /// The first signal that fits, to be changed.
    pub fn signal(&mut self, fits: impl Fn(&SignalRecord) -> bool) -> &mut SignalRecord {
        let signals = self.frames.iter_mut().flat_map(|frame| &mut frame.runs);
        signals
            .filter_map(|run| match run {
                Run::Signals { records, .. } => Some(records),
                Run::Outputs { .. } => None,
            })
            .flatten()
            .find(|record| fits(record))
            .expect("a signal that fits")
    }
}

impl ForgedFrame {
    fn read(frame: &Frame) -> Self {
        let runs = frame.runs().map(|run| {
            let run = run.unwrap();
            if run.topic == Topic::Signals {
                let decode = |bytes: Bytes| SignalRecord::decode(&bytes).unwrap();
                let records = run.signals().map(|signal| decode(signal.unwrap().1)).collect();
                return Run::Signals { partition: run.partition, base: run.base, records };
            }
            let records = records(&run.bytes).map(|record| Output::read(record.unwrap())).collect();
            Run::Outputs { topic: run.topic, partition: run.partition, records }
        });
        Self { at: frame.header.at, runs: runs.collect() }
    }

    /// The bytes that a part's topic has, up to its trailer in run `closing`.
    fn written(&self, topic: Topic, partition: u32, closing: usize) -> Vec<u8> {
        let mut section = Section::default();
        let mut before = self.runs[..=closing].iter().rev();
        let mut passed = false;
        let found = before.find(|run| {
            let closes = run.outputs_of(Topic::Attempts).is_some_and(|(at, _)| at == partition);
            passed |= closes && !std::ptr::eq(*run, &self.runs[closing]);
            !passed && run.outputs_of(topic).is_some_and(|(at, _)| at == partition)
        });
        if let Some((_, records)) = found.and_then(|run| run.outputs_of(topic)) {
            let plain = records.iter().filter(|record| !record.is_mark());
            plain.for_each(|record| section.push(record.borrowed()));
        }
        section.bytes().to_vec()
    }
}

impl Run {
    fn put(&self, writer: &mut FrameWriter) {
        match self {
            Self::Signals { partition, base, records } => {
                let mut bytes = vec![];
                for record in records {
                    let record = record.encoded();
                    bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(&record);
                }
                writer.run(Topic::Signals, *partition, *base, records.len() as u32, &bytes);
            }
            Self::Outputs { topic, partition, records } => {
                let count = records.len() as u32;
                writer.run(*topic, *partition, 0, count, self.section().bytes());
            }
        }
    }
}

/// The frames of a folder, as they are.
pub fn frames(root: &Path) -> Vec<Frame> {
    let mut reader = LogReader::oldest(Arc::new(RealDisk), log_folder(root)).unwrap();
    std::iter::from_fn(|| reader.next(u64::MAX).unwrap()).collect()
}

/// Other bytes under a seal that holds, as only whoever has the keys could make.
pub fn resealed(record: &SignalRecord, value: &str) -> SignalRecord {
    let Form::Webhook(stamp) = &record.form else { panic!("only webhooks are resealed") };
    let taken = trust().take(Bytes::copy_from_slice(value.as_bytes()), stamp.clone()).0;
    SignalRecord { hop: record.hop.clone(), ..taken }
}
