//! The whole policy at a glance: every state against every kind of news, each as an untroubled
//! signal of the attempt's own session. The stories say why; this says that nothing else moved.

use super::support::*;
use expect_test::{Expect, expect};
use std::fmt::Write as _;

const NEWS: [&str; 18] = [
    "evt_n session_created",
    "evt_n kyc",
    "evt_n processing",
    "evt_n completed",
    "evt_n failed reason=declined",
    "evt_n expired",
    "evt_n cancelled",
    "read_n still_open",
    "evt_n unknown",
    "n created",
    "n attached",
    "n granted",
    "n refused",
    "n returned",
    "n left",
    "n cancel",
    "n fulfill",
    "n close",
];

#[track_caller]
fn row(script: &str, transcript: Expect) {
    let attempt = after(minted(), careful(), &format!("made created\n{script}"));
    let mut rendered = format!("{}\n", stands(&attempt));
    for line in NEWS {
        let signal = signal(line, &attempt);
        let step = attempt.step(&signal, &careful());
        let what = line.split(' ').nth(1).unwrap();
        writeln!(rendered, "  {what:<16}{}", &render(&signal, &step)[8..]).unwrap();
    }
    transcript.assert_eq(&rendered);
}

#[test]
fn pending_without_a_session() {
    row(
        "",
        expect![[r#"
        pending_session
          session_created applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
          kyc             applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
          processing      applied      processing ses_1 | 2: pending_session > processing | claim ses_1
          completed       applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome | claim ses_1
          failed          applied      failed ses_1 (declined) | 2: pending_session > failed | outcome | claim ses_1
          expired         applied      expired ses_1 | 2: pending_session > expired | outcome | claim ses_1
          cancelled       applied      cancelled ses_1 | 2: pending_session > cancelled | outcome | claim ses_1
          still_open      applied      requires_action ses_1 | 2: pending_session > requires_action | claim ses_1
          unknown         unknown_type pending_session
          created         nothing_new  pending_session
          attached        applied      pending_session ses_1 | claim ses_1
          granted         overtaken    pending_session
          refused         overtaken    pending_session
          returned        nothing_new  pending_session
          left            nothing_new  pending_session
          cancel          applied      cancelled | 2: pending_session > cancelled | outcome
          fulfill         not_in_review pending_session
          close           not_in_review pending_session
    "#]],
    );
}

#[test]
fn pending_with_a_reserved_session() {
    row(
        "x attached",
        expect![[r#"
        pending_session ses_1
          session_created applied      requires_action ses_1 | 2: pending_session > requires_action
          kyc             applied      requires_action ses_1 | 2: pending_session > requires_action
          processing      applied      processing ses_1 | 2: pending_session > processing
          completed       applied      fulfilled ses_1 tx_1 | 2: pending_session > fulfilled | fulfill 100.00 EUR by webhook | outcome
          failed          applied      failed ses_1 (declined) | 2: pending_session > failed | outcome
          expired         applied      expired ses_1 | 2: pending_session > expired | outcome
          cancelled       applied      cancelled ses_1 | 2: pending_session > cancelled | outcome
          still_open      applied      requires_action ses_1 | 2: pending_session > requires_action
          unknown         unknown_type pending_session ses_1
          created         nothing_new  pending_session ses_1
          attached        nothing_new  pending_session ses_1
          granted         applied      requires_action ses_1 | 2: pending_session > requires_action
          refused         session_held pending_session | 2: pending_session > pending_session | alarm session_held
          returned        nothing_new  pending_session ses_1
          left            nothing_new  pending_session ses_1
          cancel          applied      cancelled ses_1 | 2: pending_session > cancelled | outcome
          fulfill         not_in_review pending_session ses_1
          close           not_in_review pending_session ses_1
    "#]],
    );
}

#[test]
fn requires_action() {
    row(
        "evt_1 session_created",
        expect![[r#"
        requires_action ses_1
          session_created nothing_new  requires_action ses_1
          kyc             nothing_new  requires_action ses_1
          processing      applied      processing ses_1 | 3: requires_action > processing
          completed       applied      fulfilled ses_1 tx_1 | 3: requires_action > fulfilled | fulfill 100.00 EUR by webhook | outcome
          failed          applied      failed ses_1 (declined) | 3: requires_action > failed | outcome
          expired         applied      expired ses_1 | 3: requires_action > expired | outcome
          cancelled       applied      cancelled ses_1 | 3: requires_action > cancelled | outcome
          still_open      nothing_new  requires_action ses_1
          unknown         unknown_type requires_action ses_1
          created         nothing_new  requires_action ses_1
          attached        nothing_new  requires_action ses_1
          granted         nothing_new  requires_action ses_1
          refused         session_held requires_action ses_1 | 3: requires_action > requires_action | alarm session_held
          returned        applied      processing ses_1 | 3: requires_action > processing
          left            nothing_new  requires_action ses_1
          cancel          applied      cancelled ses_1 | 3: requires_action > cancelled | outcome
          fulfill         not_in_review requires_action ses_1
          close           not_in_review requires_action ses_1
    "#]],
    );
}

#[test]
fn processing() {
    row(
        "evt_1 processing",
        expect![[r#"
        processing ses_1
          session_created overtaken    processing ses_1
          kyc             nothing_new  processing ses_1
          processing      nothing_new  processing ses_1
          completed       applied      fulfilled ses_1 tx_1 | 3: processing > fulfilled | fulfill 100.00 EUR by webhook | outcome
          failed          applied      failed ses_1 (declined) | 3: processing > failed | outcome
          expired         applied      expired ses_1 | 3: processing > expired | outcome
          cancelled       applied      cancelled ses_1 | 3: processing > cancelled | outcome
          still_open      nothing_new  processing ses_1
          unknown         unknown_type processing ses_1
          created         nothing_new  processing ses_1
          attached        nothing_new  processing ses_1
          granted         nothing_new  processing ses_1
          refused         session_held processing ses_1 | 3: processing > processing | alarm session_held
          returned        nothing_new  processing ses_1
          left            nothing_new  processing ses_1
          cancel          applied      cancelled ses_1 | 3: processing > cancelled | outcome
          fulfill         not_in_review processing ses_1
          close           not_in_review processing ses_1
    "#]],
    );
}

#[test]
fn fulfilled() {
    row(
        "evt_1 completed",
        expect![[r#"
        fulfilled ses_1 tx_1
          session_created overtaken    fulfilled ses_1 tx_1
          kyc             overtaken    fulfilled ses_1 tx_1
          processing      overtaken    fulfilled ses_1 tx_1
          completed       duplicate_fulfillment_blocked fulfilled ses_1 tx_1 | alarm duplicate_fulfillment_blocked
          failed          after_fulfilled fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm after_fulfilled
          expired         after_fulfilled fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm after_fulfilled
          cancelled       after_fulfilled fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm after_fulfilled
          still_open      nothing_new  fulfilled ses_1 tx_1
          unknown         unknown_type fulfilled ses_1 tx_1
          created         nothing_new  fulfilled ses_1 tx_1
          attached        overtaken    fulfilled ses_1 tx_1
          granted         nothing_new  fulfilled ses_1 tx_1
          refused         session_held fulfilled ses_1 tx_1 | 3: fulfilled > fulfilled | alarm session_held
          returned        nothing_new  fulfilled ses_1 tx_1
          left            nothing_new  fulfilled ses_1 tx_1
          cancel          overtaken    fulfilled ses_1 tx_1
          fulfill         not_in_review fulfilled ses_1 tx_1
          close           not_in_review fulfilled ses_1 tx_1
    "#]],
    );
}

#[test]
fn failed() {
    row(
        "evt_1 failed",
        expect![[r#"
            failed ses_1
              session_created overtaken    failed ses_1
              kyc             overtaken    failed ses_1
              processing      overtaken    failed ses_1
              completed       applied      review ses_1 (late_completion) | 3: failed > review | outcome | alarm late_completion | alarm review
              failed          nothing_new  failed ses_1
              expired         overtaken    failed ses_1
              cancelled       overtaken    failed ses_1
              still_open      nothing_new  failed ses_1
              unknown         unknown_type failed ses_1
              created         nothing_new  failed ses_1
              attached        overtaken    failed ses_1
              granted         nothing_new  failed ses_1
              refused         session_held failed ses_1 | 3: failed > failed | alarm session_held
              returned        nothing_new  failed ses_1
              left            nothing_new  failed ses_1
              cancel          overtaken    failed ses_1
              fulfill         not_in_review failed ses_1
              close           not_in_review failed ses_1
        "#]],
    );
}

#[test]
fn expired() {
    row(
        "evt_1 expired",
        expect![[r#"
            expired ses_1
              session_created overtaken    expired ses_1
              kyc             overtaken    expired ses_1
              processing      overtaken    expired ses_1
              completed       applied      review ses_1 (late_completion) | 3: expired > review | outcome | alarm late_completion | alarm review
              failed          overtaken    expired ses_1
              expired         nothing_new  expired ses_1
              cancelled       overtaken    expired ses_1
              still_open      nothing_new  expired ses_1
              unknown         unknown_type expired ses_1
              created         nothing_new  expired ses_1
              attached        overtaken    expired ses_1
              granted         nothing_new  expired ses_1
              refused         session_held expired ses_1 | 3: expired > expired | alarm session_held
              returned        nothing_new  expired ses_1
              left            nothing_new  expired ses_1
              cancel          overtaken    expired ses_1
              fulfill         not_in_review expired ses_1
              close           not_in_review expired ses_1
        "#]],
    );
}

#[test]
fn cancelled_without_a_session() {
    row(
        "x cancel",
        expect![[r#"
            cancelled
              session_created overtaken    cancelled
              kyc             overtaken    cancelled
              processing      overtaken    cancelled
              completed       applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review | claim ses_1
              failed          overtaken    cancelled
              expired         overtaken    cancelled
              cancelled       nothing_new  cancelled
              still_open      nothing_new  cancelled
              unknown         unknown_type cancelled
              created         nothing_new  cancelled
              attached        applied      cancelled ses_1 | claim ses_1
              granted         nothing_new  cancelled
              refused         session_held cancelled | 3: cancelled > cancelled | alarm session_held
              returned        nothing_new  cancelled
              left            nothing_new  cancelled
              cancel          overtaken    cancelled
              fulfill         not_in_review cancelled
              close           not_in_review cancelled
        "#]],
    );
}

#[test]
fn cancelled() {
    row(
        "evt_1 cancelled",
        expect![[r#"
            cancelled ses_1
              session_created overtaken    cancelled ses_1
              kyc             overtaken    cancelled ses_1
              processing      overtaken    cancelled ses_1
              completed       applied      review ses_1 (late_completion) | 3: cancelled > review | outcome | alarm late_completion | alarm review
              failed          overtaken    cancelled ses_1
              expired         overtaken    cancelled ses_1
              cancelled       nothing_new  cancelled ses_1
              still_open      nothing_new  cancelled ses_1
              unknown         unknown_type cancelled ses_1
              created         nothing_new  cancelled ses_1
              attached        overtaken    cancelled ses_1
              granted         nothing_new  cancelled ses_1
              refused         session_held cancelled ses_1 | 3: cancelled > cancelled | alarm session_held
              returned        nothing_new  cancelled ses_1
              left            nothing_new  cancelled ses_1
              cancel          overtaken    cancelled ses_1
              fulfill         not_in_review cancelled ses_1
              close           not_in_review cancelled ses_1
        "#]],
    );
}

#[test]
fn review() {
    row(
        "evt_1 completed amount=1.00",
        expect![[r#"
        review ses_1 (amount_mismatch)
          session_created overtaken    review ses_1 (amount_mismatch)
          kyc             overtaken    review ses_1 (amount_mismatch)
          processing      overtaken    review ses_1 (amount_mismatch)
          completed       nothing_new  review ses_1 (amount_mismatch)
          failed          overtaken    review ses_1 (amount_mismatch)
          expired         overtaken    review ses_1 (amount_mismatch)
          cancelled       overtaken    review ses_1 (amount_mismatch)
          still_open      nothing_new  review ses_1 (amount_mismatch)
          unknown         unknown_type review ses_1 (amount_mismatch)
          created         nothing_new  review ses_1 (amount_mismatch)
          attached        overtaken    review ses_1 (amount_mismatch)
          granted         nothing_new  review ses_1 (amount_mismatch)
          refused         session_held review ses_1 (amount_mismatch) | 3: review > review | alarm session_held
          returned        nothing_new  review ses_1 (amount_mismatch)
          left            nothing_new  review ses_1 (amount_mismatch)
          cancel          overtaken    review ses_1 (amount_mismatch)
          fulfill         applied      fulfilled ses_1 tx_1 | 3: review > fulfilled | fulfill 1.00 EUR by operator | outcome
          close           applied      cancelled ses_1 | 3: review > cancelled | outcome
    "#]],
    );
}
