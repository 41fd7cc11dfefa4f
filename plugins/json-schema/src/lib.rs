//! The built-in message filter `json-schema`: JSON messages that break their schema go no further.
//!
//! - `toBackend`, `toClient`: the JSON Schema of the text messages in that direction. One without a schema is not looked
//!   at.
//! - `onViolation` (default `close`): a message that breaks its schema ends both legs with 1008; with `reply` it is
//!   dropped, and its sender gets `{"error":"schema-violation","at":"/user/age","message":"…"}`.
//! - `onInvalid` (default `close`): text that is no JSON ends both legs with 1007; with `pass` it passes.
//! - `onBinary` (default `close`): a binary message, which no schema can judge, ends both legs with 1003; with `pass` it
//!   passes unseen.
//! - `maxBytes` (default 65536) and `oversize` (default `close`; `drop`, `pass`): what becomes of longer messages.
//!
//! Messages that pass are passed as they came. What is told of a violation shows names and the schema's own values, never
//! the message's.
//!
//! # Which schemas
//!
//! Draft 2020-12, all keywords that assert, but for `unevaluatedItems`, `unevaluatedProperties` and the references that
//! are not `#` and a JSON Pointer (`$ref: "#/$defs/user"`). A schema with one of these is refused, as is one of another
//! draft: nothing is left unchecked in silence. `format` and `content…` are annotations, as the draft has it.
//!
//! Numbers are compared exactly, whatever their size. Where a name stands twice in an object, both values must fit,
//! because readers differ in which one counts. Patterns have the syntax of the crate `regex-lite` and take linear time;
//! it has no look-around, and its `\d` and `\w` are ASCII, as ECMA-262 has them.
//!
//! ```yaml
//! plugins:
//!   json-schema:
//!     component: builtin:json-schema
//!     config:
//!       onViolation: reply
//!       toBackend:
//!         type: object
//!         required: [op]
//!         properties: { op: { enum: [join, say] }, text: { type: string, maxLength: 1000 } }
//!         additionalProperties: false
//! ```

mod check;
mod compile;
mod config;
mod number;
mod schema;

use config::{Config, OnViolation};
use cordboard_plugin_sdk::{
    Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export,
    filter::Fallback, json,
};
use schema::Schema;

/// The policy with its configuration.
#[derive(Debug)]
pub struct JsonSchema {
    config: Config,
}

impl Plugin for JsonSchema {
    const NAME: &'static str = "json-schema";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for JsonSchema {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        for direction in Direction::ALL.into_iter().filter(|direction| self.schema(*direction).is_some()) {
            self.config.size.want(interest, &[direction], MessageKind::Text);
            if self.config.on_binary == Fallback::Close {
                self.config.size.want(interest, &[direction], MessageKind::Binary);
            }
        }
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let Some(schema) = self.schema(message.direction()) else { return vec![Action::Forward] };
        if message.kind() == MessageKind::Binary {
            let close = || Action::close(1003, "only JSON text is accepted");
            return vec![if self.config.on_binary == Fallback::Close { close() } else { Action::Forward }];
        }
        let text = message.text().unwrap_or_default();
        let value = match json::parse(&text) {
            Ok(value) => value,
            Err(error) if self.config.on_invalid == Fallback::Close => {
                return vec![Action::close(1007, format!("the message is no JSON: {error}"))];
            }
            Err(_) => return vec![Action::Forward],
        };
        let Err(violation) = schema.check(&value) else { return vec![Action::Forward] };
        vec![match self.config.on_violation {
            OnViolation::Close => Action::close(1008, violation.to_string()),
            OnViolation::Reply => Action::reply_text(format!(
                r#"{{"error":"schema-violation","at":{},"message":{}}}"#,
                json::quote(&violation.at),
                json::quote(&violation.why)
            )),
        }]
    }
}

impl JsonSchema {
    const fn schema(&self, direction: Direction) -> Option<&Schema> {
        match direction {
            Direction::ToBackend => self.config.to_backend.as_ref(),
            Direction::ToClient => self.config.to_client.as_ref(),
        }
    }
}

export!(JsonSchema: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
