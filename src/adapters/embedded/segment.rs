//! The log: preallocated files, written one frame at a time, each synced before the next begins.
//!
//! A file is named by the byte address of its first frame, and addresses run on without a gap from
//! one file to the next. Only the last frame can ever be torn, because no frame is begun before
//! the one before it is durable. So a broken frame with a whole one behind it is damage, not a
//! torn tail, and the start refuses to guess.

use super::chores::{Chores, remove_spare};
use super::disk::{Disk, DiskFile, make_ready, read_full};
use super::frame::{ALIGNMENT, FRAME_BYTES_MAX, Frame, HEADER_BYTES, Header};
use super::snapshot::Snapshot;
use crate::crash;
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Nothing has changed, and the same may be tried again.
    #[error("no room for {path}: {source}")]
    NoRoom { path: PathBuf, source: io::Error },
    #[error("{path} is damaged at byte {at}: {what}")]
    Damaged { path: PathBuf, at: u64, what: &'static str },
    #[error("a frame of {length} bytes could not be read back: {FRAME_BYTES_MAX} is the most")]
    TooLarge { length: usize },
}

impl LogError {
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. })
    }
}

/// Whether the same may be tried again when somebody has made room.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    // No descriptor left is no room either: nothing was written, and others will close theirs.
    const TOO_MANY_FILES: [i32; 2] = [24, 23];
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

/// For the steps that may be tried again when there is room: making a file, and writing what has
/// not been synced. A sync that fails never is one of them, whatever reason it gives.
fn perhaps_no_room<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| {
        if is_no_room(&source) {
            return LogError::NoRoom { path: path.to_owned(), source };
        }
        failed(doing, path)(source)
    }
}

pub(super) fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| LogError::Io { doing, path: path.to_owned(), source }
}

const SUFFIX: &str = ".seg";
/// What a last segment is copied to before it takes its place.
const COPY_SUFFIX: &str = ".copy";

pub fn segment_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}{SUFFIX}"))
}

/// The addresses at which the segments of a folder begin, in order.
pub fn segment_bases(disk: &dyn Disk, folder: &Path) -> Result<Vec<u64>, LogError> {
    let mut bases: Vec<u64> = disk
        .list(folder)
        .map_err(failed("cannot list", folder))?
        .iter()
        .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok())
        .collect();
    bases.sort_unstable();
    Ok(bases)
}

/// Reads the frame at `lsn` of the segment that begins at `base`, if a whole one is there.
pub fn read_frame(file: &dyn DiskFile, base: u64, lsn: u64) -> io::Result<Option<Frame>> {
    let mut head = [0_u8; HEADER_BYTES];
    if read_full(file, &mut head, lsn - base)? < HEADER_BYTES {
        return Ok(None);
    }
    let Some(header) = Header::read(&head, lsn) else { return Ok(None) };
    let mut bytes = vec![0_u8; header.length];
    if read_full(file, &mut bytes, lsn - base)? < header.length || !header.holds(&bytes) {
        return Ok(None);
    }
    Ok(Some(Frame { header, bytes: Bytes::from(bytes) }))
}

/// The end of the log, open for writing.
pub struct Log {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    segment_bytes: u64,
    file: Arc<dyn DiskFile>,
    base: u64,
    end: u64,
    /// Where the newest frame of this life begins, and its checksum.
    last_frame: (u64, u32),
    /// Whether something of a frame that was not taken may stand behind the end.
    half_written: bool,
    chores: Chores,
}

