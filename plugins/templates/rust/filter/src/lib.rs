//! Masks words in messages, and ends sessions that do it too often.
//!
//! | key | default | is |
//! |---|---|---|
//! | `words` | `[secret]` | what is masked; upper and lower case are told apart |
//! | `most` | 3 | masked messages of a session; one more ends it |

use cordboard_plugin_sdk::{
    Action, Connection, Direction, FilterMigration, Interest, Message, MessageFiltering,
    MessageKind, OversizePolicy, Plugin, Request, config::Object, export, log,
};

struct Policy {
    words: Vec<String>,
    most: u64,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let policy = Self {
            words: keys.texts("words", &["secret"])?,
            most: keys.whole("most", 0..=1_000_000, 3)?,
        };
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(policy)
    }
}

impl MessageFiltering for Policy {
    // What is not asked for passes untouched and costs nothing. With `Pass` so do longer messages;
    // `OversizePolicy::Close` would end their session instead.
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        for direction in Direction::ALL {
            interest.messages(direction, MessageKind::Text, 65_536, OversizePolicy::Pass);
        }
    }

    fn on_message(
        &self,
        message: &impl Message,
        connection: &impl Connection,
        _: &impl Interest,
    ) -> Vec<Action> {
        let text = message.text().unwrap_or_default();
        if !self.words.iter().any(|word| text.contains(word)) {
            return vec![Action::Forward]; // not a copy: the host has the message still
        }
        let masked_ones = count(connection) + 1;
        if masked_ones > self.most {
            return vec![Action::close(1008, "too many masked messages")];
        }
        // Any instance may see the next message: what must last is kept with the connection.
        if let Err(why) = connection.set_attachment(masked_ones.to_string().as_bytes()) {
            log::warn!("the count was not kept: {why}");
        }
        let mask = |text: String, word: &String| text.replace(word, "***");
        vec![Action::emit_text(self.words.iter().fold(text, mask))]
    }
}

impl FilterMigration for Policy {
    // Whether this version takes over a session that another one began (`reload.sessions: migrate`)
    // with what that one kept of it. An error leaves the session where it is.
    fn migrate(&self, connection: &impl Connection, from_version: &str) -> Result<(), String> {
        if connection.attachment().iter().all(u8::is_ascii_digit) {
            Ok(())
        } else {
            Err(format!("{from_version} kept something else than a count"))
        }
    }
}

/// How many messages were masked: the attachment, as decimal text. At first it is empty.
fn count(connection: &impl Connection) -> u64 {
    String::from_utf8(connection.attachment())
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

export!(Policy: MessageFiltering, FilterMigration);

#[cfg(test)]
mod tests;
