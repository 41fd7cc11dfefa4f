//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    Direction,
    config::{Object, Value as Configured},
    filter::{self, Fallback, Size},
    json::{self, Pointer, Value},
};

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) directions: &'static [Direction],
    pub(crate) remove: Vec<Pointer>,
    pub(crate) set: Vec<(Pointer, Value<'static>)>,
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
        // Once more, with all digits of the numbers to set.
        let exact = json::parse(text).map_err(|error| error.to_string())?;
        let written = |pointer: &str, _: &Configured| {
            let written = exact.members("set").last().and_then(|set| set.members(pointer).last());
            written.cloned().map(Value::into_owned).ok_or_else(|| "it has no value".to_owned())
        };
        let set = each(set, &written).map_err(|error| format!("set: {error}"))?;
        let enrich = each(enrich, &|_, value| Fact::read(value)).map_err(|error| format!("enrich: {error}"))?;
        if remove.is_empty() && set.is_empty() && enrich.is_empty() {
            return Err("neither remove nor set nor enrich: there is nothing to do".to_owned());
        }
        Ok(Self { directions, remove, set, enrich, on_invalid, size })
    }
}

const WHOLE: &str = "the empty pointer is the whole message; a pointer to a member begins with \"/\"";

/// Reads pointers and what belongs to them.
fn each<T>(object: Object, read: &dyn Fn(&str, &Configured) -> Result<T, String>) -> Result<Vec<(Pointer, T)>, String> {
    let read = |(pointer, value): (String, Configured)| {
        if pointer.is_empty() {
            return Err(WHOLE.to_owned());
        }
        let read = read(&pointer, &value).map_err(|error| format!("{pointer}: {error}"))?;
        Ok((Pointer::parse(&pointer)?, read))
    };
    object.into_iter().map(read).collect()
}

impl Fact {
    fn read(value: &Configured) -> Result<Self, String> {
        let name = value.as_str().unwrap_or_default();
        match (name, name.strip_prefix("attribute:")) {
            ("subject", _) => Ok(Self::Subject),
            ("roles", _) => Ok(Self::Roles),
            ("connection-id", _) => Ok(Self::ConnectionId),
            ("trace-id", _) => Ok(Self::TraceId),
            (_, Some(attribute)) if !attribute.is_empty() => Ok(Self::Attribute(attribute.to_owned())),
            _ => Err(format!("{value} is none of subject, roles, connection-id, trace-id, attribute:NAME")),
        }
    }
}
