//! The journal: where the truth is.

use crate::attempt::{Position, words};
use crate::wire::Topic;
use crate::wire::prove::Proven;
use crate::wire::seal::Fingerprint;
use crate::wire::signal::SignalRecord;
use crate::wire::trailer::{Owner, Trailer, Tries};
use bytes::Bytes;
use std::future::Future;
use std::ops::ControlFlow;
use tokio::sync::oneshot;

/// A signal on its way into a partition.
#[derive(Clone, Debug)]
pub struct Append {
    pub partition: u32,
    pub record: SignalRecord,
    /// What the door already knows of it, handed on in memory. A record that is read back is
    /// proven again, to the same value.
    pub proven: Option<Proven>,
}

/// A signal at its place.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub position: Position,
    pub record: SignalRecord,
    pub proven: Option<Proven>,
}

/// One lane's batch: everything that becomes true together, or not at all.
#[derive(Debug)]
pub struct Commit {
    pub parts: Vec<Part>,
    pub forwards: Vec<Append>,
}

/// What a batch comes to in one partition.
#[derive(Debug)]
pub struct Part {
    pub partition: u32,
    /// Signals `previous..next` of it are decided by this part, under its epoch. It is also the
    /// last record of the part's `attempts` run.
    pub trailer: Trailer,
    /// Bytes of those signals, which the journal may now forget to hold back.
    pub input_bytes: u64,
    pub runs: Vec<Run>,
}

/// Records of one topic of the part's partition, in order, as `wire::section` writes them.
#[derive(Clone, Debug)]
pub struct Run {
    pub topic: Topic,
    pub count: u32,
    pub bytes: Bytes,
}

/// Up to where a commit's parts stand in the changelogs of their partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    pub changelog: Vec<(u32, u64)>,
}

/// What comes to a lane.
#[derive(Debug)]
pub enum Incoming {
    /// These partitions are this lane's to take over. What waits in them comes after that.
    Assigned(Vec<u32>),
    /// These go to somebody else, as soon as this lane has let go of them.
    Revoked(Vec<u32>, LettingGo),
    Signals(Vec<Fetched>),
    /// There will be no more.
    Closed,
}

/// Dropped when a lane has nothing under way any more for what it was told to let go of. Whoever
/// waits for it may give the partitions away then, and not before.
#[derive(Debug)]
pub struct LettingGo(Option<oneshot::Sender<()>>);

impl LettingGo {
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (gone, wait) = oneshot::channel();
        (Self(Some(gone)), wait)
    }
}

impl Drop for LettingGo {
    fn drop(&mut self) {
        if let Some(gone) = self.0.take() {
            let _nobody_waits = gone.send(());
        }
    }
}

/// Which of how many lanes of a process. A partition is a lane's by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    pub lane: u32,
    pub lanes: u32,
}

impl Seat {
    pub fn has(self, partition: u32) -> bool {
        partition % self.lanes == self.lane
    }
}

/// A partition as its new owner finds it.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// Greater than every epoch before.
    pub epoch: u64,
    /// The last committed batch, if there was one.
    pub trailer: Option<Trailer>,
    /// Everything in the changelog before this is committed and to be replayed.
    pub changelog_end: u64,
    /// Whatever its former owner may have had open was ended.
    pub fenced: bool,
    /// How often processes ended before the next signal was decided.
    pub tries: Tries,
}

/// One thing met while reading a partition's changelog.
#[derive(Debug)]
pub enum Replayed {
    State {
        key: Bytes,
        value: Bytes,
    },
    /// Everything up to `changelog` has been handed over.
    Upto {
        changelog: u64,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("more signals wait than the journal may hold back")]
    Overloaded,
    #[error("there is no room left on the disk of the journal")]
    Full,
    #[error("whether the journal has the signals is not known")]
    Unknown,
    #[error("the journal has stopped")]
    Closed,
}

