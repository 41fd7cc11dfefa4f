//! The request target and the fields that name a resource: what routes match on, and what is refused before matching.
//!
//! Pure functions over what was received; nothing here changes what is forwarded. Paths are strict, because a path that
//! two programs read differently is a way around a policy: whatever could be read in two ways is refused with 400.
//! The query is free: it is never refused, and a value that cannot be decoded is given as received.

use std::{borrow::Cow, fmt::Write as _, str::FromStr};

use http::{HeaderMap, Version, header, request::Parts, uri::Authority};

use crate::{error::Cause, model::Refusal};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

/// The percent-decoded segments of a path.
///
/// `/` has one empty segment, `/chat` one, `/chat/` two of which the last is empty; doubled slashes keep their empty
/// segment (`/chat//x` is `chat`, nothing, `x`).
///
/// # Errors
/// [`Cause::BadPath`] for a path that does not start with `/`, for dot segments, `\`, non-ASCII bytes, bad escapes, and
/// for escapes of `/`, `\`, dot segments, control characters or bytes that are not UTF-8 together.
pub fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let refuse = |why: &str| Refusal::because(Cause::BadPath, format!("the path {why}"));
    let Some(rest) = path.strip_prefix('/') else {
        return Err(refuse("does not start with a slash"));
    };
    rest.split('/').map(|raw| segment(raw).map_err(refuse)).collect()
}

fn segment(raw: &str) -> Result<String, &'static str> {
    // Nearly all are of these alone.
    if raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')) {
        return Ok(raw.to_owned());
    }
    if !raw.is_ascii() {
        return Err("holds a byte that is not ASCII");
    }
    let bytes = unescape(raw).ok_or("holds a percent sign without two hexadecimal digits")?;
    if bytes.iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        return Err("holds an escaped slash or a backslash");
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "holds escapes that are not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    if matches!(text, "." | "..") {
        return Err("holds a dot segment");
    }
    Ok(text.to_owned())
}

/// The decoded name and value of each `&`-separated pair of a raw query, in order.
///
/// `+` stays `+`. A pair without `=` has an empty value; empty pairs are left out. A name or value whose escapes are bad
/// or not UTF-8 is given as received, so that a policy sees something it can refuse instead of a guess.
pub fn query_pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded_or_raw(name), decoded_or_raw(value))
    })
}

