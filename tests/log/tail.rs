//! What a start makes of the end of the log.

use super::*;
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

/// Three frames, and the addresses at which each begins, with the end of the last.
async fn three(folder: &Path) -> Vec<u64> {
    let opened = open(folder);
    let mut starts = vec![0];
    for byte in 1..=3 {
        opened.append(&[filled(byte, 40 * usize::from(byte))]).await;
        starts.push(opened.journal.changelog_end());
    }
    opened.close().await;
    trim(&segments(folder)[0], starts[3]);
    starts
}

fn copy_with(bytes: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("00000000000000000000.seg"), bytes).unwrap();
    folder
}

fn written(folder: &Path) -> Vec<u8> {
    fs::read(&segments(folder)[0]).unwrap()
}

#[actix::test]
async fn a_tail_torn_at_any_byte_is_cut_and_everything_before_it_survives() {
    let made = TempDir::new().unwrap();
    let starts = three(made.path()).await;
    let bytes = written(made.path());
    let whole = values(made.path());
    for torn in starts[2]..starts[3] {
        // The file may end there, or go on with the zeros that were preallocated.
        for zeros in [0, 600] {
            // A frame may end in zeros of its own: then nothing is missing.
            let missing = &bytes[torn as usize..starts[3] as usize];
            if missing.len() <= zeros && missing.iter().all(|byte| *byte == 0) {
                continue;
            }
            let mut bytes = bytes[..torn as usize].to_vec();
            bytes.resize(bytes.len() + zeros, 0);
            let folder = copy_with(&bytes);
            let opened = open(folder.path());
            assert_eq!(opened.journal.changelog_end(), starts[2], "torn at {torn}");
            assert!(opened.journal.held() > 0, "the first two come again");
            opened.append(&[filled(9, 10)]).await;
            opened.close().await;
            let mut expected = whole[..2].to_vec();
            expected.push(filled(9, 10));
            assert_eq!(values(folder.path()), expected, "torn at {torn}");
        }
    }
}

#[actix::test]
async fn a_last_frame_with_any_byte_flipped_is_a_torn_tail() {
    let made = TempDir::new().unwrap();
    let starts = three(made.path()).await;
    let bytes = written(made.path());
    for at in (starts[2]..starts[3]).step_by(3) {
        let mut bytes = bytes.clone();
        bytes[at as usize] ^= 0x40;
        let folder = copy_with(&bytes);
        let opened = open(folder.path());
        assert_eq!(opened.journal.changelog_end(), starts[2], "flipped at {at}");
        opened.close().await;
    }
}

#[actix::test]
async fn damage_with_a_whole_frame_behind_it_is_refused_and_nothing_is_changed() {
    let made = TempDir::new().unwrap();
    let starts = three(made.path()).await;
    let bytes = written(made.path());
    for at in 0..starts[2] {
        let mut bytes = bytes.clone();
        bytes[at as usize] ^= 0x01;
        let folder = copy_with(&bytes);
        let refused = try_open(Arc::new(RealDisk), folder.path(), options(1));
        let Err(JournalError::Damaged(why)) = refused.map(|_| ()) else {
            panic!("damage at {at} was taken for something else");
        };
        let frame = if at < starts[1] { starts[0] } else { starts[1] };
        assert!(why.contains(&format!("at byte {frame}")), "flipped at {at}: {why}");
        assert!(why.contains("00000000000000000000.seg"), "{why}");
        assert_eq!(written(folder.path()), bytes, "the evidence stays as it is");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "and nothing beside it");
    }
}

#[actix::test]
async fn zeros_and_garbage_where_a_log_should_begin_hold_nothing() {
    let garbage: Vec<u8> = (0..5000_u32).map(|n| (n * 31 % 251) as u8).collect();
    for bytes in [vec![], vec![0; 4096], garbage, b"TGF1".to_vec(), b"TGF1TGF1TGF1".repeat(9)] {
        let folder = copy_with(&bytes);
        let opened = open(folder.path());
        assert_eq!(opened.journal.changelog_end(), 0);
        opened.append(&[filled(1, 10)]).await;
        opened.close().await;
        assert_eq!(values(folder.path()), [filled(1, 10)]);
    }
}

#[actix::test]
async fn a_frame_of_another_place_is_not_taken_for_one_of_here() {
    let made = TempDir::new().unwrap();
    let starts = three(made.path()).await;
    let bytes = written(made.path());
    // The second frame where the third should be: whole by its checksum, but of another address.
    let mut moved = bytes[..starts[2] as usize].to_vec();
    moved.extend_from_slice(&bytes[starts[1] as usize..starts[2] as usize]);
    let folder = copy_with(&moved);
    let opened = open(folder.path());
    assert_eq!(opened.journal.changelog_end(), starts[2]);
    opened.close().await;
}

#[actix::test]
async fn a_reader_that_has_read_ahead_still_sees_what_is_written_next() {
    let folder = TempDir::new().unwrap();
    let opened = open(folder.path());
    let mut reader = opened.journal.reader(0);
    for round in 1..200_usize {
        opened.append(&[filled(round as u8, round * 7 % 500)]).await;
        let until = opened.journal.changelog_end();
        let frame = reader.next(until).unwrap().expect("a durable frame can be read");
        assert_eq!(frame.end(), until, "round {round}");
        assert!(reader.next(until).unwrap().is_none());
    }
    opened.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever is behind the last whole frame, unless it is a whole frame again, is cut.
    #[test]
    fn nothing_that_is_appended_to_a_log_hurts_it(garbage in prop::collection::vec(any::<u8>(), 0..700)) {
        actix_rt::System::new().block_on(async {
            let made = TempDir::new().unwrap();
            let opened = open(made.path());
            opened.append(&[filled(1, 100), filled(2, 100)]).await;
            let end = opened.journal.changelog_end();
            opened.close().await;
            trim(&segments(made.path())[0], end);
            let mut bytes = written(made.path());
            bytes.extend_from_slice(&garbage);
            let folder = copy_with(&bytes);
            let opened = open(folder.path());
            assert_eq!(opened.journal.changelog_end(), end);
            opened.close().await;
            assert_eq!(values(folder.path()), [filled(1, 100), filled(2, 100)]);
        });
    }
}