words! {
    /// Why a commit is in doubt.
    Doubt {
        /// The transaction was not begun: how the one before it ended is not known either.
        NoWriter = "no_writer",
        /// The journal said no, or nothing that can be relied on.
        Refused = "refused",
        /// Another process took the lane's name.
        Fenced = "fenced",
        /// The process is no member of the group any more.
        NoMember = "no_member",
        /// It was to be committed, and no word came that it was.
        Unanswered = "unanswered",
        /// A connection was lost meanwhile: what is repeated of it may come late.
        ConnectionLost = "connection_lost",
        /// What was to be written cannot be read.
        Malformed = "malformed",
        /// The group has moved on: it did not happen, and the partitions may be somebody else's.
        GroupMoved = "group_moved",
        /// The thread that committed ended.
        ThreadEnded = "thread_ended",
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("partition {partition} has a newer owner")]
    Fenced { partition: u32 },
    #[error("there is no room left on the disk of the journal")]
    Full(Commit),
    /// It may have happened or not: the partitions are to be taken over anew, which tells.
    #[error("whether the commit happened is not known: {}", .0.word())]
    InDoubt(Doubt),
    #[error("the journal has stopped")]
    Closed,
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot use the journal's files in {folder}: {source}")]
    Files { folder: String, source: std::io::Error },
    #[error("another process is using {folder}")]
    Locked { folder: String },
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    #[error(
        "the journal was made for {pinned} partitions and routing {pinned_routing}; this start asks for {asked} and {asked_routing}"
    )]
    Pinned { pinned: u32, pinned_routing: u32, asked: u32, asked_routing: u32 },
    #[error(
        "{folder} was made with another signing key: what its journal holds was sealed with the key of fingerprint {pinned} in place {}, where {} stands now",
        place + 1,
        given.map_or_else(|| "none".to_owned(), |given| given.to_string())
    )]
    OtherKeys { folder: String, place: usize, pinned: Fingerprint, given: Option<Fingerprint> },
    #[error("{folder} holds events of 0Gate's {pinned} world, and `mode` is {asked}")]
    OtherMode { folder: String, pinned: String, asked: &'static str },
    #[error(
        "{folder} was written by a newer tidegate: it has format {format}, and this build knows format {known}"
    )]
    Newer { folder: String, format: u32, known: u32 },
    #[error("the brokers of the journal cannot do it: {0}")]
    Brokers(String),
    #[error(
        "another process has the name of this one: two with one `instance_id`, or it was given up for dead"
    )]
    Replaced,
    #[error(
        "partition {partition} is decided by the group {group}, and this process is of {ours}: one group alone may decide on these topics"
    )]
    OtherGroup { partition: u32, group: String, ours: String },
    #[error("partition {partition} is not this process's to take over")]
    NotAssigned { partition: u32 },
    #[error(
        "partition {partition} was decided up to {next}, but the group stands at {committed}: a transaction was torn, or somebody else moved the group"
    )]
    Torn { partition: u32, next: u64, committed: u64 },
    #[error(
        "partition {partition} was decided up to {next}, but {what}, which belongs to nothing that was decided: half of a transaction became visible, or somebody else wrote it"
    )]
    Half { partition: u32, next: u64, what: String },
    #[error(
        "partition {partition} was decided up to {next}, and its signals begin at {begins}: what stood between is gone"
    )]
    Missing { partition: u32, next: u64, begins: u64 },
    #[error("the journal has stopped")]
    Closed,
}

/// Promises, each asked of every adapter by the contract suite:
///
/// - `append` answers `Ok` only when the signals are durable; then they come, once, in the order of
///   their partition, with growing offsets, to whoever has taken the partition over.
/// - `commit` is all or nothing, across partitions and with its forwards; a part under an epoch
///   that is not the newest is refused and leaves no trace.
/// - `take_over` hands out an epoch greater than any before, and the last committed trailer; and it
///   counts, durably, the processes that had the partition before and decided nothing in it.
/// - `replay` hands over every committed state from a changelog position on, in order, and
///   nothing that was not committed.
pub trait Journal: Clone + Send + Sync + 'static {
    type Intake: Intake;

    fn partitions(&self) -> u32;

    fn append(
        &self,
        signals: Vec<Append>,
    ) -> impl Future<Output = Result<Vec<Position>, AppendError>> + Send;

    /// All parts are of partitions of one lane.
    fn commit(&self, commit: Commit)
    -> impl Future<Output = Result<Committed, CommitError>> + Send;

    /// `owner` says who and by which rules, and whether the next signal is decided alone; its epoch,
    /// `next` and the counts of tries are the journal's to fill in.
    fn take_over(
        &self,
        partition: u32,
        owner: &Owner,
    ) -> impl Future<Output = Result<Takeover, JournalError>> + Send;

    /// Lets what waits in a partition come, once whoever took it over is ready for it. Not before: what
    /// comes to somebody who is not is lost to them.
    fn flow(&self, partition: u32) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Told by a lane that it has nothing under way any more for partitions that it let go of, and
    /// never will again. It spares whoever has them next some care, where it can be kept.
    fn release(&self, partitions: &[u32]) -> impl Future<Output = ()> + Send;

    /// Hands over what was committed to `partition` from the changelog position `from` on, until it is
    /// told to break off, and says where the changelog ends. Blocks.
    fn replay(
        &self,
        partition: u32,
        from: u64,
        each: &mut dyn FnMut(Replayed) -> ControlFlow<()>,
    ) -> Result<u64, JournalError>;

    /// What comes to a lane: partitions, and the signals of each from its last trailer's `next` on.
    fn intake(&self, seat: Seat) -> Self::Intake;
}

pub trait Intake: Send + 'static {
    /// Waits for what comes next, at most so many signals at a time; with 0 for anything but
    /// signals. May be dropped while it waits.
    fn next(&mut self, most: usize) -> impl Future<Output = Incoming> + Send;
}
