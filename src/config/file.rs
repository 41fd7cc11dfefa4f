//! The format of the configuration file: the only place that knows it.
//!
//! Every section is a struct with the keys that it has; what belongs under each follows from the field's type, and so does
//! the [`Form`] that the document is compared with before it is read. Scalars are kept as the text that stands in the
//! file, so that the checks can report everything that is wrong with them at once and in the file's own words; what a
//! text means is decided in `validate`. A key that a later version will give a meaning is a [`Later`]: known, so that it
//! is not called a typing error, but refused unless it holds its off value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    part::{Field, Later, Part, Text},
    shape::{Form, Section},
    tree::{Node, Shape},
};

/// Declares the sections; a section that is absent or blank has every key absent. A key that is no name in Rust stands
/// behind the field's.
macro_rules! sections {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    ($($(#[doc = $doc:literal])+ $name:ident { $($field:ident $($key:literal)?: $type:ty,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Default)]
        pub(super) struct $name { $(pub(super) $field: $type,)+ }

        impl Part for $name {
            fn form() -> Form {
                let fields = vec![$((sections!(@key $field $($key)?), <$type>::form()),)+];
                Form::Section(Section { name: stringify!($name), fields })
            }

            fn read(node: &Node) -> Self {
                let mut section = Self::default();
                let Some(entries) = node.map() else { return section };
                $(if let Some(entry) = entries.get(sections!(@key $field $($key)?)) {
                    section.$field = Part::read(&entry.node);
                })+
                section
            }
        }
    )+};
}
pub(super) use sections;

sections! {
    /// The whole file.
    File {
        listeners: Option<Vec<ListenerFile>>,
        admin: Field<AdminFile>,
        log: Option<LogFile>,
        reload: Option<ReloadFile>,
        plugins: Option<BTreeMap<String, PluginFile>>,
        routes: Option<Vec<RouteFile>>,
        services: Option<BTreeMap<String, ServiceFile>>,
        trust: Option<TrustFile>,
        fetch: Option<FetchFile>,
        drain: Option<DrainFile>,
        workers: Text,
    }

    /// One of `listeners`.
    ListenerFile {
        name: Text,
        address: Text,
        establish: Text,
        idle: Text,
        linger: Text,
        head: Text,
        head_fields: Text,
        chunk_extensions: Text,
        connections: Text,
        connections_per_ip: Text,
        http2: Option<Http2File>,
        tls: Later,
        proxy_protocol: Later,
        trusted_proxies: Option<Vec<String>>,
    }

    /// `http2` of a listener.
    Http2File {
        streams: Text,
        idle: Text,
    }

    /// `admin`.
    AdminFile {
        address: Text,
        token: Later,
    }

    /// `log`.
    LogFile {
        format: Text,
        level: Text,
        sessions: Text,
        decisions: Text,
        queue: Text,
    }

    /// `reload`.
    ReloadFile {
        watch: Text,
        quiet: Text,
        generations: Text,
        oldest: Text,
        sessions: Text,
        history: Text,
    }

    /// One of `plugins`.
    PluginFile {
        component: Text,
        sha256: Text,
        signature: Text,
        signed_by: Option<Vec<String>>,
        config: Option<Map<String, Value>>,
        grants: Option<GrantsFile>,
        limits: Option<PluginLimitsFile>,
        on_failure: Text,
        dump: Field<DumpFile>,
        recheck: Text,
        recheck_on_swap: Text,
    }

    /// `limits` of a plugin.
    PluginLimitsFile {
        decision: Text,
        message: Text,
        init: Text,
        host: Text,
        host_calls: Text,
        memory: Text,
        instances: Text,
        queue: Text,
        reuse: Text,
        events: Text,
        actions: Text,
        output: Option<OutputFile>,
        host_copy: Text,
        handles: Text,
        attachment: Text,
    }

    /// The long form of `dump` of a plugin.
    DumpMap {
        dir: Text,
        files: Text,
        per_minute: Text,
        message: Text,
        queue: Text,
    }

    /// `grants` of a plugin.
    GrantsFile {
        random: Text,
        metrics: Option<MetricsFile>,
        key_value: Option<BTreeMap<String, BucketFile>>,
        http_client: Option<HttpClientFile>,
        discovery: Text,
        endpoints: Option<Vec<String>>,
    }

    /// The long form of `metrics` of a plugin's grants.
    MetricsMap {
        series: Text,
    }

    /// One of `key_value`.
    BucketFile {
        max_bytes: Text,
        max_keys: Text,
        max_value: Text,
        max_ttl: Text,
        shared: Text,
    }

    /// `http_client` of a plugin's grants.
    HttpClientFile {
        allow: Option<Vec<String>>,
        timeout: Text,
        max_request: Text,
        max_body: Text,
    }

    /// `output` of a plugin's limits.
    OutputFile {
        factor: Text,
        plus: Text,
    }

    /// One of `routes`.
    RouteFile {
        name: Text,
        matching "match": Option<MatchFile>,
        mode: Text,
        plugins: Option<Vec<String>>,
        service: Text,
        host: Text,
        rendezvous: Option<RendezvousFile>,
        http: Option<HttpFile>,
        rewrite: Option<Vec<RewriteFile>>,
        limits: Option<LimitsFile>,
    }

    /// `match` of a route.
    MatchFile {
        path: Text,
        exact_path: Text,
        path_regex: Text,
        host: Option<OneOrMany>,
        method: Option<OneOrMany>,
        headers: Option<BTreeMap<String, ValueFile>>,
        query: Option<BTreeMap<String, ValueFile>>,
        cookie: Option<BTreeMap<String, ValueFile>>,
    }

    /// The long form of a condition on a value.
    ValueMap {
        prefix: Text,
        regex: Text,
        present: Text,
    }

    /// One of `rewrite`.
    RewriteFile {
        path: Text,
        to: Text,
        query: Option<ChangesFile>,
        header: Option<ChangesFile>,
    }

    /// `query` or `header` of a rule of `rewrite`.
    ChangesFile {
        remove: Option<Vec<String>>,
        replace: Option<BTreeMap<String, ReplaceFile>>,
        set: Option<BTreeMap<String, String>>,
        append: Option<BTreeMap<String, String>>,
    }

    /// One of `replace`.
    ReplaceFile {
        regex: Text,
        to: Text,
    }

    /// `rendezvous` of a route.
    RendezvousFile {
        namespace: Text,
        accept: Text,
        pairing_timeout: Text,
        backend_first: Text,
        second_client: Text,
        second_backend: Text,
        probe: Text,
        hold: Text,
        subprotocols: Option<Vec<String>>,
        subprotocol: Text,
    }

    /// `http` of a route.
    HttpFile {
        answer: Text,
        idle: Text,
        expect: Text,
        body: Text,
    }

    /// `limits` of a route.
    LimitsFile {
        message: Text,
        fragments: Text,
        splice: Text,
        idle: Text,
        lifetime: Text,
        ping: Text,
        ping_every: Text,
        pong_within: Text,
        stall: Text,
        close: Text,
        connections: Text,
        upgrades_per_second: Text,
    }

    /// One of `services`.
    ServiceFile {
        endpoints: Option<Vec<EndpointFile>>,
        balance: Text,
        connect_timeout: Text,
        pool: Option<PoolFile>,
    }

    /// `pool` of a service.
    PoolFile {
        idle: Text,
        idle_timeout: Text,
    }

    /// The long form of an endpoint.
    EndpointMap {
        url: Text,
        weight: Later,
        env_tag: Text,
    }

    /// `trust`.
    TrustFile {
        keys: Option<BTreeMap<String, String>>,
        require: Text,
    }

    /// `fetch`.
    FetchFile {
        timeout: Text,
        refresh: Text,
        ca_file: Text,
        docker_config: Text,
        hosts: Option<BTreeMap<String, HostFile>>,
    }

    /// One of `hosts`.
    HostFile {
        plain_http: Text,
        username: Text,
        password: Text,
    }

    /// `drain`.
    DrainFile {
        delay: Text,
        grace: Text,
        close_code: Text,
        spread: Text,
    }
}

/// One of the `endpoints` of a service: a URL alone, or a map with more.
#[derive(Debug)]
pub(super) enum EndpointFile {
    /// The URL alone.
    Url(String),
    /// With tag and weight.
    Map(EndpointMap),
}

impl Default for EndpointFile {
    fn default() -> Self {
        Self::Url(String::new())
    }
}

impl Part for EndpointFile {
    fn form() -> Form {
        Form::Either("a URL or a map with `url` and `env_tag` belongs here", vec![Form::Text, EndpointMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(EndpointMap::read(node)) } else { Self::Url(String::read(node)) }
    }
}

/// `metrics` of a plugin's grants: `true`, or a map with its bound.
#[derive(Debug)]
pub(super) enum MetricsFile {
    /// `true` or `false`.
    Flag(String),
    /// With its bound.
    Map(MetricsMap),
}

impl Default for MetricsFile {
    fn default() -> Self {
        Self::Flag("false".to_owned())
    }
}

impl Part for MetricsFile {
    fn form() -> Form {
        Form::Either("`true` or a map with `series` belongs here", vec![Form::Scalar, MetricsMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(MetricsMap::read(node)) } else { Self::Flag(String::read(node)) }
    }
}

/// `dump` of a plugin: the folder alone, or a map with its bounds.
#[derive(Debug)]
pub(super) enum DumpFile {
    /// The folder.
    Dir(String),
    /// With its bounds.
    Map(DumpMap),
}

impl Default for DumpFile {
    fn default() -> Self {
        Self::Dir(String::new())
    }
}

impl Part for DumpFile {
    fn form() -> Form {
        Form::Either("a folder or a map with `dir` belongs here", vec![Form::Text, DumpMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(DumpMap::read(node)) } else { Self::Dir(String::read(node)) }
    }
}

/// A text, or a list of texts.
#[derive(Debug)]
pub(super) enum OneOrMany {
    /// The text alone.
    One(String),
    /// The list.
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::One(String::new())
    }
}

impl Part for OneOrMany {
    fn form() -> Form {
        Form::Either("a text or a list of texts belongs here", vec![Form::Text, Vec::<String>::form()])
    }

    fn read(node: &Node) -> Self {
        match &node.shape {
            Shape::List(_) => Self::Many(Vec::read(node)),
            _ => Self::One(String::read(node)),
        }
    }
}

/// A condition on a value: the value itself, or a map that says how it is compared.
#[derive(Debug)]
pub(super) enum ValueFile {
    /// Exactly this.
    Exact(String),
    /// Another comparison.
    Map(ValueMap),
}

impl Default for ValueFile {
    fn default() -> Self {
        Self::Exact(String::new())
    }
}

impl Part for ValueFile {
    fn form() -> Form {
        let wanted = "a text (numbers in quotes), or a map with `prefix`, `regex` or `present` belongs here";
        Form::Either(wanted, vec![Form::Text, ValueMap::form()])
    }

    fn read(node: &Node) -> Self {
        if node.map().is_some() { Self::Map(ValueMap::read(node)) } else { Self::Exact(String::read(node)) }
    }
}
