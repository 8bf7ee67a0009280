use super::forged::{Journal, frames};
use super::world::{PARTITIONS, World, keys};
use super::{audit, history};
use clap::Parser;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tidegate::attempt::Mode;
use tidegate::attempt::Policy;
use tidegate::audit::{AuditError, Invariant, Report};
use tidegate::cli::{Cli, Command};
use tidegate::wire::seal::SigningKeys;

/// What a command line answers: its code, what it says, and why it says nothing.
pub fn run(line: &[&str]) -> (u8, String, String) {
    let cli = Cli::try_parse_from(["tidegate", "audit"].iter().chain(line)).unwrap();
    let Command::Audit(args) = &cli.command else { panic!("this is an audit") };
    let (mut out, mut told) = (vec![], vec![]);
    let code = tidegate::cli::audit::run(args, [], &mut out, &mut told).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(told).unwrap())
}

/// Puts the test's own key where `dev` keeps one.
pub fn give_key(root: &Path) {
    give(root, "07");
}

fn give(root: &Path, byte: &str) {
    use std::os::unix::fs::PermissionsExt;
    let file = root.join("signing.key");
    fs::write(&file, byte.repeat(32)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn conserves(report: &Report) {
    let counts = &report.counts;
    let became = counts.applied + counts.duplicate + counts.stale + counts.contradiction;
    let rest = counts.parked() + counts.dead_lettered + report.in_flight;
    assert_eq!(counts.accepted, became + rest);
    assert_eq!(counts.accepted, counts.by_kind.iter().sum::<u64>());
}

#[test]
fn a_mixed_history_over_many_lives_is_clean() {
    let folder = history::journal();
    let report = audit(folder.path()).unwrap();
    assert_eq!(report.violations, []);
    conserves(&report);
    let counts = &report.counts;
    assert_eq!(report.fulfillments, 20 + 1 + 1 + 1 + 2 + 1, "all that were paid, each once");
    for (name, count) in [
        ("applied", counts.applied),
        ("duplicate", counts.duplicate),
        ("stale", counts.stale),
        ("contradiction", counts.contradiction),
        ("parked", counts.parked()),
        ("dead-lettered", counts.dead_lettered),
        ("sent on", counts.forwarded_out),
        ("released", counts.parked_out),
        ("in flight", report.in_flight),
        ("readings", counts.by_kind[1]),
        ("commands", counts.by_kind[2]),
    ] {
        assert!(count > 0, "the history has none that were {name}");
    }
}

#[test]
fn an_audit_beside_a_running_process_is_clean_and_takes_no_lock() {
    let folder = history::journal();
    let root = folder.path().to_owned();
    actix_rt::System::new().block_on(async {
        let world = World::start(&root, Policy::default()).await;
        for n in 0..20 {
            let id = format!("evt_beside_{n}");
            world.webhook(&id, "gate_session.completed", &format!("gs_beside_{n}"), &[]).await;
            let beside = root.clone();
            let report = tokio::task::spawn_blocking(move || audit(&beside)).await.unwrap();
            assert_eq!(report.unwrap().violations, []);
        }
        world.stop().await;
    });
    assert_eq!(audit(&root).unwrap().fulfillments, 26 + 20);
}

#[test]
fn what_is_rewritten_unchanged_is_clean() {
    let folder = history::journal();
    let mut journal = Journal::read(folder.path());
    journal.rehash();
    journal.write(folder.path());
    assert_eq!(audit(folder.path()).unwrap().violations, []);
}

#[test]
fn a_program_is_told_in_the_agreed_form() {
    let folder = history::journal();
    give_key(folder.path());
    let (code, answer, told) = run(&["--data", folder.path().to_str().unwrap(), "-o", "json"]);
    assert_eq!((code, told.as_str()), (0, ""), "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["clean"], true);
    assert_eq!(answer["fulfillments"], 26);
    assert_eq!(answer["violations"], serde_json::json!([]));
    for name in [
        "attempts",
        "accepted",
        "applied",
        "duplicate",
        "stale",
        "contradiction",
        "parked",
        "dead_lettered",
        "in_flight",
    ] {
        assert!(answer[name].as_u64().is_some_and(|count| count > 0), "{name}: {answer}");
    }
    let by_kind = answer["by_kind"].as_object().unwrap();
    let by_kind: u64 = by_kind.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(answer["accepted"], by_kind);
}

#[test]
fn a_person_is_told_what_holds_and_what_to_do_where_it_does_not() {
    let folder = history::journal();
    let root = folder.path();
    give_key(root);
    let (code, answer, _) = run(&["--data", root.to_str().unwrap()]);
    assert_eq!(code, 0);
    for invariant in Invariant::IN_THE_JOURNAL {
        assert!(answer.contains(&format!("holds     {}:", invariant.word())), "{answer}");
    }
    assert!(answer.ends_with("The journal holds.\n"), "{answer}");

    let mut journal = Journal::read(root);
    journal.signal(|signal| signal.value.starts_with(b"{")).value = b"{}".as_slice().into();
    journal.write(root);
    let (code, answer, _) = run(&["--data", root.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(answer.contains("VIOLATED  no-lost-ack:"), "{answer}");
    assert!(answer.contains("          do: compare with 0Gate's delivery log"), "{answer}");
}

#[test]
fn nothing_is_not_clean() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (code, answer, told) = run(&["--data", root.join("none").to_str().unwrap()]);
    assert_eq!((code, answer.as_str()), (2, ""));
    assert!(told.contains("there is no folder"), "{told}");

    let (code, answer, told) = run(&["--data", root.to_str().unwrap(), "-o", "json"]);
    assert_eq!((code, answer.as_str()), (2, ""));
    assert!(told.contains("there is no journal in"), "{told}");
    assert!(matches!(audit(root), Err(AuditError::NoJournal { .. })));

    drop(
        tidegate::adapters::embedded::DataFolder::take(
            root,
            Some(PARTITIONS),
            1,
            &keys(),
            Mode::Test,
        )
        .unwrap(),
    );
    assert!(matches!(audit(root), Err(AuditError::Empty { .. })));
    let (code, _, told) = run(&["--data", root.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(told.contains("signing.key is missing"), "{told}");
    give_key(root);
    let (code, _, told) = run(&["--data", root.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(told.contains("empty: there is nothing to prove"), "{told}");
}

#[test]
fn with_other_keys_there_is_no_verdict() {
    let folder = history::journal();
    let keys = SigningKeys::new([[8_u8; 32].as_slice()]).unwrap();
    let refused = tidegate::audit::audit(folder.path(), &keys, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, AuditError::OtherKeys { .. }), "{refused}");

    give(folder.path(), "08");
    let (code, _, told) = run(&["--data", folder.path().to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(told.contains("was made with another signing key"), "{told}");
    assert!(told.contains("put the key back"), "{told}");
}

#[test]
fn keys_that_came_later_do_not_disturb_what_older_ones_sealed() {
    let folder = history::journal();
    let rotated = SigningKeys::new([[7_u8; 32].as_slice(), [8_u8; 32].as_slice()]).unwrap();
    let report = tidegate::audit::audit(folder.path(), &rotated, &mut |_| {}).unwrap();
    assert_eq!(report.violations, []);
    assert_eq!(report, tidegate::audit::audit(folder.path(), &keys(), &mut |_| {}).unwrap());
}

/// Whichever byte of a frame is turned: there is no verdict, or a bad one, and never a good one.
#[test]
fn a_turned_byte_anywhere_is_never_clean() {
    let folder = history::journal();
    Journal::read(folder.path()).write(folder.path());
    let frames = frames(folder.path());
    let segment = folder.path().join("journal/00000000000000000000.seg");
    let whole = fs::read(&segment).unwrap();
    let last = frames.len() - 1;
    for at in [0, 1, last / 2, last - 1, last] {
        let (begin, end) = (frames[at].header.lsn as usize, frames[at].end() as usize);
        for byte in [0, 4, 8, 12, 16, 24, 32, 40, (end - begin) / 2, end - begin - 9] {
            let mut turned = whole.clone();
            turned[begin + byte] ^= 0x55;
            fs::write(&segment, &turned).unwrap();
            match audit(folder.path()) {
                Err(AuditError::Damaged { lsn, .. }) => assert_eq!(lsn, begin as u64),
                Err(other) => panic!("byte {byte} of frame {at}: {other}"),
                Ok(report) => panic!("byte {byte} of frame {at} of {last}: {report:?}"),
            }
        }
    }
}

/// Although a snapshot says how far the log once went: it does not end where it is damaged.
#[test]
fn damage_in_the_middle_is_not_taken_for_the_end() {
    let folder = history::journal();
    let middle = frames(folder.path()).swap_remove(3).header.lsn;
    let segment = folder.path().join("journal/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[middle as usize + 24] ^= 0x55;
    fs::write(&segment, &bytes).unwrap();
    give_key(folder.path());
    let (code, answer, told) = run(&["--data", folder.path().to_str().unwrap()]);
    assert_eq!((code, answer.as_str()), (2, ""));
    let (at, file) =
        (format!("the log is damaged at {middle}, byte {middle} of"), segment.display());
    assert!(told.contains(&format!("{at} {file}")), "{told}");
    assert!(told.contains("what lies behind could not be judged"), "{told}");
}

#[test]
fn a_write_that_was_cut_short_is_a_note_and_no_damage() {
    let folder = history::journal();
    Journal::read(folder.path()).write(folder.path());
    let segment = folder.path().join("journal/00000000000000000000.seg");
    let whole = fs::read(&segment).unwrap();
    let last = frames(folder.path()).pop().unwrap();
    let begin = last.header.lsn as usize;
    let mut cut = whole;
    cut[begin + 60..].fill(0);
    cut.resize(cut.len() + 4096, 0);
    fs::write(&segment, &cut).unwrap();
    let report = audit(folder.path()).unwrap();
    assert_eq!(report.violations, []);
    assert!(report.warnings[0].contains("of an unfinished frame"), "{:?}", report.warnings);
}
