//! Version 1 of the stored states. The core's own types carry no serialization: a field renamed
//! there is a compile error here, and never a record that stops decoding.

use crate::attempt::{
    AccountId, Amount, Attempt, AttemptId, CameFrom, Code, Completion, Contradiction, Digest,
    EndpointName, Entry, EventName, Evidence, Flow, Home, Mode, NewsName, Origin, Payment,
    Position, ReviewCause, SessionId, SignalId, SourceKind, Stale, State, Terms, Timestamp,
    TransactionRef, Verdict,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(super) struct AttemptV1<'a> {
    id: &'a str,
    adopted: bool,
    created: bool,
    mode: Option<u8>,
    endpoint: Option<&'a str>,
    #[serde(borrow)]
    terms: TermsV1<'a>,
    reference: Option<&'a str>,
    #[serde(borrow)]
    state: StateV1<'a>,
    sequence: u64,
    duplicates: u64,
    #[serde(borrow)]
    evidence: Vec<EntryV1<'a>>,
}

#[derive(Serialize, Deserialize)]
struct TermsV1<'a> {
    account: Option<&'a str>,
    flow: Option<u8>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    target_token: Option<&'a str>,
    target_network: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
enum StateV1<'a> {
    PendingSession {
        reserved: Option<&'a str>,
    },
    RequiresAction {
        session: &'a str,
        setback: Option<&'a str>,
    },
    Processing {
        session: &'a str,
    },
    Fulfilled {
        session: Option<&'a str>,
        #[serde(borrow)]
        payment: PaymentV1<'a>,
    },
    Failed {
        session: &'a str,
        reason: Option<&'a str>,
    },
    Expired {
        session: &'a str,
    },
    Cancelled {
        session: Option<&'a str>,
    },
    Review {
        session: Option<&'a str>,
        cause: u8,
        paid_session: Option<&'a str>,
        transaction: Option<&'a str>,
        #[serde(borrow)]
        terms: TermsV1<'a>,
        #[serde(borrow)]
        came_from: CameFromV1<'a>,
    },
}

#[derive(Serialize, Deserialize)]
enum PaymentV1<'a> {
    /// Only read: what was unnamed used to be kept without its terms.
    Unknown,
    Named(&'a str),
    #[serde(borrow)]
    Unnamed(TermsV1<'a>),
}

#[derive(Serialize, Deserialize)]
enum CameFromV1<'a> {
    Open,
    Failed { session: &'a str, reason: Option<&'a str> },
    Expired { session: &'a str },
    Cancelled,
}

#[derive(Serialize, Deserialize)]
struct EntryV1<'a> {
    kind: u8,
    id: &'a str,
    #[serde(borrow)]
    name: NameV1<'a>,
    provider_at: Option<i64>,
    received_at: i64,
    partition: u32,
    offset: u64,
    digest: [u8; 32],
    verdict: VerdictV1,
}

#[derive(Serialize, Deserialize)]
enum NameV1<'a> {
    Known(u8),
    Other(&'a str),
}

#[derive(Serialize, Deserialize)]
enum VerdictV1 {
    Applied,
    Duplicate,
    Stale(u8),
    Contradiction(u8),
}

#[derive(Serialize, Deserialize)]
pub(super) enum HomeV1<'a> {
    Unknown,
    Claimed {
        by: &'a str,
    },
    Parked {
        waiting: u16,
    },
    #[serde(borrow)]
    Adopted(AttemptV1<'a>),
}

/// Texts of ids, borrowed from the attempt or from the stored bytes.
macro_rules! text {
    ($id:expr) => {
        $id.as_ref().map(|id| id.as_str())
    };
}

/// An optional id from its text: `None` only where a text does not parse.
macro_rules! parsed {
    ($type:ident, $text:expr) => {
        match $text {
            None => None,
            Some(text) => Some($type::parse(text).ok()?),
        }
    };
}

impl<'a> From<&'a Attempt> for AttemptV1<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            id: attempt.id.as_str(),
            adopted: attempt.origin == Origin::Adopted,
            created: attempt.created,
            mode: attempt.mode.map(Mode::code),
            endpoint: text!(attempt.endpoint),
            terms: TermsV1::from(&attempt.terms),
            reference: attempt.reference.as_deref(),
            state: StateV1::from(&attempt.state),
            sequence: attempt.sequence,
            duplicates: attempt.duplicates,
            evidence: attempt.evidence.entries().iter().map(EntryV1::from).collect(),
        }
    }
}

