//! The invariants over histories that nobody thought of, longer than those that can all be tried.

use super::histories::{ALPHABET, alphabet, said_now};
use super::invariants;
use super::support::*;
use crate::attempt::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(every_policy())
}

fn any_origin() -> impl Strategy<Value = Attempt> {
    prop_oneof![Just(minted()), Just(adopted())]
}

fn any_history(length: usize) -> impl Strategy<Value = Vec<Signal>> {
    prop::collection::vec(prop::sample::select(alphabet()), 0..=length)
}

/// A signal that no alphabet holds: everything that can be said, said together.
fn any_signal() -> impl Strategy<Value = String> {
    let who = prop::sample::select(vec!["evt_", "read_", "cmd_"]);
    let what = prop::sample::select(vec![
        "session_created",
        "kyc",
        "processing",
        "completed",
        "completed",
        "failed",
        "expired",
        "cancelled",
        "still_open",
        "unknown",
        "created",
        "attached",
        "granted",
        "refused",
        "returned",
        "left",
        "cancel",
        "fulfill",
        "close",
    ]);
    let facts = [
        vec!["", "session=ses_2", "session=none"],
        vec!["", "", "endpoint=mall"],
        vec!["", "", "out_of_time"],
        vec!["", "amount=1.00", "amount=none"],
        vec!["", "currency=USD", "flow=swap", "flow=payment"],
        vec!["", "tx=tx_2", "tx=none"],
        vec!["", "", "", "unreadable"],
        vec!["", "", "saw=1"],
    ];
    let facts: Vec<_> = facts.into_iter().map(prop::sample::select).collect();
    (who, 0..40_u8, what, facts)
        .prop_map(|(who, id, what, facts)| format!("{who}{id} {what} {}", facts.join(" ")))
}

/// A completion of one session: who says it, what it says, and which transaction that names.
fn any_completion() -> impl Strategy<Value = (&'static str, String, Option<&'static str>)> {
    let who = prop::sample::select(vec!["evt_", "read_"]);
    let named = prop::sample::select(vec![None, None, Some("tx_1"), Some("tx_2"), Some("tx_3")]);
    let facts = [vec!["", "amount=1.00"], vec!["", "session=none"]].map(prop::sample::select);
    (who, named, facts.to_vec()).prop_map(|(who, named, facts)| {
        let tx = named.unwrap_or("none");
        (who, format!("completed tx={tx} {}", facts.join(" ")), named)
    })
}

/// The same id twice is the same bytes only if it says the same, however it was delivered.
fn as_arrived(line: &str) -> Signal {
    let delivery = |word: &&str| !word.starts_with("endpoint=") && *word != "out_of_time";
    let mut digest = [0_u8; 32];
    for (at, byte) in line.split(' ').filter(delivery).flat_map(str::bytes).enumerate() {
        digest[at % 32] = digest[at % 32].rotate_left(3) ^ byte;
    }
    Signal { digest: Digest(digest), ..signal(line, &minted()) }
}

/// Tells all of it, checks every step, and counts the fulfillments.
fn told(start: &Attempt, policies: &[Policy], history: &[Signal]) -> (Attempt, usize) {
    let (mut attempt, mut ruled, mut fulfillments) = (start.clone(), false, 0);
    for (signal, policy) in history.iter().zip(policies.iter().cycle()) {
        let signal = said_now(signal, &attempt);
        let step = attempt.step(&signal, policy);
        invariants::hold(&attempt, &signal, policy, &step, ruled);
        ruled |= invariants::is_ruling(&signal, &step);
        let fulfills = |effect: &&Effect| matches!(effect, Effect::Fulfill(_));
        fulfillments += step.effects.iter().filter(fulfills).count();
        attempt = step.next;
    }
    (attempt, fulfillments)
}

