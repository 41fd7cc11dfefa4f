//! Placeholders: `${NAME}` and `${NAME:default}` in single values of the file.
//!
//! A name is looked up in the values file, then in the environment (`.` and `-` as `_`, in capitals); then the default
//! counts. What is found is put into the parsed value and never read as YAML, so that no value can change the structure
//! around it. A value that is a placeholder and nothing else takes the type of what is found: booleans, null and numbers
//! as JSON has them, lists and maps written as JSON, and whatever type it has in the values file. `$${` stands for `${`.
//! Braces within a default come in pairs. What came from outside is never repeated in a message.

use std::{collections::BTreeMap, mem, sync::Arc};

use serde_json::{Number, Value};

use super::{
    Values,
    diagnose::{Problem, escaped, quoted},
    secrets::Secrets,
    trail::Trail,
    tree::{Entry, Filled, Node, Position, Scalar, Shape},
    yaml,
};

/// Most bytes that placeholders may add up to; a value that is a list or a map counts 16 for each value in it.
const MAX_FILLED: usize = yaml::MAX_BYTES;

/// The values file, read: names and what they stand for.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeMap<String, Entry>,
    /// The file cannot be read: what a placeholder stands for is not known, and nothing is to be said of it.
    broken: bool,
}

impl Names {
    /// Of a file that cannot be read.
    pub(super) const BROKEN: Self = Self { known: BTreeMap::new(), broken: true };

    /// Reads a values file: a map from names to values.
    ///
    /// # Errors
    /// Problems without an excerpt and without values: what stands in the file may be a secret.
    pub(super) fn read(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > yaml::MAX_BYTES {
            let message = format!("the values file is larger than {} MiB", yaml::MAX_BYTES >> 20);
            return Err(vec![Problem::new(Position::START, String::new(), message)]);
        }
        let node = yaml::read_quietly(text).map_err(|problem| vec![*problem])?;
        let entries = match node.shape {
            Shape::Map(entries) => entries,
            Shape::Scalar(scalar) if scalar.is_null() => return Ok(Self::default()),
            _ => {
                let message = "a map from names to values belongs here".to_owned();
                return Err(vec![Problem::new(node.at, String::new(), message)]);
            }
        };
        let bad = entries.iter().filter(|(name, _)| !is_name(name)).map(|(name, entry)| {
            let hint = "a name has ASCII letters, digits, `.`, `_` and `-`";
            Problem::new(entry.key_at, String::new(), format!("{} is not a name", quoted(name))).with_hint(hint)
        });
        let bad: Vec<_> = bad.collect();
        if bad.is_empty() { Ok(Self { known: entries, broken: false }) } else { Err(bad) }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

/// The environment variable for a name.
fn variable(name: &str) -> String {
    name.replace(['.', '-'], "_").to_ascii_uppercase()
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands there.
    Text(&'a str),
    /// A placeholder.
    Placeholder {
        /// Its name.
        name: &'a str,
        /// What it stands for if nothing else is found.
        default: Option<&'a str>,
    },
}

/// Takes a text apart; none if there is nothing to fill in or to undo.
///
/// # Errors
/// What is wrong with a placeholder.
pub(super) fn pieces(text: &str) -> Result<Option<Vec<Piece<'_>>>, &'static str> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, found) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = &found[2..];
            continue;
        }
        pieces.push(Piece::Text(before));
        let body = &found[2..];
        let length = closing(body).ok_or("a placeholder without its `}`")?;
        let (name, default) = match body[..length].split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (&body[..length], None),
        };
        if !is_name(name) {
            return Err("a placeholder whose name is not ASCII letters, digits, `.`, `_` and `-`");
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err("a placeholder in the default of another");
        }
        pieces.push(Piece::Placeholder { name, default });
        rest = &body[length + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(Some(pieces))
}

/// Where the brace is that closes what was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, c) in text.bytes().enumerate() {
        match c {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Fills all placeholders of a document. What cannot be filled is reported and marked as wrong.
pub(super) fn fill(root: &mut Node, values: &Values<'_>, names: &Names) -> (Vec<Problem>, Secrets) {
    let mut filler = Filler { values, names, left: MAX_FILLED, secrets: Secrets::default() };
    let mut trail = Trail::default();
    filler.node(&mut trail, root);
    (trail.problems(), filler.secrets)
}

struct Filler<'a> {
    values: &'a Values<'a>,
    names: &'a Names,
    left: usize,
    secrets: Secrets,
}

