//! What somebody could have done to a journal, each under the invariant that it breaks. Every
//! frame has a checksum that holds, and every rolling hash is made right again.

use super::clean::{conserves, give_key, run};
use super::forged::{ForgedFrame, Journal, Output, Run, resealed};
use super::{audit, history};
use std::fs;
use tidegate::attempt::{Attempt, Evidence, Home, LateCompletion, Stale, Verdict};
use tidegate::audit::{Extent, Invariant, Report};
use tidegate::wire::Topic;
use tidegate::wire::signal::{HopTo, SignalRecord};
use tidegate::wire::state::{decode_home, encode_home};

fn audited(journal: &Journal) -> Report {
    let folder = history::journal();
    journal.write(folder.path());
    audit(folder.path()).unwrap()
}

/// What an audit says of a journal in which somebody has changed something with care.
fn planted(change: impl FnOnce(&mut Journal)) -> Report {
    let mut journal = Journal::read(history::journal().path());
    change(&mut journal);
    journal.rehash();
    audited(&journal)
}

#[track_caller]
fn breaks(invariant: Invariant, change: impl FnOnce(&mut Journal)) -> Report {
    let report = planted(change);
    assert!(report.broken(invariant) > 0, "{invariant:?} in {:#?}", report.violations);
    report
}

/// As [`breaks`], and the witness names the attempt.
#[track_caller]
fn breaks_of(invariant: Invariant, attempt: &str, change: impl FnOnce(&mut Journal)) {
    let report = breaks(invariant, change);
    let of = |id: &Option<String>| id.as_deref() == Some(attempt);
    let found = report.violations.iter().any(|it| it.invariant == invariant && of(&it.attempt));
    assert!(found, "{:#?}", report.violations);
}

fn id(id: &'static str) -> impl Fn(&Output) -> bool {
    move |output| output.id == id
}

fn key(key: &'static str) -> impl Fn(&Output) -> bool {
    move |output| output.key == key
}

fn body(part: &'static str) -> impl Fn(&SignalRecord) -> bool {
    move |record| String::from_utf8_lossy(&record.value).contains(part)
}

/// Puts an output of a topic into the part that holds the transition `beside`.
fn put_beside(journal: &mut Journal, beside: &'static str, topic: Topic, output: Output) {
    let (frame, run, _) = journal.find(Topic::Transitions, id(beside));
    let Run::Outputs { partition, .. } = journal.frames[frame].runs[run] else { return };
    let outputs = Run::Outputs { topic, partition, records: vec![output] };
    journal.frames[frame].runs.insert(run, outputs);
}

fn change_attempt(journal: &mut Journal, of: &'static str, change: impl FnOnce(&mut Attempt)) {
    let output = journal.output(Topic::Attempts, key(of));
    let Ok(Home::Adopted(mut attempt)) = decode_home(&output.value) else {
        panic!("{of} is no adopted attempt")
    };
    change(&mut attempt);
    output.value = vec![];
    encode_home(&Home::Adopted(attempt), &mut output.value);
}

/// The last frame's signals get one more at the end of a partition.
fn append(journal: &mut Journal, record: SignalRecord, partition: u32) {
    let runs = journal.frames.iter().flat_map(|frame| &frame.runs);
    let next = runs
        .filter_map(|run| match run {
            Run::Signals { partition: at, base, records } if *at == partition => {
                Some(base + records.len() as u64)
            }
            Run::Signals { .. } | Run::Outputs { .. } => None,
        })
        .max();
    let signals = Run::Signals { partition, base: next.unwrap_or(0), records: vec![record] };
    let at = journal.frames.last().unwrap().at;
    journal.frames.push(ForgedFrame { at, runs: vec![signals] });
}

#[test]
fn a_second_fulfillment() {
    breaks_of(Invariant::OneFulfillment, "gs_1", |journal| {
        let again = journal.output(Topic::Fulfillments, key("gs_1")).clone();
        put_beside(journal, "gs_1.4", Topic::Fulfillments, again);
    });
    breaks_of(Invariant::OneFulfillment, "gs_1", |journal| {
        let (frame, run, record) = journal.find(Topic::Fulfillments, key("gs_1"));
        let outputs = journal.outputs(frame, run);
        outputs.push(outputs[record].clone());
    });
}

