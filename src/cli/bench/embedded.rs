//! The whole engine in one process: sign, verify, journal, decide, commit, show.

use super::LoadArgs;
use super::latency::Latencies;
use super::load::{Gun, Load, attempt_of};
use super::process::{cpu_seconds, peak_rss_mb, thread_cpu_seconds};
use super::report::{Report, Settings};
use crate::adapters::embedded::EmbeddedJournal;
use crate::attempt::{EndpointName, Mode, Policy};
use crate::cli::embedded::{Embedded, EmbeddedOptions};
use crate::http::door::{Delivery, Door, Endpoints};
use crate::ports::{Clock, Journal, SystemClock};
use crate::telemetry::Metrics;
use crate::webhook::{Keyring, UnsignedHeaders, WebhookSecret};
use crate::wire::Topic;
use crate::wire::prove::Trust;
use crate::wire::seal::SigningKeys;
use crate::wire::section::records;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Appends that may be under way at once, as of a producer with so many connections.
const UNDER_WAY: usize = 32;

/// How long the last fulfillments may take to show.
const SETTLE: Duration = Duration::from_secs(60);

const ENDPOINT: &str = "bench";
const SECRET: &str = "whsec_test_bench_0123456789abcdef0123456789";

pub fn trust() -> anyhow::Result<Trust> {
    let keys = SigningKeys::new([b"bench signing key of 32 bytes...".as_slice()])?;
    Ok(Trust { keys, mode: Mode::Test })
}

pub fn endpoints() -> anyhow::Result<Endpoints> {
    let secret = WebhookSecret::new(SECRET.to_owned().into());
    Ok([(EndpointName::parse(ENDPOINT)?, Keyring::of_one(secret))].into())
}

/// When each attempt's completion was first sent, in nanoseconds of the bench's clock.
struct Sent {
    began: Instant,
    at: Vec<AtomicU64>,
}

struct Seen {
    fulfillments: u64,
    latencies: Latencies,
    cpu: f64,
    last: Instant,
}

pub async fn run(args: &LoadArgs) -> anyhow::Result<Report> {
    let folder = match &args.data {
        Some(folder) => Folder::Kept(folder.clone()),
        None => Folder::temporary()?,
    };
    let metrics = Metrics::new()?;
    let trust = trust()?;
    let options = EmbeddedOptions {
        partitions: None,
        lanes: args.lanes,
        instance: "bench".to_owned(),
        trust: trust.clone(),
        policy: Policy::default(),
        segment_bytes: 64 << 20,
        snapshot_bytes: 128 << 20,
        attempts_memory: 128 << 20,
    };
    let embedded = Embedded::start(folder.path(), options, metrics.clone()).await?;
    let journal = embedded.journal.clone();
    let door = Door::new(endpoints()?, trust, 300, journal.clone(), SystemClock, metrics.clone());

    let attempts = args.attempt_count();
    let sent = Arc::new(Sent {
        began: Instant::now(),
        at: (0..attempts).map(|_| AtomicU64::new(0)).collect(),
    });
    let stop = Arc::new(AtomicU64::new(u64::MAX));
    let reader = {
        let (journal, sent, stop) = (journal.clone(), Arc::clone(&sent), Arc::clone(&stop));
        std::thread::spawn(move || follow(&journal, &sent, &stop))
    };
    let (before, cpu_before) = (Instant::now(), cpu_seconds());
    let fired = fire(args, attempts, &door, &sent).await?;
    stop.store(fired.completions, Ordering::Relaxed);
    let seen = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    let seconds = seen.last.duration_since(before).as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    let per_event = |seconds: f64| seconds * 1e6 / args.events as f64;
    let report = Report {
        bench: "embedded",
        events: args.events,
        attempts,
        fulfillments: seen.fulfillments,
        seconds,
        events_per_second: args.events as f64 / seconds,
        cpu_us_per_event: per_event(cpu - fired.generator_cpu - seen.cpu),
        generator_cpu_us_per_event: per_event(fired.generator_cpu),
        reader_cpu_us_per_event: per_event(seen.cpu),
        ack_ms: fired.acks.quantiles(),
        fulfilled_ms: seen.latencies.quantiles(),
        peak_rss_mb: peak_rss_mb(),
        fsyncs_per_1000_events: journal.syncs() as f64 * 1000.0 / args.events as f64,
        journal_bytes_per_event: journal.written() as f64 / args.events as f64,
        settings: Settings {
            rate: args.rate,
            duplicates_percent: args.duplicates,
            reordered_percent: args.reordered,
            chunk: args.chunk,
            lanes: args.lanes.unwrap_or(journal.partitions()).min(journal.partitions()),
            partitions: journal.partitions(),
            seed: args.seed,
        },
    };
    embedded.stop().await?;
    folder.clean();
    Ok(report)
}

