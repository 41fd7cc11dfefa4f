//! Test cases of a plugin: what it is asked, and what it is to say.
//!
//! A case without an expectation of a key does not look at it. What is expected is compared as JSON: of a map only the
//! keys that stand there, of a list all items.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    super::{
        PluginLimits, Problem, Source,
        check::Check,
        diagnose::quoted,
        part::{Any, Field, Text},
        plugin,
        tree::At,
    },
    file::{
        AnswerFile, CaseFile, CasesFile, EventFile, ExpectFile, GivenFile, IdentityFile, MessageFile, PayloadFile,
        RequestFile, RequestMap, ValuesFile,
    },
};
use crate::model::{Attribute, ConnId, Direction, Event, Hook, Identity, MessageKind, Mode, Payload, Role};

/// Most cases of one file.
const MAX_CASES: usize = 10_000;

/// A file of test cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// What holds, as a sentence.
    pub name: String,
    /// Where it begins in the file.
    pub line: usize,
    /// What the plugin is configured with; none is what the project says.
    pub config: Option<Value>,
    /// Its bounds; none is what the project says.
    pub limits: Option<PluginLimits>,
    /// The kind of route; none is what the plugin's interfaces are for.
    pub mode: Option<Mode>,
    /// The only question that it is asked; none is all that a route would ask.
    pub ask: Option<Hook>,
    /// What it is asked about.
    pub request: Request,
    /// What the steps before have said.
    pub given: Given,
    /// Who sits on the channel, if a newcomer is to be judged.
    pub holder: Option<Given>,
    /// Status and header fields of an answer that goes out.
    pub answer: Option<(u16, Vec<Attribute>)>,
    /// What passes, in order.
    pub messages: Vec<Message>,
    /// The version, as `name@identity`, from which the connection is taken over.
    pub migrate: Option<String>,
    /// What is told of the connection, in order.
    pub events: Vec<Event>,
    /// What is to come of it.
    pub expect: Expectation,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// A path, or an absolute URL.
    pub url: String,
    /// Default `GET`.
    pub method: Option<String>,
    /// Header fields; those of one name follow each other in their order.
    pub headers: Vec<Attribute>,
    /// The IP address of the socket's peer. Default `127.0.0.1`.
    pub peer: Option<String>,
    /// It is no WebSocket handshake.
    pub plain: bool,
    /// `1.0`, `1.1` or `2`. Default `1.1`.
    pub http_version: Option<String>,
    /// `http` or `https`, as the client spoke to the first proxy. Default `http`.
    pub scheme: Option<String>,
    /// The client's IP address behind proxies that are trusted. Default the peer's.
    pub remote: Option<String>,
    /// Name of the listener. Default `main`.
    pub listener: Option<String>,
    /// Name of the route. Default `test`.
    pub route: Option<String>,
}

/// What is known of a request or a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The connection's id; none is a new one.
    pub id: Option<ConnId>,
    /// What it is.
    pub role: Option<Role>,
    /// The channel's id.
    pub channel: Option<String>,
    /// Who it is.
    pub identity: Option<Identity>,
    /// By their full names, `plugin/name`.
    pub attributes: BTreeMap<String, String>,
    /// What the plugin keeps of the connection.
    pub attachment: Option<Payload>,
    /// The one that was agreed on.
    pub subprotocol: Option<String>,
    /// The connection that it is joined with.
    pub partner: Option<ConnId>,
    /// When its 101 went out, in milliseconds since 1970; none is now.
    pub opened_at_ms: Option<u64>,
}

/// A message that a filter may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is.
    pub payload: Payload,
    /// What becomes of it; none is not looked at.
    pub expect: Option<Value>,
}

/// What is expected; what is none is not looked at. Null is "no opinion".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// Of decisions, by key: `role`, `identity`, `channel`, `service`, `rewrite`, `attributes`, `rejected`, `pair`,
    /// `answer`, `migrate`, `recheck`.
    pub said: Vec<(&'static str, Value)>,
    /// Each of these stands in a line that the plugin logs.
    pub logs: Vec<String>,
    /// `init` refuses the configuration, with these words.
    pub refused: Option<String>,
    /// A call fails, with these words.
    pub failed: Option<String>,
    /// No call fails, and all else is well: a rejection, too, which is otherwise a failure of the case unless it is
    /// expected.
    pub only_no_failure: bool,
}

