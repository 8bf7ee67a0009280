//! The frames of a data folder, from the oldest that is there to the last whole one.

use super::AuditError;
use crate::adapters::embedded::disk::{Disk, RealDisk};
use crate::adapters::embedded::folder::log_folder;
use crate::adapters::embedded::frame::Frame;
use crate::adapters::embedded::reader::promised;
use crate::adapters::embedded::{LogEnd, LogError, LogReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A writer beside us may be in the middle of a frame; it is done in far less than all of these.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

pub struct JournalLog {
    reader: LogReader,
    /// Where the log ended when the audit began: a writer beside us may add more for ever.
    until: u64,
    promised: u64,
}

impl JournalLog {
    pub fn open(root: &Path) -> Result<Self, AuditError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let folder = log_folder(root);
        // The promise first: a log that grows meanwhile can only be longer than it says.
        let promised = promised(disk.as_ref(), &folder);
        let mut until = 0;
        if let Some(mut newest) = LogReader::newest(Arc::clone(&disk), folder.clone())? {
            while newest.next(u64::MAX)?.is_some() {}
            until = newest.at();
        }
        let reader = LogReader::oldest(disk, folder)?;
        Ok(Self { reader, until, promised })
    }

    pub fn at(&self) -> u64 {
        self.reader.at()
    }

    pub fn until(&self) -> u64 {
        self.until
    }

    pub fn next(&mut self) -> Result<Option<Frame>, AuditError> {
        Ok(self.reader.next(self.until)?)
    }

    /// Says whether what was read is all there is: how much of a torn frame stands behind it.
    pub fn end(&mut self) -> Result<u64, AuditError> {
        let torn = self.torn()?;
        if self.at() < self.promised {
            return Err(AuditError::Shortened { end: self.at(), promised: self.promised });
        }
        Ok(torn)
    }

    /// What stands behind the last whole frame. Damage is told from an end before anything else:
    /// a log that is broken in the middle does not end there.
    fn torn(&mut self) -> Result<u64, AuditError> {
        let mut looks = 0;
        loop {
            let found = self.reader.end();
            // A frame that is whole by now was being written before: the log only goes on.
            let lsn = self.at();
            if lsn >= self.until && self.goes_on()? {
                return Ok(0);
            }
            looks += 1;
            let damaged = |path: PathBuf, at, what| {
                Err(AuditError::Damaged { lsn, path: path.display().to_string(), at, what })
            };
            match found {
                Ok(LogEnd::Clean) => return Ok(0),
                Ok(LogEnd::Torn { bytes }) if looks >= LOOKS => return Ok(bytes),
                Ok(LogEnd::Broken { path, at }) if looks >= LOOKS => {
                    let what = "a frame was written to its end and its checksum does not hold";
                    return damaged(path, at, what);
                }
                Err(LogError::Damaged { path, at, what }) if looks >= LOOKS => {
                    return damaged(path, at, what);
                }
                Err(error) if looks >= LOOKS => return Err(error.into()),
                Ok(LogEnd::Torn { .. } | LogEnd::Broken { .. }) | Err(_) => {
                    std::thread::sleep(BETWEEN_LOOKS);
                }
            }
        }
    }

    /// Whether a whole frame follows.
    fn goes_on(&mut self) -> Result<bool, AuditError> {
        let mut ahead = self.reader.ahead();
        Ok(ahead.next(u64::MAX)?.is_some())
    }
}
