//! The whole transition policy: one match over (state, news), every pair spelled out and no `_`.
//! A new state or a new kind of news does not compile until someone has decided what it means
//! against each of the others.

use super::Attempt;
use super::doubt::{Fit, answers_a_claim, differ, too_late};
use super::ids::{SessionId, TransactionRef};
use super::policy::{LateCompletion, OnFailed, Policy};
use super::signal::{News, NewsName, Ruling, Signal, Source, Terms};
use super::state::{CameFrom, Completion, Payment, State};
use super::verdict::{Contradiction, ReviewCause, Stale};

/// What a signal makes of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// The state becomes this. Where its name stays the same, only what it carries changes.
    To(State),
    /// True, and changes no state: the record learned something.
    Noted,
    Old(Stale),
    /// Old, but it names what the state had left open.
    OldTo(Stale, State),
    Clash(Contradiction),
    /// A clash that also frees what the attempt held.
    ClashTo(Contradiction, State),
}

impl Attempt {
    pub(super) fn transition(&self, signal: &Signal, policy: &Policy) -> Transition {
        use Contradiction as Why;
        use News as N;
        use State as S;
        use Transition::{Clash, ClashTo, Noted, Old, To};

        let session = signal.facts.session.as_ref();
        let completes = matches!(signal.news, N::Completed { .. });
        match self.fit(signal) {
            Fit::Ours => {}
            Fit::OtherEndpoint => return Clash(Why::ForeignEndpoint),
            // A completion of another session is money that moved: the match below decides.
            Fit::OtherSession if completes => {}
            Fit::OtherSession if answers_a_claim(&signal.news) => return Old(Stale::Overtaken),
            Fit::OtherSession => return Clash(Why::ForeignSession),
        }
        if too_late(signal, policy) {
            return Old(Stale::OutOfTime);
        }

        match (&self.state, &signal.news) {
            // A verified completion of an attempt that is still open.
            (
                S::PendingSession { .. } | S::RequiresAction { .. } | S::Processing { .. },
                N::Completed { transaction },
            ) => match self.doubt(signal, policy) {
                None => To(self.fulfilled(session, transaction, &signal.facts.terms)),
                Some(cause) => To(self.review(cause, signal, transaction)),
            },

            // Money moved after we had closed. Policy decides, and the one wrong answer is silence.
            (
                S::Failed { .. } | S::Expired { .. } | S::Cancelled { .. },
                N::Completed { transaction },
            ) => match (self.doubt(signal, policy), policy.late_completion) {
                (Some(cause), LateCompletion::Review | LateCompletion::Fulfill) => {
                    To(self.review(cause, signal, transaction))
                }
                (None, LateCompletion::Review) => {
                    To(self.review(ReviewCause::LateCompletion, signal, transaction))
                }
                // A person has closed this once: it is not reopened over their head.
                (None, LateCompletion::Fulfill) if self.evidence.has_applied(NewsName::Decided) => {
                    To(self.review(ReviewCause::LateCompletion, signal, transaction))
                }
                (None, LateCompletion::Fulfill) => {
                    To(self.fulfilled(session, transaction, &signal.facts.terms))
                }
            },

            // Nothing fulfills twice. Another payment is for a person to look at.
            (S::Fulfilled { payment, .. }, N::Completed { transaction }) => {
                if self.fit(signal) == Fit::OtherSession || payment.is_another(signal, transaction)
                {
                    Clash(Why::SecondPayment)
                } else if signal.source == Source::Reading {
                    self.told_again(Stale::NothingNew, transaction)
                } else {
                    self.told_again(Stale::DuplicateFulfillmentBlocked, transaction)
                }
            }
            (S::Review { session: own, completion, .. }, N::Completed { transaction }) => {
                if differ(&completion.paid(own), &session)
                    || completion.payment().is_another(signal, transaction)
                {
                    Clash(Why::SecondPayment)
                } else {
                    self.told_again(Stale::NothingNew, transaction)
                }
            }

            // The hosted flow opened. A webhook may overtake our own record of the session.
            (S::PendingSession { .. }, N::SessionCreated | N::KycRequired | N::StillOpen) => {
                match self.session_with(session) {
                    Some(session) => To(S::RequiresAction { session, setback: None }),
                    None => Old(Stale::NoSession),
                }
            }
            (S::RequiresAction { .. }, N::SessionCreated | N::KycRequired | N::StillOpen)
            | (S::Processing { .. }, N::KycRequired | N::StillOpen | N::Processing) => {
                Old(Stale::NothingNew)
            }
            (S::Processing { .. }, N::SessionCreated) => Old(Stale::Overtaken),

            (S::PendingSession { .. }, N::Processing) => match self.session_with(session) {
                Some(session) => To(S::Processing { session }),
                None => Old(Stale::NoSession),
            },
            (S::RequiresAction { session, .. }, N::Processing | N::BrowserReturned) => {
                To(S::Processing { session: session.clone() })
            }

            // Endings without a fulfillment.
            (
                S::PendingSession { .. } | S::RequiresAction { .. } | S::Processing { .. },
                N::Failed { reason },
            ) => match (self.session_with(session), policy.failed) {
                (None, OnFailed::Close | OnFailed::KeepOpen) => Old(Stale::NoSession),
                (Some(session), OnFailed::Close) => {
                    To(S::Failed { session, reason: reason.clone() })
                }
                (Some(session), OnFailed::KeepOpen) => {
                    To(S::RequiresAction { session, setback: reason.clone() })
                }
            },
            (
                S::PendingSession { .. } | S::RequiresAction { .. } | S::Processing { .. },
                N::Expired,
            ) => match self.session_with(session) {
                Some(session) => To(S::Expired { session }),
                None => Old(Stale::NoSession),
            },
            (
                S::PendingSession { .. } | S::RequiresAction { .. } | S::Processing { .. },
                N::Cancelled,
            ) => match self.session_with(session) {
                Some(session) => To(S::Cancelled { session: Some(session) }),
                None => Old(Stale::NoSession),
            },
            (
                S::PendingSession { .. } | S::RequiresAction { .. } | S::Processing { .. },
                N::CancelRequested,
            ) => To(S::Cancelled { session: self.state.session().cloned() }),

            // Nothing un-fulfills.
            (S::Fulfilled { .. }, N::Failed { .. } | N::Expired | N::Cancelled) => {
                Clash(Why::AfterFulfilled)
            }

            // What comes after the end, and is not a completion, is old.
            (
                S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::SessionCreated | N::KycRequired | N::Processing | N::CancelRequested,
            )
            | (S::Failed { .. }, N::Expired | N::Cancelled)
            | (S::Expired { .. }, N::Failed { .. } | N::Cancelled)
            | (S::Cancelled { .. }, N::Failed { .. } | N::Expired)
            | (S::Review { .. }, N::Failed { .. } | N::Expired | N::Cancelled) => {
                Old(Stale::Overtaken)
            }
            (S::Failed { .. }, N::Failed { .. })
            | (S::Expired { .. }, N::Expired)
            | (S::Cancelled { .. }, N::Cancelled) => Old(Stale::NothingNew),
            (
                S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::StillOpen,
            ) => Old(Stale::NothingNew),

            // Our own side. `created` gives the terms and moves nothing.
            (
                S::PendingSession { .. }
                | S::RequiresAction { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::Created { terms, .. },
            ) => match (self.created, *terms == self.terms) {
                (false, true | false) => Noted,
                (true, true) => Old(Stale::NothingNew),
                (true, false) => Clash(Why::AlreadyCreated),
            },

            // A session that we made is reserved here first, and ours once its home agrees.
            (S::PendingSession { reserved: None }, N::Attached { .. }) => match session {
                Some(session) => To(S::PendingSession { reserved: Some(session.clone()) }),
                None => Old(Stale::NoSession),
            },
            (S::Cancelled { session: None }, N::Attached { .. }) => match session {
                Some(session) => To(S::Cancelled { session: Some(session.clone()) }),
                None => Old(Stale::NoSession),
            },
            (
                S::PendingSession { reserved: Some(_) }
                | S::RequiresAction { .. }
                | S::Processing { .. },
                N::Attached { .. },
            )
            | (S::RequiresAction { .. } | S::Processing { .. }, N::ClaimGranted)
            | (
                S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::ClaimGranted,
            ) => Old(Stale::NothingNew),
            (
                S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { session: Some(_) }
                | S::Review { session: Some(_), .. },
                N::Attached { .. },
            ) => Old(Stale::Overtaken),
            (S::Review { session: None, cause, completion, came_from }, N::Attached { .. }) => {
                match session {
                    Some(session) => To(S::Review {
                        session: Some(session.clone()),
                        cause: *cause,
                        completion: completion.clone(),
                        came_from: came_from.clone(),
                    }),
                    None => Old(Stale::NoSession),
                }
            }
            (S::PendingSession { reserved: Some(session) }, N::ClaimGranted) => {
                To(S::RequiresAction { session: session.clone(), setback: None })
            }
            (S::PendingSession { reserved: None }, N::ClaimGranted | N::ClaimRefused { .. }) => {
                Old(Stale::Overtaken)
            }
            (S::PendingSession { reserved: Some(_) }, N::ClaimRefused { .. }) => {
                ClashTo(Why::SessionHeld, S::PendingSession { reserved: None })
            }
            (
                S::RequiresAction { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::ClaimRefused { .. },
            ) => Clash(Why::SessionHeld),

            // The browser proves nothing: at most it moves the customer's own view on.
            (
                S::PendingSession { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::BrowserReturned,
            )
            | (
                S::PendingSession { .. }
                | S::RequiresAction { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::BrowserLeft,
            ) => Old(Stale::NothingNew),

            // A person's word ends a review, and nothing else.
            (S::Review { session, completion, came_from, .. }, N::Decided(decision)) => {
                if decision.saw != self.sequence {
                    return Old(Stale::DecisionOutdated);
                }
                match decision.ruling {
                    Ruling::Fulfill => To(self.fulfilled(
                        completion.paid(session),
                        &completion.transaction,
                        &completion.terms,
                    )),
                    Ruling::Close => To(closed(came_from, session)),
                }
            }
            (
                S::PendingSession { .. }
                | S::RequiresAction { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. },
                N::Decided(_),
            ) => Old(Stale::NotInReview),

            (
                S::PendingSession { .. }
                | S::RequiresAction { .. }
                | S::Processing { .. }
                | S::Fulfilled { .. }
                | S::Failed { .. }
                | S::Expired { .. }
                | S::Cancelled { .. }
                | S::Review { .. },
                N::Unknown { .. },
            ) => Old(Stale::UnknownType),
        }
    }

    fn fulfilled(
        &self,
        session: Option<&SessionId>,
        transaction: &Option<TransactionRef>,
        said: &Terms,
    ) -> State {
        // A copy of the completion names the flow that it named, and not the one that we agreed on.
        let terms = Terms { flow: said.flow.or(self.terms.flow), ..self.paid(said) };
        State::Fulfilled {
            session: session.or(self.state.session()).cloned(),
            payment: Payment::of(transaction.as_ref(), terms),
        }
    }

    /// One more completion of the payment that is known. The first of them to name a transaction
    /// names the payment's: from then on another reference is another payment.
    fn told_again(&self, why: Stale, transaction: &Option<TransactionRef>) -> Transition {
        match transaction.as_ref().and_then(|transaction| self.state.naming(transaction)) {
            Some(state) => Transition::OldTo(why, state),
            None => Transition::Old(why),
        }
    }

    fn review(
        &self,
        cause: ReviewCause,
        signal: &Signal,
        transaction: &Option<TransactionRef>,
    ) -> State {
        State::Review {
            session: self.session_with(signal.facts.session.as_ref()),
            cause,
            completion: Completion {
                session: signal.facts.session.clone(),
                transaction: transaction.clone(),
                terms: signal.facts.terms.clone(),
            },
            came_from: self.state.came_from(),
        }
    }
}

/// Where a review goes when it is closed: back to the end that it came from, else cancelled.
fn closed(came_from: &CameFrom, session: &Option<SessionId>) -> State {
    match came_from {
        // One that was cancelled before it had a session keeps the one that it was reviewed with:
        // it has been claimed since.
        CameFrom::Open | CameFrom::Cancelled => State::Cancelled { session: session.clone() },
        CameFrom::Failed { session, reason } => {
            State::Failed { session: session.clone(), reason: reason.clone() }
        }
        CameFrom::Expired { session } => State::Expired { session: session.clone() },
    }
}
