//! What is counted, by name, in one place. Labels are words from closed vocabularies, so the
//! number of series is fixed; ids and amounts never become one.
//!
//! | file      | what it holds                                                      |
//! |-----------|--------------------------------------------------------------------|
//! | `lanes`   | transactions, and the partitions that come and go                  |
//! | `view`    | what is asked of the view, and the Redis under it                  |
//! | `behind`  | how far the view is behind what was committed                      |
//! | `process` | since when this one runs, and how those before it ended            |
//! | `maker`   | makes metrics, and remembers which                                 |

mod behind;
mod lanes;
mod maker;
mod process;
mod view;

pub use behind::Behind;
pub use lanes::{CommitOutcome, LaneMetrics, Settled, TakeoverResult};
pub use maker::Described;
pub use process::{Ending, ProcessMetrics};
pub use view::{Asked, Look, RedisChange, RedisMetrics, ViewMetrics, WhyNot};

use crate::attempt::{Alarm, DeadLetter, SourceKind};
use crate::lane::machine::Report;
use crate::wire::trailer::Counts;
use maker::{COUNTS, Maker, SECONDS};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};
use std::sync::Arc;
use std::time::Instant;

/// Handles of every metric, made once.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub registry: Registry,
    /// Everything that is in the registry.
    described: Vec<Described>,
    pub process: ProcessMetrics,
    pub lanes: LaneMetrics,
    pub view: ViewMetrics,
    pub redis: RedisMetrics,
    /// Signals decided, by verdict; parked, dead-lettered and forwarded beside them.
    pub signals: IntCounterVec,
    pub accepted: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub alarms: IntCounterVec,
    /// Sessions that 0Gate should be asked about.
    pub reads_wanted: IntCounter,
    /// Answers of the door, by what became of the delivery.
    pub door: IntCounterVec,
    pub door_secret: IntCounterVec,
    pub header_disagreements: IntCounter,
    pub ack_seconds: Histogram,
    pub http_requests: IntCounterVec,
    pub bodies_bytes: IntGauge,
    pub bodies_refused: IntCounter,
    pub commit_seconds: Histogram,
    pub commit_signals: Histogram,
    pub lane_backlog: IntGaugeVec,
    pub attempts_live: IntGaugeVec,
    pub attempts_memory: IntGaugeVec,
    pub attempts_panicked: IntCounter,
    pub view_unapplied: IntGaugeVec,
    pub view_repairs: IntCounter,
    pub view_unanswered: IntCounter,
    pub journal_syncs: IntCounter,
    pub journal_bytes: IntCounter,
    pub journal_held: IntGauge,
}

/// What becomes of a signal.
const FATES: [&str; 8] = [
    "applied",
    "duplicate",
    "stale",
    "contradiction",
    "parked",
    "released",
    "dead_lettered",
    "forwarded",
];

/// What the door answers.
const DOOR_ANSWERS: [&str; 11] = [
    "taken",
    "taken_out_of_time",
    "taken_dead_letter",
    "no_such_endpoint",
    "signature_missing",
    "signature_malformed",
    "signature_mismatch",
    "overloaded",
    "no_room",
    "unknown",
    "journal_closed",
];

