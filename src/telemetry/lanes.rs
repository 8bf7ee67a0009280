//! Of lanes: their transactions, and the partitions that come to them.

use super::maker::{Maker, SECONDS};
use crate::ports::Doubt;
use crate::wire::Topic;
use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGaugeVec};

#[derive(Debug)]
pub struct LaneMetrics {
    pub partitions: IntGaugeVec,
    pub lag: IntGaugeVec,
    pub commits: IntCounterVec,
    pub doubts: IntCounterVec,
    pub doubts_settled: IntCounterVec,
    pub outputs: IntCounterVec,
    pub takeovers: IntCounterVec,
    pub takeover_seconds: Histogram,
    pub writers_fenced: IntCounter,
    pub replayed: IntCounter,
}

/// How a commit came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    Committed,
    InDoubt,
    Fenced,
    NoRoom,
    Closed,
}

impl CommitOutcome {
    const ALL: [Self; 5] =
        [Self::Committed, Self::InDoubt, Self::Fenced, Self::NoRoom, Self::Closed];

    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::InDoubt => "in_doubt",
            Self::Fenced => "fenced",
            Self::NoRoom => "no_room",
            Self::Closed => "closed",
        }
    }
}

/// What a take-over found of a commit that had been in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Committed,
    Aborted,
}

impl Settled {
    const ALL: [Self; 2] = [Self::Committed, Self::Aborted];

    pub fn word(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Aborted => "aborted",
        }
    }
}

/// How a try to take a partition over came out. What ends the process is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeoverResult {
    Taken,
    /// It went to somebody else meanwhile.
    Gone,
    JournalUnanswered,
    ViewUnanswered,
}

impl TakeoverResult {
    const ALL: [Self; 4] = [Self::Taken, Self::Gone, Self::JournalUnanswered, Self::ViewUnanswered];

    pub fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Gone => "gone",
            Self::JournalUnanswered => "journal_unanswered",
            Self::ViewUnanswered => "view_unanswered",
        }
    }
}

impl LaneMetrics {
    pub(super) fn make(maker: &mut Maker) -> Result<Self, Error> {
        Ok(Self {
            partitions: maker.gauges(
                "tidegate_lane_partitions",
                "Partitions that a lane decides for.",
                &["lane"],
            )?,
            lag: maker.gauges(
                "tidegate_partition_lag",
                "Records of `signals` after the last decided one; 0 where another process decides.",
                &["partition"],
            )?,
            commits: maker.counters_of(
                "tidegate_commits_total",
                "Commits of lanes, by how they came out.",
                &["outcome"],
                CommitOutcome::ALL.map(CommitOutcome::word),
            )?,
            doubts: maker.counters_of(
                "tidegate_commit_doubts_total",
                "Commits that nobody can say happened, by cause; the lane takes its partitions over anew.",
                &["cause"],
                Doubt::ALL.iter().map(|doubt| doubt.word()),
            )?,
            doubts_settled: maker.counters_of(
                "tidegate_commit_doubts_settled_total",
                "Partitions of commits in doubt, by what taking them over anew found.",
                &["found"],
                Settled::ALL.map(Settled::word),
            )?,
            outputs: maker.counters_of(
                "tidegate_outputs_total",
                "Committed records, by topic or feed.",
                &["topic"],
                Topic::OUTPUTS.map(Topic::word),
            )?,
            takeovers: maker.counters_of(
                "tidegate_takeovers_total",
                "Tries to take a partition over, by how they came out.",
                &["result"],
                TakeoverResult::ALL.map(TakeoverResult::word),
            )?,
            takeover_seconds: maker.histogram(
                "tidegate_takeover_seconds",
                "From being given a partition to deciding for it, its view brought up to date.",
                SECONDS,
            )?,
            writers_fenced: maker.counter(
                "tidegate_writers_fenced_total",
                "Take-overs of a partition that was not released, so that its former owner's name was fenced.",
            )?,
            replayed: maker.counter(
                "tidegate_replayed_records_total",
                "Committed states that were read again for the view, at take-overs and repairs.",
            )?,
        })
    }
}
