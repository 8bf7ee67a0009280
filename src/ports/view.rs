//! The view: a checkpointed projection of the journal for look-ups. It may lie, by being behind or
//! empty; it never decides.

use bytes::Bytes;
use std::future::Future;

/// How much of a partition's changelog the view has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewPosition {
    pub epoch: u64,
    pub changelog: u64,
}

/// Committed states to be shown, all of one partition.
#[derive(Clone, Debug)]
pub struct Apply {
    pub partition: u32,
    /// How much of the changelog the view must have for these to be what comes next. A view that
    /// has less has lost something, and would hide the gap behind a newer position.
    pub after: u64,
    /// What the view has once these are in.
    pub position: ViewPosition,
    pub states: Vec<(Bytes, Bytes)>,
}

/// The answer to a look-up, together with how much the view had when it answered.
#[derive(Clone, Debug)]
pub struct Looked {
    pub position: ViewPosition,
    pub values: Vec<Option<Bytes>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("the view holds epoch {has} of partition {partition}, newer than {ours}")]
    Fenced { partition: u32, has: u64, ours: u64 },
    /// It must be shown again what it has lost.
    #[error("the view has partition {partition} up to {has}, and had acknowledged {had}")]
    Regressed { partition: u32, has: u64, had: u64 },
    /// The same may succeed later.
    #[error("the view cannot be used: {0}")]
    Unavailable(String),
    /// It will not in this process.
    #[error("the view has given up: {0}")]
    Broken(String),
}

/// Promises, each asked of every adapter by the contract suite:
///
/// - what `apply` was told is found by every later `look_up`, with a position at or after it;
/// - states and position of one `apply` become visible together;
/// - an `apply` of an older epoch, or of an older position, changes nothing;
/// - an `apply` after more than the view has is refused, and changes nothing;
/// - a `scan` meets every state once, in an order of the view's own that never changes.
pub trait View: Clone + Send + Sync + 'static {
    fn position(
        &self,
        partition: u32,
    ) -> impl Future<Output = Result<ViewPosition, ViewError>> + Send;

    fn look_up(
        &self,
        partition: u32,
        keys: Vec<Bytes>,
    ) -> impl Future<Output = Result<Looked, ViewError>> + Send;

    fn apply(&self, apply: Apply) -> impl Future<Output = Result<(), ViewError>> + Send;

    /// Up to `limit` states of a partition whose keys come after `after`; none only at the end.
    fn scan(
        &self,
        partition: u32,
        after: Bytes,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Bytes, Bytes)>, ViewError>> + Send;
}
