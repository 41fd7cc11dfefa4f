//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{config::Object, query};

/// A checked configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Default true.
    pub(crate) enabled: bool,
    /// Segments, never none. Default `/connect`.
    pub(crate) backend_path: Vec<String>,
    /// In order of precedence. Default `x-group-id`, `channel-group-id`.
    pub(crate) channel_headers: Vec<String>,
    /// In order of precedence. Default `channelId`.
    pub(crate) channel_query: Vec<String>,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let config = Self {
            enabled: keys.take("enabled", true)?,
            backend_path: backend_path(&keys.take("backendPath", "/connect".to_owned())?)?,
            channel_headers: keys.take("channelHeaders", owned(&["x-group-id", "channel-group-id"]))?,
            channel_query: keys.take("channelQuery", owned(&["channelId"]))?,
        };
        keys.finish()?;
        if let Some(name) = config.channel_headers.iter().find(|name| !is_token(name)) {
            return Err(format!("channelHeaders: {name:?} is not a header name, such as \"x-group-id\""));
        }
        if config.channel_query.iter().any(String::is_empty) {
            return Err("channelQuery: an empty name; write a parameter's name, such as \"channelId\"".to_owned());
        }
        Ok(config)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// `/a/b` as segments, percent-decoded as those of requests are.
fn backend_path(path: &str) -> Result<Vec<String>, String> {
    let refuse =
        |why: &str| format!("backendPath: {path:?} {why}; write one or more path segments, such as \"/connect\"");
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() {
        return Err(refuse("names no segment, so that every request would be a backend's"));
    }
    if inner.contains(['?', '#']) {
        return Err(refuse("is more than a path (the query never counts)"));
    }
    let segments: Result<Vec<String>, _> = inner.split('/').map(query::decode).collect();
    let segments = segments.map_err(|error| refuse(&error.to_string()))?;
    if segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
        return Err(refuse("has an empty or a dot segment"));
    }
    Ok(segments)
}

/// A header name is a token (RFC 9110 §5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
