//! Header hygiene: what ends at this hop, what a policy may change, and the request that goes to the next one.
//!
//! Pure functions. Fields are copied in their order, duplicates included, into a new map: [`HeaderMap::remove`] would
//! move the last field into the gap.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery},
};
use http_body_util::Empty;

use super::{
    forwarded::{Forwarded, is_forwarded},
    pattern::Captured,
    rewrite::Rewrite,
};
use crate::{
    error::Cause,
    model::{CheckedEdit, Edit, Handshake, Refusal},
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

/// The only version of the protocol there is (RFC 6455 §4.1).
pub(crate) const WEBSOCKET_VERSION: HeaderValue = HeaderValue::from_static("13");
/// The upgrade token.
pub(crate) const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// The connection option that goes with it.
pub(crate) const UPGRADE_OPTION: HeaderValue = HeaderValue::from_static("Upgrade");

/// Fields that mostly come to those that are kept: the forwarded ones, the handshake's. Growing means hashing all anew.
const ADDED: usize = 8;

/// Whether `text` is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The elements of a comma-separated field (RFC 9110 §5.6.1), over all its lines, trimmed, empty ones left out.
///
/// A comma in a quoted string separates nothing. A line that is not UTF-8 has no elements.
pub fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|line| std::str::from_utf8(line.as_bytes()).ok()).flat_map(split_list)
}

fn split_list(line: &str) -> impl Iterator<Item = &str> {
    split_outside_quotes(line, ',')
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

/// The parts of a text between separators that stand in no quoted string (RFC 9110 §5.6.4).
pub(super) fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

/// Whether a comma-separated field holds this token, in any case.
#[must_use]
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    // Mostly the token is all there is.
    let whole = |line: &HeaderValue| !token.is_empty() && line.as_bytes().eq_ignore_ascii_case(token.as_bytes());
    headers.get_all(name).iter().any(whole)
        || elements(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// Whether a field ends at this hop whatever `Connection` says (RFC 9110 §7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "http2-settings"
    ) || name.as_str().starts_with("proxy-")
}

/// Whether a field belongs to the WebSocket handshake (RFC 6455 §11.3).
#[must_use]
pub fn is_websocket(name: &HeaderName) -> bool {
    name.as_str().starts_with("sec-websocket-")
}

/// The fields that do not end at this hop, in order: neither hop-by-hop ones nor those that `Connection` names.
///
/// `Host` and the `Sec-WebSocket-*` fields stay even where `Connection` names them: a peer may not take them away from
/// the request that was matched.
#[must_use]
pub fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    retain_end_to_end(headers, |_| true)
}

/// Those of them to keep.
fn retain_end_to_end(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len() + ADDED);
    add(passing(headers, keep), &mut kept);
    kept
}

fn add<'h>(fields: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>, headers: &mut HeaderMap) {
    for (name, value) in fields {
        headers.append(name, value.clone());
    }
}

/// The fields that do not end at this hop, of those to keep.
fn passing(
    headers: &HeaderMap,
    keep: impl Fn(&HeaderName) -> bool,
) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let named: Vec<_> = elements(headers, &header::CONNECTION).collect();
    let listed = move |name: &HeaderName| named.iter().any(|listed| listed.eq_ignore_ascii_case(name.as_str()));
    let passes =
        move |name: &HeaderName| !is_hop_by_hop(name) && (name == header::HOST || is_websocket(name) || !listed(name));
    headers.iter().filter(move |(name, _)| keep(name) && passes(name))
}

/// Adds the end-to-end fields of an answer that may stand in an answer of ours, whose framing and handshake are our own.
pub fn pass_on(answer: &HeaderMap, headers: &mut HeaderMap) {
    add(passing(answer, |name| !is_websocket(name) && name != header::CONTENT_LENGTH), headers);
}

/// Those that [`pass_on`] adds.
#[must_use]
pub fn end_to_end_answer(headers: &HeaderMap) -> HeaderMap {
    // Of a 101 there is mostly none, which takes no room.
    let mut kept = HeaderMap::new();
    pass_on(headers, &mut kept);
    kept
}

/// The fields to keep, in order.
pub(super) fn retain(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len() + ADDED);
    add(headers.iter().filter(|(name, _)| keep(name)), &mut kept);
    kept
}

/// A policy's edits as they can be carried out.
///
/// `Host` may be set, to one valid authority, but neither doubled nor removed.
///
/// # Errors
/// A line that names the field: it is hop-by-hop, belongs to the WebSocket handshake, decides the framing
/// (`Content-Length`), or its name or value is not valid.
pub fn check_edits(edits: &[Edit]) -> Result<Vec<CheckedEdit>, String> {
    edits.iter().map(check_edit).collect()
}

/// Carries out edits, in order.
pub fn apply_edits(headers: &mut HeaderMap, edits: &[CheckedEdit]) {
    for edit in edits {
        match edit {
            CheckedEdit::Set(name, value) => drop(headers.insert(name, value.clone())),
            CheckedEdit::Append(name, value) => drop(headers.append(name, value.clone())),
            CheckedEdit::Remove(gone) if headers.contains_key(gone) => *headers = retain(headers, |name| name != gone),
            CheckedEdit::Remove(_) => {}
        }
    }
}

