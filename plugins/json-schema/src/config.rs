//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    config::{Object, Value},
    filter::Size,
    json,
};

use crate::schema::Schema;

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) to_backend: Option<Schema>,
    pub(crate) to_client: Option<Schema>,
    pub(crate) on_violation: OnViolation,
    pub(crate) close_invalid: bool,
    pub(crate) close_binary: bool,
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
        let to_backend = keys.take("toBackend", Value::Null)?;
        let to_client = keys.take("toClient", Value::Null)?;
        let on_violation =
            keys.choose("onViolation", &[("close", OnViolation::Close), ("reply", OnViolation::Reply)])?;
        let close_invalid = keys.choose("onInvalid", &[("close", true), ("pass", false)])?;
        let close_binary = keys.choose("onBinary", &[("close", true), ("pass", false)])?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        let to_backend = schema(&to_backend).map_err(|error| format!("toBackend{error}"))?;
        let to_client = schema(&to_client).map_err(|error| format!("toClient{error}"))?;
        if to_backend.is_none() && to_client.is_none() {
            return Err("toBackend, toClient: neither has a schema, so nothing would be checked".to_owned());
        }
        Ok(Self { to_backend, to_client, on_violation, close_invalid, close_binary, size })
    }
}

/// # Errors
/// Begins with the place in the schema.
fn schema(value: &Value) -> Result<Option<Schema>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let text = value.to_string();
    let value = json::parse(&text).map_err(|error| format!(": {error}"))?;
    Schema::compile(&value).map(Some)
}
