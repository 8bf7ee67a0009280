//! Who may use a data folder, and what it was made for.

use super::*;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tidegate::adapters::embedded::DataFolder;

#[test]
fn a_folder_has_one_user_at_a_time() {
    let root = TempDir::new().unwrap();
    let first = DataFolder::take(root.path(), None, 4).unwrap();
    let second = DataFolder::take(root.path(), None, 4).map(|_| ());
    assert!(matches!(second, Err(JournalError::Locked { .. })), "{second:?}");
    drop(first);
    DataFolder::take(root.path(), None, 4).unwrap();
}

const HOLD: &str = "TIDEGATE_TEST_HOLDS_FOLDER";

/// Not a test of its own: what the second process of the next one does.
#[test]
fn holds_a_folder_until_it_is_killed() {
    let Ok(root) = std::env::var(HOLD) else { return };
    let _held = DataFolder::take(Path::new(&root), None, 4).unwrap();
    std::fs::write(Path::new(&root).join("held"), b"").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[actix::test]
async fn another_process_keeps_us_out_until_it_dies_however_it_dies() {
    let root = TempDir::new().unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "folder::holds_a_folder_until_it_is_killed"])
        .env(HOLD, root.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let held = root.path().join("held");
    support::world::eventually("the other process holds the folder", || held.exists()).await;
    let refused = DataFolder::take(root.path(), None, 4).map(|_| ());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(matches!(refused, Err(JournalError::Locked { .. })), "{refused:?}");
    DataFolder::take(root.path(), None, 4).expect("the lock died with its process");
}

#[test]
fn the_partition_count_is_pinned_when_the_folder_is_made() {
    let root = TempDir::new().unwrap();
    assert_eq!(DataFolder::take(root.path(), Some(3), 8).unwrap().partitions(), 3);
    assert_eq!(DataFolder::take(root.path(), None, 8).unwrap().partitions(), 3);
    assert_eq!(DataFolder::take(root.path(), Some(3), 8).unwrap().partitions(), 3);
    let refused = DataFolder::take(root.path(), Some(4), 8).map(|_| ());
    assert!(
        matches!(refused, Err(JournalError::Pinned { pinned: 3, asked: 4, .. })),
        "{refused:?}"
    );
}

#[actix::test]
async fn a_log_whose_partition_count_is_lost_is_not_pinned_anew() {
    let root = TempDir::new().unwrap();
    let folder = DataFolder::take(root.path(), Some(1), 1).unwrap();
    let opened = open(&folder.log());
    opened.append(&[filled(1, 10)]).await;
    opened.close().await;
    drop(folder);
    std::fs::remove_file(root.path().join("journal.json")).unwrap();
    let refused = DataFolder::take(root.path(), None, 8).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Damaged(_))), "{refused:?}");
    std::fs::write(root.path().join("journal.json"), b"{}").unwrap();
    assert!(DataFolder::take(root.path(), None, 8).is_err(), "nonsense is not a partition count");
}
