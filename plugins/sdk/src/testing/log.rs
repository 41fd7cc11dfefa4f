//! What a test's policy wrote to the log.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use crate::log::Level;

/// Longest message, and most fields, that the host takes of one line.
const MESSAGE_BYTES: usize = 4096;
const FIELDS: usize = 32;

/// One line of the log. It equals its text: the level, the message, and the fields as `name="value"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// Cut at 4096 bytes, as by the host.
    pub message: String,
    /// The first 32, as by the host.
    pub fields: Vec<(String, String)>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        write!(f, "{level} {}", self.message)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value:?}"))
    }
}

impl PartialEq<&str> for Line {
    fn eq(&self, text: &&str) -> bool {
        let shown = self.to_string();
        shown == *text
    }
}

thread_local! {
    static LINES: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
    static LEAST: Cell<Level> = const { Cell::new(Level::Trace) };
}

/// What this thread wrote to the log since it was last asked, in order.
///
/// ```
/// use cordboard_plugin_sdk::{log, testing};
///
/// # fn costly() -> u32 { panic!() }
/// log::info!("joined {}", 7);
/// log::write(log::Level::Warn, "slow", &[("took", "9 s")]);
/// assert_eq!(testing::take_log(), ["info joined 7", "warn slow took=\"9 s\""]);
///
/// testing::set_log_level(log::Level::Warn);
/// log::debug!("{}", costly()); // not called: nobody would see it
/// assert_eq!(testing::take_log(), [""; 0]);
/// ```
#[must_use]
pub fn take_log() -> Vec<Line> {
    LINES.take()
}

/// The least level that is seen in this thread; at first all are.
pub fn set_log_level(least: Level) {
    LEAST.set(least);
}

pub(crate) fn is_logged(level: Level) -> bool {
    level as u8 >= LEAST.get() as u8
}

pub(crate) fn record_line(level: Level, message: &str, fields: &[(&str, &str)]) {
    if !is_logged(level) {
        return;
    }
    let message = message[..message.floor_char_boundary(MESSAGE_BYTES)].to_owned();
    let fields = fields.iter().take(FIELDS).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let line = Line { level, message, fields: fields.collect() };
    // Shown beside a test that fails.
    eprintln!("{line}");
    LINES.with_borrow_mut(|lines| lines.push(line));
}
