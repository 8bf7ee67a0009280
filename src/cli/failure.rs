//! Why a command could not do what it was asked: what happened, and what to do about it.

use super::embedded::StartError;
use super::keys::KeysError;
use super::{exit, say};
use crate::actors::EngineError;
use crate::config::ConfigErrors;
use crate::ports::JournalError;
use std::fmt::{self, Display};
use std::io;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: u8,
    /// What happened, and where.
    pub what: String,
    /// What the reader is to do; empty where `what` says it.
    pub fix: String,
}

impl Failure {
    pub fn new(code: u8, what: impl Display, fix: impl Display) -> Self {
        Self { code, what: what.to_string(), fix: fix.to_string() }
    }

    pub fn usage(what: impl Display, fix: impl Display) -> Self {
        Self::new(exit::USAGE, what, fix)
    }

    /// A file or folder that could not be used.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        let fixes = [
            (io::ErrorKind::PermissionDenied, "let the user that Tidegate runs as do that"),
            (
                io::ErrorKind::NotFound,
                "see that the path is right; it is relative to where you are",
            ),
            (io::ErrorKind::StorageFull, "make room on the disk"),
        ];
        let known = fixes.into_iter().find(|(kind, _)| *kind == error.kind());
        let fix = known.map_or("see what the system says of this path", |(_, fix)| fix);
        Self::new(exit::IO, format!("cannot {doing} {}: {error}", path.display()), fix)
    }

    pub fn answer(error: &io::Error) -> Self {
        // Whoever read it, such as `head`, has seen enough.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(exit::OK, "", "");
        }
        Self::new(exit::USAGE, format!("cannot write the answer: {error}"), "")
    }

    /// In one line, for who tells more.
    pub(super) fn told(self) -> anyhow::Error {
        let Self { what, fix, .. } = self;
        if fix.is_empty() { anyhow::anyhow!(what) } else { anyhow::anyhow!("{what}; {fix}") }
    }

    /// Tells it on standard error, and says with what to exit.
    pub fn tell(&self) -> u8 {
        if self.code != exit::OK {
            say(format_args!("tidegate: {self}"));
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.fix.is_empty() {
            write!(f, "\n  {}", self.fix)?;
        }
        Ok(())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let fix = "`tidegate check --config FILE` tells all of it again";
        Self::new(exit::CONFIG, format!("the configuration cannot be used\n{errors}"), fix)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Journal(error) => error.into(),
            StartError::View(error) => Self::new(
                exit::INTERNAL,
                error,
                "the view is made from the journal: stop, remove the folder `view`, start again",
            ),
            StartError::Engine(error) => error.into(),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let (code, fix) = match &error {
            JournalError::Locked { .. } => (
                exit::BUSY,
                "stop that process first, or give this one a folder of its own (`--data DIR`, or \
                 `data_dir` in the configuration)",
            ),
            JournalError::Files { .. } => {
                (exit::IO, "see that the folder exists, may be written, and has room")
            }
            JournalError::Damaged(_) => (
                exit::DATA,
                "nothing was changed; keep a copy of what is there, then restore it from a backup",
            ),
            JournalError::Pinned { .. } => {
                (exit::CONFIG, "leave `partitions` out, or set it to what the journal was made for")
            }
            JournalError::OtherKeys { .. } => (
                exit::CONFIG,
                "put the key back: as the first of `signing.keys`, or as the file `signing.key` of \
                 the folder where none is configured; other keys would make everything that was \
                 acknowledged unproven. A new key stands behind the old one, which may be retired \
                 but never left out",
            ),
            JournalError::OtherMode { .. } => (
                exit::CONFIG,
                "nothing was changed; set `mode` back, or name a folder of its own: `data_dir`, or \
                 `dev --data DIR`",
            ),
            JournalError::Newer { .. } => (
                exit::CONFIG,
                "nothing was changed; run the tidegate that wrote it, or a newer one",
            ),
            JournalError::Brokers(_) => (
                exit::UNAVAILABLE,
                "see that the brokers of `kafka.brokers` are up and that the topics are there",
            ),
            JournalError::OtherGroup { .. } => (
                exit::CONFIG,
                "nothing was written; set `kafka.group` back, or give this deployment topics of its \
                 own with `kafka.topic_prefix`",
            ),
            JournalError::Replaced => (
                exit::BUSY,
                "give each process an `instance_id` of its own, or a `data_dir` that keeps it one",
            ),
            JournalError::Torn { .. } | JournalError::Half { .. } => (
                exit::DATA,
                "nothing was written; `tidegate audit` says what is missing. Do not move the \
                 group's offsets by hand",
            ),
            JournalError::Missing { .. } => (
                exit::DATA,
                "nothing was written; see the retention of `signals` with `tidegate topics verify`, \
                 and restore what is missing",
            ),
            JournalError::NotAssigned { .. } | JournalError::Closed => {
                (exit::INTERNAL, "the log says why; start again")
            }
        };
        Self::new(code, error, fix)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let error = match error.into_journal_error() {
            Ok(of_journal) => return of_journal.into(),
            Err(error) => error,
        };
        let (code, fix) = if error.is_a_view_ahead() {
            // A supervisor that starts it again would meet the same.
            let fix = "the journal has lost its end: restore the whole folder. Only where the \
                       journal alone was restored from a backup, remove the folder `view`, which \
                       is made anew";
            (exit::DATA, fix)
        } else {
            let fix = "everything that was acknowledged is in the journal; start again";
            (exit::INTERNAL, fix)
        };
        Self::new(code, format!("the engine has stopped: {error}"), fix)
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        let (code, fix) = match error {
            KeysError::Journal(error) => return error.into(),
            // These say themselves what to do.
            KeysError::Missing { .. } | KeysError::Damaged { .. } | KeysError::Open { .. } => {
                (exit::CONFIG, "")
            }
            KeysError::NoKey { .. } | KeysError::Unusable(_) => {
                (exit::CONFIG, "`openssl rand -hex 32` makes a good key, for a new folder")
            }
            KeysError::File { .. } => (exit::IO, "see that the file may be read and written"),
            KeysError::NoRandom(_) => (exit::INTERNAL, ""),
        };
        Self::new(code, error.to_string(), fix)
    }
}
