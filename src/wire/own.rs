//! What our own side writes into `signals`: commands, readings, claims and their answers. JSON, so
//! that a person with a Kafka viewer can read it, with a seal beside it.

use crate::attempt::{
    AccountId, Amount, AttemptId, Code, Decision, EndpointName, Flow, Mode, News, OperatorId,
    Ruling, SessionId, SignalId, Terms, Timestamp, TransactionRef,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::WireError;

/// One record of ours, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub id: SignalId,
    pub at: Timestamp,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Our own side speaks to an attempt.
    Command { attempt: AttemptId, session: Option<SessionId>, news: News },
    /// A trusted read of 0Gate's API. `attempt` is the minted reference that it carried.
    Reading {
        session: SessionId,
        attempt: Option<AttemptId>,
        news: News,
        terms: Box<Terms>,
        mode: Option<Mode>,
    },
    /// An attempt claims a session, at the session's home.
    Claim { session: SessionId, attempt: AttemptId },
    /// The session's home answers, at the attempt's home.
    Answer { session: SessionId, attempt: AttemptId, holder: AttemptId },
}

impl Own {
    pub fn to_json(&self) -> Vec<u8> {
        let dto = OwnV1 {
            v: 1,
            id: self.id.as_str().to_owned(),
            at: self.at.0,
            what: WhatV1::from(&self.what),
        };
        match serde_json::to_vec(&dto) {
            Ok(json) => json,
            Err(_) => unreachable!("texts and numbers always have a JSON form"),
        }
    }

