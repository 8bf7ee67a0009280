//! A signal as a Kafka record: the raw body as its value, byte for byte, and what proves it in
//! headers. Somebody else's record brings 0Gate's signature alone, and is sealed as it is read. What
//! cannot be read is a record all the same: one that nothing proves, so that it is dead-lettered with
//! its bytes.

use super::settings::BODY_BYTES_MAX;
use super::writer::BATCH;
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
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

const GATE_SIGNATURE: &str = "gate-signature";
const ENDPOINT: &str = "tg-endpoint";
const RECEIVED_AT: &str = "tg-received-at";
const SIGNATURE: &str = "tg-signature";
const HOP: &str = "tg-hop";
const HOP_SIGNATURE: &str = "tg-hop-signature";

/// The headers of a record, at most.
const HEADERS_MAX: usize = 6;

/// Room for a seal and what stands beside it.
const SIGNATURE_BYTES: usize = 112;

pub(super) fn headers(record: &SignalRecord) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(HEADERS_MAX);
    let text = |headers: OwnedHeaders, key, value: &str| {
        headers.insert(Header { key, value: Some(value) })
    };
    let mut signature = seal_text(&record.seal);
    if let Form::Webhook(stamp) = &record.form {
        let gate: &[u8] = &stamp.gate_signature;
        headers = headers.insert(Header { key: GATE_SIGNATURE, value: Some(gate) });
        headers = text(headers, ENDPOINT, stamp.endpoint.as_str());
        headers = text(headers, RECEIVED_AT, &stamp.received_at.0.to_string());
        // What the seal covers and nobody else asks for stands beside it: each header of its own is
        // an allocation at both ends.
        let (secret, signed_at) = (stamp.secret.0, stamp.signed_at.0);
        // Writing to a string does not fail.
        let _written = write!(signature, ".{secret}.{signed_at}.{}", stamp.timeliness.word());
    }
    headers = text(headers, SIGNATURE, &signature);
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
    let found = Found::of(message);
    if found.signature.is_none()
        && value.len() <= BODY_BYTES_MAX
        && let Some((record, proven)) = found.foreign(&value).and_then(|it| admitted(admission, it))
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

/// What makes this panic would do so for whoever reads it next: nobody proves it.
fn admitted(admission: &Admission, foreign: Foreign<'_>) -> Option<(SignalRecord, Proven)> {
    catch_unwind(AssertUnwindSafe(|| admission.admit(foreign))).ok()?
}

/// A seal of no key of ours: there are fewer than 255.
const NOBODYS: Seal = Seal { key: u8::MAX, mac: [0; 32] };

/// The endpoint in a record that does not say which.
const NO_ENDPOINT: &str = "unknown";

/// What stands under a header of a record.
pub(super) fn header<'a>(message: &'a BorrowedMessage<'_>, key: &str) -> Option<&'a [u8]> {
    message.headers()?.iter().find(|header| header.key == key)?.value
}

/// The epoch and the transaction that an output came with.
pub(super) fn batch_of(message: &BorrowedMessage<'_>) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(header(message, BATCH)?).ok()?;
    let (epoch, transaction) = text.split_once('.')?;
    Some((epoch.parse().ok()?, transaction.parse().ok()?))
}

/// When a record was written, as its producer or the broker says.
pub(super) fn written_at(message: &BorrowedMessage<'_>) -> Timestamp {
    Timestamp(message.timestamp().to_millis().unwrap_or_default())
}

/// What a record brings beside its value: of each header the first, in one pass over them.
#[derive(Default)]
struct Found<'a> {
    gate_signature: Option<&'a [u8]>,
    endpoint: Option<&'a [u8]>,
    received_at: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
    hop: Option<&'a [u8]>,
    hop_signature: Option<&'a [u8]>,
    written_at: Timestamp,
}