#[test]
fn a_fulfillment_without_a_completion() {
    breaks_of(Invariant::NoUnprovenFulfillment, "gs_failed", |journal| {
        let mut forged = journal.output(Topic::Fulfillments, key("gs_1")).clone();
        let value = String::from_utf8(forged.value).unwrap().replace("gs_1", "gs_failed");
        forged = Output { key: "gs_failed".to_owned(), value: value.into_bytes(), ..forged };
        put_beside(journal, "gs_failed.2", Topic::Fulfillments, forged);
    });
}

#[test]
fn a_fulfillment_of_another_amount() {
    breaks_of(Invariant::NoUnprovenFulfillment, "gs_1", |journal| {
        journal.output(Topic::Fulfillments, key("gs_1")).replace("100.00", "900.00");
    });
}

#[test]
fn a_fulfillment_that_names_another_proof() {
    for (from, to) in [("\"position\":\"", "\"position\":\"1"), ("sha256\":\"", "sha256\":\"0")] {
        breaks_of(Invariant::NoUnprovenFulfillment, "gs_late", |journal| {
            journal.output(Topic::Fulfillments, key("gs_late")).replace(from, to);
        });
    }
}

#[test]
fn a_missing_fulfillment() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        journal.remove(Topic::Fulfillments, key("gs_1"));
    });
}

#[test]
fn a_dropped_transition() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        journal.remove(Topic::Transitions, id("gs_1.2"));
    });
}

#[test]
fn an_altered_transition() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        let output = journal.output(Topic::Transitions, id("gs_1.2"));
        output.replace("\"to\":\"processing\"", "\"to\":\"requires_action\"");
    });
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        journal
            .output(Topic::Transitions, id("gs_1.2"))
            .replace("\"sequence\":2", "\"sequence\":7");
    });
}

#[test]
fn a_transition_out_of_fulfilled() {
    breaks_of(Invariant::TerminalAbsorbs, "gs_1", |journal| {
        let output = journal.output(Topic::Transitions, id("gs_1.4"));
        output.replace("\"to\":\"fulfilled\"", "\"to\":\"failed\"");
    });
}

#[test]
fn a_transition_out_of_an_end_without_a_completion() {
    breaks_of(Invariant::TerminalAbsorbs, "gs_late", |journal| {
        let output = journal.output(Topic::Transitions, id("gs_late.3"));
        output.replace("gate_session.completed", "gate_session.processing");
    });
}

#[test]
fn an_altered_state() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        change_attempt(journal, "s/gs_1", |attempt| attempt.duplicates += 1);
    });
    breaks_of(Invariant::Fold, "gs_failed", |journal| {
        change_attempt(journal, "s/gs_failed", |attempt| attempt.sequence += 1);
    });
}

#[test]
fn an_altered_verdict_in_the_evidence() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        change_attempt(journal, "s/gs_1", |attempt| {
            let mut entries = attempt.evidence.entries().to_vec();
            entries[0].verdict = Verdict::Stale(Stale::Overtaken);
            attempt.evidence = Evidence::from_entries(entries);
        });
    });
}

#[test]
fn a_state_from_the_future() {
    breaks_of(Invariant::Fold, "gs_1", |journal| {
        let states = journal.frames.iter().flat_map(|frame| &frame.runs);
        let newest = states
            .filter_map(|run| match run {
                Run::Outputs { topic: Topic::Attempts, records, .. } => Some(records),
                Run::Outputs { .. } | Run::Signals { .. } => None,
            })
            .flatten()
            .rfind(|output| output.key == "s/gs_1")
            .cloned()
            .unwrap();
        journal.output(Topic::Attempts, key("s/gs_1")).value = newest.value;
    });
}

#[test]
fn a_lost_waiting_signal() {
    breaks_of(Invariant::Fold, "gs_unclaimed", |journal| {
        journal.remove(Topic::Attempts, key("p/gs_unclaimed/0"));
    });
}

