//! The document as a tree: every value with the text that stands in the file, what YAML reads it as, and its place.
//!
//! [`At`] walks it beside the checks: it names a key (`routes[1].limits.idle`) and finds its position. A value that came
//! through an alias or a merge stands where it was written, a key where it is used; what is not in the file stands where
//! its nearest parent does. A node that is [wrong](Node::wrong) has been reported and counts as absent from then on.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, Value};
use serde_saphyr::{Location, Spanned};

/// A place in the file: line and column in characters, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Line.
    pub(crate) line: usize,
    /// Column, in characters.
    pub(crate) column: usize,
}

impl Position {
    /// The beginning of the file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        let from_1 = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        Self { line: from_1(location.line()), column: from_1(location.column()) }
    }
}

/// A value of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) at: Position,
    /// What it is.
    pub(crate) shape: Shape,
    /// Where its value came from, if that is not the file.
    pub(super) filled: Option<Arc<Filled>>,
    /// It has been reported and cannot be used.
    pub(super) wrong: bool,
}

/// What a placeholder stood for.
#[derive(Debug)]
pub(super) struct Filled {
    /// The placeholder's name, or those of several.
    pub(super) name: String,
    /// Whether some of it came from the values file or the environment: never repeated.
    pub(super) secret: bool,
}

/// A key of a map and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) key_at: Position,
    /// Its place in the map.
    order: usize,
    /// The value.
    pub(crate) node: Node,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(BTreeMap<String, Entry>),
}

/// A single value.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// As it stands in the file, quotes and escapes undone.
    pub(crate) text: String,
    /// What YAML reads it as: null, a boolean, a number or a text. None for a number that JSON cannot hold.
    pub(crate) value: Option<Value>,
    /// Byte range of the file, for the text of what is not a text.
    range: Option<(usize, usize)>,
}

impl Scalar {
    /// Null, or nothing at all.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.value, Some(Value::Null))
    }

    /// What YAML reads as a text.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self.value, Some(Value::String(_)))
    }

    /// A scalar that means what it would in JSON.
    pub(super) fn of(value: Value) -> Self {
        let text = match &value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self { text, value: Some(value), range: None }
    }
}

impl Node {
    /// A node that stands for a JSON value, all of it in one place.
    pub(super) fn of(value: Value, at: Position) -> Self {
        let shape = match value {
            Value::Array(items) => Shape::List(items.into_iter().map(|item| Self::of(item, at)).collect()),
            Value::Object(entries) => {
                let entries = entries.into_iter().enumerate();
                let entry = |(order, (key, value))| (key, Entry { key_at: at, order, node: Self::of(value, at) });
                Shape::Map(entries.map(entry).collect())
            }
            scalar => Shape::Scalar(Scalar::of(scalar)),
        };
        Self { at, shape, filled: None, wrong: false }
    }

    /// Null, or nothing at all.
    pub(super) const fn is_null(&self) -> bool {
        matches!(&self.shape, Shape::Scalar(scalar) if scalar.is_null())
    }

    /// The single value; none if it is something else, null or wrong.
    pub(super) const fn scalar(&self) -> Option<&Scalar> {
        match &self.shape {
            Shape::Scalar(scalar) if !self.wrong && !scalar.is_null() => Some(scalar),
            _ => None,
        }
    }

    /// The items of a list; none if it is something else or wrong.
    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.shape {
            Shape::List(items) if !self.wrong => Some(items),
            _ => None,
        }
    }

    /// The entries of a map; none if it is something else or wrong.
    pub(super) const fn map(&self) -> Option<&BTreeMap<String, Entry>> {
        match &self.shape {
            Shape::Map(entries) if !self.wrong => Some(entries),
            _ => None,
        }
    }

    /// As JSON, keys in the order of the file. A number that JSON cannot hold has been reported and is null.
    pub(super) fn json(&self) -> Value {
        match &self.shape {
            Shape::Scalar(scalar) => scalar.value.clone().unwrap_or_default(),
            Shape::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Shape::Map(entries) => {
                let entries = in_order(entries).into_iter();
                Value::Object(entries.map(|(key, entry)| (key.clone(), entry.node.json())).collect())
            }
        }
    }

    /// How many values there are in it, itself included.
    pub(super) fn size(&self) -> usize {
        1 + match &self.shape {
            Shape::Scalar(_) => 0,
            Shape::List(items) => items.iter().map(Self::size).sum(),
            Shape::Map(entries) => entries.values().map(|entry| entry.node.size()).sum(),
        }
    }

    /// Gives what is not a text the spelling of the file: `0x10`, `1e3`.
    pub(super) fn spell(&mut self, file: &str) {
        match &mut self.shape {
            Shape::Scalar(scalar) => {
                let range = scalar.range.take().and_then(|(start, length)| file.get(start..start.checked_add(length)?));
                // A tag or an anchor before it is not part of the value.
                let spelled =
                    range.map(str::trim).filter(|text| !text.is_empty() && !text.starts_with(['!', '&', '*']));
                if let Some(text) = spelled.filter(|_| !scalar.is_text()) {
                    text.clone_into(&mut scalar.text);
                }
            }
            Shape::List(items) => items.iter_mut().for_each(|item| item.spell(file)),
            Shape::Map(entries) => entries.values_mut().for_each(|entry| entry.node.spell(file)),
        }
    }
}

