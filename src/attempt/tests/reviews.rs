//! What comes out of time, and what only a person can decide.

use super::support::*;
use expect_test::expect;

#[test]
fn out_of_time_without_anyone_to_ask_a_completion_is_for_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 processing out_of_time
         evt_2 completed out_of_time
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   out_of_time  pending_session
            evt_2   applied      review ses_1 (out_of_time) | 2: pending_session > review | outcome | alarm review | claim ses_1
            evt_2   duplicate    review ses_1 (out_of_time)
        "#]],
    );
}

#[test]
fn out_of_time_with_someone_to_ask_a_reading_decides() {
    story(
        minted(),
        can_ask(),
        "made created
         evt_1 completed out_of_time
         evt_1 completed out_of_time
         read_1 completed
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   out_of_time  pending_session | read ses_1
            evt_1   duplicate    pending_session
            read_1  applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by reading | outcome | claim ses_1
            evt_1   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
        "#]],
    );
}

#[test]
fn the_timely_copy_of_an_event_says_it_properly() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 processing out_of_time
         evt_1 processing
         evt_1 processing out_of_time",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   out_of_time  pending_session
            evt_1   applied      processing ses_1 | 2: pending_session > processing | claim ses_1
            evt_1   duplicate    processing ses_1
        "#]],
    );
}

#[test]
fn the_timely_copy_of_a_completion_fulfills() {
    story(
        minted(),
        can_ask(),
        "made created
         evt_1 completed out_of_time
         evt_1 completed
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   out_of_time  pending_session | read ses_1
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_1   duplicate    fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_timely_copy_through_another_endpoint_is_not_the_proper_one() {
    story(
        minted(),
        can_ask(),
        "made created endpoint=shop
         evt_1 completed out_of_time
         evt_1 completed endpoint=mall
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   out_of_time  pending_session | read ses_1
            evt_1   duplicate    pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
        "#]],
    );
}

#[test]
fn an_operator_fulfills_what_the_completion_said() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=99.00
         word fulfill
         more fulfill",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            word    applied      fulfilled ses_1 tx_1 | 3: review > fulfilled | fulfill 99.00 EUR by operator | outcome
            more    not_in_review fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_transaction_may_be_named_during_the_review() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=99.00 tx=none
         evt_2 completed amount=99.00
         evt_3 completed tx=tx_2
         word fulfill
         evt_4 completed tx=tx_3",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            evt_2   nothing_new  review ses_1 (amount_mismatch)
            evt_3   second_payment review ses_1 (amount_mismatch) | 3: review > review | alarm second_payment
            word    applied      fulfilled ses_1 tx_1 | 4: review > fulfilled | fulfill 99.00 EUR by operator | outcome
            evt_4   second_payment fulfilled ses_1 tx_1 | 5: fulfilled > fulfilled | alarm second_payment
        "#]],
    );
}

#[test]
fn what_was_fulfilled_against_our_terms_is_told_from_another_payment_by_its_own() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed tx=none amount=99.00 flow=swap
         evt_2 completed tx=tx_2
         alice fulfill
         evt_3 completed tx=tx_2
         evt_4 completed tx=tx_1 amount=99.00 flow=swap",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            evt_2   second_payment review ses_1 (amount_mismatch) | 3: review > review | alarm second_payment
            alice   applied      fulfilled ses_1 | 4: review > fulfilled | fulfill 99.00 EUR by operator | outcome
            evt_3   second_payment fulfilled ses_1 | 5: fulfilled > fulfilled | alarm second_payment
            evt_4   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
        "#]],
    );
}

#[test]
fn a_completion_that_names_no_session_is_of_our_own() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created
         evt_2 completed session=none tx=none amount=99.00
         evt_3 completed session=ses_2 tx=tx_2
         evt_4 completed amount=99.00",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            evt_2   applied      review ses_1 (amount_mismatch) | 3: requires_action > review | outcome | alarm review
            evt_3   second_payment review ses_1 (amount_mismatch) | 4: review > review | alarm second_payment
            evt_4   nothing_new  review ses_1 (amount_mismatch)
        "#]],
    );
}

#[test]
fn an_operator_closes_a_review_back_to_where_it_came_from() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 failed reason=card_declined
         evt_2 completed
         word close",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      failed ses_1 (card_declined) | 2: pending_session > failed | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: failed > review | outcome | alarm late_completion | alarm review
            word    applied      failed ses_1 (card_declined) | 4: review > failed | outcome
        "#]],
    );
}

#[test]
fn a_closed_review_of_an_expired_attempt_is_expired() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 expired
         evt_2 completed
         word close",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      expired ses_1 | 2: pending_session > expired | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: expired > review | outcome | alarm late_completion | alarm review
            word    applied      expired ses_1 | 4: review > expired | outcome
        "#]],
    );
}

#[test]
fn a_closed_review_of_a_cancelled_attempt_is_cancelled() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 cancelled
         evt_2 completed
         word close",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      cancelled ses_1 | 2: pending_session > cancelled | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review
            word    applied      cancelled ses_1 | 4: review > cancelled | outcome
        "#]],
    );
}

#[test]
fn a_closed_review_of_an_open_attempt_is_cancelled() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=99.00
         word close
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            word    applied      cancelled ses_1 | 3: review > cancelled | outcome
            evt_2   applied      review ses_1 (late_completion) | 4: cancelled > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn an_operator_who_saw_something_else_decides_nothing() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=99.00
         word fulfill saw=1
         evt_2 completed tx=tx_2
         slow fulfill saw=2
         next fulfill saw=3",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            word    decision_outdated review ses_1 (amount_mismatch)
            evt_2   second_payment review ses_1 (amount_mismatch) | 3: review > review | alarm second_payment
            slow    decision_outdated review ses_1 (amount_mismatch)
            next    applied      fulfilled ses_1 tx_1 | 4: review > fulfilled | fulfill 99.00 EUR by operator | outcome
        "#]],
    );
}

#[test]
fn a_decision_outside_a_review_is_nothing() {
    story(
        minted(),
        careful(),
        "made created
         word fulfill
         evt_1 expired
         more close",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            word    not_in_review pending_session
            evt_1   applied      expired ses_1 | 2: pending_session > expired | outcome | claim ses_1
            more    not_in_review expired ses_1
        "#]],
    );
}

#[test]
fn nothing_but_a_persons_word_ends_a_review() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed amount=99.00
         evt_2 failed
         evt_3 expired
         evt_4 cancelled
         stop cancel
         web returned
         evt_5 processing
         made_2 created",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      review ses_1 (amount_mismatch) | 2: pending_session > review | outcome | alarm review | claim ses_1
            evt_2   overtaken    review ses_1 (amount_mismatch)
            evt_3   overtaken    review ses_1 (amount_mismatch)
            evt_4   overtaken    review ses_1 (amount_mismatch)
            stop    overtaken    review ses_1 (amount_mismatch)
            web     nothing_new  review ses_1 (amount_mismatch)
            evt_5   overtaken    review ses_1 (amount_mismatch)
            made_2  nothing_new  review ses_1 (amount_mismatch)
        "#]],
    );
}

#[test]
fn a_closed_review_keeps_the_session_that_it_brought() {
    story(
        minted(),
        careful(),
        "made created
         stop cancel
         evt_1 completed
         word close
         evt_2 completed session=ses_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            stop    applied      cancelled | 2: pending_session > cancelled | outcome
            evt_1   applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review | claim ses_1
            word    applied      cancelled ses_1 | 4: review > cancelled | outcome
            evt_2   applied      review ses_1 (foreign_session) | 5: cancelled > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}