impl AttemptV1<'_> {
    pub(super) fn understood(self) -> Option<Attempt> {
        let evidence: Option<Vec<Entry>> =
            self.evidence.into_iter().map(EntryV1::understood).collect();
        Some(Attempt {
            id: AttemptId::parse(self.id).ok()?,
            origin: if self.adopted { Origin::Adopted } else { Origin::Minted },
            created: self.created,
            mode: match self.mode {
                None => None,
                Some(code) => Some(Mode::from_code(code)?),
            },
            endpoint: parsed!(EndpointName, self.endpoint),
            terms: self.terms.understood()?,
            reference: self.reference.map(Arc::from),
            state: self.state.understood()?,
            sequence: self.sequence,
            evidence: Evidence::from_entries(evidence?),
            duplicates: self.duplicates,
        })
    }
}

impl<'a> From<&'a Terms> for TermsV1<'a> {
    fn from(terms: &'a Terms) -> Self {
        Self {
            account: text!(terms.account),
            flow: terms.flow.map(Flow::code),
            amount: text!(terms.amount),
            currency: text!(terms.currency),
            target_token: text!(terms.target_token),
            target_network: text!(terms.target_network),
        }
    }
}

impl TermsV1<'_> {
    fn understood(self) -> Option<Terms> {
        Some(Terms {
            account: parsed!(AccountId, self.account),
            flow: match self.flow {
                None => None,
                Some(code) => Some(Flow::from_code(code)?),
            },
            amount: parsed!(Amount, self.amount),
            currency: parsed!(Code, self.currency),
            target_token: parsed!(Code, self.target_token),
            target_network: parsed!(Code, self.target_network),
        })
    }
}

impl<'a> From<&'a State> for StateV1<'a> {
    fn from(state: &'a State) -> Self {
        match state {
            State::PendingSession { reserved } => {
                Self::PendingSession { reserved: text!(reserved) }
            }
            State::RequiresAction { session, setback } => {
                Self::RequiresAction { session: session.as_str(), setback: text!(setback) }
            }
            State::Processing { session } => Self::Processing { session: session.as_str() },
            State::Fulfilled { session, payment } => {
                Self::Fulfilled { session: text!(session), payment: PaymentV1::from(payment) }
            }
            State::Failed { session, reason } => {
                Self::Failed { session: session.as_str(), reason: text!(reason) }
            }
            State::Expired { session } => Self::Expired { session: session.as_str() },
            State::Cancelled { session } => Self::Cancelled { session: text!(session) },
            State::Review { session, cause, completion, came_from } => Self::Review {
                session: text!(session),
                cause: cause.code(),
                paid_session: text!(completion.session),
                transaction: text!(completion.transaction),
                terms: TermsV1::from(&completion.terms),
                came_from: CameFromV1::from(came_from),
            },
        }
    }
}

impl StateV1<'_> {
    fn understood(self) -> Option<State> {
        let id = |text: &str| SessionId::parse(text).ok();
        Some(match self {
            Self::PendingSession { reserved } => {
                State::PendingSession { reserved: parsed!(SessionId, reserved) }
            }
            Self::RequiresAction { session, setback } => {
                State::RequiresAction { session: id(session)?, setback: parsed!(Code, setback) }
            }
            Self::Processing { session } => State::Processing { session: id(session)? },
            Self::Fulfilled { session, payment } => State::Fulfilled {
                session: parsed!(SessionId, session),
                payment: payment.understood()?,
            },
            Self::Failed { session, reason } => {
                State::Failed { session: id(session)?, reason: parsed!(Code, reason) }
            }
            Self::Expired { session } => State::Expired { session: id(session)? },
            Self::Cancelled { session } => {
                State::Cancelled { session: parsed!(SessionId, session) }
            }
            Self::Review { session, cause, paid_session, transaction, terms, came_from } => {
                State::Review {
                    session: parsed!(SessionId, session),
                    cause: ReviewCause::from_code(cause)?,
                    completion: Completion {
                        session: parsed!(SessionId, paid_session),
                        transaction: parsed!(TransactionRef, transaction),
                        terms: terms.understood()?,
                    },
                    came_from: came_from.understood()?,
                }
            }
        })
    }
}

