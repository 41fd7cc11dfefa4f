//! What is wrong with a configuration file, said so that its author can mend it.
//!
//! A [`Problem`] names file, line, column and key, says what is wrong and, where there is something to say, what to do.
//! All text from the file is escaped and cut, because it ends in a terminal or a log.

use std::fmt::{self, Write as _};

use serde_saphyr::{Error, MessageFormatter as _, UserMessageFormatter};

use super::{secrets::Secrets, tree::Position};

/// Most characters of a line of the file that are shown.
const EXCERPT_CHARS: usize = 120;
/// Most characters of a value that are repeated in a message.
const QUOTED_CHARS: usize = 60;
/// Most names that a hint lists.
const LISTED_NAMES: usize = 12;

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as [`super::Source::name`] has it.
    pub file: String,
    /// Line, from 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 where it is about the file as a whole.
    pub column: usize,
    /// The key it is about, such as `routes[1].limits.idle`; empty where the reader of the file stopped before keys
    /// were known.
    pub key: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether the file can be used nonetheless.
    pub severity: Severity,
    /// The line of the file, safe to print.
    excerpt: Option<Excerpt>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used; this is legal and probably not meant.
    Warning,
}

impl Severity {
    /// As `cordboard check --json` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A line of the file and where to put the caret below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    text: String,
    caret: usize,
}

impl Problem {
    /// A problem that has not been told its file yet.
    pub(crate) fn new(at: Position, key: String, message: String) -> Self {
        Self {
            file: String::new(),
            line: at.line,
            column: at.column,
            key,
            message,
            hint: None,
            severity: Severity::Error,
            excerpt: None,
        }
    }

    /// The file is used nonetheless.
    pub(super) const fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Several, each with its line and what to do.
    #[must_use]
    pub fn shown(problems: &[Self]) -> String {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// What is wrong with a file as a whole, such as that it cannot be read.
    #[must_use]
    pub fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), ..Self::new(Position { line: 0, column: 0 }, String::new(), message) }
    }

    /// Puts placeholders in place of what they stood for.
    pub(super) fn hide(&mut self, secrets: &Secrets) {
        self.message = secrets.hide(&self.message);
        self.hint = self.hint.take().map(|hint| secrets.hide(&hint));
    }

    /// The same with placeholders in place of what they stood for.
    #[must_use]
    pub fn hidden(mut self, secrets: &Secrets) -> Self {
        self.hide(secrets);
        self
    }

    /// Adds what to do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Fills in the name of the file and the line it is about.
    pub(crate) fn locate(&mut self, file: &str, text: &str) {
        file.clone_into(&mut self.file);
        let line = text.lines().nth(self.line.saturating_sub(1));
        self.excerpt = line.and_then(|line| Excerpt::new(line, self.column));
    }

    /// The same where the line has been taken from the file before.
    pub(super) fn placed(mut self, file: &str, excerpt: Option<Excerpt>) -> Self {
        file.clone_into(&mut self.file);
        self.excerpt = excerpt;
        self
    }

    /// What the YAML reader refused.
    pub(super) fn from_yaml(error: &Error) -> Self {
        let at = error.location().map_or(Position::START, Position::from);
        let error = innermost(error);
        match error {
            // Saphyr's own words name its types and events, not the file's author's.
            Error::NullIntoString { .. } => Self::new(at, String::new(), "a key is missing here".to_owned()),
            Error::Unexpected { expected, .. } if expected.contains("scalar") => {
                Self::new(at, String::new(), "a single value belongs here".to_owned())
            }
            other => Self::new(at, String::new(), escaped(&UserMessageFormatter.format_message(other))),
        }
    }
}

impl Problem {
    /// The same where no value may be repeated.
    pub(super) fn from_yaml_quietly(error: &Error) -> Self {
        match innermost(error) {
            Error::ExternalMessage { .. }
            | Error::DuplicateMappingKey { .. }
            | Error::Eof { .. }
            | Error::MultipleDocuments { .. }
            | Error::UnknownAnchor { .. }
            | Error::Budget { .. } => Self::from_yaml(error),
            _ => Self { message: "this cannot be read as YAML".to_owned(), ..Self::from_yaml(error) },
        }
    }
}