/// The entries of a map in the order of the file.
pub(crate) fn in_order(entries: &BTreeMap<String, Entry>) -> Vec<(&String, &Entry)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.order);
    entries
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { defined, value: mut shape, .. } = Spanned::<Shape>::deserialize(deserializer)?;
        if let Shape::Scalar(scalar) = &mut shape {
            let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
            scalar.range = number(defined.span().byte_offset()).zip(number(defined.span().byte_len()));
        }
        Ok(Self { at: defined.into(), shape, filled: None, wrong: false })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

fn scalar(value: impl Into<Value>) -> Shape {
    Shape::Scalar(Scalar::of(value.into()))
}

fn number(number: Option<Number>, text: String) -> Shape {
    Shape::Scalar(Scalar { text, value: number.map(Value::Number), range: None })
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(scalar(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(scalar(value))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Shape, E> {
        Ok(scalar(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Shape, E> {
        Ok(scalar(n))
    }

    fn visit_i128<E>(self, n: i128) -> Result<Shape, E> {
        Ok(number(Number::from_i128(n), n.to_string()))
    }

    fn visit_u128<E>(self, n: u128) -> Result<Shape, E> {
        Ok(number(Number::from_u128(n), n.to_string()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Shape, E> {
        Ok(number(Number::from_f64(n), n.to_string()))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Shape, E> {
        Ok(scalar(String::from_utf8_lossy(bytes)))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Node>()? {
            let order = entries.len();
            entries.insert(key.value, Entry { key_at: key.defined.into(), order, node });
        }
        Ok(Shape::Map(entries))
    }
}

/// A way into the document: what a check is looking at.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
    node: Option<&'a Node>,
    key: Position,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The document itself.
    pub(super) const fn root(node: &'a Node) -> Self {
        Self { parent: None, step: Step::Index(0), node: Some(node), key: Position::START }
    }

    /// The value of a key, which may be absent.
    pub(super) fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        let entry = match self.node.map(|node| &node.shape) {
            Some(Shape::Map(entries)) => entries.get(key),
            _ => None,
        };
        At {
            parent: Some(self),
            step: Step::Key(key),
            node: entry.map(|entry| &entry.node),
            key: entry.map_or_else(|| self.value(), |entry| entry.key_at),
        }
    }

    /// An item of a list.
    pub(super) fn index(&self, index: usize) -> At<'_> {
        let node = match self.node.map(|node| &node.shape) {
            Some(Shape::List(items)) => items.get(index),
            _ => None,
        };
        At { parent: Some(self), step: Step::Index(index), node, key: node.map_or_else(|| self.value(), |n| n.at) }
    }

    /// Where the value stands, or what is nearest to it.
    pub(super) fn value(&self) -> Position {
        self.node.map_or(self.key, |node| node.at)
    }

    /// Where the key stands, or what is nearest to it.
    pub(super) const fn name(&self) -> Position {
        self.key
    }

    /// Whether this, or what it is in, was reported before the checks began: nothing more is to be said of it.
    pub(super) fn is_wrong(&self) -> bool {
        self.node.is_some_and(|node| node.wrong) || self.parent.is_some_and(Self::is_wrong)
    }

    /// The value.
    pub(super) const fn node(&self) -> Option<&'a Node> {
        self.node
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(f)?;
        match self.step {
            // A key of the user's own may hold anything: escaped, because it goes to a terminal.
            Step::Key(key) => {
                write!(f, "{}{}", if parent.parent.is_some() { "." } else { "" }, super::diagnose::escaped(key))
            }
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}
