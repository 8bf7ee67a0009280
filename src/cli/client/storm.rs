//! A storm: many attempts at once, each event of which may come twice and in any order.

use super::event::{Event, Session, Story};
use super::send::{SendArgs, Sender, data_flag};
use crate::cli::say;
use crate::cli::{Failure, Output, exit};
use crate::ports::{Clock, SystemClock};
use serde_json::json;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const COUNT_DEFAULT: u32 = 100;
const SEED_DEFAULT: u64 = 1;
const CONCURRENCY_DEFAULT: u32 = 4;

pub(super) fn run(
    args: &SendArgs,
    like: &Session,
    sender: &Sender,
    out: &mut impl Write,
) -> Result<u8, Failure> {
    let count = args.count.unwrap_or(COUNT_DEFAULT);
    let deliveries = deliveries(count, args.seed.unwrap_or(SEED_DEFAULT), like);
    let next = AtomicUsize::new(0);
    let (sent, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    let advice: Mutex<Option<String>> = Mutex::new(None);
    let began = SystemClock.now();
    std::thread::scope(|scope| {
        for _ in 0..args.concurrency.unwrap_or(CONCURRENCY_DEFAULT) {
            scope.spawn(|| {
                while let Some(event) = deliveries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    sent.fetch_add(1, Ordering::Relaxed);
                    match sender.deliver(event) {
                        Ok(answer) if answer.status == 200 => {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(refused) => {
                            let said = refused.advice(args);
                            *advice.lock().unwrap_or_else(|e| e.into_inner()) = said;
                        }
                        Err(failure) => {
                            next.store(deliveries.len(), Ordering::Relaxed);
                            failed.lock().unwrap_or_else(|e| e.into_inner()).replace(failure);
                        }
                    }
                }
            });
        }
    });
    let seconds = SystemClock.now().since(began).max(1) as f64 / 1000.0;
    let (sent, taken) = (sent.into_inner(), taken.into_inner());
    if let Some(mut failure) = failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
        // Whoever kills the process in a storm wants to hold these against what it kept.
        failure.what = format!(
            "the storm broke off: {sent} of {} deliveries sent, {taken} acknowledged\n  {}",
            deliveries.len(),
            failure.what
        );
        return Err(failure);
    }
    let refused = sent - taken;
    let rate = sent as f64 / seconds;
    let written = match args.output {
        Output::Json => writeln!(
            out,
            "{:#}",
            json!({
                "attempts": count, "deliveries": sent, "refused": refused,
                "session_prefix": format!("{}_", like.id),
                "seconds": seconds, "per_second": rate.round(),
            })
        ),
        Output::Text => writeln!(
            out,
            "{sent} deliveries of {count} attempts in {seconds:.1} s ({rate:.0} a second), {refused} \
             refused",
        )
        // Of what was refused nobody can say how many fulfillments it comes to.
        .and_then(|()| if refused == 0 { next_step(args, count, like, out) } else { Ok(()) }),
    };
    written.map_err(|error| Failure::answer(&error))?;
    if let Some(advice) = advice.into_inner().unwrap_or_else(|e| e.into_inner()) {
        say(format_args!("tidegate: {advice}"));
    }
    Ok(if refused == 0 { exit::OK } else { exit::FOUND })
}

fn next_step(
    args: &SendArgs,
    count: u32,
    like: &Session,
    out: &mut impl Write,
) -> std::io::Result<()> {
    writeln!(
        out,
        "\nNext: {count} fulfillments, no more and no fewer\n  tidegate tail fulfillments{data} | \
         grep -c {prefix}_",
        data = data_flag(args),
        prefix = like.id,
    )
}

/// Every event once, a third of them twice, in an order that the seed decides.
fn deliveries(count: u32, seed: u64, like: &Session) -> Vec<Event> {
    let mut random = Random(seed);
    let mut deliveries = vec![];
    for number in 0..count {
        let session = Session { id: format!("{}_{number}", like.id), ..like.clone() };
        for event in session.tell(Story::Completed) {
            if random.below(3) == 0 {
                deliveries.push(event.clone());
            }
            deliveries.push(event);
        }
    }
    // Each changes places with one not far away: that is how deliveries overtake each other.
    for index in 0..deliveries.len() {
        let other = (index + random.below(16)).min(deliveries.len() - 1);
        deliveries.swap(index, other);
    }
    deliveries
}

/// SplitMix64: enough to shuffle by, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