struct Fired {
    acks: Latencies,
    generator_cpu: f64,
    completions: u64,
}

/// Sends the whole load and waits for its acknowledgements.
async fn fire(
    args: &LoadArgs,
    attempts: u64,
    door: &Door<EmbeddedJournal, SystemClock>,
    sent: &Arc<Sent>,
) -> anyhow::Result<Fired> {
    let gun = Gun::new(WebhookSecret::new(SECRET.to_owned().into()), SystemClock.now().seconds());
    let mut load = Load::new(args.seed, attempts, args.duplicates, args.reordered);
    let permits = Arc::new(Semaphore::new(UNDER_WAY));
    let (acks_to, mut acks_from) = tokio::sync::mpsc::unbounded_channel();
    let (mut left, mut generator_cpu, mut completions) = (args.events, 0.0, 0);
    let began = Instant::now();
    while left > 0 {
        let count = left.min(args.chunk as u64);
        let cpu = thread_cpu_seconds();
        let seconds = SystemClock.now().seconds();
        let shots: Vec<_> = (0..count)
            .map(|_| {
                let shot = load.next();
                let body = gun.body(shot);
                let signature = gun.sign(seconds, &body);
                (shot, body, signature)
            })
            .collect();
        generator_cpu += thread_cpu_seconds() - cpu;
        if args.rate > 0 {
            let due = (args.events - left) as f64 / args.rate as f64;
            let ahead = due - began.elapsed().as_secs_f64();
            if ahead > 0.0 {
                tokio::time::sleep(Duration::from_secs_f64(ahead)).await;
            }
        }
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let now = sent.began.elapsed().as_nanos() as u64;
        let mut appends = Vec::with_capacity(shots.len());
        for (shot, body, signature) in &shots {
            if shot.completes() && !shot.copy {
                sent.at[shot.attempt as usize].store(now, Ordering::Relaxed);
                completions += 1;
            }
            let delivery = Delivery {
                endpoint: ENDPOINT,
                body: body.clone(),
                signature,
                unsigned: UnsignedHeaders::default(),
            };
            appends.push(door.verify(delivery)?.0);
        }
        let (door, acks_to, asked) = (door.clone(), acks_to.clone(), Instant::now());
        tokio::spawn(async move {
            let mut taken = door.take_together(appends.clone()).await;
            // What a client does with 503: it comes again.
            while let Err(crate::http::door::Refused::NotTaken(_)) = taken {
                tokio::time::sleep(Duration::from_millis(2)).await;
                taken = door.take_together(appends.clone()).await;
            }
            let _measuring = acks_to.send((asked.elapsed(), taken.is_ok()));
            drop(permit);
        });
        left -= count;
    }
    drop(acks_to);
    let mut acks = Latencies::default();
    while let Some((took, taken)) = acks_from.recv().await {
        anyhow::ensure!(taken, "an append was refused for good");
        acks.record(took.as_nanos() as u64);
    }
    Ok(Fired { acks, generator_cpu, completions })
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
