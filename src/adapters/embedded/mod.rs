//! The embedded engine: one process, one folder, no services.
//!
//! ```text
//!  append ─┐                      ┌─▶ acknowledged
//!          ├─▶ writer thread ─▶ one frame, one fdatasync ─▶ queues of the lanes
//!  commit ─┘    (group commit)    └─▶ feeds, audit (readers of the same files)
//! ```
//!
//! | file       | what it holds                                                           |
//! |------------|-------------------------------------------------------------------------|
//! | `frame`    | one batch of writes as one checksummed run of bytes                     |
//! | `disk`     | the few file operations that durability rests on                        |
//! | `segment`  | the log: preallocated files, rolling, recovery, the torn tail           |
//! | `chores`   | what no acknowledgement waits for: the next segment, cutting, snapshots |
//! | `writer`   | the thread that groups, writes, syncs, and then tells                   |
//! | `journal`  | the Journal port over it                                                |
//! | `queue`    | durable signals on their way to a lane                                  |
//! | `reader`   | reading frames back: feeds, replay, audit                               |
//! | `recovery` | what a start finds: tails, and signals that were not decided            |
//! | `snapshot` | where recovery may begin                                                |
//! | `feeds`    | committed outputs, record by record, from any position on               |
//! | `folder`   | the data folder: its lock, and what is pinned when it is made           |
//! | `view`     | the View port over fjall, written behind                                |

mod chores;
pub mod disk;
mod feeds;
pub mod folder;
pub mod frame;
mod journal;
mod queue;
pub mod reader;
mod recovery;
mod segment;
mod snapshot;
mod view;
mod writer;

pub use feeds::{EmbeddedFeed, EmbeddedFeeds};
pub use folder::{DataFolder, Pins};
pub use journal::{EmbeddedJournal, JournalOptions};
pub use queue::QueueIntake;
pub use reader::{LogEnd, LogReader};
pub use segment::LogError;
pub use view::FjallView;
