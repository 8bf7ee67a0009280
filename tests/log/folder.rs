//! Who may use a data folder, and what it was made for.

use super::*;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tidegate::adapters::embedded::DataFolder;
use tidegate::attempt::Mode;
use tidegate::wire::seal::SigningKeys;

fn keys(bytes: &[u8]) -> SigningKeys {
    let keys: Vec<_> = bytes.iter().map(|byte| [*byte; 32]).collect();
    SigningKeys::new(keys.iter().map(|key| key.as_slice())).unwrap()
}

fn take(root: &Path, partitions: Option<u32>, default: u32) -> Result<DataFolder, JournalError> {
    DataFolder::take(root, partitions, default, &keys(&[1]), Mode::Test)
}

#[test]
fn a_folder_has_one_user_at_a_time() {
    let root = TempDir::new().unwrap();
    let first = take(root.path(), None, 4).unwrap();
    let second = take(root.path(), None, 4).map(|_| ());
    assert!(matches!(second, Err(JournalError::Locked { .. })), "{second:?}");
    drop(first);
    take(root.path(), None, 4).unwrap();
}

const HOLD: &str = "TIDEGATE_TEST_HOLDS_FOLDER";

/// Not a test of its own: what the second process of the next one does.
#[test]
fn holds_a_folder_until_it_is_killed() {
    let Ok(root) = std::env::var(HOLD) else { return };
    let _held = take(Path::new(&root), None, 4).unwrap();
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
    let refused = take(root.path(), None, 4).map(|_| ());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(matches!(refused, Err(JournalError::Locked { .. })), "{refused:?}");
    take(root.path(), None, 4).expect("the lock died with its process");
}

#[test]
fn the_partition_count_is_pinned_when_the_folder_is_made() {
    let root = TempDir::new().unwrap();
    assert_eq!(take(root.path(), Some(3), 8).unwrap().partitions(), 3);
    assert_eq!(take(root.path(), None, 8).unwrap().partitions(), 3);
    assert_eq!(take(root.path(), Some(3), 8).unwrap().partitions(), 3);
    let refused = take(root.path(), Some(4), 8).map(|_| ());
    assert!(
        matches!(refused, Err(JournalError::Pinned { pinned: 3, asked: 4, .. })),
        "{refused:?}"
    );
}

#[actix::test]
async fn a_log_whose_partition_count_is_lost_is_not_pinned_anew() {
    let root = TempDir::new().unwrap();
    let folder = take(root.path(), Some(1), 1).unwrap();
    let opened = open(&folder.log());
    opened.append(&[filled(1, 10)]).await;
    opened.close().await;
    drop(folder);
    std::fs::remove_file(root.path().join("journal.json")).unwrap();
    let refused = take(root.path(), None, 8).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Damaged(_))), "{refused:?}");
    std::fs::write(root.path().join("journal.json"), b"{}").unwrap();
    assert!(take(root.path(), None, 8).is_err(), "nonsense is not a partition count");
}

