//! Reading and trimming a raw query string, so that what a policy acts on is exactly what it removes.
//!
//! Pairs are separated by `&`. Names and values are percent-decoded once; `+` stays `+`; a `%` that no two hexadecimal
//! digits follow stands for itself. Names are compared after decoding: `service%5Fid=a` is a `service_id`.

use std::borrow::Cow;

use crate::id::InvalidId;

/// All values of a parameter, percent-decoded, in order. A name without `=` has an empty value.
///
/// # Errors
/// An item is [`InvalidId::NotUtf8`] where the decoded value is no text.
pub fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Result<String, InvalidId>> + 'q {
    pairs(query).filter(move |pair| pair.is_named(name)).map(|pair| text(pair.value()))
}

/// The query without the parameters of these names. All other pairs stay as they are, byte for byte and in order.
/// None where nothing was removed; `Some("")` where nothing is left.
#[must_use]
pub fn without(query: &str, names: &[&str]) -> Option<String> {
    let goes = |pair: &Pair<'_>| names.iter().any(|name| pair.is_named(name));
    if !pairs(query).any(|pair| goes(&pair)) {
        return None;
    }
    let kept: Vec<&[u8]> = pairs(query).filter(|pair| !goes(pair)).map(|pair| pair.whole).collect();
    // Cut at ASCII, so that it is text still.
    Some(String::from_utf8_lossy(&kept.join(&b'&')).into_owned())
}

/// Percent-decodes a text.
///
/// # Errors
/// [`InvalidId::NotUtf8`]
pub fn decode(text: &str) -> Result<String, InvalidId> {
    self::text(text.as_bytes())
}

/// [`decode`], with U+FFFD for what is not UTF-8.
pub(crate) fn decode_lossy(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte != b'%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(&decoded(text.as_bytes()).collect::<Vec<_>>()).into_owned())
}

/// What stands between two `&`, as it stands there. Bytes, for queries are short: the standard library's search for a
/// character is made for long texts.
struct Pair<'q> {
    whole: &'q [u8],
    /// Where its `=` is, or its end.
    equals: usize,
}

fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.as_bytes().split(|byte| *byte == b'&').map(|whole| {
        let equals = whole.iter().position(|byte| *byte == b'=').unwrap_or(whole.len());
        Pair { whole, equals }
    })
}

impl<'q> Pair<'q> {
    fn value(&self) -> &'q [u8] {
        self.whole.get(self.equals + 1..).unwrap_or_default()
    }

    /// Whether this is its name, percent-encoded or not.
    fn is_named(&self, name: &str) -> bool {
        decoded(&self.whole[..self.equals]).eq(name.bytes())
    }
}

fn text(raw: &[u8]) -> Result<String, InvalidId> {
    let mut bytes = Vec::with_capacity(raw.len());
    bytes.extend(decoded(raw));
    String::from_utf8(bytes).map_err(|_| InvalidId::NotUtf8)
}

/// The bytes, percent-decoded.
fn decoded(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (first, tail) = rest.split_first()?;
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        Some(escaped.unwrap_or(*first))
    })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[path = "query/tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
