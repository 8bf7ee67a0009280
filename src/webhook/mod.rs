//! The door: bytes to verified events. Pure; the time is an argument.
//!
//! ```text
//!  Unverified ──verify──▶ Verified ──event──▶ Event
//!  (bytes, header)        (proof, time)       (ids, type and facts, from the signed bytes only)
//! ```
//!
//! There is no way from bytes to an [`Event`] past the signature: [`Verified`] has no public
//! constructor, and only it can be parsed.

mod envelope;
mod secret;
mod signature;

pub use envelope::{EnvelopeError, Event, EventType, Fact, SessionData, UnsignedHeaders};
pub use secret::{ENDPOINT_SECRETS_MAX, Keyring, SecretIndex, WebhookSecret};
pub use signature::{SignatureError, SignatureHeader, V1_MAX};

use crate::attempt::{Digest, Timeliness, Timestamp};
use sha2::{Digest as _, Sha256};

/// The last time that is taken from outside: 26 hours before the end of the year 9999, so that a
/// time that was let in can be written as RFC 3339 in every time zone.
const SECONDS_MAX: i64 = 253_402_207_200;

/// What came in, believed by nobody.
#[derive(Clone, Copy)]
pub struct Unverified<'a> {
    pub body: &'a [u8],
    /// The `Gate-Signature` header as received.
    pub signature: &'a str,
}

/// A body that one of our secrets signed, byte for byte.
#[derive(Clone, Copy)]
pub struct Verified<'a> {
    body: &'a [u8],
    signed_at: Timestamp,
    secret: SecretIndex,
}

impl<'a> Unverified<'a> {
    /// Checks the signature over the raw bytes. Says nothing about the time: an old delivery with
    /// a good signature is authentic, and what is made of it is decided later.
    pub fn verify(self, secrets: &Keyring) -> Result<Verified<'a>, SignatureError> {
        let header = SignatureHeader::parse(self.signature)?;
        let secret = secrets.matching(&header, self.body).ok_or(SignatureError::Mismatch)?;
        Ok(Verified { body: self.body, signed_at: header.signed_at(), secret })
    }
}

impl<'a> Verified<'a> {
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// When 0Gate signed this delivery.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }

    /// Which of the endpoint's secrets matched, by its place in the configuration.
    pub fn secret(&self) -> SecretIndex {
        self.secret
    }

    /// Whether the signed time is within `tolerance_seconds` of `now`, both ways, edges included.
    pub fn timeliness(&self, now: Timestamp, tolerance_seconds: u32) -> Timeliness {
        let drift = now.seconds().abs_diff(self.signed_at.seconds());
        if drift <= u64::from(tolerance_seconds) {
            Timeliness::InTime
        } else {
            Timeliness::OutOfTime
        }
    }

    pub fn digest(&self) -> Digest {
        digest(self.body)
    }

    pub fn event(&self) -> Result<Event<'a>, EnvelopeError> {
        Event::parse(self.body)
    }
}

/// Reads an event from bytes that our own seal proves: the door verified and countersigned them.
pub(crate) fn event_of_sealed(body: &[u8]) -> Result<Event<'_>, EnvelopeError> {
    Event::parse(body)
}

/// The digest under which bytes are known as evidence.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests;
