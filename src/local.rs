//! Orders that only somebody on this machine may give, over HTTP: under which name they come, and what they say.
//!
//! A page in the user's browser is a stranger. A name of its own that was made to point here (DNS rebinding) is no
//! loopback name; what else tells it apart is for whoever takes the order to say.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{CONTENT_TYPE, HOST},
    uri::Authority,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Longest body of an order, in bytes.
pub const MAX_BODY: usize = 64 << 10;
/// How long it may take to come.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// A status and why.
pub type Refused = (StatusCode, String);

/// The `Host` of a request, if that is a name of this machine.
///
/// # Errors
/// Says what is wrong with it.
pub fn host(headers: &HeaderMap) -> Result<&str, &'static str> {
    let host = one(headers, &HOST).ok_or("one Host is needed")?;
    let authority: Authority = host.parse().map_err(|_| "the Host cannot be read")?;
    let name = authority.host().trim_matches(['[', ']']);
    if name.eq_ignore_ascii_case("localhost") || is_loopback(name) {
        Ok(host)
    } else {
        Err("the Host must be `localhost` or a loopback address")
    }
}

/// Whether a text is an address of this machine.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    address.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The value of a field that is there once.
#[must_use]
pub fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether the body is said to be JSON, which no form of another page can say.
///
/// # Errors
/// 415 where it is not.
pub fn is_json(headers: &HeaderMap) -> Result<(), Refused> {
    let kind = one(headers, &CONTENT_TYPE).unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json".to_owned()))
    }
}

/// The whole of a body.
///
/// # Errors
/// 413 beyond [`MAX_BODY`], 408 where it does not come within five seconds, 400 where it breaks off.
pub async fn body(body: Incoming) -> Result<Bytes, Refused> {
    match timeout(BODY_WITHIN, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {MAX_BODY} bytes")))
        }
        Ok(Err(error)) => Err((StatusCode::BAD_REQUEST, error.to_string())),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned())),
    }
}

/// What a body says.
///
/// # Errors
/// 400 where it is no JSON.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, format!("the body: {error}")))
}
