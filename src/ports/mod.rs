//! What an engine must promise: a journal that is the truth, a view for look-ups,
//! feeds of what was decided, and a clock.
//!
//! `tests/contract` asks the same of every adapter. A promise is written where its method is.

mod clock;
mod feeds;
mod journal;
mod view;

pub use clock::{Clock, SystemClock};
pub use feeds::{Feed, FeedError, FeedReader, FeedRecord, Feeds};
pub use journal::{
    Append, AppendError, Commit, CommitError, Committed, Doubt, Fetched, Incoming, Intake, Journal,
    JournalError, LettingGo, Part, Replayed, Run, Seat, Takeover,
};
pub use view::{Apply, Looked, View, ViewError, ViewPosition};
