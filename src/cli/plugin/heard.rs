//! What a plugin logs, and what the host says of it, while it is tried: kept instead of written.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// Where plugins' own lines come from.
const PLUGIN: &str = "cordboard::plugin";

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    /// Whether it is the plugin's own.
    pub(super) own: bool,
    pub(super) text: String,
    /// Whether it tells that a call failed.
    pub(super) failure: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level.as_str().to_ascii_lowercase(), self.text)
    }
}

/// The lines so far.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<Line>>>);

impl Heard {
    /// Keeps what is logged from now on, in all of the process; a command has one level, and may listen again.
    pub(super) fn listen(level: Level) -> Self {
        static HEARD: OnceLock<Heard> = OnceLock::new();
        let heard = HEARD.get_or_init(|| {
            let heard = Self::default();
            let listening = heard.clone().with_filter(LevelFilter::from_level(level));
            tracing_subscriber::registry().with(listening).init();
            heard
        });
        heard.clone()
    }

    /// What was logged since the last time.
    pub(super) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with("cordboard") {
            return;
        }
        let mut read = Read::default();
        event.record(&mut read);
        if !read.fields.is_empty() {
            let _ = write!(read.message, " {}", read.fields);
        }
        let line = Line {
            level: *metadata.level(),
            own: metadata.target() == PLUGIN,
            text: read.message,
            failure: read.failure,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

#[derive(Default)]
struct Read {
    message: String,
    /// Of a plugin's own line.
    fields: String,
    failure: bool,
}

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "fields" => value.clone_into(&mut self.fields),
            "failure" => self.failure = true,
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "failure" => self.failure = true,
            _ => {}
        }
    }
}
