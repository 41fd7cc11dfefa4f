//! Reading and trimming a raw query string, so that what a policy acts on is exactly what it removes.
//!
//! Pairs are separated by `&`. Names and values are percent-decoded once; `+` stays `+`; a `%` that no two hexadecimal
//! digits follow stands for itself. Names are compared after decoding: `service%5Fid=a` is a `service_id`.

use crate::id::InvalidId;

/// All values of a parameter, percent-decoded, in order. A name without `=` has an empty value.
///
/// # Errors
/// An item is [`InvalidId::NotUtf8`] where the decoded value is no text.
pub fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = Result<String, InvalidId>> + 'q {
    query.split('&').filter(move |pair| is_named(pair, name)).map(|pair| {
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        decode(value)
    })
}

/// The query without the parameters of these names. All other pairs stay as they are, byte for byte and in order.
/// None where nothing was removed; `Some("")` where nothing is left.
#[must_use]
pub fn without(query: &str, names: &[&str]) -> Option<String> {
    let pairs: Vec<&str> = query.split('&').collect();
    let kept: Vec<&str> = pairs.iter().copied().filter(|pair| !names.iter().any(|name| is_named(pair, name))).collect();
    (kept.len() != pairs.len()).then(|| kept.join("&"))
}

/// Percent-decodes a text.
///
/// # Errors
/// [`InvalidId::NotUtf8`]
pub fn decode(text: &str) -> Result<String, InvalidId> {
    String::from_utf8(decode_bytes(text)).map_err(|_| InvalidId::NotUtf8)
}

fn is_named(pair: &str, name: &str) -> bool {
    let raw = pair.split_once('=').map_or(pair, |(name, _)| name);
    raw == name || (raw.contains('%') && decode_bytes(raw) == name.as_bytes())
}

pub(crate) fn decode_bytes(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        let byte = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    decoded
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
