//! What the outputs say of each attempt, over all time.

use super::invariant::Invariant;
use super::partition::{At, Place};
use super::proof::Fulfilled;
use super::report::Findings;
use crate::attempt::{Attempt, LateCompletion, Policy, StateName};
use crate::ports::Fetched;
use crate::wire::section::records;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::HashMap;

/// What the world has been told of every attempt so far.
#[derive(Debug)]
pub struct History {
    told: HashMap<Box<str>, Told>,
    /// Whether the journal is kept from its beginning, so that every history begins in it.
    whole: bool,
    pub fulfillments: u64,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    sequence: u64,
    state: StateName,
    /// Where its fulfillment stands.
    fulfilled: Option<At>,
    stored: bool,
}

#[derive(Debug, Deserialize)]
struct Moved<'a> {
    #[serde(borrow)]
    attempt_id: Cow<'a, str>,
    sequence: u64,
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    cause: Cause<'a>,
}

#[derive(Debug, Deserialize)]
struct Cause<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    name: Cow<'a, str>,
}

/// Moves to fulfilled within one part, and the attempts that made them.
pub type Completed = HashMap<String, u64>;

impl History {
    pub fn new(whole: bool) -> Self {
        Self { told: HashMap::new(), whole, fulfillments: 0 }
    }

