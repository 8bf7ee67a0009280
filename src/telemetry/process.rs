//! Of the process: since when it runs, and how those before it ended.

use super::maker::Maker;
use crate::ports::{Clock, SystemClock};
use prometheus::{Error, Gauge, IntCounterVec};

#[derive(Debug)]
pub struct ProcessMetrics {
    pub ends: IntCounterVec,
    _started: Gauge,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to, and did.
    Asked,
    /// It was asked to, and could not finish in order.
    Hurried,
    /// It said no word: killed, crashed, or without power.
    Killed,
    /// Somebody newer decides for a partition of its.
    Fenced,
    /// Too many commits in a row were in doubt.
    InDoubt,
    /// A partition could not be taken over, and trying again would not mend it.
    Takeover,
    /// The journal has stopped.
    Journal,
    /// The view has given up.
    View,
    /// It did not behave as it must: a panic, or a stored state that cannot be read.
    Broken,
}

impl Ending {
    pub const ALL: [Self; 9] = [
        Self::Asked,
        Self::Hurried,
        Self::Killed,
        Self::Fenced,
        Self::InDoubt,
        Self::Takeover,
        Self::Journal,
        Self::View,
        Self::Broken,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Hurried => "hurried",
            Self::Killed => "killed",
            Self::Fenced => "fenced",
            Self::InDoubt => "in_doubt",
            Self::Takeover => "takeover",
            Self::Journal => "journal",
            Self::View => "view",
            Self::Broken => "broken",
        }
    }
}

impl ProcessMetrics {
    pub(super) fn make(maker: &mut Maker) -> Result<Self, Error> {
        let started = maker.measure(
            "tidegate_start_time_seconds",
            "When this process started, in seconds since 1970.",
        )?;
        started.set(SystemClock.now().0 as f64 / 1_000.0);
        Ok(Self {
            ends: maker.counters_of(
                "tidegate_ends_total",
                "How the processes of this data folder ended, those before this one included.",
                &["how"],
                Ending::ALL.map(Ending::word),
            )?,
            _started: started,
        })
    }
}
