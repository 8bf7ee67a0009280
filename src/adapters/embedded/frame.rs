//! A frame: everything that one group commit writes, under one checksum. It is whole or it is not
//! there.
//!
//! ```text
//!  magic u32 │ crc u32 │ length u32 │ version u16, 0 u16 │ lsn u64 │ at i64 │ runs u32 │ 0 u32
//!  then each run: topic u8, 0 × 3 │ partition u32 │ count u32 │ length u32 │ base u64 │ bytes
//!  then zeros up to a multiple of eight
//! ```
//!
//! Little-endian throughout. The crc covers everything after itself. `lsn` is the frame's own byte
//! address in the log, so that a frame can be found by it and cannot pass for another. Records of
//! `signals` are a length and a `wire::signal`; those of the outputs are `wire::section`'s.

use crate::attempt::Timestamp;
use crate::wire::Topic;
use crate::wire::codec::Reader;
use bytes::Bytes;

pub const MAGIC: u32 = u32::from_le_bytes(*b"TGF1");
pub const VERSION: u16 = 1;
pub const HEADER_BYTES: usize = 40;
pub const RUN_HEADER_BYTES: usize = 24;
/// The length in front of each record of `signals`.
pub const LENGTH_BYTES: usize = 4;
/// Frames begin at multiples of this, which is what a search for one after damage relies on.
pub const ALIGNMENT: usize = 8;

/// Largest frame. A group commit stops gathering far below; one commit of one lane is at most a
/// batch of inputs and what it led to.
pub const FRAME_BYTES_MAX: usize = 32 << 20;

/// A frame being put together.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    runs: u32,
}

impl FrameWriter {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, 0);
        self.runs = 0;
    }

    pub fn run(&mut self, topic: Topic, partition: u32, base: u64, count: u32, bytes: &[u8]) {
        self.run_header(topic, partition, base, count, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn run_header(&mut self, topic: Topic, partition: u32, base: u64, count: u32, length: usize) {
        self.bytes.extend_from_slice(&[topic as u8, 0, 0, 0]);
        self.bytes.extend_from_slice(&partition.to_le_bytes());
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        self.bytes.extend_from_slice(&base.to_le_bytes());
        self.runs += 1;
    }

    /// A run of `signals`, from records that have their lengths in front.
    pub fn signals(&mut self, partition: u32, base: u64, count: u32, encoded: &[Vec<u8>]) {
        let length = encoded.iter().map(Vec::len).sum::<usize>();
        self.run_header(Topic::Signals, partition, base, count, length);
        for record in encoded {
            self.bytes.extend_from_slice(record);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Bytes that the frame will take.
    pub fn length(&self) -> usize {
        self.bytes.len().next_multiple_of(ALIGNMENT)
    }

    /// Closes the frame at its address.
    pub fn seal(&mut self, lsn: u64, at: Timestamp) -> &[u8] {
        let length = self.length();
        self.bytes.resize(length, 0);
        let header = &mut self.bytes[..HEADER_BYTES];
        header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        header[12..14].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&lsn.to_le_bytes());
        header[24..32].copy_from_slice(&at.0.to_le_bytes());
        header[32..36].copy_from_slice(&self.runs.to_le_bytes());
        let crc = crc32fast::hash(&self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }
}

/// What a frame's header promises. Nothing of it is believed before the checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub crc: u32,
    pub length: usize,
    pub lsn: u64,
    pub at: Timestamp,
    pub runs: u32,
}

impl Header {
    /// Reads a header that could be one of ours at `lsn`.
    pub fn read(bytes: &[u8], lsn: u64) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(header.get(at..at + 8)?.try_into().ok()?));
        let length = u32_at(8)? as usize;
        let version = u16::from_le_bytes([header[12], header[13]]);
        let plausible = u32_at(0)? == MAGIC
            && version == VERSION
            && u64_at(16)? == lsn
            && (HEADER_BYTES..=FRAME_BYTES_MAX).contains(&length)
            && length.is_multiple_of(ALIGNMENT);
        plausible.then_some(Self {
            crc: u32_at(4)?,
            length,
            lsn,
            at: Timestamp(u64_at(24)? as i64),
            runs: u32_at(32)?,
        })
    }

    /// Whether `frame`, header included, is what was sealed.
    pub fn holds(&self, frame: &[u8]) -> bool {
        frame.len() == self.length && crc32fast::hash(&frame[8..]) == self.crc
    }
}

/// A whole frame, read back.
#[derive(Clone, Debug)]
pub struct Frame {
    pub header: Header,
    pub bytes: Bytes,
}

/// One run of a frame.
#[derive(Clone, Debug)]
pub struct FrameRun {
    pub topic: Topic,
    pub partition: u32,
    pub base: u64,
    pub count: u32,
    pub bytes: Bytes,
}

impl Frame {
    /// The address right behind this frame.
    pub fn end(&self) -> u64 {
        self.header.lsn + self.header.length as u64
    }

    /// The runs, or `None` from the first one that is not well formed: then a checksum holds over
    /// bytes that we never wrote.
    pub fn runs(&self) -> impl Iterator<Item = Option<FrameRun>> {
        let mut at = HEADER_BYTES;
        let mut left = self.header.runs;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            left -= 1;
            let run = self.run_at(at);
            match &run {
                Some(run) => at += RUN_HEADER_BYTES + run.bytes.len(),
                None => left = 0,
            }
            Some(run)
        })
    }

    fn run_at(&self, at: usize) -> Option<FrameRun> {
        let header = self.bytes.get(at..at + RUN_HEADER_BYTES)?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let length = u32_at(12)? as usize;
        let start = at + RUN_HEADER_BYTES;
        self.bytes.get(start..start + length)?;
        Some(FrameRun {
            topic: Topic::from_code(header[0])?,
            partition: u32_at(4)?,
            count: u32_at(8)?,
            base: u64::from_le_bytes(header.get(16..24)?.try_into().ok()?),
            bytes: self.bytes.slice(start..start + length),
        })
    }
}

impl FrameRun {
    /// The records of a `signals` run with their offsets, each as its stored bytes.
    pub fn signals(&self) -> impl Iterator<Item = Option<(u64, Bytes)>> {
        let mut reader = Reader::new(&self.bytes);
        let mut offset = self.base;
        let mut left = self.count;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            left -= 1;
            let length = reader.array("a signal's length").map(u32::from_le_bytes);
            let record = length
                .and_then(|length| reader.take(length as usize, "a signal"))
                .ok()
                .map(|record| self.bytes.slice_ref(record));
            let at = offset;
            offset += 1;
            if record.is_none() {
                left = 0;
            }
            Some(record.map(|record| (at, record)))
        })
    }
}