/// [`query_pairs`], owned.
#[must_use]
pub fn query_params(raw: &str) -> Vec<(String, String)> {
    query_pairs(raw).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The value of the first pair of that (decoded) name, by the rules of [`query_pairs`].
#[must_use]
pub fn query_param(raw: &str, name: &str) -> Option<String> {
    query_pairs(raw).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// The value of the first cookie of that name (RFC 6265 §4.2.1), as sent: neither unquoted nor decoded.
#[must_use]
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| std::str::from_utf8(line.as_bytes()).ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

/// Checks what every request must keep to, upgrade or not, and gives the authority it is for.
///
/// The authority is that of an absolute request target, else the `Host` field, as received; it is empty only for an
/// HTTP/1.0 request that has neither.
///
/// # Errors
/// [`Cause::BadHeader`] for a value that is not UTF-8, for a doubled or malformed `Host`, for none in HTTP/1.1
/// (RFC 9112 §3.2), and for a `Host` that disagrees with an absolute target: one of the two would be matched and the
/// other forwarded.
pub fn check_head(head: &Parts) -> Result<String, Refusal> {
    if let Some((name, _)) = head.headers.iter().find(|(_, value)| std::str::from_utf8(value.as_bytes()).is_err()) {
        return Err(bad_header(format!("the value of the header {name} is not UTF-8")));
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad_header("there is more than one Host header"));
    }
    let host = match host {
        Some(value) => Some(parse_authority(&String::from_utf8_lossy(value.as_bytes()))?),
        // RFC 9113 §8.3.1: HTTP/2 has it in the target.
        None if head.version >= Version::HTTP_2 && head.uri.authority().is_some() => None,
        None if head.version >= Version::HTTP_11 => return Err(bad_header("the Host header is missing")),
        None => None,
    };
    let target = head.uri.authority().map(|authority| parse_authority(authority.as_str())).transpose()?;
    match (target, host) {
        (Some(target), Some(host)) if !same(&target, &host, head.uri.scheme_str()) => {
            Err(bad_header("the Host header disagrees with the request target"))
        }
        (Some(authority), _) | (None, Some(authority)) => Ok(authority.as_str().to_owned()),
        (None, None) => Ok(String::new()),
    }
}

/// Checks the authority of a target in absolute form, and that `host` says the same.
///
/// # Errors
/// Those of [`check_head`].
pub(super) fn check_absolute(scheme: &str, authority: &str, host: Option<&str>) -> Result<(), Refusal> {
    let target = parse_authority(authority)?;
    match host.map(parse_authority).transpose()? {
        Some(host) if !same(&target, &host, Some(scheme)) => {
            Err(bad_header("the Host header disagrees with the request target"))
        }
        _ => Ok(()),
    }
}

fn bad_header(reason: impl Into<String>) -> Refusal {
    Refusal::because(Cause::BadHeader, reason)
}

/// `uri-host [":" port]`: an authority without user information, with a host, and with a port that is a number.
fn parse_authority(text: &str) -> Result<Authority, Refusal> {
    let refuse = || bad_header("the Host header or the request target names no valid host");
    let authority = Authority::from_str(text).map_err(|_| refuse())?;
    if authority.as_str().contains('@') || !is_host(authority.host()) {
        return Err(refuse());
    }
    let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(authority),
        // RFC 3986 §3.2.3: a port may be empty and then is the scheme's default.
        Some("") => Ok(authority),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok() => {
            Ok(authority)
        }
        _ => Err(refuse()),
    }
}

/// RFC 3986 §3.2.2, narrowed to what names and addresses are made of: it goes into `Forwarded` and into log lines.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
    }
}

fn same(a: &Authority, b: &Authority, scheme: Option<&str>) -> bool {
    let default = if matches!(scheme, Some("https" | "wss")) { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    a.host().eq_ignore_ascii_case(b.host()) && port(a) == port(b)
}

/// Percent-decoded; as it is where that is not possible or gives no UTF-8.
pub(super) fn decoded_or_raw(raw: &str) -> Cow<'_, str> {
    match unescape(raw) {
        Some(Cow::Owned(bytes)) => String::from_utf8(bytes).map_or(Cow::Borrowed(raw), Cow::Owned),
        Some(Cow::Borrowed(_)) | None => Cow::Borrowed(raw),
    }
}

/// A path with the escapes of unreserved characters undone and the others in upper case (RFC 3986 §6.2.2): one spelling
/// for what means the same. Bad escapes stay.
#[must_use]
pub fn unreserved(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut parts = path.split('%');
    let mut spelled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape =
            part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')));
        match (escape, part.get(2..)) {
            (Some(byte), Some(rest)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                spelled.push(char::from(byte));
                spelled.push_str(rest);
            }
            (Some(byte), Some(rest)) => {
                let _ = write!(spelled, "%{byte:02X}");
                spelled.push_str(rest);
            }
            _ => {
                spelled.push('%');
                spelled.push_str(part);
            }
        }
    }
    Cow::Owned(spelled)
}

/// Percent-decoding (RFC 3986 §2.1) that refuses what it cannot decode; `+` is a plus sign.
fn unescape(raw: &str) -> Option<Cow<'_, [u8]>> {
    let mut parts = raw.split('%');
    let first = parts.next()?;
    if first.len() == raw.len() {
        return Some(Cow::Borrowed(raw.as_bytes()));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    bytes.extend_from_slice(first.as_bytes());
    for part in parts {
        let [high, low, rest @ ..] = part.as_bytes() else {
            return None;
        };
        bytes.push(hex(*high)? << 4 | hex(*low)?);
        bytes.extend_from_slice(rest);
    }
    Some(Cow::Owned(bytes))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
