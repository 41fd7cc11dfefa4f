//! Answers of guests, checked before anybody acts on them: what is wrong is reported with the plugin's name, and its
//! size is bounded before it is copied into anything of ours.

use std::sync::Arc;

use http::uri::PathAndQuery;

use super::{
    output::cut,
    v0_1::{Target, Wanted},
};
use crate::{
    head::headers,
    model::{CheckedEdit, Edit},
};

/// Most of a guest's text that is quoted in a message, in bytes.
pub(super) const SHOWN_BYTES: usize = 128;
/// Most edits that one plugin may make of one request, and the bytes of all their names and values.
const EDITS: usize = 128;
const EDIT_BYTES: usize = 64 << 10;

/// A resolver's target, if it may be dialled, and the `host:port` that it is if it is no service.
///
/// # Errors
/// What breaks the contract.
pub(super) fn target(target: Target, granted: &[Arc<str>]) -> Result<(Wanted, Option<Arc<str>>), String> {
    let (wanted, endpoint) = match target {
        Target::Service(wanted) => (wanted, None),
        Target::Endpoint(wanted) => {
            let endpoint = endpoint(&wanted.id, granted)?;
            (Wanted { id: endpoint.to_string(), ..wanted }, Some(endpoint))
        }
    };
    if let Some(scheme) = &wanted.scheme
        && !matches!(scheme.as_str(), "ws" | "wss" | "http" | "https")
    {
        let scheme = cut(scheme, SHOWN_BYTES);
        return Err(format!("named the scheme {scheme:?}; ws, wss, http, https are known"));
    }
    if let Some(path) = &wanted.path_and_query
        && (!path.starts_with('/') || path.contains('#') || PathAndQuery::try_from(path.as_str()).is_err())
    {
        let path = cut(path, SHOWN_BYTES);
        return Err(format!("named the path {path:?}; a path starts with a slash and has no fragment"));
    }
    Ok((wanted, endpoint))
}

/// The `host:port` of an endpoint's URL, if it is granted.
fn endpoint(url: &str, granted: &[Arc<str>]) -> Result<Arc<str>, String> {
    let shown = cut(url, SHOWN_BYTES);
    let authority = match url.split_once("://") {
        Some(("ws" | "http", authority)) => authority.trim_end_matches('/').to_ascii_lowercase(),
        Some(("wss" | "https", _)) => return Err(format!("named the endpoint {shown:?}; TLS is not in this version")),
        _ => return Err(format!("named the endpoint {shown:?}; an endpoint is `ws://host:port`")),
    };
    let same = |host: &str| host == authority || host.strip_suffix(":80") == Some(&*authority);
    granted.iter().find(|host| same(host)).cloned().ok_or_else(|| {
        format!("named the endpoint {shown:?}, which is not granted: add its host and port to `grants.endpoints`")
    })
}

/// Edits of a header, if they may be made.
///
/// # Errors
/// What breaks the contract.
pub(super) fn edits(edits: &[Edit]) -> Result<Vec<CheckedEdit>, String> {
    let bytes: usize = edits
        .iter()
        .map(|edit| match edit {
            Edit::Set(name, value) | Edit::Append(name, value) => name.len() + value.len(),
            Edit::Remove(name) => name.len(),
        })
        .sum();
    if edits.len() > EDITS || bytes > EDIT_BYTES {
        return Err(format!("made more than {EDITS} edits, or edits of more than {EDIT_BYTES} bytes"));
    }
    headers::check_edits(edits)
}
