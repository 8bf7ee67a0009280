//! What a bench prints.

use super::latency::Quantiles;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Debug, Serialize)]
pub struct Report {
    pub bench: &'static str,
    pub events: u64,
    pub attempts: u64,
    pub fulfillments: u64,
    pub seconds: f64,
    pub events_per_second: f64,
    /// Everything but the load generator and the measuring reader.
    pub cpu_us_per_event: f64,
    pub generator_cpu_us_per_event: f64,
    pub reader_cpu_us_per_event: f64,
    pub ack_ms: Quantiles,
    pub fulfilled_ms: Quantiles,
    pub peak_rss_mb: f64,
    #[serde(flatten)]
    pub costs: Costs,
    pub settings: Settings,
}

/// What an engine costs beside the CPU of this process.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Costs {
    Log {
        fsyncs_per_1000_events: f64,
        journal_bytes_per_event: f64,
    },
    /// CPU is known of services on this machine.
    Cluster {
        fsyncs_per_1000_events: Option<f64>,
        broker_cpu_us_per_event: Option<f64>,
        redis_cpu_us_per_event: Option<f64>,
        transactions_per_second: f64,
    },
}

impl Costs {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let of = |cpu: &Option<f64>| match cpu {
            Some(cpu) => format!("{cpu:.2} µs"),
            None => "not on this machine".to_owned(),
        };
        match self {
            Self::Log { fsyncs_per_1000_events, journal_bytes_per_event } => vec![
                ("fsyncs per 1,000 events", format!("{fsyncs_per_1000_events:.2}")),
                ("journal bytes per event", format!("{journal_bytes_per_event:.0}")),
            ],
            Self::Cluster {
                broker_cpu_us_per_event,
                redis_cpu_us_per_event,
                transactions_per_second,
                ..
            } => vec![
                ("broker CPU per event", of(broker_cpu_us_per_event)),
                ("Redis CPU per event", of(redis_cpu_us_per_event)),
                ("transactions per second", format!("{transactions_per_second:.0}")),
            ],
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Settings {
    pub rate: u64,
    pub duplicates_percent: u64,
    pub reordered_percent: u32,
    pub chunk: u32,
    pub connections: usize,
    pub lanes: u32,
    pub partitions: u32,
    pub attempts_memory_mb: usize,
    pub seed: u64,
}

impl Report {
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Settings { rate, duplicates_percent, reordered_percent, chunk, lanes, .. } =
            self.settings;
        writeln!(
            out,
            "{} events of {} attempts ({duplicates_percent} % twice, {reordered_percent} % out of \
             order), {} a second asked, chunks of {chunk}, {lanes} lanes",
            self.events,
            self.attempts,
            if rate == 0 { "as many as go".to_owned() } else { rate.to_string() },
        )?;
        let mut rows = vec![
            ("events per second", format!("{:.0}", self.events_per_second)),
            ("CPU per event", format!("{:.2} µs", self.cpu_us_per_event)),
            (
                "beside it",
                format!(
                    "{:.2} µs generating and signing, {:.2} µs reading back",
                    self.generator_cpu_us_per_event, self.reader_cpu_us_per_event
                ),
            ),
            ("acknowledged", quantiles(self.ack_ms)),
            ("fulfillment visible", quantiles(self.fulfilled_ms)),
            ("peak memory", format!("{:.0} MB", self.peak_rss_mb)),
        ];
        rows.extend(self.costs.rows());
        rows.push(("fulfillments", format!("{} in {:.1} s", self.fulfillments, self.seconds)));
        for (name, value) in rows {
            writeln!(out, "  {name:<24} {value}")?;
        }
        Ok(())
    }
}

fn quantiles(q: Quantiles) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", q.p50, q.p99, q.p999)
}
