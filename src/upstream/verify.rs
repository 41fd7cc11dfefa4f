//! Whether a 101 answers the request that was sent, and what it selects (RFC 6455 §4.1). Pure.

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::head::headers::{elements, has_token, is_token};

/// What the upstream chose of our offers.
pub(super) struct Selected {
    pub(super) subprotocol: Option<String>,
    pub(super) extensions: Vec<HeaderValue>,
}

/// Checks the version and the fields of a 101 against the fields of the request and its key.
///
/// Extensions are compared by name; their parameters are between the two ends that negotiate them.
///
/// # Errors
/// A line for the operator.
pub(super) fn verify(
    version: Version,
    headers: &HeaderMap,
    offered: &HeaderMap,
    key: &str,
) -> Result<Selected, String> {
    if version != Version::HTTP_11 {
        return Err("its 101 is not HTTP/1.1".to_owned());
    }
    if !has_token(headers, &header::UPGRADE, "websocket") || !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err("its 101 does not switch to WebSocket".to_owned());
    }
    match single(headers, &header::SEC_WEBSOCKET_ACCEPT)? {
        Some(accept) if accept == derive_accept_key(key.as_bytes()) => {}
        _ => return Err("its Sec-WebSocket-Accept does not belong to our key".to_owned()),
    }
    let subprotocol = single(headers, &header::SEC_WEBSOCKET_PROTOCOL)?;
    if let Some(selected) = subprotocol
        && !elements(offered, &header::SEC_WEBSOCKET_PROTOCOL).any(|offer| offer == selected)
    {
        return Err(format!("it selected the subprotocol {selected:?}, which was not offered"));
    }
    let lines: Vec<_> = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().cloned().collect();
    if lines.iter().any(|line| std::str::from_utf8(line.as_bytes()).is_err()) {
        return Err("its Sec-WebSocket-Extensions is not UTF-8".to_owned());
    }
    for selected in elements(headers, &header::SEC_WEBSOCKET_EXTENSIONS).map(extension_name) {
        let known = |offer| extension_name(offer).eq_ignore_ascii_case(selected);
        if !is_token(selected) || !elements(offered, &header::SEC_WEBSOCKET_EXTENSIONS).any(known) {
            return Err(format!("it selected the extension {selected:?}, which was not offered"));
        }
    }
    Ok(Selected { subprotocol: subprotocol.map(str::to_owned), extensions: lines })
}

fn extension_name(element: &str) -> &str {
    element.split(';').next().unwrap_or(element).trim()
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    match (first.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text.trim())),
        _ => Err(format!("its {name} is not one value")),
    }
}