    /// Takes the transitions of one part; says which attempts became fulfilled in it.
    pub fn transitions(
        &mut self,
        bytes: &[u8],
        place: Place,
        policy: Option<Policy>,
        findings: &mut Findings,
    ) -> Completed {
        let mut completed = Completed::new();
        for record in records(bytes).map_while(Result::ok) {
            let Ok(moved) = serde_json::from_slice::<Moved<'_>>(record.value) else {
                let key = String::from_utf8_lossy(record.key);
                let what = format!("a transition in {place} cannot be read");
                findings.add(Invariant::Fold, Some(&key), what);
                continue;
            };
            self.moved(&moved, place, policy, findings);
            if moved.to == StateName::Fulfilled.word() && moved.from.as_ref() != Some(&moved.to) {
                completed.insert(moved.attempt_id.into_owned(), moved.sequence);
            }
        }
        completed
    }

    fn moved(
        &mut self,
        moved: &Moved<'_>,
        place: Place,
        policy: Option<Policy>,
        findings: &mut Findings,
    ) {
        let Moved { attempt_id, sequence, from, to, cause } = moved;
        let mut add = |invariant, what: String| {
            let witness = format!("{what}: transition {sequence} in {place}");
            findings.add(invariant, Some(attempt_id), witness);
        };
        let Some(state) = StateName::from_word(to) else {
            return add(Invariant::Fold, format!("there is no state {to:?}"));
        };
        let before = self.told.get(attempt_id.as_ref()).copied();
        let known = before.is_some() || self.whole;
        let last = before.map_or(0, |told| told.sequence);
        let was = before.map(|told| told.state);
        if known && *sequence != last + 1 {
            add(Invariant::Fold, format!("the one before it has the number {last}"));
        }
        let from_name = from.as_deref().and_then(StateName::from_word);
        if known && from_name != was {
            let was = was.map_or("nothing", StateName::word);
            let from = from.as_deref().unwrap_or("nothing");
            add(Invariant::Fold, format!("it leaves {from}, and the attempt was in {was}"));
        }
        let left = was.or(from_name).filter(|left| *left != state);
        match left {
            Some(StateName::Fulfilled) => {
                add(Invariant::TerminalAbsorbs, format!("it leaves fulfilled for {to}"));
            }
            Some(closed @ (StateName::Failed | StateName::Expired | StateName::Cancelled)) => {
                let completes = cause.name == "gate_session.completed"
                    && matches!(cause.kind.as_ref(), "webhook" | "reading");
                let may_fulfill =
                    policy.is_none_or(|policy| policy.late_completion == LateCompletion::Fulfill);
                let allowed = match state {
                    StateName::Review => completes,
                    StateName::Fulfilled => completes && may_fulfill,
                    StateName::PendingSession
                    | StateName::RequiresAction
                    | StateName::Processing
                    | StateName::Failed
                    | StateName::Expired
                    | StateName::Cancelled => false,
                };
                if !allowed {
                    let (closed, name) = (closed.word(), &cause.name);
                    let what = format!("it leaves {closed} for {to} because of {name}");
                    add(Invariant::TerminalAbsorbs, what);
                }
            }
            Some(
                StateName::PendingSession
                | StateName::RequiresAction
                | StateName::Processing
                | StateName::Review,
            )
            | None => {}
        }
        match self.told.get_mut(attempt_id.as_ref()) {
            Some(told) => {
                told.sequence = *sequence;
                told.state = state;
            }
            None => {
                let told = Told { sequence: *sequence, state, fulfilled: None, stored: false };
                self.told.insert(Box::from(attempt_id.as_ref()), told);
            }
        }
    }

    /// Takes the fulfillments of one part, whose signals were `inputs`.
    pub fn fulfillments(
        &mut self,
        bytes: &[u8],
        place: Place,
        inputs: &[Fetched],
        mut completed: Completed,
        findings: &mut Findings,
    ) {
        for record in records(bytes).map_while(Result::ok) {
            self.fulfillments += 1;
            let Ok(fulfilled) = serde_json::from_slice::<Fulfilled<'_>>(record.value) else {
                let key = String::from_utf8_lossy(record.key);
                let what = format!("a fulfillment in {place} cannot be read");
                findings.add(Invariant::NoUnprovenFulfillment, Some(&key), what);
                continue;
            };
            let attempt = fulfilled.attempt_id.as_ref();
            if let Err(why) = fulfilled.rests_on(inputs) {
                let what = format!("{why}: the fulfillment in {place}");
                findings.add(Invariant::NoUnprovenFulfillment, Some(attempt), what);
            }
            let told = self.told.get_mut(attempt);
            if let Some(first) = told.as_ref().and_then(|told| told.fulfilled) {
                let what = format!("one in {first}, another in {place}");
                findings.add(Invariant::OneFulfillment, Some(attempt), what);
            }
            if completed.remove(attempt) != Some(fulfilled.sequence) {
                let what = format!("the fulfillment in {place} has no transition of its own");
                findings.add(Invariant::NoUnprovenFulfillment, Some(attempt), what);
            }
            match told {
                Some(told) => told.fulfilled = told.fulfilled.or(Some(place.at)),
                None => {
                    let told = Told {
                        sequence: 0,
                        state: StateName::PendingSession,
                        fulfilled: Some(place.at),
                        stored: false,
                    };
                    self.told.insert(Box::from(attempt), told);
                }
            }
        }
        for attempt in completed.keys() {
            let what = format!("it became fulfilled in {place}, and no fulfillment stands there");
            findings.add(Invariant::Fold, Some(attempt), what);
        }
    }

    /// Compares a stored attempt with what the world was told of it.
    pub fn settle(&mut self, attempt: &Attempt, findings: &mut Findings) {
        let id = attempt.id.as_str();
        let name = attempt.state.name();
        let mut add = |what| findings.add(Invariant::Fold, Some(id), what);
        let Some(told) = self.told.get_mut(id) else {
            if attempt.sequence > 0 && self.whole {
                add(format!("its state has seen {} transitions, of 0 stored", attempt.sequence));
            }
            return;
        };
        told.stored = true;
        if (told.sequence, told.state) != (attempt.sequence, name) {
            let (has, stored) = (told.sequence, told.state.word());
            add(format!(
                "its state is {} after {} transitions; the transitions end with {has}, to {stored}",
                name.word(),
                attempt.sequence
            ));
        }
        if self.whole && told.fulfilled.is_some() != (name == StateName::Fulfilled) {
            let has = if told.fulfilled.is_some() { "a" } else { "no" };
            add(format!("its state is {}, and it has {has} fulfillment", name.word()));
        }
    }

    /// What was told of attempts that no stored state is of.
    pub fn unsettled(&self, findings: &mut Findings) {
        let mut ids: Vec<&str> =
            self.told.iter().filter(|(_, told)| !told.stored).map(|(id, _)| id.as_ref()).collect();
        ids.sort_unstable();
        for id in ids {
            let what = "it has outputs, and no stored state".to_owned();
            findings.add(Invariant::Fold, Some(id), what);
        }
    }
}
