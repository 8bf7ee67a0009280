//! Every history over a small world of signals, for every policy and both origins of an attempt.
//!
//! The world has 36 signals, so there are 36 + 36² + … + 36⁶ = 2,238,976,116 histories of up to
//! six, and 16 times as many with the policies and origins: 35.8 billion. They are covered without
//! walking each of them, because most of them lead to the same few attempts:
//!
//! - A step is a pure function of the attempt, so histories that lead to one attempt have one
//!   future. Counters and the exact sequence matter to no decision (an operator's decision here
//!   names the sequence relative to the attempt's), so they are left out.
//! - A signal that the attempt already knows moves nothing: a copy only counts, and other bytes
//!   under its id are a conflict that leaves the state alone (`invariants` checks both on every
//!   step). So of two attempts that are otherwise the same, the one that knows more can go
//!   nowhere that the other cannot, and need not be walked.
//!
//! The walk goes on until it finds no new attempt, after six or seven signals: what holds here
//! holds for histories of any length, until the evidence is full. A second test walks every
//! history of three signals one by one and finds nothing that the walk had left out.

use super::invariants;
use super::support::*;
use crate::attempt::*;
use std::collections::{BTreeSet, HashMap};

pub(super) const ALPHABET: [&str; 36] = [
    // Our own side.
    "c_1 created endpoint=shop",
    "c_2 created amount=250.00 endpoint=shop",
    "c_3 attached",
    "c_4 attached session=ses_2",
    "c_5 granted",
    "c_6 refused",
    "c_7 returned",
    "c_8 left",
    "c_9 cancel",
    "c_10 fulfill",
    "c_11 fulfill saw=999",
    "c_12 close",
    // The provider's, of our session.
    "evt_1 session_created",
    "evt_2 kyc",
    "evt_3 processing",
    "evt_4 failed reason=declined",
    "evt_5 expired",
    "evt_6 cancelled",
    "evt_7 unknown",
    "evt_8 processing session=none",
    "read_1 still_open",
    "read_2 completed",
    "read_3 failed",
    // Completions: the same one in other guises, then those that disagree.
    "evt_c completed",
    "evt_c completed out_of_time",
    "evt_c completed endpoint=mall",
    "evt_c completed bytes=other amount=1.00",
    "evt_d completed",
    "evt_e completed tx=tx_2",
    "evt_f completed amount=99.00",
    "evt_g completed session=ses_2",
    "evt_h completed session=none tx=none",
    "evt_i completed out_of_time",
    // Not ours.
    "evt_9 processing session=ses_2",
    "evt_10 failed endpoint=mall",
    "evt_3 expired bytes=other",
];

pub(super) fn alphabet() -> Vec<Signal> {
    ALPHABET.iter().map(|line| signal(line, &minted())).collect()
}

/// The letter as it would be said now: an operator decides about what stands there.
pub(super) fn said_now(letter: &Signal, attempt: &Attempt) -> Signal {
    let mut signal = letter.clone();
    if let News::Decided(decision) = &mut signal.news
        && decision.saw == 0
    {
        decision.saw = attempt.sequence;
    }
    signal
}

/// All of an attempt that a later step can depend on, but for the letters that it knows.
type Essence = String;

/// Which letters an attempt knows as they are, from an unheeded copy, or with other bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Knows {
    same: u64,
    unheeded: u64,
    conflicting: u64,
    /// Whether a transition has been told: if not, a conflict would be the first.
    begun: bool,
}

impl Knows {
    /// Whether this attempt can go wherever the other one, which knows more, can go.
    fn is_within(self, more: Self) -> bool {
        self.same & !more.same == 0
            && self.unheeded & !(more.unheeded | more.same) == 0
            && self.conflicting & !more.conflicting == 0
            && (self.begun || self.conflicting == more.conflicting)
            && self.begun == more.begun
    }
}

/// An attempt, and whether an operator has closed a review of it.
struct Node {
    attempt: Attempt,
    ruled: bool,
}

impl Node {
    fn essence(&self) -> Essence {
        let Attempt { state, created, endpoint, terms, mode, reference, .. } = &self.attempt;
        let learned = (created, endpoint, &terms.amount, mode, reference);
        format!("{state:?} {learned:?} {}", self.ruled)
    }

