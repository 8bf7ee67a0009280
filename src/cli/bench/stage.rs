//! What every bench stands on: an engine on a folder of its own, a reader that watches fulfillments
//! become visible, and the report over both.

use super::LoadArgs;
use super::latency::Latencies;
use super::load::attempt_of;
use super::process::{cpu_seconds, peak_rss_mb, thread_cpu_seconds};
use super::report::{Report, Settings};
use crate::adapters::embedded::EmbeddedJournal;
use crate::attempt::{EndpointName, Mode, Policy};
use crate::cli::embedded::{Embedded, EmbeddedOptions};
use crate::http::door::{Door, Endpoints};
use crate::ports::{Journal, SystemClock};
use crate::telemetry::Metrics;
use crate::webhook::{Keyring, WebhookSecret};
use crate::wire::Topic;
use crate::wire::prove::Trust;
use crate::wire::seal::SigningKeys;
use crate::wire::section::records;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the last fulfillments may take to show.
const SETTLE: Duration = Duration::from_secs(60);

pub const ENDPOINT: &str = "bench";
const SECRET: &str = "whsec_test_bench_0123456789abcdef0123456789";
const SIGNING_KEY: &[u8] = b"bench signing key of 32 bytes...";

pub fn secret() -> WebhookSecret {
    WebhookSecret::new(SECRET.to_owned().into())
}

/// When each attempt's completion was first sent, in nanoseconds of the bench's clock.
pub struct Sent {
    began: Instant,
    at: Vec<AtomicU64>,
}

impl Sent {
    pub fn note(&self, attempt: u64) {
        let now = self.began.elapsed().as_nanos() as u64;
        self.at[attempt as usize].store(now, Ordering::Relaxed);
    }
}

/// What a load says of itself when it is through.
pub struct Fired {
    pub acks: Latencies,
    /// CPU of making and signing events, and of the client's end of a connection.
    pub generator_cpu: f64,
    pub completions: u64,
    /// Percent of events that came a second time.
    pub duplicates: u64,
}

struct Seen {
    fulfillments: u64,
    latencies: Latencies,
    cpu: f64,
    last: Instant,
}

pub struct Stage {
    pub embedded: Embedded,
    pub door: Door<EmbeddedJournal, SystemClock>,
    pub attempts: u64,
    pub sent: Arc<Sent>,
    folder: Folder,
    stop: Arc<AtomicU64>,
    reader: JoinHandle<anyhow::Result<Seen>>,
    began: Instant,
    cpu: f64,
}

impl Stage {
    pub async fn set(args: &LoadArgs) -> anyhow::Result<Self> {
        let folder = match &args.data {
            Some(folder) => Folder::Kept(folder.clone()),
            None => Folder::temporary()?,
        };
        let metrics = Metrics::new()?;
        let trust = Trust { keys: SigningKeys::new([SIGNING_KEY])?, mode: Mode::Test };
        let options = EmbeddedOptions {
            partitions: None,
            lanes: args.lanes,
            instance: "bench".to_owned(),
            trust: trust.clone(),
            policy: Policy::default(),
            segment_bytes: 64 << 20,
            snapshot_bytes: 128 << 20,
            attempts_memory: args.attempts_memory_mb << 20,
        };
        let embedded = Embedded::start(folder.path(), options, metrics.clone()).await?;
        let journal = embedded.journal.clone();
        let endpoints: Endpoints =
            [(EndpointName::parse(ENDPOINT)?, Keyring::of_one(secret()))].into();
        let door = Door::new(endpoints, trust, 300, journal.clone(), SystemClock, metrics);
        let attempts = args.attempt_count();
        let sent = Arc::new(Sent {
            began: Instant::now(),
            at: (0..attempts).map(|_| AtomicU64::new(0)).collect(),
        });
        let stop = Arc::new(AtomicU64::new(u64::MAX));
        let reader = {
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            std::thread::Builder::new()
                .name("reader".to_owned())
                .spawn(move || follow(&journal, &sent, &stop))?
        };
        let (began, cpu) = (Instant::now(), cpu_seconds());
        Ok(Self { embedded, door, attempts, sent, folder, stop, reader, began, cpu })
    }

