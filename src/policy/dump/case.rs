//! What a failed call was about, as a test case.

use std::time::SystemTime;

use http::{Version, header::UPGRADE};

use super::super::{
    Failure, Plugin,
    context::{Call, Live, Scene},
    v0_1::Question,
};
use crate::{
    config::author::{Case, Expectation, Given, Message, Request},
    model::{Handshake, Hook, MessageKind, Payload},
};

/// The case, and what stands above it.
pub(super) fn of(plugin: &Plugin, question: Question<'_>, scene: &Scene, failure: &Failure) -> (Case, String) {
    let hook = question.hook();
    let call = scene.call.as_deref();
    let (live, asker) = (scene.live.as_ref().map(given_live), call.map(given));
    let (given, holder) = match hook {
        Hook::Pair => (asker, live),
        _ => (live.or(asker), None),
    };
    let (answer, migrate, event) = match question {
        Question::Response(status, headers) => (Some((status, headers.to_vec())), None, None),
        Question::Migrate(from) => (None, Some(from.to_owned()), None),
        Question::Event(event) => (None, None, Some(event.clone())),
        _ => (None, None, None),
    };
    let message = scene.message.as_ref();
    let message =
        message.map(|message| Message { direction: message.direction, payload: message.payload.clone(), expect: None });
    let place = scene.place();
    let (conn, route) = place.map_or_else(Default::default, |(conn, route)| (conn.to_string(), route.to_string()));
    let case = Case {
        name: format!("`{}` does not fail where it did for {conn}", hook.name()),
        limits: Some(plugin.spec().limits),
        mode: call.and_then(|call| call.mode),
        ask: Some(hook),
        request: call.map(|call| request(&call.handshake)).unwrap_or_default(),
        given: given.unwrap_or_default(),
        holder,
        answer,
        messages: message.into_iter().collect(),
        migrate,
        events: event.into_iter().collect(),
        expect: Expectation { only_no_failure: true, ..Expectation::default() },
        ..Case::default()
    };
    let granted = plugin.spec().grants.given();
    let granted = if granted.is_empty() { "nothing".to_owned() } else { granted.join(", ") };
    let comment = format!(
        "A call that failed. To run it again: cordboard plugin test PROJECT --cases THIS-FILE\n\
         It holds what passed through the proxy, with all that is secret of it.\n\
         plugin: {}, version {}, component {}\n\
         granted: {granted}\n\
         hook: {}\n\
         connection: {conn}, route: {route}\n\
         time: {}\n\
         failure: {}\n\
         {failure}",
        plugin.name(),
        plugin.identity(),
        plugin.described(),
        hook.name(),
        httpdate::fmt_http_date(SystemTime::now()),
        failure.label(),
    );
    (case, comment)
}

fn given(call: &Call) -> Given {
    Given {
        id: Some(call.handshake.id),
        role: call.role.clone(),
        channel: call.channel.as_ref().map(|id| id.as_str().to_owned()),
        identity: call.identity.as_deref().cloned(),
        attributes: call.attributes.as_deref().cloned().unwrap_or_default(),
        ..Given::default()
    }
}

fn given_live(live: &Live) -> Given {
    let (facts, bytes) = (&live.facts, live.attachment.clone());
    let kind = if std::str::from_utf8(&bytes).is_ok() { MessageKind::Text } else { MessageKind::Binary };
    Given {
        id: Some(facts.id),
        role: Some(facts.role.clone()),
        channel: Some(facts.channel.as_str().to_owned()),
        identity: facts.identity.as_deref().cloned(),
        attributes: facts.attributes().cloned().unwrap_or_default(),
        attachment: (!bytes.is_empty()).then_some(Payload { kind, bytes }),
        subprotocol: facts.subprotocol().map(ToOwned::to_owned),
        partner: facts.peer(),
        opened_at_ms: Some(facts.opened_at()),
    }
}

fn request(handshake: &Handshake) -> Request {
    let Handshake { method, version, uri, headers, peer, client, listener, route, .. } = handshake;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let http_version = match *version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    };
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        url: match uri.authority() {
            Some(authority) => format!("http://{authority}{path}"),
            None => path.to_owned(),
        },
        method: (*method != http::Method::GET).then(|| method.to_string()),
        headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        peer: Some(peer.ip().to_string()),
        plain: !headers.contains_key(UPGRADE),
        http_version: http_version.map(ToOwned::to_owned),
        scheme: client.tls.then(|| "https".to_owned()),
        remote: (client.remote != peer.ip()).then(|| client.remote.to_string()),
        listener: Some(listener.to_string()),
        route: Some(route.to_string()),
    }
}
