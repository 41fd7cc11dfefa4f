//! Reading scalars of the file into typed values, while collecting everything that is wrong.
//!
//! Each reader takes the place ([`At`]) and the text, and answers with a value in any case: the default stands in for
//! what could not be read, so that one mistake does not hide the next. Nothing of a [`Check`] with problems is used.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive, str::FromStr, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Source,
    diagnose::{Problem, quoted, suggestion},
    part::{Field, Later, Text},
    secrets::{Secrets, hide_value},
    tree::{At, Position, Shape},
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

impl<T: Copy> Range<T> {
    /// In words.
    fn allowed(&self, spell: impl Fn(T) -> String) -> String {
        let zero = self.zero.map(|meaning| format!(", or 0 for {meaning}")).unwrap_or_default();
        format!("{} to {}{zero}", spell(self.min), spell(self.max))
    }
}

/// The problems found so far.
#[derive(Default)]
pub(super) struct Check {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// What the checks ask for, by key; none unless that is what they are run for.
    asked: Option<BTreeMap<String, Asked>>,
}

/// What a check asks of a key: the JSON Schema says the same.
pub(super) enum Asked {
    /// A duration or a size: its default as the file would spell it, and what is allowed, in words.
    Quantity {
        /// Whether it is a size.
        size: bool,
        /// As the file would spell it.
        default: String,
        /// In words.
        allowed: String,
        /// Whether 0 is allowed.
        zero: bool,
    },
    /// A whole number: default, smallest, largest.
    Count([String; 3]),
    /// One of a few words.
    Choice {
        /// All of them.
        names: Vec<String>,
        /// None if it must be there.
        default: Option<String>,
    },
    /// A text that must be there.
    Required,
    /// A key of a later version, and the only value beside null that it may have.
    Later(Value),
}

/// Why a text cannot be the name of something in the configuration; nothing if it can.
pub(crate) fn no_name(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !text.is_empty() && text.chars().all(allowed) && text.len() <= MAX_NAME_CHARS {
        return None;
    }
    let rule = format!("1 to {MAX_NAME_CHARS} ASCII letters, digits, `.`, `_` and `-`");
    Some(format!("{} is not a name: {rule}", quoted(text)))
}

