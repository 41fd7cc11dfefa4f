//! The format of the configuration file: the only place that knows it.
//!
//! Every section is a struct that refuses keys it does not know. Scalars are kept as the text that stands in the file,
//! so that the checks can report everything that is wrong with them at once and in the file's own words; what a text
//! means is decided in `validate`. A key that a later version will give a meaning is a [`Later`]: known, so that it is
//! not called a typing error, but refused unless it holds its off value.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::{Map, Value};

/// A key of the file with its value.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there and its value is null or blank.
    Null,
    /// The key has a value.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Set))
    }
}

/// A scalar, as the text that stands in the file.
pub(super) type Text = Field<String>;

/// A key that this version knows of and does not implement; none when it is absent.
#[derive(Debug, Default)]
pub(super) struct Later(pub(super) Option<Value>);

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// Declares the sections; a section that is absent or blank has every key absent.
macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(super) struct $name { $($(#[$meta])* pub(super) $field: $type,)+ }
    )+};
}

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
    }

    /// `reload`.
    ReloadFile {
        watch: Text,
        quiet: Text,
        generations: Text,
        oldest: Later,
        sessions: Later,
        history: Text,
    }

    /// One of `plugins`.
    PluginFile {
        component: Text,
        sha256: Text,
        config: Option<Map<String, Value>>,
        grants: Later,
        limits: Option<PluginLimitsFile>,
        on_failure: Text,
    }

    /// `limits` of a plugin.
    PluginLimitsFile {
        decision: Text,
        message: Later,
        init: Text,
        host: Later,
        memory: Text,
        instances: Text,
        queue: Text,
        reuse: Text,
        actions: Later,
        output: Later,
        host_copy: Text,
        handles: Text,
        attachment: Later,
    }

    /// One of `routes`.
    RouteFile {
        name: Text,
        #[serde(rename = "match")]
        matching: Option<MatchFile>,
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

// By hand because an untagged enum would lose the position and the words of an error inside the map.
impl<'de> Deserialize<'de> for EndpointFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EndpointVisitor;

        impl<'de> Visitor<'de> for EndpointVisitor {
            type Value = EndpointFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL or a map with `url` and `env_tag`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(EndpointFile::Url(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                EndpointMap::deserialize(MapAccessDeserializer::new(map)).map(EndpointFile::Map)
            }
        }

        deserializer.deserialize_any(EndpointVisitor)
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

// By hand for the same reason.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(ListVisitor)
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

// By hand for the same reason.
impl<'de> Deserialize<'de> for ValueFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ValueFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text (numbers in quotes), or a map with `prefix`, `regex` or `present`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ValueFile::Exact(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ValueMap::deserialize(MapAccessDeserializer::new(map)).map(ValueFile::Map)
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}
