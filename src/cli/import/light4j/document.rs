//! A YAML file of light-4j as a tree that knows where everything stands.
//!
//! Every scalar is kept as text: light-4j turns text into numbers and booleans itself, and so do those who read this.
//! The reader's own bounds hold: size, depth, number of values and what aliases may add up to.

use std::{fmt, sync::Arc};

use serde_json::Value as Json;

use crate::config::{
    Problem,
    diagnose::escaped,
    tree::{self, Position, Shape},
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
        match yaml::read(&source.text) {
            Ok(node) => Ok(Self::of(&node, source)),
            Err(mut problem) => {
                problem.locate(&source.name, &source.text);
                Err(problem)
            }
        }
    }

    fn of(node: &tree::Node, source: &Arc<Source>) -> Self {
        let place = |at| Place { source: Arc::clone(source), at };
        let value = match &node.shape {
            Shape::Scalar(scalar) => match &scalar.value {
                Some(Json::Null) => Value::Null,
                // As it is read, not as it is spelled: `0x10` is 16.
                Some(value @ (Json::Bool(_) | Json::Number(_))) => Value::Scalar(value.to_string()),
                _ => Value::Scalar(scalar.text.clone()),
            },
            Shape::List(items) => Value::List(items.iter().map(|item| Self::of(item, source)).collect()),
            Shape::Map(entries) => {
                let entry = |(key, entry): (&String, &tree::Entry)| Entry {
                    key: key.clone(),
                    place: place(entry.key_at),
                    node: Self::of(&entry.node, source),
                };
                Value::Map(tree::in_order(entries).into_iter().map(entry).collect())
            }
        };
        Self { place: place(node.at), value }
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