impl<'a> Found<'a> {
    fn of(message: &'a BorrowedMessage<'_>) -> Self {
        let mut found = Self { written_at: written_at(message), ..Self::default() };
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            let slot = match header.key {
                GATE_SIGNATURE => &mut found.gate_signature,
                ENDPOINT => &mut found.endpoint,
                RECEIVED_AT => &mut found.received_at,
                SIGNATURE => &mut found.signature,
                HOP => &mut found.hop,
                HOP_SIGNATURE => &mut found.hop_signature,
                _ => continue,
            };
            *slot = slot.or(header.value);
        }
        found
    }

    fn endpoint(&self) -> Option<&'a str> {
        std::str::from_utf8(self.endpoint?).ok()
    }

    fn received_at(&self) -> Option<Timestamp> {
        number(self.received_at?, RECEIVED_AT).ok().map(Timestamp)
    }

    fn foreign<'b>(&self, body: &'b Bytes) -> Option<Foreign<'b>>
    where
        'a: 'b,
    {
        Some(Foreign {
            body,
            gate_signature: std::str::from_utf8(self.gate_signature?).ok()?,
            endpoint: self.endpoint(),
            received_at: self.received_at().unwrap_or(self.written_at),
        })
    }

    /// What it brought, believed by nobody: a person may want to see it.
    fn unproven(&self, value: Bytes) -> SignalRecord {
        let endpoint = self.endpoint().and_then(|name| EndpointName::parse(name).ok());
        let endpoint = endpoint.or_else(|| EndpointName::parse(NO_ENDPOINT).ok());
        let form = match (self.gate_signature, endpoint) {
            (Some(signature), Some(endpoint)) => Form::Webhook(Stamp {
                gate_signature: Bytes::copy_from_slice(signature),
                endpoint,
                secret: SecretIndex(u8::MAX),
                signed_at: Timestamp(0),
                received_at: self.written_at,
                timeliness: Timeliness::OutOfTime,
            }),
            (Some(_) | None, Some(_) | None) => Form::Own,
        };
        SignalRecord { value, form, seal: NOBODYS, hop: None }
    }

    fn record(&self, value: Bytes) -> Result<SignalRecord, WireError> {
        let signature = text(self.signature.ok_or(WireError::Short(SIGNATURE))?, SIGNATURE)?;
        let (seal, beside) = match self.gate_signature {
            None => (signature, None),
            Some(_) => {
                let malformed = WireError::Malformed(SIGNATURE);
                let (at, _) = signature.match_indices('.').nth(1).ok_or(malformed)?;
                (&signature[..at], Some(&signature[at + 1..]))
            }
        };
        let form = match (self.gate_signature, beside) {
            (Some(gate), Some(beside)) => Form::Webhook(self.stamp(gate, beside)?),
            (Some(_) | None, Some(_) | None) => Form::Own,
        };
        let hop = match self.hop {
            None => None,
            Some(bytes) => {
                let seal = self.hop_signature.ok_or(WireError::Short(HOP_SIGNATURE))?;
                Some(Hop::sealed(bytes, seal_of(text(seal, HOP_SIGNATURE)?, HOP_SIGNATURE)?)?)
            }
        };
        Ok(SignalRecord { value, form, seal: seal_of(seal, SIGNATURE)?, hop })
    }

    /// What the door found: `beside` its seal stands `secret.signed_at.timeliness`.
    fn stamp(&self, gate_signature: &[u8], beside: &str) -> Result<Stamp, WireError> {
        let malformed = || WireError::Malformed(SIGNATURE);
        let mut parts = beside.split('.');
        let (Some(secret), Some(signed_at), Some(timeliness), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        let endpoint = self.endpoint.ok_or(WireError::Short(ENDPOINT))?;
        let received_at = self.received_at.ok_or(WireError::Short(RECEIVED_AT))?;
        Ok(Stamp {
            gate_signature: Bytes::copy_from_slice(gate_signature),
            endpoint: EndpointName::parse(text(endpoint, ENDPOINT)?)
                .map_err(|_| WireError::Malformed(ENDPOINT))?,
            secret: SecretIndex(secret.parse().map_err(|_| malformed())?),
            signed_at: Timestamp(signed_at.parse().map_err(|_| malformed())?),
            received_at: Timestamp(number(received_at, RECEIVED_AT)?),
            timeliness: Timeliness::from_word(timeliness).ok_or_else(malformed)?,
        })
    }
}

fn text<'a>(bytes: &'a [u8], which: &'static str) -> Result<&'a str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::Malformed(which))
}

fn number<T: std::str::FromStr>(bytes: &[u8], which: &'static str) -> Result<T, WireError> {
    text(bytes, which)?.parse().map_err(|_| WireError::Malformed(which))
}

fn seal_text(seal: &Seal) -> String {
    let mut text = String::with_capacity(SIGNATURE_BYTES);
    // Writing to a string does not fail.
    let _written = write!(text, "{}.", seal.key);
    HEXLOWER.encode_append(&seal.mac, &mut text);
    text
}

fn seal_of(text: &str, which: &'static str) -> Result<Seal, WireError> {
    let malformed = || WireError::Malformed(which);
    let (key, hex) = text.split_once('.').ok_or_else(malformed)?;
    let mut mac = [0; 32];
    if hex.len() != 2 * mac.len() {
        return Err(malformed());
    }
    HEXLOWER.decode_mut(hex.as_bytes(), &mut mac).map_err(|_| malformed())?;
    Ok(Seal { key: key.parse().map_err(|_| malformed())?, mac })
}
