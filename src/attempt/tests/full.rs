//! A record that has taken all the signals it may.

use super::support::*;
use crate::attempt::*;
use expect_test::expect;

/// The attempt after the story and as many unknown events as still fit.
fn full(attempt: Attempt, policy: Policy, script: &str) -> Attempt {
    let attempt = after(attempt, policy, script);
    let room = EVIDENCE_MAX - attempt.evidence.entries().len();
    let rest: String = (1..=room).map(|n| format!("evt_{n} unknown\n")).collect();
    let attempt = after(attempt, policy, &rest);
    assert_eq!(attempt.evidence.entries().len(), EVIDENCE_MAX);
    attempt
}

#[test]
fn after_256_signals_the_next_is_a_dead_letter() {
    story(
        full(minted(), careful(), "made created"),
        careful(),
        "evt_x processing
         evt_y failed
         evt_1 unknown",
        expect![[r#"
            evt_x   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
            evt_y   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
            evt_1   duplicate    pending_session
        "#]],
    );
}

#[test]
fn the_first_completion_passes_a_full_record() {
    story(
        full(minted(), careful(), "made created"),
        careful(),
        "evt_x completed
         evt_y completed tx=tx_2
         evt_x completed",
        expect![[r#"
            evt_x   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_y   evidence_full fulfilled ses_1 tx_1 | dead letter: evidence_full | alarm evidence_full
            evt_x   duplicate    fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_completion_that_was_not_heeded_is_not_the_first() {
    story(
        full(
            minted(),
            can_ask(),
            "made created endpoint=shop\nevt_a completed endpoint=mall\nevt_b completed out_of_time",
        ),
        can_ask(),
        "evt_x completed",
        expect![[r#"
            evt_x   applied      fulfilled ses_1 tx_1 | 3: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn a_completion_that_would_change_nothing_finds_no_room() {
    story(
        full(minted(), can_ask(), "made created endpoint=shop"),
        can_ask(),
        "evt_a completed endpoint=mall
         evt_b completed out_of_time
         evt_c completed",
        expect![[r#"
            evt_a   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
            evt_b   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
            evt_c   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn the_word_that_ends_a_review_passes_a_full_record() {
    story(
        full(minted(), careful(), "made created\nevt_a completed amount=1.00"),
        careful(),
        "slow fulfill saw=1
         word fulfill
         more fulfill",
        expect![[r#"
            slow    evidence_full review ses_1 (amount_mismatch) | dead letter: evidence_full | alarm evidence_full
            word    applied      fulfilled ses_1 tx_1 | 3: review > fulfilled | fulfill 1.00 EUR by operator | outcome
            more    evidence_full fulfilled ses_1 tx_1 | dead letter: evidence_full | alarm evidence_full
        "#]],
    );
}

#[test]
fn a_second_completion_after_a_closed_review_finds_no_room() {
    story(
        full(minted(), careful(), "made created\nevt_a completed amount=1.00\nword close"),
        careful(),
        "evt_x completed",
        expect![[r#"
            evt_x   evidence_full cancelled ses_1 | dead letter: evidence_full | alarm evidence_full
        "#]],
    );
}

#[test]
fn a_reading_that_says_nothing_new_needs_no_room() {
    story(
        full(minted(), can_ask(), "made created\nevt_a session_created"),
        can_ask(),
        "read_1 still_open",
        expect![[r#"
            read_1  nothing_new  requires_action ses_1
        "#]],
    );
}

#[test]
fn a_transaction_that_is_named_late_finds_no_room() {
    story(
        full(minted(), can_ask(), "made created\nevt_a completed tx=none"),
        can_ask(),
        "evt_x completed
         read_1 completed
         read_2 completed tx=none",
        expect![[r#"
            evt_x   evidence_full fulfilled ses_1 | dead letter: evidence_full | alarm evidence_full
            read_1  evidence_full fulfilled ses_1 | dead letter: evidence_full | alarm evidence_full
            read_2  nothing_new  fulfilled ses_1
        "#]],
    );
}

#[test]
fn the_timely_copy_needs_no_room_of_its_own() {
    story(
        full(minted(), can_ask(), "made created\nevt_a completed out_of_time"),
        can_ask(),
        "evt_a completed",
        expect![[r#"
            evt_a   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn a_conflict_finds_no_room_in_a_full_record() {
    story(
        full(minted(), careful(), "made created"),
        careful(),
        "evt_1 completed bytes=other
         evt_1 completed bytes=other",
        expect![[r#"
            evt_1   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
            evt_1   evidence_full pending_session | dead letter: evidence_full | alarm evidence_full
        "#]],
    );
}

#[test]
fn a_record_never_grows_past_its_bound_by_more_than_the_two_that_pass() {
    let filled = full(minted(), careful(), "made created");
    let closed = after(
        filled,
        careful(),
        "evt_x completed amount=1.00
         evt_y completed tx=tx_2
         word close
         evt_z completed
         more close",
    );
    assert_eq!(closed.evidence.entries().len(), EVIDENCE_MAX + 2);
}
