//! Whose session is it? One signal or claim after another at a session's home.

use super::support::*;
use crate::attempt::*;
use expect_test::{Expect, expect};
use std::fmt::Write as _;

fn adopts() -> Policy {
    Policy { unknown_session: UnknownSession::Adopt, ..Policy::default() }
}

fn parks() -> Policy {
    Policy { unknown_session: UnknownSession::Park, ..can_ask() }
}

fn claim(attempt: &str) -> Claim {
    Claim { session: session("ses_1"), attempt: AttemptId::parse(attempt).unwrap() }
}

/// A line is a signal, or `claim` and the attempt that claims.
fn tell(home: &Home, policy: &Policy, line: &str) -> HomeStep {
    if let Some(attempt) = line.strip_prefix("claim ") {
        return home.claim(&claim(attempt));
    }
    let signal = match home {
        Home::Adopted(attempt) => signal(line, attempt),
        Home::Unknown | Home::Claimed { .. } | Home::Parked { .. } => signal(line, &adopted()),
    };
    home.step(&session("ses_1"), &signal, policy)
}

fn at(home: Home, policy: Policy, script: &str) -> Home {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.fold(home, |home, line| tell(&home, &policy, line).next)
}

#[track_caller]
fn home_story(home: Home, policy: Policy, script: &str, transcript: Expect) {
    let (mut home, mut rendered) = (home, String::new());
    for line in script.lines().map(str::trim) {
        let step = tell(&home, &policy, line);
        write!(rendered, "{line:<21} {:<22} {}", fate(&step.fate), holds(&step.next)).unwrap();
        for effect in &step.effects {
            write!(rendered, " | {}", wants(effect)).unwrap();
        }
        rendered.push('\n');
        home = step.next;
    }
    transcript.assert_eq(&rendered);
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Decided(verdict) => verdict.reason().unwrap_or(verdict.word()).to_owned(),
        Fate::SentTo(attempt) => format!("sent to {attempt}"),
        Fate::Parked { slot } => format!("parked in {slot}"),
        Fate::DeadLetter(why) => format!("dead letter: {}", why.word()),
    }
}

fn holds(home: &Home) -> String {
    match home {
        Home::Unknown => "unknown".to_owned(),
        Home::Claimed { by } => format!("claimed by {by}"),
        Home::Parked { waiting } => format!("{waiting} waiting"),
        Home::Adopted(attempt) => format!("adopted: {}", stands(attempt)),
    }
}

fn wants(effect: &HomeEffect) -> String {
    match effect {
        HomeEffect::OfAttempt(effect) => told(effect),
        HomeEffect::Answer { claim, holder } => format!("tell {}: {holder}", claim.attempt),
        HomeEffect::Release { to, waiting } => format!("release {waiting} to {to}"),
        HomeEffect::Read { session } => format!("read {session}"),
    }
}