impl Cases {
    /// Reads and checks a file of cases.
    ///
    /// # Errors
    /// All its problems, each with its place and what would be right.
    pub fn read(source: &Source) -> Result<Self, Vec<Problem>> {
        super::read(source, cases)
    }
}

fn cases(check: &mut Check, at: &At<'_>, file: CasesFile) -> Option<Cases> {
    let cases_at = at.key("cases");
    let of_all = mode(check, &at.key("mode"), &file.mode);
    let config = settings(check, &at.key("config"), file.config);
    let files = file.cases.unwrap_or_default();
    if files.is_empty() || files.len() > MAX_CASES {
        let example = "add `cases: [ { name: whoever asks is a client, request: /, expect: { role: client } } ]`";
        check.misplaced(&cases_at, format!("1 to {MAX_CASES} cases are needed"), Some(example.to_owned()));
        return None;
    }
    let mut all = Some(Vec::with_capacity(files.len()));
    for (index, file_case) in files.into_iter().enumerate() {
        let read = case(check, &cases_at.index(index), file_case);
        all = all.zip(read).map(|(mut all, mut read)| {
            read.mode = read.mode.or(of_all);
            read.config = read.config.or_else(|| config.clone());
            all.push(read);
            all
        });
    }
    all.map(|cases| Cases { cases })
}

fn case(check: &mut Check, at: &At<'_>, file: CaseFile) -> Option<Case> {
    let name = check.required(&at.key("name"), &file.name, "what holds, as a sentence");
    let mode = mode(check, &at.key("mode"), &file.mode);
    let config = settings(check, &at.key("config"), file.config);
    let limits = file.limits.map(|limits| plugin::limits(check, &at.key("limits"), &limits));
    let ask = check.choice(&at.key("ask"), &file.ask, None, &Hook::ALL.map(|hook| (hook.name(), Some(hook))), &[]);
    let migrate = check.text(&at.key("migrate"), &file.migrate).map(ToOwned::to_owned);
    let request = request(check, &at.key("request"), file.request);
    let given = given(check, &at.key("given"), file.given.unwrap_or_default());
    let holder = file.holder.map(|holder| self::given(check, &at.key("holder"), holder));
    let answer = file.answer.map(|answer| self::answer(check, &at.key("answer"), answer));
    let (messages_at, events_at) = (at.key("messages"), at.key("events"));
    let messages = file.messages.unwrap_or_default().into_iter().enumerate();
    let messages: Vec<_> = messages.map(|(n, file)| message(check, &messages_at.index(n), file)).collect();
    let events = file.events.unwrap_or_default().into_iter().enumerate();
    let events: Vec<_> = events.map(|(n, file)| event(check, &events_at.index(n), file)).collect();
    let expect_at = at.key("expect");
    let silent = messages.iter().flatten().all(|message| message.expect.is_none());
    if file.expect.is_none() && silent && !expect_at.is_wrong() && !messages_at.is_wrong() {
        let hint = Some("add `expect: { role: client }`, or what else is to come of it".to_owned());
        check.misplaced(&expect_at, "is missing: a case that expects nothing proves nothing", hint);
    }
    let expect = expectation(check, &expect_at, file.expect.unwrap_or_default());
    Some(Case {
        name: name?.to_owned(),
        line: at.value().line,
        config,
        limits,
        mode,
        ask,
        migrate,
        request: request?,
        given,
        holder,
        answer,
        messages: messages.into_iter().collect::<Option<_>>()?,
        events: events.into_iter().collect::<Option<_>>()?,
        expect,
    })
}

/// A plugin gets an object; what it does with anything else may be tried all the same.
fn settings(check: &mut Check, at: &At<'_>, field: Field<Any>) -> Option<Value> {
    match field {
        Field::Absent => None,
        Field::Set(Any(value)) => Some(value),
        Field::Null => {
            check.misplaced(at, "a value is missing here", Some("`{}` is a configuration without keys".to_owned()));
            None
        }
    }
}

