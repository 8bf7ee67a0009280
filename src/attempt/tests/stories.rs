//! What becomes of one attempt, told in its own order.

use super::support::*;
use expect_test::expect;

#[test]
fn a_payment_goes_its_ordinary_way() {
    story(
        minted(),
        careful(),
        "made created
         ours attached
         home granted
         evt_1 session_created
         evt_2 kyc
         web returned
         evt_3 processing
         evt_4 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            ours    applied      pending_session ses_1 | claim ses_1
            home    applied      requires_action ses_1 | 2: pending_session > requires_action
            evt_1   nothing_new  requires_action ses_1
            evt_2   nothing_new  requires_action ses_1
            web     applied      processing ses_1 | 3: requires_action > processing
            evt_3   nothing_new  processing ses_1
            evt_4   applied      fulfilled ses_1 tx_1 | 4: processing > fulfilled | fulfill 100.00 EUR by webhook | outcome
        "#]],
    );
}

#[test]
fn a_success_delivered_twice_is_fulfilled_once() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_1   duplicate    fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_success_under_another_event_id_is_fulfilled_once() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed
         evt_2 completed
         evt_3 completed tx=none
         read_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
            evt_3   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
            read_1  nothing_new  fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn another_transaction_is_a_second_payment_and_never_a_second_fulfillment() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed
         evt_2 completed tx=tx_2
         read_1 completed tx=tx_3",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   second_payment fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm second_payment
            read_1  second_payment fulfilled ses_1 tx_1 | 4: fulfilled > fulfilled | alarm second_payment
        "#]],
    );
}

#[test]
fn a_transaction_may_be_named_after_the_fulfillment() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed tx=none
         evt_2 completed
         evt_3 completed tx=none
         evt_4 completed tx=tx_2
         read_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
            evt_3   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
            evt_4   second_payment fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm second_payment
            read_1  nothing_new  fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn other_terms_do_not_name_the_transaction_of_a_payment_but_another_payment() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed tx=none
         evt_2 completed tx=tx_2 amount=1.00
         evt_3 completed tx=none amount=1.00
         evt_4 completed tx=tx_1
         evt_5 completed tx=tx_2 amount=1.00",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   second_payment fulfilled ses_1 | 3: fulfilled > fulfilled | alarm second_payment
            evt_3   duplicate_fulfillment_blocked fulfilled ses_1 | alarm duplicate_fulfillment_blocked
            evt_4   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
            evt_5   second_payment fulfilled ses_1 tx_1 | 4: fulfilled > fulfilled | alarm second_payment
        "#]],
    );
}

#[test]
fn a_payment_that_nobody_had_agreed_on_is_known_by_what_it_was_for() {
    story(
        minted(),
        careful(),
        "made created amount=none currency=none flow=none
         evt_1 completed tx=none
         evt_2 completed tx=tx_2 currency=USD
         evt_3 completed tx=tx_2 flow=off_ramp
         evt_4 completed tx=tx_1",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   second_payment fulfilled ses_1 | 3: fulfilled > fulfilled | alarm second_payment
            evt_3   second_payment fulfilled ses_1 | 4: fulfilled > fulfilled | alarm second_payment
            evt_4   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
        "#]],
    );
}

#[test]
fn a_reading_may_name_the_transaction_and_is_then_kept() {
    story(
        minted(),
        can_ask(),
        "made created
         evt_1 completed tx=none
         read_1 completed tx=none
         read_2 completed
         read_2 completed
         evt_2 completed tx=tx_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            read_1  nothing_new  fulfilled ses_1
            read_2  nothing_new  fulfilled ses_1 tx_1
            read_2  duplicate    fulfilled ses_1 tx_1
            evt_2   second_payment fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm second_payment
        "#]],
    );
}

#[test]
fn a_webhook_may_overtake_our_own_record_of_the_session() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created
         ours attached
         home granted",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            ours    nothing_new  requires_action ses_1
            home    nothing_new  requires_action ses_1
        "#]],
    );
}

