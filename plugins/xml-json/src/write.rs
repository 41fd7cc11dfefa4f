//! From JSON to an XML document.

use std::{borrow::Cow, collections::BTreeSet};

use cordboard_plugin_sdk::json::{Value, unquote};

use crate::{
    MAX_DEPTH, Refusal,
    chars::{is_char, is_name},
    invalid,
};

/// Writes a document of so many bytes at most.
///
/// # Errors
/// The mapping has no XML for it, or it grows too long.
pub(crate) fn document(value: &Value<'_>, longest: usize) -> Result<String, Refusal> {
    let Value::Object(members) = value else { return Err(invalid("is no object with one member, the root element")) };
    let [(name, root)] = members.as_slice() else {
        return Err(invalid(format_args!("has {} members; an XML document has one root element", members.len())));
    };
    if matches!(root, Value::Array(_)) {
        return Err(invalid("has an array as its root; an XML document has one root element"));
    }
    let mut document = Document { text: String::new(), longest };
    document.elements(&unquote(name), root, 1)?;
    Ok(document.text)
}

struct Document {
    text: String,
    longest: usize,
}

/// Where a text stands, for what must be escaped there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Element,
    Attribute,
}

impl Document {
    fn push(&mut self, text: &str) -> Result<(), Refusal> {
        if self.text.len() + text.len() > self.longest {
            return Err(Refusal::TooLong);
        }
        self.text.push_str(text);
        Ok(())
    }

    /// The element of a value, or those of an array.
    fn elements(&mut self, name: &str, value: &Value<'_>, depth: usize) -> Result<(), Refusal> {
        if !is_name(name) {
            return Err(invalid(format_args!("has a member whose name is not one of XML's: {name:?}")));
        }
        if depth > MAX_DEPTH {
            return Err(invalid(format_args!("has more than {MAX_DEPTH} elements in one another")));
        }
        let Value::Array(all) = value else { return self.element(name, value, depth) };
        for value in all {
            if matches!(value, Value::Array(_)) {
                return Err(invalid("has an array in an array"));
            }
            self.element(name, value, depth)?;
        }
        Ok(())
    }

    fn element(&mut self, name: &str, value: &Value<'_>, depth: usize) -> Result<(), Refusal> {
        self.push("<")?;
        self.push(name)?;
        if let Value::Object(members) = value {
            self.attributes(members)?;
        }
        self.push(">")?;
        let begin = self.text.len();
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    match unquote(key).as_ref() {
                        attribute if attribute.starts_with('@') => {}
                        "#text" => self.scalar(member, In::Element)?,
                        child => self.elements(child, member, depth + 1)?,
                    }
                }
            }
            scalar => self.scalar(scalar, In::Element)?,
        }
        if self.text.len() == begin {
            self.text.pop();
            return self.push("/>");
        }
        self.push("</")?;
        self.push(name)?;
        self.push(">")
    }

    fn attributes(&mut self, members: &[(Cow<'_, str>, Value<'_>)]) -> Result<(), Refusal> {
        let mut seen = BTreeSet::new();
        for (key, value) in members {
            let key = unquote(key);
            let Some(name) = key.strip_prefix('@') else { continue };
            if !is_name(name) {
                return Err(invalid(format_args!("has a member whose name is not one of XML's: {key:?}")));
            }
            if *value == Value::NULL {
                continue;
            }
            if !seen.insert(name.to_owned()) {
                return Err(invalid(format_args!("has an attribute twice: {key:?}")));
            }
            self.push(" ")?;
            self.push(name)?;
            self.push("=\"")?;
            self.scalar(value, In::Attribute)?;
            self.push("\"")?;
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value<'_>, place: In) -> Result<(), Refusal> {
        let text = match value {
            Value::Scalar(raw) if raw == "null" => return Ok(()),
            Value::Scalar(raw) => unquote(raw),
            Value::Array(_) | Value::Object(_) => return Err(invalid("has more than text as an attribute or text")),
        };
        let mut rest = text.as_ref();
        while let Some(at) = rest.find(|char| escape(char, place).is_some() || !is_char(char)) {
            let (plain, special) = rest.split_at(at);
            self.push(plain)?;
            let mut chars = special.chars();
            let escaped = chars.next().and_then(|char| escape(char, place));
            self.push(escaped.ok_or_else(|| invalid("has a character that XML does not have"))?)?;
            rest = chars.as_str();
        }
        self.push(rest)
    }
}

/// What must not stand there as it is. Line breaks and tabs would be read as others, or as spaces.
const fn escape(char: char, place: In) -> Option<&'static str> {
    match (char, place) {
        ('&', _) => Some("&amp;"),
        ('<', _) => Some("&lt;"),
        ('>', _) => Some("&gt;"),
        ('\r', _) => Some("&#13;"),
        ('"', In::Attribute) => Some("&quot;"),
        ('\n', In::Attribute) => Some("&#10;"),
        ('\t', In::Attribute) => Some("&#9;"),
        _ => None,
    }
}
