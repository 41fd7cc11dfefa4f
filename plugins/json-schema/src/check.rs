//! Whether a value fits a schema.

use std::collections::BTreeSet;

use cordboard_plugin_sdk::json::{self, Value, unquote};

use crate::{
    number::Number,
    schema::{Counts, Items, Members, NumberRule, Place, Rule, Schema, Type, Violation},
};

type Checked = Result<(), Violation>;

impl Schema {
    /// Whether the value fits.
    ///
    /// # Errors
    /// The first place where it does not.
    pub(crate) fn check(&self, value: &Value<'_>) -> Checked {
        self.fits(0, value)
    }

    fn fits(&self, place: Place, value: &Value<'_>) -> Checked {
        self.parts[place].rules.iter().try_for_each(|rule| self.holds(rule, value))
    }

    fn holds(&self, rule: &Rule, value: &Value<'_>) -> Checked {
        let is_there = |name: &str| value.members(name).next().is_some();
        match (rule, value) {
            (Rule::Never, _) => no("is not allowed"),
            (Rule::Types(types), _) => {
                let is = types.iter().any(|one| is_of(*one, value));
                yes_or(is, || {
                    format!("is not of type {}", types.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or "))
                })
            }
            (Rule::Enum(all), _) => {
                yes_or(all.contains(&canonical(value)), || "is none of the values allowed".to_owned())
            }
            (Rule::Number(rule, bound), Value::Scalar(_)) => {
                number(value).map_or(Ok(()), |number| compare(*rule, &number, bound))
            }
            (Rule::Length(counts), Value::Scalar(_)) => {
                value.as_string().map_or(Ok(()), |text| counted(text.chars().count(), *counts, "characters"))
            }
            (Rule::Pattern(pattern), Value::Scalar(_)) => {
                let is = value.as_string().is_none_or(|text| pattern.is_match(&text));
                yes_or(is, || format!("does not match {pattern}"))
            }
            (Rule::Items(items), Value::Array(all)) => self.items(items, all),
            (Rule::Contains(place, counts), Value::Array(all)) => {
                let count = all.iter().filter(|one| self.fits(*place, one).is_ok()).count();
                counted(count, *counts, "elements of the kind it must contain")
            }
            (Rule::ItemCount(counts), Value::Array(all)) => counted(all.len(), *counts, "elements"),
            (Rule::Unique, Value::Array(all)) => {
                let mut seen = BTreeSet::new();
                let unique = all.iter().all(|one| seen.insert(canonical(one)));
                yes_or(unique, || "has the same element twice".to_owned())
            }
            (Rule::Members(rule), Value::Object(members)) => members.iter().try_for_each(|(raw, member)| {
                let name = unquote(raw);
                self.member(rule, &name, member).map_err(|violation| violation.under(&name))
            }),
            (Rule::MemberCount(counts), Value::Object(members)) => counted(members.len(), *counts, "members"),
            (Rule::Names(place), Value::Object(members)) => members.iter().try_for_each(|(raw, _)| {
                let fits = self.fits(*place, &Value::Scalar(raw.as_ref().into()));
                fits.map_err(|violation| Violation {
                    at: String::new(),
                    why: format!("has a name that {}", violation.why),
                })
            }),
            (Rule::Required(names), Value::Object(_)) => all_there(names, is_there),
            (Rule::DependentRequired(name, names), Value::Object(_)) if is_there(name) => all_there(names, is_there),
            (Rule::DependentSchema(name, place), Value::Object(_)) if is_there(name) => self.fits(*place, value),
            (Rule::All(places), _) => places.iter().try_for_each(|place| self.fits(*place, value)),
            (Rule::Any(places), _) => {
                let is = places.iter().any(|place| self.fits(*place, value).is_ok());
                yes_or(is, || "fits none of the schemas of which it must fit one".to_owned())
            }
            (Rule::One(places), _) => {
                let fitting = places.iter().filter(|place| self.fits(**place, value).is_ok()).count();
                yes_or(fitting == 1, || format!("fits {fitting} of the schemas of which it must fit exactly one"))
            }
            (Rule::Not(place), _) => {
                yes_or(self.fits(*place, value).is_err(), || "fits the schema that it must not fit".to_owned())
            }
            (Rule::If { condition, then, otherwise }, _) => {
                let next = if self.fits(*condition, value).is_ok() { then } else { otherwise };
                next.map_or(Ok(()), |place| self.fits(place, value))
            }
            _ => Ok(()),
        }
    }

    fn items(&self, items: &Items, all: &[Value<'_>]) -> Checked {
        for (index, element) in all.iter().enumerate() {
            if let Some(place) = items.prefix.get(index).copied().or(items.rest) {
                self.fits(place, element).map_err(|violation| violation.under(&index.to_string()))?;
            }
        }
        Ok(())
    }

    fn member(&self, rule: &Members, name: &str, value: &Value<'_>) -> Checked {
        let mut known = false;
        for (_, place) in rule.named.iter().filter(|(known, _)| known == name) {
            known = true;
            self.fits(*place, value)?;
        }
        for (_, place) in rule.patterns.iter().filter(|(pattern, _)| pattern.is_match(name)) {
            known = true;
            self.fits(*place, value)?;
        }
        match rule.others {
            Some(place) if !known => self.fits(place, value),
            _ => Ok(()),
        }
    }
}

impl Violation {
    fn under(mut self, segment: &str) -> Self {
        self.at.insert_str(0, &segment.replace('~', "~0").replace('/', "~1"));
        self.at.insert(0, '/');
        self
    }
}

/// The number; none where this is none.
pub(crate) fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Scalar(raw) if raw.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            Some(Number::read(raw))
        }
        _ => None,
    }
}

