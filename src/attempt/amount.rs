//! Money, exactly. An amount is an integer of its own scale; a float never appears.

use smol_str::SmolStr;
use std::fmt;

/// Digits that an amount may have. 38 decimal digits fit in 128 bits, and the longest token
/// scale in use is 18.
const DIGITS_MAX: usize = 38;

/// A decimal amount as it was written, and its value.
///
/// Two amounts are equal when their values are (`100.0` is `100.00`); what is published is the
/// text as received.
#[derive(Clone)]
pub struct Amount {
    text: SmolStr,
    /// Value times ten to the power of `scale`, with no trailing zero left in it.
    units: u128,
    scale: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a plain decimal number of at most {DIGITS_MAX} digits")]
pub struct AmountError;

impl Amount {
    /// Takes `123`, `123.4`, `0.00`. Refuses signs, exponents, spaces, a bare point: what is not
    /// plainly an amount must not become one.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(AmountError),
            None => (text, ""),
        };
        let digits = whole.len() + fraction.len();
        if whole.is_empty() || digits > DIGITS_MAX {
            return Err(AmountError);
        }
        let fraction_kept = fraction.trim_end_matches('0');
        let mut units: u128 = 0;
        for byte in whole.bytes().chain(fraction_kept.bytes()) {
            if !byte.is_ascii_digit() {
                return Err(AmountError);
            }
            units = units * 10 + u128::from(byte - b'0');
        }
        let scale = u8::try_from(fraction_kept.len()).map_err(|_| AmountError)?;
        Ok(Self { text: SmolStr::new(text), units, scale })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        (self.units, self.scale) == (other.units, other.scale)
    }
}

impl Eq for Amount {}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({})", self.text)
    }
}

/// A currency or token code. Compared without regard to case, because the provider's own pages
/// do not agree on it.
#[derive(Clone, Debug, Eq)]
pub struct Code(SmolStr);

/// Longest code taken: the longest network names are around 20 bytes.
const CODE_BYTES_MAX: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a code of 1 to {CODE_BYTES_MAX} printable characters")]
pub struct CodeError;

impl Code {
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let fits = (1..=CODE_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(CodeError)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn amounts_compare_by_value_and_keep_their_text() {
        assert_eq!(amount("100"), amount("100.00"));
        assert_eq!(amount("100.0").as_str(), "100.0");
        assert_ne!(amount("100"), amount("100.01"));
        assert_ne!(amount("10"), amount("100"));
        assert_eq!(amount("0"), amount("0.000"));
        assert_ne!(amount("1"), amount("0.1"));
    }

    #[test]
    fn an_amount_never_passes_through_a_float() {
        assert_ne!(amount("0.1000000000000000000000000001"), amount("0.1"));
        assert_ne!(
            amount("99999999999999999999999999999999999999"),
            amount("99999999999999999999999999999999999998")
        );
    }

    #[test]
    fn what_is_not_plainly_an_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1,0", "1.2.3", "٣", "0x1"] {
            assert_eq!(Amount::parse(text).unwrap_err(), AmountError, "{text}");
        }
        assert!(Amount::parse(&"9".repeat(DIGITS_MAX + 1)).is_err());
    }

    #[test]
    fn codes_ignore_case() {
        assert_eq!(Code::parse("eur"), Code::parse("EUR"));
        assert_ne!(Code::parse("EUR"), Code::parse("USD"));
        assert!(Code::parse("").is_err());
    }
}