impl Log {
    /// Opens the log of `folder`, telling `each` every frame from `from` on. A log that ends
    /// before `least` has lost something, and is refused as it is.
    ///
    /// The last segment is copied to a new file and synced before this returns: after a failed
    /// sync the cache of the operating system may show bytes that the disk does not have, and a
    /// copy has only what is really read and really synced.
    pub fn open(
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        segment_bytes: u64,
        from: u64,
        least: u64,
        mut each: impl FnMut(&Frame) -> Result<(), &'static str>,
    ) -> Result<Self, LogError> {
        // What is made below may need the room that a spare of an earlier life takes.
        remove_spare(disk.as_ref(), &folder).map_err(failed("cannot tidy", &folder))?;
        let bases = segment_bases(disk.as_ref(), &folder)?;
        let last_frame = (0, 0);
        let Some(&last) = bases.last() else {
            if least > 0 {
                let what = "a snapshot was taken of it, and there is no log";
                return Err(LogError::Damaged { path: folder, at: 0, what });
            }
            let file = create_segment(disk.as_ref(), &folder, 0, segment_bytes)?;
            let chores = chores(&disk, &folder)?;
            return Ok(Self {
                disk,
                folder,
                segment_bytes,
                file,
                base: 0,
                end: 0,
                last_frame,
                half_written: false,
                chores,
            });
        };
        let uncut = refuse_gaps(disk.as_ref(), &folder, &bases)?;
        let first = bases.partition_point(|base| *base <= from).saturating_sub(1);
        // The whole segment is read, even where only its end is asked for: what is served from
        // here on must be known to be whole.
        let mut end = bases[first];
        for (index, &base) in bases.iter().enumerate().skip(first) {
            let path = segment_path(&folder, base);
            if base != end && index != first {
                let what = "the segment before it does not end where this one begins";
                return Err(LogError::Damaged { path, at: base, what });
            }
            let file = disk.open(&path).map_err(failed("cannot open", &path))?;
            while let Some(frame) =
                read_frame(file.as_ref(), base, end).map_err(failed("cannot read", &path))?
            {
                if end >= from {
                    each(&frame).map_err(|what| LogError::Damaged {
                        path: path.clone(),
                        at: end - base,
                        what,
                    })?;
                }
                end = frame.end();
            }
            refuse_damage(file.as_ref(), &path, base, end)?;
        }
        if end < least {
            let path = segment_path(&folder, last);
            let what = "the log ends before the point that a snapshot says is durable";
            return Err(LogError::Damaged { path, at: end - last, what });
        }
        let file = recopy(disk.as_ref(), &folder, last, end, segment_bytes)?;
        let chores = chores(&disk, &folder)?;
        for (file, length, path) in uncut {
            chores.cut(file, length, path);
        }
        Ok(Self {
            disk,
            folder,
            segment_bytes,
            file,
            base: last,
            end,
            last_frame,
            half_written: false,
            chores,
        })
    }

    /// The address of the next frame, if it is `length` long; rolls to a new segment where the
    /// current one has no room for it.
    pub fn place(&mut self, length: usize) -> Result<u64, LogError> {
        if length > FRAME_BYTES_MAX {
            return Err(LogError::TooLarge { length });
        }
        let used = self.end - self.base;
        if used > 0 && used + length as u64 > self.segment_bytes {
            self.roll()?;
        }
        Ok(self.end)
    }

    /// Writes a sealed frame at the place that was given, and makes it durable. Where there was no
    /// room, what was written in part is taken back before the next frame.
    pub fn write(&mut self, frame: &[u8]) -> Result<(), LogError> {
        let path = segment_path(&self.folder, self.base);
        crash::point("journal.before_write");
        self.take_back().map_err(perhaps_no_room("cannot tidy", &path))?;
        let written = self.file.write_all_at(frame, self.end - self.base);
        self.half_written = written.is_err();
        written.map_err(perhaps_no_room("cannot write to", &path))?;
        crash::point("journal.after_write");
        self.file.sync().map_err(failed("cannot sync", &path))?;
        crash::point("journal.after_sync");
        let crc = frame.get(4..8).and_then(|crc| crc.try_into().ok()).map_or(0, u32::from_le_bytes);
        self.last_frame = (self.end, crc);
        self.end += frame.len() as u64;
        if 2 * (self.end - self.base) >= self.segment_bytes {
            self.chores.ask_spare(room(self.segment_bytes));
        }
        Ok(())
    }

    /// A shorter frame would cover only the beginning of what a longer one has left, and the rest
    /// would look like damage.
    fn take_back(&mut self) -> io::Result<()> {
        if self.half_written {
            self.file.truncate(self.end - self.base)?;
            self.file.allocate(room(self.segment_bytes))?;
            self.half_written = false;
        }
        Ok(())
    }

    /// Saves where the log stands, some time soon.
    pub fn save(&self, snapshot: Snapshot) {
        self.chores.save(snapshot);
    }

