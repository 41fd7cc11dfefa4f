//! What the values of the configuration file are made of: scalars, lists, maps, and how each is read from the document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{shape::Form, tree::Node};

/// A part of the file: the form that belongs there, and how it is read.
pub(super) trait Part: Default {
    /// What belongs there.
    fn form() -> Form;

    /// Reads it. What does not have its form has been reported; the default stands in for it.
    fn read(node: &Node) -> Self;
}

/// A key of the file with its value.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there and its value is null or blank.
    Null,
    /// The key has a value.
    Set(T),
}

impl<T: Part> Part for Field<T> {
    fn form() -> Form {
        T::form()
    }

    fn read(node: &Node) -> Self {
        match node {
            node if node.wrong => Self::Absent,
            node if node.is_null() => Self::Null,
            node => Self::Set(T::read(node)),
        }
    }
}

/// A scalar, as the text that stands in the file.
pub(super) type Text = Field<String>;

impl Part for String {
    fn form() -> Form {
        Form::Scalar
    }

    fn read(node: &Node) -> Self {
        node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default()
    }
}

impl<T: Part> Part for Option<T> {
    fn form() -> Form {
        T::form()
    }

    fn read(node: &Node) -> Self {
        (!node.wrong && !node.is_null()).then(|| T::read(node))
    }
}

impl<T: Part> Part for Vec<T> {
    fn form() -> Form {
        Form::List(Box::new(T::form()))
    }

    fn read(node: &Node) -> Self {
        node.list().unwrap_or_default().iter().map(T::read).collect()
    }
}

impl<T: Part> Part for BTreeMap<String, T> {
    fn form() -> Form {
        Form::Map(Box::new(T::form()))
    }

    fn read(node: &Node) -> Self {
        node.map().into_iter().flatten().map(|(key, entry)| (key.clone(), T::read(&entry.node))).collect()
    }
}

impl Part for Map<String, Value> {
    fn form() -> Form {
        Form::Object
    }

    fn read(node: &Node) -> Self {
        match node.json() {
            Value::Object(object) if !node.wrong => object,
            _ => Self::new(),
        }
    }
}

/// A key that this version knows of and does not implement; none when it is absent.
#[derive(Debug, Default)]
pub(super) struct Later(pub(super) Option<Value>);

impl Part for Later {
    fn form() -> Form {
        Form::Later
    }

    fn read(node: &Node) -> Self {
        Self((!node.wrong).then(|| node.json()))
    }
}

/// Whatever stands there, as JSON.
#[derive(Debug, Default)]
pub(super) struct Any(pub(super) Value);

impl Part for Any {
    fn form() -> Form {
        Form::Any
    }

    fn read(node: &Node) -> Self {
        Self(if node.wrong { Value::Null } else { node.json() })
    }
}
