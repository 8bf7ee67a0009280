//! Reading frames back, beside a running writer or after it: feeds, replay, audit.

use super::disk::{Disk, DiskFile};
use super::frame::{Frame, HEADER_BYTES, Header};
use super::segment::{LogError, failed, refuse_damage, segment_bases, segment_path};
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes read at a time. Frames of a busy log are of this order; those of an idle one come
/// many to a chunk.
const CHUNK: usize = 1 << 20;

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

    /// Begins at the oldest frame that is kept.
    pub fn oldest(disk: Arc<dyn Disk>, folder: PathBuf) -> Result<Self, LogError> {
        let first = segment_bases(disk.as_ref(), &folder)?.first().copied().unwrap_or(0);
        Ok(Self::new(disk, folder, first))
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
