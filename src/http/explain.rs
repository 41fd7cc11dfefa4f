//! What would be done with a request, and why, without doing it: which routes match, what each plugin says and in what
//! time, and what follows from that.
//!
//! The policies are really asked, as they are for a request of a client, and count that. Nothing is dialled, no seat is
//! taken, no limit of a route or a listener counts.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use serde_json::{Value, json};

use super::{
    Refuse, Switchboard,
    forward::{Outgoing, name_host},
    judge::{Judged, Onlooker, Origin, judge, subject},
};
use crate::{
    config::{Listener, Transport},
    error::Cause,
    generation::{Generation, Route, Service},
    head::{
        forwarded,
        headers::{Changes, upstream_request},
        plain::Length,
        target, upgrade,
    },
    model::{Client, ConnId, Handshake, Mode, Refusal, Rejection},
    policy::{self, Opinion, Plugin, Trace},
    rendezvous::Side,
    route::{Plan, Wishes},
};

/// The key of the example in RFC 6455 §1.3.
const KEY: HeaderValue = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");

/// Stands for the key that each attempt has of its own.
const FRESH_KEY: HeaderValue = HeaderValue::from_static("<a new one for each attempt>");

/// A request that is asked about.
#[derive(Clone, Debug)]
pub struct Asked {
    head: Request<()>,
    /// Whether it is a WebSocket handshake; none is what the first matching route speaks.
    websocket: Option<bool>,
    peer: IpAddr,
    /// None is the first one.
    listener: Option<String>,
}

impl Asked {
    /// From an object of `url` (a path, or an absolute one of `ws`, `wss`, `http`, `https`), and, if wanted, `method`
    /// (`GET`), `headers` (pairs), `websocket` (whether the fields of a handshake are added; by default for `ws` and
    /// `wss`, and for a path where the first matching route speaks WebSocket), `peer` (an IP address, `127.0.0.1`) and
    /// `listener` (its name; the first).
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let map = value.as_object().ok_or("an object is needed, with at least a `url`")?;
        let known = ["url", "method", "headers", "websocket", "peer", "listener"];
        if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key `{key}`; there are `{}`", known.join("`, `")));
        }
        let text = |key: &str| match &value[key] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.as_str())),
            _ => Err(format!("`{key}` must be a text")),
        };
        let url = text("url")?.ok_or("a `url` is missing")?;
        let (uri, authority, mut websocket) = place(url)?;
        let method = text("method")?.unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is not a method"))?;
        let mut headers = HeaderMap::new();
        for pair in value["headers"].as_array().map_or(&[][..], Vec::as_slice) {
            let (Some(name), Some(text)) = (pair[0].as_str(), pair[1].as_str()) else {
                return Err("`headers` must be a list of pairs of texts".to_owned());
            };
            let field: HeaderName = name.parse().map_err(|_| format!("`{name}` is not the name of a header field"))?;
            let value =
                HeaderValue::from_str(text).map_err(|_| format!("the value of `{name}` has control characters"))?;
            headers.append(field, value);
        }
        if !headers.contains_key(HOST) {
            let host = HeaderValue::from_str(&authority).map_err(|_| format!("`{authority}` is not a host"))?;
            headers.insert(HOST, host);
        }
        match &value["websocket"] {
            Value::Null => {}
            Value::Bool(wanted) => websocket = Some(*wanted),
            _ => return Err("`websocket` must be true or false".to_owned()),
        }
        if headers.contains_key(UPGRADE) {
            // It says what it is.
            websocket = Some(false);
        }
        let peer = text("peer")?.unwrap_or("127.0.0.1");
        let peer = peer.parse().map_err(|_| format!("`peer`: `{peer}` is not an IP address"))?;
        let mut head = Request::builder().method(method).uri(uri).version(Version::HTTP_11).body(());
        if let Ok(head) = &mut head {
            *head.headers_mut() = headers;
        }
        let head = head.map_err(|error| error.to_string())?;
        Ok(Self { head, websocket, peer, listener: text("listener")?.map(ToOwned::to_owned) })
    }

    /// The request as policies see it, where it came in on a listener and a route of these names.
    ///
    /// # Errors
    /// The proxy would refuse it before any policy.
    pub fn handshake(&self, listener: &Arc<str>, route: &Arc<str>) -> Result<Handshake, Refusal> {
        let head = self.parts(self.websocket == Some(true));
        let authority = target::check_head(&head)?;
        let segments = target::segments(head.uri.path())?;
        let subprotocols = match upgrade::inspect(&head)? {
            upgrade::Asked::Upgrade(request) => request.subprotocols,
            upgrade::Asked::Plain => Vec::new(),
        };
        Ok(Handshake {
            id: ConnId::next(),
            client: forwarded::client(self.peer, false, &head.headers, &[]),
            method: head.method,
            version: head.version,
            uri: head.uri,
            authority,
            segments,
            headers: head.headers,
            subprotocols,
            peer: SocketAddr::new(self.peer, 0),
            listener: Arc::clone(listener),
            route: Arc::clone(route),
        })
    }

    fn parts(&self, websocket: bool) -> Parts {
        let (mut head, ()) = self.head.clone().into_parts();
        if websocket {
            head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            head.headers.entry(SEC_WEBSOCKET_KEY).or_insert(KEY);
            head.headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
        }
        head
    }
}

