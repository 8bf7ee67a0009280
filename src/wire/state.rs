//! What the `attempts` topic keeps under a key: an attempt, a session's home, or one parked body.

use super::codec::WireError;
use super::state_v1::{AttemptV1, HomeV1};
use crate::attempt::{Attempt, AttemptId, Home, SessionId};
use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};

/// The first byte of a stored state.
const VERSION: u8 = 1;

/// The key of an attempt whose id we minted.
pub fn attempt_key(id: &AttemptId) -> SmolStr {
    format_smolstr!("a/{id}")
}

/// The key of a session's home, and of the attempt where it was adopted.
pub fn session_key(session: &SessionId) -> SmolStr {
    format_smolstr!("s/{session}")
}

/// The key of the parked body in `slot`.
pub fn parked_key(session: &SessionId, slot: usize) -> String {
    format!("p/{session}/{slot}")
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
