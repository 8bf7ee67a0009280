//! The core: what an attempt makes of a signal.
//!
//! Pure. No clock, no I/O, no serialization, no iteration in hash order: a signal and the attempt
//! as it stands go in, a verdict, the next attempt and the effects come out.
//!
//! ```text
//!  pending_session ──▶ requires_action ──▶ processing        (any may be skipped or overtaken)
//!        │                   │                 │
//!        └───────────────────┴────────┬────────┘
//!              ┌───────────┬──────────┼───────────┐
//!              ▼           ▼          ▼           ▼
//!          fulfilled ◀─ failed     expired    cancelled
//!              ▲           │          │           │      a late completion, by policy
//!              └─ review ◀─┴──────────┴───────────┘
//! ```
//!
//! Start reading at [`Attempt::step`], then `transition`.

mod amount;
mod doubt;
mod effect;
mod evidence;
mod ids;
mod policy;
mod session;
mod signal;
mod state;
mod transition;
mod verdict;
mod words;

pub use amount::{Amount, AmountError, Code, CodeError};
pub use effect::{Alarm, Effect, Fulfillment, Moved, Outcome, Proof};
pub use evidence::{EVIDENCE_MAX, Entry, Evidence, Known};
pub use ids::{
    AccountId, AttemptId, Digest, EndpointName, ID_BYTES_MAX, IdError, OperatorId, Position,
    SessionId, SignalId, Timestamp, TransactionRef,
};
pub use policy::{GateClient, LateCompletion, OnFailed, Policy, UnknownSession};
pub use session::{Claim, Fate, Home, HomeEffect, HomeStep, PARKED_MAX};
pub use signal::{
    Decision, EventName, Facts, News, NewsName, Reason, Ruling, Signal, Source, Terms, Timeliness,
};
pub use state::{CameFrom, Completion, Payment, State, StateName};
pub use verdict::{Contradiction, DeadLetter, ReviewCause, Stale, Verdict};
pub(crate) use words::words;
pub use words::{Flow, Mode, ProofKind, SourceKind};

use std::sync::Arc;
use transition::Transition;

/// One customer's one try at one flow, with everything it was ever told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: AttemptId,
    pub origin: Origin,
    /// Whether our own `created` has been seen. Only it makes the terms binding for a minted one.
    pub created: bool,
    pub mode: Option<Mode>,
    /// The endpoint that this attempt's events come through.
    pub endpoint: Option<EndpointName>,
    pub terms: Terms,
    pub reference: Option<Arc<str>>,
    pub state: State,
    /// Transitions written so far; the newest has this number.
    pub sequence: u64,
    pub evidence: Evidence,
    /// Copies of signals that were already known, and readings that said nothing new.
    pub duplicates: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We made its id, and 0Gate echoes it as the user reference.
    Minted,
    /// Made of a session that nobody had claimed; it goes by the session's id.
    Adopted,
}

/// What showing one signal to one attempt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step {
    pub verdict: Verdict,
    /// The attempt as it will be once this has been committed.
    pub next: Attempt,
    pub effects: Vec<Effect>,
}

impl Attempt {
    /// An attempt that has been told nothing yet.
    pub fn unseen(id: AttemptId, origin: Origin) -> Self {
        Self {
            id,
            origin,
            created: false,
            mode: None,
            endpoint: None,
            terms: Terms::default(),
            reference: None,
            state: State::PendingSession { reserved: None },
            sequence: 0,
            evidence: Evidence::default(),
            duplicates: 0,
        }
    }

    /// Decides what `signal` means for this attempt.
    ///
    /// Takes `&self` and hands the next attempt back as a value, so that whoever could not commit
    /// drops `next` and still holds the truth.
    pub fn step(&self, signal: &Signal, policy: &Policy) -> Step {
        let replacing = match self.evidence.knows(signal) {
            Known::Same => return self.duplicate(),
            Known::Unheeded { .. } | Known::Conflicting { unheeded: Some(_) }
                if !self.heeds(signal, policy) =>
            {
                return self.duplicate();
            }
            Known::Conflicting { unheeded } => return self.conflict(signal, unheeded),
            Known::Unheeded { index } => Some(index),
            Known::No => None,
        };
        let transition = self.transition(signal, policy);
        #[cfg(test)]
        let transition = tests::mutant::twisted(self, signal, transition);
        if transition == Transition::Old(Stale::NothingNew) && signal.source == Source::Reading {
            return Step { verdict: Verdict::Stale(Stale::NothingNew), ..self.duplicate() };
        }
        let no_room = replacing.is_none() && self.evidence.is_full();
        if no_room && !self.passes_when_full(signal, &transition) {
            return self.full();
        }
        match transition {
            Transition::Old(why) => self.stay(signal, why, self.state.clone(), replacing, policy),
            Transition::OldTo(why, state) => self.stay(signal, why, state, replacing, policy),
            Transition::Clash(why) => self.clash(signal, why, self.state.clone(), replacing),
            Transition::ClashTo(why, state) => self.clash(signal, why, state, replacing),
            Transition::Noted => self.apply(signal, self.state.clone(), replacing),
            Transition::To(state) => self.apply(signal, state, replacing),
        }
    }

