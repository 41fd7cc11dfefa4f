//! `services`: what the ids that resolvers name stand for.

use std::{collections::HashMap, net::Ipv6Addr, time::Duration};

use serde_json::json;

use super::{
    Balance, Endpoint, Service, Transport,
    check::{Check, Range},
    diagnose::quoted,
    file::{EndpointFile, EndpointMap, PoolFile, ServiceFile},
    part::Field,
    tree::At,
};
use crate::model::{MAX_ID_BYTES, PoolRules, ServiceId};

/// Longest DNS name (RFC 1035 §2.3.4), in bytes.
const MAX_HOST_BYTES: usize = 253;
/// Most connections kept for an endpoint.
const MAX_POOL: usize = 10_000;

/// One service; none if it cannot be used, which is reported.
pub(super) fn service(check: &mut Check, at: &At<'_>, id: &str, file: ServiceFile) -> Option<Service> {
    let id = ServiceId::new(id).map_err(|why| check.misplaced(at, format!("this is no service id: {why}"), None)).ok();
    let list_at = at.key("endpoints");
    let files = file.endpoints.unwrap_or_default();
    if files.is_empty() {
        let hint = "endpoints: [ \"ws://127.0.0.1:9001\" ]".to_owned();
        check.misplaced(&list_at, "at least one endpoint is needed", Some(hint));
    }
    let mut endpoints = Vec::with_capacity(files.len());
    let mut lines = HashMap::new();
    for (index, file) in files.into_iter().enumerate() {
        let at = list_at.index(index);
        let Some(endpoint) = endpoint(check, &at, file) else {
            continue;
        };
        let line = at.value().line;
        match lines.insert(endpoint.clone(), line) {
            None => endpoints.push(endpoint),
            Some(first) => {
                let shown = Check::shown(&at, &endpoint.authority);
                check.wrong(&at, format!("{shown} stands twice; first in line {first}"), None);
            }
        }
    }
    let later = ["least_connections", "ip_hash", "consistent_hash", "random"];
    let known = [("round_robin", Balance::RoundRobin)];
    let balance = check.choice(&at.key("balance"), &file.balance, Balance::default(), &known, &later);
    let range = Range { min: Duration::from_millis(10), max: Duration::from_mins(5), zero: None };
    let timeout_at = at.key("connect_timeout");
    let connect_timeout = check.duration(&timeout_at, &file.connect_timeout, Service::CONNECT_TIMEOUT, &range);
    let pool = pool(check, &at.key("pool"), &file.pool.unwrap_or_default());
    Some(Service { id: id?, endpoints, balance, connect_timeout, pool })
}

fn pool(check: &mut Check, at: &At<'_>, file: &PoolFile) -> PoolRules {
    let default = PoolRules::default();
    let kept = Range { min: Duration::from_millis(10), max: Duration::from_hours(1), zero: None };
    PoolRules {
        idle: check.count(&at.key("idle"), &file.idle, default.idle, &(0..=MAX_POOL)),
        idle_timeout: check.duration(&at.key("idle_timeout"), &file.idle_timeout, default.idle_timeout, &kept),
    }
}

fn endpoint(check: &mut Check, at: &At<'_>, file: EndpointFile) -> Option<Endpoint> {
    match file {
        EndpointFile::Url(text) => url(check, at, &text),
        EndpointFile::Map(EndpointMap { url: field, weight, env_tag }) => {
            check.later(&at.key("weight"), &weight, &json!(1));
            let tag_at = at.key("env_tag");
            let env_tag = match &env_tag {
                // Null is how a template says "none".
                Field::Absent | Field::Null => None,
                Field::Set(tag) => {
                    if tag.is_empty() || tag.len() > MAX_ID_BYTES || tag.chars().any(char::is_control) {
                        let rule = format!("1 to {MAX_ID_BYTES} bytes without control characters");
                        let hint = "leave the key out for an endpoint without a tag".to_owned();
                        check.wrong(&tag_at, format!("{} is not a tag: {rule}", quoted(tag)), Some(hint));
                    }
                    Some(tag.as_str().into())
                }
            };
            let url_at = at.key("url");
            let text = check.required(&url_at, &field, "a URL such as `ws://127.0.0.1:9001`")?;
            url(check, &url_at, text).map(|endpoint| Endpoint { env_tag, ..endpoint })
        }
    }
}

/// `ws://host:port` or `http://host:port`; the port may be left out and is 80 then (RFC 6455 §3).
fn url(check: &mut Check, at: &At<'_>, text: &str) -> Option<Endpoint> {
    let refuse = |check: &mut Check, why: &str, hint: Option<&str>| {
        check.wrong(at, format!("{} {why}", quoted(text)), hint.map(str::to_owned));
        None
    };
    let hint = Some("write `ws://host:port` or `http://host:port`");
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse(check, "is not a URL", hint);
    };
    match scheme {
        "ws" | "http" => {}
        "wss" | "https" => return refuse(check, "needs TLS to the service, which is not in this version", hint),
        _ => return refuse(check, "has a scheme that is not known here", hint),
    }
    if rest.trim_end_matches('/').contains(['/', '?', '#']) {
        let hint = Some("the path of the request is used; leave path and query out");
        return refuse(check, "has a path, which is not in this version", hint);
    }
    if rest.contains('@') {
        return refuse(check, "holds a user name, which is never sent", hint);
    }
    let Some((host, port)) = host_and_port(rest.trim_end_matches('/')) else {
        return refuse(check, "has no valid host", hint);
    };
    match port.map(|port| port.parse().ok().filter(|number| *number != 0 && !port.starts_with('+'))) {
        Some(None) => refuse(check, "has no valid port: 1 to 65535", hint),
        port => {
            let port = port.flatten().unwrap_or(80);
            Some(Endpoint::new(Transport::Plain, host, port))
        }
    }
}

/// Takes `host[:port]` apart; none if the host is neither an IP address nor a DNS name.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (!host.is_empty() && host.len() <= MAX_HOST_BYTES && host.bytes().all(letter)).then_some((host, port))
}