fn check_edit(edit: &Edit) -> Result<CheckedEdit, String> {
    Ok(match edit {
        Edit::Set(name, value) => {
            let (name, value) = policy_field(name, value)?;
            if name == header::HOST && value.to_str().map_or(true, |host| host.parse::<Authority>().is_err()) {
                return Err("the value of the header host is not a valid authority".to_owned());
            }
            CheckedEdit::Set(name, value)
        }
        Edit::Append(name, value) => {
            let (name, value) = policy_field(name, value)?;
            not_host(&name)?;
            CheckedEdit::Append(name, value)
        }
        Edit::Remove(name) => {
            let gone = policy_name(name)?;
            not_host(&gone)?;
            CheckedEdit::Remove(gone)
        }
    })
}

fn not_host(name: &HeaderName) -> Result<(), String> {
    if name == header::HOST { Err("the header host may only be set".to_owned()) } else { Ok(()) }
}

/// A field as a policy gave it, checked.
///
/// # Errors
/// As those of [`check_edits`].
pub fn policy_field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = policy_name(name)?;
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("the value of the header {name} holds a character that is not allowed"))?;
    Ok((name, value))
}

/// The name of a field that may be edited.
///
/// # Errors
/// As those of [`check_edits`].
pub fn policy_name(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{:?} is not a header name", text.chars().take(64).collect::<String>()))?;
    if is_hop_by_hop(&name) || is_websocket(&name) || name == header::CONTENT_LENGTH {
        return Err(format!("the header {name} is the proxy's own and may not be edited"));
    }
    Ok(name)
}

/// How an upstream request differs from the handshake it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Changes<'a> {
    /// Instead of the request's own path and query; starts with `/`.
    pub path_and_query: Option<&'a str>,
    /// The edits of policies.
    pub edits: &'a [CheckedEdit],
    /// The route's rewriting, which comes after the policies'.
    pub rewrite: Option<&'a Rewrite>,
    /// What the route's path expression captured.
    pub captured: Option<&'a Captured>,
}

/// The upgrade request for an upstream, but for its `Sec-WebSocket-Key`, which [`crate::upstream::connect`] makes anew
/// for each attempt.
///
/// The target is in origin form, path and query as received unless overridden. All end-to-end fields are kept in order;
/// so are `Host` and the client's offers of subprotocols and extensions. The forwarded fields are ours, then edits and
/// the route's rewriting apply.
///
/// # Errors
/// [`Cause::PluginFailed`] for an overriding path of a policy, [`Cause::BadPath`] for what the route's
/// rewriting makes of this request; each says what is not acceptable.
pub fn upstream_request(handshake: &Handshake, changes: &Changes<'_>) -> Result<Request<Empty<Bytes>>, Refusal> {
    let request = request_head(handshake, changes, |name| {
        name != header::CONTENT_LENGTH
            && (!is_websocket(name)
                || name == header::SEC_WEBSOCKET_PROTOCOL
                || name == header::SEC_WEBSOCKET_EXTENSIONS)
    })?;
    let mut request = request.map(|()| Empty::new());
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(header::CONNECTION, UPGRADE_OPTION);
    headers.insert(header::UPGRADE, WEBSOCKET);
    headers.insert(header::SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION);
    Ok(request)
}

/// What every request for an upstream has in common: target, end-to-end fields that `keep` keeps, forwarded fields,
/// edits, rewriting.
pub(super) fn request_head(
    handshake: &Handshake,
    changes: &Changes<'_>,
    keep: impl Fn(&HeaderName) -> bool,
) -> Result<Request<()>, Refusal> {
    let policy = |why: String| Refusal::new(Cause::PluginFailed).with_detail(format!("a policy's rewriting: {why}"));
    let mut target = match changes.path_and_query {
        Some(path) if !path.starts_with('/') || path.contains('#') => {
            return Err(policy("the path to dial does not start with a slash or holds a fragment".to_owned()));
        }
        Some(path) => PathAndQuery::try_from(path).map_err(|_| policy("the path to dial is not valid".to_owned()))?,
        None => handshake.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
    };
    // What a peer that is not trusted says of the client would be dropped later.
    let told = |name: &HeaderName| handshake.client.trusted || !is_forwarded(name);
    let mut headers = retain_end_to_end(&handshake.headers, |name| keep(name) && told(name));
    if !headers.contains_key(header::HOST)
        && !handshake.authority.is_empty()
        && let Ok(host) = HeaderValue::from_str(&handshake.authority)
    {
        headers.insert(header::HOST, host);
    }
    Forwarded { peer: handshake.peer.ip(), client: handshake.client, authority: &handshake.authority }
        .set(&mut headers);
    apply_edits(&mut headers, changes.edits);
    if let Some(rewrite) = changes.rewrite {
        rewrite
            .apply(&mut target, &mut headers, changes.captured)
            .map_err(|why| Refusal::because(Cause::BadPath, why))?;
    }

    let mut request = Request::new(());
    *request.method_mut() = handshake.method.clone();
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    Ok(request)
}
