//! What the world must be told, as data. Somebody else carries it out, after the commit.

use super::ids::SignalId;
use super::ids::{AccountId, AttemptId, Digest, Position, SessionId, Timestamp, TransactionRef};
use super::signal::{EventName, Terms};
use super::state::StateName;
use super::verdict::{Contradiction, DeadLetter, ReviewCause, Verdict};
use super::words::{Flow, Mode, ProofKind, SourceKind, words};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The ledger may act. At most one per attempt, for ever.
    Fulfill(Box<Fulfillment>),
    /// A change of state, or a contradiction (then `from` is `to`).
    Moved(Moved),
    /// The attempt reached an outcome: one metric record.
    Outcome(Outcome),
    /// Ask the session's home whose the session is.
    Claim { session: SessionId },
    /// Ask 0Gate what is true of the session.
    Read { session: SessionId },
    /// Keep the signal's own bytes for a person.
    DeadLetter(DeadLetter),
    /// Somebody should be woken.
    Alarm(Alarm),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fulfillment {
    pub attempt: AttemptId,
    pub mode: Option<Mode>,
    pub session: Option<SessionId>,
    pub transaction: Option<TransactionRef>,
    pub terms: Terms,
    pub reference: Option<Arc<str>>,
    /// The sequence of the transition that it came with.
    pub sequence: u64,
    pub proof: Proof,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
}

/// The signal that a fulfillment rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub kind: ProofKind,
    pub event: SignalId,
    pub digest: Digest,
    pub position: Position,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub attempt: AttemptId,
    pub account: Option<AccountId>,
    /// Gapless from 1 within an attempt.
    pub sequence: u64,
    pub from: Option<StateName>,
    pub to: StateName,
    pub verdict: Verdict,
    pub review: Option<ReviewCause>,
    pub cause_kind: SourceKind,
    pub cause_id: SignalId,
    pub cause_name: EventName,
    pub session: Option<SessionId>,
    pub reference: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub attempt: AttemptId,
    pub flow: Option<Flow>,
    pub state: StateName,
    pub sequence: u64,
    pub provider_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub signals: u64,
    pub duplicates: u64,
}

words! {
    /// What a person should hear about at once.
    Alarm {
        LateCompletion = "late_completion",
        Review = "review",
        SecondPayment = "second_payment",
        AfterFulfilled = "after_fulfilled",
        ForeignSession = "foreign_session",
        ForeignEndpoint = "foreign_endpoint",
        EventIdConflict = "event_id_conflict",
        SessionHeld = "session_held",
        AlreadyCreated = "already_created",
        EvidenceFull = "evidence_full",
        DuplicateFulfillmentBlocked = "duplicate_fulfillment_blocked",
    }
}

impl From<Contradiction> for Alarm {
    fn from(contradiction: Contradiction) -> Self {
        match contradiction {
            Contradiction::AfterFulfilled => Self::AfterFulfilled,
            Contradiction::SecondPayment => Self::SecondPayment,
            Contradiction::ForeignSession => Self::ForeignSession,
            Contradiction::ForeignEndpoint => Self::ForeignEndpoint,
            Contradiction::EventIdConflict => Self::EventIdConflict,
            Contradiction::SessionHeld => Self::SessionHeld,
            Contradiction::AlreadyCreated => Self::AlreadyCreated,
        }
    }
}
