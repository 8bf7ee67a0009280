//! Signals that disagree, come too late, or come from somewhere else.

use super::support::*;
use expect_test::expect;

#[test]
fn a_completion_of_another_amount_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=100.01",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
        "#]],
    );
}

#[test]
fn amounts_agree_by_value_and_are_published_as_received() {
    story(
        minted(),
        careful(),
        "made created amount=100
         evt_1 completed amount=100.000",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.000 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn a_completion_in_another_currency_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed currency=USD",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (currency_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
        "#]],
    );
}

#[test]
fn currencies_agree_in_any_case() {
    story(
        minted(),
        careful(),
        "made created currency=eur
         evt_1 completed currency=EUR",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn a_completion_of_another_flow_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed flow=swap",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (flow_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
        "#]],
    );
}

#[test]
fn a_payment_is_of_any_flow() {
    story(
        minted(),
        careful(),
        "made created flow=payment
         evt_1 completed flow=off_ramp",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn what_is_not_said_never_disagrees() {
    story(
        minted(),
        careful(),
        "made created amount=none currency=none flow=none
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn a_completion_that_says_nothing_of_money_is_of_what_was_agreed() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=none currency=none flow=none tx=none",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn what_cannot_be_read_cannot_agree() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=none unreadable",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (unreadable_terms) | 2: pending_session > review | outcome | alarm review | claim ses_1
        "#]],
    );
}

#[test]
fn an_adopted_attempt_is_held_to_what_was_said_first() {
    story(
        adopted(),
        careful(),
        "evt_1 completed amount=100.00
         evt_2 completed amount=7.00",
        expect![[r#"
            evt_1   applied      fulfilled ses_1 tx_1 | 1: nothing > fulfilled | fulfill 100.00 EUR by webhook | outcome
            evt_2   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
        "#]],
    );
}

#[test]
fn a_completion_before_our_own_created_is_for_a_person() {
    story(
        minted(),
        careful(),
        "evt_1 completed
         made created
         word fulfill",
        expect![[r#"
            evt_1   applied      review ses_1 (before_created) | 1: nothing > review | outcome | alarm review | claim ses_1
            made    applied      review ses_1 (before_created)
            word    applied      fulfilled ses_1 tx_1 | 2: review > fulfilled | fulfill 100.00 EUR by operator | outcome
        "#]],
    );
}

#[test]
fn a_completion_that_names_no_session_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed session=none",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review (no_session) | 2: pending_session > review | outcome | alarm review
        "#]],
    );
}

#[test]
fn a_completion_of_another_session_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created
         evt_2 completed session=ses_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            evt_2   applied      review ses_1 (foreign_session) | 3: requires_action > review | outcome | alarm review
        "#]],
    );
}

#[test]
fn a_completion_of_another_session_after_the_success_is_a_second_payment() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed tx=none
         evt_2 completed session=ses_2 tx=none",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   second_payment fulfilled ses_1 | 3: fulfilled > fulfilled | alarm second_payment
        "#]],
    );
}

#[test]
fn a_second_payment_during_a_review_is_heard_of() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=1.00
         evt_2 completed
         evt_3 completed tx=tx_2
         evt_4 completed session=ses_2
         word fulfill",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            evt_2   nothing_new  review ses_1 (amount_mismatch)
            evt_3   second_payment review ses_1 (amount_mismatch) | 3: review > review | alarm second_payment
            evt_4   second_payment review ses_1 (amount_mismatch) | 4: review > review | alarm second_payment
            word    applied      fulfilled ses_1 tx_1 | 5: review > fulfilled | fulfill 1.00 EUR by operator | outcome
        "#]],
    );
}

#[test]
fn another_event_of_another_session_moves_nothing() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created
         evt_2 processing session=ses_2
         evt_3 failed session=ses_2
         ours attached session=ses_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            evt_2   foreign_session requires_action ses_1 | 3: requires_action > requires_action | alarm foreign_session
            evt_3   foreign_session requires_action ses_1 | 4: requires_action > requires_action | alarm foreign_session
            ours    foreign_session requires_action ses_1 | 5: requires_action > requires_action | alarm foreign_session
        "#]],
    );
}

