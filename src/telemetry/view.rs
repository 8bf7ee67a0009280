//! Of the view: what the lanes ask of it, how far it is behind, and the Redis under it.

use super::behind::Behind;
use super::maker::{COUNTS, Maker, SECONDS};
use prometheus::{Error, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::time::Instant;

#[derive(Debug)]
pub struct ViewMetrics {
    pub apply_seconds: Histogram,
    pub apply_states: Histogram,
    pub look_up_seconds: Histogram,
    pub look_up_keys: Histogram,
    pub failures: IntCounterVec,
    pub behind: Behind,
    pub behind_records: IntGaugeVec,
    pub behind_seconds: GaugeVec,
}

/// What is asked of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Apply,
    LookUp,
    Position,
}

impl Asked {
    const ALL: [Self; 3] = [Self::Apply, Self::LookUp, Self::Position];

    pub fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::LookUp => "look_up",
            Self::Position => "position",
        }
    }
}

/// Why a view did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    Unavailable,
    Regressed,
    Fenced,
    Broken,
}

impl WhyNot {
    const ALL: [Self; 4] = [Self::Unavailable, Self::Regressed, Self::Fenced, Self::Broken];

    pub fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Regressed => "regressed",
            Self::Fenced => "fenced",
            Self::Broken => "broken",
        }
    }
}

impl ViewMetrics {
    pub(super) fn make(maker: &mut Maker) -> Result<Self, Error> {
        let failures = maker.counters(
            "tidegate_view_failures_total",
            "What the lanes asked of the view and did not get, by what and why.",
            &["asked", "why"],
        )?;
        for asked in Asked::ALL {
            for why in WhyNot::ALL {
                failures.with_label_values(&[asked.word(), why.word()]);
            }
        }
        Ok(Self {
            apply_seconds: maker.histogram(
                "tidegate_view_apply_seconds",
                "Time that showing committed states of one partition to the view took.",
                SECONDS,
            )?,
            apply_states: maker.histogram(
                "tidegate_view_apply_states",
                "States that were shown to the view at once.",
                COUNTS,
            )?,
            look_up_seconds: maker.histogram(
                "tidegate_view_look_up_seconds",
                "Time that a look-up of a lane took.",
                SECONDS,
            )?,
            look_up_keys: maker.histogram(
                "tidegate_view_look_up_keys",
                "Keys that were looked up at once.",
                COUNTS,
            )?,
            failures,
            behind: Behind::default(),
            behind_records: maker.gauges(
                "tidegate_view_behind_records",
                "Changelog records that are committed and that the view has not acknowledged.",
                &["lane"],
            )?,
            behind_seconds: maker.measures(
                "tidegate_view_behind_seconds",
                "How long the oldest commit has waited that the view has not acknowledged.",
                &["lane"],
            )?,
        })
    }
}

impl ViewMetrics {
    pub(super) fn tell_how_far_behind(&self, now: Instant) {
        for (lane, records, seconds) in self.behind.now(now) {
            let lane = lane.to_string();
            let records = i64::try_from(records).unwrap_or(i64::MAX);
            self.behind_records.with_label_values(&[&lane]).set(records);
            self.behind_seconds.with_label_values(&[&lane]).set(seconds);
        }
    }
}

/// Of the server that the view is kept in, as it tells them itself.
#[derive(Debug)]
pub struct RedisMetrics {
    pub looks: IntCounterVec,
    pub evicted: IntCounter,
    pub changes: IntCounterVec,
    pub may_evict: IntGauge,
    pub memory_used: IntGauge,
    pub memory_limit: IntGauge,
}

/// Whether the server said how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Answered,
    Unanswered,
}

impl Look {
    const ALL: [Self; 2] = [Self::Answered, Self::Unanswered];

    pub fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
        }
    }
}

/// What may become of a server while somebody watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisChange {
    Restarted,
    ReplicationChanged,
    RoleChanged,
    PolicyChanged,
    Reconnected,
}

impl RedisChange {
    const ALL: [Self; 5] = [
        Self::Restarted,
        Self::ReplicationChanged,
        Self::RoleChanged,
        Self::PolicyChanged,
        Self::Reconnected,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::ReplicationChanged => "replication_changed",
            Self::RoleChanged => "role_changed",
            Self::PolicyChanged => "policy_changed",
            Self::Reconnected => "reconnected",
        }
    }
}

impl RedisMetrics {
    pub(super) fn make(maker: &mut Maker) -> Result<Self, Error> {
        Ok(Self {
            looks: maker.counters_of(
                "tidegate_redis_looks_total",
                "Times that Redis was asked how it is, by whether it answered.",
                &["result"],
                Look::ALL.map(Look::word),
            )?,
            evicted: maker.counter(
                "tidegate_redis_evicted_keys_total",
                "Keys that Redis threw away while this process watched.",
            )?,
            changes: maker.counters_of(
                "tidegate_redis_changes_total",
                "What became of Redis while this process watched.",
                &["change"],
                RedisChange::ALL.map(RedisChange::word),
            )?,
            may_evict: maker
                .gauge("tidegate_redis_may_evict", "1 while Redis is set up to throw keys away.")?,
            memory_used: maker
                .gauge("tidegate_redis_memory_used_bytes", "Memory that Redis uses.")?,
            memory_limit: maker.gauge(
                "tidegate_redis_memory_limit_bytes",
                "Memory that Redis may use; 0 where it has no limit.",
            )?,
        })
    }
}