    pub fn last_frame(&self) -> (u64, u32) {
        self.last_frame
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Puts the next segment in place first: where there is no room for it, nothing has changed.
    fn roll(&mut self) -> Result<(), LogError> {
        let path = segment_path(&self.folder, self.end);
        let fresh = match self.chores.take_spare() {
            Some((file, spare)) => {
                self.disk.rename(spare, &path).map_err(perhaps_no_room("cannot make", &path))?;
                self.disk.sync_folder(&self.folder).map_err(failed("cannot make", &path))?;
                file
            }
            None => create_segment(self.disk.as_ref(), &self.folder, self.end, self.segment_bytes)?,
        };
        crash::point("journal.roll.after_create");
        let full = std::mem::replace(&mut self.file, fresh);
        let length = self.end - self.base;
        self.chores.cut(full, length, segment_path(&self.folder, self.base));
        self.base = self.end;
        Ok(())
    }
}

fn chores(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Chores, LogError> {
    Chores::start(Arc::clone(disk), folder.to_owned())
        .map_err(failed("cannot start the chores of", folder))
}

/// What a segment takes on the disk from the start.
fn room(segment_bytes: u64) -> u64 {
    segment_bytes.max(FRAME_BYTES_MAX as u64)
}

/// A full segment whose roll was interrupted before it was cut to what it holds, and what that is.
type Uncut = (Arc<dyn DiskFile>, u64, PathBuf);

/// Every segment from the beginning must be there and reach to the next one; says which
/// are to be cut. Only sizes are looked at: that older bytes are still the same is the audit's to say.
fn refuse_gaps(disk: &dyn Disk, folder: &Path, bases: &[u64]) -> Result<Vec<Uncut>, LogError> {
    let mut uncut = vec![];
    if let Some(&first) = bases.first()
        && first != 0
    {
        let path = segment_path(folder, first);
        let what = "the log does not begin at its beginning: older segments are gone";
        return Err(LogError::Damaged { path, at: 0, what });
    }
    for pair in bases.windows(2) {
        let path = segment_path(folder, pair[0]);
        let file = disk.open(&path).map_err(failed("cannot look at", &path))?;
        let length = file.length().map_err(failed("cannot look at", &path))?;
        let holds = pair[1] - pair[0];
        if length < holds {
            let what = "it ends before the next segment begins";
            return Err(LogError::Damaged { path, at: length, what });
        }
        uncut.extend((length > holds).then_some((file, holds, path)));
    }
    Ok(uncut)
}

fn create_segment(
    disk: &dyn Disk,
    folder: &Path,
    base: u64,
    segment_bytes: u64,
) -> Result<Arc<dyn DiskFile>, LogError> {
    let path = segment_path(folder, base);
    let file = make_ready(disk, &path, room(segment_bytes))
        .map_err(perhaps_no_room("cannot make", &path))?;
    disk.sync_folder(folder).map_err(|error| {
        // One that may not be there after a crash would stand in the way of the next try.
        let _gone = disk.remove(&path);
        perhaps_no_room("cannot make", &path)(error)
    })?;
    Ok(file)
}

/// The bytes up to the last one that is not zero. A preallocated file is mostly zeros behind its
/// frames, and comparing whole pages is far quicker than looking at each byte.
pub(super) fn written(bytes: &[u8]) -> &[u8] {
    const PAGE: usize = 4096;
    let zeros = [0_u8; PAGE];
    let last = bytes.chunks(PAGE).enumerate().rfind(|(_, page)| **page != zeros[..page.len()]);
    let Some((nth, page)) = last else { return &[] };
    let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..nth * PAGE + used]
}

/// A broken frame is a torn tail only if nothing whole comes after it.
pub fn refuse_damage(
    file: &dyn DiskFile,
    path: &Path,
    base: u64,
    end: u64,
) -> Result<(), LogError> {
    let length = file.length().map_err(failed("cannot read", path))?;
    let mut rest = vec![0_u8; usize::try_from(length.saturating_sub(end - base)).unwrap_or(0)];
    let filled = read_full(file, &mut rest, end - base).map_err(failed("cannot read", path))?;
    let rest = &rest[..filled];
    // A frame begins with a magic number, and never in the zeros at the end; it may end in them.
    for at in (ALIGNMENT..written(rest).len()).step_by(ALIGNMENT) {
        let tail = &rest[at..];
        if let Some(header) = Header::read(tail, end + at as u64)
            && tail.get(..header.length).is_some_and(|frame| header.holds(frame))
        {
            let what = "a broken frame has a whole one behind it";
            return Err(LogError::Damaged { path: path.to_owned(), at: end - base, what });
        }
    }
    Ok(())
}

/// Replaces the last segment with a synced copy of its whole frames, preallocated anew.
fn recopy(
    disk: &dyn Disk,
    folder: &Path,
    base: u64,
    end: u64,
    segment_bytes: u64,
) -> Result<Arc<dyn DiskFile>, LogError> {
    const STEP: usize = 1 << 20;
    let path = segment_path(folder, base);
    let copy = path.with_extension(COPY_SUFFIX.trim_start_matches('.'));
    let copied = (|| {
        let from = disk.open(&path)?;
        let to = disk.create(&copy)?;
        to.allocate(room(segment_bytes))?;
        let mut buffer = vec![0_u8; STEP];
        let mut at = 0;
        while at < end - base {
            let want = usize::try_from(end - base - at).unwrap_or(STEP).min(STEP);
            let got = read_full(from.as_ref(), &mut buffer[..want], at)?;
            if got < want {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            to.write_all_at(&buffer[..got], at)?;
            at += got as u64;
        }
        to.sync()?;
        disk.rename(&copy, &path)?;
        disk.sync_folder(folder)?;
        Ok(to)
    })();
    copied.map_err(|error| {
        // On a full disk a half-made copy would stand in its own way.
        let _gone = disk.remove(&copy);
        failed("cannot copy", &path)(error)
    })
}