/// The error itself, without the wrappers that tell how it was reached.
fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        error => error,
    }
}

impl Excerpt {
    /// None for a blank line.
    fn new(line: &str, column: usize) -> Option<Self> {
        if line.trim().is_empty() {
            return None;
        }
        let length = line.chars().count();
        let caret = column.saturating_sub(1).min(length);
        // A long line is shown around the caret; every character keeps its width of one so that the caret fits.
        let start = if length <= EXCERPT_CHARS { 0 } else { caret.saturating_sub(EXCERPT_CHARS / 2) };
        let text = line.chars().skip(start).take(EXCERPT_CHARS);
        let text = text.map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect();
        Some(Self { text, caret: caret - start })
    }
}

/// The line of a place.
pub(super) fn excerpt(lines: &[&str], at: Position) -> Option<Excerpt> {
    Excerpt::new(lines.get(at.line.checked_sub(1)?)?, at.column)
}

/// Characters that reorder or hide text in a terminal (Unicode bidirectional controls and zero-width characters).
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.file)?,
            line => write!(f, "{}:{line}:{}: ", self.file, self.column)?,
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        let number = self.line.to_string();
        let margin = number.len();
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{:margin$} |\n{number} | {}", "", excerpt.text)?;
            write!(f, "\n{:margin$} | {:caret$}^", "", "", caret = excerpt.caret)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{:margin$} = {hint}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Text from the file without control characters, and not more of it than a reader needs.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == QUOTED_CHARS * 4 {
            out.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A value from the file as a message repeats it.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("`{}…`", escaped(&text[..end])),
        None => format!("`{}`", escaped(text)),
    }
}

/// "did you mean …?" or, failing that, "…known are: a, b, c"; none if there are no names.
pub(crate) fn suggestion<'a>(
    introduction: &str,
    wrong: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = nearest(wrong, names.clone()) {
        return Some(format!("did you mean `{}`?", escaped(near)));
    }
    let listed: Vec<_> = names.clone().take(LISTED_NAMES).map(|name| format!("`{}`", escaped(name))).collect();
    let more = if names.count() > LISTED_NAMES { ", …" } else { "" };
    (!listed.is_empty()).then(|| format!("{introduction} {}{more}", listed.join(", ")))
}

/// The name that was probably meant: within a third of its length in typing errors.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that long is a typing error, and the distance costs the product of the lengths.
    if wrong.len() > QUOTED_CHARS {
        return None;
    }
    names
        .filter(|name| name.len() <= QUOTED_CHARS * 2)
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= (name.chars().count().max(wrong.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words; case, `-` and `_` make no difference.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).collect();
    let b: Vec<char> = b.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && y == a[i - 1] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let keys = ["establish", "address", "name"];
        assert_eq!(nearest("estabilsh", keys.into_iter()), Some("establish"));
        assert_eq!(nearest("adress", keys.into_iter()), Some("address"));
        assert_eq!(nearest("Name", keys.into_iter()), Some("name"));
        assert_eq!(nearest("timeout", keys.into_iter()), None);
        assert_eq!(distance("abcd", "abdc"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_problem_shows_the_line_with_a_caret_and_the_hint() {
        let at = Position { line: 2, column: 7 };
        let mut problem = Problem::new(at, "log.level".into(), "`loud` is not known".into()).with_hint("try `info`");
        problem.locate("a.yaml", "log:\n\tlevel: loud\n");
        let shown = "a.yaml:2:7: log.level: `loud` is not known\n  |\n2 |  level: loud\n  |       ^\n  = try `info`";
        assert_eq!(problem.to_string(), shown);
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let excerpt = Excerpt::new(&"x".repeat(10_000), 5_000).unwrap();
        assert_eq!(excerpt.text.len(), EXCERPT_CHARS);
        assert!(excerpt.caret < EXCERPT_CHARS);
    }

    #[test]
    fn what_the_file_says_cannot_steer_a_terminal() {
        assert_eq!(quoted("a\u{1b}[2J\u{202e}"), "`a\\u{1b}[2J\\u{202e}`");
        assert!(quoted(&"y".repeat(500)).chars().count() < 70);
    }
}