impl std::ops::Deref for Metrics {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let mut maker = Maker::default();
        let make = &mut maker;
        let inner = Inner {
            process: ProcessMetrics::make(make)?,
            signals: make.counters_of(
                "tidegate_signals_total",
                "Committed signals, by what became of them.",
                &["fate"],
                FATES,
            )?,
            accepted: make.counters_of(
                "tidegate_signals_accepted_total",
                "Committed signals that were accepted, by kind.",
                &["kind"],
                SourceKind::ALL.iter().map(|kind| kind.word()),
            )?,
            dead_letters: make.counters_of(
                "tidegate_dead_letters_total",
                "Dead-lettered signals, by reason.",
                &["reason"],
                DeadLetter::ALL.iter().map(|why| why.word()),
            )?,
            alarms: make.counters_of(
                "tidegate_alarms_total",
                "Things that a person should hear about at once.",
                &["alarm"],
                Alarm::ALL.iter().map(|alarm| alarm.word()),
            )?,
            reads_wanted: make.counter(
                "tidegate_reads_wanted_total",
                "Sessions about which 0Gate should be asked.",
            )?,
            door: make.counters_of(
                "tidegate_door_total",
                "Deliveries at the webhook door, by answer.",
                &["answer"],
                DOOR_ANSWERS,
            )?,
            door_secret: make.counters(
                "tidegate_door_secret_total",
                "Verified deliveries, by endpoint and place of the secret that matched.",
                &["endpoint", "secret"],
            )?,
            header_disagreements: make.counter(
                "tidegate_door_header_disagreements_total",
                "Unsigned headers that said something else than the signed body.",
            )?,
            ack_seconds: make.histogram(
                "tidegate_door_ack_seconds",
                "From the whole body to the durable acknowledgement.",
                SECONDS,
            )?,
            http_requests: make.counters(
                "tidegate_http_requests_total",
                "HTTP answers, by listener and status.",
                &["listener", "status"],
            )?,
            bodies_bytes: make.gauge(
                "tidegate_http_bodies_bytes",
                "Memory of request bodies that are on their way in or not answered yet.",
            )?,
            bodies_refused: make.counter(
                "tidegate_http_bodies_refused_total",
                "Request bodies that there was no memory for (`http.bodies_memory`).",
            )?,
            commit_seconds: make.histogram(
                "tidegate_commit_seconds",
                "Time that a lane's commit took, however it came out.",
                SECONDS,
            )?,
            commit_signals: make.histogram(
                "tidegate_commit_signals",
                "Signals per commit that was committed.",
                COUNTS,
            )?,
            lane_backlog: make.gauges(
                "tidegate_lane_backlog",
                "Signals that wait in a lane.",
                &["lane"],
            )?,
            attempts_live: make.gauges(
                "tidegate_attempts_live",
                "Live attempt actors.",
                &["lane"],
            )?,
            attempts_memory: make.gauges(
                "tidegate_attempts_memory_bytes",
                "Estimated memory of the live attempts.",
                &["lane"],
            )?,
            attempts_panicked: make.counter(
                "tidegate_attempts_panicked_total",
                "Decisions that panicked; the signal was dead-lettered.",
            )?,
            view_unapplied: make.gauges(
                "tidegate_view_unapplied_bytes",
                "Committed states that the view has not acknowledged.",
                &["lane"],
            )?,
            view_repairs: make.counter(
                "tidegate_view_repairs_total",
                "Times that the view was behind what it had acknowledged, and was repaired.",
            )?,
            view_unanswered: make.counter(
                "tidegate_view_unanswered_total",
                "Times that the view did not answer, and what needed it waited.",
            )?,
            journal_syncs: make.counter("tidegate_journal_syncs_total", "Syncs of the journal.")?,
            journal_bytes: make
                .counter("tidegate_journal_written_bytes_total", "Bytes written to the journal.")?,
            journal_held: make.gauge(
                "tidegate_journal_held_bytes",
                "Signals that are durable or on their way and not decided yet.",
            )?,
            lanes: LaneMetrics::make(make)?,
            view: ViewMetrics::make(make)?,
            redis: RedisMetrics::make(make)?,
            described: maker.made,
            registry: maker.registry,
        };
        for listener in ["public", "api", "ops"] {
            for status in ["200", "400", "401", "404", "405", "408", "413", "500", "503"] {
                inner.http_requests.with_label_values(&[listener, status]);
            }
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Every metric that there is.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Shows what is told of each lane and of each partition, before anything is told of it.
    pub fn begin(&self, lanes: u32, partitions: u32) {
        for lane in (0..lanes).map(|lane| lane.to_string()) {
            for gauges in [
                &self.lane_backlog,
                &self.attempts_live,
                &self.attempts_memory,
                &self.view_unapplied,
                &self.lanes.partitions,
                &self.view.behind_records,
            ] {
                gauges.with_label_values(&[&lane]);
            }
            self.view.behind_seconds.with_label_values(&[&lane]);
        }
        for partition in 0..partitions {
            self.lanes.lag.with_label_values(&[&partition.to_string()]);
        }
    }

    /// Counts what a commit made true.
    pub fn committed(&self, report: &Report) {
        self.grew(&report.grown);
        for (alarm, key) in &report.alarms {
            self.alarms.with_label_values(&[alarm.word()]).inc();
            tracing::warn!(alarm = alarm.word(), %key, "a signal needs a person's attention");
        }
        for (why, position) in &report.dead_letters {
            self.dead_letters.with_label_values(&[why.word()]).inc();
            tracing::warn!(reason = why.word(), %position, "a signal was dead-lettered");
        }
        self.reads_wanted.inc_by(report.reads.len() as u64);
    }

    fn grew(&self, grown: &Counts) {
        for (fate, count) in [
            ("applied", grown.applied),
            ("duplicate", grown.duplicate),
            ("stale", grown.stale),
            ("contradiction", grown.contradiction),
            ("parked", grown.parked_in),
            ("released", grown.parked_out),
            ("dead_lettered", grown.dead_lettered),
            ("forwarded", grown.forwarded_out),
        ] {
            if count > 0 {
                self.signals.with_label_values(&[fate]).inc_by(count);
            }
        }
        for (kind, count) in ["webhook", "reading", "command"].iter().zip(grown.by_kind) {
            if count > 0 {
                self.accepted.with_label_values(&[kind]).inc_by(count);
            }
        }
    }

    /// Everything in the text form that Prometheus scrapes.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        use prometheus::Encoder;
        self.view.tell_how_far_behind(Instant::now());
        let mut out = vec![];
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }
}
