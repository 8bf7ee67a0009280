//! Clocks are set: by people, by daemons, by a host that wakes up.

use super::*;
use std::time::Instant;
use support::disks::{Full, FullDisk};
use tidegate::adapters::embedded::disk::RealDisk;

const HOUR: i64 = 3_600_000;

/// Everything that waits for a time: commits, applies to the view, a commit without room.
#[actix::test]
async fn a_lane_goes_on_when_the_clock_is_set_back_an_hour_or_on() {
    for jump in [-HOUR, HOUR] {
        let folder = TempDir::new().unwrap();
        let full = Full::default();
        let disk = Arc::new(FullDisk { inner: Arc::new(RealDisk), full: full.clone() });
        let view = MemoryView::default();
        let mut plan = Plan::new(1);
        plan.driver.limits.commit_floor_ms = 40;
        plan.driver.limits.apply_floor_ms = 20;
        plan.driver.limits.busy_signals = 0;
        let world = World::start_on(disk, folder.path(), &view, &plan).await.unwrap();
        let began = Instant::now();
        for round in 0..3 {
            let session = format!("gs_{round}");
            world.tell(event(&format!("evt_{round}"), CREATED, &session)).await;
            world.settle().await;
            plan.clock.move_by(jump);
            world.tell(event(&format!("evt_{round}_paid"), COMPLETED, &session)).await;
            world.settle().await;
            let key = Bytes::from(format!("s/{session}"));
            let mut shown = false;
            while !shown {
                let looked = view.look_up(0, vec![key.clone()]).await.unwrap();
                shown = looked.values[0].as_ref() == world.ledger().states.get(&(0, key.clone()));
                assert!(began.elapsed() < Duration::from_secs(20), "the view is not told");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // A commit has just been, so that the next one waits and meets the full disk.
        world.tell(event("evt_last", CREATED, "gs_last")).await;
        world.settle().await;
        world.tell(event("evt_last_paid", COMPLETED, "gs_last")).await;
        full.writing.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(world.journal.held() > 0, "nothing can be decided for good now");
        plan.clock.move_by(jump);
        full.writing.store(false, Ordering::SeqCst);
        let ledger = world.stop().await;
        ledger.assert_conserved();
        assert_eq!(ledger.fulfilled(), ["gs_0", "gs_1", "gs_2", "gs_last"]);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
