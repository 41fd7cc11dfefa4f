//! The nouns: what a connection is, what a policy says of it, what is done about it and how it ended.
//!
//! Plain data without I/O, shared by every other module. Nothing here knows hyper, wasmtime or the configuration file.

mod conn;
mod hook;
mod message;
mod settings;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

pub use self::conn::ConnId;
pub use self::hook::Hook;
pub use self::message::{CloseFrame, Direction, Event, MessageKind, Oversize, PairingDecision, Payload};
pub use self::settings::{
    Accept, BackendFirst, HostHeader, HttpRules, Limits, PingMode, PoolRules, RendezvousRules, Second, SubprotocolRule,
};
use crate::error::Cause;

/// What a connection is on its route, as a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rendezvous: joined with a backend.
    Client,
    /// Rendezvous: joined with a client.
    Backend,
    /// Rendezvous: a control channel that is told of waiting clients.
    Listener,
    /// Router: the proxy dials the resolved service.
    Routed,
    /// Pipeline: messages become HTTP calls.
    Session,
    /// A name of a later version or of the plugin's own.
    Other(String),
}

impl Role {
    /// The name for logs and for plugins.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Listener => "listener",
            Self::Routed => "routed",
            Self::Session => "session",
            Self::Other(name) => name,
        }
    }
}

/// The kind of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Two connections that dialled in are joined by channel id.
    Rendezvous,
    /// A connection that dialled in is joined to a service that we dial.
    Router,
    /// Plain HTTP requests are forwarded to a service.
    Http,
}

impl Mode {
    /// Every mode, for tables and metrics.
    pub const ALL: [Self; 3] = [Self::Rendezvous, Self::Router, Self::Http];

    /// The name, as in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rendezvous => "rendezvous",
            Self::Router => "router",
            Self::Http => "http",
        }
    }

    /// Whether a connection of this role may stand on such a route. Plain requests have no role.
    #[must_use]
    pub const fn allows(self, role: &Role) -> bool {
        matches!((self, role), (Self::Rendezvous, Role::Client | Role::Backend) | (Self::Router, Role::Routed))
    }
}

/// The name two connections meet under: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChannelId(Arc<str>);

/// The longest channel or service id, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// Why an id was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// It has no characters.
    #[error("it is empty")]
    Empty,
    /// It is longer than [`MAX_ID_BYTES`].
    #[error("it is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
    /// It holds a control character.
    #[error("it holds a control character")]
    Control,
}

fn check_id(id: &str) -> Result<(), InvalidId> {
    match id {
        "" => Err(InvalidId::Empty),
        id if id.len() > MAX_ID_BYTES => Err(InvalidId::TooLong),
        id if id.chars().any(char::is_control) => Err(InvalidId::Control),
        _ => Ok(()),
    }
}

impl ChannelId {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`InvalidId`] says which rule it breaks.
    pub fn new(id: &str) -> Result<Self, InvalidId> {
        check_id(id).map(|()| Self(id.into()))
    }

    /// A random UUID (version 4), for routed connections that named none.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a service in the configuration: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ServiceId(Arc<str>);

impl ServiceId {
    /// Checks and takes an id.
    ///
    /// # Errors
    /// [`InvalidId`] says which rule it breaks.
    pub fn new(id: &str) -> Result<Self, InvalidId> {
        check_id(id).map(|()| Self(id.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An open fact about a connection, as `(name, value)`.
pub type Attribute = (String, String);

/// The client of a request, after the rules for trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; the socket's where its peer is not trusted or does not say.
    pub remote: IpAddr,
    /// Whether it spoke TLS to the first proxy.
    pub tls: bool,
    /// Whether the socket's peer is trusted.
    pub trusted: bool,
}

/// The upgrade request as every later step sees it. Immutable; shared with plugins.
#[derive(Debug)]
pub struct Handshake {
    /// The connection that sent it.
    pub id: ConnId,
    /// `GET` for an upgrade.
    pub method: Method,
    /// HTTP version.
    pub version: Version,
    /// As received: path and query unchanged.
    pub uri: Uri,
    /// The `Host` header or the authority of an absolute request target.
    pub authority: String,
    /// The path's segments, percent-decoded; empty ones (doubled slashes) kept.
    pub segments: Vec<String>,
    /// As received, in order; every value is UTF-8 (checked at the edge).
    pub headers: HeaderMap,
    /// The client's offers, in its order.
    pub subprotocols: Vec<String>,
    /// The socket's peer.
    pub peer: SocketAddr,
    /// The client after the rules for trusted proxies.
    pub client: Client,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Name of the matched route.
    pub route: Arc<str>,
}

/// Who a connection is, as an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// None is anonymous, on purpose.
    pub subject: Option<String>,
    /// What it may do, in the plugin's own terms.
    pub roles: Vec<String>,
    /// When the session is closed with 4401, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Key for revocation; never the token.
    pub token_id: Option<String>,
    /// More about it.
    pub attributes: Vec<Attribute>,
}

/// A change of a header field, asked for by a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Replace all values.
    Set(String, String),
    /// Add a value.
    Append(String, String),
    /// Remove all values.
    Remove(String),
}

/// An [`Edit`] that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckedEdit {
    /// Replace all values.
    Set(HeaderName, HeaderValue),
    /// Add a value.
    Append(HeaderName, HeaderValue),
    /// Remove all values.
    Remove(HeaderName),
}