#[test]
fn an_answer_about_a_session_let_go_is_merely_late() {
    story(
        minted(),
        careful(),
        "made created
         ours attached
         home granted session=ses_2
         late refused session=ses_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            ours    applied      pending_session ses_1 | claim ses_1
            home    overtaken    pending_session ses_1
            late    overtaken    pending_session ses_1
        "#]],
    );
}

#[test]
fn an_event_through_another_endpoint_moves_nothing_not_even_a_completion() {
    story(
        minted(),
        careful(),
        "made created endpoint=shop
         evt_1 session_created endpoint=mall
         evt_2 completed endpoint=mall
         evt_3 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   foreign_endpoint pending_session | 2: pending_session > pending_session | alarm foreign_endpoint
            evt_2   foreign_endpoint pending_session | 3: pending_session > pending_session | alarm foreign_endpoint
            evt_3   applied      fulfilled ses_1 tx_1 | 4: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn the_endpoint_of_the_first_webhook_is_the_attempts_own() {
    story(
        adopted(),
        careful(),
        "evt_1 session_created endpoint=mall
         evt_2 completed endpoint=shop",
        expect![[r#"
            evt_1   applied      requires_action ses_1 | 1: nothing > requires_action
            evt_2   foreign_endpoint requires_action ses_1 | 2: requires_action > requires_action | alarm foreign_endpoint
        "#]],
    );
}

#[test]
fn the_same_completion_through_the_right_endpoint_is_not_a_duplicate() {
    story(
        minted(),
        careful(),
        "made created endpoint=shop
         evt_1 completed endpoint=mall
         evt_1 completed endpoint=mall
         evt_1 completed endpoint=shop
         evt_1 completed endpoint=mall",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   foreign_endpoint pending_session | 2: pending_session > pending_session | alarm foreign_endpoint
            evt_1   duplicate    pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 3: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_1   duplicate    fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn one_event_id_with_two_bodies_keeps_the_first() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 failed
         evt_1 completed bytes=other
         evt_1 completed bytes=other
         evt_1 failed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      failed ses_1 | 2: pending_session > failed | outcome | claim ses_1
            evt_1   event_id_conflict failed ses_1 | 3: failed > failed | dead letter: event_id_conflict | alarm event_id_conflict
            evt_1   duplicate    failed ses_1
            evt_1   duplicate    failed ses_1
        "#]],
    );
}

/// What had no effect holds no id: else whoever has the secret of another endpoint, or a copy that
/// came late, could keep the proper one out.
#[test]
fn a_copy_that_was_not_heeded_keeps_no_other_body_of_its_id_out() {
    story(
        minted(),
        can_ask(),
        "made created endpoint=shop
         evt_1 completed endpoint=mall bytes=respelled
         evt_1 completed out_of_time bytes=late
         evt_1 completed
         evt_1 completed endpoint=mall bytes=respelled
         evt_1 completed bytes=respelled
         evt_1 completed bytes=respelled",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   foreign_endpoint pending_session | 2: pending_session > pending_session | alarm foreign_endpoint
            evt_1   out_of_time  pending_session | read ses_1
            evt_1   applied      fulfilled ses_1 tx_1 | 3: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_1   duplicate    fulfilled ses_1 tx_1
            evt_1   event_id_conflict fulfilled ses_1 tx_1 | 4: fulfilled > fulfilled | dead letter: event_id_conflict | alarm event_id_conflict
            evt_1   duplicate    fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_reading_and_a_webhook_of_one_id_are_two_signals() {
    story(
        minted(),
        careful(),
        "made created
         same attached
         evt_same processing
         read_same still_open",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            same    applied      pending_session ses_1 | claim ses_1
            evt_same applied      processing ses_1 | 2: pending_session > processing
            read_same nothing_new  processing ses_1
        "#]],
    );
}
