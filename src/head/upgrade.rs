//! The opening handshake of RFC 6455, server side, and the HTTP answers that end a handshake.
//!
//! Pure functions: [`inspect`] decides whether a request asks for a WebSocket and whether it asks correctly (§4.2.1);
//! the builders make the 101 and every other answer. Nothing here reads a body, a clock or a socket.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts};
use http_body_util::Full;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::headers::{
    UPGRADE_OPTION, WEBSOCKET, WEBSOCKET_VERSION, elements, end_to_end_answer, has_token, is_token, pass_on,
    policy_field,
};
use crate::{
    error::Cause,
    model::{Refusal, Rejection},
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

/// Names the row of the error table in every answer that is not a 101.
pub const X_CORDBOARD_ERROR: HeaderName = HeaderName::from_static("x-cordboard-error");

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A WebSocket.
    Upgrade(UpgradeRequest),
    /// Anything else.
    Plain,
}

/// The parts of a valid upgrade request that answering it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// `Sec-WebSocket-Key`: canonical base64, as received.
    pub key: String,
    /// The offers of all `Sec-WebSocket-Protocol` fields in order, each once.
    pub subprotocols: Vec<String>,
    /// The `Sec-WebSocket-Extensions` fields as received.
    pub extensions: Vec<HeaderValue>,
}

/// Decides whether a request asks for a WebSocket, by the token `websocket` in its `Upgrade` field, and checks it.
///
/// `Connection: upgrade` alone is a plain request: reverse proxies send it with everything they forward. An offer that
/// is repeated counts once, although RFC 6455 §4.1 forbids it: clients that send several fields do it.
///
/// # Errors
/// [`Cause::BadVersion`] for any version but 13, [`Cause::BadUpgrade`] for everything else that RFC 6455 §4.2.1 demands
/// and the request lacks, and for a request with a body, which would be read as frames.
pub fn inspect(head: &Parts) -> Result<Asked, Refusal> {
    let headers = &head.headers;
    if !has_token(headers, &header::UPGRADE, "websocket") {
        return Ok(Asked::Plain);
    }
    if head.version != Version::HTTP_11 {
        return Err(bad("a WebSocket upgrade needs HTTP/1.1"));
    }
    if head.method != Method::GET {
        return Err(bad("a WebSocket upgrade needs the method GET"));
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(bad("the Connection header does not hold the option upgrade"));
    }
    let length = headers.get_all(header::CONTENT_LENGTH).iter();
    if headers.contains_key(header::TRANSFER_ENCODING) || length.into_iter().any(|value| !is_zero(value.as_bytes())) {
        return Err(bad("a WebSocket upgrade has no body"));
    }
    match single(headers, &header::SEC_WEBSOCKET_VERSION)? {
        Some(b"13") => {}
        _ => return Err(Refusal::new(Cause::BadVersion)),
    }
    let key = match single(headers, &header::SEC_WEBSOCKET_KEY)? {
        Some(key) if is_key(key) => String::from_utf8_lossy(key).into_owned(),
        Some(_) => return Err(bad("Sec-WebSocket-Key is not some 16 bytes in base64")),
        None => return Err(bad("Sec-WebSocket-Key is missing")),
    };
    let extensions = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().cloned().collect();
    Ok(Asked::Upgrade(UpgradeRequest { key, subprotocols: subprotocols(headers)?, extensions }))
}

fn bad(reason: &str) -> Refusal {
    Refusal::because(Cause::BadUpgrade, reason)
}

fn is_zero(length: &[u8]) -> bool {
    let digits = length.trim_ascii();
    !digits.is_empty() && digits.iter().all(|digit| *digit == b'0')
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes().trim_ascii());
    if values.next().is_some() { Err(bad(&format!("{name} stands more than once"))) } else { Ok(first) }
}

