//! The configuration: one YAML file, read whole, checked whole and turned into typed, immutable values.
//!
//! [`read`] is pure: texts in, [`Config`] or every [`Problem`] that can be found at once out. It opens no file, asks for
//! the environment only through what it is given and resolves no name, so the same texts always give the same answer;
//! it never panics, and the work and memory that a hostile file can cost are bounded. All types compare by value: whether
//! a reload changes something is a comparison. Nothing of the file's own structs leaves this module.
//!
//! Its steps: the text becomes a tree that knows every place (`tree`), placeholders are filled in (`fill`), what does not
//! have the shape of the file is reported and taken out (`shape`), the rest is read into the file's structs (`file`) and
//! checked (`validate` and one module a section), and what is legal but unlikely is said (`unlikely`).
//!
//! Unknown keys are errors. A key or value that this version does not implement is refused as "not in this version"
//! rather than ignored, unless it says exactly what happens anyway. The keys, defaults and units stand in
//! `config/reference.yaml`.

pub mod author;
mod brackets;
mod check;
pub(crate) mod diagnose;
pub mod diff;
mod file;
mod fill;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod grants;
mod input;
mod matching;
mod part;
mod places;
mod plugin;
mod plugin_config;
mod remote;
mod route;
mod schema;
mod secrets;
mod service;
mod shape;
mod trail;
pub(crate) mod tree;
mod trust;
mod unlikely;
mod validate;
mod value;
pub mod watch;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

pub(crate) use self::{
    check::no_name,
    diagnose::{quoted, suggestion},
    value::shown_duration,
};
pub use self::{
    diagnose::{Problem, Severity},
    grants::{Bucket, Grants, HttpClient},
    input::{MAX_BYTES, Reading, Source, Values, ValuesFile, parse, read},
    places::Places,
    plugin_config::{Component, Dump, OnFailure, PluginConfig, PluginLimits, PluginSettings},
    remote::{Oci, Remote, Url, digest_text},
    schema::schema,
    secrets::Secrets,
    trust::{Fetch, Host, Login, Require, SignatureAt, Trust},
};
use crate::{
    head::{matching::Match, rewrite::Rewrite},
    model::{HostHeader, HttpRules, Limits, Mode, PoolRules, RendezvousRules, ServiceId},
};

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where we listen; at least one, names unique.
    pub listeners: Vec<Listener>,
    /// The admin address, always loopback; none is off. Default [`DEFAULT_ADMIN`].
    pub admin: Option<SocketAddr>,
    /// What is logged and how.
    pub log: Log,
    /// How changes of the file are taken up.
    pub reload: Reload,
    /// By name.
    pub plugins: BTreeMap<Arc<str>, Arc<PluginConfig>>,
    /// In the order of the file: the first match wins. Names unique.
    pub routes: Vec<Arc<Route>>,
    /// By id.
    pub services: BTreeMap<ServiceId, Arc<Service>>,
    /// Whose signatures of components count, and which components need one.
    pub trust: Trust,
    /// How components come over the network.
    pub fetch: Fetch,
    /// How we stop.
    pub drain: Drain,
    /// Threads for requests and policies, and as many for frames, at most 1024; 0 (the default) is one per core of each.
    pub workers: usize,
}

/// The default of `admin.address`.
pub const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// One of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// For logs and plugins.
    pub name: Arc<str>,
    /// Port 0 is any free port.
    pub address: SocketAddr,
    /// Longest time from accept, or from the first byte of a later request, to our answer; waiting for a partner
    /// excluded. Default [`Listener::ESTABLISH`], 10ms to 10m.
    pub establish: Duration,
    /// Peers whose `X-Forwarded-*` and `Forwarded` fields are believed; at most 256. Default none.
    pub trusted_proxies: Arc<[IpNet]>,
    /// How long the rest of a request is read and thrown away that is answered already, and how long a peer is given to
    /// take a last answer; 0 cuts at once. Default
    /// [`Listener::LINGER`], 10ms to 5m.
    pub linger: Duration,
    /// Longest time without a byte between two requests, and of what nobody else has a time for: the body of a request
    /// that is not forwarded, an answer of ours that is not taken. Default [`Listener::IDLE`], 100ms to 1h.
    pub idle: Duration,
    /// Largest head of a request, in bytes; also largest section of trailers. Default [`Listener::HEAD`], 1KiB to 1MiB.
    pub head: usize,
    /// Most fields of a head, and of a section of trailers. Default [`Listener::HEAD_FIELDS`], 1 to 1000.
    pub head_fields: usize,
    /// Most bytes of chunk extensions in one body. Default [`Listener::CHUNK_EXTENSIONS`], at most 8KiB.
    pub chunk_extensions: usize,
    /// Connections at once, at most 1000000; 0 (the default) is no limit.
    pub connections: usize,
    /// Connections at once from one address, at most 1000000; 0 (the default) is no limit.
    pub connections_per_ip: usize,
    /// Bounds of HTTP/2 connections.
    pub http2: Http2Rules,
}

