//! The log on standard error, and how a line of it is written as text. Who says something does not wait for who reads it:
//! see [`queue`].
//!
//! `name=value` for every field. A value is bare where nothing in it could be mistaken for the end of it; any other one,
//! and an empty one, stands in quotes, with `\` before a quote, and what cannot be printed escaped. It does not matter
//! how the code hands a value over.

mod queue;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    error::Error,
    fmt::{self, Write as _},
    panic::{self, PanicHookInfo},
    thread,
    time::Duration,
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    filter::LevelFilter,
    fmt::{FormatFields, format::Writer, writer::BoxMakeWriter},
};

use self::queue::Queue;
use crate::config::{Log, LogFormat};

static QUEUE: Queue = Queue::new();

/// Longest time that the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Events, and panics, go to standard error; standard output is for what the command says.
pub fn to_stderr(log: Log) {
    let level = LevelFilter::from_level(log.level);
    // A line that cannot be written is lost; that would be said where it cannot be said either, by a panic.
    let builder =
        tracing_subscriber::fmt().with_max_level(level).log_internal_errors(false).with_writer(writer(log.queue));
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => {
            use std::io::IsTerminal as _;
            builder.fmt_fields(Text).with_ansi(std::io::stderr().is_terminal()).init();
        }
    }
    panic::set_hook(Box::new(tell_of));
}

/// What a panic says behind which the process is aborted; another one was told of before it (`core::panicking`).
const FATAL: [&str; 2] = ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// A panic is a line like any other: a session or a task that panics ends, and the others wait for nothing because of it.
fn tell_of(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    // Captured as RUST_BACKTRACE says.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        text = panic.payload_as_str(),
        at = panic.location().map(tracing::field::display),
        thread = thread.name(),
        backtrace,
        "a panic, which is a defect of the proxy's"
    );
    if thread.name() == Some("main") || panic.payload_as_str().is_some_and(|text| FATAL.contains(&text)) {
        // Behind it comes nothing but the end of the process.
        finish();
    }
}

/// Into a queue of so many bytes; where it is 0, straight out.
fn writer(queue: u64) -> BoxMakeWriter {
    let tell = |lines| {
        tracing::error!(
            lines,
            "lines of this log were lost since the start: they were not read fast enough (log.queue)"
        );
    };
    let write = move || QUEUE.serve(std::io::stderr(), tell);
    if queue == 0 || thread::Builder::new().name("log".to_owned()).spawn(write).is_err() {
        return BoxMakeWriter::new(std::io::stderr);
    }
    QUEUE.open(usize::try_from(queue).unwrap_or(usize::MAX));
    BoxMakeWriter::new(|| &QUEUE)
}

/// Whether nobody waits who says something.
#[must_use]
pub fn is_queued() -> bool {
    QUEUE.is_open()
}

/// Lines that were lost since the start.
#[must_use]
pub fn lost() -> u64 {
    QUEUE.lost()
}

/// Waits until the last lines are written, for two seconds at most.
pub fn finish() {
    QUEUE.finish(LAST_LINES);
}

/// The fields of a line of text.
struct Text;

impl<'writer> FormatFields<'writer> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, result: Ok(()), value: String::new() };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    begun: bool,
    result: fmt::Result,
    /// Of a field that does not come as text.
    value: String,
}

impl Line<'_> {
    fn put(&mut self, field: &Field, value: &str) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        match (field.name(), self.writer.has_ansi_escapes()) {
            ("message", _) => return printable(&mut self.writer, value),
            // Italic, and a faint sign.
            (name, true) => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
            (name, false) => write!(self.writer, "{name}=")?,
        }
        if is_bare(value) { self.writer.write_str(value) } else { write!(self.writer, "{value:?}") }
    }

    fn record(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let mut text = std::mem::take(&mut self.value);
        text.clear();
        self.result = self.result.and_then(|()| text.write_fmt(value)).and_then(|()| self.put(field, &text));
        self.value = text;
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| self.put(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record(field, format_args!("{value:?}"));
    }
}

/// Whether a value can stand without quotes.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|char| !char.is_whitespace() && !matches!(char, '"' | '=') && is_printable(char))
}

fn is_printable(char: char) -> bool {
    // Debug escapes what is invisible or changes the direction of writing; a quote of either kind is none of that.
    matches!(char, '\'' | '"' | '\\') || char.escape_debug().len() == 1
}

/// A sentence of ours, into which somebody else's words may have come.
fn printable(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    text.chars().try_for_each(|char| match char {
        // A message may have several lines.
        '\n' | '\t' => out.write_char(char),
        _ if is_printable(char) => out.write_char(char),
        _ => write!(out, "{}", char.escape_debug()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        os::unix::process::ExitStatusExt as _,
        process::{Command, Stdio},
        thread,
    };

    use super::to_stderr;
    use crate::config::Log;

    /// Panics in a thread that catches it, and in one that does not; in a process of its own.
    #[test]
    #[ignore = "the tests below run it"]
    fn panics() {
        let queue = env::var("QUEUE").map_or(Log::default().queue, |queue| queue.parse().unwrap());
        to_stderr(Log { queue, ..Log::default() });
        let caught = || drop(std::panic::catch_unwind(|| panic!("the {} one\nERROR", "first")));
        thread::Builder::new().name("relay-7".to_owned()).spawn(caught).unwrap().join().unwrap();
        thread::spawn(|| std::panic::panic_any(2)).join().unwrap_err();
        super::finish();
    }

    /// Panics where a panic ends the process.
    #[test]
    #[ignore = "the last test below runs it"]
    fn dies() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                panic!("the second one");
            }
        }
        to_stderr(Log::default());
        // As long as this is being written, what is said behind it waits.
        tracing::info!("{}", "x".repeat(3 << 20));
        let _last = Last;
        panic!("the first one");
    }

    fn child(test: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", &format!("log::tests::{test}"), "--ignored", "--nocapture"])
            .env("RUST_BACKTRACE", "0");
        command
    }

    #[test]
    fn a_panic_is_a_line_of_the_log() {
        let output = child("panics").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let lines: Vec<_> = said.lines().filter_map(|line| line.split_once(" ERROR ")).map(|(_, line)| line).collect();
        let [first, second] = lines[..] else { panic!("{said}") };
        let defect = "cordboard::log: a panic, which is a defect of the proxy's";
        assert!(first.starts_with(&format!("{defect} text=\"the first one\\nERROR\" at=src/log.rs:")), "{said}");
        assert!(first.ends_with(" thread=relay-7"), "{said}");
        assert!(second.starts_with(&format!("{defect} at=src/log.rs:")), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }

    #[test]
    fn where_nobody_can_read_it_a_panic_ends_no_more_than_elsewhere() {
        for queue in ["0", "65536"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let status = child("panics").env("QUEUE", queue).stdout(Stdio::null()).stderr(writer).status().unwrap();
            assert!(status.success(), "{queue}: {status}");
        }
    }

    #[test]
    fn what_ends_the_process_is_told_of_before_that() {
        let output = child("dies").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), Some(6));
        for text in ["the first one", "the second one", super::FATAL[0]] {
            assert!(said.contains(&format!(" text=\"{text}\" ")), "{text}");
        }
    }
}
