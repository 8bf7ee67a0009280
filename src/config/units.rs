//! Sizes and durations as people write them: a number and its unit, never a bare number.

use std::time::Duration;

const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

const DURATIONS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Why a text is no size or no duration, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotAQuantity {
    pub why: String,
    pub fix: String,
}

/// Bytes, from a text such as `256KiB`.
pub(super) fn size(text: &str) -> Result<u64, NotAQuantity> {
    let (number, unit) = split(text);
    let decimal = ["K", "M", "G", "KB", "MB", "GB"];
    if let Some(prefix) = unit.chars().next().map(|letter| letter.to_ascii_uppercase())
        && decimal.contains(&unit.to_ascii_uppercase().as_str())
    {
        return Err(NotAQuantity {
            why: format!("is in `{unit}`, which is not a unit of size here"),
            fix: format!("write \"{number}{prefix}iB\": units are powers of 1024"),
        });
    }
    quantity(text, SIZES, "a size such as \"256KiB\" (units: B, KiB, MiB, GiB)")
}

/// A span of time, from a text such as `300s`.
pub(super) fn duration(text: &str) -> Result<Duration, NotAQuantity> {
    quantity(text, DURATIONS, "a duration such as \"5s\" (units: ms, s, m, h, d)")
        .map(Duration::from_millis)
}

fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn quantity(text: &str, units: &[(&str, u64)], wanted: &str) -> Result<u64, NotAQuantity> {
    let (number, unit) = split(text);
    let no = |why: &str| NotAQuantity { why: why.to_owned(), fix: format!("write {wanted}") };
    if number.is_empty() {
        return Err(no("does not begin with a whole number"));
    }
    if unit.is_empty() {
        return Err(no("has no unit"));
    }
    let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(no("has a unit that is not known"));
    };
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(*scale)).ok_or_else(|| no("is too large"))
}

/// A size in the largest unit that says it exactly.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

/// A duration in the largest unit that says it exactly.
pub(super) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), DURATIONS)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let exact =
        units.iter().rev().find(|(_, scale)| amount >= *scale && amount.is_multiple_of(*scale));
    let (unit, scale) = exact.unwrap_or(&units[0]);
    format!("{}{unit}", amount / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_a_number_and_a_unit() {
        assert_eq!(size("256KiB"), Ok(262_144));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(duration("300s"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "whole number"),
            ("KiB", "whole number"),
            ("-5KiB", "whole number"),
            ("256", "no unit"),
            ("256KB", "not a unit of size"),
            ("1.5MiB", "not known"),
            ("99999999999999999999B", "too large"),
            ("18446744073709551615KiB", "too large"),
        ] {
            let said = size(text).unwrap_err().why;
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(duration("5 parsecs").unwrap_err().why.contains("not known"));
        assert!(duration("5").unwrap_err().why.contains("no unit"));
    }

    #[test]
    fn a_decimal_unit_is_told_its_binary_one() {
        assert_eq!(size("256kb").unwrap_err().fix, "write \"256KiB\": units are powers of 1024");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1023, 1024, 262_144, 3 << 30, u64::MAX] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        for millis in [0, 1, 1000, 61_000, 3_600_000, 86_400_000] {
            let duration_ = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(duration_)), Ok(duration_));
        }
    }
}