impl Check {
    /// With what was found before the checks began.
    pub(super) const fn with(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new(), asked: None }
    }

    /// To learn what the checks ask for.
    pub(super) const fn recording() -> Self {
        Self { problems: Vec::new(), warnings: Vec::new(), asked: Some(BTreeMap::new()) }
    }

    /// What the checks asked for, by key.
    pub(super) fn asked(self) -> BTreeMap<String, Asked> {
        self.asked.unwrap_or_default()
    }

    fn record(&mut self, at: &At<'_>, what: impl FnOnce() -> Asked) {
        if let Some(asked) = &mut self.asked {
            asked.insert(at.to_string(), what());
        }
    }

    /// Reports a problem with a value.
    pub(super) fn wrong(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<String>) {
        self.report(at.value(), at, message.into(), hint);
    }

    /// Reports a problem with the presence of a key.
    pub(super) fn misplaced(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<String>) {
        self.report(at.name(), at, message.into(), hint);
    }

    /// Says what is legal and probably not meant.
    pub(super) fn unlikely(&mut self, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::new(at.name(), at.to_string(), message.into()).with_hint(hint);
        self.warnings.push(problem.into_warning());
    }

    fn report(&mut self, position: Position, at: &At<'_>, message: String, hint: Option<String>) {
        // What is wrong with it has been said, and what else is found follows from that.
        if at.is_wrong() {
            return;
        }
        let mut problem = Problem::new(position, at.to_string(), message);
        problem.hint = hint;
        let node = at.node();
        let filled = node.and_then(|node| node.filled.as_ref());
        let filled = filled.filter(|filled| filled.secret);
        if let (Some(filled), Some(Shape::Scalar(scalar))) = (filled, node.map(|node| &node.shape)) {
            problem.message = hide_value(&problem.message, &scalar.text, &filled.name);
            problem.hint = problem.hint.map(|hint| hide_value(&hint, &scalar.text, &filled.name));
        }
        self.problems.push(problem);
    }

    /// A value as a message repeats it, in another spelling than the file's: not if it came from outside.
    pub(super) fn shown(at: &At<'_>, value: impl Display) -> String {
        match at.node().and_then(|node| node.filled.as_ref()) {
            Some(filled) if filled.secret => filled.name.clone(),
            _ => value.to_string(),
        }
    }

    /// All problems in the order of the file, or the value and the warnings if there are none.
    pub(super) fn finish<T>(
        mut self,
        source: &Source,
        secrets: &Secrets,
        value: Option<T>,
    ) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        match value {
            Some(value) if self.problems.is_empty() => Ok((value, in_order(self.warnings, source, secrets))),
            _ => {
                if self.problems.is_empty() {
                    // A check that gives no value reports why; this keeps the promise of at least one problem.
                    self.problems.push(Problem::new(Position::START, String::new(), UNEXPLAINED.to_owned()));
                }
                Err(in_order(self.problems, source, secrets))
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
        self.record(at, || Asked::Required);
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
        let spell = value::spell_duration;
        self.record(at, || Asked::Quantity {
            size: false,
            default: spell(default),
            allowed: range.allowed(spell),
            zero: range.zero.is_some(),
        });
        let Some(text) = self.text(at, field) else {
            return default;
        };
        let kind = Kind { what: "a duration", hint: "units are ms, s, m and h: `250ms`, `30s`, `5m`, `1h`" };
        self.quantity(at, text, value::duration(text), &kind, Duration::ZERO, range, spell).unwrap_or(default)
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, at: &At<'_>, field: &Text, default: u64, range: &Range<u64>) -> u64 {
        let spell = value::spell_size;
        self.record(at, || Asked::Quantity {
            size: true,
            default: spell(default),
            allowed: range.allowed(spell),
            zero: range.zero.is_some(),
        });
        let Some(text) = self.text(at, field) else {
            return default;
        };
        let kind = Kind { what: "a size", hint: "units are B, KiB, MiB and GiB: `512B`, `64KiB`, `1MiB`" };
        self.quantity(at, text, value::size(text), &kind, 0, range, spell).unwrap_or(default)
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
        let (message, hint) = match read {
            Ok(value) if value == zero && range.zero.is_some() => return Some(value),
            Ok(value) if range.min <= value && value <= range.max => return Some(value),
            Ok(_) | Err(InvalidQuantity::Overflow) => {
                (format!("{} is out of range: {}", quoted(text), range.allowed(spell)), None)
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
        self.record(at, || Asked::Count([default, *range.start(), *range.end()].map(|number| number.to_string())));
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
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        at: &At<'_>,
        field: &Text,
        default: T,
        known: &[(&str, T)],
        later: &[&str],
    ) -> T {
        self.record(at, || Asked::Choice {
            names: known.iter().map(|(name, _)| (*name).to_owned()).collect(),
            default: known.iter().find(|(_, value)| *value == default).map(|(name, _)| (*name).to_owned()),
        });
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
        self.record(at, || Asked::Later(off.clone()));
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
        match no_name(text) {
            None => Some(text.into()),
            Some(why) => {
                self.report(position, at, why, None);
                None
            }
        }
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

/// In the order of the file, each once, not without end, and without secrets.
fn in_order(mut problems: Vec<Problem>, source: &Source, secrets: &Secrets) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    // What an alias repeats is wrong once.
    problems.dedup_by(|b, a| (&a.file, a.line, a.column, &a.message) == (&b.file, b.line, b.column, &b.message));
    problems.truncate(MOST_PROBLEMS);
    for problem in &mut problems {
        problem.hide(secrets);
        // Those of the values file have their place.
        if problem.file.is_empty() {
            problem.locate(&source.name, &source.text);
        }
    }
    problems
}

/// How to speak of a quantity.
struct Kind {
    what: &'static str,
    hint: &'static str,
}
