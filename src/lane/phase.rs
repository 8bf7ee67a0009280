//! How far a lane is with a batch.

use super::batch::weight;
use super::owned::Owned;
use super::told::Report;
use crate::attempt::Timestamp;
use crate::ports::Commit;
use bytes::Bytes;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What has been proposed and is not yet known to be committed.
#[derive(Debug)]
pub(super) struct Proposed {
    pub(super) owned: BTreeMap<u32, Owned>,
    pub(super) states: Vec<(u32, SmolStr, Bytes)>,
    pub(super) report: Report,
}

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    /// Somebody is deciding a batch.
    Deciding,
    /// The journal has the batch.
    Committing(Box<Proposed>),
    /// There was no room; the same commit is tried again.
    NoRoom {
        proposed: Box<Proposed>,
        commit: Box<Commit>,
        since: Timestamp,
    },
}

/// The bytes that a commit takes in the journal.
pub(super) fn weight_of(commit: &Commit) -> usize {
    let runs = commit.parts.iter().flat_map(|part| &part.runs).map(|run| run.bytes.len());
    let forwards = commit.forwards.iter().map(|forward| weight(&forward.record));
    runs.chain(forwards).sum()
}
