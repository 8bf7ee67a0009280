//! Full disks, which heal, and dying ones, which do not.

use super::*;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::Dice;
use support::disks::{Full, FullDisk};
use support::lossy_disk::LossyDisk;
use support::memory_view::MemoryView;
use support::says::{COMPLETED, Event};
use support::world::{Plan, World, eventually};
use tempfile::TempDir;
use tidegate::adapters::embedded::{LogEnd, LogReader};
use tidegate::ports::{AppendError, Commit, CommitError};

fn full_disk() -> (Arc<dyn Disk>, Full) {
    let full = Full::default();
    (Arc::new(FullDisk { inner: Arc::new(RealDisk), full: full.clone() }), full)
}

#[actix::test]
async fn a_full_disk_refuses_appends_holds_nothing_back_and_goes_on_when_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let opened = try_open(disk, folder.path(), options(1)).unwrap();
    let mut acknowledged = vec![];
    for round in 0..12_u8 {
        let switch = if round % 2 == 0 { &full.writing } else { &full.allocating };
        switch.store(true, Ordering::SeqCst);
        // A frame that needs a new segment, so that preallocating fails too.
        let large = filled(round, 62_000);
        let refused = opened.journal.append(vec![signal(0, large)]).await;
        assert!(matches!(refused, Err(AppendError::Full)), "round {round}: {refused:?}");
        switch.store(false, Ordering::SeqCst);
        // A shorter one over the half that was written.
        let value = filled(100 + round, 4_000);
        opened.append(std::slice::from_ref(&value)).await;
        acknowledged.push(value);
    }
    let held = opened.journal.held();
    opened.close().await;
    assert_eq!(values(folder.path()), acknowledged);
    let opened = open(folder.path());
    assert_eq!(opened.journal.held(), held, "what was refused is not held");
    opened.close().await;
    assert_eq!(values(folder.path()), acknowledged);
}

/// A flood of connections may have taken every file that may be open; they end, and the log goes on.
#[actix::test]
async fn no_file_left_to_open_is_no_room_and_passes() {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const EACCES: i32 = 13;
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let opened = try_open(disk, folder.path(), options(1)).unwrap();
    let mut acknowledged = vec![];
    for (round, code) in [EMFILE, ENFILE].into_iter().cycle().take(6).enumerate() {
        let small = filled(round as u8, 10_000);
        opened.append(std::slice::from_ref(&small)).await;
        full.opening.store(code, Ordering::SeqCst);
        // A frame that needs a new segment.
        let large = filled(100 + round as u8, 62_000);
        let refused = opened.journal.append(vec![signal(0, large.clone())]).await;
        assert!(matches!(refused, Err(AppendError::Full)), "round {round}: {refused:?}");
        assert!(opened.journal.stopped().borrow().is_none(), "it goes on");
        full.opening.store(0, Ordering::SeqCst);
        opened.append(std::slice::from_ref(&large)).await;
        acknowledged.extend([small, large]);
    }
    assert_eq!(values(folder.path()), acknowledged);

    // What does not pass by itself stops it.
    opened.append(&[filled(1, 10_000)]).await;
    full.opening.store(EACCES, Ordering::SeqCst);
    let refused = opened.journal.append(vec![signal(0, filled(2, 62_000))]).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
    opened.writer.join().unwrap();
}

