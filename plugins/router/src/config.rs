//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::config::{Object, Value};

use crate::prefixes::Prefixes;

/// A checked configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Default true.
    pub(crate) enabled: bool,
    /// Default `http`.
    pub(crate) default_protocol: Protocol,
    /// Empty (the default) selects untagged endpoints.
    pub(crate) default_env_tag: String,
    /// Whether the query's `protocol` counts. Default no.
    pub(crate) override_protocol: bool,
    /// Whether the query's `env_tag` counts. Default no.
    pub(crate) override_env_tag: bool,
    /// Default none.
    pub(crate) prefixes: Prefixes,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key, or the entry of `pathPrefixService`, and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let enabled = keys.take("enabled", true)?;
        let protocol = keys.take("defaultProtocol", "http".to_owned())?;
        let default_protocol = Protocol::parse(&protocol)
            .ok_or_else(|| format!("defaultProtocol: {protocol:?} is none of {}", Protocol::NAMES))?;
        let default_env_tag =
            env_tag(&keys.take("defaultEnvTag", String::new())?).map_err(|error| format!("defaultEnvTag: {error}"))?;
        let overrides: Vec<String> = keys.take("allowOverrides", Vec::new())?;
        let prefixes = Prefixes::parse(keys.take("pathPrefixService", Value::NULL)?)
            .map_err(|error| format!("pathPrefixService: {error}"))?;
        keys.finish()?;
        if let Some(other) = overrides.iter().find(|name| !matches!(name.as_str(), "protocol" | "envTag")) {
            return Err(format!(
                "allowOverrides: {other:?} cannot be overridden; only \"protocol\" and \"envTag\" can"
            ));
        }
        let allows = |name: &str| overrides.iter().any(|listed| listed == name);
        let (override_protocol, override_env_tag) = (allows("protocol"), allows("envTag"));
        Ok(Self { enabled, default_protocol, default_env_tag, override_protocol, override_env_tag, prefixes })
    }
}

/// An environment tag of the configuration, without the blanks around it; empty is allowed.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn env_tag(text: &str) -> Result<String, String> {
    let tag = text.trim();
    if tag.is_empty() {
        return Ok(String::new());
    }
    cordboard_plugin_sdk::id::check(tag).map(|()| tag.to_owned()).map_err(|error| format!("the tag {error}"))
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    Ws,
    Wss,
}

impl Protocol {
    /// All names, for messages.
    pub(crate) const NAMES: &'static str = "http, https, ws, wss";

    /// By its name; case does not matter (RFC 3986 §3.1).
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Http, Self::Https, Self::Ws, Self::Wss];
        all.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// The name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}
