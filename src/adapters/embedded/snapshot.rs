//! Where recovery may begin: the tails of all partitions at one address of the log. It bounds how
//! much a start has to read; it is never believed over the log, and losing it costs only time.

use super::disk::{Disk, read_full, replace};
use super::segment::{LogError, failed, read_frame, segment_bases, segment_path};
use crate::crash;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

pub const NAME: &str = "snapshot";

/// The first bytes of the file.
const MAGIC: &[u8; 4] = b"TGS2";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The tails are those at this address.
    pub lsn: u64,
    /// The frame that ends there, and its checksum: a snapshot of another log has another one.
    pub last_frame: u64,
    pub last_crc: u32,
    /// Reading from here on meets every signal that was not decided at `lsn`.
    pub read_from: u64,
    pub partitions: Vec<PartitionSnapshot>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSnapshot {
    pub next_offset: u64,
    pub epoch: u64,
    /// The newest trailer, as it is stored.
    pub trailer: Option<Vec<u8>>,
}

impl Snapshot {
    pub fn save(&self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[0; 4]);
        crate::wire::state::put_postcard(&mut bytes, self);
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        replace(disk, folder, NAME, &bytes, || crash::point("snapshot.before_rename"))?;
        crash::point("snapshot.after_rename");
        Ok(())
    }

    /// Whether the log in `folder` is the one that this was taken of.
    pub fn fits(&self, disk: &dyn Disk, folder: &Path) -> Result<bool, LogError> {
        let bases = segment_bases(disk, folder)?;
        let Some(&base) = bases.iter().rfind(|base| **base <= self.last_frame) else {
            return Ok(false);
        };
        let path = segment_path(folder, base);
        let file = disk.open(&path).map_err(failed("cannot open", &path))?;
        let frame = read_frame(file.as_ref(), base, self.last_frame)
            .map_err(failed("cannot read", &path))?;
        Ok(frame.is_some_and(|frame| frame.end() == self.lsn && frame.header.crc == self.last_crc))
    }

    /// The newest whole snapshot, if there is one.
    pub fn load(disk: &dyn Disk, folder: &Path) -> Option<Self> {
        let file = disk.open(&folder.join(NAME)).ok()?;
        let length = usize::try_from(file.length().ok()?).ok()?;
        let mut bytes = vec![0_u8; length];
        let filled = read_full(file.as_ref(), &mut bytes, 0).ok()?;
        let bytes = bytes.get(..filled)?;
        let (head, body) = bytes.split_at_checked(8)?;
        let whole = head.get(..4)? == MAGIC
            && head.get(4..8)? == crc32fast::hash(body).to_le_bytes().as_slice();
        whole.then(|| postcard::from_bytes(body).ok()).flatten()
    }
}
