//! `plugins.NAME.grants`: what a component may use beside what every plugin may.
//!
//! A grant bounds what it gives: entries that are left out have the defaults of [`Bucket`] and [`HttpClient`]. Nothing
//! is granted by default, and what is granted is part of a version's identity.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    check::{Check, Range},
    diagnose::quoted,
    file::{BucketFile, GrantsFile, HttpClientFile, MetricsFile},
    part::Field,
    service::host_and_port,
    tree::At,
};

/// Most buckets of one plugin.
const MAX_BUCKETS: usize = 64;
/// Most hosts of one list.
const MAX_HOSTS: usize = 256;
/// Series of metrics where `true` is all that is said.
const SERIES: usize = 100;

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Grants {
    /// `cordboard:host/random`.
    pub random: bool,
    /// `cordboard:host/metrics`: most series at once; none is not granted. Default 100, 1 to 10 000.
    pub metrics: Option<usize>,
    /// `cordboard:host/key-value`, by name of the bucket; not granted if empty.
    pub key_value: BTreeMap<Arc<str>, Bucket>,
    /// `cordboard:host/http-client`.
    pub http_client: Option<HttpClient>,
    /// `cordboard:host/discovery`.
    pub discovery: bool,
    /// `host:port` that a resolver may name as an endpoint.
    pub endpoints: Vec<Arc<str>>,
}

/// The bounds of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// All its keys and values together. Default 1MiB, 1KiB to 1GiB.
    pub max_bytes: usize,
    /// Its entries. Default 1000, 1 to 10 000 000.
    pub max_keys: usize,
    /// One value. Default 64KiB, 1B to 64MiB.
    pub max_value: usize,
    /// Longest life of an entry; zero (the default) is no bound, at most 720h.
    pub max_ttl: Duration,
    /// All plugins that share a bucket of this name share its entries.
    pub shared: bool,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_keys: 1000, max_value: 64 << 10, max_ttl: Duration::ZERO, shared: false }
    }
}

/// The bounds of requests that a plugin sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClient {
    /// Whom it may ask, as `host:port` in lower case; at least one.
    pub allow: Vec<Arc<str>>,
    /// Longest time of one request. Default 2s, 1ms to 30s.
    pub timeout: Duration,
    /// Largest body of a request. Default 64KiB, 0 to 64MiB.
    pub max_request: usize,
    /// Largest body of an answer. Default 64KiB, 0 to 64MiB.
    pub max_body: usize,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self { allow: Vec::new(), timeout: Duration::from_secs(2), max_request: 64 << 10, max_body: 64 << 10 }
    }
}

impl Grants {
    /// The keys of what is granted.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let all = [
            ("random", self.random),
            ("metrics", self.metrics.is_some()),
            ("key_value", !self.key_value.is_empty()),
            ("http_client", self.http_client.is_some()),
            ("discovery", self.discovery),
            ("endpoints", !self.endpoints.is_empty()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }

    /// The same text for the same grants; `{}` for none.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut all = serde_json::Map::new();
        let mut put = |key: &str, granted: bool, value: Value| {
            if granted {
                all.insert(key.to_owned(), value);
            }
        };
        put("random", self.random, json!(true));
        put("metrics", self.metrics.is_some(), json!(self.metrics));
        let buckets = self.key_value.iter().map(|(name, bucket)| {
            let Bucket { max_bytes, max_keys, max_value, max_ttl, shared } = bucket;
            (name.to_string(), json!([max_bytes, max_keys, max_value, milliseconds(*max_ttl), shared]))
        });
        put("key_value", !self.key_value.is_empty(), buckets.collect::<serde_json::Map<_, _>>().into());
        if let Some(HttpClient { allow, timeout, max_request, max_body }) = &self.http_client {
            put("http_client", true, json!([allow, milliseconds(*timeout), max_request, max_body]));
        }
        put("discovery", self.discovery, json!(true));
        put("endpoints", !self.endpoints.is_empty(), json!(self.endpoints));
        Value::Object(all).to_string()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn size(min: u64, max: u64) -> Range<u64> {
    Range { min, max, zero: if min == 0 { Some("none") } else { None } }
}

pub(super) fn grants(check: &mut Check, at: &At<'_>, file: GrantsFile) -> Grants {
    let metrics_at = at.key("metrics");
    let metrics = match file.metrics {
        None => None,
        Some(MetricsFile::Flag(text)) => check.flag(&metrics_at, &Field::Set(text), false).then_some(SERIES),
        Some(MetricsFile::Map(map)) => Some(check.count(&metrics_at.key("series"), &map.series, SERIES, &(1..=10_000))),
    };
    let buckets_at = at.key("key_value");
    let files = file.key_value.unwrap_or_default();
    if files.len() > MAX_BUCKETS {
        check.wrong(&buckets_at, format!("{} buckets are too many; {MAX_BUCKETS} are allowed", files.len()), None);
    }
    let buckets = files.into_iter().filter_map(|(name, file)| {
        let at = buckets_at.key(&name);
        let bucket = bucket(check, &at, &file);
        check.key_name(&at, &name).map(|name| (name, bucket))
    });
    let key_value = buckets.collect();
    let client = file.http_client.map(|file| http_client(check, &at.key("http_client"), &file));
    Grants {
        random: check.flag(&at.key("random"), &file.random, false),
        metrics,
        key_value,
        http_client: client,
        discovery: check.flag(&at.key("discovery"), &file.discovery, false),
        endpoints: hosts(check, &at.key("endpoints"), &file.endpoints.unwrap_or_default()),
    }
}

fn bucket(check: &mut Check, at: &At<'_>, file: &BucketFile) -> Bucket {
    const KIB: u64 = 1 << 10;
    let default = Bucket::default();
    let life = Range { min: Duration::from_millis(1), max: Duration::from_hours(720), zero: Some("no bound") };
    Bucket {
        max_bytes: check.memory(&at.key("max_bytes"), &file.max_bytes, default.max_bytes, &size(KIB, KIB * KIB * KIB)),
        max_keys: check.count(&at.key("max_keys"), &file.max_keys, default.max_keys, &(1..=10_000_000)),
        max_value: check.memory(&at.key("max_value"), &file.max_value, default.max_value, &size(1, 64 * KIB * KIB)),
        max_ttl: check.duration(&at.key("max_ttl"), &file.max_ttl, default.max_ttl, &life),
        shared: check.flag(&at.key("shared"), &file.shared, default.shared),
    }
}

fn http_client(check: &mut Check, at: &At<'_>, file: &HttpClientFile) -> HttpClient {
    const MOST: u64 = 64 << 20;
    let default = HttpClient::default();
    let allow_at = at.key("allow");
    let none = Vec::new();
    let named = file.allow.as_ref().unwrap_or(&none);
    if named.is_empty() {
        let hint = "allow: [ \"auth.internal:8080\" ]".to_owned();
        check.misplaced(&allow_at, "at least one `host:port` is needed", Some(hint));
    }
    let times = Range { min: Duration::from_millis(1), max: Duration::from_secs(30), zero: None };
    HttpClient {
        allow: hosts(check, &allow_at, named),
        timeout: check.duration(&at.key("timeout"), &file.timeout, default.timeout, &times),
        max_request: check.memory(&at.key("max_request"), &file.max_request, default.max_request, &size(0, MOST)),
        max_body: check.memory(&at.key("max_body"), &file.max_body, default.max_body, &size(0, MOST)),
    }
}

/// `host:port` each, in lower case.
fn hosts(check: &mut Check, at: &At<'_>, named: &[String]) -> Vec<Arc<str>> {
    if named.len() > MAX_HOSTS {
        check.wrong(at, format!("{} are too many; {MAX_HOSTS} are allowed", named.len()), None);
    }
    let hosts = named.iter().enumerate().filter_map(|(index, text)| {
        let at = at.index(index);
        let port = |port: &str| port.parse::<u16>().is_ok_and(|number| number != 0) && !port.starts_with('+');
        if host_and_port(text).is_some_and(|(_, found)| found.is_some_and(port)) {
            return Some(text.to_ascii_lowercase().into());
        }
        let hint = "a name or an address and a port: `auth.internal:8080`, `[::1]:8080`".to_owned();
        check.wrong(&at, format!("{} is not `host:port`", quoted(text)), Some(hint));
        None
    });
    hosts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_that_differ_are_told_apart_and_none_are_nothing() {
        let bucket = |max_keys| BTreeMap::from([("b".into(), Bucket { max_keys, ..Bucket::default() })]);
        let client = |timeout| Some(HttpClient { timeout: Duration::from_secs(timeout), ..HttpClient::default() });
        let all = [
            Grants::default(),
            Grants { random: true, ..Grants::default() },
            Grants { discovery: true, ..Grants::default() },
            Grants { metrics: Some(1), ..Grants::default() },
            Grants { metrics: Some(2), ..Grants::default() },
            Grants { key_value: bucket(1), ..Grants::default() },
            Grants { key_value: bucket(2), ..Grants::default() },
            Grants { http_client: client(1), ..Grants::default() },
            Grants { http_client: client(2), ..Grants::default() },
            Grants { endpoints: vec!["a:1".into()], ..Grants::default() },
        ];
        let texts: std::collections::BTreeSet<_> = all.iter().map(Grants::canonical).collect();
        assert_eq!((texts.len(), &*all[0].canonical()), (all.len(), "{}"));
    }
}
