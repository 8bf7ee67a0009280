//! Many records of one topic and partition, as one run of bytes: what a lane hands to the journal
//! and what a reader gets back. A record is a key, an id, a time and a value.

use super::codec::{Reader, WireError, put_bytes};
use crate::attempt::Timestamp;
use bytes::Bytes;

/// Records being gathered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    bytes: Vec<u8>,
    count: u32,
    scratch: Vec<u8>,
}

/// One record, borrowed from the section's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub key: &'a [u8],
    pub id: &'a [u8],
    pub at: Timestamp,
    pub value: &'a [u8],
}

impl Section {
    pub fn push(&mut self, record: Record<'_>) {
        put_bytes(&mut self.bytes, record.key);
        put_bytes(&mut self.bytes, record.id);
        self.bytes.extend_from_slice(&record.at.0.to_le_bytes());
        put_bytes(&mut self.bytes, record.value);
        self.count += 1;
    }

    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Pushes a record whose value `write` puts together.
    pub fn push_with(
        &mut self,
        key: &[u8],
        id: &[u8],
        at: Timestamp,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        write(&mut scratch);
        self.push(Record { key, id, at, value: &scratch });
        self.scratch = scratch;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// The count, and the bytes in a form that can be shared.
    pub fn freeze(self) -> (u32, Bytes) {
        (self.count, Bytes::from(self.bytes))
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The records of a section's bytes, until the end or the first one that cannot be read.
pub fn records(bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, WireError>> {
    let mut reader = Reader::new(bytes);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || reader.is_empty() {
            return None;
        }
        let read = record(&mut reader);
        failed = read.is_err();
        Some(read)
    })
}

fn record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, WireError> {
    Ok(Record {
        key: reader.bytes("record key")?,
        id: reader.bytes("record id")?,
        at: Timestamp(i64::from_le_bytes(reader.array("record time")?)),
        value: reader.bytes("record value")?,
    })
}