#[test]
fn a_folder_belongs_to_the_signing_key_that_it_was_made_with() {
    let root = TempDir::new().unwrap();
    drop(DataFolder::take(root.path(), None, 4, &keys(&[1]), Mode::Test).unwrap());
    let file = root.path().join("journal.json");
    let pinned = std::fs::read(&file).unwrap();
    for others in [&[2][..], &[2, 1]] {
        let refused = DataFolder::take(root.path(), None, 4, &keys(others), Mode::Test).map(|_| ());
        assert!(matches!(refused, Err(JournalError::OtherKeys { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&file).unwrap(), pinned, "nothing was changed");
    }
    let said = String::from_utf8(pinned).unwrap();
    assert!(said.contains(&keys(&[1]).fingerprint(0).unwrap().to_string()), "{said}");
}

/// A key that came later may have sealed what still waits: without it that would be nobody's.
#[test]
fn a_key_that_has_sealed_is_as_bound_to_its_folder_as_the_first() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("journal.json");
    let take =
        |keys: SigningKeys| DataFolder::take(root.path(), None, 4, &keys, Mode::Test).map(drop);
    take(keys(&[1])).unwrap();
    // One that stands behind and does not seal yet may go again.
    take(keys(&[1, 2]).sealing_with(0)).unwrap();
    take(keys(&[1, 3]).sealing_with(0)).unwrap();
    take(keys(&[1, 2]).sealing_with(1)).unwrap();
    let pinned = std::fs::read(&file).unwrap();
    for others in [keys(&[1]), keys(&[1, 3]), keys(&[1, 3]).sealing_with(0)] {
        let refused = take(others);
        assert!(matches!(refused, Err(JournalError::OtherKeys { place: 1, .. })), "{refused:?}");
        assert_eq!(std::fs::read(&file).unwrap(), pinned, "nothing was changed");
    }
    take(keys(&[1, 2, 3]).sealing_with(2)).unwrap();
    take(keys(&[1, 2, 3]).sealing_with(0)).unwrap();
    assert!(take(keys(&[1, 2])).is_err(), "the third has sealed");
}

#[test]
fn a_folder_that_does_not_say_whose_it_is_is_damaged() {
    let root = TempDir::new().unwrap();
    drop(take(root.path(), None, 4).unwrap());
    let file = root.path().join("journal.json");
    let mut pins: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for nonsense in [Some("00"), Some("not sixteen digi"), None] {
        match nonsense {
            None => drop(pins.as_object_mut().unwrap().remove("signing_keys")),
            Some(text) => pins["signing_keys"] = serde_json::json!([text]),
        }
        std::fs::write(&file, pins.to_string()).unwrap();
        let refused = take(root.path(), None, 4).map(|_| ());
        assert!(matches!(refused, Err(JournalError::Damaged(_))), "{refused:?}");
    }
}

#[test]
fn a_folder_of_a_newer_tidegate_is_not_called_damaged() {
    let root = TempDir::new().unwrap();
    let newer = br#"{"format": 2, "shards": 4, "of_its": "choosing"}"#;
    std::fs::write(root.path().join("journal.json"), newer).unwrap();
    let refused = take(root.path(), None, 4).map(|_| ()).unwrap_err();
    assert!(matches!(refused, JournalError::Newer { format: 2, known: 1, .. }), "{refused:?}");
    assert!(refused.to_string().contains("written by a newer tidegate"), "{refused}");
}

/// A start that begins anew would fulfill everything again.
#[test]
fn a_folder_whose_journal_is_gone_is_refused_and_left_as_it_is() {
    let root = TempDir::new().unwrap();
    drop(take(root.path(), None, 4).unwrap());
    std::fs::remove_dir_all(root.path().join("journal")).unwrap();
    let refused = take(root.path(), None, 4).map(|_| ());
    assert!(matches!(refused, Err(JournalError::Damaged(_))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("journal is gone"));
    assert!(!root.path().join("journal").exists(), "nothing was made in its place");
}

#[test]
fn a_folder_belongs_to_one_of_the_two_worlds() {
    let root = TempDir::new().unwrap();
    let take = |mode| DataFolder::take(root.path(), None, 4, &keys(&[1]), mode).map(drop);
    take(Mode::Live).unwrap();
    let refused = take(Mode::Test);
    assert!(matches!(refused, Err(JournalError::OtherMode { .. })), "{refused:?}");
    take(Mode::Live).unwrap();
    // One of before modes were pinned takes that of its next start, for ever.
    let file = root.path().join("journal.json");
    let mut pins: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    pins.as_object_mut().unwrap().remove("mode");
    std::fs::write(&file, pins.to_string()).unwrap();
    take(Mode::Test).unwrap();
    let refused = take(Mode::Live);
    assert!(matches!(refused, Err(JournalError::OtherMode { .. })), "{refused:?}");
}
