//! `pathPrefixService` in its four forms, and the longest match.
//!
//! The forms: a map from prefix to service id; a map from prefix to `{serviceId, protocol?, envTag?}` (both may be
//! mixed); a string that holds such a map as JSON; the string `/a=service-1 & /b=service-2`. Prefixes are compared as
//! percent-decoded segments, so `/a`, `a` and `/a/` are the same one, and `/` stands for every path.

use cordboard_plugin_sdk::{
    config::{Object, Read as _, Value},
    id, path, query,
};

use crate::config::{Protocol, env_tag};

/// What a prefix stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) id: String,
    /// None takes the default.
    pub(crate) protocol: Option<Protocol>,
    /// None takes the default; empty selects untagged endpoints whatever the default is.
    pub(crate) env_tag: Option<String>,
}

/// All prefixes, the longest first; no two are equal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefixes(Vec<Prefix>);

#[derive(Debug, PartialEq, Eq)]
struct Prefix {
    segments: Vec<String>,
    service: Service,
}

impl Prefixes {
    /// Reads any of the four forms; null is none at all.
    ///
    /// # Errors
    /// Names the entry and what is wrong with it.
    pub(crate) fn parse(value: Value) -> Result<Self, String> {
        let entries = match value.as_string() {
            Some(text) if text.trim_start().starts_with('{') => text.parse::<Object>()?,
            Some(text) => pairs(&text)?,
            None if value == Value::NULL => return Ok(Self::default()),
            None if matches!(value, Value::Object(_)) => Object::read(value)?,
            None => {
                return Err(format!("{value} is neither a map nor a string such as \"/a=service-1 & /b=service-2\""));
            }
        };
        let mut prefixes: Vec<(String, Prefix)> = Vec::new();
        for (name, value) in entries {
            let prefix = Prefix::parse(&name, value).map_err(|error| format!("entry {name:?}: {error}"))?;
            if let Some((other, _)) = prefixes.iter().find(|(_, known)| known.segments == prefix.segments) {
                return Err(format!(
                    "entry {name:?}: the path is that of entry {other:?}; each path may stand there once"
                ));
            }
            prefixes.push((name, prefix));
        }
        prefixes.sort_by(|(_, a), (_, b)| {
            b.segments.len().cmp(&a.segments.len()).then_with(|| a.segments.cmp(&b.segments))
        });
        Ok(Self(prefixes.into_iter().map(|(_, prefix)| prefix).collect()))
    }

    /// The service of the longest prefix of the path. The path is only asked for where there are prefixes.
    pub(crate) fn longest(&self, path: impl FnOnce() -> String) -> Option<&Service> {
        if self.0.is_empty() {
            return None;
        }
        let path = path();
        let path: Vec<_> = path::segments(&path).collect();
        let begins = |prefix: &&Prefix| {
            path.len() >= prefix.segments.len() && prefix.segments.iter().zip(&path).all(|(one, other)| one == other)
        };
        self.0.iter().find(begins).map(|prefix| &prefix.service)
    }
}

/// `/a=service-1 & /b=service-2`. Blank text has no entries.
fn pairs(text: &str) -> Result<Object, String> {
    if text.trim().is_empty() {
        return Ok(Object::default());
    }
    let entry = |pair: &str| match pair.split_once('=') {
        Some((prefix, service)) => Ok((prefix.trim().to_owned(), Value::string(service.trim()))),
        None => Err(format!("entry {:?}: no \"=\"; write /prefix=service, with \" & \" between entries", pair.trim())),
    };
    text.split('&').map(entry).collect()
}

impl Prefix {
    fn parse(name: &str, value: Value) -> Result<Self, String> {
        let segments = segments(name)?;
        let mut service = match value.as_string() {
            Some(id) => Service { id: id.into_owned(), protocol: None, env_tag: None },
            None if matches!(value, Value::Object(_)) => Service::parse(Object::read(value)?)?,
            None => {
                return Err(format!("{value} is neither a service id nor {{serviceId, protocol?, envTag?}}"));
            }
        };
        service.id = service.id.trim().to_owned();
        id::check(&service.id).map_err(|error| format!("the service id {error}"))?;
        Ok(Self { segments, service })
    }
}

impl Service {
    fn parse(mut keys: Object) -> Result<Self, String> {
        let id = keys.take("serviceId", String::new())?;
        let protocol = match keys.take("protocol", None::<String>)?.filter(|name| !name.trim().is_empty()) {
            None => None,
            Some(name) => Some(
                Protocol::parse(name.trim())
                    .ok_or_else(|| format!("protocol: {name:?} is none of {}", Protocol::NAMES))?,
            ),
        };
        let tag = keys.take("envTag", None::<String>)?.map(|tag| env_tag(&tag)).transpose();
        let env_tag = tag.map_err(|error| format!("envTag: {error}"))?;
        keys.finish()?;
        Ok(Self { id, protocol, env_tag })
    }
}

fn segments(prefix: &str) -> Result<Vec<String>, String> {
    if prefix.is_empty() {
        return Err("the prefix is empty; write \"/\" for every path".to_owned());
    }
    if prefix.contains(['?', '#']) {
        return Err("a prefix is a path without a query".to_owned());
    }
    let inner = prefix.strip_prefix('/').unwrap_or(prefix);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Result<Vec<String>, _> = inner.split('/').map(query::decode).collect();
    let segments = segments.map_err(|error| format!("the prefix {error}"))?;
    if segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
        return Err("the prefix has an empty or a dot segment".to_owned());
    }
    Ok(segments)
}
