//! What a case comes out as.

use std::{fmt, str::FromStr};

/// What was exchanged, in the suite's words, from good to bad.
const BEHAVIORS: [&str; 6] = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED", "ERROR"];
/// How the connection was closed, likewise.
const CLOSINGS: [&str; 6] = ["OK", "INFORMATIONAL", "WRONG-CODE", "UNCLEAN", "FAILED-BY-CLIENT", "FAILED"];

/// The suite's two judgements of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdict {
    behavior: usize,
    closing: usize,
}

impl Verdict {
    pub const OK: Self = Self { behavior: 0, closing: 0 };
    /// Of a case that came to no end.
    pub const NONE: Self = Self { behavior: BEHAVIORS.len() - 1, closing: CLOSINGS.len() - 1 };

    pub fn new(behavior: &str, closing: &str) -> Result<Self, String> {
        let place = |of: &[&str], word: &str| {
            let word = word.replace(' ', "-");
            of.iter().position(|known| *known == word).ok_or_else(|| format!("{word} is none of {}", of.join(", ")))
        };
        Ok(Self { behavior: place(&BEHAVIORS, behavior)?, closing: place(&CLOSINGS, closing)? })
    }

    pub const fn behavior(self) -> &'static str {
        BEHAVIORS[self.behavior]
    }

    pub const fn closing(self) -> &'static str {
        CLOSINGS[self.closing]
    }

    pub const fn is_worse_than(self, other: Self) -> bool {
        self.behavior > other.behavior || self.closing > other.closing
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<13}  {:<16}", self.behavior(), self.closing())
    }
}

/// A case's id, ordered by its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaseId(Vec<u32>);

impl FromStr for CaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split('.').map(str::parse).collect::<Result<_, _>>();
        numbers.map(Self).map_err(|_| format!("{text} is no id of a case; one is 7.1.5"))
    }
}

impl CaseId {
    /// The globs that stand for its group and its subgroup, and itself.
    pub fn patterns(&self) -> Vec<String> {
        let text = self.to_string();
        let dots = text.match_indices('.').map(|(at, _)| format!("{}.*", &text[..at]));
        dots.chain([text.clone()]).collect()
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        f.write_str(&numbers.join("."))
    }
}