impl Filler<'_> {
    fn node(&mut self, trail: &mut Trail, node: &mut Node) {
        match &mut node.shape {
            Shape::Scalar(scalar) => {
                if scalar.is_text() && scalar.text.contains("${") {
                    let text = mem::take(&mut scalar.text);
                    self.scalar(trail, node, &text);
                }
            }
            Shape::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    trail.index(index, |trail| self.node(trail, item));
                }
            }
            Shape::Map(entries) => {
                for (key, entry) in entries.iter_mut() {
                    trail.key(key, |trail| self.node(trail, &mut entry.node));
                }
                keys(trail, entries);
            }
        }
    }

    fn scalar(&mut self, trail: &mut Trail, node: &mut Node, text: &str) {
        let at = node.at;
        match pieces(text) {
            Ok(None) => node.shape = Shape::Scalar(Scalar::of(text.into())),
            Ok(Some(pieces)) => match self.filled(trail, at, &pieces) {
                Some(filled) => *node = filled,
                None => node.wrong = true,
            },
            Err(why) => {
                let hint = "write `${NAME}` or `${NAME:default}`; `$${` stands for `${`".to_owned();
                trail.report(at, why, Some(hint));
                node.wrong = true;
            }
        }
    }

    /// The value that the pieces make; none if one is not to be had, which is reported.
    fn filled(&mut self, trail: &mut Trail, at: Position, pieces: &[Piece<'_>]) -> Option<Node> {
        let (mut names, mut text, mut alone) = (Vec::new(), String::new(), None);
        let (mut secret, mut missing) = (false, false);
        for piece in pieces {
            let (name, default) = match piece {
                Piece::Text(part) => {
                    text.push_str(part);
                    continue;
                }
                Piece::Placeholder { name, default } => (*name, *default),
            };
            let Some((node, outside)) = self.look_up(trail, at, name, default) else {
                missing = true;
                continue;
            };
            let name = format!("`${{{name}}}`");
            if outside {
                secret = true;
                self.remember(&node, &name);
            }
            let (part, cost) = match &node.shape {
                Shape::Scalar(scalar) => (scalar.text.clone(), scalar.text.len()),
                Shape::List(_) | Shape::Map(_) => {
                    let json = node.json().to_string();
                    let cost = json.len() + 16 * node.size();
                    (json, cost)
                }
            };
            let Some(left) = self.left.checked_sub(cost) else {
                let most = MAX_FILLED >> 20;
                trail.report(at, format!("from here on the placeholders add up to more than {most} MiB"), None);
                return None;
            };
            self.left = left;
            text.push_str(&part);
            names.push(name);
            alone = (pieces.len() == 1).then_some(node);
        }
        if missing {
            return None;
        }
        let mut node = alone.unwrap_or_else(|| Node::of(text.into(), at));
        if !names.is_empty() {
            mark(&mut node, at, &Arc::new(Filled { name: names.join(" and "), secret }));
        }
        Some(node)
    }

    /// What a name stands for, and whether that came from outside.
    fn look_up(&self, trail: &mut Trail, at: Position, name: &str, default: Option<&str>) -> Option<(Node, bool)> {
        if self.names.broken {
            return None;
        }
        if let Some(entry) = self.names.known.get(name) {
            return Some((entry.node.clone(), true));
        }
        let variable = variable(name);
        if let Some(value) = (self.values.environment)(&variable) {
            let Ok(value) = value.into_string() else {
                trail.report(at, format!("the environment variable `{variable}` is not UTF-8"), None);
                return None;
            };
            return Some((typed(&value, at), true));
        }
        if let Some(default) = default {
            return Some((typed(default, at), false));
        }
        let file = match self.values.file {
            Some(file) => format!("{} does not have it", escaped(&file.name)),
            None => "there is no values file (`--values FILE`)".to_owned(),
        };
        let message = format!(
            "`${{{name}}}` stands for nothing: {file}, nor is there an environment variable `{variable}`, and it has no \
             default"
        );
        trail.report(at, message, Some(format!("`${{{name}:default}}` gives it one")));
        None
    }

    fn remember(&mut self, node: &Node, name: &str) {
        match &node.shape {
            Shape::Scalar(scalar) => self.secrets.add(&scalar.text, name),
            Shape::List(items) => items.iter().for_each(|item| self.remember(item, name)),
            Shape::Map(entries) => entries.values().for_each(|entry| self.remember(&entry.node, name)),
        }
    }
}

/// Keys are not filled in; what would look like it is undone.
fn keys(trail: &mut Trail, entries: &mut BTreeMap<String, Entry>) {
    let found: Vec<String> = entries.keys().filter(|key| key.contains("${")).cloned().collect();
    for key in found {
        let Some(mut entry) = entries.remove(&key) else { continue };
        let plain = key.replace("$${", "${");
        if plain.matches("${").count() != key.matches("$${").count() || entries.contains_key(&plain) {
            let hint = "the value of a map can be one as a whole; `$${` stands for `${`".to_owned();
            trail.key(&key, |trail| trail.report(entry.key_at, "a key cannot be a placeholder", Some(hint)));
            entry.node.wrong = true;
            entries.insert(key, entry);
        } else {
            entries.insert(plain, entry);
        }
    }
}

/// Puts a value where its placeholder stands.
fn mark(node: &mut Node, at: Position, filled: &Arc<Filled>) {
    node.at = at;
    node.filled = Some(Arc::clone(filled));
    match &mut node.shape {
        Shape::Scalar(_) => {}
        Shape::List(items) => items.iter_mut().for_each(|item| mark(item, at, filled)),
        Shape::Map(entries) => {
            for entry in entries.values_mut() {
                entry.key_at = at;
                mark(&mut entry.node, at, filled);
            }
        }
    }
}

/// The text of a variable or a default as a value.
pub(super) fn typed(text: &str, at: Position) -> Node {
    // The JSON reader would also take a space at the end.
    let number = || text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && text.trim_end() == text;
    let value = match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text.starts_with(['{', '[']) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ if number() => serde_json::from_str(text).map_or_else(|_| text.into(), |number: Number| number.into()),
        _ => text.into(),
    };
    let mut node = Node::of(value, at);
    if let Shape::Scalar(scalar) = &mut node.shape {
        // `1e3` stays as it was written where the text is what counts.
        text.clone_into(&mut scalar.text);
    }
    node
}
