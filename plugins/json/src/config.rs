//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    Direction,
    config::{Object, Read, Value},
    filter::{self, Fallback, Size},
    json::Pointer,
};

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) directions: &'static [Direction],
    pub(crate) remove: Vec<Pointer>,
    pub(crate) set: Vec<(Pointer, Value)>,
    pub(crate) enrich: Vec<(Pointer, Fact)>,
    pub(crate) on_invalid: Fallback,
    pub(crate) size: Size,
}

/// Something that the proxy knows of a connection or a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Subject,
    Roles,
    ConnectionId,
    Attribute(String),
    TraceId,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let directions = filter::directions(&mut keys)?;
        let remove: Vec<Pointer> = keys.take("remove", Vec::new())?;
        let set: Object = keys.take("set", Object::default())?;
        let enrich: Object = keys.take("enrich", Object::default())?;
        let on_invalid = Fallback::take(&mut keys, "onInvalid", Fallback::Pass)?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        if remove.iter().any(Pointer::is_root) {
            return Err(format!("remove: {WHOLE}"));
        }
        let set = each(set).map_err(|error| format!("set: {error}"))?;
        let enrich = each(enrich).map_err(|error| format!("enrich: {error}"))?;
        if remove.is_empty() && set.is_empty() && enrich.is_empty() {
            return Err("neither remove nor set nor enrich: there is nothing to do".to_owned());
        }
        Ok(Self { directions, remove, set, enrich, on_invalid, size })
    }
}

const WHOLE: &str = "the empty pointer is the whole message; a pointer to a member begins with \"/\"";

/// Reads pointers and what belongs to them.
fn each<T: Read>(object: Object) -> Result<Vec<(Pointer, T)>, String> {
    let read = |(pointer, value): (String, Value)| {
        if pointer.is_empty() {
            return Err(WHOLE.to_owned());
        }
        let read = T::read(value).map_err(|error| format!("{pointer}: {error}"))?;
        Ok((Pointer::parse(&pointer)?, read))
    };
    object.into_iter().map(read).collect()
}

impl Read for Fact {
    fn read(value: Value) -> Result<Self, String> {
        let text = value.as_string().unwrap_or_default();
        match (text.as_ref(), text.strip_prefix("attribute:")) {
            ("subject", _) => Ok(Self::Subject),
            ("roles", _) => Ok(Self::Roles),
            ("connection-id", _) => Ok(Self::ConnectionId),
            ("trace-id", _) => Ok(Self::TraceId),
            (_, Some(attribute)) if !attribute.is_empty() => Ok(Self::Attribute(attribute.to_owned())),
            _ => Err(format!("{value} is none of subject, roles, connection-id, trace-id, attribute:NAME")),
        }
    }
}