fn mode(check: &mut Check, at: &At<'_>, field: &Text) -> Option<Mode> {
    let known = Mode::ALL.map(|mode| (mode.name(), Some(mode)));
    check.choice(at, field, None, &known, &[])
}

fn request(check: &mut Check, at: &At<'_>, field: Field<RequestFile>) -> Option<Request> {
    let file = match field {
        // Where only the configuration or events are looked at.
        Field::Absent => return Some(Request { url: "/".to_owned(), ..Request::default() }),
        Field::Null => return check.text(at, &Field::Null).map(|_| Request::default()),
        Field::Set(RequestFile::Url(url)) => RequestMap { url: Field::Set(url), ..RequestMap::default() },
        Field::Set(RequestFile::Map(file)) => *file,
    };
    let url = check.required(&at.key("url"), &file.url, "a path, or an absolute URL");
    let text = |check: &mut Check, key: &str, field: &Text| check.text(&at.key(key), field).map(ToOwned::to_owned);
    Some(Request {
        method: text(check, "method", &file.method),
        peer: text(check, "peer", &file.peer),
        plain: check.flag(&at.key("plain"), &file.plain, false),
        http_version: text(check, "http_version", &file.http_version),
        scheme: text(check, "scheme", &file.scheme),
        remote: text(check, "remote", &file.remote),
        listener: text(check, "listener", &file.listener),
        route: text(check, "route", &file.route),
        headers: fields(file.headers),
        url: url?.to_owned(),
    })
}

fn given(check: &mut Check, at: &At<'_>, file: GivenFile) -> Given {
    let role = check.text(&at.key("role"), &file.role).map(|name| match name {
        "client" => Role::Client,
        "backend" => Role::Backend,
        "listener" => Role::Listener,
        "routed" => Role::Routed,
        "session" => Role::Session,
        other => Role::Other(other.into()),
    });
    let identity = file.identity.map(|identity| self::identity(check, &at.key("identity"), identity));
    let attachment = match file.attachment {
        Field::Absent => None,
        field => payload(check, &at.key("attachment"), field),
    };
    Given {
        id: parsed(check, &at.key("id"), &file.id),
        role,
        channel: check.text(&at.key("channel"), &file.channel).map(ToOwned::to_owned),
        identity,
        attributes: file.attributes.unwrap_or_default(),
        attachment,
        subprotocol: check.text(&at.key("subprotocol"), &file.subprotocol).map(ToOwned::to_owned),
        partner: parsed(check, &at.key("partner"), &file.partner),
        opened_at_ms: milliseconds(check, &at.key("opened_at_ms"), &file.opened_at_ms),
    }
}

/// A text that something is read from.
fn parsed<T: FromStr<Err: Display>>(check: &mut Check, at: &At<'_>, field: &Text) -> Option<T> {
    match check.text(at, field)?.parse() {
        Ok(read) => Some(read),
        Err(why) => {
            check.wrong(at, why.to_string(), None);
            None
        }
    }
}

/// A time, if there is one.
fn milliseconds(check: &mut Check, at: &At<'_>, field: &Text) -> Option<u64> {
    match field {
        Field::Absent => None,
        field => Some(check.count(at, field, 0, &(0..=u64::MAX))),
    }
}

/// Header fields, in the order of their names.
fn fields(file: Option<BTreeMap<String, ValuesFile>>) -> Vec<Attribute> {
    let all = file.unwrap_or_default().into_iter();
    all.flat_map(|(name, ValuesFile(values))| values.into_iter().map(move |value| (name.clone(), value))).collect()
}

fn identity(check: &mut Check, at: &At<'_>, file: IdentityFile) -> Identity {
    let text = |check: &mut Check, key: &str, field: &Text| check.text(&at.key(key), field).map(ToOwned::to_owned);
    Identity {
        subject: text(check, "subject", &file.subject),
        roles: file.roles.unwrap_or_default(),
        expires_at_ms: milliseconds(check, &at.key("expires_at_ms"), &file.expires_at_ms),
        token_id: text(check, "token_id", &file.token_id),
        attributes: file.attributes.unwrap_or_default().into_iter().collect(),
    }
}

