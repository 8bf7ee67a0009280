//! Committed outputs, record by record, from any position on: the frames of the log, read again.
//!
//! A position names a frame by its address and a record by its place among the feed's records in
//! that frame. Both are what they are for ever, because frames are never rewritten.

use super::frame::Frame;
use super::journal::EmbeddedJournal;
use super::reader::LogReader;
use crate::adapters::{blocking, gone};
use crate::ports::{Feed, FeedError, FeedReader, FeedRecord, Feeds};
use crate::wire::Topic;
use crate::wire::section::records;
use data_encoding::BASE32HEX_NOPAD;
use std::collections::VecDeque;
use tokio::sync::watch;

/// Bytes of log that one read walks before it hands over what it has, so that a feed with few
/// records in a long log neither blocks a thread for long nor holds much.
const WALK_BYTES_MAX: u64 = 8 << 20;

#[derive(Clone)]
pub struct EmbeddedFeeds {
    journal: EmbeddedJournal,
}

impl EmbeddedFeeds {
    pub fn new(journal: EmbeddedJournal) -> Self {
        Self { journal }
    }
}

impl Feeds for EmbeddedFeeds {
    type Reader = EmbeddedFeed;

    async fn open(&self, feed: Feed, after: &str) -> Result<EmbeddedFeed, FeedError> {
        let after = match after {
            "" => None,
            text => Some(Place::parse(feed, text).ok_or(FeedError::NoSuchPosition)?),
        };
        let journal = self.journal.clone();
        blocking(move || Walk::begin(&journal, feed, after)).await
    }
}

pub struct EmbeddedFeed {
    durable: watch::Receiver<u64>,
    /// Away while a thread reads with it.
    walk: Option<Walk>,
}

impl FeedReader for EmbeddedFeed {
    async fn read(&mut self, most: usize) -> Result<Vec<FeedRecord>, FeedError> {
        let Some(mut walk) = self.walk.take() else { return Err(gone()) };
        loop {
            let until = *self.durable.borrow_and_update();
            let (back, found) = blocking(move || {
                let found = walk.some(most, until)?;
                Ok((walk, found))
            })
            .await?;
            walk = back;
            if !found.is_empty() || walk.reader.at() >= until {
                self.walk = Some(walk);
                return Ok(found);
            }
        }
    }

    async fn grown(&mut self) -> bool {
        self.durable.changed().await.is_ok()
    }
}

struct Walk {
    feed: Feed,
    reader: LogReader,
    /// Read, and not handed over yet.
    ready: VecDeque<FeedRecord>,
}

impl Walk {
    fn begin(
        journal: &EmbeddedJournal,
        feed: Feed,
        after: Option<Place>,
    ) -> Result<EmbeddedFeed, FeedError> {
        let durable = journal.durable();
        let ready = VecDeque::new();
        let walk = match after {
            None => Self { feed, reader: journal.oldest().map_err(unreadable)?, ready },
            Some(place) => {
                let until = *durable.borrow();
                let reader = journal.reader(place.frame);
                let mut walk = Self { feed, reader, ready };
                // A position that was made up names no frame, or no record in it.
                let frame = walk.reader.next(until).ok().flatten();
                let frame = frame.ok_or(FeedError::NoSuchPosition)?;
                walk.take(&frame)?;
                if walk.ready.len() <= place.index as usize {
                    return Err(FeedError::NoSuchPosition);
                }
                walk.ready.drain(..=place.index as usize);
                walk
            }
        };
        Ok(EmbeddedFeed { durable, walk: Some(walk) })
    }

    /// About `most` records from before `until`, or as many as a fair walk finds.
    fn some(&mut self, most: usize, until: u64) -> Result<Vec<FeedRecord>, FeedError> {
        let enough = self.reader.at().saturating_add(WALK_BYTES_MAX).min(until);
        while self.ready.len() < most && self.reader.at() < enough {
            match self.reader.next(enough).map_err(unreadable)? {
                Some(frame) => self.take(&frame)?,
                None => {
                    return Err(FeedError::Unreadable(format!(
                        "no whole frame at {}, though the log is durable up to {until}",
                        self.reader.at()
                    )));
                }
            }
        }
        let count = self.ready.len().min(most);
        Ok(self.ready.drain(..count).collect())
    }

    fn take(&mut self, frame: &Frame) -> Result<(), FeedError> {
        let damaged = || FeedError::Unreadable("a committed output cannot be read".to_owned());
        let mut index = 0;
        for run in frame.runs() {
            let run = run.ok_or_else(damaged)?;
            if run.topic != topic(self.feed) {
                continue;
            }
            for record in records(&run.bytes) {
                let record = record.map_err(|_| damaged())?;
                self.ready.push_back(FeedRecord {
                    position: Place { frame: frame.header.lsn, index }.text(self.feed),
                    key: run.bytes.slice_ref(record.key),
                    id: run.bytes.slice_ref(record.id),
                    at: record.at,
                    value: run.bytes.slice_ref(record.value),
                });
                index += 1;
            }
        }
        Ok(())
    }
}

fn topic(feed: Feed) -> Topic {
    match feed {
        Feed::Fulfillments => Topic::Fulfillments,
        Feed::Transitions => Topic::Transitions,
        Feed::Metrics => Topic::Metrics,
    }
}

fn unreadable(error: impl std::error::Error) -> FeedError {
    FeedError::Unreadable(error.to_string())
}

/// Where a record stands, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    frame: u64,
    /// Among the records of the feed in that frame.
    index: u32,
}

impl Place {
    /// The checksum is over the feed as well: a slip of the hand, or a position of another feed,
    /// is told apart from a place that has nothing after it.
    fn text(self, feed: Feed) -> String {
        let mut bytes = [0_u8; 16];
        bytes[..8].copy_from_slice(&self.frame.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.index.to_be_bytes());
        let sum = checksum(feed, &bytes[..12]);
        bytes[12..].copy_from_slice(&sum.to_be_bytes());
        BASE32HEX_NOPAD.encode(&bytes).to_ascii_lowercase()
    }

    fn parse(feed: Feed, text: &str) -> Option<Self> {
        let bytes = BASE32HEX_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        let sum = checksum(feed, &bytes[..12]).to_be_bytes();
        let frame = u64::from_be_bytes(bytes[..8].try_into().ok()?);
        let index = u32::from_be_bytes(bytes[8..12].try_into().ok()?);
        (bytes[12..] == sum).then_some(Self { frame, index })
    }
}

fn checksum(feed: Feed, bytes: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(feed.word().as_bytes());
    sum.update(bytes);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_of_one_feed_and_comes_back() {
        let place = Place { frame: 4096, index: 7 };
        let text = place.text(Feed::Transitions);
        assert_eq!(Place::parse(Feed::Transitions, &text), Some(place));
        assert_eq!(Place::parse(Feed::Fulfillments, &text), None, "another feed");
        assert_eq!(Place::parse(Feed::Transitions, &text[1..]), None, "too short");
        assert_eq!(Place::parse(Feed::Transitions, "not a position"), None);
    }
}