/// Canonical base64 of 8 to 32 bytes.
///
/// RFC 6455 §4.2.1 asks for 16, but nothing depends on their number, and the line with `curl` that tutorials test a
/// handshake with sends 13.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==").or_else(|| key.strip_suffix(b"=")).unwrap_or(key);
    let unused_bits_are_zero: fn(u8) -> bool = match key.len() - digits.len() {
        0 => |_| true,
        1 => |digit| b"AEIMQUYcgkosw048".contains(&digit),
        _ => |digit| b"AQgw".contains(&digit),
    };
    (12..=44).contains(&key.len())
        && key.len().is_multiple_of(4)
        && digits.iter().all(|digit| digit.is_ascii_alphanumeric() || matches!(digit, b'+' | b'/'))
        && digits.last().is_some_and(|digit| unused_bits_are_zero(*digit))
}

fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>, Refusal> {
    let mut offers: Vec<String> = Vec::new();
    for line in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        if std::str::from_utf8(line.as_bytes()).is_err() {
            return Err(bad("Sec-WebSocket-Protocol is not UTF-8"));
        }
    }
    for offer in elements(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
        if !is_token(offer) {
            return Err(bad("Sec-WebSocket-Protocol holds a name that is not a token"));
        }
        if !offers.iter().any(|known| known == offer) {
            offers.push(offer.to_owned());
        }
    }
    Ok(offers)
}

/// The 101 (RFC 6455 §4.2.2): `extra` holds fields of ours and, on a routed leg, those of the upstream's 101.
///
/// Of `extra`, hop-by-hop and `Sec-WebSocket-*` fields and `Content-Length` are left out.
#[must_use]
pub fn switching_protocols(
    key: &str,
    subprotocol: Option<&str>,
    extensions: &[HeaderValue],
    extra: &HeaderMap,
) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::UPGRADE, WEBSOCKET);
    headers.insert(header::CONNECTION, UPGRADE_OPTION);
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(Ok(subprotocol)) = subprotocol.map(HeaderValue::from_str) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    for extension in extensions {
        headers.append(header::SEC_WEBSOCKET_EXTENSIONS, extension.clone());
    }
    pass_on(extra, &mut headers);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

/// The answer to a refused handshake: status from the table, one line of reason, the cause's label in a header.
///
/// A cause that has no status answers 500.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(refusal.cause.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    if let Some(after) = refusal.retry_after {
        // Whole seconds (RFC 9110 §10.2.3), at least one.
        let seconds = u64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    own_answer(status, refusal.cause, headers, line(&refusal.reason))
}

/// The answer a plugin asked for: its status if that is one of 300 to 599, else 500; its fields as far as
/// [`policy_field`] accepts them; its body, else the table's reason.
#[must_use]
pub fn rejection(rejection: &Rejection) -> Response<Full<Bytes>> {
    let status = Some(rejection.status)
        .filter(|status| (300..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = rejection.headers.iter().filter_map(|(name, value)| policy_field(name, value).ok()).collect();
    let body = match &rejection.body {
        Some(body) => Bytes::from(body.clone()),
        None => line(Cause::Rejected.row().reason),
    };
    own_answer(status, Cause::Rejected, headers, body)
}

/// An upstream's own answer to our upgrade request, passed on: status, end-to-end fields and body as they came, and the
/// label, which tells it from an answer of ours.
#[must_use]
pub fn passed_on(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    answer(status, Cause::UpstreamRefused, end_to_end_answer(headers), body)
}

/// One line of text: whatever would end it is a space.
fn line(reason: &str) -> Bytes {
    let mut text: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.push('\n');
    Bytes::from(text)
}

/// [`answer`] with what we say of our own accord where the giver of `headers` did not.
fn own_answer(status: StatusCode, cause: Cause, mut headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    answer(status, cause, headers, body)
}

/// Adds the label and the fields that a 426 must have (RFC 9110 §15.5.22, RFC 6455 §4.4).
fn answer(status: StatusCode, cause: Cause, mut headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    headers.insert(X_CORDBOARD_ERROR, HeaderValue::from_static(cause.label()));
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::CONNECTION, UPGRADE_OPTION);
        headers.insert(header::SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
