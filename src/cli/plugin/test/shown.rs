//! What a plugin said, as the JSON with which expectations are compared.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::{
    error::Cause,
    model::{Edit, Identity, MessageKind, Payload, Resolution},
    relay::{Passed, Screened},
};

pub(super) fn closes(cause: Cause) -> Value {
    let row = cause.row();
    json!({ "close": { "code": row.close, "reason": row.reason } })
}

/// What a filter made of a message: what goes on, what is answered, and the end.
pub(super) fn actions(screened: Screened) -> Value {
    let passed = screened.passed.into_iter().map(|passed| match passed {
        Passed::Unchanged(_) => Value::from("forward"),
        Passed::Made(made) => json!({ "emit": payload(&made) }),
    });
    let replies = screened.replies.iter().map(|reply| json!({ "reply": payload(reply) }));
    let close = screened.close.into_iter().filter(|(cause, _)| *cause != Cause::FilterFailed);
    let close = close.map(|(_, frame)| json!({ "close": { "code": frame.code, "reason": frame.reason } }));
    passed.chain(replies).chain(close).collect()
}

fn payload(payload: &Payload) -> Value {
    match payload.kind {
        MessageKind::Text => String::from_utf8_lossy(&payload.bytes).into(),
        MessageKind::Binary => json!({ "base64": STANDARD.encode(&payload.bytes) }),
    }
}

/// Header fields as a map; several of one name are joined with commas.
pub(super) fn fields(headers: &HeaderMap) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = match all.get(name.as_str()).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.into_owned(),
        };
        all.insert(name.as_str().to_owned(), joined.into());
    }
    Value::Object(all)
}

pub(super) fn identity(identity: &Identity) -> Value {
    json!({
        "subject": identity.subject,
        "roles": identity.roles,
        "expires_at_ms": identity.expires_at_ms,
        "token_id": identity.token_id,
        "attributes": Value::Object(identity.attributes.iter().map(|(name, value)| {
            // Under the plugin's name, as others see them.
            let own = name.split_once('/').map_or(name.as_str(), |(_, own)| own);
            (own.to_owned(), value.as_str().into())
        }).collect()),
    })
}

pub(super) fn service(resolution: &Resolution) -> Value {
    let milliseconds = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let milliseconds = resolution.connect_timeout.map(milliseconds);
    json!({
        "id": resolution.service.as_str(),
        "endpoint": resolution.endpoint.as_deref(),
        "scheme": resolution.scheme,
        "env_tag": resolution.env_tag,
        "path": resolution.path_and_query,
        "connect_timeout_ms": milliseconds,
    })
}

pub(super) fn edit(edit: &Edit) -> Value {
    match edit {
        Edit::Set(name, value) => json!({ "set": { name: value } }),
        Edit::Append(name, value) => json!({ "append": { name: value } }),
        Edit::Remove(name) => json!({ "remove": name }),
    }
}
