//! What ends, ends for everybody: nobody is left waiting for an answer that nobody gives.

use super::*;
use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use support::lossy_disk::LossyDisk;
use support::memory_view::MemoryView;
use support::moody_view::Moody;
use support::says::{COMPLETED, Event};
use support::world::{Plan, World};
use tempfile::TempDir;
use tidegate::actors::EngineError;
use tidegate::crash;
use tidegate::ports::{AppendError, Apply, Incoming, Intake, Journal, Seat, View, ViewPosition};

const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// What this thread does when it has a place in the journal's queue and has not filled it.
    static WITH_A_PLACE: RefCell<Option<Box<dyn FnOnce()>>> = RefCell::default();
}

#[actix::test]
async fn whoever_has_a_place_in_the_queue_when_the_journal_stops_is_answered() {
    let opened = try_open(Arc::new(RealDisk), TempDir::new().unwrap().path(), options(1)).unwrap();
    crash::set_hook(Some(Box::new(|name| {
        let act = (name == "journal.before_queue").then(|| WITH_A_PLACE.take()).flatten();
        if let Some(act) = act {
            act();
        }
    })));
    let (journal, closing) = (opened.journal.clone(), opened.journal.clone());
    WITH_A_PLACE.set(Some(Box::new(move || {
        let closer = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(closing.close());
        });
        closer.join().unwrap();
        // Long enough for the writer to be gone, if it went without looking back.
        thread::sleep(Duration::from_millis(200));
    })));
    let append = journal.append(vec![signal(0, filled(1, 64))]);
    let answer = tokio::time::timeout(PATIENCE, append).await;
    assert!(matches!(answer, Ok(Err(AppendError::Closed))), "{answer:?}");
    opened.writer.join().unwrap();
}

#[actix::test]
async fn an_intake_that_is_opened_after_the_journal_stopped_ends_at_once() {
    let disk = LossyDisk::default();
    let opened = try_open(Arc::new(disk.clone()), Path::new("/journal"), options(2)).unwrap();
    disk.fail_syncs(true);
    opened.journal.append(vec![signal(0, filled(1, 64))]).await.unwrap_err();
    opened.writer.join().unwrap();
    let mut intake = opened.journal.intake(Seat { lane: 0, lanes: 1 });
    let assigned = tokio::time::timeout(PATIENCE, intake.next(10)).await.unwrap();
    assert!(matches!(assigned, Incoming::Assigned(_)), "{assigned:?}");
    let next = tokio::time::timeout(PATIENCE, intake.next(10)).await.unwrap();
    assert!(matches!(next, Incoming::Closed), "it says that nothing more comes, not {next:?}");
}

#[actix::test]
async fn an_end_does_not_wait_for_a_view_that_takes_nothing_and_loses_nothing_by_it() {
    let folder = TempDir::new().unwrap();
    let plan = Plan::new(1);
    let view = Moody::default();
    let mut world = World::start(folder.path(), &view, &plan).await;
    view.fails.store(true, Ordering::SeqCst);
    world.tell(Event::new("evt_1", COMPLETED, "gs_1").taken()).await;
    world.settle().await;
    world.patience = Duration::from_millis(300);
    let ended = world.end().await;
    assert!(matches!(ended, Err(EngineError::NotDrained { lane: 0, .. })), "{ended:?}");
    let ledger = World::start(folder.path(), &MemoryView::default(), &plan).await.stop().await;
    assert_eq!(ledger.fulfilled(), ["gs_1"]);
}

#[actix::test]
async fn a_lane_that_somebody_newer_has_followed_ends() {
    let folder = TempDir::new().unwrap();
    let view = MemoryView::default();
    let mut world = World::start(folder.path(), &view, &Plan::new(1)).await;
    let newer = ViewPosition { epoch: 1_000, changelog: u64::MAX };
    view.apply(Apply { partition: 0, after: 0, position: newer, states: vec![] }).await.unwrap();
    world.tell(Event::new("evt_1", COMPLETED, "gs_1").taken()).await;
    let broken = tokio::time::timeout(PATIENCE, world.engine.broken()).await.unwrap();
    assert!(broken.to_string().contains("a newer owner"), "{broken}");
    world.end().await.unwrap();
}
