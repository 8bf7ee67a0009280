//! Senders that behave like 0Gate: each event until it is acknowledged, under a fresh signature,
//! some twice, out of order. Each keeps its own log.

use crate::client::Client;
use crate::process::Dev;
use crate::support::Dice;
use crate::support::says::{COMPLETED, CREATED, Event, FAILED, PROCESSING, now};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tidegate::attempt::Digest;
use tidegate::webhook::{WebhookSecret, digest};

/// What senders and the killer share.
pub struct Shared {
    pub dev: Dev,
    pub secret: WebhookSecret,
    pub enough: AtomicBool,
    /// Requests that wait for their answer now.
    pub under_way: AtomicU64,
    /// Requests whose connection broke before an answer came.
    pub broken: AtomicU64,
}

impl Shared {
    pub fn new(dev: Dev) -> Self {
        let secret = WebhookSecret::new(dev.secret.clone().into());
        Self {
            dev,
            secret,
            enough: AtomicBool::new(false),
            under_way: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }
}

/// One acknowledged delivery.
#[derive(Debug)]
pub struct Acknowledged {
    pub attempt: String,
    pub event: String,
    pub digest: Digest,
    pub completes: bool,
    pub amount: String,
    pub at_ms: i64,
    pub duplicate: bool,
}

#[derive(Clone)]
struct Waiting {
    attempt: String,
    event: String,
    body: Bytes,
    completes: bool,
    amount: String,
    duplicate: bool,
}

/// Events on their way at a time: enough for those of an attempt to overtake each other.
const WINDOW: usize = 12;

pub fn run(shared: &Shared, number: u64) -> Vec<Acknowledged> {
    let mut dice = Dice(number * 7_919 + 3);
    let mut log = vec![];
    let mut waiting: Vec<Waiting> = vec![];
    let mut client = Client::new(&shared.dev.webhook_url);
    let path = shared.dev.webhook_url.splitn(4, '/').nth(3).unwrap_or_default();
    let path = format!("/{path}");
    let mut attempt = 0;
    loop {
        let more = !shared.enough.load(Ordering::SeqCst);
        while more && waiting.len() < WINDOW {
            waiting.extend(story(&mut dice, number, attempt));
            attempt += 1;
        }
        if waiting.is_empty() {
            return log;
        }
        let next = waiting.swap_remove(dice.below(waiting.len() as u64) as usize);
        deliver(shared, &mut client, &path, &next);
        if !next.duplicate && dice.chance(10) {
            waiting.push(Waiting { duplicate: true, ..next.clone() });
        }
        log.push(Acknowledged {
            attempt: next.attempt,
            event: next.event,
            digest: digest(&next.body),
            completes: next.completes,
            amount: next.amount,
            at_ms: now().0,
            duplicate: next.duplicate,
        });
    }
}

/// What happens to one attempt. No failure comes before a completion: whether that one would be
/// late is for the order of arrival to say, and this test is about loss.
fn story(dice: &mut Dice, sender: u64, attempt: u64) -> Vec<Waiting> {
    let session = format!("gs_{sender}_{attempt}");
    let amount = format!("{}.{:02}", 1 + dice.below(5_000), dice.below(100));
    let ends = match dice.below(10) {
        0 => None,
        1 => Some(FAILED),
        _most => Some(COMPLETED),
    };
    let kinds = [Some(CREATED), Some(PROCESSING), ends].into_iter().flatten();
    kinds
        .enumerate()
        .map(|(place, kind)| {
            let event = format!("evt_{sender}_{attempt}_{place}");
            let body = Event { amount: &amount, ..Event::new(&event, kind, &session) }.body();
            Waiting {
                attempt: session.clone(),
                event,
                body,
                completes: kind == COMPLETED,
                amount: amount.clone(),
                duplicate: false,
            }
        })
        .collect()
}

fn deliver(shared: &Shared, client: &mut Client, path: &str, waiting: &Waiting) {
    loop {
        let signature = shared.secret.sign(now().seconds(), &waiting.body);
        let headers =
            [("gate-signature", signature.as_str()), ("content-type", "application/json")];
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        let answer = client.ask("POST", path, &headers, &waiting.body);
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => return,
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.body);
                assert!(answer.status >= 500, "{} for a good webhook: {said}", answer.status);
            }
            Err(crate::client::NoAnswer::Broken) => {
                shared.broken.fetch_add(1, Ordering::SeqCst);
            }
            Err(crate::client::NoAnswer::NotSent) => {}
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
