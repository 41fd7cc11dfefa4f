//! What a case is about, as the proxy would have it.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use serde_json::json;

use crate::{
    config::author::{Case, Given},
    http::explain::Asked,
    model::{ChannelId, Handshake},
    policy::{Facts, Known, Plugin, trial::Past},
};

/// Names of listener and route, as a plugin sees them.
const LISTENER: &str = "main";
const ROUTE: &str = "test";

/// The request, sent by the connection that this is given of.
pub(super) fn handshake(case: &Case, given: &Given) -> Result<Handshake, String> {
    let request = &case.request;
    let mut asked = json!({ "url": request.url, "websocket": !request.plain });
    if let Some(method) = &request.method {
        asked["method"] = method.as_str().into();
    }
    if let Some(peer) = &request.peer {
        asked["peer"] = peer.as_str().into();
    }
    asked["headers"] = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    let asked = Asked::from_json(&asked).map_err(|why| format!("request: {why}"))?;
    let listener = request.listener.as_deref().unwrap_or(LISTENER).into();
    let route = request.route.as_deref().unwrap_or(ROUTE).into();
    let mut handshake = asked.handshake(&listener, &route).map_err(|refusal| {
        let (status, why) = (refusal.cause.row().status, refusal.detail.unwrap_or(refusal.reason));
        format!("request: the proxy refuses it with {status} before any policy: {why}")
    })?;
    let wrong = |key: &str, value: &str, wanted: &str| format!("request.{key}: {value:?} is not {wanted}");
    if let Some(remote) = &request.remote {
        let remote: Result<IpAddr, _> = remote.parse();
        let refused = |_| wrong("remote", request.remote.as_deref().unwrap_or_default(), "an IP address");
        handshake.client.remote = remote.map_err(refused)?;
    }
    handshake.client.tls = match request.scheme.as_deref() {
        None | Some("http") => false,
        Some("https") => true,
        Some(other) => return Err(wrong("scheme", other, "http or https")),
    };
    handshake.version = match request.http_version.as_deref() {
        None | Some("1.1") => Version::HTTP_11,
        Some("1.0") => Version::HTTP_10,
        Some("2") => Version::HTTP_2,
        Some(other) => return Err(wrong("http_version", other, "1.0, 1.1 or 2")),
    };
    if let Some(id) = given.id {
        handshake.id = id;
    }
    Ok(handshake)
}

pub(super) fn known(handshake: &Arc<Handshake>, given: &Given) -> Result<Known, String> {
    let channel = given.channel.as_deref().map(channel).transpose()?;
    let Given { role, identity, attributes, .. } = given.clone();
    Ok(Known::given(handshake, role, channel, identity, attributes))
}

/// What has become of a connection already.
pub(super) fn recall(facts: &Facts, plugin: &Plugin, given: &Given) {
    let Given { subprotocol, partner, opened_at_ms, attachment, .. } = given.clone();
    let attachment = attachment.map(|payload| payload.bytes).unwrap_or_default();
    facts.recall(plugin, Past { subprotocol, partner, opened_at_ms, attachment });
}

pub(super) fn channel(id: &str) -> Result<ChannelId, String> {
    ChannelId::new(id).map_err(|why| format!("channel {id:?}: {why}"))
}

pub(super) fn header_map(fields: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let field: HeaderName = name.parse().map_err(|_| format!("answer.headers: {name:?} is not a name"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("answer.headers.{name}: not a value"))?;
        map.append(field, value);
    }
    Ok(map)
}
