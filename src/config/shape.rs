//! The shape of the file: which keys a section has, and where a list, a map or a single value belongs.
//!
//! [`mend`] compares the document with it before anything is read: every unknown key and everything in the wrong form is
//! reported at once, marked as wrong and counts as absent from then on, so that it hides nothing and nothing else is
//! blamed for it. A key that is misspelled is read as the one that was probably meant, so that what is in it is checked
//! too. The JSON Schema is made from the same shape.

use std::collections::BTreeMap;

use super::{
    diagnose::{Problem, nearest, quoted, suggestion},
    trail::Trail,
    tree::{Entry, Node, Shape},
};

/// What belongs in a place.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A single value; its text is what counts.
    Scalar,
    /// A text. A number in its place would not be what it looks like.
    Text,
    /// A list.
    List(Box<Self>),
    /// A map whose keys are the user's.
    Map(Box<Self>),
    /// A section with keys of its own.
    Section(Section),
    /// A map that only a plugin understands.
    Object,
    /// Whatever JSON can hold.
    Any,
    /// A key of a later version.
    Later,
    /// One of several; the text says what belongs there.
    Either(&'static str, Vec<Self>),
}

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// Its name in the code.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) fields: Vec<(&'static str, Form)>,
}

impl Form {
    /// What belongs there, for a message.
    const fn wanted(&self) -> &'static str {
        match self {
            Self::Scalar | Self::Later => "a single value belongs here",
            Self::Any => "any value belongs here",
            Self::Text => "a text belongs here",
            Self::List(_) => "a list belongs here",
            Self::Map(_) | Self::Section(_) | Self::Object => "a map of keys and values belongs here",
            Self::Either(wanted, _) => wanted,
        }
    }

    /// Whether a value has this form on the outside.
    fn fits(&self, node: &Node) -> bool {
        match (self, &node.shape) {
            (Self::Later | Self::Any, _)
            | (Self::Scalar, Shape::Scalar(_))
            | (Self::List(_), Shape::List(_))
            | (Self::Map(_) | Self::Section(_) | Self::Object, Shape::Map(_)) => true,
            // What a placeholder stands for is a text to begin with.
            (Self::Text, Shape::Scalar(scalar)) => scalar.is_text() || node.filled.is_some(),
            (Self::Either(_, forms), _) => forms.iter().any(|form| form.fits(node)),
            _ => false,
        }
    }
}

/// Reports what does not have its form, and marks it.
pub(super) fn mend(root: &mut Node, form: &Form) -> Vec<Problem> {
    let mut trail = Trail::default();
    value(&mut trail, root, form);
    trail.problems()
}

fn value(trail: &mut Trail, node: &mut Node, form: &Form) {
    // Blank is absent; whether it may be is for the checks to say.
    if node.wrong || node.is_null() {
        return;
    }
    if !form.fits(node) {
        let structure = !matches!(form, Form::Scalar | Form::Text);
        let filled = node.filled.as_ref().filter(|_| structure);
        let hint = filled.map(|filled| format!("a list or a map that {} stands for is written as JSON", filled.name));
        trail.report(node.at, form.wanted(), hint);
        node.wrong = true;
        return;
    }
    match (form, &mut node.shape) {
        (Form::List(form), Shape::List(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                trail.index(index, |trail| present(trail, item, form));
            }
        }
        (Form::Map(form), Shape::Map(entries)) => {
            for (key, entry) in entries {
                trail.key(key, |trail| present(trail, &mut entry.node, form));
            }
        }
        (Form::Section(known), Shape::Map(entries)) => section(trail, entries, known),
        (Form::Object | Form::Later | Form::Any, _) => numbers(trail, node),
        (Form::Either(_, forms), _) => {
            if let Some(form) = forms.iter().find(|form| form.fits(node)) {
                value(trail, node, form);
            }
        }
        _ => {}
    }
}

/// A value that must not be blank: an item of a list, or what a key of the user's own stands for.
fn present(trail: &mut Trail, node: &mut Node, form: &Form) {
    if node.is_null() && !node.wrong && !matches!(form, Form::Section(_)) {
        trail.report(node.at, "a value is missing here", None);
        node.wrong = true;
    }
    value(trail, node, form);
}

fn section(trail: &mut Trail, entries: &mut BTreeMap<String, Entry>, section: &Section) {
    let known = |key: &str| section.fields.iter().any(|(name, _)| *name == key);
    let unknown: Vec<String> = entries.keys().filter(|key| !known(key)).cloned().collect();
    for key in unknown {
        let Some(entry) = entries.remove(&key) else { continue };
        let names = section.fields.iter().map(|(name, _)| *name);
        let hint = suggestion("known keys here are", &key, names.clone());
        trail.report(entry.key_at, format!("unknown key {}", quoted(&key)), hint);
        if let Some(meant) = nearest(&key, names) {
            entries.entry(meant.to_owned()).or_insert(entry);
        }
    }
    for (name, form) in &section.fields {
        if let Some(entry) = entries.get_mut(*name) {
            trail.key(name, |trail| value(trail, &mut entry.node, form));
        }
    }
}

/// Numbers that a plugin would not get as they were written.
fn numbers(trail: &mut Trail, node: &mut Node) {
    match &mut node.shape {
        Shape::Scalar(scalar) if scalar.value.is_none() && !node.wrong => {
            trail.report(node.at, "this number is too large for JSON", Some("put it in quotes".to_owned()));
            node.wrong = true;
        }
        Shape::Scalar(_) => {}
        Shape::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                trail.index(index, |trail| numbers(trail, item));
            }
        }
        Shape::Map(entries) => {
            for (key, entry) in entries {
                trail.key(key, |trail| numbers(trail, &mut entry.node));
            }
        }
    }
}
