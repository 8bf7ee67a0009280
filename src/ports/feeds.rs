//! Feeds: committed outputs in order, for whoever reads them over HTTP instead of from a broker.

use crate::attempt::Timestamp;
use bytes::Bytes;
use std::future::Future;

/// An output that can be followed. Dead letters hold raw bodies and are none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    Fulfillments,
    Transitions,
    Metrics,
}

impl Feed {
    pub const ALL: [Self; 3] = [Self::Fulfillments, Self::Transitions, Self::Metrics];

    pub fn word(self) -> &'static str {
        match self {
            Self::Fulfillments => "fulfillments",
            Self::Transitions => "transitions",
            Self::Metrics => "metrics",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feed| feed.word() == word)
    }
}

/// A committed record with the place that a later read goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRecord {
    /// Opaque; means something to the adapter that made it, and to nobody else.
    pub position: String,
    pub key: Bytes,
    pub id: Bytes,
    pub at: Timestamp,
    /// The published JSON, byte for byte.
    pub value: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("this is not a position of this feed")]
    NoSuchPosition,
    #[error("the feed cannot be read: {0}")]
    Unreadable(String),
}

/// Promises:
///
/// - only what is committed is ever handed out, each record once; what is of one attempt in the order
///   in which it was committed;
/// - a reader that goes on after a position sees exactly what it would have seen without a break.
pub trait Feeds: Clone + Send + Sync + 'static {
    type Reader: FeedReader;

    /// A reader of what comes after `after`; an empty `after` is the beginning.
    fn open(
        &self,
        feed: Feed,
        after: &str,
    ) -> impl Future<Output = Result<Self::Reader, FeedError>> + Send;
}

pub trait FeedReader: Send + 'static {
    /// The next committed records, about `most` of them; empty at the committed end.
    fn read(
        &mut self,
        most: usize,
    ) -> impl Future<Output = Result<Vec<FeedRecord>, FeedError>> + Send;

    /// Resolves when there may be more to read. False when there never will be.
    fn grown(&mut self) -> impl Future<Output = bool> + Send;
}