#[test]
fn an_unknown_session_becomes_an_attempt_of_the_same_id() {
    home_story(
        Home::Unknown,
        adopts(),
        "evt_1 session_created
         evt_2 completed
         evt_2 completed",
        expect![[r#"
            evt_1 session_created applied                adopted: requires_action ses_1 | 1: nothing > requires_action
            evt_2 completed       applied                adopted: fulfilled ses_1 tx_1 | 2: requires_action > fulfilled | fulfill 100.00 EUR by webhook | outcome
            evt_2 completed       duplicate              adopted: fulfilled ses_1 tx_1
        "#]],
    );
}

#[test]
fn an_unknown_session_waits_and_0gate_is_asked_once() {
    home_story(
        Home::Unknown,
        parks(),
        "evt_1 session_created
         evt_2 processing
         read_1 still_open",
        expect![[r#"
            evt_1 session_created parked in 0            1 waiting | read ses_1
            evt_2 processing      parked in 1            2 waiting
            read_1 still_open     nothing_new            2 waiting
        "#]],
    );
}

#[test]
fn the_first_claim_takes_the_session_and_what_waited_there() {
    home_story(
        Home::Unknown,
        parks(),
        "evt_1 session_created
         evt_2 completed
         claim att_1
         evt_3 processing
         read_1 completed
         evt_4 unknown",
        expect![[r#"
            evt_1 session_created parked in 0            1 waiting | read ses_1
            evt_2 completed       parked in 1            2 waiting
            claim att_1           applied                claimed by att_1 | tell att_1: att_1 | release 2 to att_1
            evt_3 processing      sent to att_1          claimed by att_1
            read_1 completed      sent to att_1          claimed by att_1
            evt_4 unknown         sent to att_1          claimed by att_1
        "#]],
    );
}

#[test]
fn the_first_claim_wins_and_everybody_hears_who_holds_the_session() {
    home_story(
        Home::Unknown,
        parks(),
        "claim att_1
         claim att_2
         claim att_1",
        expect![[r#"
            claim att_1           applied                claimed by att_1 | tell att_1: att_1
            claim att_2           duplicate              claimed by att_1 | tell att_2: att_1
            claim att_1           duplicate              claimed by att_1 | tell att_1: att_1
        "#]],
    );
}

#[test]
fn an_adopted_session_cannot_be_claimed_away() {
    home_story(
        Home::Unknown,
        adopts(),
        "evt_1 session_created
         claim att_1
         evt_2 completed",
        expect![[r#"
            evt_1 session_created applied                adopted: requires_action ses_1 | 1: nothing > requires_action
            claim att_1           duplicate              adopted: requires_action ses_1 | tell att_1: ses_1
            evt_2 completed       applied                adopted: fulfilled ses_1 tx_1 | 2: requires_action > fulfilled | fulfill 100.00 EUR by webhook | outcome
        "#]],
    );
}

#[test]
fn a_command_for_nobody_is_a_dead_letter() {
    home_story(
        Home::Unknown,
        adopts(),
        "stop cancel",
        expect![[r#"
        stop cancel           dead letter: unaddressed unknown
    "#]],
    );
    home_story(
        Home::Unknown,
        parks(),
        "stop cancel",
        expect![[r#"
        stop cancel           dead letter: unaddressed unknown
    "#]],
    );
    home_story(
        at(Home::Unknown, parks(), "claim att_1"),
        parks(),
        "stop cancel",
        expect![[r#"
        stop cancel           dead letter: unaddressed claimed by att_1
    "#]],
    );
}

#[test]
fn an_unknown_type_makes_no_attempt_and_waits_for_none() {
    home_story(
        Home::Unknown,
        adopts(),
        "evt_1 unknown",
        expect![[r#"
        evt_1 unknown         unknown_type           unknown
    "#]],
    );
    home_story(
        Home::Unknown,
        parks(),
        "evt_1 unknown",
        expect![[r#"
        evt_1 unknown         unknown_type           unknown
    "#]],
    );
}

#[test]
fn the_sixty_fifth_that_waits_is_a_dead_letter() {
    let flood: String = (1..PARKED_MAX).map(|n| format!("evt_{n} processing\n")).collect();
    home_story(
        at(Home::Unknown, parks(), &flood),
        parks(),
        "evt_64 processing
         evt_65 completed
         claim att_1",
        expect![[r#"
            evt_64 processing     parked in 63           64 waiting
            evt_65 completed      dead letter: parked_full 64 waiting
            claim att_1           applied                claimed by att_1 | tell att_1: att_1 | release 64 to att_1
        "#]],
    );
}

#[test]
fn what_waited_goes_to_the_adopted_attempt_where_policy_has_changed_since() {
    home_story(
        at(Home::Unknown, parks(), "evt_1 session_created\nevt_2 processing"),
        adopts(),
        "evt_3 completed
         evt_4 failed",
        expect![[r#"
            evt_3 completed       applied                adopted: fulfilled ses_1 tx_1 | 1: nothing > fulfilled | fulfill 100.00 EUR by webhook | outcome | release 2 to ses_1
            evt_4 failed          after_fulfilled        adopted: fulfilled ses_1 tx_1 | 2: fulfilled > fulfilled | alarm after_fulfilled
        "#]],
    );
}

/// A browser, an operator and our own shop speak of the attempt, whatever session they saw it with.
#[test]
fn what_our_own_side_says_of_the_attempt_is_not_of_a_session() {
    story(
        minted(),
        careful(),
        "evt_1 session_created
         made created session=ses_2
         back returned session=ses_2
         gone left session=ses_2
         stop cancel session=ses_2
         evt_2 completed
         word close session=ses_2",
        expect![[r#"
            evt_1   applied      requires_action ses_1 | 1: nothing > requires_action | claim ses_1
            made    applied      requires_action ses_1
            back    applied      processing ses_1 | 2: requires_action > processing
            gone    nothing_new  processing ses_1
            stop    applied      cancelled ses_1 | 3: processing > cancelled | outcome
            evt_2   applied      review ses_1 (late_completion) | 4: cancelled > review | outcome | alarm late_completion | alarm review
            word    applied      cancelled ses_1 | 5: review > cancelled | outcome
        "#]],
    );
}
