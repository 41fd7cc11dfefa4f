//! A YAML file of light-4j as a tree that knows where everything stands.
//!
//! Every scalar is kept as text: light-4j turns text into numbers and booleans itself, and so do those who read this.
//! The reader's own bounds hold: size, depth, number of values and what aliases may add up to.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::config::{
    Problem,
    diagnose::escaped,
    tree::Position,
    yaml::{self, MAX_BYTES},
};

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// As it was given.
    pub(super) name: String,
    /// What it holds.
    pub(super) text: String,
}

impl Source {
    /// Its name without folders, for comments.
    pub(super) fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// Where something stands; shown as `file:line`.
#[derive(Clone, Debug)]
pub(super) struct Place {
    source: Arc<Source>,
    at: Position,
}

impl Place {
    /// Something wrong here.
    pub(super) fn problem(&self, message: impl Into<String>) -> Box<Problem> {
        let mut problem = Problem::new(self.at, String::new(), message.into());
        problem.locate(&self.source.name, &self.source.text);
        Box::new(problem)
    }

    /// The same with what would be right.
    pub(super) fn problem_with(&self, message: impl Into<String>, hint: &str) -> Box<Problem> {
        Box::new(self.problem(message).with_hint(hint))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escaped(self.source.short()), self.at.line)
    }
}

/// A value of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Null, or nothing at all.
    Null,
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    /// Reads a file.
    pub(super) fn parse(source: &Arc<Source>) -> Result<Self, Box<Problem>> {
        if source.text.len() > MAX_BYTES {
            let place = Place { source: Arc::clone(source), at: Position::START };
            return Err(place.problem(format!("the file is larger than {} MiB", MAX_BYTES >> 20)));
        }
        match yaml::read_as::<Raw>(&source.text) {
            Ok(raw) => Ok(raw.within(source)),
            Err(mut problem) => {
                problem.locate(&source.name, &source.text);
                Err(problem)
            }
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self, what: &str) -> Result<&str, Box<Problem>> {
        match &self.value {
            Value::Scalar(text) => Ok(text),
            Value::Null => Err(self.place.problem_with("a value is missing here", what)),
            Value::List(_) | Value::Map(_) => Err(self.place.problem_with("a single value belongs here", what)),
        }
    }

    /// The items of a list; nothing has none.
    pub(super) fn items(&self, what: &str) -> Result<&[Self], Box<Problem>> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Null => Ok(&[]),
            Value::Scalar(_) | Value::Map(_) => Err(self.place.problem_with("a list belongs here", what)),
        }
    }

    /// The entries of a map; nothing has none.
    pub(super) fn entries(&self, what: &str) -> Result<&[Entry], Box<Problem>> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            Value::Null => Ok(&[]),
            Value::Scalar(_) | Value::List(_) => {
                Err(self.place.problem_with("a map of keys and values belongs here", what))
            }
        }
    }
}

/// The tree before it knows its file.
struct Raw {
    at: Position,
    shape: Shape,
}

enum Shape {
    Null,
    Scalar(String),
    List(Vec<Raw>),
    Map(Vec<(Position, String, Raw)>),
}

impl Raw {
    fn within(self, source: &Arc<Source>) -> Node {
        let place = |at| Place { source: Arc::clone(source), at };
        let value = match self.shape {
            Shape::Null => Value::Null,
            Shape::Scalar(text) => Value::Scalar(text),
            Shape::List(items) => Value::List(items.into_iter().map(|item| item.within(source)).collect()),
            Shape::Map(entries) => {
                let entry = |(at, key, raw): (_, _, Self)| Entry { key, place: place(at), node: raw.within(source) };
                Value::Map(entries.into_iter().map(entry).collect())
            }
        };
        Node { place: place(self.at), value }
    }
}

impl<'de> Deserialize<'de> for Raw {
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

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        // So that 1.0 stays 1.0.
        Ok(Shape::Scalar(format!("{value:?}")))
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, raw)) = map.next_entry::<Spanned<String>, Raw>()? {
            entries.push((key.defined.into(), key.value, raw));
        }
        Ok(Shape::Map(entries))
    }
}
