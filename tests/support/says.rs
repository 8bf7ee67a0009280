//! What 0Gate and our own side say, signed as they would sign it.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate::attempt::{
    Amount, AttemptId, Code, EndpointName, Mode, News, SessionId, SignalId, Terms, Timeliness,
    Timestamp,
};
use tidegate::http::door::Endpoints;
use tidegate::ports::{Append, Clock, SystemClock};
use tidegate::webhook::{Keyring, SecretIndex, WebhookSecret};
use tidegate::wire::admit::Admission;
use tidegate::wire::own::{Own, What};
use tidegate::wire::prove::{Proven, Trust};
use tidegate::wire::seal::SigningKeys;
use tidegate::wire::signal::{SignalRecord, Stamp};

pub const ENDPOINT: &str = "main";
pub const SECRET: &str = "whsec_test_0123456789abcdef0123456789abcdef";
pub const COMPLETED: &str = "gate_session.completed";
pub const CREATED: &str = "gate_session.created";
pub const PROCESSING: &str = "gate_session.processing";
pub const FAILED: &str = "gate_session.failed";

pub fn trust() -> Trust {
    trust_of(7)
}

pub fn trust_of(byte: u8) -> Trust {
    let keys = SigningKeys::new([[byte; 32].as_slice()]).unwrap();
    Trust { keys, mode: Mode::Test }
}

pub fn secret() -> WebhookSecret {
    WebhookSecret::new(SECRET.to_owned().into())
}

pub fn endpoints() -> Endpoints {
    let name = EndpointName::parse(ENDPOINT).unwrap();
    BTreeMap::from([(name, Keyring::of_one(secret()))])
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// What lets records of other producers in.
pub fn admission() -> Arc<Admission> {
    Arc::new(Admission::new(trust(), endpoints()))
}

pub fn session(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

/// The attempt that `key` of one account mints.
pub fn minted(key: &str) -> AttemptId {
    trust().keys.mint("acct", key)
}

/// One event's body.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    pub session: &'a str,
    pub reference: Option<&'a str>,
    pub amount: &'a str,
    pub transaction: &'a str,
}

impl<'a> Event<'a> {
    pub fn new(id: &'a str, kind: &'a str, session: &'a str) -> Self {
        Self { id, kind, session, reference: None, amount: "100.00", transaction: "tx_1" }
    }

    pub fn of(self, reference: &'a str) -> Self {
        Self { reference: Some(reference), ..self }
    }

    pub fn body(&self) -> Bytes {
        let mut data = serde_json::json!({
            "id": self.session,
            "object": "gate_session",
            "mode": "test",
            "flow": "on_ramp",
            "amount": self.amount,
            "currency": "EUR",
            "user_reference": self.reference,
        });
        if self.kind == COMPLETED {
            data["tx_refid"] = self.transaction.into();
        }
        let event = serde_json::json!({
            "id": self.id,
            "type": self.kind,
            "created_at": 1_790_000_000,
            "data": data,
        });
        Bytes::from(serde_json::to_vec(&event).unwrap())
    }

    /// As the door would take it.
    pub fn taken(&self) -> (SignalRecord, Proven) {
        take(&trust(), self.body())
    }

    /// To be put into the partition where it belongs.
    pub fn append(&self, partitions: u32) -> Append {
        homeward(self.taken(), partitions)
    }
}

pub fn take(trust: &Trust, body: Bytes) -> (SignalRecord, Proven) {
    let at = now();
    let stamp = Stamp {
        gate_signature: Bytes::from(secret().sign(at.seconds(), &body)),
        endpoint: EndpointName::parse(ENDPOINT).unwrap(),
        secret: SecretIndex(0),
        signed_at: Timestamp::from_seconds(at.seconds()),
        received_at: at,
        timeliness: Timeliness::InTime,
    };
    trust.take(body, stamp)
}

pub fn homeward((record, proven): (SignalRecord, Proven), partitions: u32) -> Append {
    let partition = proven.to.home(partitions).unwrap_or(0);
    Append { partition, record, proven: Some(proven) }
}

pub fn terms() -> Terms {
    Terms {
        amount: Some(Amount::parse("100").unwrap()),
        currency: Some(Code::parse("eur").unwrap()),
        ..Terms::default()
    }
}

fn own(id: &str, what: What) -> (SignalRecord, Proven) {
    trust().write(&Own { id: SignalId::parse(id).unwrap(), at: now(), what })
}

pub fn created(attempt: &AttemptId) -> (SignalRecord, Proven) {
    let news = News::Created { terms: terms(), endpoint: None };
    let what = What::Command { attempt: attempt.clone(), session: None, news };
    own("cmd_created", what)
}

pub fn attached(attempt: &AttemptId, session: &SessionId) -> (SignalRecord, Proven) {
    let news = News::Attached { endpoint: None };
    let session = Some(session.clone());
    own("cmd_attached", What::Command { attempt: attempt.clone(), session, news })
}

pub fn claim(attempt: &AttemptId, session: &SessionId) -> (SignalRecord, Proven) {
    own("cmd_claim", What::Claim { session: session.clone(), attempt: attempt.clone() })
}

/// A reading that found the session complete.
pub fn read_complete(session: &SessionId, attempt: Option<&AttemptId>) -> (SignalRecord, Proven) {
    let what = What::Reading {
        session: session.clone(),
        attempt: attempt.cloned(),
        news: News::Completed { transaction: None },
        terms: Box::new(terms()),
        mode: Some(Mode::Test),
    };
    own("read_1", what)
}

pub fn text(value: &str) -> Arc<str> {
    Arc::from(value)
}