    fn duplicate(&self) -> Step {
        let next = Self { duplicates: self.duplicates + 1, ..self.clone() };
        Step { verdict: Verdict::Duplicate, next, effects: vec![] }
    }

    /// The first stays. The second's bytes go to a person, once.
    fn conflict(&self, signal: &Signal, replacing: Option<usize>) -> Step {
        if replacing.is_none() && self.evidence.is_full() {
            return self.full();
        }
        let verdict = Verdict::Contradiction(Contradiction::EventIdConflict);
        let mut next = self.clone();
        next.evidence = self.evidence.with(signal, verdict, replacing);
        let moved = next.moved(signal, verdict, self.named(), None);
        let effects = vec![
            Effect::Moved(moved),
            Effect::DeadLetter(DeadLetter::EventIdConflict),
            Effect::Alarm(Alarm::EventIdConflict),
        ];
        Step { verdict, next, effects }
    }

    fn full(&self) -> Step {
        Step {
            verdict: Verdict::Stale(Stale::EvidenceFull),
            next: self.clone(),
            effects: vec![
                Effect::DeadLetter(DeadLetter::EvidenceFull),
                Effect::Alarm(Alarm::EvidenceFull),
            ],
        }
    }

    /// Money that moved and the word that ends a review find room even in a full record. What
    /// moves nothing finds none, or a flood of it would grow the record without end.
    fn passes_when_full(&self, signal: &Signal, transition: &Transition) -> bool {
        let moves = matches!(transition, Transition::To(_));
        match &signal.news {
            News::Completed { .. } => moves && !self.evidence.has_applied(NewsName::Completed),
            News::Decided(_) => moves,
            News::SessionCreated
            | News::KycRequired
            | News::Processing
            | News::Failed { .. }
            | News::Expired
            | News::Cancelled
            | News::StillOpen
            | News::Unknown { .. }
            | News::Created { .. }
            | News::Attached { .. }
            | News::ClaimGranted
            | News::ClaimRefused { .. }
            | News::BrowserReturned
            | News::BrowserLeft
            | News::CancelRequested => false,
        }
    }

    fn stay(
        &self,
        signal: &Signal,
        why: Stale,
        state: State,
        replacing: Option<usize>,
        policy: &Policy,
    ) -> Step {
        let verdict = Verdict::Stale(why);
        let mut next = self.clone();
        next.state = state;
        next.evidence = self.evidence.with(signal, verdict, replacing);
        let mut effects = vec![];
        if why == Stale::DuplicateFulfillmentBlocked {
            effects.push(Effect::Alarm(Alarm::DuplicateFulfillmentBlocked));
        }
        if why == Stale::OutOfTime
            && policy.gate == GateClient::Present
            && let Some(session) = signal.facts.session.as_ref().or(self.state.session())
        {
            effects.push(Effect::Read { session: session.clone() });
        }
        Step { verdict, next, effects }
    }

    fn clash(
        &self,
        signal: &Signal,
        why: Contradiction,
        state: State,
        replacing: Option<usize>,
    ) -> Step {
        let verdict = Verdict::Contradiction(why);
        let mut next = self.clone();
        next.state = state;
        next.evidence = self.evidence.with(signal, verdict, replacing);
        let moved = next.moved(signal, verdict, self.named(), None);
        Step { verdict, next, effects: vec![Effect::Moved(moved), Effect::Alarm(why.into())] }
    }

    fn apply(&self, signal: &Signal, state: State, replacing: Option<usize>) -> Step {
        let verdict = Verdict::Applied;
        let mut next = self.clone();
        next.state = state;
        next.learn(signal);
        next.evidence = self.evidence.with(signal, verdict, replacing);

        let mut effects = vec![];
        let (from, to) = (self.named(), next.state.name());
        if from != Some(to) {
            let review =
                if let State::Review { cause, .. } = &next.state { Some(*cause) } else { None };
            effects.push(Effect::Moved(next.moved(signal, verdict, from, review)));
            if to == StateName::Fulfilled {
                effects.push(Effect::Fulfill(Box::new(next.fulfillment(signal, &self.state))));
            }
            if to.is_outcome() {
                effects.push(Effect::Outcome(next.outcome(signal)));
            }
            effects.extend(alarms(&self.state, &next.state, signal).map(Effect::Alarm));
        }
        if next.origin == Origin::Minted
            && let Some(session) = next.state.session()
            && self.state.session() != Some(session)
        {
            effects.push(Effect::Claim { session: session.clone() });
        }
        Step { verdict, next, effects }
    }