    /// Waits for the last fulfillment, and says what it all came to.
    pub async fn strike(
        self,
        bench: &'static str,
        args: &LoadArgs,
        fired: Fired,
    ) -> anyhow::Result<Report> {
        self.stop.store(fired.completions, Ordering::Relaxed);
        let reader = self.reader;
        let seen = tokio::task::spawn_blocking(move || reader.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        let seconds = seen.last.duration_since(self.began).as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        let events = args.events as f64;
        let per_event = |seconds: f64| (seconds * 1e8 / events).round() / 100.0;
        let journal = &self.embedded.journal;
        let report = Report {
            bench,
            events: args.events,
            attempts: self.attempts,
            fulfillments: seen.fulfillments,
            seconds,
            events_per_second: (events / seconds).round(),
            cpu_us_per_event: per_event(cpu - fired.generator_cpu - seen.cpu),
            generator_cpu_us_per_event: per_event(fired.generator_cpu),
            reader_cpu_us_per_event: per_event(seen.cpu),
            ack_ms: fired.acks.quantiles(),
            fulfilled_ms: seen.latencies.quantiles(),
            peak_rss_mb: peak_rss_mb().round(),
            fsyncs_per_1000_events: (journal.syncs() as f64 * 1e5 / events).round() / 100.0,
            journal_bytes_per_event: (journal.written() as f64 / events).round(),
            settings: Settings {
                rate: args.rate,
                duplicates_percent: fired.duplicates,
                reordered_percent: args.reordered,
                chunk: args.chunk,
                connections: args.connections,
                lanes: args.lanes.unwrap_or(journal.partitions()).min(journal.partitions()),
                partitions: journal.partitions(),
                attempts_memory_mb: args.attempts_memory_mb,
                seed: args.seed,
            },
        };
        self.embedded.stop().await?;
        if let Folder::Kept(path) = &self.folder {
            // For an audit of what the bench left behind.
            let key = data_encoding::HEXLOWER.encode(SIGNING_KEY);
            std::fs::write(path.join("signing.key"), format!("{key}\n"))?;
        }
        self.folder.clean();
        Ok(report)
    }
}

/// Holds a load to its rate: waits until the events after the first `done` are due, and says when
/// that was. A load that is late counts its lateness.
pub async fn pace(rate: u64, began: Instant, done: u64) -> Instant {
    if rate == 0 {
        return Instant::now();
    }
    let due = began + Duration::from_secs_f64(done as f64 / rate as f64);
    // A sleep takes a millisecond at least, and a load that is late has none to spare.
    let early = due.saturating_duration_since(Instant::now());
    if !early.is_zero() {
        tokio::time::sleep(early).await;
    }
    due
}

/// Reads the committed outputs as they come, as a ledger would, until `stop` fulfillments are seen.
fn follow(journal: &EmbeddedJournal, sent: &Sent, stop: &AtomicU64) -> anyhow::Result<Seen> {
    let durable = journal.durable();
    let mut reader = journal.reader(*durable.borrow());
    let mut seen =
        Seen { fulfillments: 0, latencies: Latencies::default(), cpu: 0.0, last: Instant::now() };
    let mut quiet_since = Instant::now();
    while seen.fulfillments < stop.load(Ordering::Relaxed) {
        let until = *durable.borrow();
        let Some(frame) = reader.next(until).context("cannot read the journal back")? else {
            anyhow::ensure!(
                quiet_since.elapsed() < SETTLE,
                "{} fulfillments of {} after {SETTLE:?} of silence",
                seen.fulfillments,
                stop.load(Ordering::Relaxed)
            );
            std::thread::sleep(Duration::from_micros(300));
            continue;
        };
        quiet_since = Instant::now();
        for run in frame.runs().flatten().filter(|run| run.topic == Topic::Fulfillments) {
            seen.last = Instant::now();
            let now = sent.began.elapsed().as_nanos() as u64;
            for record in records(&run.bytes) {
                let attempt = attempt_of(record?.key).context("a fulfillment of nobody")?;
                let at = sent.at[attempt as usize].load(Ordering::Relaxed);
                seen.latencies.record(now.saturating_sub(at));
                seen.fulfillments += 1;
            }
        }
    }
    seen.cpu = thread_cpu_seconds();
    Ok(seen)
}

enum Folder {
    Kept(PathBuf),
    Temporary(PathBuf),
}

impl Folder {
    fn temporary() -> anyhow::Result<Self> {
        let mut name = [0_u8; 8];
        getrandom::fill(&mut name).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let name = data_encoding::HEXLOWER.encode(&name);
        Ok(Self::Temporary(std::env::temp_dir().join(format!("tidegate-bench-{name}"))))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }

    fn clean(self) {
        if let Self::Temporary(path) = self {
            let _left_behind = std::fs::remove_dir_all(path);
        }
    }
}
