//! Reading scalars of the file into typed values, while collecting everything that is wrong.
//!
//! Each reader takes the place ([`At`]) and the text, and answers with a value in any case: the default stands in for
//! what could not be read, so that one mistake does not hide the next. Nothing of a [`Check`] with problems is used.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Source,
    diagnose::{Problem, quoted, suggestion},
    file::{Field, Later, Text},
    tree::{At, Position},
    value::{self, InvalidQuantity},
};

/// Most problems that are reported at once.
const MOST_PROBLEMS: usize = 100;
/// What is said where no check has said anything; a test proves that none is silent.
pub(super) const UNEXPLAINED: &str = "the file cannot be used";
/// Longest name of a listener, plugin, route or namespace, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The allowed values of a duration or a size.
pub(super) struct Range<T> {
    /// Smallest, apart from zero.
    pub(super) min: T,
    /// Largest.
    pub(super) max: T,
    /// What 0 means, where it is allowed.
    pub(super) zero: Option<&'static str>,
}

/// The problems found so far.
#[derive(Default)]
pub(super) struct Check {
    problems: Vec<Problem>,
}

impl Check {
    /// Reports a problem with a value.
    pub(super) fn wrong(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<String>) {
        self.report(at.value(), at, message.into(), hint);
    }

    /// Reports a problem with the presence of a key.
    pub(super) fn misplaced(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<String>) {
        self.report(at.name(), at, message.into(), hint);
    }

    fn report(&mut self, position: Position, at: &At<'_>, message: String, hint: Option<String>) {
        let mut problem = Problem::new(position, at.to_string(), message);
        problem.hint = hint;
        self.problems.push(problem);
    }

    /// Reports the placeholders of the file.
    pub(super) fn placeholders(&mut self, places: Vec<Position>) {
        let hint = "write the value itself; `${NAME:default}` and its escape `$${` come later";
        let problem = |at| Problem::new(at, String::new(), "placeholders (`${`) are not in this version".to_owned());
        self.problems.extend(places.into_iter().map(|at| problem(at).with_hint(hint)));
    }

