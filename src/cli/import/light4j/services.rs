//! `pathPrefixService` in its four forms, and the endpoints of the services that it names.
//!
//! light-4j logs a bad entry and goes on without it; so it is here, with the entry in the report.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::{
    document::{Node, Place, Value},
    report::Report,
    settings::{Kind, Settings},
};
use crate::{
    config::{Problem, diagnose::quoted},
    model::ServiceId,
};

/// An entry of `pathPrefixService`.
#[derive(Debug)]
pub(super) struct Prefix {
    pub(super) path: String,
    pub(super) service: String,
    pub(super) protocol: Option<String>,
    pub(super) env_tag: Option<String>,
    pub(super) place: Place,
}

/// An endpoint of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) env_tag: Option<String>,
}

/// By service id, each with where it comes from.
pub(super) type Services = BTreeMap<String, Vec<(Endpoint, Place)>>;

/// Reads any of the four forms.
pub(super) fn prefixes(node: &Node, report: &mut Report) -> Result<Vec<Prefix>, Box<Problem>> {
    let mut found: Vec<(Vec<String>, Prefix)> = Vec::new();
    for (name, value, place) in pairs(node, " & ")? {
        let read = segments(&name).and_then(|segments| entry(&name, &value, &place).map(|entry| (segments, entry)));
        match read {
            Err(why) => report.lost(&place, format!("entry {} of pathPrefixService: {why}", quoted(&name))),
            Ok((segments, _)) if found.iter().any(|(known, _)| *known == segments) => {
                report.lost(&place, format!("entry {} of pathPrefixService: its path is there already", quoted(&name)));
            }
            Ok(new) => found.push(new),
        }
    }
    Ok(found.into_iter().map(|(_, prefix)| prefix).collect())
}

/// A map, the same as JSON text, or `a=b & c=d`.
fn pairs(node: &Node, separator: &str) -> Result<Vec<(String, Json, Place)>, Box<Problem>> {
    let place = || node.place.clone();
    match &node.value {
        Value::Null => Ok(Vec::new()),
        Value::Map(entries) => {
            Ok(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node), entry.place.clone())).collect())
        }
        Value::List(_) => Err(node
            .place
            .problem_with("a list stands here", &format!("a map, or text such as /a=one{separator}/b=two"))),
        Value::Scalar(text) if text.trim().is_empty() => Ok(Vec::new()),
        Value::Scalar(text) if text.trim_start().starts_with('{') => match serde_json::from_str::<Json>(text) {
            Ok(Json::Object(map)) => Ok(map.into_iter().map(|(key, value)| (key, value, place())).collect()),
            Ok(_) => Err(node.place.problem("the JSON text is not a map")),
            Err(error) => Err(node.place.problem(format!("the JSON text cannot be read: {error}"))),
        },
        Value::Scalar(text) => {
            let pair = |pair: &str| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key.trim().to_owned(), Json::String(value.trim().to_owned()), place())
            };
            Ok(text.split(separator.trim()).map(pair).collect())
        }
    }
}

/// What is in a node; lists and deeper maps are of no use here.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null | Value::List(_) => Json::Null,
        Value::Scalar(text) => Json::String(text.clone()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
        }
    }
}

