//! The rule for channel and service ids, the same as the host's: 1 to 128 bytes of UTF-8 without control characters.

use std::{error, fmt};

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// Why an id is refused. Its text completes "the id …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidId {
    /// It has no characters.
    Empty,
    /// It is longer than [`MAX_ID_BYTES`].
    TooLong,
    /// It holds a control character.
    Control,
    /// Percent-decoded, it is not UTF-8.
    NotUtf8,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {MAX_ID_BYTES} bytes"),
            Self::Control => f.write_str("holds a control character"),
            Self::NotUtf8 => f.write_str("is not UTF-8"),
        }
    }
}

impl error::Error for InvalidId {}

/// Checks an id.
///
/// # Errors
/// The rule that it breaks.
pub fn check(id: &str) -> Result<(), InvalidId> {
    if id.is_empty() {
        Err(InvalidId::Empty)
    } else if id.len() > MAX_ID_BYTES {
        Err(InvalidId::TooLong)
    } else if id.chars().any(char::is_control) {
        Err(InvalidId::Control)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_1_to_128_bytes_without_control_characters() {
        let full = "é".repeat(64);
        for good in ["a", " ", "+", "käse/1", full.as_str()] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        let over = full + "x";
        for (bad, why) in [
            ("", InvalidId::Empty),
            (over.as_str(), InvalidId::TooLong),
            ("a\nb", InvalidId::Control),
            ("\u{0}", InvalidId::Control),
            ("a\u{7f}", InvalidId::Control),
            ("a\u{85}", InvalidId::Control),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
    }
}
