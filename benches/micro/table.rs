//! The file of instruction counts, and what a difference to it means. Pure.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

/// A count may be over the file's by this share, and one that is under it by more had better be accepted.
const TOLERANCE: f64 = 0.05;

const MADE_WITH: &str = "# made with: ";

/// Instructions of a round by name, and the tools on which they depend.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) made_with: String,
    pub(crate) counts: BTreeMap<String, f64>,
}

impl Table {
    /// # Errors
    /// Names the line.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut table = Self::default();
        for (nth, line) in text.lines().enumerate() {
            if let Some(made_with) = line.strip_prefix(MADE_WITH) {
                made_with.clone_into(&mut table.made_with);
            } else if !line.starts_with('#') && !line.is_empty() {
                let (name, count) = line
                    .split_once(' ')
                    .and_then(|(name, count)| Some((name, count.trim().parse().ok()?)))
                    .ok_or_else(|| format!("line {}: a name and a number are expected: {line}", nth + 1))?;
                table.counts.insert(name.to_owned(), count);
            }
        }
        Ok(table)
    }

    pub(crate) fn write(&self) -> String {
        let mut text = "# Instructions of a round, in the dev profile. Written by `make micro-accept`.\n".to_owned();
        let _ = writeln!(text, "{MADE_WITH}{}", self.made_with);
        for (name, count) in &self.counts {
            let _ = writeln!(text, "{name:<20} {count:>12.1}");
        }
        text
    }
}

/// What became of one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Same,
    /// Over it by more than [`TOLERANCE`].
    More,
    /// Under it by more than [`TOLERANCE`].
    Less,
    /// Not in the file.
    New,
    /// In the file alone.
    Gone,
}

impl Finding {
    /// The change may not be merged like this.
    pub(crate) const fn fails(self) -> bool {
        matches!(self, Self::More | Self::New | Self::Gone)
    }
}

/// One line of the comparison.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) was: Option<f64>,
    pub(crate) is: Option<f64>,
    pub(crate) finding: Finding,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<f64>| count.map_or_else(|| "–".to_owned(), |count| format!("{count:.1}"));
        let change = match (self.was, self.is) {
            (Some(was), Some(is)) => format!("{:+.1} %", (is / was - 1.0) * 100.0),
            _ => String::new(),
        };
        let said = match self.finding {
            Finding::Same => "",
            Finding::More => "  more than 5 % over it",
            Finding::Less => "  less: accept it, so that it is kept",
            Finding::New => "  not in the table",
            Finding::Gone => "  in the table, but not measured any more",
        };
        write!(f, "{:<20} {:>12} {:>12} {change:>9}{said}", self.name, number(self.was), number(self.is))
    }
}

/// Compares what is with what was, by name.
pub(crate) fn compare(was: &BTreeMap<String, f64>, is: &BTreeMap<String, f64>) -> Vec<Line> {
    let mut names: Vec<_> = was.keys().chain(is.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let line = |name: &String| {
        let (was, is) = (was.get(name).copied(), is.get(name).copied());
        let finding = match (was, is) {
            (None, _) => Finding::New,
            (_, None) => Finding::Gone,
            (Some(was), Some(is)) if is > was * (1.0 + TOLERANCE) => Finding::More,
            (Some(was), Some(is)) if is < was * (1.0 - TOLERANCE) => Finding::Less,
            _ => Finding::Same,
        };
        Line { name: name.clone(), was, is, finding }
    };
    names.into_iter().map(line).collect()
}
