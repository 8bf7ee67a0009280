//! Reading frames back, beside a running writer or after it: feeds, replay, audit.

use super::disk::{Disk, DiskFile};
use super::frame::{ALIGNMENT, Frame, HEADER_BYTES, Header};
use super::segment::{LogError, failed, refuse_damage, segment_bases, segment_path, written};
use super::snapshot::Snapshot;
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes read at a time. Frames of a busy log are of this order; those of an idle one come
/// many to a chunk.
const CHUNK: usize = 1 << 20;

/// What stands behind the last whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// Nothing.
    Clean,
    /// The beginning of a frame, and nothing behind it: a write that was cut short. Nobody was
    /// told that it is durable.
    Torn { bytes: u64 },
    /// A frame that was written to its end and is not whole, or bytes that are no frame at all.
    Broken { path: PathBuf, at: u64 },
}

/// The address up to which the log in `folder` once was durable, by its snapshot: a log that ends
/// before it has lost something.
pub fn promised(disk: &dyn Disk, folder: &Path) -> u64 {
    Snapshot::load(disk, folder).map_or(0, |snapshot| snapshot.lsn)
}

/// Walks the log from one frame to the next.
pub struct LogReader {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    at: u64,
    segment: Option<(u64, Arc<dyn DiskFile>)>,
    chunk: Bytes,
    chunk_at: u64,
    /// Nothing from here on is read ahead: a follower would read a whole chunk of emptiness for
    /// every small frame, and read it again once something stands there.
    until: u64,
}

impl LogReader {
    /// Begins at `from`, which must be the address of a frame or the end of the log.
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf, from: u64) -> Self {
        Self {
            disk,
            folder,
            at: from,
            segment: None,
            chunk: Bytes::new(),
            chunk_at: from,
            until: from,
        }
    }

    /// Begins at the oldest frame that is there.
    pub fn oldest(disk: Arc<dyn Disk>, folder: PathBuf) -> Result<Self, LogError> {
        let first = segment_bases(disk.as_ref(), &folder)?.first().copied().unwrap_or(0);
        Ok(Self::new(disk, folder, first))
    }

    /// Begins at the first frame of the newest segment; `None` where there is no segment.
    pub fn newest(disk: Arc<dyn Disk>, folder: PathBuf) -> Result<Option<Self>, LogError> {
        let last = segment_bases(disk.as_ref(), &folder)?.last().copied();
        Ok(last.map(|last| Self::new(disk, folder, last)))
    }

    /// Another reader at the same place, which shares nothing of what this one holds in memory.
    pub fn ahead(&self) -> Self {
        Self::new(Arc::clone(&self.disk), self.folder.clone(), self.at)
    }

    /// The address of the frame that comes next.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next frame that begins before `until`; `None` where there is no whole one.
    pub fn next(&mut self, until: u64) -> Result<Option<Frame>, LogError> {
        if self.at >= until {
            return Ok(None);
        }
        self.until = until;
        if let Some(frame) = self.frame_here()? {
            return Ok(Some(frame));
        }
        // The segment may end here and the next one begin; or the frame came after its place had
        // been read ahead, as the zeros that stood there then.
        self.enter_segment()?;
        self.frame_here()
    }

    /// What stands where no whole frame does: nothing and a torn tail are fine, a whole frame
    /// behind a broken one is damage.
    pub fn refuse_damage(&mut self) -> Result<(), LogError> {
        if self.segment.is_none() && !self.enter_segment()? {
            return Ok(());
        }
        let Some((base, file)) = &self.segment else { return Ok(()) };
        let path = segment_path(&self.folder, *base);
        refuse_damage(file.as_ref(), &path, *base, self.at)?;
        let later = segment_bases(self.disk.as_ref(), &self.folder)?;
        if later.iter().any(|next| *next > self.at) {
            let what = "the log has a gap: a later segment does not begin where this one ends";
            return Err(LogError::Damaged { path, at: self.at - *base, what });
        }
        Ok(())
    }

    /// What stands where no whole frame does. A frame is written in one piece from its beginning,
    /// so that a cut write leaves zeros at the end of what it promised; a broken frame that has no
    /// zeros there was whole once, and is not taken for a torn one.
    pub fn end(&mut self) -> Result<LogEnd, LogError> {
        self.enter_segment()?;
        self.refuse_damage()?;
        let Some((base, file)) = &self.segment else { return Ok(LogEnd::Clean) };
        let path = segment_path(&self.folder, *base);
        let length = file.length().map_err(failed("cannot read", &path))?;
        let left = length.saturating_sub(self.at - base);
        let mut rest = vec![0_u8; usize::try_from(left).unwrap_or(0)];
        let filled = super::disk::read_full(file.as_ref(), &mut rest, self.at - base)
            .map_err(failed("cannot read", &path))?;
        let used = written(&rest[..filled]).len();
        if used == 0 {
            return Ok(LogEnd::Clean);
        }
        let cut_before = match Header::read(&rest, self.at) {
            Some(header) => header.length - ALIGNMENT,
            None => HEADER_BYTES,
        };
        if used <= cut_before {
            return Ok(LogEnd::Torn { bytes: used as u64 });
        }
        Ok(LogEnd::Broken { path, at: self.at - base })
    }

    fn frame_here(&mut self) -> Result<Option<Frame>, LogError> {
        if self.segment.is_none() && !self.enter_segment()? {
            return Ok(None);
        }
        let head = self.bytes(HEADER_BYTES)?;
        let Some(header) = Header::read(&head, self.at) else {
            self.chunk = Bytes::new();
            return Ok(None);
        };
        let bytes = self.bytes(header.length)?;
        if !header.holds(&bytes) {
            // It may be only half written yet: what was read must not be read from memory again.
            self.chunk = Bytes::new();
            return Ok(None);
        }
        self.at += header.length as u64;
        Ok(Some(Frame { header, bytes }))
    }

    /// Up to `count` bytes from the current address on.
    fn bytes(&mut self, count: usize) -> Result<Bytes, LogError> {
        let Some((base, file)) = &self.segment else { return Ok(Bytes::new()) };
        let from = self.at.checked_sub(self.chunk_at).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = from
            && from + count <= self.chunk.len()
        {
            return Ok(self.chunk.slice(from..from + count));
        }
        let ahead = self.until.saturating_sub(self.at).min(CHUNK as u64) as usize;
        let mut chunk = vec![0_u8; count.max(ahead)];
        let filled = super::disk::read_full(file.as_ref(), &mut chunk, self.at - base)
            .map_err(failed("cannot read", &segment_path(&self.folder, *base)))?;
        chunk.truncate(filled);
        self.chunk = Bytes::from(chunk);
        self.chunk_at = self.at;
        Ok(self.chunk.slice(..count.min(filled)))
    }

    /// Opens the segment that holds the current address; false where that is open already or
    /// there is none.
    fn enter_segment(&mut self) -> Result<bool, LogError> {
        let bases = segment_bases(self.disk.as_ref(), &self.folder)?;
        let Some(&base) = bases.iter().rfind(|base| **base <= self.at) else { return Ok(false) };
        if self.segment.as_ref().is_some_and(|(open, _)| *open == base) {
            return Ok(false);
        }
        let path = segment_path(&self.folder, base);
        match self.disk.open(&path) {
            Ok(file) => {
                self.segment = Some((base, file));
                self.chunk = Bytes::new();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("cannot open", &path)(error)),
        }
    }
}
