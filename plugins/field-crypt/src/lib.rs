//! The built-in message filter `field-crypt`: values of JSON text messages, encrypted on one side of the proxy and
//! readable on the other.
//!
//! - `pointers`: which values, at JSON Pointers (RFC 6901) with the wildcard segment `*`. A value may be anything, an
//!   object too, and comes back exactly as it was written.
//! - `toBackend` (default `encrypt`) and `toClient` (default `decrypt`): what is done on the way, or `pass`.
//! - `keys`: each with an `id` (letters, digits, `-` and `_`) and a `key` (32 bytes in base64). The first encrypts, all
//!   decrypt: to rotate, put a new one in front, and take the old one out when nothing is encrypted with it any more.
//! - `onFailure` (default `close`): an encrypted value that cannot be decrypted, because its key is not listed or it was
//!   tampered with, ends both legs with 1008; with `pass` it stays as it is.
//! - `onInvalid` (default `close`): text that is no JSON ends both legs with 1007; with `pass` it passes, encrypted in
//!   no part.
//! - `maxBytes` (default 65536) and `oversize` (default `close`; `drop`, `pass`): what becomes of longer messages. Binary
//!   messages pass unseen.
//!
//! An encrypted value is the string `cb1.ID.DATA`: the key's id, and in base64 (RFC 4648 §5, without padding) a nonce of
//! 12 bytes, the value's text encrypted with AES-256-GCM, and its tag of 16 bytes. `cb1.ID` is authenticated with it.
//! What does not look like that is not encrypted, and passes decryption as it is. Nothing binds a value to its place:
//! whoever can change messages can move it to another one.
//!
//! An encrypted value is longer by a third and some 50 bytes: a message of many short ones may outgrow the plugin's
//! `limits.output`. Nonces are random. With more than 2³² values under one key they could repeat (NIST SP 800-38D §8.3): rotate before.
//! A message in which nothing changed passes as it came; in others the blanks between JSON tokens go.
//!
//! ```yaml
//! plugins:
//!   field-crypt:
//!     component: builtin:field-crypt
//!     grants: { random: true }
//!     config:
//!       pointers: [/card/number, /patients/*/notes]
//!       keys:
//!         - { id: k2, key: "${FIELD_KEY_2}" }   # head -c 32 /dev/urandom | base64
//!         - { id: k1, key: "${FIELD_KEY_1}" }
//! ```

mod cipher;
mod config;

use cipher::{Keys, Nonces, Opened};
use config::{Config, Way};
use cordboard_plugin_sdk::{
    Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export,
    filter::Fallback,
    json::{self, Value},
    log,
};

/// The policy with its configuration.
pub struct FieldCrypt {
    config: Config,
}

impl Plugin for FieldCrypt {
    const NAME: &'static str = "field-crypt";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for FieldCrypt {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        for direction in Direction::ALL.into_iter().filter(|direction| self.way(*direction) != Way::Pass) {
            self.config.size.want(interest, &[direction], MessageKind::Text);
        }
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let Some(text) = message.text() else { return vec![Action::Forward] };
        let mut value = match (json::parse(&text), self.config.on_invalid) {
            (Ok(value), _) => value,
            (Err(_), Fallback::Pass) => return vec![Action::Forward],
            (Err(error), Fallback::Close) => {
                return vec![Action::close(1007, format!("the message is no JSON: {error}"))];
            }
        };
        let done = match self.way(message.direction()) {
            Way::Encrypt => self.encrypt(&mut value),
            Way::Decrypt => self.decrypt(&mut value),
            Way::Pass => Done::default(),
        };
        if done.failed && self.config.on_failure == Fallback::Close {
            return vec![Action::close(1008, "an encrypted value cannot be decrypted")];
        }
        vec![if done.changed { Action::emit_text(value.to_string()) } else { Action::Forward }]
    }
}

/// What became of a message's values.
#[derive(Default)]
struct Done {
    changed: bool,
    failed: bool,
}

impl FieldCrypt {
    const fn way(&self, direction: Direction) -> Way {
        match direction {
            Direction::ToBackend => self.config.to_backend,
            Direction::ToClient => self.config.to_client,
        }
    }

    fn encrypt(&self, value: &mut Value<'_>) -> Done {
        let mut done = Done::default();
        let mut nonces = Nonces::default();
        for pointer in &self.config.pointers {
            pointer.each(value, |found| match self.config.keys.seal(&found.to_string(), &mut nonces) {
                Some(sealed) => {
                    *found = Value::string(&sealed);
                    done.changed = true;
                }
                None => done.failed = true,
            });
        }
        done
    }

    fn decrypt(&self, value: &mut Value<'_>) -> Done {
        let mut done = Done::default();
        // Backwards, for a value at two pointers was encrypted twice.
        for pointer in self.config.pointers.iter().rev() {
            pointer.each(value, |found| match opened(&self.config.keys, found) {
                Opened::Value(opened) => {
                    *found = opened;
                    done.changed = true;
                }
                Opened::NotSealed => {}
                Opened::Failed(why) => {
                    log::warn!("a value cannot be decrypted: {why}");
                    done.failed = true;
                }
            });
        }
        done
    }
}

fn opened(keys: &Keys, value: &Value<'_>) -> Opened<Value<'static>> {
    let Some(text) = value.as_string() else { return Opened::NotSealed };
    match keys.open(&text) {
        Opened::NotSealed => Opened::NotSealed,
        Opened::Failed(why) => Opened::Failed(why),
        Opened::Value(text) => match json::parse(&text) {
            Ok(value) => Opened::Value(value.into_owned()),
            Err(_) => Opened::Failed("what was encrypted is no JSON"),
        },
    }
}

export!(FieldCrypt: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
