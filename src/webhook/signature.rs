//! The `Gate-Signature` header: `t=<unix seconds>,v1=<hex of HMAC-SHA256 over "t.body">`.

use super::SECONDS_MAX;
use super::secret::mac_of_parts;
use crate::attempt::Timestamp;
use hmac::Hmac;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// `v1` values that one header may carry. Two are in use while a secret is rotated; each costs
/// a comparison only, but a header is a stranger's text.
pub const V1_MAX: usize = 8;

/// Longest header that is looked at: `t`, [`V1_MAX`] signatures and some room.
const HEADER_BYTES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the Gate-Signature header is missing")]
    Missing,
    #[error("the Gate-Signature header cannot be read: {0}")]
    Malformed(&'static str),
    #[error("no secret of this endpoint signed these bytes")]
    Mismatch,
}

impl SignatureError {
    /// The word under which it is counted.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Malformed(_) => "signature_malformed",
            Self::Mismatch => "signature_mismatch",
        }
    }
}

/// A header that has the right form. Nothing is proven yet.
#[derive(Debug)]
pub struct SignatureHeader<'a> {
    time_text: &'a str,
    seconds: i64,
    v1: [[u8; 32]; V1_MAX],
    v1_count: usize,
}

impl<'a> SignatureHeader<'a> {
    pub fn parse(text: &'a str) -> Result<Self, SignatureError> {
        use SignatureError::{Malformed, Missing};

        if text.trim().is_empty() {
            return Err(Missing);
        }
        if text.len() > HEADER_BYTES_MAX {
            return Err(Malformed("it is too long"));
        }
        let mut time: Option<(&str, i64)> = None;
        let mut v1 = [[0_u8; 32]; V1_MAX];
        let mut v1_count = 0;
        let mut v1_seen = false;
        for part in text.split(',') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim();
            match name.trim() {
                "t" if time.is_some() => return Err(Malformed("t is given twice")),
                "t" => {
                    let seconds = seconds(value).ok_or(Malformed("t is not a usable time"))?;
                    time = Some((value, seconds));
                }
                "v1" => {
                    v1_seen = true;
                    let slot =
                        v1.get_mut(v1_count).ok_or(Malformed("it has too many signatures"))?;
                    // Another length or alphabet cannot match; it does not spoil the others.
                    if hex_32(value, slot) {
                        v1_count += 1;
                    }
                }
                _other_scheme => {}
            }
        }
        let Some((time_text, seconds)) = time else { return Err(Malformed("t is missing")) };
        if v1_count == 0 {
            let why = if v1_seen { "a v1 must be 64 hex digits" } else { "v1 is missing" };
            return Err(Malformed(why));
        }
        Ok(Self { time_text, seconds, v1, v1_count })
    }

    pub fn signed_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.seconds)
    }

    pub(super) fn time_text(&self) -> &'a [u8] {
        self.time_text.as_bytes()
    }

    /// Whether any `v1` is `mac`, compared in constant time.
    pub(super) fn carries(&self, mac: &[u8; 32]) -> bool {
        let found = self.v1[..self.v1_count]
            .iter()
            .fold(Choice::from(0), |found, v1| found | v1.ct_eq(mac));
        found.into()
    }
}

/// The MAC over `t`, a point, and the raw body.
pub(super) fn mac_of(keyed: &Hmac<Sha256>, time_text: &[u8], body: &[u8]) -> [u8; 32] {
    mac_of_parts(keyed, &[time_text, b".", body])
}

/// Strictly digits: no sign, no space, no point, and no more of them than a time can have.
fn seconds(text: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 12;
    let plain = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = plain.then(|| text.parse::<i64>().ok()).flatten()?;
    (1..=SECONDS_MAX).contains(&seconds).then_some(seconds)
}

fn hex_32(text: &str, out: &mut [u8; 32]) -> bool {
    text.len() == 64 && data_encoding::HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), out).is_ok()
}
