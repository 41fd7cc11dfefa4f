//! From an XML document to JSON.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use cordboard_plugin_sdk::json::{Value, quote};
use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};

use crate::{
    MAX_DEPTH, Refusal,
    chars::{is_blank, is_char, is_name},
    invalid,
};

/// What has been read of an element.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    /// In the order of their first ones; each name has at least one.
    children: Vec<(String, Vec<Value<'static>>)>,
    /// Where in `children` a name is.
    places: BTreeMap<String, usize>,
    text: String,
}

/// Reads a document.
///
/// # Errors
/// It is not well-formed, has a document type declaration, or goes too deep.
pub(crate) fn document(text: &str) -> Result<Value<'static>, Refusal> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let at = reader.buffer_position();
        let bad = |why: &str| invalid(format_args!("is no XML: {why} at byte {at}"));
        // The reader's own texts show the message.
        let event = reader.read_event().map_err(|_| bad("it is not well-formed"))?;
        let closed = match event {
            Event::Start(start) => {
                if open.len() == MAX_DEPTH {
                    return Err(bad("too many elements in one another"));
                }
                open.push(Element::begin(&start).map_err(|why| bad(&why))?);
                None
            }
            Event::Empty(start) => {
                if open.len() == MAX_DEPTH {
                    return Err(bad("too many elements in one another"));
                }
                Some(Element::begin(&start).map_err(|why| bad(&why))?)
            }
            Event::End(_) => open.pop(),
            Event::Text(text) if text.contains("]]>") => return Err(bad("\"]]>\" stands in a text")),
            Event::Text(text) => {
                push(open.last_mut(), &text.xml10_content()).map_err(|why| bad(&why))?;
                None
            }
            Event::CData(text) if !open.is_empty() => {
                push(open.last_mut(), &text.xml10_content()).map_err(|why| bad(&why))?;
                None
            }
            Event::GeneralRef(reference) if !open.is_empty() => {
                let char = reference.resolve_char_ref().map_err(|_| bad("a character is not one of XML's"))?;
                let resolved = match char {
                    Some(char) => Cow::Owned(char.to_string()),
                    None => Cow::Borrowed(
                        resolve_predefined_entity(&reference)
                            .ok_or_else(|| bad("an entity is not one of XML's five"))?,
                    ),
                };
                push(open.last_mut(), &resolved).map_err(|why| bad(&why))?;
                None
            }
            Event::CData(_) | Event::GeneralRef(_) => return Err(bad("text stands beside the root")),
            Event::Decl(_) if at > 0 => return Err(bad("the XML declaration is not at the beginning")),
            Event::DocType(_) => return Err(bad("a document type declaration is not accepted")),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
            Event::Eof if !open.is_empty() => return Err(bad("an element has no end")),
            Event::Eof => return root.ok_or_else(|| bad("there is no element")),
        };
        if let Some(element) = closed {
            let (name, value) = element.end();
            match open.last_mut() {
                Some(parent) => parent.adopt(name, value),
                None if root.is_some() => return Err(bad("there is more than one root")),
                None => root = Some(Value::Object(vec![(Cow::Owned(quote(&name)), value)])),
            }
        }
    }
}

/// Adds text to the element; beside the root there may be blanks only.
fn push(element: Option<&mut Element>, text: &str) -> Result<(), String> {
    if !text.chars().all(is_char) {
        return Err("a character is not one of XML's".to_owned());
    }
    match element {
        Some(element) => element.text.push_str(text),
        None if is_blank(text) => {}
        None => return Err("text stands beside the root".to_owned()),
    }
    Ok(())
}

impl Element {
    fn begin(start: &BytesStart<'_>) -> Result<Self, String> {
        let name = start.name().into_inner().to_owned();
        if !is_name(&name) {
            return Err("a name is not one of XML's".to_owned());
        }
        let mut attributes = Vec::new();
        let mut seen = BTreeSet::new();
        // The reader's own check for repeated names compares each with each.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|_| "an attribute is not well-formed")?;
            let key = attribute.key.into_inner();
            if !is_name(key) {
                return Err("a name is not one of XML's".to_owned());
            }
            if !seen.insert(key.to_owned()) {
                return Err("an attribute stands there twice".to_owned());
            }
            if attribute.value.contains('<') {
                return Err("\"<\" stands in an attribute".to_owned());
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|_| "an entity is not one of XML's five")?;
            if !value.chars().all(is_char) {
                return Err("a character is not one of XML's".to_owned());
            }
            attributes.push((format!("@{key}"), value.into_owned()));
        }
        Ok(Self { name, attributes, children: Vec::new(), places: BTreeMap::new(), text: String::new() })
    }

    fn adopt(&mut self, name: String, value: Value<'static>) {
        if let Some((_, same)) = self.places.get(&name).and_then(|place| self.children.get_mut(*place)) {
            same.push(value);
        } else {
            self.places.insert(name.clone(), self.children.len());
            self.children.push((name, vec![value]));
        }
    }

    /// Its name and what it is in JSON.
    fn end(self) -> (String, Value<'static>) {
        if self.attributes.is_empty() && self.children.is_empty() {
            return (self.name, Value::string(&self.text));
        }
        let member = |name: &str, value| (Cow::Owned(quote(name)), value);
        let mut members: Vec<_> =
            self.attributes.iter().map(|(name, value)| member(name, Value::string(value))).collect();
        members.extend(self.children.into_iter().map(|(name, mut same)| {
            let only = if same.len() == 1 { same.pop() } else { None };
            member(&name, only.unwrap_or(Value::Array(same)))
        }));
        if !is_blank(&self.text) {
            members.push(member("#text", Value::string(&self.text)));
        }
        (self.name, Value::Object(members))
    }
}
