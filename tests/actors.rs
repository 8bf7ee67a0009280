//! Attempts that panic, attempts that leave memory, and views that forget or fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and speaks of one variant at a time"
)]

#[path = "actors/clock.rs"]
mod clock;

mod support;

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::ledger::{Ledger, text};
use support::memory_view::MemoryView;
use support::moody_view::Moody;
use support::says::{COMPLETED, CREATED, Event, FAILED, PROCESSING};
use support::world::{Plan, World, eventually};
use tempfile::TempDir;
use tidegate::attempt::Policy;
use tidegate::lane::batch::Task;
use tidegate::lane::resident::{Outcome, Resident};
use tidegate::ports::View;
use tidegate::wire::prove::{Proven, Said};
use tidegate::wire::signal::SignalRecord;

/// A core with a bug: one signal is its end.
fn fragile(resident: &mut Resident, task: &Task, policy: &Policy) -> Outcome {
    let outcome = resident.decide(task, policy);
    if let Said::Signal(signal) = &task.said {
        // After the decision, so that what the resident holds by then is wrong.
        assert!(!signal.id.as_str().contains("boom"), "a planted bug");
    }
    outcome
}

fn event(id: &str, kind: &str, session: &str) -> (SignalRecord, Proven) {
    Event::new(id, kind, session).taken()
}

#[actix::test]
async fn a_panic_makes_its_signal_a_dead_letter_and_touches_nobody_else() {
    let folder = TempDir::new().unwrap();
    let mut plan = Plan::new(1);
    plan.driver.core = fragile;
    // Slow to commit, so that the second append is one batch.
    plan.driver.limits.commit_floor_ms = 50;
    let world = World::start(folder.path(), &MemoryView::default(), &plan).await;
    world.tell(event("evt_1", CREATED, "gs_sick")).await;
    world
        .tell_together(vec![
            event("evt_2", CREATED, "gs_sound"),
            event("evt_3", PROCESSING, "gs_sick"),
            event("evt_boom", COMPLETED, "gs_sick"),
            event("evt_4", COMPLETED, "gs_sick"),
            event("evt_boom_2", FAILED, "gs_sick"),
            event("evt_5", COMPLETED, "gs_sound"),
        ])
        .await;
    world.settle().await;
    let metrics = world.metrics.clone();
    world.tell(event("evt_6", COMPLETED, "gs_sound")).await;
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert_eq!(ledger.why_dead(), ["panicked", "panicked"]);
    let bodies: Vec<Bytes> = ledger.dead_letters.iter().map(|(_, r)| r.value.clone()).collect();
    assert_eq!(bodies[0], Event::new("evt_boom", COMPLETED, "gs_sick").body(), "its own bytes");
    assert_eq!(ledger.fulfilled(), ["gs_sick", "gs_sound"]);
    let sick = ledger.fulfillments.iter().find(|f| f["attempt_id"] == "gs_sick").unwrap();
    assert_eq!(sick["proof"]["event_id"], "evt_4", "by the next completion");
    assert_eq!(ledger.story("gs_sick"), ["requires_action", "processing", "fulfilled"]);
    assert_eq!(metrics.attempts_panicked.get(), 2);
    assert_eq!(metrics.dead_letters.with_label_values(&["panicked"]).get(), 2);
}

/// What a history comes to, without the times.
fn told(ledger: &Ledger) -> Vec<String> {
    let fulfilled = ledger.fulfillments.iter().map(|f| {
        let fields = ["fulfillment_id", "amount", "session_id", "transaction_ref"];
        let said: Vec<String> = fields.iter().map(|field| text(f, field)).collect();
        format!("{} {} by {}", said.join(" "), f["sequence"], f["proof"]["event_id"])
    });
    let moved = ledger.transitions.iter().map(|t| {
        let fields = ["attempt_id", "from", "to", "verdict", "reason"];
        let said: Vec<String> = fields.iter().map(|field| text(t, field)).collect();
        format!("{} {} by {}", said.join(" "), t["sequence"], t["cause"]["event_id"])
    });
    let mut all: Vec<String> = fulfilled.chain(moved).collect();
    all.sort();
    all
}