/// Path and query, authority, and whether the scheme says that it is a WebSocket.
fn place(url: &str) -> Result<(Uri, String, Option<bool>), String> {
    let wanted = "it is a path that begins with `/`, or has ws, wss, http or https before its host";
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL ({error}): {wanted}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    let websocket = match uri.scheme_str() {
        None if uri.authority().is_none() => None,
        None => return Err(format!("`{url}` has no scheme: {wanted}")),
        Some("ws" | "wss") => Some(true),
        Some("http" | "https") => Some(false),
        Some(other) => return Err(format!("the scheme must be ws, wss, http or https, not `{other}`")),
    };
    let authority = uri.authority().map_or("localhost", |authority| authority.as_str()).to_owned();
    Ok((path.parse().map_err(|error| format!("`{url}`: {error}"))?, authority, websocket))
}

/// What a generation would do with a request, as a JSON object: `routes` with why each matches or not and the opinions
/// of its plugins, up to the one that decides; then either a `plan` or a `refusal`. With a `board` that serves, who sits on
/// the channel of a rendezvous is known, and its plugins are asked about them, too.
///
/// # Errors
/// There is no such listener, and those that there are.
pub async fn explain(generation: &Generation, asked: &Asked, board: Option<&Switchboard>) -> Result<Value, String> {
    let mut told = Told::default();
    let listeners = &generation.config.listeners;
    let wanted = |name: &String| listeners.iter().find(|listener| *listener.name == **name);
    let Some(listener) = asked.listener.as_ref().map_or(listeners.first(), wanted) else {
        let names: Vec<_> = listeners.iter().map(|listener| &*listener.name).collect();
        let name = asked.listener.as_deref().unwrap_or_default();
        return Err(format!("there is no listener `{name}`; there are {}", names.join(", ")));
    };
    let outcome = judged(generation, asked, listener, board, &mut told).await;
    let routes = told.routes(generation, outcome.is_ok());
    let (plan, refusal) = match outcome {
        Ok(plan) => (plan, Value::Null),
        Err(refuse) => (Value::Null, refused(&refuse)),
    };
    Ok(json!({"generation": generation.number, "routes": routes, "plan": plan, "refusal": refusal}))
}

/// What is to be told of the routes.
#[derive(Default)]
struct Told {
    /// Of each route, in the order of the file, the condition that is not fulfilled.
    misses: Vec<Option<String>>,
    /// What each said that was asked, in the order of the file.
    asked: Vec<Vec<Value>>,
}

/// Nobody is counted, and there is room for everybody.
impl Onlooker for Told {
    type Permit = ();

    fn client(&mut self, _: Client) {}

    fn on(&mut self, _: &Route) {
        self.asked.push(Vec::new());
    }

    fn enter(&mut self, _: &Route, _: bool) -> Result<(), Refusal> {
        Ok(())
    }

    fn listens(&self) -> bool {
        true
    }

    fn heard(&mut self, _: &Handshake, opinions: &[Opinion]) {
        if let Some(last) = self.asked.last_mut() {
            last.extend(opinions.iter().map(opinion));
        }
    }
}

impl Told {
    /// Every route up to the one that decided.
    fn routes(self, generation: &Generation, decided: bool) -> Vec<Value> {
        let matching = self.misses.iter().filter(|miss| miss.is_none()).count();
        let all_asked = !decided && self.asked.len() == matching;
        let mut asked = self.asked.into_iter().peekable();
        let mut routes = Vec::new();
        for (route, miss) in generation.routes.iter().zip(self.misses) {
            if asked.peek().is_none() && !all_asked {
                break;
            }
            let (name, mode) = (&*route.config.name, route.mode().name());
            routes.push(match miss {
                Some(miss) => json!({"route": name, "mode": mode, "misses": miss}),
                None => json!({"route": name, "mode": mode, "opinions": asked.next()}),
            });
        }
        routes
    }
}

async fn judged(
    generation: &Generation,
    asked: &Asked,
    listener: &Listener,
    board: Option<&Switchboard>,
    told: &mut Told,
) -> Result<Value, Refuse> {
    let mut head = asked.parts(asked.websocket == Some(true));
    told.misses = misses(generation, &head)?;
    let first = generation.routes.iter().zip(&told.misses).find(|(_, miss)| miss.is_none());
    if asked.websocket.is_none() && first.is_some_and(|(route, _)| route.mode() != Mode::Http) {
        head = asked.parts(true);
        told.misses = misses(generation, &head)?;
    }
    let origin = Origin {
        id: ConnId::next(),
        peer: SocketAddr::new(asked.peer, 0),
        listener: &listener.name,
        trusted_proxies: &listener.trusted_proxies,
    };
    let judged = judge(generation, origin, head, told).await?;
    let mut plan = shown(&judged)?;
    if let Some(identity) = judged.known.identity() {
        plan["subject"] = identity.subject.as_deref().into();
    }
    if let Some(board) = board {
        seated(board, &judged, &mut plan, told).await?;
    }
    let later = |plugin: &Arc<Plugin>| {
        let questions = plugin.later();
        (!questions.is_empty()).then(|| json!({"plugin": &*plugin.name(), "questions": questions}))
    };
    let later: Vec<_> = judged.route.plugins.iter().filter_map(later).collect();
    if !later.is_empty() {
        plan["later"] = later.into();
    }
    Ok(plan)
}

