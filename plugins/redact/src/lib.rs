//! The built-in message filter `redact`: what must not go on is replaced in text messages.
//!
//! - `pointers`: values of JSON messages, whatever they are, at JSON Pointers (RFC 6901) with the wildcard segment `*`.
//! - `patterns`: matches of regular expressions. In a JSON message each string, each number and each member's name is
//!   searched for itself, unescaped, so that the message stays JSON; any other text is searched as a whole. A number with
//!   a match becomes a string. Matches of nothing do not count.
//! - `replacement` (default `[redacted]`) stands in for each of them, as it is: `$1` means nothing.
//! - `onInvalid` (default `pass`): text that is no JSON passes, with its matches replaced; `close` ends both legs with
//!   1007.
//! - `direction`: `both` (default), `to-backend` or `to-client`. `maxBytes` (default 65536) and `oversize` (default
//!   `close`; `drop`, `pass`): what becomes of longer messages. Binary messages pass unseen.
//!
//! A message in which nothing was replaced passes as it came. In others the blanks between JSON tokens go; everything
//! else stays as it was written.
//!
//! Patterns have the syntax of the crate `regex-lite`, and take time linear in the text: no look-around, no
//! back-references; `\d`, `\w`, `\s` and `\b` are ASCII.
//!
//! ```yaml
//! plugins:
//!   redact:
//!     component: builtin:redact
//!     config:
//!       direction: to-client
//!       pointers: [/user/password, /cards/*/number]
//!       patterns: ['\b\d{13,16}\b', '[\w.+-]+@[\w-]+\.[\w.]+']
//! ```

mod config;

use std::borrow::Cow;

use config::Config;
use cordboard_plugin_sdk::{
    Action, Connection, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export,
    filter::Fallback,
    json::{self, Value},
};

/// The policy with its configuration.
#[derive(Debug)]
pub struct Redact {
    config: Config,
}

impl Plugin for Redact {
    const NAME: &'static str = "redact";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for Redact {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        self.config.size.want(interest, self.config.directions, MessageKind::Text);
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let Some(text) = message.text() else { return vec![Action::Forward] };
        let redacted = match (json::parse(&text), self.config.on_invalid) {
            (Ok(value), _) => self.redact_json(value),
            (Err(_), Fallback::Pass) => self.matches_replaced(&text),
            (Err(error), Fallback::Close) => {
                return vec![Action::close(1007, format!("the message is no JSON: {error}"))];
            }
        };
        vec![redacted.map_or(Action::Forward, Action::emit_text)]
    }
}

impl Redact {
    /// The message without what must go; none where nothing must.
    fn redact_json(&self, mut value: Value<'_>) -> Option<String> {
        let mut changed = false;
        for pointer in &self.config.pointers {
            pointer.each(&mut value, |found| {
                *found = Value::string(&self.config.replacement);
                changed = true;
            });
        }
        if !self.config.patterns.is_empty() {
            changed |= self.search(&mut value);
        }
        changed.then(|| value.to_string())
    }

    /// Replaces matches in all strings, numbers and names, and says whether there were any.
    fn search(&self, value: &mut Value<'_>) -> bool {
        let mut changed = false;
        match value {
            Value::Scalar(raw) => {
                if matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9')) {
                    changed = self.search_raw(raw);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    changed |= self.search(element);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    changed |= self.search_raw(name);
                    changed |= self.search(member);
                }
            }
        }
        changed
    }

    /// Of a string or number as it is written in JSON.
    fn search_raw(&self, raw: &mut Cow<'_, str>) -> bool {
        let replaced = self.matches_replaced(&json::unquote(raw));
        let changed = replaced.is_some();
        if let Some(text) = replaced {
            *raw = Cow::Owned(json::quote(&text));
        }
        changed
    }

    /// The text with the replacement for each match; none where there is no match.
    fn matches_replaced(&self, text: &str) -> Option<String> {
        let mut current = Cow::Borrowed(text);
        for pattern in &self.config.patterns {
            let mut replaced = String::new();
            let mut end = 0;
            for found in pattern.find_iter(&current).filter(|found| !found.is_empty()) {
                replaced.push_str(&current[end..found.start()]);
                replaced.push_str(&self.config.replacement);
                end = found.end();
            }
            if end > 0 {
                replaced.push_str(&current[end..]);
                current = Cow::Owned(replaced);
            }
        }
        match current {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        }
    }
}

export!(Redact: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
