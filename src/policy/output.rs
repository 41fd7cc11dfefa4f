//! What a guest writes: log events and whatever it prints, bounded in number and length and unable to look like
//! anything but one line of this plugin.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::component::Tag;

/// Longest log message, and longest text of all its fields, taken from a guest, in bytes; the rest is cut.
const LOG_BYTES: usize = 4096;
/// Most fields of one log event; the rest is dropped.
const LOG_FIELDS: usize = 32;
/// Log lines that one plugin version may write in a second; the rest is counted and dropped.
const LOG_LINES_PER_SECOND: u32 = 200;

/// At most so many bytes of a guest's text: for what is quoted and escaped by whoever formats it.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Guest's text as at most `most` bytes of one line, before escapes: a control character would let it forge lines, or
/// speak to the terminal that shows them.
pub(super) fn one_line(text: &str, most: usize) -> Cow<'_, str> {
    let text = cut(text, most);
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if breaks(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

/// Whether anybody would see an event of this level.
pub(super) fn enabled(level: Level) -> bool {
    level <= tracing::level_filters::LevelFilter::current()
}

/// A guest's log event.
pub(super) fn say(plugin: &Tag, conn: &str, level: Level, message: &str, fields: &[(String, String)]) {
    // What nobody sees takes nothing of the budget.
    if !enabled(level) {
        return;
    }
    match plugin.log_budget.take(Instant::now()) {
        Place::Free { dropped } => {
            if dropped > 0 {
                tracing::warn!(
                    plugin = %plugin.name,
                    version = %plugin.identity,
                    dropped,
                    "log lines of a plugin were dropped"
                );
            }
            emit(plugin, conn, level, &one_line(message, LOG_BYTES), &render(fields));
        }
        Place::FirstTooMany => tracing::warn!(
            plugin = %plugin.name,
            version = %plugin.identity,
            "a plugin writes more than {LOG_LINES_PER_SECOND} log lines a second; those above are dropped"
        ),
        Place::TooMany => {}
    }
}

fn render(fields: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, value) in fields.iter().take(LOG_FIELDS) {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}={:?}", cut(name, LOG_BYTES), cut(value, LOG_BYTES));
        if text.len() > LOG_BYTES {
            text.truncate(text.floor_char_boundary(LOG_BYTES));
            break;
        }
    }
    text
}

/// The level of a tracing event is part of its static description, hence one event a level. `conn` and `fields` are
/// quoted by whoever formats them.
fn emit(plugin: &Tag, conn: &str, level: Level, message: &str, fields: &str) {
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(target: "cordboard::plugin", Level::$level, plugin = %plugin.name, version = %plugin.identity, conn, fields, "{message}")
        };
    }
    match level {
        Level::TRACE => at!(TRACE),
        Level::DEBUG => at!(DEBUG),
        Level::INFO => at!(INFO),
        Level::WARN => at!(WARN),
        Level::ERROR => at!(ERROR),
    }
}

/// Log lines a plugin version may still write this second.
pub(super) struct LogBudget(Mutex<(Option<Instant>, u32)>);

/// What the budget says of one more line.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It may be written; so many were dropped in the window before.
    Free {
        dropped: u32,
    },
    /// It is the first of this window that is dropped.
    FirstTooMany,
    TooMany,
}

impl LogBudget {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    fn take(&self, now: Instant) -> Place {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = 0;
        if window.0.is_none_or(|start| now.duration_since(start).as_secs() >= 1) {
            dropped = window.1.saturating_sub(LOG_LINES_PER_SECOND);
            *window = (Some(now), 0);
        }
        window.1 = window.1.saturating_add(1);
        match window.1 {
            ..=LOG_LINES_PER_SECOND => Place::Free { dropped },
            first if first == LOG_LINES_PER_SECOND + 1 => Place::FirstTooMany,
            _ => Place::TooMany,
        }
    }
}

/// Standard output or error of a guest: into its log, at `info`, line by line however it is written.
#[derive(Clone)]
pub(super) struct GuestOutput {
    plugin: Arc<Tag>,
    printed: Arc<Printed>,
}

/// What a guest has printed on one of them.
#[derive(Default)]
struct Printed {
    /// Nothing else needs to be looked at without it.
    any: AtomicBool,
    text: Mutex<Text>,
}

#[derive(Default)]
struct Text {
    /// A line that has not ended.
    begun: Vec<u8>,
    /// The lines of this call, the latest [`LOG_BYTES`] of them.
    lines: String,
}

impl GuestOutput {
    pub(super) fn of(plugin: &Arc<Tag>) -> Self {
        Self { plugin: Arc::clone(plugin), printed: Arc::default() }
    }

    fn text(&self) -> MutexGuard<'_, Text> {
        self.printed.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, bytes: &[u8]) {
        self.printed.any.store(true, Ordering::Relaxed);
        let mut text = self.text();
        for byte in bytes {
            if *byte == b'\n' || text.begun.len() >= LOG_BYTES {
                self.end_line(&mut text);
            }
            if *byte != b'\n' {
                text.begun.push(*byte);
            }
        }
    }

    fn end_line(&self, text: &mut Text) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut text.begun)).trim_end().to_owned();
        if line.trim().is_empty() {
            return;
        }
        say(&self.plugin, "", Level::INFO, &line, &[]);
        if !text.lines.is_empty() {
            text.lines.push_str(" / ");
        }
        text.lines.push_str(line.trim());
        let over = text.lines.len().saturating_sub(LOG_BYTES);
        text.lines.drain(..text.lines.ceil_char_boundary(over));
    }

    /// The call is over, or failed: what it printed, with the line that it did not end.
    pub(super) fn take(&self) -> Option<String> {
        // Nearly all calls print nothing.
        if !self.printed.any.load(Ordering::Relaxed) {
            return None;
        }
        self.printed.any.store(false, Ordering::Relaxed);
        let mut text = self.text();
        self.end_line(&mut text);
        Some(std::mem::take(&mut text.lines)).filter(|lines| !lines.is_empty())
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_plugin_writes_so_many_log_lines_a_second_and_no_more() {
        let budget = LogBudget::new();
        let start = Instant::now();
        for _ in 0..LOG_LINES_PER_SECOND {
            assert_eq!(budget.take(start), Place::Free { dropped: 0 });
        }
        assert_eq!(budget.take(start), Place::FirstTooMany);
        assert_eq!(budget.take(start), Place::TooMany);
        let later = start + Duration::from_secs(1);
        assert_eq!(budget.take(later), Place::Free { dropped: 2 });
        assert_eq!(budget.take(later), Place::Free { dropped: 0 });
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = "é".repeat(LOG_BYTES);
        assert_eq!(one_line(&text, LOG_BYTES).len(), LOG_BYTES);
        assert_eq!(one_line(&format!("a{text}"), LOG_BYTES).len(), LOG_BYTES - 1);
        assert_eq!(render(&[("a".into(), "b c".into()), ("d".into(), String::new())]), "a=\"b c\" d=\"\"");
        let fields = vec![("name".to_owned(), text); LOG_FIELDS];
        assert!(render(&fields).len() <= LOG_BYTES);
    }

    #[test]
    fn what_would_end_a_line_or_reach_the_terminal_is_escaped() {
        assert_eq!(one_line("a\r\nb\u{1b}[2J\u{2028}é", 100), "a\\r\\nb\\u{1b}[2J\\u{2028}é");
        assert!(matches!(one_line("nothing to do", 100), Cow::Borrowed(_)));
    }
}