    /// All problems in the order of the file, or the value if there are none.
    pub(super) fn finish<T>(mut self, source: &Source, value: Option<T>) -> Result<T, Vec<Problem>> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        // What an alias repeats is wrong once.
        self.problems.dedup_by(|b, a| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
        self.problems.truncate(MOST_PROBLEMS);
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => {
                if self.problems.is_empty() {
                    // A check that gives no value reports why; this keeps the promise of at least one problem.
                    self.problems.push(Problem::new(Position::START, String::new(), UNEXPLAINED.to_owned()));
                }
                for problem in &mut self.problems {
                    problem.locate(&source.name, &source.text);
                }
                Err(self.problems)
            }
        }
    }

    /// The text of a key; none when it is absent, or blank, which is reported.
    pub(super) fn text<'f>(&mut self, at: &At<'_>, field: &'f Text) -> Option<&'f str> {
        match field {
            Field::Set(text) => Some(text),
            Field::Absent => None,
            Field::Null => {
                let hint = "leave the key out for its default".to_owned();
                self.misplaced(at, "a value is missing here", Some(hint));
                None
            }
        }
    }

    /// The text of a key that must be there; `what` belongs there.
    pub(super) fn required<'f>(&mut self, at: &At<'_>, field: &'f Text, what: &str) -> Option<&'f str> {
        match field {
            Field::Set(text) => Some(text),
            Field::Absent | Field::Null => {
                self.misplaced(at, format!("is missing: {what}"), None);
                None
            }
        }
    }

    /// A duration.
    pub(super) fn duration(
        &mut self,
        at: &At<'_>,
        field: &Text,
        default: Duration,
        range: &Range<Duration>,
    ) -> Duration {
        let Some(text) = self.text(at, field) else {
            return default;
        };
        let kind = Kind { what: "a duration", hint: "units are ms, s, m and h: `250ms`, `30s`, `5m`, `1h`" };
        let (zero, spell) = (Duration::ZERO, value::spell_duration);
        self.quantity(at, text, value::duration(text), &kind, zero, range, spell).unwrap_or(default)
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, at: &At<'_>, field: &Text, default: u64, range: &Range<u64>) -> u64 {
        let Some(text) = self.text(at, field) else {
            return default;
        };
        let kind = Kind { what: "a size", hint: "units are B, KiB, MiB and GiB: `512B`, `64KiB`, `1MiB`" };
        self.quantity(at, text, value::size(text), &kind, 0, range, value::spell_size).unwrap_or(default)
    }

    /// A size in bytes that has to fit into memory.
    pub(super) fn memory(&mut self, at: &At<'_>, field: &Text, default: usize, range: &Range<u64>) -> usize {
        let read = self.size(at, field, default as u64, range);
        usize::try_from(read).unwrap_or(default)
    }

    #[allow(clippy::too_many_arguments)] // the two kinds of quantity differ in all of them
    fn quantity<T: Copy + PartialOrd>(
        &mut self,
        at: &At<'_>,
        text: &str,
        read: Result<T, InvalidQuantity>,
        kind: &Kind,
        zero: T,
        range: &Range<T>,
        spell: impl Fn(T) -> String,
    ) -> Option<T> {
        let allowed = || {
            let zero = range.zero.map(|meaning| format!(", or 0 for {meaning}")).unwrap_or_default();
            format!("{} to {}{zero}", spell(range.min), spell(range.max))
        };
        let (message, hint) = match read {
            Ok(value) if value == zero && range.zero.is_some() => return Some(value),
            Ok(value) if range.min <= value && value <= range.max => return Some(value),
            Ok(_) | Err(InvalidQuantity::Overflow) => {
                (format!("{} is out of range: {}", quoted(text), allowed()), None)
            }
            Err(InvalidQuantity::NoUnit) => {
                (format!("{} has no unit, and {} needs one", quoted(text), kind.what), Some(kind.hint.to_owned()))
            }
            Err(InvalidQuantity::Malformed) => {
                (format!("{} is not {}", quoted(text), kind.what), Some(kind.hint.to_owned()))
            }
        };
        self.wrong(at, message, hint);
        None
    }

    /// A whole number.
    pub(super) fn count<T>(&mut self, at: &At<'_>, field: &Text, default: T, range: &RangeInclusive<T>) -> T
    where
        T: Copy + Display + PartialOrd + FromStr,
    {
        let Some(text) = self.text(at, field) else {
            return default;
        };
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        match text.parse::<T>() {
            Ok(value) if digits && range.contains(&value) => value,
            _ => {
                let problem = if digits { "is out of range" } else { "is not a whole number" };
                self.wrong(at, format!("{} {problem}: {} to {}", quoted(text), range.start(), range.end()), None);
                default
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, at: &At<'_>, field: &Text, default: bool) -> bool {
        self.choice(at, field, default, &[("true", true), ("false", false)], &[])
    }

    /// One of a few words; those of `later` are known and not implemented.
    pub(super) fn choice<T: Copy>(
        &mut self,
        at: &At<'_>,
        field: &Text,
        default: T,
        known: &[(&str, T)],
        later: &[&str],
    ) -> T {
        let Some(text) = self.text(at, field) else {
            return default;
        };
        if let Some((_, value)) = known.iter().find(|(name, _)| *name == text) {
            return *value;
        }
        let names = known.iter().map(|(name, _)| *name);
        if later.contains(&text) {
            let hint = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.wrong(
                at,
                format!("{} is not in this version", quoted(text)),
                Some(format!("in this version: {hint}")),
            );
        } else {
            let listed = names.clone().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let hint = super::diagnose::nearest(text, names).map(|near| format!("did you mean `{near}`?"));
            self.wrong(at, format!("{} is not one of {listed}", quoted(text)), hint);
        }
        default
    }

    /// A key of a later version: refused unless absent, null or exactly `off`.
    pub(super) fn later(&mut self, at: &At<'_>, field: &Later, off: &Value) {
        match &field.0 {
            None | Some(Value::Null) => {}
            Some(value) if value == off => {}
            Some(_) => {
                let hint = match off {
                    Value::Null => "leave the key out".to_owned(),
                    off => format!("leave the key out, or write `{off}`"),
                };
                self.misplaced(at, "not in this version", Some(hint));
            }
        }
    }

    /// Checks a name that appears in logs, metrics and attributes: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub(super) fn name(&mut self, at: &At<'_>, text: &str) -> Option<Arc<str>> {
        self.name_at(at.value(), at, text)
    }

    /// Checks a key that is a name; the rules are those of [`Self::name`].
    pub(super) fn key_name(&mut self, at: &At<'_>, key: &str) -> Option<Arc<str>> {
        self.name_at(at.name(), at, key)
    }

    fn name_at(&mut self, position: Position, at: &At<'_>, text: &str) -> Option<Arc<str>> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !text.is_empty() && text.chars().all(allowed) && text.len() <= MAX_NAME_CHARS {
            return Some(text.into());
        }
        let rule = format!("1 to {MAX_NAME_CHARS} ASCII letters, digits, `.`, `_` and `-`");
        self.report(position, at, format!("{} is not a name: {rule}", quoted(text)), None);
        None
    }

    /// Whether `wrong` is one of the names; reports it with the nearest one if not.
    pub(super) fn known<'n>(
        &mut self,
        at: &At<'_>,
        kind: &str,
        wrong: &str,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> bool {
        if names.clone().any(|name| name == wrong) {
            return true;
        }
        let hint = suggestion(&format!("known {kind}s are"), wrong, names)
            .unwrap_or_else(|| format!("the file has no {kind}s: add it under `{kind}s`"));
        self.wrong(at, format!("there is no {kind} {}", quoted(wrong)), Some(hint));
        false
    }
}

/// How to speak of a quantity.
struct Kind {
    what: &'static str,
    hint: &'static str,
}
