//! What the `attempts` topic keeps under a key: an attempt, a session's home, or one parked body.

use super::codec::WireError;
use super::state_v1::{AttemptV1, HomeV1};
use crate::attempt::{Attempt, AttemptId, Home, SessionId};
use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};

/// The first byte of a stored state.
const VERSION: u8 = 1;

/// What the key of a stored state begins with, by what stands under it.
const ATTEMPT: &str = "a/";
const SESSION: &str = "s/";
const PARKED: &str = "p/";

/// The key of an attempt whose id we minted.
pub fn attempt_key(id: &AttemptId) -> SmolStr {
    format_smolstr!("{ATTEMPT}{id}")
}

/// The key of a session's home, and of the attempt where it was adopted.
pub fn session_key(session: &SessionId) -> SmolStr {
    format_smolstr!("{SESSION}{session}")
}

/// The key of the parked body in `slot`.
pub fn parked_key(session: &SessionId, slot: usize) -> String {
    format!("{PARKED}{session}/{slot}")
}

/// A key of a stored state, read: what stands under it, and the id that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKey<'a> {
    /// An attempt whose id we minted.
    Attempt(&'a str),
    /// A session's home, and the attempt where it was adopted.
    Session(&'a str),
    /// A body that waits, by its session.
    Parked(&'a str),
}

impl<'a> StateKey<'a> {
    pub fn read(key: &'a [u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        if let Some(id) = key.strip_prefix(ATTEMPT) {
            return Some(Self::Attempt(id));
        }
        if let Some(session) = key.strip_prefix(SESSION) {
            return Some(Self::Session(session));
        }
        let (session, _slot) = key.strip_prefix(PARKED)?.rsplit_once('/')?;
        Some(Self::Parked(session))
    }

    pub fn id(self) -> &'a str {
        match self {
            Self::Attempt(id) | Self::Session(id) | Self::Parked(id) => id,
        }
    }
}

pub fn encode_attempt(attempt: &Attempt, out: &mut Vec<u8>) {
    out.push(VERSION);
    put_postcard(out, &AttemptV1::from(attempt));
}

pub fn decode_attempt(bytes: &[u8]) -> Result<Attempt, WireError> {
    postcard::from_bytes::<AttemptV1<'_>>(versioned(bytes)?)
        .ok()
        .and_then(AttemptV1::understood)
        .ok_or(WireError::Malformed("a stored attempt"))
}

/// The attempt that stands under a key, minted or adopted, if one does.
pub fn decode_attempt_at(key: &[u8], bytes: &[u8]) -> Result<Option<Attempt>, WireError> {
    match StateKey::read(key) {
        Some(StateKey::Attempt(_)) => decode_attempt(bytes).map(Some),
        Some(StateKey::Session(_)) => Ok(match decode_home(bytes)? {
            Home::Adopted(attempt) => Some(*attempt),
            Home::Unknown | Home::Claimed { .. } | Home::Parked { .. } => None,
        }),
        Some(StateKey::Parked(_)) | None => Ok(None),
    }
}

pub fn encode_home(home: &Home, out: &mut Vec<u8>) {
    out.push(VERSION);
    put_postcard(out, &HomeV1::from(home));
}

pub fn decode_home(bytes: &[u8]) -> Result<Home, WireError> {
    postcard::from_bytes::<HomeV1<'_>>(versioned(bytes)?)
        .ok()
        .and_then(HomeV1::understood)
        .ok_or(WireError::Malformed("a stored session"))
}

fn versioned(bytes: &[u8]) -> Result<&[u8], WireError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some(_) => Err(WireError::Unknown("the version of a stored state")),
        None => Err(WireError::Short("a stored state")),
    }
}

/// Appends, without the copy that a buffer of postcard's own would cost.
pub(crate) fn put_postcard<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    match postcard::serialize_with_flavor(value, Append(out)) {
        Ok(()) => {}
        Err(_) => unreachable!("a growing buffer takes every value that has a length"),
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