/// What a resolver wants dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The service's id.
    pub service: ServiceId,
    /// `host:port` where that is dialled and no service of the configuration; the id is the same then.
    pub endpoint: Option<Arc<str>>,
    /// `ws`, `wss`, `http` or `https`; none is the route's default.
    pub scheme: Option<String>,
    /// Only endpoints with this tag; none selects untagged ones.
    pub env_tag: Option<String>,
    /// None is the request's own.
    pub path_and_query: Option<String>,
    /// Overrides the service's connect timeout.
    pub connect_timeout: Option<Duration>,
}

/// A plugin's refusal, given to the client as an HTTP answer before any 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 300 to 599.
    pub status: u16,
    /// Short and stable, as the plugin names it.
    pub code: String,
    /// For the operator, never sent.
    pub log_reason: String,
    /// For the client.
    pub body: Option<String>,
    /// Extra headers of the answer.
    pub headers: Vec<(String, String)>,
}

/// All that the plugins of a route said of one handshake.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// First opinion on the role.
    pub role: Option<Role>,
    /// First opinion on who it is.
    pub identity: Option<Arc<Identity>>,
    /// First opinion on the channel.
    pub channel: Option<ChannelId>,
    /// First opinion on the service.
    pub resolution: Option<Resolution>,
    /// Accumulated header edits, in order, as they were said.
    pub edits: Vec<Edit>,
    /// The same, checked.
    pub checked_edits: Vec<CheckedEdit>,
    /// Who said so: identity of the deciding policy, for logs (`name@sha256-prefix`).
    pub policy: Option<Arc<str>>,
}

/// How a session ended: the label of its counter and the `outcome` of its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Two dialled-in legs were joined and one of them closed.
    Paired,
    /// A leg was joined to a dialled service and one of them closed.
    Routed,
    /// A plain request was answered by a service.
    Forwarded,
    /// A waiting leg left before its partner came.
    Lonely,
    /// A newcomer in the same role took the seat.
    Replaced,
    /// No partner in time.
    Timeout,
    /// Refused before the 101.
    Refused,
    /// A limit, a protocol error or a broken connection ended it.
    Error,
    /// We are stopping.
    Drained,
}

impl Outcome {
    /// Every outcome, for tables and metrics.
    pub const ALL: [Self; 9] = [
        Self::Paired,
        Self::Routed,
        Self::Forwarded,
        Self::Lonely,
        Self::Replaced,
        Self::Timeout,
        Self::Refused,
        Self::Error,
        Self::Drained,
    ];

    /// The label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Routed => "routed",
            Self::Forwarded => "forwarded",
            Self::Lonely => "lonely",
            Self::Replaced => "replaced",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Error => "error",
            Self::Drained => "drained",
        }
    }
}

/// A refusal on its way to the client: the cause decides status and log level, the detail is the line of reason.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Row of the table in `error.rs`.
    pub cause: Cause,
    /// One line for the client.
    pub reason: String,
    /// More for the operator, never sent.
    pub detail: Option<String>,
    /// When it is worth trying again; told in `Retry-After`, in seconds.
    pub retry_after: Option<Duration>,
    /// `name@identity` of the policy from whose words it follows; for the operator.
    pub policy: Option<Arc<str>>,
    /// The endpoint that was dialled last; for the operator.
    pub endpoint: Option<Arc<str>>,
}

impl Refusal {
    /// A refusal with the cause's own text.
    #[must_use]
    pub fn new(cause: Cause) -> Self {
        Self::because(cause, cause.row().reason)
    }

    /// A refusal with a text of its own.
    #[must_use]
    pub fn because(cause: Cause, reason: impl Into<String>) -> Self {
        Self { cause, reason: reason.into(), detail: None, retry_after: None, policy: None, endpoint: None }
    }

    /// Adds what only the operator is told.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_128_bytes_and_no_control_characters() {
        assert_eq!(ChannelId::new(""), Err(InvalidId::Empty));
        assert!(ChannelId::new(&"x".repeat(MAX_ID_BYTES)).is_ok());
        assert_eq!(ChannelId::new(&"x".repeat(MAX_ID_BYTES + 1)), Err(InvalidId::TooLong));
        assert_eq!(ServiceId::new("a\nb"), Err(InvalidId::Control));
        assert_eq!(ServiceId::new("größe +1").map(|id| id.as_str().to_owned()), Ok("größe +1".to_owned()));
    }

    #[test]
    fn roles_belong_to_modes() {
        assert!(Mode::Rendezvous.allows(&Role::Client) && Mode::Rendezvous.allows(&Role::Backend));
        assert!(!Mode::Rendezvous.allows(&Role::Routed) && !Mode::Router.allows(&Role::Client));
        assert!(Mode::Router.allows(&Role::Routed) && !Mode::Router.allows(&Role::Session));
    }
}
