//! The built-in message filter `deny-list`: text messages that match a rule do not go on.
//!
//! `rules`, of which the first that matches decides; a message that none matches passes as it came. A rule has
//!
//! - an `id`, for the log;
//! - one of `literal` (the text holds it), `regex` (it has a match) and `longerThan` (so many bytes; less than
//!   `maxBytes`);
//! - an `action`: `close` (default: both legs, with 1008), `drop`, or `reply` (the text `reply` goes back to the sender,
//!   and the message nowhere).
//!
//! Texts are searched as they came and, where they hold a backslash, once more with JSON's escapes resolved, so that
//! `"\u003cscript"` is no way around `<script`.
//!
//! `direction`: `both` (default), `to-backend` or `to-client`. `maxBytes` (default 65536) and `oversize` (default
//! `close`; `drop`, `pass`): what becomes of longer messages. `binary`: `pass` (default: binary messages pass unseen) or `search`
//! (they are searched as if they were text, with U+FFFD for what is not UTF-8): for services that take either opcode.
//!
//! Every hit is logged at level `warn` with the rule, the direction and the size, never with the text. Neither the close
//! reason nor anything else tells the sender which rule it was.
//!
//! Expressions have the syntax of the crate `regex-lite`, and take time linear in the text: no look-around, no
//! back-references; `\d`, `\w`, `\s`, `\b` and `(?i)` are ASCII. Each rule is one pass over the text.
//!
//! ```yaml
//! plugins:
//!   deny-list:
//!     component: builtin:deny-list
//!     config:
//!       direction: to-backend
//!       rules:
//!         - { id: script, regex: '(?i)<script[\s>]' }
//!         - { id: legacy-command, literal: '"op":"eval"', action: reply, reply: '{"error":"eval is gone"}' }
//!         - { id: too-chatty, longerThan: 8000, action: drop }
//! ```

mod config;

use config::{Answer, Config, Rule, Sign};
use cordboard_plugin_sdk::{
    Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export, json, log,
};

/// The policy with its configuration.
#[derive(Debug)]
pub struct DenyList {
    config: Config,
}

impl Plugin for DenyList {
    const NAME: &'static str = "deny-list";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for DenyList {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        self.config.size.want(interest, self.config.directions, MessageKind::Text);
        if self.config.binary {
            self.config.size.want(interest, self.config.directions, MessageKind::Binary);
        }
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let text = match message.kind() {
            MessageKind::Text => message.text().unwrap_or_default(),
            MessageKind::Binary if !self.config.binary => return vec![Action::Forward],
            MessageKind::Binary => String::from_utf8(message.bytes())
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        };
        let Some(rule) = self.first_match(&text) else { return vec![Action::Forward] };
        report(rule, message.direction(), text.len());
        match &rule.answer {
            Answer::Close => vec![Action::close(1008, "the message is refused")],
            Answer::Drop => Vec::new(),
            Answer::Reply(reply) => vec![Action::reply_text(reply)],
        }
    }
}

impl DenyList {
    fn first_match(&self, text: &str) -> Option<&Rule> {
        let resolved = text.contains('\\').then(|| json::unquote(text));
        let found = |rule: &&Rule| rule.sign.is_in(text) || resolved.as_ref().is_some_and(|text| rule.sign.is_in(text));
        self.config.rules.iter().find(found)
    }
}

impl Sign {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => text.contains(literal),
            Self::Regex(regex) => regex.is_match(text),
            Self::LongerThan(bytes) => text.len() > *bytes as usize,
        }
    }
}

fn report(rule: &Rule, direction: Direction, size: usize) {
    if log::enabled(log::Level::Warn) {
        let direction = match direction {
            Direction::ToBackend => "to-backend",
            Direction::ToClient => "to-client",
        };
        let fields = [("rule", rule.id.as_str()), ("direction", direction), ("bytes", &size.to_string())];
        log::write(log::Level::Warn, "a message matches a rule of the deny list", &fields);
    }
}

export!(DenyList: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