#[actix::test]
async fn little_memory_comes_to_the_same_as_much() {
    let mut dice = support::Dice(5);
    let mut history = vec![];
    for attempt in 0..120 {
        let session = format!("gs_{attempt}");
        for (n, kind) in [CREATED, PROCESSING, FAILED, COMPLETED, COMPLETED].iter().enumerate() {
            if *kind != FAILED || attempt % 5 == 0 {
                history.push(event(&format!("evt_{attempt}_{n}"), kind, &session));
            }
        }
    }
    dice.shuffle(&mut history);
    let mut came_to: Vec<(usize, Vec<String>)> = vec![];
    for memory in [0, 50_000, 64 << 20] {
        let folder = TempDir::new().unwrap();
        let mut plan = Plan::new(2);
        plan.driver.attempts_memory = memory;
        plan.driver.limits.batch_signals = 16;
        let world = World::start(folder.path(), &MemoryView::default(), &plan).await;
        for said in history.chunks(20) {
            world.tell_together(said.to_vec()).await;
        }
        world.settle().await;
        let metrics = world.metrics.clone();
        let ledger = world.stop().await;
        ledger.assert_conserved();
        for lane in ["0", "1"] {
            let held = metrics.attempts_memory.with_label_values(&[lane]).get();
            assert!(held <= memory as i64, "{held} bytes of attempts, and {memory} were allowed");
        }
        assert_eq!(ledger.fulfilled().len() + in_review(&ledger), 120);
        came_to.push((memory, told(&ledger)));
    }
    let (_, much) = came_to.pop().unwrap();
    for (memory, little) in came_to {
        assert_eq!(little, much, "with {memory} bytes");
    }
}

#[actix::test]
async fn a_batch_too_large_for_one_commit_is_decided_in_smaller_ones() {
    let mut history = vec![];
    for attempt in 0..60 {
        let session = format!("gs_{attempt}");
        for (n, kind) in [CREATED, PROCESSING, COMPLETED, COMPLETED].iter().enumerate() {
            history.push(event(&format!("evt_{attempt}_{n}"), kind, &session));
        }
    }
    let mut came_to = vec![];
    for commit_bytes in [0, 4_000, 12 << 20] {
        let folder = TempDir::new().unwrap();
        let mut plan = Plan::new(2);
        plan.driver.limits.commit_bytes = commit_bytes;
        let world = World::start(folder.path(), &MemoryView::default(), &plan).await;
        world.tell_together(history.clone()).await;
        world.settle().await;
        let ledger = world.stop().await;
        ledger.assert_conserved();
        assert_eq!(ledger.fulfilled().len(), 60, "in commits of {commit_bytes} bytes");
        came_to.push(told(&ledger));
    }
    assert!(came_to.windows(2).all(|pair| pair[0] == pair[1]), "the same, however it was split");
}

fn in_review(ledger: &Ledger) -> usize {
    ledger.transitions.iter().filter(|t| t["to"] == "review" && t["verdict"] == "applied").count()
}

impl Moody {
    /// Waits until the view has everything that the journal has of partition 0.
    async fn caught_up(&self, world: &World) {
        let metrics = world.metrics.clone();
        eventually("the view has everything", || {
            metrics.view_unapplied.with_label_values(&["0"]).get() == 0
        })
        .await;
    }
}