#[actix::test]
async fn a_commit_without_room_comes_back_whole_and_can_be_tried_again() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let opened = try_open(disk, folder.path(), options(1)).unwrap();
    opened.append(&[filled(1, 100)]).await;
    let owner = support::commits::owner(1);
    let epoch = opened.journal.take_over(0, &owner).await.unwrap().epoch;
    full.writing.store(true, Ordering::SeqCst);
    assert!(opened.journal.take_over(0, &owner).await.is_err(), "no room to take over either");
    let part = support::commits::part(0, epoch, 0, 1, &[("a", "1")]);
    let trailer = part.trailer.clone();
    let forward = signal(0, filled(2, 100));
    let commit = Commit { parts: vec![part], forwards: vec![forward] };
    let held = opened.journal.held();
    let refused = opened.journal.commit(commit).await;
    let Err(CommitError::Full(commit)) = refused else { panic!("{refused:?}") };
    assert_eq!(opened.journal.held(), held, "what was not forwarded is not held");
    full.writing.store(false, Ordering::SeqCst);
    opened.journal.commit(commit).await.unwrap();
    opened.close().await;
    let ledger = ledger(folder.path());
    assert_eq!(ledger.trailers[&0], trailer);
    assert_eq!(ledger.signals.len(), 2);
}

/// Half of a large frame got through, then a small one: what it does not cover is no damage.
#[actix::test]
async fn what_a_refused_frame_left_behind_is_taken_back_before_the_next() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let opened = try_open(disk, folder.path(), options(1)).unwrap();
    full.writing.store(true, Ordering::SeqCst);
    let refused = opened.journal.append(vec![signal(0, filled(1, 40_000))]).await;
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    full.writing.store(false, Ordering::SeqCst);
    opened.append(&[filled(2, 100)]).await;
    let mut reader = LogReader::oldest(Arc::new(RealDisk), folder.path().to_owned()).unwrap();
    while reader.next(u64::MAX).unwrap().is_some() {}
    assert_eq!(reader.end().unwrap(), LogEnd::Clean);
    opened.close().await;
    assert_eq!(values(folder.path()), [filled(2, 100)]);
}

#[actix::test]
async fn a_start_without_room_gives_back_what_an_earlier_life_had_made_ready() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    try_open(Arc::clone(&disk), folder.path(), options(1)).unwrap().close().await;
    std::fs::write(folder.path().join("spare"), [0; 4096]).unwrap();
    full.allocating.store(true, Ordering::SeqCst);
    assert!(try_open(Arc::clone(&disk), folder.path(), options(1)).is_err());
    assert!(!folder.path().join("spare").exists(), "it takes the room that the start needs");
    full.allocating.store(false, Ordering::SeqCst);
    try_open(disk, folder.path(), options(1)).unwrap().close().await;
}

#[actix::test]
async fn a_caller_who_goes_away_leaves_nothing_held() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let opened = try_open(disk, folder.path(), options(1)).unwrap();
    full.writing.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        let appending = opened.journal.append(vec![signal(0, filled(1, 50_000))]);
        let _gone = tokio::time::timeout(Duration::ZERO, appending).await;
    }
    let journal = opened.journal.clone();
    eventually("what was refused is let go", || journal.held() == 0).await;
    full.writing.store(false, Ordering::SeqCst);
    opened.append(&[filled(2, 10)]).await;
    opened.close().await;
}

#[actix::test]
async fn the_engine_waits_out_a_full_disk_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let mut plan = Plan::new(2);
    plan.journal.segment_bytes = 32 << 10;
    let world = World::start_on(disk, folder.path(), &MemoryView::default(), &plan).await.unwrap();
    let mut acknowledged = 0;
    let mut refused = 0;
    for round in 0..60 {
        let writing = round % 10 == 5;
        // So that the lanes' commits meet it too, and not only the appends.
        let (id, session) = (format!("evt_{round}"), format!("gs_{round}"));
        let append = Event::new(&id, COMPLETED, &session).append(2);
        let appending = world.journal.append(vec![append.clone()]);
        if writing {
            full.writing.store(true, Ordering::SeqCst);
            full.allocating.store(true, Ordering::SeqCst);
        }
        match appending.await {
            Ok(_) => acknowledged += 1,
            Err(AppendError::Full) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if writing {
            tokio::time::sleep(Duration::from_millis(30)).await;
            full.writing.store(false, Ordering::SeqCst);
            full.allocating.store(false, Ordering::SeqCst);
        }
    }
    assert!(refused >= 5, "the disk was full for {refused} of them");
    let ledger = world.stop().await;
    assert_eq!(ledger.signals.len(), acknowledged);
    assert_eq!(ledger.fulfillments.len(), acknowledged);
    ledger.assert_conserved();
}

