//! The data folder: who may use it, and what is decided for ever when it is made.

use super::disk::{Disk, RealDisk, replace};
use crate::attempt::Mode;
use crate::ports::JournalError;
use crate::wire::seal::{Fingerprint, SigningKeys};
use crate::wire::trailer::ROUTING_VERSION;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// What a folder was made for. Another partition count would give keys another home, and other
/// signing keys would make a stranger's of every record that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    pub format: u32,
    pub partitions: u32,
    pub routing: u32,
    /// Of every signing key that may have sealed a record here, by its place. The first is also the
    /// one that attempt ids are derived from.
    pub signing_keys: Vec<Fingerprint>,
    /// Which of 0Gate's two worlds its events are of. A ledger must not get the one for the other.
    #[serde(default)]
    pub mode: Option<String>,
}

/// What a file of any format says of itself, whatever else stands in it.
#[derive(Deserialize)]
struct Format {
    format: u32,
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
    /// Takes the folder, making it for `partitions` and `keys` if it is new. `None` takes the count
    /// that it was made for, and `default_partitions` where it is new.
    pub fn take(
        root: &Path,
        partitions: Option<u32>,
        default_partitions: u32,
        keys: &SigningKeys,
        mode: Mode,
    ) -> Result<Self, JournalError> {
        let files = |source| unusable(root, source);
        let gone = |what: &str| {
            let path = root.join(what);
            JournalError::Damaged(format!("{} is gone, and what it held with it", path.display()))
        };
        if Self::pins(root)?.is_some() && !root.join(LOG).exists() {
            return Err(gone(LOG));
        }
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
        let pins = match Self::pins(root)? {
            Some(pins) => pins,
            None if fs::read_dir(root.join(LOG)).map_err(files)?.next().is_some() => {
                return Err(gone(PINS));
            }
            None => {
                let partitions = partitions.unwrap_or(default_partitions);
                let pins = Pins {
                    format: FORMAT,
                    partitions,
                    routing: ROUTING_VERSION,
                    signing_keys: keys.fingerprints(),
                    mode: Some(mode.word().to_owned()),
                };
                pins.save(root).map_err(files)?;
                pins
            }
        };
        let asked = partitions.unwrap_or(pins.partitions);
        if (pins.partitions, pins.routing) != (asked, ROUTING_VERSION) {
            return Err(JournalError::Pinned {
                pinned: pins.partitions,
                pinned_routing: pins.routing,
                asked,
                asked_routing: ROUTING_VERSION,
            });
        }
        if let Some(pinned) = pins.mode.as_deref().filter(|pinned| *pinned != mode.word()) {
            return Err(JournalError::OtherMode {
                folder: root.display().to_string(),
                pinned: pinned.to_owned(),
                asked: mode.word(),
            });
        }
        pins.refuse_other_keys(root, keys)?;
        let pins = pins.with(keys, mode, root).map_err(files)?;
        Ok(Self { root: root.to_owned(), pins, _lock: lock })
    }

    /// Refuses a folder that another process uses, before anything is put into it.
    pub fn refuse_taken(root: &Path) -> Result<(), JournalError> {
        match File::open(root.join(LOCK)).map(|lock| lock.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => {
                Err(JournalError::Locked { folder: root.display().to_string() })
            }
            // Whoever takes it says what else is wrong.
            Ok(Ok(()) | Err(TryLockError::Error(_))) | Err(_) => Ok(()),
        }
    }

    /// What a folder was made for, without taking it; `None` where there is no journal.
    pub fn pins(root: &Path) -> Result<Option<Pins>, JournalError> {
        let file = root.join(PINS);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(unusable(root, source)),
        };
        let damaged = |error: serde_json::Error| {
            JournalError::Damaged(format!("{} cannot be understood: {error}", file.display()))
        };
        // The format first: what else stands there is of its choosing.
        let Format { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(JournalError::Newer {
                folder: root.display().to_string(),
                format,
                known: FORMAT,
            });
        }
        let pins: Pins = serde_json::from_slice(&bytes).map_err(damaged)?;
        if pins.signing_keys.is_empty() {
            return Err(JournalError::Damaged(format!("{} names no signing key", file.display())));
        }
        if pins.format != FORMAT {
            return Err(JournalError::Damaged(format!(
                "{} has format {format}, which no build ever wrote",
                file.display()
            )));
        }
        Ok(Some(pins))
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

fn unusable(root: &Path, source: io::Error) -> JournalError {
    JournalError::Files { folder: root.display().to_string(), source }
}

/// Where a data folder keeps its log.
pub fn log_folder(root: &Path) -> PathBuf {
    root.join(LOG)
}

impl Pins {
    /// Refuses keys that did not sign what the folder holds.
    pub fn refuse_other_keys(&self, root: &Path, keys: &SigningKeys) -> Result<(), JournalError> {
        let missing = self
            .signing_keys
            .iter()
            .enumerate()
            .find(|(place, pinned)| keys.fingerprint(*place) != Some(**pinned));
        match missing {
            None => Ok(()),
            Some((place, &pinned)) => Err(JournalError::OtherKeys {
                folder: root.display().to_string(),
                place,
                pinned,
                given: keys.fingerprint(place),
            }),
        }
    }

    /// Pins what may seal from now on, before it does, and the mode of a folder that had none yet.
    fn with(self, keys: &SigningKeys, mode: Mode, root: &Path) -> io::Result<Self> {
        let sealing = keys.fingerprints();
        let grown = sealing.len() > self.signing_keys.len();
        if !grown && self.mode.is_some() {
            return Ok(self);
        }
        let pins = Self {
            signing_keys: if grown { sealing } else { self.signing_keys },
            mode: self.mode.or_else(|| Some(mode.word().to_owned())),
            ..self
        };
        pins.save(root)?;
        Ok(pins)
    }

    /// Whether this build decides by the same routing. Another format is refused when it is read.
    pub fn routes_as_we_do(&self) -> bool {
        self.routing == ROUTING_VERSION
    }

    fn save(&self, root: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        bytes.push(b'\n');
        let disk: &dyn Disk = &RealDisk;
        replace(disk, root, PINS, &bytes, || {})
    }
}