    fn knows(&self, letters: &[Signal]) -> Knows {
        let mut knows = Knows { begun: self.attempt.sequence > 0, ..Knows::default() };
        for (index, letter) in letters.iter().enumerate() {
            match self.attempt.evidence.knows(letter) {
                Known::No => {}
                Known::Same => knows.same |= 1 << index,
                Known::Unheeded { .. } => knows.unheeded |= 1 << index,
                Known::Conflicting { .. } => knows.conflicting |= 1 << index,
            }
        }
        knows
    }
}

#[derive(Default)]
struct Walk {
    /// Words of the states that were reached, in the order of their declaration.
    states: Vec<&'static str>,
    seen: HashMap<Essence, Vec<Knows>>,
}

impl Walk {
    fn covers(&self, node: &Node, letters: &[Signal]) -> bool {
        let knows = node.knows(letters);
        let seen = self.seen.get(&node.essence());
        seen.is_some_and(|seen| seen.iter().any(|less| less.is_within(knows)))
    }

    /// Whether the node can go where no other could.
    fn is_new(&mut self, node: &Node, letters: &[Signal]) -> bool {
        let knows = node.knows(letters);
        let seen = self.seen.entry(node.essence()).or_default();
        let new = !seen.iter().any(|less| less.is_within(knows));
        if new {
            seen.retain(|more| !knows.is_within(*more));
            seen.push(knows);
        }
        new
    }
}

fn walk(start: &Attempt, policy: &Policy) -> Walk {
    let letters = alphabet();
    let mut walk = Walk::default();
    let start = Node { attempt: start.clone(), ruled: false };
    walk.is_new(&start, &letters);
    let (mut frontier, mut reached) = (vec![start], BTreeSet::new());
    while !frontier.is_empty() {
        let mut next = vec![];
        for Node { attempt, ruled } in &frontier {
            for letter in &letters {
                let signal = said_now(letter, attempt);
                let step = attempt.step(&signal, policy);
                invariants::hold(attempt, &signal, policy, &step, *ruled);
                if step.verdict == Verdict::Duplicate {
                    continue;
                }
                let ruled = *ruled || invariants::is_ruling(&signal, &step);
                let node = Node { attempt: step.next, ruled };
                if walk.is_new(&node, &letters) {
                    next.push(node);
                }
            }
        }
        reached.extend(frontier.iter().map(|node| node.attempt.state.name()));
        frontier = next;
    }
    walk.states = reached.into_iter().map(StateName::word).collect();
    walk
}

#[test]
fn no_history_breaks_an_invariant() {
    for start in [minted(), adopted()] {
        for policy in every_policy() {
            let walk = walk(&start, &policy);
            let all = StateName::ALL.iter().map(|name| name.word());
            let never = if policy.failed == OnFailed::KeepOpen { "failed" } else { "" };
            let all: Vec<&str> = all.filter(|word| *word != never).collect();
            assert_eq!(walk.states, all, "{:?} {policy:?}", start.origin);
        }
    }
}

/// Without any pruning, three signals at a time.
#[test]
fn the_walk_leaves_nothing_out() {
    let letters = alphabet();
    let asks_and_keeps_open = Policy { gate: GateClient::Present, ..keeps_open() };
    for (start, policy) in [(minted(), careful()), (adopted(), asks_and_keeps_open)] {
        let walk = walk(&start, &policy);
        let mut histories = 0;
        each(&start, false, &policy, &letters, 3, &mut |attempt, ruled| {
            histories += 1;
            let node = Node { attempt: attempt.clone(), ruled };
            assert!(walk.covers(&node, &letters), "the walk never saw {attempt:#?}");
        });
        assert_eq!(histories, 36 + 36 * 36 + 36 * 36 * 36);
    }
}

fn each(
    attempt: &Attempt,
    ruled: bool,
    policy: &Policy,
    letters: &[Signal],
    left: usize,
    visit: &mut impl FnMut(&Attempt, bool),
) {
    if left == 0 {
        return;
    }
    for letter in letters {
        let signal = said_now(letter, attempt);
        let step = attempt.step(&signal, policy);
        invariants::hold(attempt, &signal, policy, &step, ruled);
        let ruled = ruled || invariants::is_ruling(&signal, &step);
        visit(&step.next, ruled);
        each(&step.next, ruled, policy, letters, left - 1, visit);
    }
}
