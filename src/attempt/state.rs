//! Where an attempt stands. Each state carries exactly what is true in it.

use super::ids::{SessionId, TransactionRef};
use super::signal::{Reason, Terms};
use super::verdict::ReviewCause;
use super::words::words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The attempt is ours alone. A session that we made for it may be reserved until that
    /// session's home has said whose it is.
    PendingSession {
        reserved: Option<SessionId>,
    },
    /// The hosted flow is open and waits for the customer; `setback` is why the last try failed.
    RequiresAction {
        session: SessionId,
        setback: Option<Reason>,
    },
    /// The customer has done their part. Whether money moved is not known.
    Processing {
        session: SessionId,
    },
    /// Completion was verified and the fulfillment is owed from this moment.
    Fulfilled {
        session: Option<SessionId>,
        payment: Payment,
    },
    Failed {
        session: SessionId,
        reason: Option<Reason>,
    },
    Expired {
        session: SessionId,
    },
    /// Closed by the customer, by us, or by an operator. It may never have had a session.
    Cancelled {
        session: Option<SessionId>,
    },
    /// Money may have moved and a person must decide.
    Review {
        session: Option<SessionId>,
        cause: ReviewCause,
        completion: Completion,
        came_from: CameFrom,
    },
}

/// What tells a payment from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    /// The transaction of the first of its completions that named one, which may have come after
    /// the fulfillment.
    Named(TransactionRef),
    /// None of them has. Until one does, all that is known of it is what it was for.
    Unnamed(Terms),
}

impl Payment {
    pub(super) fn of(transaction: Option<&TransactionRef>, terms: Terms) -> Self {
        match transaction {
            Some(transaction) => Self::Named(transaction.clone()),
            None => Self::Unnamed(terms),
        }
    }

    pub fn transaction(&self) -> Option<&TransactionRef> {
        match self {
            Self::Named(transaction) => Some(transaction),
            Self::Unnamed(_) => None,
        }
    }
}

/// What the completion said that brought a review about: an operator who fulfills it fulfills this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The session that was paid, which need not be the attempt's own.
    pub session: Option<SessionId>,
    /// As it named it, or, if it did not, as the first later completion of the same payment did.
    pub transaction: Option<TransactionRef>,
    pub terms: Terms,
}

impl Completion {
    /// The session that was paid: where it names none, the attempt's own.
    pub(super) fn paid<'a>(&'a self, own: &'a Option<SessionId>) -> Option<&'a SessionId> {
        self.session.as_ref().or(own.as_ref())
    }

    pub(super) fn payment(&self) -> Payment {
        Payment::of(self.transaction.as_ref(), self.terms.clone())
    }
}

/// What a review goes back to when it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CameFrom {
    /// It had not ended: closing the review cancels it.
    Open,
    Failed {
        session: SessionId,
        reason: Option<Reason>,
    },
    Expired {
        session: SessionId,
    },
    Cancelled,
}

words! {
    StateName {
        PendingSession = "pending_session",
        RequiresAction = "requires_action",
        Processing = "processing",
        Fulfilled = "fulfilled",
        Failed = "failed",
        Expired = "expired",
        Cancelled = "cancelled",
        Review = "review",
    }
}

impl StateName {
    /// An outcome is worth a metric: the attempt ended, or a person must look.
    pub fn is_outcome(self) -> bool {
        match self {
            Self::PendingSession | Self::RequiresAction | Self::Processing => false,
            Self::Fulfilled | Self::Failed | Self::Expired | Self::Cancelled | Self::Review => true,
        }
    }
}

impl State {
    pub fn name(&self) -> StateName {
        match self {
            Self::PendingSession { .. } => StateName::PendingSession,
            Self::RequiresAction { .. } => StateName::RequiresAction,
            Self::Processing { .. } => StateName::Processing,
            Self::Fulfilled { .. } => StateName::Fulfilled,
            Self::Failed { .. } => StateName::Failed,
            Self::Expired { .. } => StateName::Expired,
            Self::Cancelled { .. } => StateName::Cancelled,
            Self::Review { .. } => StateName::Review,
        }
    }

    /// The session that this attempt goes by, reserved or attached.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::PendingSession { reserved } => reserved.as_ref(),
            Self::RequiresAction { session, .. }
            | Self::Processing { session }
            | Self::Failed { session, .. }
            | Self::Expired { session } => Some(session),
            Self::Fulfilled { session, .. }
            | Self::Cancelled { session }
            | Self::Review { session, .. } => session.as_ref(),
        }
    }

    /// The same payment with its transaction named; nothing where it is named already, or where
    /// there is no payment.
    pub(super) fn naming(&self, transaction: &TransactionRef) -> Option<Self> {
        let mut named = self.clone();
        match &mut named {
            Self::Fulfilled { payment: payment @ Payment::Unnamed(_), .. } => {
                *payment = Payment::Named(transaction.clone());
            }
            Self::Review { completion: Completion { transaction: open @ None, .. }, .. } => {
                *open = Some(transaction.clone());
            }
            Self::PendingSession { .. }
            | Self::RequiresAction { .. }
            | Self::Processing { .. }
            | Self::Fulfilled { payment: Payment::Named(_), .. }
            | Self::Failed { .. }
            | Self::Expired { .. }
            | Self::Cancelled { .. }
            | Self::Review { .. } => return None,
        }
        Some(named)
    }

    pub(super) fn came_from(&self) -> CameFrom {
        match self {
            Self::PendingSession { .. }
            | Self::RequiresAction { .. }
            | Self::Processing { .. }
            | Self::Fulfilled { .. } => CameFrom::Open,
            Self::Failed { session, reason } => {
                CameFrom::Failed { session: session.clone(), reason: reason.clone() }
            }
            Self::Expired { session } => CameFrom::Expired { session: session.clone() },
            Self::Cancelled { .. } => CameFrom::Cancelled,
            Self::Review { came_from, .. } => came_from.clone(),
        }
    }
}
