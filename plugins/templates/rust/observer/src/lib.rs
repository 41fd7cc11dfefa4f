//! A line in the log for each session that ends: how long it was, whose, and why it ended.
//!
//! | key | default | is |
//! |---|---|---|
//! | `broken` | false | only of sessions that broke, without a Close |

use cordboard_plugin_sdk::{Connection, Event, Lifecycle, Plugin, config::Object, export, log};

/// What stands in for a Close where there was none (RFC 6455 §7.1.5).
const NO_CLOSE: &str = "1006";

struct Policy {
    broken_only: bool,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let broken_only = keys.flag("broken", false)?;
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(Self { broken_only })
    }
}

impl Lifecycle for Policy {
    // Told beside the data path: nothing waits for this, and nothing can be decided here.
    fn on_event(&self, connection: &impl Connection, event: &Event) {
        // Names and attributes are open sets: what is not known is ignored.
        if event.name != "closed" {
            return;
        }
        let said = |name| event.attribute(name).unwrap_or("?");
        let is_broken = said("code") == NO_CLOSE;
        if self.broken_only && !is_broken {
            return;
        }
        let seconds = event.at_ms.saturating_sub(connection.opened_at_ms()) / 1000;
        let subject = connection.identity().and_then(|identity| identity.subject);
        let fields = [
            ("seconds", &*seconds.to_string()),
            ("subject", subject.as_deref().unwrap_or("?")),
            ("by", said("by")),
            ("code", said("code")),
        ];
        let (level, message) = if is_broken {
            (log::Level::Warn, "a session broke")
        } else {
            (log::Level::Info, "a session ended")
        };
        log::write(level, message, &fields);
    }
}

export!(Policy: Lifecycle);

#[cfg(test)]
mod tests;
