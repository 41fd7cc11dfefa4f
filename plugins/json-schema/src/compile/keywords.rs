//! Reading single keywords of a schema.

use std::borrow::Cow;

use cordboard_plugin_sdk::json::{Value, unquote};
use regex_lite::Regex;

use super::Compiled;
use crate::{
    check::number,
    schema::{Counts, NumberRule, Rule, Type},
};

/// Keywords that would change what fits, and are not known here.
const REFUSED: [(&str, &str); 9] = [
    ("unevaluatedItems", "is not supported"),
    ("unevaluatedProperties", "is not supported"),
    ("$dynamicRef", "is not supported; only $ref is"),
    ("$recursiveRef", "is not supported; only $ref is"),
    ("$dynamicAnchor", "is not supported; refer by a JSON Pointer"),
    ("$anchor", "is not supported; refer by a JSON Pointer"),
    ("dependencies", "is of an older draft; use dependentRequired or dependentSchemas"),
    ("additionalItems", "is of an older draft; use prefixItems and items"),
    ("divisibleBy", "is of an older draft; use multipleOf"),
];
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The value of a keyword.
pub(super) fn get<'s, 't>(schema: &'s Value<'t>, name: &str) -> Option<&'s Value<'t>> {
    let Value::Object(members) = schema else { return None };
    members.iter().rev().find(|(raw, _)| unquote(raw) == name).map(|(_, value)| value)
}

pub(super) fn refuse_unsupported(at: &str, schema: &Value<'_>) -> Compiled<()> {
    for (name, why) in REFUSED {
        if get(schema, name).is_some() {
            return Err(format!("{at}/{name}: {why}"));
        }
    }
    if get(schema, "$id").is_some() && !at.is_empty() {
        return Err(format!("{at}/$id: it is supported at the whole schema only"));
    }
    let draft = get(schema, "$schema").and_then(Value::as_string);
    if draft.is_some_and(|draft| draft.trim_end_matches('#') != DRAFT) {
        return Err(format!("{at}/$schema: only draft 2020-12 is supported, {DRAFT}"));
    }
    Ok(())
}

pub(super) fn types(value: &Value<'_>) -> Option<Vec<Type>> {
    let one = |value: &Value<'_>| {
        let text = value.as_string()?;
        Type::ALL.iter().find(|(name, _)| *name == text).map(|(_, kind)| *kind)
    };
    match value {
        Value::Array(all) if !all.is_empty() => all.iter().map(one).collect(),
        _ => one(value).map(|kind| vec![kind]),
    }
}

pub(super) fn numbers(at: &str, schema: &Value<'_>, rules: &mut Vec<Rule>) -> Compiled<()> {
    for (name, rule) in [
        ("minimum", NumberRule::Minimum),
        ("maximum", NumberRule::Maximum),
        ("exclusiveMinimum", NumberRule::ExclusiveMinimum),
        ("exclusiveMaximum", NumberRule::ExclusiveMaximum),
        ("multipleOf", NumberRule::MultipleOf),
    ] {
        let Some(value) = get(schema, name) else { continue };
        let number = number(value).ok_or_else(|| format!("{at}/{name}: it is no number"))?;
        if rule == NumberRule::MultipleOf && (!number.is_positive() || number.is_multiple_of(&number).is_none()) {
            return Err(format!("{at}/{name}: it is not above 0, or has more than 19 digits"));
        }
        rules.push(Rule::Number(rule, number));
    }
    Ok(())
}

pub(super) fn counts(at: &str, schema: &Value<'_>, least: &str, most: &str) -> Compiled<Option<Counts>> {
    let read = |name: &str| match get(schema, name) {
        None => Ok(None),
        Some(Value::Scalar(raw)) => {
            // 2.0 is a whole number, too.
            let whole = raw.strip_suffix(".0").unwrap_or(raw);
            whole.parse::<usize>().map(Some).map_err(|_| format!("{at}/{name}: it is no whole number, from 0"))
        }
        Some(_) => Err(format!("{at}/{name}: it is no whole number, from 0")),
    };
    let (least, most) = (read(least)?, read(most)?);
    if least.is_none() && most.is_none() {
        return Ok(None);
    }
    Ok(Some(Counts { least: least.unwrap_or(0), most: most.unwrap_or(usize::MAX) }))
}

pub(super) fn pattern(at: &str, text: Option<&str>) -> Compiled<Regex> {
    let text = text.ok_or_else(|| format!("{at}: it is no text"))?;
    Regex::new(text).map_err(|error| format!("{at}: {text:?}: {error}"))
}

pub(super) fn strings(value: &Value<'_>) -> Option<Vec<String>> {
    let Value::Array(all) = value else { return None };
    all.iter().map(|one| one.as_string().map(Cow::into_owned)).collect()
}
