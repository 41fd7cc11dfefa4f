//! Durations and sizes as the configuration file spells them.
//!
//! A duration is a whole number with one of the units `ms`, `s`, `m`, `h`; a size is a whole number with one of
//! `B`, `KiB`, `MiB`, `GiB` (powers of 1024). A bare `0` needs no unit; any other bare number is refused, because the
//! reader of the file cannot know what it counts. Pure text to value and back, without I/O.

use std::time::Duration;

/// Units of a duration in milliseconds, largest first.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of a size in bytes, largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a text is not a duration or a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidQuantity {
    /// A bare number other than 0.
    #[error("has no unit")]
    NoUnit,
    /// Not a whole number followed by a known unit.
    #[error("is not a whole number with a unit")]
    Malformed,
    /// More than the type can count.
    #[error("is too large to be counted")]
    Overflow,
}

/// Reads `text` as a whole number of the units' common base.
fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, InvalidQuantity> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(InvalidQuantity::Malformed);
    }
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if !unit.is_empty() => return Err(InvalidQuantity::Malformed),
        None if number.bytes().all(|digit| digit == b'0') => return Ok(0),
        None => return Err(InvalidQuantity::NoUnit),
    };
    let number: u64 = number.parse().map_err(|_| InvalidQuantity::Overflow)?;
    number.checked_mul(factor).ok_or(InvalidQuantity::Overflow)
}

/// Writes `value` with the largest unit that divides it.
fn spell(value: u64, units: &[(&str, u64)]) -> String {
    match units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => value.to_string(),
    }
}

/// Reads a duration: `250ms`, `30s`, `5m`, `1h` or `0`.
pub(super) fn duration(text: &str) -> Result<Duration, InvalidQuantity> {
    quantity(text, &DURATION_UNITS).map(Duration::from_millis)
}

/// Reads a size in bytes: `512B`, `64KiB`, `1MiB`, `1GiB` or `0`.
pub(super) fn size(text: &str) -> Result<u64, InvalidQuantity> {
    quantity(text, &SIZE_UNITS)
}

/// Writes a duration as the file would; anything below a millisecond is cut off.
pub(super) fn spell_duration(value: Duration) -> String {
    spell(u64::try_from(value.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS)
}

/// The same for a line of the log, where nothing says that a bare zero is a time.
pub(crate) fn shown_duration(value: Duration) -> String {
    if value.is_zero() { "0s".to_owned() } else { spell_duration(value) }
}

/// Writes a size as the file would.
pub(super) fn spell_size(value: u64) -> String {
    spell(value, &SIZE_UNITS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_with_a_unit_or_a_bare_zero() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("30"), Err(InvalidQuantity::NoUnit));
        for bad in ["", "s", "-1s", "1.5s", "1 s", "1d", "1S", "+1s", "1s1"] {
            assert_eq!(duration(bad), Err(InvalidQuantity::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_size_counts_in_powers_of_1024() {
        assert_eq!(size("512B"), Ok(512));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("00"), Ok(0));
        assert_eq!(size("1024"), Err(InvalidQuantity::NoUnit));
        assert_eq!(size("64KB"), Err(InvalidQuantity::Malformed));
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_and_never_wraps() {
        assert_eq!(duration("18446744073709551616ms"), Err(InvalidQuantity::Overflow));
        assert_eq!(duration("18446744073709551615h"), Err(InvalidQuantity::Overflow));
        assert_eq!(size("99999999999999999999999"), Err(InvalidQuantity::NoUnit));
    }

    proptest! {
        #[test]
        fn what_is_spelled_reads_back(millis: u64, bytes: u64) {
            let time = Duration::from_millis(millis);
            let spelled = spell_duration(time);
            prop_assert_eq!(duration(&spelled), Ok(time));
            prop_assert_eq!(size(&spell_size(bytes)), Ok(bytes));
        }
    }
}
