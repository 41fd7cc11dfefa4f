//! `values.yml`: what fills the placeholders `${name:default}` of the other files.
//!
//! Names stand flat (`websocket-router.enabled: true`) or below the name of a file (`websocket-router: {enabled: true}`).
//! As in light-4j an empty value counts as none, so that the default is taken. Unlike light-4j, environment variables
//! are not looked at: those of this machine are not those of the gateway.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::document::{Entry, Node, Place, Value};
use crate::config::{Problem, diagnose::quoted};

/// How deep values may refer to values.
const MAX_DEPTH: usize = 8;

/// All values of all files, by their flat names.
#[derive(Debug, Default)]
pub(super) struct Values {
    entries: BTreeMap<String, Entry>,
    used: RefCell<BTreeSet<String>>,
}

impl Values {
    /// Adds a file. `sections` are the names whose keys may stand below them.
    pub(super) fn add(&mut self, root: &Node, sections: &[&str]) -> Result<(), Box<Problem>> {
        let entries = root.entries("websocket-router.enabled: true")?;
        for entry in entries {
            match &entry.node.value {
                Value::Map(inner) if sections.contains(&entry.key.as_str()) => {
                    for within in inner {
                        self.insert(Entry { key: format!("{}.{}", entry.key, within.key), ..within.clone() })?;
                    }
                }
                _ => self.insert(entry.clone())?,
            }
        }
        Ok(())
    }

    fn insert(&mut self, entry: Entry) -> Result<(), Box<Problem>> {
        match self.entries.get(&entry.key) {
            // The order of the files must not matter.
            Some(first) if !same(&first.node, &entry.node) => Err(entry.place.problem_with(
                format!("{} has another value in {}", quoted(&entry.key), first.place),
                "leave one of the two out",
            )),
            Some(_) => Ok(()),
            None => {
                self.entries.insert(entry.key.clone(), entry);
                Ok(())
            }
        }
    }

    /// A value by its name, from now on one that is used.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        let entry = self.entries.get(name)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some(entry)
    }

    /// The names that nobody asked for.
    pub(super) fn unused(&self) -> Vec<&Entry> {
        let used = self.used.borrow();
        self.entries.values().filter(|entry| !used.contains(&entry.key)).collect()
    }

    /// A tree without placeholders.
    pub(super) fn resolve(&self, node: &Node) -> Result<Node, Box<Problem>> {
        self.fill(node, 0)
    }

    fn fill(&self, node: &Node, depth: usize) -> Result<Node, Box<Problem>> {
        let value = match &node.value {
            Value::Null => Value::Null,
            Value::Scalar(text) => return self.fill_text(text, &node.place, depth),
            Value::List(items) => {
                Value::List(items.iter().map(|item| self.fill(item, depth)).collect::<Result<_, _>>()?)
            }
            Value::Map(entries) => {
                let entry = |entry: &Entry| {
                    let key = entry.key.contains("${").then(|| self.fill_text(&entry.key, &entry.place, depth));
                    let key = match key.transpose()? {
                        Some(node) => node.text("a key")?.to_owned(),
                        None => entry.key.clone(),
                    };
                    Ok(Entry { key, place: entry.place.clone(), node: self.fill(&entry.node, depth)? })
                };
                Value::Map(entries.iter().map(entry).collect::<Result<_, Box<Problem>>>()?)
            }
        };
        Ok(Node { place: node.place.clone(), value })
    }

    fn fill_text(&self, text: &str, place: &Place, depth: usize) -> Result<Node, Box<Problem>> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((inside, after)) = behind.split_once('}') else {
                return Err(place.problem_with("a placeholder has no end", "write `${name:default}`"));
            };
            let found = self.placeholder(inside, place, depth)?;
            if before.is_empty() && after.is_empty() && out.is_empty() {
                return Ok(found);
            }
            match found.value {
                Value::Scalar(text) => out.extend([before, &text]),
                Value::Null => out.push_str(before),
                Value::List(_) | Value::Map(_) => {
                    let message = format!("{} is a list or a map and stands within text", quoted(inside));
                    return Err(place.problem(message));
                }
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(Node { place: place.clone(), value: Value::Scalar(out) })
    }

    /// `name`, `name:default`, `name:?what to say where there is none` or `name:$`, which stays as it is.
    fn placeholder(&self, inside: &str, place: &Place, depth: usize) -> Result<Node, Box<Problem>> {
        if depth == MAX_DEPTH {
            return Err(place.problem(format!("{} refers to itself, or through too many others", quoted(inside))));
        }
        let (name, default) = match inside.split_once(':') {
            Some((name, default)) => (name.trim(), Some(default.trim())),
            None => (inside.trim(), None),
        };
        if name.is_empty() {
            return Err(place.problem_with("a placeholder has no name", "write `${name:default}`"));
        }
        let node = |value| Node { place: place.clone(), value };
        let given = match self.get(name) {
            Some(entry) => Some(self.fill(&entry.node, depth + 1)?),
            None => None,
        };
        let empty = |node: &Node| match &node.value {
            Value::Null => true,
            Value::Scalar(text) => text.is_empty(),
            Value::List(_) | Value::Map(_) => false,
        };
        match (given, default) {
            (Some(found), _) if !empty(&found) => Ok(found),
            (_, Some("$")) => Err(place.problem_with(
                format!("the placeholder of {} is escaped, and its text would stay as it is", quoted(name)),
                "no value here can hold `${`; write what is meant",
            )),
            (_, Some(default)) => match default.strip_prefix('?') {
                Some(why) => Err(place.problem(format!("{} has no value: {}", quoted(name), quoted(why)))),
                None => Ok(node(Value::Scalar(default.to_owned()))),
            },
            // Named, and left empty.
            (Some(found), None) => Ok(found),
            (None, None) => Err(place.problem_with(
                format!("{} has neither a value nor a default", quoted(name)),
                "give it in a values.yml and import that, too; environment variables are not looked at",
            )),
        }
    }
}

fn same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(one), Value::Scalar(other)) => one == other,
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.key == other.key && same(&one.node, &other.node))
        }
        _ => false,
    }
}
