//! What a lane is told, what it asks for, and by what rules and bounds it works.

use super::batch::{Batch, Decided};
use crate::attempt::{Alarm, DeadLetter, Mode, Policy, Position, SessionId, Timestamp};
use crate::ports::{Apply, Commit, Committed, Fetched};
use crate::wire::prove::Trust;
use crate::wire::trailer::{Counts, Owner, ROUTING_VERSION, Trailer, Tries};
use smol_str::SmolStr;

/// Bounds of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Signals decided per commit. A commit costs about the same for one as for a thousand;
    /// beyond that the gain is gone, and a batch that fails repeats more work.
    pub batch_signals: usize,
    /// Bytes of signals decided per commit: keeps a frame and a transaction small.
    pub batch_bytes: usize,
    /// Bytes of one commit, outputs and states together. Far below a frame's bound, so that a frame
    /// holds it beside what else is gathered; only a batch of one signal may pass it.
    pub commit_bytes: usize,
    /// Claims decided per commit. Each may release everything that waits at a session, and what
    /// they release together must fit in one frame.
    pub batch_claims: usize,
    /// Least time between two commits while little waits, so that an idle lane does not spend its
    /// disk on single signals. A full batch never waits for it.
    pub commit_floor_ms: i64,
    /// Least time between two applies to the view while the lane is busy: what changes again
    /// meanwhile is written once. A lane with little to do shows it at once.
    pub apply_floor_ms: i64,
    /// Signals in a batch from which on a lane is called busy.
    pub busy_signals: usize,
    /// Committed states held until the view has them. Past this the lane waits for the view.
    pub dirty_bytes: usize,
    /// How long to wait before a view that did not answer is asked again.
    pub view_again_ms: i64,
    /// How long to wait before what was in doubt is taken over anew; twice as long each time.
    pub doubt_again_ms: u64,
    /// Commits in a row that may be in doubt. A broker that fails over gives one or two; what is in
    /// doubt again and again is refused, and only a person sees why.
    pub doubts: u32,
    /// How long to wait before a commit for which there was no room is tried again.
    pub no_room_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_signals: 1_000,
            batch_bytes: 1 << 20,
            commit_bytes: 12 << 20,
            batch_claims: 24,
            commit_floor_ms: 1,
            apply_floor_ms: 50,
            busy_signals: 32,
            dirty_bytes: 32 << 20,
            view_again_ms: 200,
            doubt_again_ms: 20,
            doubts: 8,
            no_room_ms: 500,
        }
    }
}

/// By what a lane decides: pinned while it runs, and written into every owner record.
#[derive(Clone, Debug)]
pub struct Rules {
    pub trust: Trust,
    pub policy: Policy,
    pub partitions: u32,
}

impl Rules {
    /// The owner record that `writer` takes over with; the journal fills in epoch and position.
    pub(super) fn owner(&self, writer: &str, at: Timestamp) -> Owner {
        Owner {
            writer: writer.to_owned(),
            epoch: 0,
            next: 0,
            partitions: self.partitions,
            routing: ROUTING_VERSION,
            policy: self.policy,
            mode: self.mode(),
            tries: Tries::default(),
            at,
        }
    }

    fn mode(&self) -> Mode {
        self.trust.mode
    }
}

/// What a lane is told.
#[derive(Debug)]
pub enum Told {
    /// A partition is ours from its last trailer on.
    Owns {
        partition: u32,
        epoch: u64,
        trailer: Option<Trailer>,
        changelog: u64,
        tries: Tries,
    },
    /// These are somebody else's from now on: whatever is held of them is dropped.
    Lost(Vec<u32>),
    Fetched(Vec<Fetched>),
    /// The view could not say how the batch's attempts stand. Nobody decided anything.
    NotDecided(Batch),
    Decided {
        batch: Batch,
        decided: Vec<Decided>,
    },
    Committed(Committed),
    NoRoom(Commit),
    /// The commit happened or did not. Only the journal knows, and taking over tells.
    InDoubt,
    Fenced {
        partition: u32,
    },
    JournalClosed,
    Applied,
    /// These partitions are in the view already; of the others it is not known yet.
    AppliedOf(Vec<u32>),
    NotApplied,
    /// What the view could not say it may say now.
    ViewAnswers,
    /// Somebody newer shows the view this partition.
    ViewFenced {
        partition: u32,
        /// The epoch that it was shown in.
        ours: u64,
    },
    /// Take nothing new; finish what is here.
    Drain,
}

/// What a lane asks for.
#[derive(Debug)]
pub enum Todo {
    Decide(Batch),
    /// Let go of these residents: what they decided last did not happen.
    Forget(Vec<SmolStr>),
    /// Take these over anew, after a while: what is remembered of them may be wrong.
    TakeOver {
        partitions: Vec<u32>,
        after_ms: u64,
    },
    /// Take this one over anew, and write down that its next signal is decided alone. One at a time
    /// in a process.
    TryAlone {
        partition: u32,
    },
    Commit(Commit),
    Apply(Vec<Apply>),
    /// What has been committed, for whoever counts and alerts.
    Report(Report),
    Stop(Stop),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Everything that was taken is committed and in the view; what is held back for a partition that
    /// is taken over anew comes again.
    Drained,
    Fenced {
        partition: u32,
    },
    /// So many commits in a row were in doubt that another one would be too.
    InDoubt {
        commits: u32,
    },
    JournalClosed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub grown: Counts,
    /// What needs a person, and the stored key that it is about.
    pub alarms: Vec<(Alarm, SmolStr)>,
    pub dead_letters: Vec<(DeadLetter, Position)>,
    pub reads: Vec<SessionId>,
}
