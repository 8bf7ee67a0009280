//! What stands against a signal: that it is not this attempt's, that it comes out of time, or that
//! a completion does not agree with what is known of the money.

use super::ids::{SessionId, TransactionRef};
use super::policy::{GateClient, Policy};
use super::signal::{News, Signal, Source, Terms, Timeliness};
use super::state::Payment;
use super::verdict::ReviewCause;
use super::{Attempt, Origin};

/// Whether a signal is about this attempt's own session and came through its own endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Ours,
    OtherSession,
    OtherEndpoint,
}

impl Attempt {
    /// Whether this delivery of the signal may have an effect at all.
    pub(super) fn heeds(&self, signal: &Signal, policy: &Policy) -> bool {
        self.fit(signal) != Fit::OtherEndpoint && !too_late(signal, policy)
    }

    pub(super) fn fit(&self, signal: &Signal) -> Fit {
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
    pub(super) fn doubt(&self, signal: &Signal, policy: &Policy) -> Option<ReviewCause> {
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
        mismatch(&self.terms, &signal.facts.terms)
    }

    pub(super) fn session_with(&self, said: Option<&SessionId>) -> Option<SessionId> {
        self.state.session().or(said).cloned()
    }
}

impl Payment {
    /// Whether a completion that names `transaction` is of another payment than this. Where only
    /// the completion names one, what it was for has to tell.
    pub(super) fn is_another(
        &self,
        completion: &Signal,
        transaction: &Option<TransactionRef>,
    ) -> bool {
        match (self, transaction) {
            (Self::Named(had), Some(named)) => had != named,
            (Self::Unnamed(had), Some(_)) => mismatch(had, &completion.facts.terms).is_some(),
            (Self::Named(_) | Self::Unnamed(_), None) => false,
        }
    }
}

/// The first of the facts about the money that two tellings of it do not agree on.
fn mismatch(ours: &Terms, said: &Terms) -> Option<ReviewCause> {
    if !agree(&ours.amount, &said.amount, |ours, said| ours == said) {
        return Some(ReviewCause::AmountMismatch);
    }
    if !agree(&ours.currency, &said.currency, |ours, said| ours == said) {
        return Some(ReviewCause::CurrencyMismatch);
    }
    if !agree(&ours.flow, &said.flow, |ours, said| ours.agrees_with(*said)) {
        return Some(ReviewCause::FlowMismatch);
    }
    None
}

/// Out of time, and not a completion that nobody could ask 0Gate about.
pub(super) fn too_late(signal: &Signal, policy: &Policy) -> bool {
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
pub(super) fn answers_a_claim(news: &News) -> bool {
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
pub(super) fn differ<T: PartialEq>(had: &Option<T>, now: &Option<T>) -> bool {
    !agree(had, now, |had, now| had == now)
}
