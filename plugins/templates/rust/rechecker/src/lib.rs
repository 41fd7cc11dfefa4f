//! Ends sessions after a time, so that who it is is asked again.
//!
//! | key | default | is |
//! |---|---|---|
//! | `longest` | 3600 | seconds that a session may last |
//! | `exempt` | `[]` | subjects whose sessions last as long as they like |
//!
//! How often it is asked about a session says the proxy: `plugins.NAME.recheck`.

use std::time::Duration;

use cordboard_plugin_sdk::{
    CloseFrame, Connection, Plugin, SessionAuthorization, clock, config::Object, export,
};

struct Policy {
    longest: Duration,
    exempt: Vec<String>,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let policy = Self {
            longest: Duration::from_secs(keys.whole("longest", 0..=604_800, 3600)?),
            exempt: keys.texts("exempt", &[])?,
        };
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(policy)
    }
}

impl SessionAuthorization for Policy {
    fn recheck(&self, connection: &impl Connection) -> Result<(), CloseFrame> {
        let subject = connection.identity().and_then(|identity| identity.subject);
        if subject.is_some_and(|subject| self.exempt.contains(&subject)) {
            return Ok(());
        }
        let opened = Duration::from_millis(connection.opened_at_ms());
        if clock::now().saturating_sub(opened) < self.longest {
            return Ok(());
        }
        // The Close that the session gets. 4401 asks a client to sign in and dial again.
        Err(CloseFrame::new(4401, "sign in again"))
    }
}

export!(Policy: SessionAuthorization);

#[cfg(test)]
mod tests;
