//! Regular expressions of the configuration, and the templates that use what they captured.
//!
//! Matching takes time linear in the text (the `regex` crate has no backtracking), and a compiled expression is bounded
//! in size. A template is checked against its expression when it is read, so that expanding it cannot fail.

use std::{collections::HashSet, fmt};

use regex::{Regex, RegexBuilder};

/// Longest expression or template, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;
/// Largest compiled expression, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// A compiled regular expression in the syntax of the `regex` crate. Two are equal when their texts are.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression; it matches anywhere in a text unless it is anchored with `^` and `$`.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!("is longer than {MAX_PATTERN_BYTES} bytes"));
        }
        let compiled = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is too large when compiled".to_owned(),
            // The text of a syntax error draws the expression over several lines; the last one says what is wrong.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!("is not a regular expression: {}", last.trim_start_matches("error: "))
            }
        })
    }

    /// Whether it matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The first match in `text` and its groups.
    #[must_use]
    pub fn captures(&self, text: &str) -> Option<Captured> {
        let captures = self.0.captures(text)?;
        let whole = captures.get(0)?;
        Some(Captured {
            start: whole.start(),
            end: whole.end(),
            groups: captures.iter().map(|group| group.map(|found| found.as_str().to_owned())).collect(),
        })
    }

    /// The names and numbers that a template may refer to.
    fn group(&self, name: &str) -> Option<usize> {
        match name.parse::<usize>() {
            Ok(number) => (number < self.0.captures_len()).then_some(number),
            Err(_) => self.0.capture_names().position(|found| found == Some(name)),
        }
    }

    fn group_names(&self) -> String {
        let mut seen = HashSet::new();
        let names = self.0.capture_names().enumerate().map(|(number, name)| match name {
            Some(name) => format!("`${name}`"),
            None => format!("`${number}`"),
        });
        names.filter(|name| seen.insert(name.clone())).collect::<Vec<_>>().join(", ")
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

/// What an expression found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    start: usize,
    end: usize,
    /// The whole match, then the groups; none for a group that took no part.
    groups: Vec<Option<String>>,
}

impl Captured {
    /// `text`, in which this was found, with the match replaced.
    #[must_use]
    pub fn replaced_in(&self, text: &str, replacement: &str) -> String {
        let (before, after) = (text.get(..self.start).unwrap_or_default(), text.get(self.end..).unwrap_or_default());
        [before, replacement, after].concat()
    }

    /// The same groups, each as `change` makes it.
    #[must_use]
    pub fn map(&self, change: impl Fn(&str) -> String) -> Self {
        let groups = self.groups.iter().map(|group| group.as_deref().map(&change)).collect();
        Self { groups, ..*self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Group(usize),
}

/// Text with references to groups: `$1`, `$name`, and `$$` for a dollar sign. A group that took no part is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a template whose groups are those of `pattern`; without one it may refer to none.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str, pattern: Option<&Pattern>) -> Result<Self, String> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!("is longer than {MAX_PATTERN_BYTES} bytes"));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                literal.push('$');
                rest = after;
                continue;
            }
            let name = reference(after);
            if name.is_empty() {
                return Err("holds a `$` that names no group; write `$$` for a dollar sign".to_owned());
            }
            let Some(pattern) = pattern else {
                return Err(format!("refers to `${name}`, but there is no regular expression to capture it"));
            };
            let Some(group) = pattern.group(name) else {
                return Err(format!("refers to `${name}`; the groups of {pattern:?} are {}", pattern.group_names()));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Group(group));
            rest = after.get(name.len()..).unwrap_or_default();
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// The literal pieces, for checks of what they may hold.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Group(_) => None,
        })
    }

    /// Whether it refers to a group.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Group(_)))
    }

    /// The text with the groups of `found` filled in.
    #[must_use]
    pub fn expand(&self, found: Option<&Captured>) -> String {
        let group = |number: &usize| found.and_then(|found| found.groups.get(*number)?.as_deref()).unwrap_or_default();
        let pieces = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.as_str(),
            Part::Group(number) => group(number),
        });
        pieces.collect()
    }
}

/// The group's name that stands right behind a dollar sign: digits, or a letter or `_` and what may follow it.
fn reference(text: &str) -> &str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let belongs = |c: char| if digits { c.is_ascii_digit() } else { c.is_ascii_alphanumeric() || c == '_' };
    text.split(|c: char| !belongs(c)).next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expand(template: &str, pattern: &str, text: &str) -> String {
        let pattern = Pattern::new(pattern).unwrap();
        let found = pattern.captures(text);
        Template::new(template, Some(&pattern)).unwrap().expand(found.as_ref())
    }

    #[test]
    fn groups_are_filled_in_by_number_and_by_name() {
        assert_eq!(expand("/$2/$1", "^/([^/]+)/([^/]+)", "/a/b"), "/b/a");
        assert_eq!(expand("$user@$1", "(?<user>[a-z]+)", "bob"), "bob@bob");
        assert_eq!(expand("$1x$$1", "(.)", "a"), "ax$1", "digits end a number, $$ is a dollar sign");
        assert_eq!(expand("<$2>", "(a)|(b)", "a"), "<>", "a group that took no part is empty");
        assert_eq!(expand("$0!", "b+", "abbc"), "bb!");
    }

    #[test]
    fn a_template_that_cannot_be_filled_in_is_refused() {
        let pattern = Pattern::new("(a)(?<n>b)").unwrap();
        let refused = |text: &str, pattern: Option<&Pattern>| Template::new(text, pattern).unwrap_err();
        assert!(refused("$3", Some(&pattern)).contains("`$0`, `$1`, `$n`"));
        assert!(refused("$x", Some(&pattern)).contains("refers to `$x`"));
        assert!(refused("$1", None).contains("no regular expression"));
        assert!(refused("5 $", None).contains("`$$`"));
        assert!(refused("${1}", Some(&pattern)).contains("`$$`"));
        assert!(refused(&"x".repeat(MAX_PATTERN_BYTES + 1), None).contains("longer"));
        assert!(Template::new(&"x".repeat(MAX_PATTERN_BYTES), None).is_ok());
    }

    #[test]
    fn an_expression_is_bounded_and_its_error_is_one_line() {
        assert!(Pattern::new("a{1000000000}").unwrap_err().contains("is "));
        let error = Pattern::new("(a").unwrap_err();
        assert!(error.contains("unclosed group") && !error.contains('\n'), "{error}");
        assert!(Pattern::new("(?:\\w{200}){200}").unwrap_err().contains("too large"));
        assert!(Pattern::new(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err().contains("longer"));
        assert!(Pattern::new(&"a".repeat(MAX_PATTERN_BYTES)).is_ok());
    }

    #[test]
    fn a_match_is_replaced_where_it_was_found() {
        let found = Pattern::new("b+").unwrap().captures("abbc").unwrap();
        assert_eq!(found.replaced_in("abbc", "-"), "a-c");
        assert_eq!(found.map(str::to_uppercase).groups, [Some("BB".to_owned())]);
    }
}
