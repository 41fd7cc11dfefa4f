//! The built-in message filter `json`: members of JSON text messages are removed, set, and filled in from what the proxy
//! knows of the connection.
//!
//! In this order, at JSON Pointers (RFC 6901) with the wildcard segment `*`:
//!
//! - `remove`: a list of pointers; what is there goes.
//! - `set`: pointers with the values to put there.
//! - `enrich`: pointers with the facts to put there: `subject` and `roles` (an array) of the identity, `connection-id`,
//!   `attribute:NAME` (`attribute:geo/country`) as text, and `trace-id`, 32 hexadecimal digits anew for each message.
//!   What is not known is removed, so that nobody can say it of himself.
//!
//! A member that its object lacks is added, with the objects on the way to it. Nothing is put under a string, number,
//! `true`, `false` or `null`, nor beyond an array's end (`-` adds an element): there the message stays as it is.
//!
//! - `onInvalid` (default `pass`): text that is no JSON passes; `close` ends both legs with 1007.
//! - `direction`: `both` (default), `to-backend` or `to-client`. `maxBytes` (default 65536) and `oversize` (default
//!   `close`; `drop`, `pass`): what becomes of longer messages. Binary messages pass unseen.
//!
//! A message in which nothing changes passes as it came. In others the blanks between JSON tokens go; everything else
//! stays as it was written, numbers with all their digits.
//!
//! ```yaml
//! plugins:
//!   stamp:
//!     component: builtin:json
//!     grants: { random: true }
//!     config:
//!       direction: to-backend
//!       remove: [/debug, /items/*/internal]
//!       set: { /via: cordboard }
//!       enrich: { /meta/user: subject, /meta/country: "attribute:geo/country", /meta/trace: trace-id }
//! ```

mod config;

use std::cell::OnceCell;

use config::{Config, Fact};
use cordboard_plugin_sdk::{
    Action, Connection, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export,
    filter::Fallback,
    json::{self, Value},
    random,
};

/// The policy with its configuration.
#[derive(Debug)]
pub struct Json {
    config: Config,
}

impl Plugin for Json {
    const NAME: &'static str = "json";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for Json {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        self.config.size.want(interest, self.config.directions, MessageKind::Text);
    }

    fn on_message(&self, message: &impl Message, connection: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let Some(text) = message.text() else { return vec![Action::Forward] };
        match (json::parse(&text), self.config.on_invalid) {
            (Ok(mut value), _) => {
                let changed = self.edit(&mut value, connection);
                vec![if changed { Action::emit_text(value.to_string()) } else { Action::Forward }]
            }
            (Err(_), Fallback::Pass) => vec![Action::Forward],
            (Err(error), Fallback::Close) => vec![Action::close(1007, format!("the message is no JSON: {error}"))],
        }
    }
}

impl Json {
    /// Carries the configuration out, and says whether anything changed.
    fn edit(&self, value: &mut Value<'_>, connection: &impl Connection) -> bool {
        let mut changed = false;
        for pointer in &self.config.remove {
            changed |= pointer.remove(value);
        }
        for (pointer, new) in &self.config.set {
            changed |= pointer.set(value, new);
        }
        // One for all places in a message.
        let trace_id = OnceCell::new();
        for (pointer, fact) in &self.config.enrich {
            changed |= match fact.of(connection, &trace_id) {
                Some(known) => pointer.set(value, &known),
                None => pointer.remove(value),
            };
        }
        changed
    }
}

impl Fact {
    /// What the proxy knows; none where it knows nothing.
    fn of(&self, connection: &impl Connection, trace_id: &OnceCell<Value<'static>>) -> Option<Value<'static>> {
        match self {
            Self::Subject => Some(Value::string(&connection.identity()?.subject?)),
            Self::Roles => {
                Some(Value::Array(connection.identity()?.roles.iter().map(|role| Value::string(role)).collect()))
            }
            Self::ConnectionId => Some(Value::string(&connection.id())),
            Self::Attribute(name) => Some(Value::string(&connection.attribute(name)?)),
            Self::TraceId => Some(trace_id.get_or_init(new_trace_id).clone()),
        }
    }
}

/// As long as a trace id of W3C Trace Context.
fn new_trace_id() -> Value<'static> {
    let mut id = [0; 16];
    random::fill(&mut id);
    Value::string(&format!("{:032x}", u128::from_be_bytes(id)))
}

export!(Json: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
