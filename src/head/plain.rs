//! Heads of plain requests and of their answers, as they pass from one hop to the next.
//!
//! Pure functions beside those of [`super::headers`]: what differs from an upgrade is that there are bodies, whose
//! framing is decided anew at each hop (RFC 9112 §6), and trailers (RFC 9110 §6.5).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};

use super::{
    forwarded::is_forwarded,
    headers::{
        Changes, UPGRADE_OPTION, elements, end_to_end, has_token, is_hop_by_hop, is_websocket, request_head, retain,
    },
};
use crate::{
    error::Cause,
    model::{Handshake, Refusal},
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

/// The only transfer coding there is.
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
/// What an upstream may send behind a body, if the client can take it.
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
/// The connection option that goes with it (RFC 9110 §10.1.4).
const TE_OPTION: HeaderValue = HeaderValue::from_static("TE");

/// How we are called in `Via` (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "cordboard";
/// How often a request may have come through proxies of this kind; more means that it goes in a circle.
pub const MOST_PASSAGES: usize = 8;

/// How long a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is none.
    None,
    /// So many bytes.
    Known(u64),
    /// It ends where it ends.
    Unknown,
}

/// The request for an upstream. Target, end-to-end fields, forwarded fields and edits are as for
/// [`super::headers::upstream_request`]; the framing is made anew.
///
/// `Trailer` stays with a body that can have trailers. That the client takes trailers is passed on, and that the request
/// came through here.
///
/// # Errors
/// Those of [`super::headers::upstream_request`]; [`Cause::Loop`] after [`MOST_PASSAGES`].
pub fn request(handshake: &Handshake, changes: &Changes<'_>, body: Length) -> Result<Request<()>, Refusal> {
    let received_by = |element: &str| element.split_ascii_whitespace().nth(1).is_some_and(|by| by == PSEUDONYM);
    if elements(&handshake.headers, &header::VIA).filter(|element| received_by(element)).count() >= MOST_PASSAGES {
        return Err(Refusal::new(Cause::Loop));
    }
    let mut request = request_head(handshake, changes, |name| name != header::CONTENT_LENGTH)?;
    let method = request.method().clone();
    let headers = request.headers_mut();
    match body {
        Length::Known(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        Length::Unknown => {
            headers.insert(header::TRANSFER_ENCODING, CHUNKED);
            keep(&handshake.headers, &header::TRAILER, headers);
        }
        // RFC 9110 §8.6: an empty body is said where one is usual, whether by the client or by the end of its stream.
        Length::None if matches!(method, Method::POST | Method::PUT | Method::PATCH) => {
            headers.insert(header::CONTENT_LENGTH, 0.into());
        }
        Length::None => {}
    }
    let version = match handshake.version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    if let Ok(via) = HeaderValue::try_from(format!("{version} {PSEUDONYM}")) {
        headers.append(header::VIA, via);
    }
    if has_token(&handshake.headers, &header::TE, "trailers") {
        headers.insert(header::TE, TRAILERS);
        headers.append(header::CONNECTION, TE_OPTION);
    }
    Ok(request)
}

/// The fields of an answer for the client; framing and connection are our own, except that a length stays.
///
/// # Errors
/// A line about a transfer coding that cannot be undone here, or a length that is none.
pub fn answer(status: StatusCode, received: &HeaderMap) -> Result<HeaderMap, &'static str> {
    let chunked = received.contains_key(header::TRANSFER_ENCODING);
    let codings: Vec<_> = elements(received, &header::TRANSFER_ENCODING).collect();
    if chunked && !matches!(codings[..], [coding] if coding.eq_ignore_ascii_case("chunked")) {
        return Err("the only transfer coding that is known here is chunked");
    }
    let mut headers = retain(&end_to_end(received), |name| name != header::CONTENT_LENGTH);
    let lengths: Vec<_> = elements(received, &header::CONTENT_LENGTH).collect();
    if let [first, rest @ ..] = &lengths[..] {
        if rest.iter().any(|other| other != first) {
            return Err("it has two lengths");
        }
        // RFC 9112 §6.3: chunks count, a length beside them does not.
        if !chunked && let Ok(length) = HeaderValue::from_str(first) {
            headers.insert(header::CONTENT_LENGTH, length);
        }
    }
    keep(received, &header::TRAILER, &mut headers);
    // RFC 9110 §15.5.22: what to upgrade to must be said.
    if status == StatusCode::UPGRADE_REQUIRED {
        keep(received, &header::UPGRADE, &mut headers);
    }
    Ok(headers)
}

/// The protocols that the client asks for on its connection (RFC 9110 §7.8), but for `h2c`: in it requests would go to
/// the service that no route was asked about, and RFC 9113 §3.1 has done away with it.
#[must_use]
pub fn upgrade_asked(handshake: &Handshake) -> Option<HeaderValue> {
    if handshake.version != Version::HTTP_11 || !has_token(&handshake.headers, &header::CONNECTION, "upgrade") {
        return None;
    }
    let asked = elements(&handshake.headers, &header::UPGRADE).filter(|name| !name.eq_ignore_ascii_case("h2c"));
    let asked = asked.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(asked).ok().filter(|asked| !asked.is_empty())
}

/// Asks the next hop for another protocol.
pub fn ask_upgrade(asked: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::UPGRADE, asked);
    headers.append(header::CONNECTION, UPGRADE_OPTION);
}

/// The fields of a 101 for the client: everything that does not end at this hop, and what was upgraded to.
#[must_use]
pub fn switching(received: &HeaderMap) -> HeaderMap {
    let mut headers = retain(&end_to_end(received), |name| name != header::CONTENT_LENGTH);
    keep(received, &header::UPGRADE, &mut headers);
    headers.append(header::CONNECTION, UPGRADE_OPTION);
    headers
}

fn keep(received: &HeaderMap, name: &HeaderName, headers: &mut HeaderMap) {
    for value in received.get_all(name) {
        headers.append(name, value.clone());
    }
}

/// Whether a field may stand behind a body: not what frames, routes or vouches for the message (RFC 9110 §6.5.1), which
/// the next hop might merge into the head.
#[must_use]
pub fn may_trail(name: &HeaderName) -> bool {
    !(is_hop_by_hop(name)
        || is_websocket(name)
        || is_forwarded(name)
        || [header::CONTENT_LENGTH, header::HOST, header::EXPECT, header::COOKIE, header::AUTHORIZATION].contains(name))
}

/// Makes one field of the cookies of an HTTP/2 request, which may come in crumbs (RFC 9113 §8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Whether the version is one in which cookies come in crumbs.
#[must_use]
pub fn has_crumbs(version: Version) -> bool {
    version >= Version::HTTP_2
}
