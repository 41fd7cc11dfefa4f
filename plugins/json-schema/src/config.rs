//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    config::{Object, Value},
    filter::{Fallback, Size},
};

use crate::schema::Schema;

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) to_backend: Option<Schema>,
    pub(crate) to_client: Option<Schema>,
    pub(crate) on_violation: OnViolation,
    pub(crate) on_invalid: Fallback,
    pub(crate) on_binary: Fallback,
    pub(crate) size: Size,
}

/// What becomes of a message that breaks its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnViolation {
    Close,
    Reply,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let to_backend: Option<Value> = keys.take("toBackend", None)?;
        let to_client: Option<Value> = keys.take("toClient", None)?;
        let on_violation =
            keys.choose("onViolation", &[("close", OnViolation::Close), ("reply", OnViolation::Reply)])?;
        let on_invalid = Fallback::take(&mut keys, "onInvalid", Fallback::Close)?;
        let on_binary = Fallback::take(&mut keys, "onBinary", Fallback::Close)?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        let schema = |name: &str, value: Option<Value>| {
            let schema = value.map(|value| Schema::compile(&value)).transpose();
            schema.map_err(|error| format!("{name}{error}"))
        };
        let (to_backend, to_client) = (schema("toBackend", to_backend)?, schema("toClient", to_client)?);
        if to_backend.is_none() && to_client.is_none() {
            return Err("toBackend, toClient: neither has a schema, so nothing would be checked".to_owned());
        }
        Ok(Self { to_backend, to_client, on_violation, on_invalid, on_binary, size })
    }
}
