//! What every bench stands on: an engine, a reader that watches fulfillments become visible, and the
//! report over both.

use super::LoadArgs;
use super::latency::Latencies;
use super::load::attempt_of;
use super::process::{cpu_seconds, peak_rss_mb, thread_cpu_seconds};
use super::report::{Costs, Report, Settings};
use crate::attempt::{EndpointName, Mode};
use crate::http::door::{Door, Endpoints};
use crate::ports::{Journal, SystemClock};
use crate::telemetry::Metrics;
use crate::webhook::{Keyring, WebhookSecret};
use crate::wire::prove::Trust;
use crate::wire::seal::SigningKeys;
use anyhow::Context;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the last fulfillments may take to show.
const SETTLE: Duration = Duration::from_secs(60);

pub const ENDPOINT: &str = "bench";
const SECRET: &str = "whsec_test_bench_0123456789abcdef0123456789";
pub const SIGNING_KEY: &[u8] = b"bench signing key of 32 bytes...";

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

/// What a reader has seen of a load.
pub struct Seen {
    pub fulfillments: u64,
    latencies: Latencies,
    cpu: f64,
    last: Instant,
}

/// Sees fulfillments become visible, as a ledger would.
pub struct Eye {
    sent: Arc<Sent>,
    /// Completions that were sent, once all are.
    stop: Arc<AtomicU64>,
    seen: Seen,
    quiet_since: Instant,
}

impl Eye {
    pub fn is_done(&self) -> bool {
        self.seen.fulfillments >= self.stop.load(Ordering::Relaxed)
    }

    pub fn sees(&mut self, key: &[u8]) -> anyhow::Result<()> {
        self.seen.last = Instant::now();
        self.quiet_since = self.seen.last;
        let now = self.sent.began.elapsed().as_nanos() as u64;
        let attempt = attempt_of(key).context("a fulfillment of nobody")?;
        let at = self.sent.at[attempt as usize].load(Ordering::Relaxed);
        self.seen.latencies.record(now.saturating_sub(at));
        self.seen.fulfillments += 1;
        Ok(())
    }

    pub fn sees_nothing(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.quiet_since.elapsed() < SETTLE,
            "{} fulfillments of {} after {SETTLE:?} of silence",
            self.seen.fulfillments,
            self.stop.load(Ordering::Relaxed)
        );
        Ok(())
    }

    pub fn closes(self) -> Seen {
        Seen { cpu: thread_cpu_seconds(), ..self.seen }
    }
}

/// An engine under load.
pub trait Ground: Sized {
    type Journal: Journal;

    fn journal(&self) -> Self::Journal;

    /// Lets `eye` see every fulfillment, on a thread of its own.
    fn watch(&self, eye: Eye) -> anyhow::Result<JoinHandle<anyhow::Result<Seen>>>;

    /// What it cost so far, over so many events and seconds.
    fn costs(&self, events: f64, seconds: f64) -> Costs;

    fn lanes(&self) -> u32;

    fn end(self) -> impl Future<Output = anyhow::Result<()>>;
}

/// By what the bench's records are believed.
pub fn trust() -> anyhow::Result<Trust> {
    Ok(Trust { keys: SigningKeys::new([SIGNING_KEY])?, mode: Mode::Test })
}

pub fn endpoints() -> anyhow::Result<Endpoints> {
    Ok([(EndpointName::parse(ENDPOINT)?, Keyring::of_one(secret()))].into())
}

pub struct Stage<G: Ground> {
    pub ground: G,
    pub door: Door<G::Journal, SystemClock>,
    pub attempts: u64,
    pub sent: Arc<Sent>,
    stop: Arc<AtomicU64>,
    reader: JoinHandle<anyhow::Result<Seen>>,
    began: Instant,
    cpu: f64,
}

impl<G: Ground> Stage<G> {
    pub fn set(ground: G, args: &LoadArgs, metrics: Metrics) -> anyhow::Result<Self> {
        let door = Door::new(endpoints()?, trust()?, 300, ground.journal(), SystemClock, metrics);
        let attempts = args.attempt_count();
        let sent = Arc::new(Sent {
            began: Instant::now(),
            at: (0..attempts).map(|_| AtomicU64::new(0)).collect(),
        });
        let stop = Arc::new(AtomicU64::new(u64::MAX));
        let now = Instant::now();
        let reader = ground.watch(Eye {
            sent: Arc::clone(&sent),
            stop: Arc::clone(&stop),
            seen: Seen { fulfillments: 0, latencies: Latencies::default(), cpu: 0.0, last: now },
            quiet_since: now,
        })?;
        let (began, cpu) = (Instant::now(), cpu_seconds());
        Ok(Self { ground, door, attempts, sent, stop, reader, began, cpu })
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
        let report = Report {
            bench,
            events: args.events,
            attempts: self.attempts,
            fulfillments: seen.fulfillments,
            seconds,
            events_per_second: (events / seconds).round(),
            cpu_us_per_event: per_event(cpu - fired.generator_cpu - seen.cpu, events),
            generator_cpu_us_per_event: per_event(fired.generator_cpu, events),
            reader_cpu_us_per_event: per_event(seen.cpu, events),
            ack_ms: fired.acks.quantiles(),
            fulfilled_ms: seen.latencies.quantiles(),
            peak_rss_mb: peak_rss_mb().round(),
            costs: self.ground.costs(events, seconds),
            settings: Settings {
                rate: args.rate,
                duplicates_percent: fired.duplicates,
                reordered_percent: args.reordered,
                chunk: args.chunk,
                connections: args.connections,
                lanes: self.ground.lanes(),
                partitions: self.ground.journal().partitions(),
                attempts_memory_mb: args.attempts_memory_mb,
                seed: args.seed,
            },
        };
        self.ground.end().await?;
        Ok(report)
    }
}

/// Microseconds of an event.
pub fn per_event(seconds: f64, events: f64) -> f64 {
    (seconds * 1e8 / events).round() / 100.0
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
