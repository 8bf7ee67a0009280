//! What is counted, by name, in one place. Labels are words from closed vocabularies, so the
//! number of series is fixed; ids and amounts never become one.

use crate::attempt::{Alarm, DeadLetter, SourceKind};
use crate::lane::machine::Report;
use crate::wire::trailer::Counts;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use std::sync::Arc;

/// Handles of every metric, made once.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub registry: Registry,
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
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let gauges = |name: &str, help: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["lane"])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok::<_, prometheus::Error>(gauges)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        const SECONDS: &[f64] =
            &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        const SIGNALS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];
        let inner = Inner {
            signals: counters(
                "tidegate_signals_total",
                "Committed signals, by what became of them.",
                &["fate"],
            )?,
            accepted: counters(
                "tidegate_signals_accepted_total",
                "Committed signals that were accepted, by kind.",
                &["kind"],
            )?,
            dead_letters: counters(
                "tidegate_dead_letters_total",
                "Dead-lettered signals, by reason.",
                &["reason"],
            )?,
            alarms: counters(
                "tidegate_alarms_total",
                "Things that a person should hear about at once.",
                &["alarm"],
            )?,
            reads_wanted: counter(
                "tidegate_reads_wanted_total",
                "Sessions about which 0Gate should be asked.",
            )?,
            door: counters(
                "tidegate_door_total",
                "Deliveries at the webhook door, by answer.",
                &["answer"],
            )?,
            door_secret: counters(
                "tidegate_door_secret_total",
                "Verified deliveries, by endpoint and place of the secret that matched.",
                &["endpoint", "secret"],
            )?,
            header_disagreements: counter(
                "tidegate_door_header_disagreements_total",
                "Unsigned headers that said something else than the signed body.",
            )?,
            ack_seconds: histogram(
                "tidegate_door_ack_seconds",
                "From the whole body to the durable acknowledgement.",
                SECONDS,
            )?,
            http_requests: counters(
                "tidegate_http_requests_total",
                "HTTP answers, by listener and status.",
                &["listener", "status"],
            )?,
            bodies_bytes: gauge(
                "tidegate_http_bodies_bytes",
                "Memory of request bodies that are on their way in or not answered yet.",
            )?,
            bodies_refused: counter(
                "tidegate_http_bodies_refused_total",
                "Request bodies that there was no memory for (`http.bodies_memory`).",
            )?,
            commit_seconds: histogram(
                "tidegate_commit_seconds",
                "Time that a lane's commit took.",
                SECONDS,
            )?,
            commit_signals: histogram("tidegate_commit_signals", "Signals per commit.", SIGNALS)?,
            lane_backlog: gauges("tidegate_lane_backlog", "Signals that wait in a lane.")?,
            attempts_live: gauges("tidegate_attempts_live", "Live attempt actors.")?,
            attempts_memory: gauges(
                "tidegate_attempts_memory_bytes",
                "Estimated memory of the live attempts.",
            )?,
            attempts_panicked: counter(
                "tidegate_attempts_panicked_total",
                "Decisions that panicked; the signal was dead-lettered.",
            )?,
            view_unapplied: gauges(
                "tidegate_view_unapplied_bytes",
                "Committed states that the view has not acknowledged.",
            )?,
            view_repairs: counter(
                "tidegate_view_repairs_total",
                "Times that the view was behind what it had acknowledged, and was repaired.",
            )?,
            view_unanswered: counter(
                "tidegate_view_unanswered_total",
                "Times that the view did not answer, and what needed it waited.",
            )?,
            journal_syncs: counter("tidegate_journal_syncs_total", "Syncs of the journal.")?,
            journal_bytes: counter(
                "tidegate_journal_written_bytes_total",
                "Bytes written to the journal.",
            )?,
            journal_held: gauge(
                "tidegate_journal_held_bytes",
                "Signals that are durable or on their way and not decided yet.",
            )?,
            registry,
        };
        let metrics = Self(Arc::new(inner));
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Shows every word of the closed vocabularies from the start: a counter that appears with its
    /// first event has no increase that a rule could see.
    fn begin_at_zero(&self) {
        for (counters, words) in [
            (&self.signals, FATES.to_vec()),
            (&self.accepted, SourceKind::ALL.iter().map(|kind| kind.word()).collect()),
            (&self.dead_letters, DeadLetter::ALL.iter().map(|why| why.word()).collect()),
            (&self.alarms, Alarm::ALL.iter().map(|alarm| alarm.word()).collect()),
            (&self.door, DOOR_ANSWERS.to_vec()),
        ] {
            for word in words {
                counters.with_label_values(&[word]);
            }
        }
        for listener in ["public", "api", "ops"] {
            for status in ["200", "400", "401", "404", "405", "408", "413", "500", "503"] {
                self.http_requests.with_label_values(&[listener, status]);
            }
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
        let mut out = vec![];
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }
}
