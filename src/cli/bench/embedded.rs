//! The whole engine in one process: sign, verify, journal, decide, commit, show.

use super::LoadArgs;
use super::latency::Latencies;
use super::load::{Gun, Load, Shot};
use super::on_folder::OnFolder;
use super::process::thread_cpu_seconds;
use super::report::Report;
use super::stage::{ENDPOINT, Fired, Ground, Stage, pace, secret};
use crate::http::door::{Delivery, Door, Refused};
use crate::ports::{Append, Clock, Journal, SystemClock};
use crate::telemetry::Metrics;
use crate::webhook::UnsignedHeaders;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Appends that may be under way at once, as of a producer with so many connections.
const UNDER_WAY: usize = 32;

pub async fn run(args: &LoadArgs) -> anyhow::Result<Report> {
    let metrics = Metrics::new()?;
    let ground = OnFolder::start(args, metrics.clone()).await?;
    let stage = Stage::set(ground, args, metrics)?;
    let fired = fire(args, &stage).await?;
    stage.strike("embedded", args, fired).await
}

fn verified<J: Journal>(
    door: &Door<J, SystemClock>,
    shots: &[(Shot, Bytes, String)],
) -> Result<Vec<Append>, Refused> {
    let deliver = |(_, body, signature): &(Shot, Bytes, String)| {
        let (body, unsigned) = (body.clone(), UnsignedHeaders::default());
        door.verify(Delivery { endpoint: ENDPOINT, body, signature, unsigned })
    };
    shots.iter().map(|shot| deliver(shot).map(|(append, _)| append)).collect()
}

/// Sends the whole load and waits for its acknowledgements.
pub async fn fire<G: Ground>(args: &LoadArgs, stage: &Stage<G>) -> anyhow::Result<Fired> {
    let gun = Gun::new(secret(), SystemClock.now().seconds());
    let mut load =
        Load::new(args.seed, args.events, stage.attempts, args.duplicates, args.reordered);
    let permits = Arc::new(Semaphore::new(UNDER_WAY));
    let (acks_to, mut acks_from) = tokio::sync::mpsc::unbounded_channel();
    let (mut left, mut generator_cpu, mut completions) = (args.events, 0.0, 0);
    let began = Instant::now();
    while left > 0 {
        let count = left.min(u64::from(args.chunk));
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
        let asked = pace(args.rate, began, args.events - left).await;
        // Acknowledgements are noted on this thread too, and must not wait for the load to pause.
        tokio::task::yield_now().await;
        let permit = Arc::clone(&permits).acquire_owned().await?;
        for (shot, ..) in shots.iter().filter(|(shot, ..)| shot.completes() && !shot.copy) {
            stage.sent.note(shot.attempt);
            completions += 1;
        }
        let appends = verified(&stage.door, &shots)?;
        let (door, acks_to) = (stage.door.clone(), acks_to.clone());
        tokio::spawn(async move {
            let mut taken = door.take_together(appends).await;
            // What a client does with 503: it comes again.
            while let Err(Refused::NotTaken(_)) = taken {
                tokio::time::sleep(Duration::from_millis(2)).await;
                taken = match verified(&door, &shots) {
                    Ok(appends) => door.take_together(appends).await,
                    Err(refused) => Err(refused),
                };
            }
            let _measuring = acks_to.send((asked.elapsed(), count, taken.is_ok()));
            drop(permit);
        });
        left -= count;
    }
    drop(acks_to);
    let mut acks = Latencies::default();
    while let Some((took, count, taken)) = acks_from.recv().await {
        anyhow::ensure!(taken, "an append was refused for good");
        acks.record_many(took.as_nanos() as u64, count);
    }
    Ok(Fired { acks, generator_cpu, completions, duplicates: load.duplicates() })
}