    /// The state that the world has been told of: none before the first transition.
    fn named(&self) -> Option<StateName> {
        (self.sequence > 0).then(|| self.state.name())
    }

    /// Takes what the signal says of the business, where nobody with more right has said it.
    fn learn(&mut self, signal: &Signal) {
        let said = &signal.facts.terms;
        if let News::Created { terms, endpoint } = &signal.news {
            self.created = true;
            self.terms = terms.clone();
            self.endpoint = endpoint.clone().or(self.endpoint.take());
        } else if self.origin == Origin::Adopted {
            let ours = &mut self.terms;
            ours.account = ours.account.take().or_else(|| said.account.clone());
            ours.flow = ours.flow.or(said.flow);
            ours.amount = ours.amount.take().or_else(|| said.amount.clone());
            ours.currency = ours.currency.take().or_else(|| said.currency.clone());
            ours.target_token = ours.target_token.take().or_else(|| said.target_token.clone());
            ours.target_network =
                ours.target_network.take().or_else(|| said.target_network.clone());
        }
        if let News::Attached { endpoint } = &signal.news
            && self.endpoint.is_none()
        {
            self.endpoint = endpoint.clone();
        }
        if let Source::Webhook { endpoint, .. } = &signal.source
            && self.endpoint.is_none()
        {
            self.endpoint = Some(endpoint.clone());
        }
        if self.reference.is_none() {
            self.reference = signal.facts.reference.clone();
        }
        if self.mode.is_none() {
            self.mode = signal.facts.mode;
        }
    }

    /// Numbers the next transition and describes it.
    fn moved(
        &mut self,
        signal: &Signal,
        verdict: Verdict,
        from: Option<StateName>,
        review: Option<ReviewCause>,
    ) -> Moved {
        self.sequence += 1;
        Moved {
            attempt: self.id.clone(),
            account: self.terms.account.clone(),
            sequence: self.sequence,
            from,
            to: self.state.name(),
            verdict,
            review,
            cause_kind: signal.source.kind(),
            cause_id: signal.id.clone(),
            cause_name: signal.news.name(),
            session: self.state.session().cloned(),
            reference: self.reference.clone(),
        }
    }

    fn fulfillment(&self, signal: &Signal, before: &State) -> Fulfillment {
        // An operator fulfills what the completion under review said.
        let said = if let State::Review { completion, .. } = before {
            &completion.terms
        } else {
            &signal.facts.terms
        };
        let transaction = if let State::Fulfilled { payment, .. } = &self.state {
            payment.transaction().cloned()
        } else {
            None
        };
        Fulfillment {
            attempt: self.id.clone(),
            mode: self.mode,
            session: self.state.session().cloned(),
            transaction,
            terms: self.paid(said),
            reference: self.reference.clone(),
            sequence: self.sequence,
            proof: Proof {
                kind: signal.proves(),
                event: signal.id.clone(),
                digest: signal.digest,
                position: signal.position,
            },
            occurred_at: signal.provider_at,
            received_at: signal.received_at,
        }
    }

    /// What a payment was for: as the completion said it, and as it was agreed where that is silent.
    fn paid(&self, said: &Terms) -> Terms {
        let ours = &self.terms;
        Terms {
            account: ours.account.clone(),
            flow: ours.flow.or(said.flow),
            amount: said.amount.clone().or_else(|| ours.amount.clone()),
            currency: said.currency.clone().or_else(|| ours.currency.clone()),
            target_token: said.target_token.clone().or_else(|| ours.target_token.clone()),
            target_network: said.target_network.clone().or_else(|| ours.target_network.clone()),
        }
    }

    fn outcome(&self, signal: &Signal) -> Outcome {
        Outcome {
            attempt: self.id.clone(),
            flow: self.terms.flow,
            state: self.state.name(),
            sequence: self.sequence,
            provider_at: signal.provider_at,
            received_at: signal.received_at,
            signals: self.evidence.entries().len() as u64,
            duplicates: self.duplicates,
        }
    }
}

impl Signal {
    fn proves(&self) -> ProofKind {
        match self.source {
            Source::Webhook { .. } => ProofKind::Webhook,
            Source::Reading => ProofKind::Reading,
            Source::Command => ProofKind::Operator,
        }
    }
}

/// Who should hear of this change at once.
fn alarms(before: &State, after: &State, signal: &Signal) -> impl Iterator<Item = Alarm> {
    let completes = matches!(signal.news, News::Completed { .. });
    let was_closed =
        matches!(before, State::Failed { .. } | State::Expired { .. } | State::Cancelled { .. });
    let late = (completes && was_closed).then_some(Alarm::LateCompletion);
    let review = (after.name() == StateName::Review).then_some(Alarm::Review);
    late.into_iter().chain(review)
}

#[cfg(test)]
mod tests;
