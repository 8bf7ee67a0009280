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
    pub fsyncs_per_1000_events: f64,
    pub journal_bytes_per_event: f64,
    pub settings: Settings,
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
        let rows = [
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
            ("fsyncs per 1,000 events", format!("{:.2}", self.fsyncs_per_1000_events)),
            ("journal bytes per event", format!("{:.0}", self.journal_bytes_per_event)),
            ("fulfillments", format!("{} in {:.1} s", self.fulfillments, self.seconds)),
        ];
        for (name, value) in rows {
            writeln!(out, "  {name:<24} {value}")?;
        }
        Ok(())
    }
}

fn quantiles(q: Quantiles) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", q.p50, q.p99, q.p999)
}
