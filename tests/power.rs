//! The whole engine in process, on a disk that forgets what was not synced, with the power cut at
//! every named place. Whoever was told yes is asked afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use support::Dice;
use support::ledger::{Ledger, text};
use support::lossy_disk::LossyDisk;
use support::memory_view::MemoryView;
use support::says::{self, COMPLETED, CREATED, Event, PROCESSING};
use support::world::{Plan, World, eventually};
use tidegate::adapters::embedded::EmbeddedJournal;
use tidegate::crash;
use tidegate::http::door::{Delivery, Door};
use tidegate::ports::SystemClock;
use tidegate::webhook::UnsignedHeaders;

const FOLDER: &str = "/journal";
const SENDERS: usize = 4;
const ATTEMPTS: usize = 32;
const SEEDS: u64 = 10;
/// Cuts in one run, each in another life of the engine.
const CUTS: u64 = 3;

/// The power switch: cuts at the `at`-th passage of a point, once, until it is set again.
#[derive(Clone, Default)]
struct Switch {
    disk: LossyDisk,
    passed: Arc<AtomicU64>,
    at: Arc<AtomicU64>,
    fired: Arc<AtomicBool>,
    seed: u64,
}

impl Switch {
    fn set(&self, at: u64) {
        self.passed.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
    }

    fn pass(&self) {
        // What an earlier life still does in the dark does not count.
        if self.disk.is_dark() || self.at.load(Ordering::SeqCst) == 0 {
            return;
        }
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if passed == self.at.load(Ordering::SeqCst) {
            self.disk.cut(&mut Dice(self.seed + passed));
            self.at.store(0, Ordering::SeqCst);
            self.fired.store(true, Ordering::SeqCst);
        }
    }
}

type OpenDoor = Rc<RefCell<Option<Door<EmbeddedJournal, SystemClock>>>>;

/// What the senders know: bodies that were acknowledged, and who completed.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<Vec<u8>>,
    completed: BTreeSet<String>,
    deliveries: u64,
}

