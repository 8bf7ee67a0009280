//! The provider's envelope, read from signed bytes without copying them.
//!
//! Only what an attempt decides by is looked at. A field that we do not know is skipped; a fact of
//! a form that we cannot read is kept as [`Fact::Unreadable`], because a completion whose amount
//! cannot be read must go before a person rather than count as silent about it.

use super::SECONDS_MAX;
use crate::attempt::{ID_BYTES_MAX, Timestamp};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the body is not JSON of the expected shape")]
    NotAnEnvelope,
    #[error("the event has no usable {0}")]
    Unusable(&'static str),
}

/// An authentic event, borrowing from its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub id: Cow<'a, str>,
    pub kind: EventType<'a>,
    pub created_at: Timestamp,
    pub data: SessionData<Fact<'a>>,
}

/// The catalogue. A type that we do not know is a value, because the provider may add one any day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventType<'a> {
    SessionCreated,
    SessionProcessing,
    SessionCompleted,
    SessionFailed,
    SessionExpired,
    SessionCancelled,
    KycRequired,
    Test,
    Unknown(Cow<'a, str>),
}

impl EventType<'_> {
    /// Every name that is known.
    pub const NAMES: [&'static str; 8] = [
        "gate_session.created",
        "gate_session.processing",
        "gate_session.completed",
        "gate_session.failed",
        "gate_session.expired",
        "gate_session.cancelled",
        "kyc.required",
        "webhook.test",
    ];

    pub fn as_str(&self) -> &str {
        match self {
            Self::SessionCreated => "gate_session.created",
            Self::SessionProcessing => "gate_session.processing",
            Self::SessionCompleted => "gate_session.completed",
            Self::SessionFailed => "gate_session.failed",
            Self::SessionExpired => "gate_session.expired",
            Self::SessionCancelled => "gate_session.cancelled",
            Self::KycRequired => "kyc.required",
            Self::Test => "webhook.test",
            Self::Unknown(name) => name,
        }
    }
}

impl<'a> From<Cow<'a, str>> for EventType<'a> {
    fn from(name: Cow<'a, str>) -> Self {
        match name.as_ref() {
            "gate_session.created" => Self::SessionCreated,
            "gate_session.processing" => Self::SessionProcessing,
            "gate_session.completed" => Self::SessionCompleted,
            "gate_session.failed" => Self::SessionFailed,
            "gate_session.expired" => Self::SessionExpired,
            "gate_session.cancelled" => Self::SessionCancelled,
            "kyc.required" => Self::KycRequired,
            "webhook.test" => Self::Test,
            _new => Self::Unknown(name),
        }
    }
}

/// One field that may be missing, a text, or something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fact<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Unreadable,
}

impl Fact<'_> {
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// What `data` says, as far as we decide by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, bound(deserialize = "F: Deserialize<'de> + Default"))]
pub struct SessionData<F> {
    pub id: F,
    /// Where an event about something else than a session names one (`kyc.required`).
    pub session_id: F,
    pub user_reference: F,
    pub mode: F,
    pub flow: F,
    pub amount: F,
    pub currency: F,
    pub target_token: F,
    pub target_network: F,
    pub tx_refid: F,
    pub failure_reason: F,
}

impl<F> SessionData<F> {
    fn map<G>(self, read: impl Fn(F) -> G) -> SessionData<G> {
        SessionData {
            id: read(self.id),
            session_id: read(self.session_id),
            user_reference: read(self.user_reference),
            mode: read(self.mode),
            flow: read(self.flow),
            amount: read(self.amount),
            currency: read(self.currency),
            target_token: read(self.target_token),
            target_network: read(self.target_network),
            tx_refid: read(self.tx_refid),
            failure_reason: read(self.failure_reason),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de> + Default"))]
struct Envelope<F> {
    #[serde(default)]
    id: F,
    #[serde(default, rename = "type")]
    kind: F,
    #[serde(default)]
    created_at: Option<i64>,
    #[serde(default)]
    data: Option<Object<SessionData<F>>>,
}

impl<F> Envelope<F> {
    fn map<G>(self, read: impl Fn(F) -> G) -> Envelope<G> {
        Envelope {
            id: read(self.id),
            kind: read(self.kind),
            created_at: self.created_at,
            data: self.data.map(|Object(data)| Object(data.map(read))),
        }
    }
}

/// A fact as it is written. JSON has numbers and escapes that no value of ours can hold; such a
/// fact alone is unreadable then, and not the event.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(transparent)]
struct Written<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Written<'a> {
    fn read(self) -> Fact<'a> {
        let read = |written: &'a RawValue| serde_json::from_str(written.get());
        self.0.map_or(Fact::Absent, |written| read(written).unwrap_or(Fact::Unreadable))
    }
}

fn envelope(body: &[u8]) -> Result<Envelope<Fact<'_>>, serde_json::Error> {
    serde_json::from_slice(body).map(|Object(envelope)| envelope).or_else(|_odd| {
        let Object(written): Object<Envelope<Written<'_>>> = serde_json::from_slice(body)?;
        Ok(written.map(Written::read))
    })
}

impl<'a> Event<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let envelope = envelope(body).map_err(|_| EnvelopeError::NotAnEnvelope)?;
        let id = usable(envelope.id, "id")?;
        let kind = usable(envelope.kind, "type")?;
        let created_at = envelope
            .created_at
            .filter(|seconds| (0..=SECONDS_MAX).contains(seconds))
            .ok_or(EnvelopeError::Unusable("created_at"))?;
        Ok(Self {
            id,
            kind: kind.into(),
            created_at: Timestamp::from_seconds(created_at),
            data: envelope.data.map(|Object(data)| data).unwrap_or_default(),
        })
    }

    /// How many of the unsigned headers say something else than the signed body. They are counted
    /// and never believed.
    pub fn disagreements(&self, headers: &UnsignedHeaders<'_>) -> usize {
        let differs = |said: Option<&str>, signed: &str| said.is_some_and(|said| said != signed);
        usize::from(differs(headers.event_id, &self.id))
            + usize::from(differs(headers.event_type, self.kind.as_str()))
    }
}

/// 0Gate's `X-0bit-*` headers, which no signature covers.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnsignedHeaders<'a> {
    pub event_id: Option<&'a str>,
    pub event_type: Option<&'a str>,
}

fn usable<'a>(fact: Fact<'a>, name: &'static str) -> Result<Cow<'a, str>, EnvelopeError> {
    match fact {
        Fact::Text(text)
            if (1..=ID_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(text)
        }
        Fact::Text(_) | Fact::Absent | Fact::Unreadable => Err(EnvelopeError::Unusable(name)),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fact<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FactVisitor)
    }
}

struct FactVisitor;

impl<'de> Visitor<'de> for FactVisitor {
    type Value = Fact<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Fact::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Fact::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Fact::Absent)
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Self::Value, E> {
        Ok(Fact::Text(Cow::Owned(whole.to_string())))
    }

    // A float has already lost what was written, and the rest was never a text.
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Fact::Unreadable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Fact::Unreadable)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Fact::Unreadable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Fact::Unreadable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Fact::Unreadable)
    }
}

/// A JSON object and nothing else. A derived reader also takes a list, as the fields in the order
/// of their declaration; then a value would count under a name that nobody gave it.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