fn answer(check: &mut Check, at: &At<'_>, file: AnswerFile) -> (u16, Vec<Attribute>) {
    let status = check.count(&at.key("status"), &file.status, 101, &(100..=999));
    (status, fields(file.headers))
}

fn message(check: &mut Check, at: &At<'_>, file: MessageFile) -> Option<Message> {
    let (to_client, to_backend) = (at.key("to_client"), at.key("to_backend"));
    let (at_payload, direction, field) = match (file.to_client, file.to_backend) {
        (Field::Absent, Field::Absent) => {
            check.misplaced(at, "is missing: `to_client` or `to_backend`, with a text", None);
            return None;
        }
        (field, Field::Absent) => (to_client, Direction::ToClient, field),
        (Field::Absent, field) => (to_backend, Direction::ToBackend, field),
        _ => {
            check.wrong(at, "a message goes `to_client` or `to_backend`, not both ways", None);
            return None;
        }
    };
    let payload = payload(check, &at_payload, field)?;
    let expect = match file.expect {
        Field::Set(Any(value)) => Some(value),
        Field::Absent => None,
        Field::Null => {
            let hint = Some("`[]` where it is dropped, `unseen` where the plugin does not look at it".to_owned());
            check.misplaced(&at.key("expect"), "a value is missing here", hint);
            None
        }
    };
    Some(Message { direction, payload, expect })
}

/// A text, or the bytes of something binary. Blank is the empty text.
fn payload(check: &mut Check, at: &At<'_>, field: Field<PayloadFile>) -> Option<Payload> {
    match field {
        Field::Set(PayloadFile::Text(text)) => Some(Payload { kind: MessageKind::Text, bytes: text.into_bytes() }),
        Field::Set(PayloadFile::Map(map)) => {
            let base64_at = at.key("base64");
            let text = check.required(&base64_at, &map.base64, "the bytes of a binary message")?;
            let Ok(bytes) = STANDARD.decode(text) else {
                check.wrong(&base64_at, format!("{} is not base64", quoted(text)), None);
                return None;
            };
            Some(Payload { kind: MessageKind::Binary, bytes })
        }
        Field::Null | Field::Absent => Some(Payload { kind: MessageKind::Text, bytes: Vec::new() }),
    }
}

fn event(check: &mut Check, at: &At<'_>, file: EventFile) -> Option<Event> {
    let name = check.required(&at.key("name"), &file.name, "the event's name, such as `opened`")?;
    let at_ms = check.count(&at.key("at_ms"), &file.at_ms, 0, &(0..=u64::MAX));
    Some(Event {
        name: name.to_owned().into(),
        at_ms,
        attributes: file.attributes.unwrap_or_default().into_iter().collect(),
    })
}

fn expectation(check: &mut Check, at: &At<'_>, file: ExpectFile) -> Expectation {
    let said = [
        ("role", file.role),
        ("identity", file.identity),
        ("channel", file.channel),
        ("service", file.service),
        ("rewrite", file.rewrite),
        ("attributes", file.attributes),
        ("rejected", file.rejected),
        ("pair", file.pair),
        ("answer", file.answer),
        ("migrate", file.migrate),
        ("recheck", file.recheck),
    ];
    let said = said.into_iter().filter_map(|(key, field)| match field {
        Field::Absent => None,
        Field::Null => Some((key, Value::Null)),
        Field::Set(Any(value)) => Some((key, value)),
    });
    let text = |check: &mut Check, key: &str, field: &Text| check.text(&at.key(key), field).map(ToOwned::to_owned);
    let only_no_failure = matches!(file.failed, Field::Null);
    Expectation {
        said: said.collect(),
        logs: file.logs.unwrap_or_default(),
        refused: text(check, "refused", &file.refused),
        failed: if only_no_failure { None } else { text(check, "failed", &file.failed) },
        only_no_failure,
    }
}
