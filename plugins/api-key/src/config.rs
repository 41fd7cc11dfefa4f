//! The configuration's keys, their defaults and what is refused.

use std::time::Duration;

use cordboard_plugin_sdk::{
    config::Object,
    id::{self, InvalidId},
};

use crate::time;

/// A checked configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Empty: none.
    pub(crate) header: String,
    /// Empty: none.
    pub(crate) query: String,
    pub(crate) refuse_missing: bool,
    pub(crate) realm: String,
    pub(crate) keys: Vec<Key>,
}

/// A key that is good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) sha256: [u8; 32],
    pub(crate) subject: String,
    pub(crate) roles: Vec<String>,
    /// Since the Unix epoch.
    pub(crate) expires: Option<Duration>,
}

impl Key {
    pub(crate) fn has_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let header = keys.take("header", "x-api-key".to_owned())?;
        let query: String = keys.take("query", String::new())?;
        let refuse_missing = keys.choose("missing", &[("refuse", true), ("no-opinion", false)])?;
        let realm = keys.take("realm", "api-key".to_owned())?;
        let listed: Vec<Object> = keys.take("keys", Vec::new())?;
        keys.finish()?;
        if header.is_empty() && query.is_empty() {
            return Err("header, query: both are empty; the key must come from one of them".to_owned());
        }
        if let Some(other) = header.chars().find(|char| !char.is_ascii_alphanumeric() && *char != '-' && *char != '_') {
            return Err(format!("header: {header:?} is no header field's name: it holds {other:?}"));
        }
        if realm.is_empty() || !realm.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_') {
            return Err(format!("realm: {realm:?} is not made of letters, digits, \"-\" and \"_\""));
        }
        let mut good: Vec<Key> = Vec::with_capacity(listed.len());
        for (index, object) in listed.into_iter().enumerate() {
            let key = Key::read(object).map_err(|error| format!("keys[{index}]: {error}"))?;
            if let Some(before) = good.iter().position(|other| other.id == key.id || other.sha256 == key.sha256) {
                return Err(format!("keys[{index}]: keys[{before}] has the same id or sha256"));
            }
            good.push(key);
        }
        Ok(Self { header, query, refuse_missing, realm, keys: good })
    }
}

impl Key {
    fn read(mut keys: Object) -> Result<Self, String> {
        let id = keys.take("id", String::new())?;
        let sha256: String = keys.take("sha256", String::new())?;
        let subject: Option<String> = keys.take("subject", None)?;
        let roles = keys.take("roles", Vec::new())?;
        let expires: Option<String> = keys.take("expires", None)?;
        keys.finish()?;
        let named = |key: &str, error: InvalidId| format!("{key} {error}");
        id::check(&id).map_err(|error| named("id", error))?;
        let sha256 = digest(&sha256).ok_or("sha256: it is not 64 hexadecimal digits")?;
        let expires = match expires {
            None => None,
            Some(text) => Some(time::parse(&text).ok_or_else(|| {
                format!("expires: {text:?} is no time such as 2027-06-30T12:00:00Z or 2027-06-30T14:00:00+02:00")
            })?),
        };
        let subject = subject.unwrap_or_else(|| id.clone());
        if subject.is_empty() {
            return Err("subject is empty".to_owned());
        }
        Ok(Self { id, sha256, subject, roles, expires })
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let digits = hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<Vec<u32>>>()?;
    if digits.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or_default());
    }
    Some(digest)
}
