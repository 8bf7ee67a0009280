//! The audit: reads a journal from its oldest frame to its last whole one, decides everything
//! again, and proves the invariants by what is stored.
//!
//! ```text
//!  frames ──▶ parts ──┬─▶ decided again, by the code that the lanes run ──▶ the same bytes?
//!                     └─▶ looked at on their own: history, proof, counts ──▶ do they hold?
//! ```
//!
//! The second way shares nothing with the first but the reading of records, so that a mistake in
//! the code that decides cannot hide behind being repeated.
//!
//! | file         | what it holds                                                         |
//! |--------------|-----------------------------------------------------------------------|
//! | `invariant`  | the names of what must hold                                           |
//! | `log`        | the frames of a data folder, to the end of what is whole              |
//! | `frames`     | of a log: which parts a frame holds, and what is missing from it      |
//! | `auditor`    | what is known while going through the parts, and said at the end      |
//! | `partition`  | one partition: its signals, its owner, and each part decided again    |
//! | `difference` | what it is that two runs of records do not have in common             |
//! | `forwards`   | signals that a part sent on, against those that arrived               |
//! | `history`    | what the outputs say of each attempt, over all time                   |
//! | `proof`      | the signal that a fulfillment rests on                                |
//! | `counts`     | what came in against what became of it                                |
//! | `topics`     | of a cluster: which records are a part, and what is missing between   |
//! | `sent`       | signals that parts sent on, against those that arrived in any topic   |
//! | `report`     | what was found                                                        |

mod auditor;
mod body;
mod counts;
mod difference;
mod forwards;
mod frames;
mod history;
mod invariant;
mod log;
mod partition;
mod proof;
mod report;
mod sent;
mod topics;

pub use invariant::Invariant;
pub use report::{Extent, Progress, Report, Violation, WITNESSES_MAX};

use crate::adapters::embedded::{DataFolder, LogError};
use crate::adapters::kafka::{Past, PastError};
use crate::ports::JournalError;
use crate::wire::seal::SigningKeys;
use std::path::Path;

/// Why there is no verdict. A journal of which nothing was proven is not a clean one.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("there is no journal in {folder}")]
    NoJournal { folder: String },
    #[error("the journal in {folder} is empty: there is nothing to prove")]
    Empty { folder: String },
    #[error(transparent)]
    Folder(#[from] JournalError),
    #[error(transparent)]
    Log(#[from] LogError),
    /// `lsn` is the address in the log, `at` the byte of the file.
    #[error(
        "the log is damaged at {lsn}, byte {at} of {path} ({what}); what lies behind could not be \
         judged"
    )]
    Damaged { lsn: u64, path: String, at: u64, what: &'static str },
    #[error("the log ends at {end}, but was durable up to {promised}: what stood between is lost")]
    Shortened { end: u64, promised: u64 },
    #[error("the frame at {lsn} has a checksum that holds over {what}")]
    Unreadable { lsn: u64, what: &'static str },
    #[error("none of the first {signals} signals is signed by the signing keys that were given")]
    OtherKeys { signals: u64 },
    #[error(transparent)]
    Past(#[from] PastError),
    #[error("there is no owner and no signal in the topics: there is nothing to prove")]
    NothingYet,
    #[error("the journal has routing {routing}, which this build does not know")]
    OtherBuild { routing: u32 },
}

/// Audits the journal of the data folder `root`, beside a running process or without one.
pub fn audit(
    root: &Path,
    keys: &SigningKeys,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, AuditError> {
    let folder = root.display().to_string();
    let Some(pins) = DataFolder::pins(root)? else {
        return Err(AuditError::NoJournal { folder });
    };
    if !pins.routes_as_we_do() {
        return Err(AuditError::OtherBuild { routing: pins.routing });
    }
    let mut log = log::JournalLog::open(root)?;
    let report = frames::walk(&mut log, keys, pins.partitions, progress)?;
    report.ok_or(AuditError::Empty { folder })
}

/// Audits the journal of a cluster, beside running processes or without them.
pub fn audit_cluster(
    past: &Past,
    keys: &SigningKeys,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, AuditError> {
    let report = topics::walk(past, keys, progress)?;
    if report.parts == 0 && report.signals == 0 {
        return Err(AuditError::NothingYet);
    }
    Ok(report)
}