#[test]
fn a_count_that_is_one_more() {
    breaks(Invariant::Conservation, |journal| {
        journal.trailer(|it| it.counts.applied > 2, |it| it.counts.applied += 1);
    });
    breaks(Invariant::Fold, |journal| {
        let shift = |it: &mut tidegate::wire::trailer::Trailer| {
            it.counts.applied -= 1;
            it.counts.stale += 1;
        };
        journal.trailer(|it| it.counts.applied > 2, shift);
    });
}

#[test]
fn a_batch_that_was_taken_out() {
    let report = breaks(Invariant::Fenced, |journal| {
        let (frame, run, _) = journal.find(Topic::Transitions, id("gs_1.2"));
        let Run::Outputs { partition: of, .. } = journal.frames[frame].runs[run] else { return };
        journal.frames[frame]
            .runs
            .retain(|run| !matches!(run, Run::Outputs { partition, .. } if *partition == of));
    });
    assert!(report.broken(Invariant::Fold) > 0);
}

#[test]
fn a_batch_of_a_former_owner() {
    breaks(Invariant::Fenced, |journal| {
        journal.trailer(|it| it.epoch > 1, |it| it.epoch -= 1);
    });
    breaks(Invariant::Fenced, |journal| {
        journal.trailer(|it| it.epoch > 1, |it| it.writer = "somebody/0".to_owned());
    });
    breaks(Invariant::Fenced, |journal| {
        journal.owner(|it| it.epoch > 2, |it| it.epoch = 1);
    });
}

#[test]
fn an_owner_by_another_policy() {
    breaks_of(Invariant::TerminalAbsorbs, "gs_late", |journal| {
        for _partition in 0..super::world::PARTITIONS {
            let fulfills = LateCompletion::Fulfill;
            journal.owner(
                |it| it.policy.late_completion == fulfills,
                |it| it.policy.late_completion = LateCompletion::Review,
            );
        }
    });
}

#[test]
fn an_altered_signal() {
    breaks(Invariant::NoLostAck, |journal| {
        let signal = journal.signal(body("evt_2\""));
        let text = String::from_utf8(signal.value.to_vec()).unwrap();
        signal.value = text.replace("processing", "processinG").into_bytes().into();
    });
    breaks(Invariant::NoLostAck, |journal| {
        journal.signal(body("evt_2\"")).seal.mac[0] ^= 1;
    });
    breaks(Invariant::NoLostAck, |journal| {
        journal.signal(body("evt_93")).seal.mac[0] ^= 1;
    });
}

#[test]
fn another_body_under_a_seal_that_holds() {
    breaks_of(Invariant::NoUnprovenFulfillment, "gs_1", |journal| {
        let signal = journal.signal(body("evt_3\""));
        let text = String::from_utf8(signal.value.to_vec()).unwrap();
        *signal = resealed(signal, &text.replace("100.00", "100.01"));
    });
}

#[test]
fn a_signal_that_was_taken_out() {
    breaks(Invariant::NoLostAck, |journal| {
        let runs = journal.frames.iter_mut().flat_map(|frame| &mut frame.runs);
        let burst = runs.filter_map(|run| match run {
            Run::Signals { records, .. } if records.len() > 3 => Some(records),
            Run::Signals { .. } | Run::Outputs { .. } => None,
        });
        burst.take(1).for_each(|records| {
            records.pop();
        });
    });
}

/// Nothing is ever deleted, so that a journal without its beginning has lost it. What is left is
/// still proven.
#[test]
fn a_beginning_that_was_cut_away() {
    let folder = history::journal();
    let journal = Journal::read(folder.path());
    for part in [4, 2] {
        journal.write_from(folder.path(), journal.frames.len() / part);
        let report = audit(folder.path()).unwrap();
        let [missing] = report.violations.as_slice() else { panic!("{:#?}", report.violations) };
        assert_eq!(missing.invariant, Invariant::NoLostAck);
        let Extent::Log { from, .. } = report.extent else { panic!("{report:#?}") };
        let witness = format!("the log begins at {from}, and what stood before");
        assert!(missing.witness.starts_with(&witness), "{missing:?}");
        assert!(report.warnings[0].starts_with("the journal begins at"), "{:?}", report.warnings);
        conserves(&report);
    }
    give_key(folder.path());
    let (code, answer, _) = run(&["--data", folder.path().to_str().unwrap()]);
    assert_eq!(code, 1, "{answer}");
    assert!(answer.contains("VIOLATED  no-lost-ack:"), "{answer}");
}

