//! The data folder: who may use it, and what is decided for ever when it is made.

use super::disk::{Disk, RealDisk, replace};
use crate::ports::JournalError;
use crate::wire::trailer::ROUTING_VERSION;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What a folder was made for. Another partition count would give keys another home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    pub format: u32,
    pub partitions: u32,
    pub routing: u32,
}

const FORMAT: u32 = 1;
const PINS: &str = "journal.json";
const LOCK: &str = "lock";
const LOG: &str = "journal";
const VIEW: &str = "view";

/// A folder that this process alone writes. The lock is the operating system's and ends with the
/// process, however it ends.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    pins: Pins,
    _lock: File,
}

impl DataFolder {
    /// Takes the folder, making it for `partitions` if it is new. `None` takes what it was made
    /// for, and `default` where it is new.
    pub fn take(root: &Path, partitions: Option<u32>, default: u32) -> Result<Self, JournalError> {
        let files = |source| JournalError::Files { folder: root.display().to_string(), source };
        fs::create_dir_all(root.join(LOG)).map_err(files)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join(LOCK))
            .map_err(files)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Locked { folder: root.display().to_string() });
            }
            Err(TryLockError::Error(source)) => return Err(files(source)),
        }
        let pins = match Self::pins(root).map_err(files)? {
            Some(pins) => pins,
            None if fs::read_dir(root.join(LOG)).map_err(files)?.next().is_some() => {
                return Err(JournalError::Damaged(format!(
                    "{} is gone, and with it the number of partitions that the log was made for",
                    root.join(PINS).display()
                )));
            }
            None => {
                let partitions = partitions.unwrap_or(default);
                let pins = Pins { format: FORMAT, partitions, routing: ROUTING_VERSION };
                pins.save(root).map_err(files)?;
                pins
            }
        };
        let asked = partitions.unwrap_or(pins.partitions);
        if pins.format != FORMAT {
            return Err(JournalError::Damaged(format!(
                "{} has format {}, and this build knows format {FORMAT}",
                root.join(PINS).display(),
                pins.format
            )));
        }
        if (pins.partitions, pins.routing) != (asked, ROUTING_VERSION) {
            return Err(JournalError::Pinned {
                pinned: pins.partitions,
                pinned_routing: pins.routing,
                asked,
                asked_routing: ROUTING_VERSION,
            });
        }
        Ok(Self { root: root.to_owned(), pins, _lock: lock })
    }

    /// What a folder was made for, without taking it; `None` where there is no journal.
    pub fn pins(root: &Path) -> io::Result<Option<Pins>> {
        match fs::read(root.join(PINS)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn partitions(&self) -> u32 {
        self.pins.partitions
    }

    pub fn log(&self) -> PathBuf {
        log_folder(&self.root)
    }

    pub fn view(&self) -> PathBuf {
        self.root.join(VIEW)
    }
}

/// Where a data folder keeps its log.
pub fn log_folder(root: &Path) -> PathBuf {
    root.join(LOG)
}

impl Pins {
    /// Whether this build knows the format and decides by the same routing.
    pub fn is_known(&self) -> bool {
        (self.format, self.routing) == (FORMAT, ROUTING_VERSION)
    }

    fn save(&self, root: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        bytes.push(b'\n');
        let disk: &dyn Disk = &RealDisk;
        replace(disk, root, PINS, &bytes, || {})
    }
}
