//! A signal as a Kafka record: the raw body as its value, byte for byte, and what proves it in
//! headers. Somebody else's record brings 0Gate's signature alone, and is sealed as it is read. What
//! cannot be read is a record all the same: one that nothing proves, so that it is dead-lettered with
//! its bytes.

use super::settings::BODY_BYTES_MAX;
use crate::attempt::{EndpointName, Timeliness, Timestamp};
use crate::webhook::SecretIndex;
use crate::wire::WireError;
use crate::wire::admit::{Admission, Foreign};
use crate::wire::prove::Proven;
use crate::wire::seal::Seal;
use crate::wire::signal::{Form, Hop, SignalRecord, Stamp};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};

const GATE_SIGNATURE: &str = "gate-signature";
const ENDPOINT: &str = "tg-endpoint";
const SECRET: &str = "tg-secret";
const SIGNED_AT: &str = "tg-signed-at";
const RECEIVED_AT: &str = "tg-received-at";
const TIMELINESS: &str = "tg-timeliness";
const SIGNATURE: &str = "tg-signature";
const HOP: &str = "tg-hop";
const HOP_SIGNATURE: &str = "tg-hop-signature";

/// The headers of a record, at most.
const HEADERS_MAX: usize = 9;

pub(super) fn headers(record: &SignalRecord) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(HEADERS_MAX);
    let text = |headers: OwnedHeaders, key, value: &str| {
        headers.insert(Header { key, value: Some(value) })
    };
    if let Form::Webhook(stamp) = &record.form {
        let signature: &[u8] = &stamp.gate_signature;
        headers = headers.insert(Header { key: GATE_SIGNATURE, value: Some(signature) });
        headers = text(headers, ENDPOINT, stamp.endpoint.as_str());
        headers = text(headers, SECRET, &stamp.secret.0.to_string());
        headers = text(headers, SIGNED_AT, &stamp.signed_at.0.to_string());
        headers = text(headers, RECEIVED_AT, &stamp.received_at.0.to_string());
        headers = text(headers, TIMELINESS, stamp.timeliness.word());
    }
    headers = text(headers, SIGNATURE, &seal_text(&record.seal));
    if let Some(hop) = &record.hop {
        headers = headers.insert(Header { key: HOP, value: Some(&hop.sealed_bytes()) });
        headers = text(headers, HOP_SIGNATURE, &seal_text(&hop.seal));
    }
    headers
}

pub(super) fn read(
    message: &BorrowedMessage<'_>,
    admission: &Admission,
) -> (SignalRecord, Option<Proven>) {
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let found = Found(message);
    if found.header(SIGNATURE).is_none()
        && value.len() <= BODY_BYTES_MAX
        && let Some((record, proven)) = found.foreign(&value).and_then(|it| admission.admit(it))
    {
        return (record, Some(proven));
    }
    match found.record(value.clone()) {
        // Whether it was sent on is counted, so that it must be true.
        Ok(record) if record.hop.is_some() => match admission.prove(&record) {
            Some(proven) => (record, Some(proven)),
            None => (found.unproven(value), None),
        },
        Ok(record) => (record, None),
        Err(_) => (found.unproven(value), None),
    }
}

/// A seal of no key of ours: there are fewer than 255.
const NOBODYS: Seal = Seal { key: u8::MAX, mac: [0; 32] };

/// The endpoint in a record that does not say which.
const NO_ENDPOINT: &str = "unknown";

/// What stands under a header of a record.
pub(super) fn header<'a>(message: &'a BorrowedMessage<'_>, key: &str) -> Option<&'a [u8]> {
    message.headers()?.iter().find(|header| header.key == key)?.value
}

/// When a record was written, as its producer or the broker says.
pub(super) fn written_at(message: &BorrowedMessage<'_>) -> Timestamp {
    Timestamp(message.timestamp().to_millis().unwrap_or_default())
}

struct Found<'a>(&'a BorrowedMessage<'a>);

impl<'a> Found<'a> {
    fn header(&self, key: &str) -> Option<&'a [u8]> {
        header(self.0, key)
    }

    fn text(&self, key: &'static str) -> Result<&'a str, WireError> {
        let bytes = self.header(key).ok_or(WireError::Short(key))?;
        std::str::from_utf8(bytes).map_err(|_| WireError::Malformed(key))
    }

    fn number<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, WireError> {
        self.text(key)?.parse().map_err(|_| WireError::Malformed(key))
    }

    fn foreign<'b>(&'b self, body: &'b Bytes) -> Option<Foreign<'b>> {
        let received_at = self.number(RECEIVED_AT).ok().map(Timestamp);
        Some(Foreign {
            body,
            gate_signature: std::str::from_utf8(self.header(GATE_SIGNATURE)?).ok()?,
            endpoint: self.text(ENDPOINT).ok(),
            received_at: received_at.unwrap_or_else(|| written_at(self.0)),
        })
    }

    /// What it brought, believed by nobody: a person may want to see it.
    fn unproven(&self, value: Bytes) -> SignalRecord {
        let endpoint = self.text(ENDPOINT).ok().and_then(|name| EndpointName::parse(name).ok());
        let endpoint = endpoint.or_else(|| EndpointName::parse(NO_ENDPOINT).ok());
        let form = match (self.header(GATE_SIGNATURE), endpoint) {
            (Some(signature), Some(endpoint)) => Form::Webhook(Stamp {
                gate_signature: Bytes::copy_from_slice(signature),
                endpoint,
                secret: SecretIndex(u8::MAX),
                signed_at: Timestamp(0),
                received_at: written_at(self.0),
                timeliness: Timeliness::OutOfTime,
            }),
            (Some(_) | None, Some(_) | None) => Form::Own,
        };
        SignalRecord { value, form, seal: NOBODYS, hop: None }
    }

    fn record(&self, value: Bytes) -> Result<SignalRecord, WireError> {
        let form = match self.header(GATE_SIGNATURE) {
            None => Form::Own,
            Some(signature) => Form::Webhook(Stamp {
                gate_signature: Bytes::copy_from_slice(signature),
                endpoint: EndpointName::parse(self.text(ENDPOINT)?)
                    .map_err(|_| WireError::Malformed(ENDPOINT))?,
                secret: SecretIndex(self.number(SECRET)?),
                signed_at: Timestamp(self.number(SIGNED_AT)?),
                received_at: Timestamp(self.number(RECEIVED_AT)?),
                timeliness: Timeliness::from_word(self.text(TIMELINESS)?)
                    .ok_or(WireError::Malformed(TIMELINESS))?,
            }),
        };
        let hop = match self.header(HOP) {
            None => None,
            Some(bytes) => {
                Some(Hop::sealed(bytes, seal_of(self.text(HOP_SIGNATURE)?, HOP_SIGNATURE)?)?)
            }
        };
        let seal = seal_of(self.text(SIGNATURE)?, SIGNATURE)?;
        Ok(SignalRecord { value, form, seal, hop })
    }
}

fn seal_text(seal: &Seal) -> String {
    format!("{}.{}", seal.key, HEXLOWER.encode(&seal.mac))
}

fn seal_of(text: &str, which: &'static str) -> Result<Seal, WireError> {
    let malformed = WireError::Malformed(which);
    let (key, mac) = text.split_once('.').ok_or(malformed)?;
    let mac = HEXLOWER.decode(mac.as_bytes()).map_err(|_| malformed)?;
    Ok(Seal {
        key: key.parse().map_err(|_| malformed)?,
        mac: mac.try_into().map_err(|_| malformed)?,
    })
}