impl<'a> From<&'a Payment> for PaymentV1<'a> {
    fn from(payment: &'a Payment) -> Self {
        match payment {
            Payment::Named(transaction) => Self::Named(transaction.as_str()),
            Payment::Unnamed(terms) => Self::Unnamed(TermsV1::from(terms)),
        }
    }
}

impl PaymentV1<'_> {
    fn understood(self) -> Option<Payment> {
        Some(match self {
            Self::Unknown => Payment::Unnamed(Terms::default()),
            Self::Named(transaction) => Payment::Named(TransactionRef::parse(transaction).ok()?),
            Self::Unnamed(terms) => Payment::Unnamed(terms.understood()?),
        })
    }
}

impl<'a> From<&'a CameFrom> for CameFromV1<'a> {
    fn from(came_from: &'a CameFrom) -> Self {
        match came_from {
            CameFrom::Open => Self::Open,
            CameFrom::Failed { session, reason } => {
                Self::Failed { session: session.as_str(), reason: text!(reason) }
            }
            CameFrom::Expired { session } => Self::Expired { session: session.as_str() },
            CameFrom::Cancelled => Self::Cancelled,
        }
    }
}

impl CameFromV1<'_> {
    fn understood(self) -> Option<CameFrom> {
        let id = |text: &str| SessionId::parse(text).ok();
        Some(match self {
            Self::Open => CameFrom::Open,
            Self::Failed { session, reason } => {
                CameFrom::Failed { session: id(session)?, reason: parsed!(Code, reason) }
            }
            Self::Expired { session } => CameFrom::Expired { session: id(session)? },
            Self::Cancelled => CameFrom::Cancelled,
        })
    }
}

impl<'a> From<&'a Entry> for EntryV1<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            kind: entry.kind.code(),
            id: entry.id.as_str(),
            name: match &entry.name {
                EventName::Known(name) => NameV1::Known(name.code()),
                EventName::Other(name) => NameV1::Other(name),
            },
            provider_at: entry.provider_at.map(|at| at.0),
            received_at: entry.received_at.0,
            partition: entry.position.partition,
            offset: entry.position.offset,
            digest: entry.digest.0,
            verdict: match entry.verdict {
                Verdict::Applied => VerdictV1::Applied,
                Verdict::Duplicate => VerdictV1::Duplicate,
                Verdict::Stale(why) => VerdictV1::Stale(why.code()),
                Verdict::Contradiction(why) => VerdictV1::Contradiction(why.code()),
            },
        }
    }
}

impl EntryV1<'_> {
    fn understood(self) -> Option<Entry> {
        Some(Entry {
            kind: SourceKind::from_code(self.kind)?,
            id: SignalId::parse(self.id).ok()?,
            name: match self.name {
                NameV1::Known(code) => EventName::Known(NewsName::from_code(code)?),
                NameV1::Other(name) => EventName::Other(Arc::from(name)),
            },
            provider_at: self.provider_at.map(Timestamp),
            received_at: Timestamp(self.received_at),
            position: Position { partition: self.partition, offset: self.offset },
            digest: Digest(self.digest),
            verdict: match self.verdict {
                VerdictV1::Applied => Verdict::Applied,
                VerdictV1::Duplicate => Verdict::Duplicate,
                VerdictV1::Stale(code) => Verdict::Stale(Stale::from_code(code)?),
                VerdictV1::Contradiction(code) => {
                    Verdict::Contradiction(Contradiction::from_code(code)?)
                }
            },
        })
    }
}

impl<'a> From<&'a Home> for HomeV1<'a> {
    fn from(home: &'a Home) -> Self {
        match home {
            Home::Unknown => Self::Unknown,
            Home::Claimed { by } => Self::Claimed { by: by.as_str() },
            Home::Parked { waiting } => {
                Self::Parked { waiting: u16::try_from(*waiting).unwrap_or(u16::MAX) }
            }
            Home::Adopted(attempt) => Self::Adopted(AttemptV1::from(attempt.as_ref())),
        }
    }
}

impl HomeV1<'_> {
    pub(super) fn understood(self) -> Option<Home> {
        Some(match self {
            Self::Unknown => Home::Unknown,
            Self::Claimed { by } => Home::Claimed { by: AttemptId::parse(by).ok()? },
            Self::Parked { waiting } => Home::Parked { waiting: usize::from(waiting) },
            Self::Adopted(attempt) => Home::Adopted(Box::new(attempt.understood()?)),
        })
    }
}
