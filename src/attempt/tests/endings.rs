//! Endings without a fulfillment, and what comes after them.

use super::support::*;
use expect_test::expect;

#[test]
fn a_failure_ends_the_attempt_by_default() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 processing
         evt_2 failed reason=card_declined
         evt_3 processing
         evt_4 expired
         evt_5 cancelled",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      processing ses_1 | 2: pending_session > processing | claim ses_1
            evt_2   applied      failed ses_1 (card_declined) | 3: processing > failed | outcome
            evt_3   overtaken    failed ses_1 (card_declined)
            evt_4   overtaken    failed ses_1 (card_declined)
            evt_5   overtaken    failed ses_1 (card_declined)
        "#]],
    );
}

#[test]
fn a_failure_keeps_the_attempt_open_where_policy_says_so() {
    story(
        minted(),
        keeps_open(),
        "made created
         evt_1 processing
         evt_2 failed reason=card_declined
         evt_3 failed reason=timeout
         evt_4 processing
         evt_5 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      processing ses_1 | 2: pending_session > processing | claim ses_1
            evt_2   applied      requires_action ses_1 (card_declined) | 3: processing > requires_action
            evt_3   applied      requires_action ses_1 (timeout)
            evt_4   applied      processing ses_1 | 4: requires_action > processing
            evt_5   applied      fulfilled ses_1 tx_1 | 5: processing > fulfilled | fulfill 100.00 EUR by webhook | outcome
        "#]],
    );
}

#[test]
fn a_failure_kept_open_may_be_the_first_news_of_the_session() {
    story(
        minted(),
        keeps_open(),
        "made created
         evt_1 failed reason=card_declined
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      requires_action ses_1 (card_declined) | 2: pending_session > requires_action | claim ses_1
            evt_2   applied      fulfilled ses_1 tx_1 | 3: requires_action > fulfilled | fulfill 100.00 EUR by webhook | outcome
        "#]],
    );
}

#[test]
fn a_late_completion_goes_before_a_person() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 expired
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      expired ses_1 | 2: pending_session > expired | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: expired > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn a_completion_after_a_failure_is_late() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 failed
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      failed ses_1 | 2: pending_session > failed | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: failed > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn a_completion_after_a_cancellation_is_late() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 cancelled
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      cancelled ses_1 | 2: pending_session > cancelled | outcome | claim ses_1
            evt_2   applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn a_completion_after_our_own_cancel_is_late() {
    story(
        minted(),
        careful(),
        "made created
         stop cancel
         evt_1 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            stop    applied      cancelled | 2: pending_session > cancelled | outcome
            evt_1   applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review | claim ses_1
        "#]],
    );
}

#[test]
fn a_late_completion_fulfills_where_policy_says_so_and_is_still_heard_of() {
    story(
        minted(),
        late_fulfills(),
        "made created
         evt_1 expired
         evt_2 completed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      expired ses_1 | 2: pending_session > expired | outcome | claim ses_1
            evt_2   applied      fulfilled ses_1 tx_1 | 3: expired > fulfilled | fulfill 100.00 EUR by webhook | outcome | alarm late_completion
        "#]],
    );
}

#[test]
fn a_late_completion_that_disagrees_is_never_fulfilled_silently() {
    story(
        minted(),
        late_fulfills(),
        "made created
         evt_1 cancelled
         evt_2 completed amount=99.00",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      cancelled ses_1 | 2: pending_session > cancelled | outcome | claim ses_1
            evt_2   applied      review ses_1 (amount_mismatch) | 3: cancelled > review | outcome | alarm late_completion | alarm review
        "#]],
    );
}

#[test]
fn nothing_un_fulfills() {
    story(
        minted(),
        careful(),
        "made created
         evt_1 completed
         evt_2 failed
         evt_3 expired
         evt_4 cancelled
         read_1 failed",
        expect![[r#"
            made    applied      pending_session | 1: nothing > pending_session
            evt_1   applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
            evt_2   after_fulfilled fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm after_fulfilled
            evt_3   after_fulfilled fulfilled ses_1 tx_1 | 4: fulfilled > fulfilled | alarm after_fulfilled
            evt_4   after_fulfilled fulfilled ses_1 tx_1 | 5: fulfilled > fulfilled | alarm after_fulfilled
            read_1  after_fulfilled fulfilled ses_1 tx_1 | 6: fulfilled > fulfilled | alarm after_fulfilled
        "#]],
    );
}