/// Signals of one session, all in time and in agreement: none demands a review by itself.
fn agreeable() -> Vec<Signal> {
    const DEMANDING: [&str; 4] = ["session=", "amount=", "bytes=", "created"];
    let late = |line: &str| line.contains("out_of_time");
    let lines = ALPHABET.iter().filter(|line| !late(line));
    let calm = lines.filter(|line| !DEMANDING.iter().any(|demand| line.contains(demand)));
    calm.map(|line| signal(line, &minted())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Policies may change between any two signals: a restart with another configuration.
    #[test]
    fn one_fulfillment(
        start in any_origin(),
        policies in prop::collection::vec(any_policy(), 1..4),
        history in any_history(40),
    ) {
        let (_, fulfillments) = told(&start, &policies, &history);
        prop_assert!(fulfillments <= 1);
    }

    #[test]
    fn order_free(
        start in any_origin(),
        policy in any_policy(),
        (one, other) in any_history(12).prop_flat_map(|history| {
            let doubled = [history.clone(), history].concat();
            (Just(doubled.clone()).prop_shuffle(), Just(doubled).prop_shuffle())
        }),
    ) {
        for interleaving in [one, other] {
            let (attempt, fulfillments) = told(&start, &[policy], &interleaving);
            prop_assert!(fulfillments <= 1);
            let fulfilled = attempt.state.name() == StateName::Fulfilled;
            prop_assert_eq!(fulfilled, fulfillments == 1);
        }
    }

    /// Where failures keep an attempt open and late completions fulfill, even the count is the
    /// same in whatever order the signals come after `created`.
    #[test]
    fn order_free_to_the_count(
        gate in prop::sample::select(GateClient::ALL),
        (one, other) in prop::collection::vec(prop::sample::select(agreeable()), 0..12)
            .prop_flat_map(|history| {
                let doubled = [history.clone(), history].concat();
                (Just(doubled.clone()).prop_shuffle(), Just(doubled).prop_shuffle())
            }),
    ) {
        let policy = Policy { gate, failed: OnFailed::KeepOpen, ..late_fulfills() };
        let created = after(minted(), policy, "made created endpoint=shop");
        let paid = |signal: &Signal| {
            let proper = match &signal.source {
                Source::Webhook { endpoint, .. } => endpoint.as_str() == "shop",
                Source::Reading | Source::Command => true,
            };
            proper && matches!(signal.news, News::Completed { .. })
        };
        let expected = usize::from(one.iter().any(paid));
        prop_assert_eq!(told(&created, &[policy], &one).1, expected);
        prop_assert_eq!(told(&created, &[policy], &other).1, expected);
    }

    /// Two references are two payments, whichever completion names them, and whatever else comes
    /// between or names none. One reference is one, unless it comes with terms of its own.
    #[test]
    fn order_free_to_the_second_payment(
        start in any_origin(),
        policy in any_policy(),
        said in prop::collection::vec(any_completion(), 1..8),
    ) {
        let start = after(start, policy, "made created");
        let lines = said.iter().enumerate().map(|(at, (who, rest, _))| format!("{who}{at} {rest}"));
        let history: Vec<Signal> = lines.map(|line| signal(&line, &start)).collect();
        let references: BTreeSet<_> = said.iter().filter_map(|(_, _, named)| *named).collect();
        let (attempt, _) = told(&start, &[policy], &history);
        let second = Verdict::Contradiction(Contradiction::SecondPayment);
        let found = attempt.evidence.entries().iter().any(|entry| entry.verdict == second);
        let alike = said.iter().all(|(_, rest, _)| !rest.contains("amount="));
        prop_assert!(found || references.len() <= 1);
        prop_assert!(!found || references.len() > 1 || !alike);
    }

    #[test]
    fn terminal_absorbs(
        start in any_origin(),
        policy in any_policy(),
        before in any_history(12),
        after in any_history(12),
    ) {
        let (ended, _) = told(&start, &[policy], &before);
        let unpaid: Vec<Signal> = after
            .iter()
            .filter(|signal| !matches!(signal.news, News::Completed { .. }))
            .cloned()
            .collect();
        let stays = |history: &[Signal]| told(&ended, &[policy], history).0.state.name();
        match ended.state.name() {
            StateName::Fulfilled => prop_assert_eq!(stays(&after), StateName::Fulfilled),
            closed @ (StateName::Failed | StateName::Expired | StateName::Cancelled) => {
                prop_assert_eq!(stays(&unpaid), closed);
            }
            StateName::PendingSession
            | StateName::RequiresAction
            | StateName::Processing
            | StateName::Review => {}
        }
    }

    /// Whatever is said together: a step answers it and breaks nothing.
    #[test]
    fn a_step_is_total(
        start in any_origin(),
        policy in any_policy(),
        lines in prop::collection::vec(any_signal(), 1..12),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let said: Vec<Signal> = picks.iter().map(|pick| as_arrived(pick.get::<String>(&lines))).collect();
        let (_, fulfillments) = told(&start, &[policy], &said);
        prop_assert!(fulfillments <= 1);
    }

    #[test]
    fn a_duplicate_changes_nothing_but_the_counter(
        start in any_origin(),
        policy in any_policy(),
        history in any_history(12),
        again in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!history.is_empty());
        let (attempt, _) = told(&start, &[policy], &history);
        let copy = again.get(&history);
        if attempt.evidence.knows(copy) == Known::Same {
            let step = attempt.step(copy, &policy);
            let counted = Attempt { duplicates: attempt.duplicates + 1, ..attempt };
            prop_assert_eq!(step.verdict, Verdict::Duplicate);
            prop_assert_eq!(step.next, counted);
            prop_assert_eq!(step.effects, vec![]);
        }
    }
}