impl Listener {
    /// The default of `establish`.
    pub const ESTABLISH: Duration = Duration::from_secs(10);
    /// The default of `linger`.
    pub const LINGER: Duration = Duration::from_secs(5);
    /// The default of `idle`.
    pub const IDLE: Duration = Duration::from_mins(1);
    /// The default of `head`.
    pub const HEAD: usize = 64 << 10;
    /// The default of `head_fields`.
    pub const HEAD_FIELDS: usize = 128;
    /// The default of `chunk_extensions`.
    pub const CHUNK_EXTENSIONS: usize = 1 << 10;
}

/// `http2` of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Rules {
    /// Most requests of one connection at once. Default 128, 1 to 10 000.
    pub streams: u32,
    /// How long a connection may be without a request; 0 is for ever. Default 1m, 100ms to 24h.
    pub idle: Duration,
}

impl Default for Http2Rules {
    fn default() -> Self {
        Self { streams: 128, idle: Duration::from_mins(1) }
    }
}

/// `log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Default text.
    pub format: LogFormat,
    /// Default info.
    pub level: tracing::Level,
    /// Whether each session's end gets a line. Default true.
    pub sessions: bool,
    /// Whether what each plugin said of each request gets a line. Default false.
    pub decisions: bool,
    /// Bytes of lines that may wait until standard error takes them; what is more is lost, and counted. 0: who says
    /// something waits. 64 KiB to 1 GiB, default 4 MiB.
    pub queue: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: tracing::Level::INFO, sessions: true, decisions: false, queue: 4 << 20 }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `reload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Default auto.
    pub watch: Watch,
    /// How long the files must rest before they are read. Default 200ms, 10ms to 2s.
    pub quiet: Duration,
    /// Most generations in memory at once; a candidate beyond them waits until handshakes have let go of one. Default
    /// 16, 2 to 1000.
    pub generations: usize,
    /// What makes room for a candidate that waits. Default wait.
    pub oldest: Oldest,
    /// What becomes of sessions whose filters have a new version. Default pin.
    pub sessions: OnSwap,
    /// How many generations are remembered, with what it takes to go back to them. Default 16, 1 to 1000.
    pub history: usize,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            watch: Watch::Auto,
            quiet: Duration::from_millis(200),
            generations: 16,
            oldest: Oldest::default(),
            sessions: OnSwap::default(),
            history: 16,
        }
    }
}

/// What is done about the oldest generation when there are as many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Oldest {
    /// Its sessions are waited for.
    #[default]
    Wait,
    /// Its sessions move to the versions that serve; those that cannot are waited for.
    Migrate,
    /// Its sessions are closed, with 1012.
    Close,
}

/// What becomes of a session when its message filters have a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnSwap {
    /// It keeps the versions that it began with.
    #[default]
    Pin,
    /// It moves to the new ones, if those agree.
    Migrate,
    /// It is closed, with `drain.close_code`, some time within `drain.spread`.
    Drain,
}

/// How changes are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The system tells us.
    Auto,
    /// We look at the files every second: for file systems that tell nothing.
    Poll,
    /// Only when asked to, by SIGHUP or at the admin address.
    Off,
}

/// One of `routes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// For logs and plugins; unique.
    pub name: Arc<str>,
    /// Which requests it is for.
    pub matching: Match,
    /// What is done with a connection.
    pub kind: RouteKind,
    /// Names of plugins, in the order they are asked; each of them exists. Empty only where a service is set.
    pub plugins: Vec<Arc<str>>,
    /// The `Host` that a dialled service sees. Default preserve; without meaning on a rendezvous route.
    pub host: HostHeader,
    /// How requests are changed on the way to a service, after the policies' changes. Empty on a rendezvous route.
    pub rewrite: Rewrite,
    /// Limits of its sessions' legs.
    pub limits: Limits,
    /// Limits of how many there are.
    pub admission: Admission,
}

