//! Where things stand in the file: the document's shape with lines and columns, without its values.
//!
//! The typed structs of `file` know what was written, this tree knows where. [`At`] walks it beside the checks: it
//! names a key (`routes[1].limits.idle`) and finds its position. A value that came through an alias or a merge stands
//! where it was written, a key where it is used; what is not in the file stands where its nearest parent does.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
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
#[derive(Debug)]
pub(super) struct Node {
    at: Position,
    shape: Shape,
}

/// A key of a map and its value.
#[derive(Debug)]
struct Entry {
    key_at: Position,
    node: Node,
}

#[derive(Debug)]
enum Shape {
    Scalar { placeholder: bool },
    List(Vec<Node>),
    Map(BTreeMap<String, Entry>),
}

/// Whether a scalar holds what later versions fill in (`${NAME:default}`), or its escape.
fn is_placeholder(text: &str) -> bool {
    text.contains("${")
}

impl Node {
    /// The places of all keys and values that hold `${`.
    pub(super) fn placeholders(&self) -> Vec<Position> {
        let mut found = Vec::new();
        // The depth of the document is bounded by the YAML reader.
        self.collect_placeholders(&mut found);
        found
    }

    fn collect_placeholders(&self, found: &mut Vec<Position>) {
        match &self.shape {
            Shape::Scalar { placeholder: true } => found.push(self.at),
            Shape::Scalar { placeholder: false } => {}
            Shape::List(items) => items.iter().for_each(|item| item.collect_placeholders(found)),
            Shape::Map(entries) => {
                for (key, entry) in entries {
                    if is_placeholder(key) {
                        found.push(entry.key_at);
                    }
                    entry.node.collect_placeholders(found);
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self { at: spanned.defined.into(), shape: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl ShapeVisitor {
    const PLAIN: Shape = Shape::Scalar { placeholder: false };
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar { placeholder: is_placeholder(text) })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Self::PLAIN)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Self::PLAIN)
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
            entries.insert(key.value, Entry { key_at: key.defined.into(), node });
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