#[test]
fn a_segment_that_is_gone() {
    let folder = history::journal();
    fs::remove_file(folder.path().join("journal/00000000000000000000.seg")).unwrap();
    let report = audit(folder.path()).unwrap();
    assert_eq!(report.broken(Invariant::NoLostAck), 1, "{:#?}", report.violations);
}

#[test]
fn a_copy_that_nobody_sent() {
    let report = breaks(Invariant::Fold, |journal| {
        let copy = journal.signal(|signal| signal.hop.is_some()).clone();
        append(journal, copy, 0);
    });
    assert!(report.broken(Invariant::Conservation) > 0, "{:#?}", report.violations);
}

#[test]
fn a_copy_that_was_lost() {
    for claims in [false, true] {
        let hopped = move |signal: &SignalRecord| match &signal.hop {
            Some(hop) => claims == matches!(hop.to, HopTo::Claim { .. }),
            None => false,
        };
        let report = breaks(Invariant::Fold, |journal| {
            let signal = journal.signal(hopped);
            *signal = SignalRecord { hop: None, ..resealed(signal, "something else") };
        });
        let lost = |it: &tidegate::audit::Violation| it.witness.contains("has not arrived");
        assert!(report.violations.iter().any(lost), "{:#?}", report.violations);
    }
}

#[test]
fn a_lost_dead_letter() {
    breaks(Invariant::Fold, |journal| {
        journal.remove(Topic::DeadLetters, key("event_id_conflict"));
    });
}

#[test]
fn an_altered_metric() {
    breaks_of(Invariant::Fold, "gs_failed", |journal| {
        let output = journal.output(Topic::Metrics, key("gs_failed"));
        output.replace("\"outcome\":\"failed\"", "\"outcome\":\"expired\"");
    });
    breaks(Invariant::Fold, |journal| {
        let summary = |output: &Output| output.value.starts_with(b"{\"metric\":\"partition_second");
        journal.output(Topic::Metrics, summary).replace("\"accepted\":", "\"accepted\":1");
    });
}

#[test]
fn an_altered_hash() {
    let mut journal = Journal::read(history::journal().path());
    journal.trailer(|it| it.next > 2, |it| it.hash ^= 1);
    let report = audited(&journal);
    assert!(report.broken(Invariant::Fold) > 0, "{:#?}", report.violations);
    assert!(report.violations[0].witness.contains("rolling hash"), "{:#?}", report.violations);
}

#[test]
fn outputs_without_a_trailer() {
    breaks_of(Invariant::Atomic, "gs_1", |journal| {
        let (frame, run, _) = journal.find(Topic::Attempts, key("s/gs_1"));
        let outputs = journal.outputs(frame, run);
        assert!(outputs.pop().is_some_and(|output| output.is_mark()));
    });
    breaks_of(Invariant::Atomic, "gs_1", |journal| {
        let mut again = journal.output(Topic::Transitions, id("gs_1.2")).clone();
        again.id = "gs_1.9".to_owned();
        let at = again.at;
        let runs =
            vec![Run::Outputs { topic: Topic::Transitions, partition: 0, records: vec![again] }];
        journal.frames.push(ForgedFrame { at, runs });
    });
}

#[test]
fn witnesses_are_bounded_and_the_rest_is_counted() {
    let report = planted(|journal| {
        for frame in &mut journal.frames {
            for run in &mut frame.runs {
                if let Run::Signals { records, .. } = run {
                    let sealed = records.iter_mut().skip(1);
                    sealed.for_each(|record| record.seal.mac[0] ^= 1);
                }
            }
        }
    });
    let shown = report.violations.iter().filter(|it| it.invariant == Invariant::NoLostAck).count();
    assert_eq!(shown, tidegate::audit::WITNESSES_MAX);
    assert!(report.broken(Invariant::NoLostAck) > shown as u64);
}