#[actix::test]
async fn a_view_that_forgets_is_repaired_before_anything_is_decided() {
    let folder = TempDir::new().unwrap();
    let mut plan = Plan::new(1);
    // Nobody stays in memory, so that every decision begins with a look-up.
    plan.driver.attempts_memory = 0;
    let view = Moody::default();
    let world = World::start(folder.path(), &view, &plan).await;
    for attempt in 0..20 {
        let session = format!("gs_{attempt}");
        world.tell(event(&format!("evt_{attempt}_1"), CREATED, &session)).await;
        world.tell(event(&format!("evt_{attempt}_2"), COMPLETED, &session)).await;
    }
    world.settle().await;
    for round in 0..5 {
        view.caught_up(&world).await;
        view.forgets.store(true, Ordering::SeqCst);
        for attempt in 0..20 {
            // A second completion would fulfill again if the first had been forgotten.
            let id = format!("evt_{attempt}_{}", round + 3);
            world.tell(event(&id, COMPLETED, &format!("gs_{attempt}"))).await;
        }
        world.settle().await;
    }
    assert_eq!(world.metrics.view_repairs.get(), 5);
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert_eq!(ledger.fulfillments.len(), 20);
    assert_eq!(ledger.counts().stale, 100, "each of the later ones was seen for what it is");
}

#[actix::test]
async fn a_lane_waits_for_a_view_that_fails_and_goes_on_when_it_is_back() {
    let folder = TempDir::new().unwrap();
    let mut plan = Plan::new(1);
    plan.driver.attempts_memory = 0;
    plan.driver.limits.dirty_bytes = 10_000;
    plan.driver.limits.batch_signals = 4;
    let view = Moody::default();
    let world = World::start(folder.path(), &view, &plan).await;
    view.fails.store(true, Ordering::SeqCst);
    for attempt in 0..200 {
        world.tell(event(&format!("evt_{attempt}"), COMPLETED, &format!("gs_{attempt}"))).await;
    }
    eventually("the view has refused twice", || view.failures.load(Ordering::SeqCst) >= 2).await;
    let waiting = world.journal.held();
    assert!(waiting > 0, "the lane goes on without a view");
    let unapplied = world.metrics.view_unapplied.with_label_values(&["0"]).get();
    assert!((10_000..40_000).contains(&unapplied), "{unapplied} bytes wait for the view");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.journal.held(), waiting, "it waits");
    let decided = world.ledger();
    assert!(decided.fulfillments.len() < 200 && !decided.fulfillments.is_empty());
    view.fails.store(false, Ordering::SeqCst);
    let ledger = world.stop().await;
    ledger.assert_conserved();
    assert_eq!(ledger.fulfillments.len(), 200);
    let shown = view.scan(0, Bytes::new(), 1_000).await.unwrap();
    assert_eq!(shown.len(), 200, "and the view has them all");
}

#[actix::test]
async fn a_view_of_another_journal_is_refused() {
    let folder = TempDir::new().unwrap();
    let view = MemoryView::default();
    let world = World::start(folder.path(), &view, &Plan::new(1)).await;
    for attempt in 0..50 {
        world.tell(event(&format!("evt_{attempt}"), COMPLETED, &format!("gs_{attempt}"))).await;
    }
    world.stop().await;
    // The journal was put back from an older copy; the view was not.
    let older = TempDir::new().unwrap();
    let disk = Arc::new(tidegate::adapters::embedded::disk::RealDisk);
    let started = World::start_on(disk, older.path(), &view, &Plan::new(1)).await;
    let Err(error) = started.map(|_| ()) else { panic!("the view knows more than the journal") };
    assert!(error.to_string().contains("another journal"), "{error}");
}

#[actix::test]
async fn draining_leaves_nothing_undone() {
    let folder = TempDir::new().unwrap();
    let view = MemoryView::default();
    let world = World::start(folder.path(), &view, &Plan::new(2)).await;
    for attempt in 0..100 {
        world.tell(event(&format!("evt_{attempt}"), COMPLETED, &format!("gs_{attempt}"))).await;
    }
    let ledger = world.stop().await;
    assert_eq!(ledger.fulfillments.len(), 100);
    let mut shown = 0;
    for partition in 0..2 {
        shown += view.scan(partition, Bytes::new(), 1_000).await.unwrap().len();
    }
    assert_eq!(shown, 100);
}