fn entry(prefix: &str, value: &Json, place: &Place) -> Result<Prefix, String> {
    let (service, protocol, env_tag) = match value {
        Json::String(service) => (service.as_str(), None, None),
        Json::Object(map) => {
            if let Some(other) = map.keys().find(|key| !matches!(key.as_str(), "serviceId" | "protocol" | "envTag")) {
                return Err(format!("{} has no counterpart", quoted(other)));
            }
            let text = |key| match map.get(key) {
                None | Some(Json::Null) => Ok(None),
                Some(Json::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
                Some(_) => Err(format!("{key} is no text")),
            };
            (text("serviceId")?.unwrap_or_default(), text("protocol")?, text("envTag")?)
        }
        _ => return Err("it names no service".to_owned()),
    };
    let service = id(service, "the service id")?;
    let protocol = protocol.map(protocol_name).transpose()?;
    let env_tag = env_tag.map(|tag| id(tag, "the tag")).transpose()?;
    Ok(Prefix { path: prefix.to_owned(), service, protocol, env_tag, place: place.clone() })
}

/// One of the four, in lower case.
pub(super) fn protocol_name(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let known = matches!(name.as_str(), "http" | "https" | "ws" | "wss");
    if known { Ok(name) } else { Err(format!("the protocol {} is none of http, https, ws, wss", quoted(text))) }
}

/// An id by the rules here, and without what a configuration cannot hold.
pub(super) fn id(text: &str, what: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    ServiceId::new(text).map_err(|why| format!("{what} {}: {why}", quoted(text)))?;
    if text.contains("${") { Err(format!("{what} {} holds `${{`", quoted(text))) } else { Ok(text.to_owned()) }
}

/// The decoded segments by which two prefixes are the same.
fn segments(prefix: &str) -> Result<Vec<String>, String> {
    if prefix.is_empty() || prefix.contains(['?', '#']) || prefix.contains("${") {
        return Err("it is no path".to_owned());
    }
    let inner = prefix.strip_prefix('/').unwrap_or(prefix);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let decode = |segment| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned);
    let segments: Result<Vec<_>, _> = inner.split('/').map(decode).collect();
    match segments {
        Ok(segments) if !segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) => Ok(segments),
        _ => Err("it has a segment that no path can have".to_owned()),
    }
}

/// `directUrls`: endpoints by `service` or `service|tag`.
pub(super) fn direct(settings: &Settings, report: &mut Report) -> Result<Services, Box<Problem>> {
    let mut services = Services::new();
    let Some(urls) = settings.get(Kind::Registry, "directUrls")? else { return Ok(services) };
    for (name, value, place) in pairs(&urls.node, "&")? {
        let entry = || format!("entry {} of directUrls", quoted(&name));
        let (service, tag) = name.split_once('|').map_or((name.as_str(), None), |(id, tag)| (id, Some(tag)));
        let read = id(service, "the service id").and_then(|service| {
            let tag = tag.filter(|tag| !tag.trim().is_empty()).map(|tag| id(tag, "the tag")).transpose()?;
            let Json::String(list) = &value else { return Err("it holds no URLs".to_owned()) };
            Ok((service, tag, list))
        });
        let (service, tag, list) = match read {
            Ok(read) => read,
            Err(why) => {
                report.lost(&place, format!("{}: {why}", entry()));
                continue;
            }
        };
        let endpoints = services.entry(service).or_default();
        for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            match url(text) {
                Ok(url) => {
                    let endpoint = Endpoint { url, env_tag: tag.clone() };
                    if !endpoints.iter().any(|(known, _)| *known == endpoint) {
                        endpoints.push((endpoint, place.clone()));
                    }
                }
                Err(why) => report.lost(&place, format!("{}: {} {why}", entry(), quoted(text))),
            }
        }
    }
    Ok(services)
}

/// A URL that an endpoint can have.
fn url(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("is no URL")?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "ws" | "http" => {}
        "wss" | "https" => return Err("needs TLS to the service, which is not in this version"),
        _ => return Err("has a scheme that is not known here"),
    }
    let authority = rest.trim_end_matches('/');
    if authority.contains(['/', '?', '#']) {
        return Err("has a path; write a `rewrite` for it");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has no valid host")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "has no valid host")?;
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    if host.is_empty() || host.len() > 253 || !(authority.starts_with('[') || host.bytes().all(good)) {
        return Err("has no valid host");
    }
    let number = port.strip_prefix(':').map(|port| port.parse::<u16>().ok().filter(|number| *number != 0));
    if !port.is_empty() && number.flatten().is_none() || port.contains('+') {
        return Err("has no valid port");
    }
    Ok(format!("{scheme}://{authority}"))
}