#[actix::test]
async fn a_commit_that_meets_a_full_disk_is_tried_again_by_its_lane() {
    let folder = TempDir::new().unwrap();
    let (disk, full) = full_disk();
    let mut plan = Plan::new(1);
    // Long enough for the disk to be full by the time the lane commits.
    plan.driver.limits.commit_floor_ms = 40;
    let world = World::start_on(disk, folder.path(), &MemoryView::default(), &plan).await.unwrap();
    for round in 0..3 {
        let (id, session) = (format!("evt_{round}"), format!("gs_{round}"));
        world.tell(Event::new(&id, COMPLETED, &session).taken()).await;
    }
    full.writing.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(world.journal.held() > 0, "nothing can be decided for good now");
    full.writing.store(false, Ordering::SeqCst);
    let ledger = world.stop().await;
    assert_eq!(ledger.fulfilled(), ["gs_0", "gs_1", "gs_2"]);
    ledger.assert_conserved();
}

#[actix::test]
async fn a_failed_sync_stops_the_journal_and_a_start_keeps_what_the_disk_really_has() {
    for seed in 0..12 {
        let disk = LossyDisk::default();
        let folder = Path::new("/journal");
        let opened = try_open(Arc::new(disk.clone()), folder, options(1)).unwrap();
        opened.append(&[filled(1, 700), filled(2, 700)]).await;
        disk.fail_syncs(true);
        let refused = opened.journal.append(vec![signal(0, filled(3, 700))]).await;
        assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
        opened.writer.join().unwrap();
        assert!(opened.journal.stopped().borrow().is_some(), "it says why");
        disk.fail_syncs(false);
        for _ in 0..3 {
            let refused = opened.journal.append(vec![signal(0, filled(4, 10))]).await;
            assert!(matches!(refused, Err(AppendError::Closed)), "it does not come back by itself");
        }
        // The cache shows the third frame, and the disk lacks it. A start that trusted the cache
        // and wrote behind it would lose everything behind the hole at the next power cut.
        let opened = try_open(Arc::new(disk.clone()), folder, options(1)).unwrap();
        opened.append(&[filled(5, 700)]).await;
        disk.cut(&mut Dice(seed));
        disk.revive();
        let _dead = opened.writer;
        let again = try_open(Arc::new(disk.clone()), folder, options(1)).unwrap();
        again.close().await;
        let ledger = Ledger::read(Arc::new(disk), folder);
        let bytes: Vec<u8> = ledger.signals.iter().map(|(_, s)| s.value[0]).collect();
        assert!(bytes == [1, 2, 3, 5] || bytes == [1, 2, 5], "seed {seed}: {bytes:?}");
    }
}

/// A start copies the last segment; the copy must be on the disk before it takes the place.
#[actix::test]
async fn a_start_that_is_cut_off_before_it_writes_anything_has_lost_nothing() {
    for seed in 0..12 {
        let disk = LossyDisk::default();
        let folder = Path::new("/journal");
        let opened = try_open(Arc::new(disk.clone()), folder, options(1)).unwrap();
        opened.append(&[filled(1, 700), filled(2, 5_000)]).await;
        opened.close().await;
        for life in 0..3 {
            let opened = try_open(Arc::new(disk.clone()), folder, options(1)).unwrap();
            disk.cut(&mut Dice(seed * 10 + life));
            disk.revive();
            opened.close().await;
        }
        let ledger = Ledger::read(Arc::new(disk), folder);
        let bytes: Vec<u8> = ledger.signals.iter().map(|(_, s)| s.value[0]).collect();
        assert_eq!(bytes, [1, 2], "seed {seed}");
    }
}