/// Sends like 0Gate: the same bytes under a fresh signature, until somebody says yes; some twice.
async fn send(door: OpenDoor, sent: Rc<RefCell<Sent>>, bodies: Vec<(String, bytes::Bytes)>) {
    for (completes, body) in bodies {
        loop {
            let open = door.borrow().clone();
            let Some(open) = open else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let signature = says::secret().sign(says::now().seconds(), &body);
            let delivery = Delivery {
                endpoint: says::ENDPOINT,
                body: body.clone(),
                signature: &signature,
                unsigned: UnsignedHeaders::default(),
            };
            sent.borrow_mut().deliveries += 1;
            if open.take(delivery).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut sent = sent.borrow_mut();
        sent.acknowledged.insert(body.to_vec());
        if !completes.is_empty() {
            sent.completed.insert(completes);
        }
    }
}

fn bodies(dice: &mut Dice) -> Vec<(String, bytes::Bytes)> {
    let mut all = vec![];
    for attempt in 0..ATTEMPTS {
        let session = format!("gs_{attempt}");
        for (n, kind) in [CREATED, PROCESSING, COMPLETED].into_iter().enumerate() {
            let id = format!("evt_{attempt}_{n}");
            let completes = kind == COMPLETED && attempt % 8 != 7;
            if kind == COMPLETED && !completes {
                continue;
            }
            let body = Event::new(&id, kind, &session).body();
            let completes = if completes { session.clone() } else { String::new() };
            let copies = if dice.chance(15) { 2 } else { 1 };
            all.extend((0..copies).map(|_| (completes.clone(), body.clone())));
        }
    }
    dice.shuffle(&mut all);
    all
}

fn plan() -> Plan {
    let mut plan = Plan::new(3);
    plan.journal.segment_bytes = 12 << 10;
    plan.journal.snapshot_bytes = 8 << 10;
    plan.driver.limits.batch_signals = 8;
    plan.driver.attempts_memory = 20_000;
    plan
}

/// One run over several lives. Says how often the power was cut.
async fn run(point: &'static str, seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let switch = Switch { seed, ..Switch::default() };
    let disk = switch.disk.clone();
    let hook = switch.clone();
    crash::set_hook(Some(Box::new(move |name| {
        if name == point {
            hook.pass();
        }
    })));
    let door: OpenDoor = Rc::default();
    let sent: Rc<RefCell<Sent>> = Rc::default();
    let all = bodies(&mut dice);
    let senders: Vec<_> = all
        .chunks(all.len().div_ceil(SENDERS))
        .map(|chunk| actix_rt::spawn(send(door.clone(), sent.clone(), chunk.to_vec())))
        .collect();
    let often = match point.split('.').next() {
        Some("journal") if !point.contains("roll") => 20,
        Some("door") => 20,
        Some("lane") => 6,
        _rare => 3,
    };
    let mut view = MemoryView::default();
    let mut cuts = 0;
    let world = loop {
        if cuts < CUTS {
            switch.set(1 + dice.below(often));
        }
        let lit = Arc::new(disk.clone());
        let started = World::start_on(lit, Path::new(FOLDER), &view, &plan()).await;
        let finished = match started {
            Ok(world) => {
                *door.borrow_mut() = Some(world.door());
                let fired = || switch.fired.load(Ordering::SeqCst);
                eventually("everybody was acknowledged, or the power was cut", || {
                    fired() || senders.iter().all(|sender| sender.is_finished())
                })
                .await;
                // What was acknowledged is decided without anybody asking again.
                eventually("what was acknowledged is decided", || {
                    fired() || world.journal.held() == 0
                })
                .await;
                door.borrow_mut().take();
                Some(world)
            }
            Err(error) => {
                assert!(switch.fired.load(Ordering::SeqCst), "{point}, seed {seed}: {error}");
                None
            }
        };
        // From here on nothing may be cut, until the next life.
        switch.set(0);
        if !switch.fired.swap(false, Ordering::SeqCst) {
            match finished {
                Some(world) if senders.iter().all(|sender| sender.is_finished()) => break world,
                _unreachable => panic!("{point}, seed {seed}: ended without a cut or an end"),
            }
        }
        cuts += 1;
        if let Some(world) = finished {
            // Whatever it says: its power is off.
            let _broken = world.end().await;
        }
        if dice.chance(50) {
            // The view dies with the machine, or it was on another one.
            view = MemoryView::default();
        }
        disk.revive();
    };
    world.stop().await;
    crash::set_hook(None);
    judge(&Ledger::read(Arc::new(disk), Path::new(FOLDER)), &sent.borrow(), point, seed);
    cuts
}

fn judge(ledger: &Ledger, sent: &Sent, point: &str, seed: u64) {
    let kept: BTreeSet<Vec<u8>> = ledger.signals.iter().map(|(_, s)| s.value.to_vec()).collect();
    for body in &sent.acknowledged {
        let lost = String::from_utf8_lossy(body);
        assert!(kept.contains(body), "{point}, seed {seed}: acknowledged and lost: {lost}");
    }
    let fulfilled = ledger.fulfilled();
    let expected: Vec<String> = sent.completed.iter().cloned().collect();
    assert_eq!(fulfilled, expected, "{point}, seed {seed}: each completed one once, no other");
    let ids = ledger.fulfillments.iter().map(|f| text(f, "fulfillment_id"));
    assert!(
        ids.zip(&ledger.fulfillments).all(|(id, f)| id == format!("ful_{}", text(f, "attempt_id")))
    );
    ledger.assert_conserved();
}

#[actix::test]
async fn the_power_may_go_at_any_named_place() {
    let places = crash::POINTS.iter().filter(|name| !name.starts_with("view."));
    let mut cut: BTreeMap<&str, u64> = BTreeMap::new();
    for &point in places {
        for seed in 0..SEEDS {
            *cut.entry(point).or_default() += run(point, seed * 1_000 + 17).await;
        }
        println!("{point}: {} cuts", cut[point]);
    }
    println!("{} cuts in all", cut.values().sum::<u64>());
    let never: Vec<_> = cut.iter().filter(|(_, cuts)| **cuts == 0).collect();
    assert!(never.is_empty(), "the power was never cut at {never:?}");
}
