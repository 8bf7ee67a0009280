//! Our own signature over what enters the journal by our hand.
//!
//! A countersigned webhook goes on being proven when its secret has been retired; a command or a
//! hop is proven at all. Keys are never dropped: what they sealed stays in the journal for ever.

use crate::attempt::{Digest, EndpointName, Timeliness, Timestamp};
use crate::webhook::SecretIndex;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// Our signing keys in the order of the configuration. One seals, the last where nobody says
/// which; all of them verify. The first one is the root of attempt ids and must never change.
#[derive(Clone)]
pub struct SigningKeys {
    keys: Vec<Hmac<Sha256>>,
    seals: usize,
}

/// Least key length taken: the strength of the hash.
pub const SIGNING_KEY_BYTES_MIN: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeysError {
    #[error("there is no signing key")]
    None,
    #[error("a signing key is shorter than {SIGNING_KEY_BYTES_MIN} bytes")]
    TooShort,
    #[error("there are more than 255 signing keys")]
    TooMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Which of our keys, by its place.
    pub key: u8,
    pub mac: [u8; 32],
}

/// By which a data folder knows the key that its journal rests on. Shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a fingerprint has 16 hexadecimal digits")
    }
}

impl SigningKeys {
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, SigningKeysError> {
        let mut keyed = vec![];
        for key in keys {
            if key.len() < SIGNING_KEY_BYTES_MIN {
                return Err(SigningKeysError::TooShort);
            }
            match Hmac::<Sha256>::new_from_slice(key) {
                Ok(key) => keyed.push(key),
                Err(_) => unreachable!("HMAC takes a key of any length"),
            }
        }
        match keyed.len() {
            0 => Err(SigningKeysError::None),
            count @ 1..=255 => Ok(Self { keys: keyed, seals: count - 1 }),
            _more => Err(SigningKeysError::TooMany),
        }
    }

    /// Lets the key at `place` seal, if there is one.
    #[must_use]
    pub fn sealing_with(self, place: usize) -> Self {
        let seals = if place < self.keys.len() { place } else { self.seals };
        Self { seals, ..self }
    }

    pub fn seal(&self, sealed: &Sealed<'_>) -> Seal {
        Seal { key: self.seals as u8, mac: mac(&self.keys[self.seals], sealed) }
    }

    pub fn holds(&self, seal: &Seal, sealed: &Sealed<'_>) -> bool {
        self.keys
            .get(usize::from(seal.key))
            .is_some_and(|key| mac(key, sealed).ct_eq(&seal.mac).into())
    }

    /// Tells the keys that may have sealed something apart from others, without showing them: those
    /// up to the one that seals, by their places. Whoever has a fingerprint can test a guess of the
    /// key, as with any seal; so the least length is what keeps the key.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.keys[..=self.seals].iter().map(fingerprint).collect()
    }

    /// The fingerprint of the key at `place`, if there is one.
    pub fn fingerprint(&self, place: usize) -> Option<Fingerprint> {
        self.keys.get(place).map(fingerprint)
    }

    /// A keyed value of the root key, for ids that only we can make.
    pub(super) fn rooted(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.keys[0].clone();
        mac.update(purpose);
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn fingerprint(key: &Hmac<Sha256>) -> Fingerprint {
    let mut mac = key.clone();
    mac.update(b"fingerprint\0");
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(&mac.finalize().into_bytes()[..8]);
    Fingerprint(fingerprint)
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({} of ***)", self.keys.len())
    }
}

/// What a seal is over. Each form begins with a word of its own, so that a seal for one can never
/// pass for another.
#[derive(Clone, Copy, Debug)]
pub enum Sealed<'a> {
    Webhook {
        digest: &'a Digest,
        endpoint: &'a EndpointName,
        secret: SecretIndex,
        signed_at: Timestamp,
        received_at: Timestamp,
        timeliness: Timeliness,
    },
    Own {
        json: &'a [u8],
    },
    Hop {
        digest: &'a Digest,
        hop: &'a [u8],
    },
    Cursor {
        text: &'a [u8],
    },
}

fn mac(key: &Hmac<Sha256>, sealed: &Sealed<'_>) -> [u8; 32] {
    let mut mac = key.clone();
    match sealed {
        Sealed::Webhook { digest, endpoint, secret, signed_at, received_at, timeliness } => {
            let mut fixed = [0_u8; 18];
            fixed[0] = secret.0;
            fixed[1] = timeliness.code();
            fixed[2..10].copy_from_slice(&signed_at.0.to_be_bytes());
            fixed[10..18].copy_from_slice(&received_at.0.to_be_bytes());
            mac.update(b"webhook\0");
            mac.update(&fixed);
            mac.update(&digest.0);
            mac.update(endpoint.as_str().as_bytes());
        }
        Sealed::Own { json } => {
            mac.update(b"own\0");
            mac.update(json);
        }
        Sealed::Hop { digest, hop } => {
            mac.update(b"hop\0");
            mac.update(&digest.0);
            mac.update(hop);
        }
        Sealed::Cursor { text } => {
            mac.update(b"cursor\0");
            mac.update(text);
        }
    }
    mac.finalize().into_bytes().into()
}
