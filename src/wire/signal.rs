//! A record of the `signals` topic: the bytes as they came, and what proves them.

use super::codec::{Reader, WireError, put_bytes, put_varint};
use super::seal::Seal;
use crate::attempt::{AttemptId, EndpointName, Position, SessionId, Timeliness, Timestamp};
use crate::webhook::SecretIndex;
use bytes::Bytes;

/// The first byte of a stored signal.
const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRecord {
    /// The raw body of a webhook, byte for byte; or our own JSON.
    pub value: Bytes,
    pub form: Form,
    pub seal: Seal,
    pub hop: Option<Hop>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Webhook(Stamp),
    /// A command, a reading or a claim.
    Own,
}

/// What the door found when it took a webhook. Covered by the record's seal, but for the
/// signature header, which stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub gate_signature: Bytes,
    pub endpoint: EndpointName,
    pub secret: SecretIndex,
    pub signed_at: Timestamp,
    pub received_at: Timestamp,
    pub timeliness: Timeliness,
}

/// One forwarding, sealed by us. A record makes at most one of each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub to: HopTo,
    /// Where the copy that was forwarded stands.
    pub from: Position,
    pub seal: Seal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HopTo {
    /// To the home of its own key.
    Home,
    /// From a claimed session's home to its attempt's home.
    Claim { session: SessionId, attempt: AttemptId, arrival: Arrival },
}

/// Whether a forwarded copy has been counted as accepted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Fresh,
    /// It waited, parked, and was accepted then.
    Released,
}

impl SignalRecord {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match &self.form {
            Form::Webhook(stamp) => {
                out.push(1);
                put_bytes(out, &stamp.gate_signature);
                put_bytes(out, stamp.endpoint.as_str().as_bytes());
                out.push(stamp.secret.0);
                out.push(stamp.timeliness.code());
                out.extend_from_slice(&stamp.signed_at.0.to_le_bytes());
                out.extend_from_slice(&stamp.received_at.0.to_le_bytes());
            }
            Form::Own => out.push(2),
        }
        put_seal(out, &self.seal);
        match &self.hop {
            None => out.push(0),
            Some(hop) => {
                out.push(1);
                put_bytes(out, &hop.sealed_bytes());
                put_seal(out, &hop.seal);
            }
        }
        put_bytes(out, &self.value);
    }

    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.value.len() + 256);
        self.encode(&mut out);
        out
    }

    /// Reads one record that fills `bytes`. Nothing is copied but the short texts.
    pub fn decode(bytes: &Bytes) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        if reader.byte("version")? != VERSION {
            return Err(WireError::Unknown("the version of a signal"));
        }
        let form = match reader.byte("form")? {
            1 => Form::Webhook(Stamp {
                gate_signature: bytes.slice_ref(reader.bytes("signature header")?),
                endpoint: EndpointName::parse(reader.text("endpoint")?)
                    .map_err(|_| WireError::Malformed("endpoint"))?,
                secret: SecretIndex(reader.byte("secret index")?),
                timeliness: timeliness(reader.byte("timeliness")?)?,
                signed_at: Timestamp(i64::from_le_bytes(reader.array("signed at")?)),
                received_at: Timestamp(i64::from_le_bytes(reader.array("received at")?)),
            }),
            2 => Form::Own,
            _ => return Err(WireError::Unknown("the form of a signal")),
        };
        let seal = seal(&mut reader)?;
        let hop = match reader.byte("hop")? {
            0 => None,
            1 => {
                let bytes = reader.bytes("hop")?;
                Some(Hop::sealed(bytes, self::seal(&mut reader)?)?)
            }
            _ => return Err(WireError::Unknown("the kind of a hop")),
        };
        let value = bytes.slice_ref(reader.bytes("value")?);
        if !reader.is_empty() {
            return Err(WireError::Malformed("the end of a signal"));
        }
        Ok(Self { value, form, seal, hop })
    }
}

impl Hop {
    /// The bytes that a hop's seal covers, beside the digest of the value.
    pub fn sealed_bytes(&self) -> Vec<u8> {
        hop_bytes(&self.to, self.from)
    }

    /// A hop as it was sealed, with its seal.
    pub fn sealed(bytes: &[u8], seal: Seal) -> Result<Self, WireError> {
        let (to, from) = Self::parse(bytes)?;
        Ok(Self { to, from, seal })
    }

    fn parse(bytes: &[u8]) -> Result<(HopTo, Position), WireError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.byte("hop kind")?;
        let from = Position {
            partition: u32::try_from(reader.varint("hop partition")?)
                .map_err(|_| WireError::Malformed("hop partition"))?,
            offset: reader.varint("hop offset")?,
        };
        let to = match kind {
            1 => HopTo::Home,
            2 | 3 => HopTo::Claim {
                session: SessionId::parse(reader.text("hop session")?)
                    .map_err(|_| WireError::Malformed("hop session"))?,
                attempt: AttemptId::parse(reader.text("hop attempt")?)
                    .map_err(|_| WireError::Malformed("hop attempt"))?,
                arrival: if kind == 2 { Arrival::Fresh } else { Arrival::Released },
            },
            _ => return Err(WireError::Unknown("the kind of a hop")),
        };
        Ok((to, from))
    }
}

pub fn hop_bytes(to: &HopTo, from: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.push(match to {
        HopTo::Home => 1,
        HopTo::Claim { arrival: Arrival::Fresh, .. } => 2,
        HopTo::Claim { arrival: Arrival::Released, .. } => 3,
    });
    put_varint(&mut out, u64::from(from.partition));
    put_varint(&mut out, from.offset);
    if let HopTo::Claim { session, attempt, .. } = to {
        put_bytes(&mut out, session.as_str().as_bytes());
        put_bytes(&mut out, attempt.as_str().as_bytes());
    }
    out
}

fn put_seal(out: &mut Vec<u8>, seal: &Seal) {
    out.push(seal.key);
    out.extend_from_slice(&seal.mac);
}

fn seal(reader: &mut Reader<'_>) -> Result<Seal, WireError> {
    Ok(Seal { key: reader.byte("seal key")?, mac: reader.array("seal")? })
}

fn timeliness(code: u8) -> Result<Timeliness, WireError> {
    Timeliness::from_code(code).ok_or(WireError::Unknown("the timeliness of a signal"))
}
