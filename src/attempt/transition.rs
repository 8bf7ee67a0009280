//! The whole transition policy: one match over (state, news), every pair spelled out and no `_`.
//! A new state or a new kind of news does not compile until someone has decided what it means
//! against each of the others.

use super::ids::{SessionId, TransactionRef};
use super::policy::{GateClient, LateCompletion, OnFailed, Policy};
use super::signal::{News, NewsName, Ruling, Signal, Source, Timeliness};
use super::state::{CameFrom, Completion, State};
use super::verdict::{Contradiction, ReviewCause, Stale};
use super::{Attempt, Origin};

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

/// Whether a signal is about this attempt's own session and came through its own endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Ours,
    OtherSession,
    OtherEndpoint,
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
                None => To(self.fulfilled(session, transaction)),
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
                (None, LateCompletion::Fulfill) => To(self.fulfilled(session, transaction)),
            },

            // Nothing fulfills twice. Another payment is for a person to look at.
            (S::Fulfilled { transaction: had, .. }, N::Completed { transaction }) => {
                if self.fit(signal) == Fit::OtherSession || differ(had, transaction) {
                    Clash(Why::SecondPayment)
                } else if signal.source == Source::Reading {
                    self.told_again(Stale::NothingNew, transaction)
                } else {
                    self.told_again(Stale::DuplicateFulfillmentBlocked, transaction)
                }
            }
            (S::Review { session: own, completion, .. }, N::Completed { transaction }) => {
                if differ(&completion.paid(own), &session)
                    || differ(&completion.transaction, transaction)
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
                    Ruling::Fulfill => To(S::Fulfilled {
                        session: completion.paid(session).cloned(),
                        transaction: completion.transaction.clone(),
                    }),
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

    /// Whether this delivery of the signal may have an effect at all.
    pub(super) fn heeds(&self, signal: &Signal, policy: &Policy) -> bool {
        self.fit(signal) != Fit::OtherEndpoint && !too_late(signal, policy)
    }

    fn fit(&self, signal: &Signal) -> Fit {
        if let (Source::Webhook { endpoint, .. }, Some(ours)) = (&signal.source, &self.endpoint)
            && endpoint != ours
        {
            return Fit::OtherEndpoint;
        }
        match (self.state.session(), &signal.facts.session) {
            (Some(ours), Some(theirs)) if ours != theirs && speaks_of_a_session(&signal.news) => {
                Fit::OtherSession
            }
            (Some(_) | None, Some(_) | None) => Fit::Ours,
        }
    }

    /// Why a completion may not fulfill by itself. The first cause in this order is named.
    fn doubt(&self, signal: &Signal, policy: &Policy) -> Option<ReviewCause> {
        let said = &signal.facts.terms;
        if self.fit(signal) == Fit::OtherSession {
            return Some(ReviewCause::ForeignSession);
        }
        if self.session_with(signal.facts.session.as_ref()).is_none() {
            return Some(ReviewCause::NoSession);
        }
        if self.origin == Origin::Minted && !self.created {
            return Some(ReviewCause::BeforeCreated);
        }
        if out_of_time(signal) && policy.gate == GateClient::Absent {
            return Some(ReviewCause::OutOfTime);
        }
        if signal.facts.unreadable {
            return Some(ReviewCause::UnreadableTerms);
        }
        if !agree(&self.terms.amount, &said.amount, |ours, theirs| ours == theirs) {
            return Some(ReviewCause::AmountMismatch);
        }
        if !agree(&self.terms.currency, &said.currency, |ours, theirs| ours == theirs) {
            return Some(ReviewCause::CurrencyMismatch);
        }
        if !agree(&self.terms.flow, &said.flow, |ours, theirs| ours.agrees_with(*theirs)) {
            return Some(ReviewCause::FlowMismatch);
        }
        None
    }

    fn session_with(&self, said: Option<&SessionId>) -> Option<SessionId> {
        self.state.session().or(said).cloned()
    }

    fn fulfilled(
        &self,
        session: Option<&SessionId>,
        transaction: &Option<TransactionRef>,
    ) -> State {
        State::Fulfilled { session: self.session_with(session), transaction: transaction.clone() }
    }

    /// One more completion of the payment that is known. The first of them to name a transaction
    /// names the payment's: from then on another reference is another payment.
    fn told_again(&self, why: Stale, transaction: &Option<TransactionRef>) -> Transition {
        match self.state.naming(transaction) {
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

/// Out of time, and not a completion that nobody could ask 0Gate about.
fn too_late(signal: &Signal, policy: &Policy) -> bool {
    let completes = matches!(signal.news, News::Completed { .. });
    out_of_time(signal) && !(completes && policy.gate == GateClient::Absent)
}

fn out_of_time(signal: &Signal) -> bool {
    matches!(signal.source, Source::Webhook { timeliness: Timeliness::OutOfTime, .. })
}

/// What our own side says of the attempt itself is not about a session, whatever it carries.
fn speaks_of_a_session(news: &News) -> bool {
    match news {
        News::Created { .. }
        | News::BrowserReturned
        | News::BrowserLeft
        | News::CancelRequested
        | News::Decided(_) => false,
        News::SessionCreated
        | News::KycRequired
        | News::Processing
        | News::Completed { .. }
        | News::Failed { .. }
        | News::Expired
        | News::Cancelled
        | News::StillOpen
        | News::Unknown { .. }
        | News::Attached { .. }
        | News::ClaimGranted
        | News::ClaimRefused { .. } => true,
    }
}

/// An answer about a session that has been let go since is merely late.
fn answers_a_claim(news: &News) -> bool {
    matches!(news, News::ClaimGranted | News::ClaimRefused { .. })
}

/// An absent fact never disagrees.
fn agree<T>(ours: &Option<T>, theirs: &Option<T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => same(ours, theirs),
        (Some(_) | None, Some(_) | None) => true,
    }
}

/// Two of a kind are another one only where both are named.
fn differ<T: PartialEq>(had: &Option<T>, now: &Option<T>) -> bool {
    !agree(had, now, |had, now| had == now)
}
