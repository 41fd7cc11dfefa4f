//! The log of a guest; its latest error is kept for what a failure says.

use tracing::Level;

use super::State;
use crate::policy::{deadline::REASON_BYTES, output, v0_1::log};

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        if matches!(level, log::Level::Error) {
            self.last_words = Some(output::one_line(&message, REASON_BYTES).into_owned());
        }
        let conn = self.scene.conn().map(|conn| conn.to_string()).unwrap_or_default();
        output::say(&self.plugin, &conn, level.into(), &message, &fields);
        Ok(())
    }

    fn enabled(&mut self, level: log::Level) -> wasmtime::Result<bool> {
        Ok(output::enabled(level.into()))
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Trace => Self::TRACE,
            log::Level::Debug => Self::DEBUG,
            log::Level::Info => Self::INFO,
            log::Level::Warn => Self::WARN,
            log::Level::Error => Self::ERROR,
        }
    }
}
