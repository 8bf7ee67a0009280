//! What an attempt can be told, and by whom.

use super::amount::{Amount, Code};
use super::ids::{
    AccountId, AttemptId, Digest, EndpointName, OperatorId, Position, SessionId, SignalId,
    Timestamp, TransactionRef,
};
use super::words::{Flow, Mode, SourceKind, words};
use std::sync::Arc;

/// One thing an attempt is told. It has been proven by a signature before it gets here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    pub id: SignalId,
    pub source: Source,
    pub news: News,
    pub facts: Facts,
    /// When 0Gate says it happened.
    pub provider_at: Option<Timestamp>,
    /// When we first held its bytes.
    pub received_at: Timestamp,
    pub position: Position,
    pub digest: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Webhook {
        endpoint: EndpointName,
        timeliness: Timeliness,
    },
    /// A trusted server-side read of 0Gate's API.
    Reading,
    /// Something our own side says.
    Command,
}

impl Source {
    pub fn kind(&self) -> SourceKind {
        match self {
            Self::Webhook { .. } => SourceKind::Webhook,
            Self::Reading => SourceKind::Reading,
            Self::Command => SourceKind::Command,
        }
    }
}

words! {
    /// Whether the signed time of a webhook was within tolerance when it came to our door.
    Timeliness { InTime = "in_time", OutOfTime = "out_of_time" }
}

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    // What 0Gate says, by webhook or by reading.
    SessionCreated,
    KycRequired,
    Processing,
    Completed {
        transaction: Option<TransactionRef>,
    },
    Failed {
        reason: Option<Reason>,
    },
    Expired,
    Cancelled,
    /// A reading found the session open: nothing has been decided yet.
    StillOpen,
    /// An authentic event of a type that we do not know.
    Unknown {
        name: Arc<str>,
    },

    // What our own side says.
    Created {
        terms: Terms,
        endpoint: Option<EndpointName>,
    },
    /// Our own record of the session that we made for this attempt.
    Attached {
        endpoint: Option<EndpointName>,
    },
    /// The session's home answered our claim.
    ClaimGranted,
    ClaimRefused {
        holder: AttemptId,
    },
    BrowserReturned,
    BrowserLeft,
    CancelRequested,
    Decided(Decision),
}

words! {
    /// The word under which news is kept as evidence and counted.
    NewsName {
        SessionCreated = "gate_session.created",
        KycRequired = "kyc.required",
        Processing = "gate_session.processing",
        Completed = "gate_session.completed",
        Failed = "gate_session.failed",
        Expired = "gate_session.expired",
        Cancelled = "gate_session.cancelled",
        StillOpen = "still_open",
        Created = "created",
        Attached = "session_attached",
        ClaimGranted = "claim_granted",
        ClaimRefused = "claim_refused",
        BrowserReturned = "browser_returned",
        BrowserLeft = "browser_left",
        CancelRequested = "cancel_requested",
        Decided = "decided",
    }
}

/// A known name, or the provider's own spelling of one that we do not know yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventName {
    Known(NewsName),
    Other(Arc<str>),
}

impl EventName {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(name) => name.word(),
            Self::Other(name) => name,
        }
    }
}

impl News {
    pub fn name(&self) -> EventName {
        let known = match self {
            Self::SessionCreated => NewsName::SessionCreated,
            Self::KycRequired => NewsName::KycRequired,
            Self::Processing => NewsName::Processing,
            Self::Completed { .. } => NewsName::Completed,
            Self::Failed { .. } => NewsName::Failed,
            Self::Expired => NewsName::Expired,
            Self::Cancelled => NewsName::Cancelled,
            Self::StillOpen => NewsName::StillOpen,
            Self::Unknown { name } => return EventName::Other(Arc::clone(name)),
            Self::Created { .. } => NewsName::Created,
            Self::Attached { .. } => NewsName::Attached,
            Self::ClaimGranted => NewsName::ClaimGranted,
            Self::ClaimRefused { .. } => NewsName::ClaimRefused,
            Self::BrowserReturned => NewsName::BrowserReturned,
            Self::BrowserLeft => NewsName::BrowserLeft,
            Self::CancelRequested => NewsName::CancelRequested,
            Self::Decided(_) => NewsName::Decided,
        };
        EventName::Known(known)
    }
}

/// A failure reason, as a safe machine code. Never the provider's own words.
pub type Reason = Code;

/// Everything a signal says about the business. An absent fact never disagrees with anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub session: Option<SessionId>,
    pub terms: Terms,
    /// `user_reference` as 0Gate echoed it.
    pub reference: Option<Arc<str>>,
    pub mode: Option<Mode>,
    /// Something was said about the money that could not be read. A completion that says it is
    /// for a person: what cannot be read cannot agree.
    pub unreadable: bool,
}

/// What the attempt is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub account: Option<AccountId>,
    pub flow: Option<Flow>,
    pub amount: Option<Amount>,
    pub currency: Option<Code>,
    pub target_token: Option<Code>,
    pub target_network: Option<Code>,
}

/// An operator's word on a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub operator: OperatorId,
    /// Why, in the operator's words. Kept on the timeline.
    pub reason: Arc<str>,
    pub ruling: Ruling,
    /// The attempt's sequence when the operator looked. Another one by now means that the
    /// operator decided about something else.
    pub saw: u64,
}

words! {
    Ruling { Fulfill = "fulfill", Close = "close" }
}
