//! A snapshot saves time and never decides.

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use support::commits::{owner, part};
use tempfile::TempDir;
use tidegate::ports::{Commit, Incoming, Intake, Journal, Seat};

fn often() -> JournalOptions {
    JournalOptions { snapshot_bytes: 2_000, ..options(2) }
}

fn never() -> JournalOptions {
    JournalOptions { snapshot_bytes: u64::MAX, ..options(2) }
}

/// Signals for two partitions, most of the first one's decided, none of the second's last.
async fn fill(folder: &Path, options: JournalOptions, rounds: u64) {
    let opened = try_open(Arc::new(RealDisk), folder, options).unwrap();
    let journal = &opened.journal;
    let mut decided = [0, 0];
    let mut epochs = [0, 0];
    for partition in [0, 1] {
        let taken = journal.take_over(partition, &owner(2)).await.unwrap();
        epochs[partition as usize] = taken.epoch;
        decided[partition as usize] = taken.trailer.map_or(0, |trailer| trailer.next);
    }
    for round in 0..rounds {
        for partition in [0, 1_u32] {
            let value = filled(round as u8, 300 + round as usize);
            let at = journal.append(vec![signal(partition, value)]).await.unwrap()[0].offset;
            if (partition == 0 && round % 3 > 0) || (partition == 1 && round == 2) {
                let index = partition as usize;
                let (previous, next) = (decided[index], at);
                let mine = part(partition, epochs[index], previous, next, &[("k", "v")]);
                journal.commit(Commit { parts: vec![mine], forwards: vec![] }).await.unwrap();
                decided[index] = next;
            }
        }
    }
    opened.close().await;
}

/// What a start makes of a folder: per partition the trailer's position, and what comes again.
type Found = BTreeMap<u32, (Option<u64>, Vec<u64>)>;

async fn found(folder: &Path) -> Result<Found, JournalError> {
    // A copy, because a start writes.
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let opened = try_open(Arc::new(RealDisk), copy.path(), never())?;
    let mut all = Found::new();
    let mut intake = opened.journal.intake(Seat { lane: 0, lanes: 1 });
    for partition in [0, 1] {
        let taken = opened.journal.take_over(partition, &owner(2)).await.unwrap();
        opened.journal.flow(partition).await.unwrap();
        all.insert(partition, (taken.trailer.map(|trailer| trailer.next), vec![]));
    }
    let moment = Duration::from_millis(50);
    while let Ok(come) = tokio::time::timeout(moment, intake.next(1_000)).await {
        let Incoming::Signals(signals) = come else { continue };
        for fetched in signals {
            let place = fetched.position;
            all.get_mut(&place.partition).unwrap().1.push(place.offset);
        }
    }
    opened.close().await;
    Ok(all)
}

#[actix::test]
async fn a_start_finds_the_same_with_a_snapshot_and_without_any_or_with_a_bad_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("snapshot");
    fill(folder.path(), often(), 10).await;
    let old = fs::read(&path).expect("a snapshot was taken");
    fill(folder.path(), often(), 90).await;
    let newest = fs::read(&path).unwrap();
    assert_ne!(old, newest);
    assert!(segments(folder.path()).len() > 1, "the log has rolled");

    let with = found(folder.path()).await.unwrap();
    fs::remove_file(&path).unwrap();
    let without = found(folder.path()).await.unwrap();
    assert_eq!(with, without);
    assert!(without[&0].1.len() < without[&1].1.len(), "{without:?}");

    let other = TempDir::new().unwrap();
    fill(other.path(), often(), 30).await;
    let foreign = fs::read(other.path().join("snapshot")).unwrap();
    let mut bad: Vec<(String, Vec<u8>)> = vec![
        ("old".into(), old),
        ("foreign".into(), foreign),
        ("empty".into(), vec![]),
        ("zeros".into(), vec![0; 200]),
        ("garbage".into(), b"TGS2 and then something else".to_vec()),
    ];
    for at in 0..newest.len() {
        let mut flipped = newest.clone();
        flipped[at] ^= 0x10;
        if at % 5 == 0 {
            bad.push((format!("flipped at {at}"), flipped));
        }
        if at % 7 == 0 {
            bad.push((format!("cut at {at}"), newest[..at].to_vec()));
        }
    }
    for (what, bytes) in bad {
        fs::write(&path, bytes).unwrap();
        assert_eq!(found(folder.path()).await.unwrap(), without, "with one that is {what}");
    }
}

#[actix::test]
async fn a_log_shorter_than_its_snapshot_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), often(), 8).await;
    let log = segments(folder.path()).pop().unwrap();
    let bytes = fs::read(&log).unwrap();
    let end = ledger(folder.path()).end;
    for kept in [0, end / 2, end - 2_500] {
        fs::write(&log, &bytes[..kept as usize]).unwrap();
        let refused = try_open(Arc::new(RealDisk), folder.path(), never()).map(|_| ());
        let Err(JournalError::Damaged(why)) = refused else {
            panic!("a log of {kept} bytes was taken, and its snapshot says more");
        };
        assert!(why.contains("snapshot"), "{why}");
        assert_eq!(fs::read(&log).unwrap(), &bytes[..kept as usize]);
    }
    fs::remove_file(&log).unwrap();
    let refused = try_open(Arc::new(RealDisk), folder.path(), never()).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Damaged(_))), "no log at all: {refused:?}");
    assert!(segments(folder.path()).is_empty(), "and none was made in its place");
}

#[actix::test]
async fn an_end_in_good_order_is_remembered_and_a_log_that_lost_it_is_refused() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    opened.append(&[filled(1, 1_000), filled(2, 1_000)]).await;
    opened.append(&[filled(3, 1_000)]).await;
    let end = opened.journal.changelog_end();
    opened.close().await;
    let file = segments(folder.path())[0].clone();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[end as usize - 1_000..].fill(0);
    std::fs::write(&file, bytes).unwrap();
    let refused = try_open(Arc::new(RealDisk), folder.path(), options(1)).map(|_| ());
    let Err(JournalError::Damaged(why)) = refused else { panic!("a lost end was not noticed") };
    assert!(why.contains("before the point that a snapshot says is durable"), "{why}");
}

/// A life that ends in a crash saves nothing by itself: what it wrote counts for the next ones.
#[actix::test]
async fn a_snapshot_is_taken_however_short_the_lives_are_and_however_they_end() {
    let mut folder = TempDir::new().unwrap();
    let options = || JournalOptions { snapshot_bytes: 20_000, ..options(1) };
    for life in 0..8 {
        let opened = try_open(Arc::new(RealDisk), folder.path(), options()).unwrap();
        opened.append(&[filled(life, 5_000)]).await;
        // It is saved beside the work.
        tokio::time::sleep(Duration::from_millis(200)).await;
        // As a kill leaves it.
        let next = TempDir::new().unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            // One that is just being made ready goes by another name a moment later.
            if let Err(error) = fs::copy(entry.path(), next.path().join(entry.file_name())) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            }
        }
        opened.close().await;
        folder = next;
    }
    assert!(folder.path().join("snapshot").exists(), "40,000 bytes, and no snapshot");
}
