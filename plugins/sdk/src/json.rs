//! JSON texts that are edited in places and otherwise stay as they are.
//!
//! What is not edited comes out as it was written: numbers with all their digits, strings with their escapes, members in
//! their order, those of equal name among them. Only the blanks between tokens go. [`Pointer`] says where to edit.
//!
//! ```
//! use cordboard_plugin_sdk::json::{self, Pointer, Value};
//!
//! let mut value = json::parse(r#"{"id": 12345678901234567890123, "cards": [{"no": "4711"}, {"no": "4712"}]}"#)?;
//! Pointer::parse("/cards/*/no").unwrap().each(&mut value, |no| *no = Value::string("***"));
//! assert_eq!(value.to_string(), r#"{"id":12345678901234567890123,"cards":[{"no":"***"},{"no":"***"}]}"#);
//! # Ok::<(), json::Invalid>(())
//! ```

mod parse;
mod pointer;

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

pub use parse::{Invalid, MAX_DEPTH, parse};
pub use pointer::Pointer;

/// A value of a JSON text, borrowed from it as far as it was not edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'t> {
    /// A string, number, `true`, `false` or `null`, as it is written in JSON.
    Scalar(Cow<'t, str>),
    /// The elements.
    Array(Vec<Value<'t>>),
    /// The members in order. Names are as they are written in JSON, quotes and escapes included.
    Object(Vec<(Cow<'t, str>, Value<'t>)>),
}

impl<'t> Value<'t> {
    /// `null`
    pub const NULL: Self = Self::Scalar(Cow::Borrowed("null"));

    /// A string of this text.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::Scalar(Cow::Owned(quote(text)))
    }

    /// The text of a string; none where this is no string. See [`unquote`].
    #[must_use]
    pub fn as_string(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Scalar(raw) if raw.starts_with('"') => Some(unquote(raw)),
            _ => None,
        }
    }

    /// A value that borrows from nothing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Scalar(raw) => Value::Scalar(Cow::Owned(raw.into_owned())),
            Self::Array(elements) => Value::Array(elements.into_iter().map(Value::into_owned).collect()),
            Self::Object(members) => Value::Object(
                members.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect(),
            ),
        }
    }

    /// The values of the members of this name, in order; more than one where the name stands there twice.
    pub fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value<'t>> {
        let members = if let Self::Object(members) = self { members.as_slice() } else { &[] };
        members.iter().filter(move |(raw, _)| is_named(raw, name)).map(|(_, value)| value)
    }
}

/// Writes JSON without blanks.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(raw) => f.write_str(raw),
            Self::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    f.write_char(if index == 0 { '[' } else { ',' })?;
                    element.fmt(f)?;
                }
                f.write_str(if elements.is_empty() { "[]" } else { "]" })
            }
            Self::Object(members) => {
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_char(if index == 0 { '{' } else { ',' })?;
                    f.write_str(name)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

/// The text as a JSON string. Only what must be escaped is (RFC 8259 §7).
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..='\u{1f}' => quoted.extend([format!("\\u{:04x}", u32::from(char))]),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// The text that a JSON string stands for. Half a surrogate pair, which no text can hold, becomes U+FFFD.
#[must_use]
pub fn unquote(raw: &str) -> Cow<'_, str> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut units: Vec<u16> = Vec::new();
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let escaped = if char == '\\' { chars.next() } else { None };
        if escaped == Some('u') {
            let digits = chars.as_str().get(..4).unwrap_or_default();
            units.push(u16::from_str_radix(digits, 16).unwrap_or(0xFFFD));
            chars = chars.as_str().get(4..).unwrap_or_default().chars();
            continue;
        }
        flush(&mut units, &mut text);
        text.push(match escaped {
            None => char,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(other) => other,
        });
    }
    flush(&mut units, &mut text);
    Cow::Owned(text)
}

/// Escapes in a row are UTF-16.
fn flush(units: &mut Vec<u16>, text: &mut String) {
    text.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Whether this is the name, escaped or not.
fn is_named(raw: &str, name: &str) -> bool {
    unquote(raw) == name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