/// A text that values have in common exactly where JSON Schema calls them equal.
pub(crate) fn canonical(value: &Value<'_>) -> String {
    match value {
        Value::Scalar(raw) => number(value).map_or_else(
            || if raw.starts_with('"') { json::quote(&unquote(raw)) } else { raw.to_string() },
            |number| number.canonical(),
        ),
        Value::Array(all) => format!("[{}]", all.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut all: Vec<(String, String)> =
                members.iter().map(|(name, value)| (json::quote(&unquote(name)), canonical(value))).collect();
            all.sort_unstable();
            format!("{{{}}}", all.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(","))
        }
    }
}

fn is_of(kind: Type, value: &Value<'_>) -> bool {
    match (kind, value) {
        (Type::Array, Value::Array(_)) | (Type::Object, Value::Object(_)) => true,
        (Type::Null, Value::Scalar(raw)) => raw == "null",
        (Type::Boolean, Value::Scalar(raw)) => raw == "true" || raw == "false",
        (Type::String, Value::Scalar(raw)) => raw.starts_with('"'),
        (Type::Number, _) => number(value).is_some(),
        (Type::Integer, _) => number(value).is_some_and(|number| number.is_integer()),
        _ => false,
    }
}

fn compare(rule: NumberRule, number: &Number, bound: &Number) -> Checked {
    let (is, why) = match rule {
        NumberRule::Minimum => (number >= bound, "is too small"),
        NumberRule::ExclusiveMinimum => (number > bound, "is too small"),
        NumberRule::Maximum => (number <= bound, "is too great"),
        NumberRule::ExclusiveMaximum => (number < bound, "is too great"),
        NumberRule::MultipleOf => (number.is_multiple_of(bound) == Some(true), "is not a multiple of what it must be"),
    };
    yes_or(is, || why.to_owned())
}

fn counted(count: usize, counts: Counts, what: &str) -> Checked {
    if count < counts.least {
        no(&format!("has {count} {what}, fewer than {}", counts.least))
    } else {
        yes_or(count <= counts.most, || format!("has {count} {what}, more than {}", counts.most))
    }
}

fn all_there(names: &[String], is_there: impl Fn(&str) -> bool) -> Checked {
    names.iter().find(|name| !is_there(name)).map_or(Ok(()), |name| no(&format!("lacks the member {name:?}")))
}

fn yes_or(is: bool, why: impl FnOnce() -> String) -> Checked {
    if is { Ok(()) } else { no(&why()) }
}

fn no(why: &str) -> Checked {
    Err(Violation { at: String::new(), why: why.to_owned() })
}