    pub fn from_json(json: &[u8]) -> Result<Self, WireError> {
        let malformed = WireError::Malformed("a command or reading");
        let dto: OwnV1 = serde_json::from_slice(json).map_err(|_| malformed)?;
        if dto.v != 1 {
            return Err(WireError::Unknown("the version of a command or reading"));
        }
        let what = dto.what.understood().ok_or(malformed)?;
        let id = SignalId::parse(&dto.id).map_err(|_| malformed)?;
        Ok(Self { id, at: Timestamp(dto.at), what })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnV1 {
    v: u8,
    id: String,
    /// Milliseconds since the epoch.
    at: i64,
    what: WhatV1,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WhatV1 {
    Command {
        attempt: String,
        session: Option<String>,
        say: SayV1,
    },
    Reading {
        session: String,
        attempt: Option<String>,
        status: StatusV1,
        #[serde(default)]
        terms: TermsV1,
        mode: Option<String>,
    },
    Claim {
        session: String,
        attempt: String,
    },
    Answer {
        session: String,
        attempt: String,
        holder: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SayV1 {
    Created { terms: TermsV1, endpoint: Option<String> },
    SessionAttached { endpoint: Option<String> },
    BrowserReturned,
    BrowserLeft,
    CancelRequested,
    Decided { operator: String, reason: String, ruling: String, saw: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StatusV1 {
    Open,
    Completed { transaction: Option<String> },
    Expired,
    Cancelled,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TermsV1 {
    account: Option<String>,
    flow: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    target_token: Option<String>,
    target_network: Option<String>,
}

impl From<&Terms> for TermsV1 {
    fn from(terms: &Terms) -> Self {
        let code = |code: &Option<Code>| code.as_ref().map(|code| code.as_str().to_owned());
        Self {
            account: terms.account.as_ref().map(|account| account.as_str().to_owned()),
            flow: terms.flow.map(|flow| flow.word().to_owned()),
            amount: terms.amount.as_ref().map(|amount| amount.as_str().to_owned()),
            currency: code(&terms.currency),
            target_token: code(&terms.target_token),
            target_network: code(&terms.target_network),
        }
    }
}

impl TermsV1 {
    fn understood(self) -> Option<Terms> {
        Some(Terms {
            account: parsed(self.account, |text| AccountId::parse(text).ok())?,
            flow: parsed(self.flow, Flow::from_word)?,
            amount: parsed(self.amount, |text| Amount::parse(text).ok())?,
            currency: parsed(self.currency, |text| Code::parse(text).ok())?,
            target_token: parsed(self.target_token, |text| Code::parse(text).ok())?,
            target_network: parsed(self.target_network, |text| Code::parse(text).ok())?,
        })
    }
}

/// `Some(None)` where there is no text, `None` where there is one that cannot be read.
fn parsed<T>(text: Option<String>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text {
        None => Some(None),
        Some(text) => parse(&text).map(Some),
    }
}

impl From<&What> for WhatV1 {
    fn from(what: &What) -> Self {
        match what {
            What::Command { attempt, session, news } => Self::Command {
                attempt: attempt.to_string(),
                session: session.as_ref().map(ToString::to_string),
                say: say(news),
            },
            What::Reading { session, attempt, news, terms, mode } => Self::Reading {
                session: session.to_string(),
                attempt: attempt.as_ref().map(ToString::to_string),
                status: status(news),
                terms: TermsV1::from(terms.as_ref()),
                mode: mode.map(|mode| mode.word().to_owned()),
            },
            What::Claim { session, attempt } => {
                Self::Claim { session: session.to_string(), attempt: attempt.to_string() }
            }
            What::Answer { session, attempt, holder } => Self::Answer {
                session: session.to_string(),
                attempt: attempt.to_string(),
                holder: holder.to_string(),
            },
        }
    }
}

fn say(news: &News) -> SayV1 {
    let endpoint = |name: &Option<EndpointName>| name.as_ref().map(ToString::to_string);
    match news {
        News::Created { terms, endpoint: name } => {
            SayV1::Created { terms: TermsV1::from(terms), endpoint: endpoint(name) }
        }
        News::Attached { endpoint: name } => SayV1::SessionAttached { endpoint: endpoint(name) },
        News::BrowserReturned => SayV1::BrowserReturned,
        News::BrowserLeft => SayV1::BrowserLeft,
        News::CancelRequested => SayV1::CancelRequested,
        News::Decided(decision) => SayV1::Decided {
            operator: decision.operator.to_string(),
            reason: decision.reason.to_string(),
            ruling: decision.ruling.word().to_owned(),
            saw: decision.saw,
        },
        News::SessionCreated
        | News::KycRequired
        | News::Processing
        | News::Completed { .. }
        | News::Failed { .. }
        | News::Expired
        | News::Cancelled
        | News::StillOpen
        | News::Unknown { .. }
        | News::ClaimGranted
        | News::ClaimRefused { .. } => unreachable!("only our own news is said by a command"),
    }
}

fn status(news: &News) -> StatusV1 {
    match news {
        News::Completed { transaction } => {
            StatusV1::Completed { transaction: transaction.as_ref().map(ToString::to_string) }
        }
        News::Expired => StatusV1::Expired,
        News::Cancelled => StatusV1::Cancelled,
        News::StillOpen => StatusV1::Open,
        News::SessionCreated
        | News::KycRequired
        | News::Processing
        | News::Failed { .. }
        | News::Unknown { .. }
        | News::Created { .. }
        | News::Attached { .. }
        | News::ClaimGranted
        | News::ClaimRefused { .. }
        | News::BrowserReturned
        | News::BrowserLeft
        | News::CancelRequested
        | News::Decided(_) => unreachable!("a session reads as one of four states"),
    }
}

impl WhatV1 {
    fn understood(self) -> Option<What> {
        let session_id = |text: &str| SessionId::parse(text).ok();
        let attempt_id = |text: &str| AttemptId::parse(text).ok();
        Some(match self {
            Self::Command { attempt, session, say } => What::Command {
                attempt: attempt_id(&attempt)?,
                session: parsed(session, session_id)?,
                news: say.understood()?,
            },
            Self::Reading { session, attempt, status, terms, mode } => What::Reading {
                session: session_id(&session)?,
                attempt: parsed(attempt, attempt_id)?,
                news: status.understood()?,
                terms: Box::new(terms.understood()?),
                mode: parsed(mode, Mode::from_word)?,
            },
            Self::Claim { session, attempt } => {
                What::Claim { session: session_id(&session)?, attempt: attempt_id(&attempt)? }
            }
            Self::Answer { session, attempt, holder } => What::Answer {
                session: session_id(&session)?,
                attempt: attempt_id(&attempt)?,
                holder: attempt_id(&holder)?,
            },
        })
    }
}

impl SayV1 {
    fn understood(self) -> Option<News> {
        let endpoint = |text: Option<String>| parsed(text, |text| EndpointName::parse(text).ok());
        Some(match self {
            Self::Created { terms, endpoint: name } => {
                News::Created { terms: terms.understood()?, endpoint: endpoint(name)? }
            }
            Self::SessionAttached { endpoint: name } => {
                News::Attached { endpoint: endpoint(name)? }
            }
            Self::BrowserReturned => News::BrowserReturned,
            Self::BrowserLeft => News::BrowserLeft,
            Self::CancelRequested => News::CancelRequested,
            Self::Decided { operator, reason, ruling, saw } => News::Decided(Decision {
                operator: OperatorId::parse(&operator).ok()?,
                reason: Arc::from(reason),
                ruling: Ruling::from_word(&ruling)?,
                saw,
            }),
        })
    }
}

impl StatusV1 {
    fn understood(self) -> Option<News> {
        Some(match self {
            Self::Open => News::StillOpen,
            Self::Completed { transaction } => News::Completed {
                transaction: parsed(transaction, |text| TransactionRef::parse(text).ok())?,
            },
            Self::Expired => News::Expired,
            Self::Cancelled => News::Cancelled,
        })
    }
}
