//! From one segment to the next.

use super::*;
use std::fs;
use tempfile::TempDir;
use tidegate::ports::AppendError;

#[actix::test]
async fn the_log_rolls_and_is_read_as_one() {
    let folder = TempDir::new().unwrap();
    let sent: Vec<Bytes> = (0..60).map(|n| filled(n, 5_000)).collect();
    let opened = open(folder.path());
    opened.append(&sent[..30]).await;
    opened.close().await;
    let opened = open(folder.path());
    opened.append(&sent[30..]).await;
    opened.close().await;
    let files = segments(folder.path());
    assert!(files.len() >= 4, "{files:?}");
    assert_eq!(values(folder.path()), sent);
    for pair in files.windows(2) {
        let base =
            |path: &Path| -> u64 { path.file_stem().unwrap().to_str().unwrap().parse().unwrap() };
        let length = fs::metadata(&pair[0]).unwrap().len();
        assert_eq!(base(&pair[0]) + length, base(&pair[1]), "closed files are cut to size");
    }
}

#[actix::test]
async fn a_frame_larger_than_the_rest_of_a_segment_or_than_a_segment_goes_to_a_new_one() {
    let folder = TempDir::new().unwrap();
    let sent = [filled(1, 40_000), filled(2, 40_000), filled(3, 200_000), filled(4, 10)];
    let opened = open(folder.path());
    opened.append(&sent).await;
    opened.close().await;
    assert_eq!(segments(folder.path()).len(), 4);
    assert_eq!(values(folder.path()), sent);
    let opened = open(folder.path());
    opened.append(&[filled(5, 10)]).await;
    opened.close().await;
    assert_eq!(values(folder.path()).len(), 5);
}

#[actix::test]
async fn a_frame_that_could_not_be_read_back_is_not_written() {
    let folder = TempDir::new().unwrap();
    let options = JournalOptions { held_bytes: 64 << 20, ..options(1) };
    let opened = try_open(Arc::new(RealDisk), folder.path(), options).unwrap();
    opened.append(&[filled(1, 10)]).await;
    let half = filled(2, 17 << 20);
    let refused = opened.journal.append(vec![signal(0, half.clone()), signal(0, half)]).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "a frame of 34 MiB: {refused:?}");
    opened.writer.join().unwrap();
    assert_eq!(values(folder.path()), [filled(1, 10)]);
}

/// A process may die between any two steps of a roll: the new file exists, empty or preallocated,
/// while the old one is not cut to size yet; or it is, and nothing was written to the new one.
#[actix::test]
async fn a_roll_that_was_interrupted_is_taken_up() {
    let made = TempDir::new().unwrap();
    let opened = open(made.path());
    opened.append(&[filled(1, 30_000), filled(2, 20_000)]).await;
    let end = opened.journal.changelog_end();
    opened.close().await;
    let first = fs::read(&segments(made.path())[0]).unwrap();
    for cut in [false, true] {
        for fresh in [0, 4096, 1 << 20] {
            let folder = TempDir::new().unwrap();
            let old = if cut { &first[..end as usize] } else { &first[..] };
            fs::write(folder.path().join(format!("{:020}.seg", 0)), old).unwrap();
            fs::write(folder.path().join(format!("{end:020}.seg")), vec![0; fresh]).unwrap();
            let opened = open(folder.path());
            opened.append(&[filled(3, 30_000)]).await;
            opened.close().await;
            let expected = [filled(1, 30_000), filled(2, 20_000), filled(3, 30_000)];
            assert_eq!(values(folder.path()), expected, "cut {cut}, fresh {fresh}");
            let length = fs::metadata(&segments(folder.path())[0]).unwrap().len();
            assert_eq!(length, end, "and cut to size, whoever had not come to it");
        }
    }
}

#[actix::test]
async fn a_copy_that_was_interrupted_is_made_again() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    opened.append(&[filled(1, 1_000)]).await;
    opened.close().await;
    let copy = segments(folder.path())[0].with_extension("copy");
    fs::write(&copy, vec![0xaa; 10_000]).unwrap();
    let opened = open(folder.path());
    opened.append(&[filled(2, 1_000)]).await;
    opened.close().await;
    assert!(!copy.exists());
    assert_eq!(values(folder.path()), [filled(1, 1_000), filled(2, 1_000)]);
}

#[actix::test]
async fn a_spare_of_an_earlier_life_does_not_stay() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("spare"), vec![0xaa; 10_000]).unwrap();
    let opened = open(folder.path());
    assert!(!folder.path().join("spare").exists());
    let sent: Vec<Bytes> = (0..60).map(|n| filled(n, 5_000)).collect();
    opened.append(&sent).await;
    opened.close().await;
    assert_eq!(values(folder.path()), sent);
}

#[actix::test]
async fn a_segment_that_is_gone_is_missed() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    opened.append(&(0..40).map(|n| filled(n, 5_000)).collect::<Vec<_>>()).await;
    opened.close().await;
    let files = segments(folder.path());
    fs::remove_file(&files[1]).unwrap();
    let refused = try_open(Arc::new(RealDisk), folder.path(), options(1)).map(|_| ());
    let Err(JournalError::Damaged(why)) = refused else { panic!("a gap was not noticed") };
    assert!(why.contains("ends before the next segment begins"), "{why}");
}