/// How much a route lets in. The state belongs to the route's name and survives reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Admission {
    /// WebSocket connections at once, those being dialled included; 0 (the default) is no limit, at most 10 000 000.
    /// Over it 503.
    pub connections: u32,
    /// Upgrades in a second, as many at once; 0 (the default) is no limit, at most 1 000 000. Over it 429.
    pub upgrades_per_second: u32,
}

/// What a route does with a connection, with the settings that only this kind of route has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Joins two connections that dialled in.
    Rendezvous(RendezvousRules),
    /// Joins a connection to a service that we dial.
    Router {
        /// Dialled when no plugin named one; it exists.
        service: Option<ServiceId>,
    },
    /// Forwards plain HTTP requests to a service.
    Http {
        /// Asked when no plugin named one; it exists.
        service: Option<ServiceId>,
        /// Bounds of requests and answers.
        rules: HttpRules,
    },
}

impl Route {
    /// The kind of the route.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self.kind {
            RouteKind::Rendezvous(_) => Mode::Rendezvous,
            RouteKind::Router { .. } => Mode::Router,
            RouteKind::Http { .. } => Mode::Http,
        }
    }

    /// The rendezvous settings, on a rendezvous route.
    #[must_use]
    pub const fn rendezvous(&self) -> Option<&RendezvousRules> {
        match &self.kind {
            RouteKind::Rendezvous(rules) => Some(rules),
            RouteKind::Router { .. } | RouteKind::Http { .. } => None,
        }
    }

    /// The service that is dialled when no plugin named one.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceId> {
        match &self.kind {
            RouteKind::Router { service } | RouteKind::Http { service, .. } => service.as_ref(),
            RouteKind::Rendezvous(_) => None,
        }
    }

    /// How plain requests are forwarded, on a route for them.
    #[must_use]
    pub const fn http(&self) -> Option<&HttpRules> {
        match &self.kind {
            RouteKind::Http { rules, .. } => Some(rules),
            RouteKind::Router { .. } | RouteKind::Rendezvous(_) => None,
        }
    }
}

/// One of `services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id in this configuration.
    pub id: ServiceId,
    /// Where it is; at least one, no two alike.
    pub endpoints: Vec<Endpoint>,
    /// How one of them is chosen.
    pub balance: Balance,
    /// Longest time for connecting and the handshake. Default [`Service::CONNECT_TIMEOUT`], 10ms to 5m.
    pub connect_timeout: Duration,
    /// Which connections for plain requests are kept.
    pub pool: PoolRules,
}

impl Service {
    /// The default of `connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// One plain endpoint (`host:port`), and the defaults.
    #[must_use]
    pub fn lone(id: ServiceId, authority: Arc<str>) -> Self {
        let endpoints = vec![Endpoint { transport: Transport::Plain, authority, env_tag: None }];
        let (balance, pool) = (Balance::default(), PoolRules::default());
        Self { id, endpoints, balance, connect_timeout: Self::CONNECT_TIMEOUT, pool }
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
}

/// One of the `endpoints` of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What is spoken below HTTP.
    pub transport: Transport,
    /// `host:port`: a name, an IPv4 address or an IPv6 address in brackets, and a port that is never 0.
    pub authority: Arc<str>,
    /// Selects it for resolutions with the same tag; none for those without.
    pub env_tag: Option<Arc<str>>,
}

impl Endpoint {
    pub(super) fn new(transport: Transport, host: &str, port: u16) -> Self {
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { transport, authority: authority.into(), env_tag: None }
    }
}

/// What is spoken below HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP: `ws://` and `http://`.
    Plain,
    /// TLS: `wss://` and `https://`; this version's configuration never yields it.
    Tls,
}

/// `drain`: how we stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long we go on accepting after `/readyz` has said that we stop. Default 0, at most 1h.
    pub delay: Duration,
    /// From the last accept to the end. Default 30s, at most 1h.
    pub grace: Duration,
    /// The code of our Close: 1001, 1012 (the default) or 3000 to 4999.
    pub close_code: u16,
    /// Over how long the Closes are spread. Default 10s, never more than `grace`.
    pub spread: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            grace: Duration::from_secs(30),
            close_code: 1012,
            spread: Duration::from_secs(10),
        }
    }
}