/// Who sits on the channel now, and what the plugins say of them.
async fn seated(board: &Switchboard, judged: &Judged<()>, plan: &mut Value, told: &mut Told) -> Result<(), Refuse> {
    let Plan::Pair { key, side, .. } = &judged.plan else { return Ok(()) };
    let (holder, opposite) = board.registry.who_sits(key, *side);
    for (name, who, complementary) in [("holder", holder, false), ("opposite", opposite, true)] {
        let Some(conn) = who else { continue };
        plan[name] = conn.to_string().into();
        let Some(facts) = board.sessions.facts(conn) else { continue };
        let mut trace = Trace::new(true);
        let said = policy::pair(&judged.route.plugins, &judged.known, &facts, complementary, &mut trace).await;
        told.heard(&judged.handshake, &trace.take().unwrap_or_default());
        said?;
    }
    Ok(())
}

/// Of each route, the condition that a request does not fulfil.
fn misses(generation: &Generation, head: &Parts) -> Result<Vec<Option<String>>, Refusal> {
    let authority = target::check_head(head)?;
    let segments = target::segments(head.uri.path())?;
    let subject = subject(head, &authority, &segments);
    let miss = |route: &Arc<Route>| route.config.matching.miss(&subject).map(|miss| miss.to_string());
    Ok(generation.routes.iter().map(miss).collect())
}

fn opinion(opinion: &Opinion) -> Value {
    json!({
        "plugin": &*opinion.plugin,
        "version": &*opinion.version,
        "question": opinion.question,
        "answer": opinion.answer,
        "took_us": u64::try_from(opinion.took.as_micros()).unwrap_or(u64::MAX),
    })
}

fn shown(judged: &Judged<()>) -> Result<Value, Refuse> {
    let Judged { handshake, route, plan, edits, .. } = judged;
    let (service, wishes, action) = match plan {
        Plan::Pair { key, side, .. } => {
            return Ok(json!({
                "action": "pair",
                "namespace": &*key.namespace,
                "channel": key.channel.as_str(),
                "role": match side {
                    Side::Client => "client",
                    Side::Backend => "backend",
                },
            }));
        }
        Plan::Dial { service, wishes, .. } => (service, wishes, "dial"),
        Plan::Forward { service, wishes } => (service, wishes, "forward"),
    };
    let captured = route.config.matching.captures(&handshake.segments);
    let changes = Changes {
        path_and_query: wishes.path_and_query.as_deref(),
        edits,
        rewrite: Some(&route.config.rewrite),
        captured: captured.as_ref(),
    };
    let mut head = match route.config.http() {
        None => upstream_request(handshake, &changes)?.into_parts().0,
        Some(rules) => Outgoing::of(handshake, &changes, length(&handshake.headers), rules)?.head.into_parts().0,
    };
    let endpoints = endpoints(service, wishes);
    if let Some(first) = endpoints.first() {
        name_host(&mut head.headers, route.config.host, first);
    }
    if action == "dial" {
        head.headers.insert(SEC_WEBSOCKET_KEY, FRESH_KEY);
    }
    let headers =
        head.headers.iter().map(|(name, value)| [name.as_str().into(), String::from_utf8_lossy(value.as_bytes())]);
    Ok(json!({
        "action": action,
        "service": service.config.id.as_str(),
        "endpoints": endpoints,
        "request": format!("{} {}", head.method, head.uri),
        "headers": headers.collect::<Vec<_>>(),
    }))
}

/// How long the body is that its head announces.
fn length(headers: &HeaderMap) -> Length {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Length::Unknown;
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    announced.filter(|length| *length > 0).map_or(Length::None, Length::Known)
}

/// Those that would be tried; whose turn it is first is not asked, for then it would be another's.
fn endpoints(service: &Service, wishes: &Wishes) -> Vec<String> {
    let transport = wishes.transport.unwrap_or(Transport::Plain);
    service
        .fitting(wishes.env_tag.as_deref(), transport)
        .into_iter()
        .map(|endpoint| endpoint.authority.to_string())
        .collect()
}

fn refused(refuse: &Refuse) -> Value {
    match refuse {
        Refuse::Refusal(refusal) => json!({
            "status": refusal.cause.row().status,
            "cause": refusal.cause.row().label,
            "reason": refusal.reason,
            "detail": refusal.detail,
        }),
        Refuse::Rejection { policy, rejection: Rejection { status, code, log_reason, .. } } => json!({
            "status": status,
            "cause": Cause::Rejected.row().label,
            "policy": &**policy,
            "reason": code,
            "detail": (!log_reason.is_empty()).then_some(log_reason),
        }),
        // Nobody is dialled.
        Refuse::Upstream { .. } => Value::Null,
    }
}
