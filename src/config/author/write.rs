//! A case as the file would say it: read again, it is the same case.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::cases::{Case, Expectation, Given, Message, Request};
use crate::{
    config::{
        PluginLimits,
        plugin_config::Output,
        value::{spell_duration, spell_size},
    },
    model::{Attribute, ConnId, Direction, Event, Hook, Identity, Mode, Payload, Role},
};

impl Case {
    /// The text of a file of this one case. Lines of the comment stand above it.
    ///
    /// # Errors
    /// It holds what YAML cannot say.
    pub fn write(&self, comment: &str) -> Result<String, String> {
        let body = json!({ "cases": [case(self)] });
        let body = serde_saphyr::to_string(&body).map_err(|error| error.to_string())?;
        let lines = comment.lines().map(|line| format!("# {line}\n").replace("#  ", "# "));
        Ok(lines.collect::<String>() + &body)
    }
}

/// The keys that have something to say, in their order.
struct Keys(Map<String, Value>);

impl Keys {
    fn new() -> Self {
        Self(Map::new())
    }

    fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
    }

    /// A section, if there is anything in it.
    fn section(&mut self, key: &str, value: Value) {
        self.put(key, value.as_object().is_some_and(|map| !map.is_empty()).then_some(value));
    }

    fn list(&mut self, key: &str, items: Vec<Value>) {
        self.put(key, (!items.is_empty()).then_some(items));
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn case(case: &Case) -> Value {
    let Case {
        name,
        line: _,
        config,
        limits,
        mode,
        ask,
        request,
        given,
        holder,
        answer,
        messages,
        migrate,
        events,
        expect,
    } = case;
    let mut keys = Keys::new();
    keys.put("name", Some(name.as_str()));
    keys.put("ask", ask.map(Hook::name));
    keys.put("mode", mode.map(Mode::name));
    keys.put("config", config.clone());
    keys.put("limits", limits.as_ref().map(self::limits));
    if *request != Request::default() {
        keys.section("request", self::request(request));
    }
    keys.section("given", self::given(given));
    keys.put("holder", holder.as_ref().map(self::given));
    let answer = answer.as_ref().map(|(status, headers)| json!({ "status": status, "headers": fields(headers) }));
    keys.put("answer", answer);
    keys.list("messages", messages.iter().map(message).collect());
    keys.put("migrate", migrate.as_deref());
    keys.list("events", events.iter().map(event).collect());
    keys.section("expect", expectation(expect));
    keys.done()
}

fn request(request: &Request) -> Value {
    let Request { url, method, headers, peer, plain, http_version, scheme, remote, listener, route } = request;
    let mut keys = Keys::new();
    keys.put("url", Some(url.as_str()));
    keys.put("method", method.as_deref());
    keys.put("plain", plain.then_some(true));
    keys.section("headers", fields(headers));
    keys.put("http_version", http_version.as_deref());
    keys.put("scheme", scheme.as_deref());
    keys.put("peer", peer.as_deref());
    keys.put("remote", remote.as_deref());
    keys.put("listener", listener.as_deref());
    keys.put("route", route.as_deref());
    keys.done()
}

fn given(given: &Given) -> Value {
    let Given { id, role, channel, identity, attributes, attachment, subprotocol, partner, opened_at_ms } = given;
    let mut keys = Keys::new();
    keys.put("id", id.map(|id: ConnId| id.to_string()));
    keys.put("role", role.as_ref().map(Role::name));
    keys.put("channel", channel.as_deref());
    keys.put("identity", identity.as_ref().map(self::identity));
    keys.section("attributes", attributes.iter().map(|(name, value)| (name.clone(), value.as_str())).collect());
    keys.put("attachment", attachment.as_ref().map(payload));
    keys.put("subprotocol", subprotocol.as_deref());
    keys.put("partner", partner.map(|id: ConnId| id.to_string()));
    keys.put("opened_at_ms", *opened_at_ms);
    keys.done()
}

fn identity(identity: &Identity) -> Value {
    let Identity { subject, roles, expires_at_ms, token_id, attributes } = identity;
    let mut keys = Keys::new();
    keys.put("subject", subject.as_deref());
    keys.list("roles", roles.iter().map(|role| role.as_str().into()).collect());
    keys.put("expires_at_ms", *expires_at_ms);
    keys.put("token_id", token_id.as_deref());
    keys.section("attributes", pairs(attributes));
    keys.done()
}

fn pairs(attributes: &[Attribute]) -> Value {
    attributes.iter().map(|(name, value)| (name.clone(), value.as_str())).collect()
}

/// Header fields: a text, or a list of those of one name.
fn fields(headers: &[Attribute]) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        match all.get_mut(name) {
            None => drop(all.insert(name.clone(), value.as_str().into())),
            Some(Value::Array(values)) => values.push(value.as_str().into()),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    Value::Object(all)
}

fn message(message: &Message) -> Value {
    let Message { direction, payload, expect } = message;
    let mut keys = Keys::new();
    let key = match direction {
        Direction::ToClient => "to_client",
        Direction::ToBackend => "to_backend",
    };
    keys.put(key, Some(self::payload(payload)));
    keys.put("expect", expect.clone());
    keys.done()
}

/// A text as such where it is one.
fn payload(payload: &Payload) -> Value {
    match (payload.kind, std::str::from_utf8(&payload.bytes)) {
        (crate::model::MessageKind::Text, Ok(text)) => text.into(),
        _ => json!({ "base64": STANDARD.encode(&payload.bytes) }),
    }
}

fn event(event: &Event) -> Value {
    let Event { name, at_ms, attributes } = event;
    let mut keys = Keys::new();
    keys.put("name", Some(name.as_ref()));
    keys.put("at_ms", Some(*at_ms));
    keys.section("attributes", pairs(attributes));
    keys.done()
}

fn expectation(expect: &Expectation) -> Value {
    let Expectation { said, logs, refused, failed, only_no_failure } = expect;
    let mut keys = Keys::new();
    for (key, value) in said {
        keys.put(key, Some(value.clone()));
    }
    keys.list("logs", logs.iter().map(|words| words.as_str().into()).collect());
    keys.put("refused", refused.as_deref());
    keys.put("failed", failed.as_deref());
    keys.put("failed", only_no_failure.then_some(Value::Null));
    keys.done()
}

/// Those that are not the default.
fn limits(limits: &PluginLimits) -> Value {
    let PluginLimits {
        decision,
        message,
        init,
        host,
        host_calls,
        memory,
        instances,
        queue,
        reuse,
        events,
        host_copy,
        handles,
        actions,
        output: Output { factor, plus },
        attachment,
    } = limits;
    let other = PluginLimits::default();
    let bytes = |bytes: &usize| spell_size(*bytes as u64);
    let mut keys = Keys::new();
    keys.put("decision", (*decision != other.decision).then(|| spell_duration(*decision)));
    keys.put("message", (*message != other.message).then(|| spell_duration(*message)));
    keys.put("init", (*init != other.init).then(|| spell_duration(*init)));
    keys.put("host", (*host != other.host).then(|| spell_duration(*host)));
    keys.put("host_calls", (*host_calls != other.host_calls).then_some(*host_calls));
    keys.put("memory", (*memory != other.memory).then(|| bytes(memory)));
    keys.put("instances", (*instances != other.instances).then_some(*instances));
    keys.put("queue", (*queue != other.queue).then_some(*queue));
    keys.put("reuse", (*reuse != other.reuse).then_some(*reuse));
    keys.put("events", (*events != other.events).then_some(*events));
    keys.put("host_copy", (*host_copy != other.host_copy).then(|| bytes(host_copy)));
    keys.put("handles", (*handles != other.handles).then_some(*handles));
    keys.put("actions", (*actions != other.actions).then_some(*actions));
    let mut output = Keys::new();
    output.put("factor", (*factor != other.output.factor).then_some(*factor));
    output.put("plus", (*plus != other.output.plus).then(|| bytes(plus)));
    keys.section("output", output.done());
    keys.put("attachment", (*attachment != other.attachment).then(|| bytes(attachment)));
    keys.done()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::{
        config::{Source, author::Cases},
        model::MessageKind,
    };

    fn read(text: &str) -> Case {
        let source = Source { name: "it.yaml".to_owned(), dir: String::new().into(), text: text.to_owned() };
        let mut case =
            Cases::read(&source).unwrap_or_else(|problems| panic!("{problems:?} in:\n{text}")).cases.remove(0);
        case.line = 0;
        case
    }

    /// All that a file can hold, and what YAML takes for something else.
    fn text() -> impl Strategy<Value = String> {
        const ODD: [&str; 16] = [
            "",
            " ",
            "~",
            "null",
            "true",
            "0x1",
            "1e3",
            "- a",
            "a: b",
            "# a",
            "\u{feff}",
            "\u{85}\u{2028}",
            "a\r\n\tb ",
            "${A}",
            "\u{7f}\u{0}\u{1b}",
            "\u{fffe}\u{1f600}",
        ];
        prop_oneof![proptest::sample::select(&ODD[..]).prop_map(ToOwned::to_owned), any::<String>(), "[a-z]{1,8}"]
    }

    fn payload() -> impl Strategy<Value = Payload> {
        let binary = vec(any::<u8>(), 0..20).prop_map(|bytes| Payload { kind: MessageKind::Binary, bytes });
        let text = text().prop_map(|text| Payload { kind: MessageKind::Text, bytes: text.into_bytes() });
        prop_oneof![binary, text]
    }

    fn named() -> impl Strategy<Value = BTreeMap<String, String>> {
        proptest::collection::btree_map(text(), text(), 0..3)
    }

    fn given() -> impl Strategy<Value = Given> {
        let id = || option::of(any::<u64>().prop_map(ConnId::from_raw));
        let identity = (option::of(text()), vec(text(), 0..3), option::of(any::<u64>()), named());
        let identity = identity.prop_map(|(subject, roles, expires_at_ms, attributes)| Identity {
            token_id: subject.clone(),
            subject,
            roles,
            expires_at_ms,
            attributes: attributes.into_iter().collect(),
        });
        let role = option::of(prop_oneof![Just(Role::Backend), Just(Role::Other("x y".to_owned()))]);
        let texts = (option::of(text()), option::of(text()), named());
        (id(), role, option::of(identity), texts, option::of(payload()), id(), option::of(any::<u64>())).prop_map(
            |(id, role, identity, (channel, subprotocol, attributes), attachment, partner, opened_at_ms)| Given {
                id,
                role,
                channel,
                identity,
                attributes,
                attachment,
                subprotocol,
                partner,
                opened_at_ms,
            },
        )
    }

    fn headers() -> impl Strategy<Value = Vec<Attribute>> {
        let all = proptest::collection::btree_map(text(), vec(text(), 1..3), 0..4);
        all.prop_map(|all| {
            let lines =
                |(name, values): (String, Vec<String>)| values.into_iter().map(move |value| (name.clone(), value));
            all.into_iter().flat_map(lines).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            (name, url, method, note) in (text(), text(), option::of(text()), text()),
            (request_headers, answer_headers) in (headers(), option::of(headers())),
            (given, holder) in (given(), option::of(given())),
            (messages, to_client, failed) in (vec(payload(), 0..3), any::<bool>(), option::of(text())),
            (ask, event, memory) in (0..Hook::ALL.len(), option::of((text(), named())), 1_usize..200),
        ) {
            let direction = if to_client { Direction::ToClient } else { Direction::ToBackend };
            let mut limits = PluginLimits { memory: memory << 20, ..PluginLimits::default() };
            limits.decision = Duration::from_millis(memory as u64);
            limits.output.plus = 0;
            let case = Case {
                config: Some(json!({ "a": [ note, null, 1, true, { "b": -1.5 } ], "c": {} })),
                limits: Some(limits),
                mode: Some(Mode::Router),
                ask: Some(Hook::ALL[ask]),
                request: Request {
                    plain: to_client,
                    route: method.clone(),
                    listener: Some(url.clone()),
                    url,
                    method,
                    headers: request_headers,
                    ..Request::default()
                },
                given,
                holder,
                answer: answer_headers.map(|headers| (200, headers)),
                messages: messages.into_iter().map(|payload| Message { direction, payload, expect: None }).collect(),
                migrate: Some(name.clone()),
                events: event
                    .map(|(name, attributes)| Event {
                        name: name.into(),
                        at_ms: u64::MAX,
                        attributes: attributes.into_iter().collect(),
                    })
                    .into_iter()
                    .collect(),
                expect: Expectation { only_no_failure: failed.is_none(), failed, ..Expectation::default() },
                name,
                ..Case::default()
            };
            prop_assert_eq!(read(&case.write("a\nb").unwrap()), case);
        }
    }
}