#[test]
fn even_the_completion_may_overtake_our_own_record_of_the_session() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed
         ours attached
         home granted",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            ours    overtaken    fulfilled ses_1 tx_1
            home    nothing_new  fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn news_that_arrives_after_the_success_is_old() {
    story(
        minted(),
        careful(),
        "made created
         evt_4 completed
         evt_3 processing
         evt_2 kyc
         evt_1 session_created
         web returned
         stop cancel
         read_1 still_open",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_4   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_3   overtaken    fulfilled ses_1 tx_1
            evt_2   overtaken    fulfilled ses_1 tx_1
            evt_1   overtaken    fulfilled ses_1 tx_1
            web     nothing_new  fulfilled ses_1 tx_1
            stop    overtaken    fulfilled ses_1 tx_1
            read_1  nothing_new  fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn the_browser_says_success_and_is_believed_at_most_half() {
    story(
        minted(),
        careful(),
        "made created
         web returned
         evt_1 session_created
         web_2 returned
         web_3 returned",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            web     nothing_new  pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            web_2   applied      processing ses_1 | 3: requires_action > processing
            web_3   nothing_new  processing ses_1
        "#]],
    );
}

#[test]
fn a_closed_widget_changes_nothing() {
    story(
        minted(),
        careful(),
        "made created
         web_1 left
         evt_1 session_created
         web_2 left
         evt_2 processing
         web_3 left
         evt_3 completed
         web_4 left",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            web_1   nothing_new  pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            web_2   nothing_new  requires_action ses_1
            evt_2   applied      processing ses_1 | 3: requires_action > processing
            web_3   nothing_new  processing ses_1
            evt_3   applied      fulfilled ses_1 tx_1 | 4: processing > fulfilled | fulfill 100.00 EUR by webhook | outcome
            web_4   nothing_new  fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn a_reading_fulfills_through_the_same_gate() {
    story(
        minted(),
        can_ask(),
        "made created
         ours attached
         read_1 completed
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            ours    applied      pending_session ses_1 | claim ses_1
            read_1  applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by reading | outcome
            evt_1   duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
        "#]],
    );
}

#[test]
fn readings_that_say_nothing_new_are_only_counted() {
    story(
        minted(),
        can_ask(),
        "made created
         evt_1 session_created
         read_1 still_open
         read_2 still_open
         read_2 still_open",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            read_1  nothing_new  requires_action ses_1
            read_2  nothing_new  requires_action ses_1
            read_2  nothing_new  requires_action ses_1
        "#]],
    );
}

#[test]
fn a_type_that_nobody_knows_is_recorded_and_moves_nothing() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 unknown
         evt_1 unknown
         evt_2 session_created
         evt_3 unknown",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   unknown_type pending_session
            evt_1   duplicate    pending_session
            evt_2   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            evt_3   unknown_type requires_action ses_1
        "#]],
    );
}

#[test]
fn the_session_that_we_made_is_ours_once_its_home_agrees() {
    story(
        minted(),
        careful(),
        "made created
         ours attached
         home granted",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            ours    applied      pending_session ses_1 | claim ses_1
            home    applied      requires_action ses_1 | 2: pending_session > requires_action
        "#]],
    );
}

#[test]
fn a_refused_claim_frees_the_reservation_and_is_heard_of() {
    story(
        minted(),
        careful(),
        "made created
         ours attached
         home refused
         more attached session=ses_2
         late refused
         yes_2 granted session=ses_2",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            ours    applied      pending_session ses_1 | claim ses_1
            home    session_held pending_session | 2: pending_session > pending_session | alarm session_held
            more    applied      pending_session ses_2 | claim ses_2
            late    overtaken    pending_session ses_2
            yes_2   applied      requires_action ses_2 | 3: pending_session > requires_action
        "#]],
    );
}

#[test]
fn a_refusal_of_a_session_in_use_moves_nothing() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created
         home refused",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
            home    session_held requires_action ses_1 | 3: requires_action > requires_action | alarm session_held
        "#]],
    );
}

#[test]
fn a_session_attached_after_a_cancel_is_still_claimed() {
    story(
        minted(),
        careful(),
        "made created
         stop cancel
         ours attached
         home granted
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            stop    applied      cancelled | 2: pending_session > cancelled | outcome
            ours    applied      cancelled ses_1 | claim ses_1
            home    nothing_new  cancelled ses_1
            evt_1   applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn created_twice_with_the_same_terms_is_said_once() {
    story(
        minted(),
        careful(),
        "made created
         made_2 created
         made_3 created amount=250.00",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            made_2  nothing_new  pending_session
            made_3  already_created pending_session | 2: pending_session > pending_session | alarm already_created
        "#]],
    );
}

#[test]
fn an_event_without_a_session_opens_nothing() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 session_created session=none
         evt_2 processing session=none
         evt_3 failed session=none
         evt_4 expired session=none
         evt_5 cancelled session=none",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   no_session   pending_session
            evt_2   no_session   pending_session
            evt_3   no_session   pending_session
            evt_4   no_session   pending_session
            evt_5   no_session   pending_session
        "#]],
    );
}

#[test]
fn an_adopted_session_is_an_attempt_like_any_other() {
    story(
        adopted(),
        careful(),
        "evt_1 session_created reference=order_7
         evt_2 processing
         evt_3 completed
         evt_3 completed
         evt_4 failed",
        expect![[r#"
            evt_1   applied      requires_action ses_1 | 1: nothing > requires_action
            evt_2   applied      processing ses_1 | 2: requires_action > processing
            evt_3   applied      fulfilled ses_1 tx_1 | 3: processing > fulfilled | fulfill 100.00 EUR by webhook | outcome
            evt_3   duplicate    fulfilled ses_1 tx_1
            evt_4   after_fulfilled fulfilled ses_1 tx_1 | 4: fulfilled > fulfilled | alarm after_fulfilled
        "#]],
    );
}

#[test]
fn an_adopted_session_may_begin_with_its_completion() {
    story(
        adopted(),
        careful(),
        "evt_1 completed reference=order_7
         evt_2 session_created",
        expect![[r#"
            evt_1   applied      fulfilled ses_1 tx_1 | 1: nothing > fulfilled | fulfill 100.00 EUR by webhook | outcome
            evt_2   overtaken    fulfilled ses_1 tx_1
        "#]],
    );
}
