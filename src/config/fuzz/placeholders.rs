//! Placeholders in a text, against the rules restated byte by byte.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use serde_json::{Value, json};

use super::super::{Problem, Source, Values, ValuesFile, fill, read};
use crate::fuzzing::Input;

/// A text, and what the names in it stand for.
pub fn placeholders(data: &[u8]) {
    let mut input = Input::new(data);
    let mut outside = [BTreeMap::new(), BTreeMap::new()];
    for _ in 0..input.byte() % 4 {
        let which = usize::from(input.byte() % 2);
        let (name, value) = (printable(input.text()), printable(input.text()));
        outside[which].insert(name, value);
    }
    let text = printable(input.rest());
    let pieces = restated(&text);
    let found = fill::pieces(&text).ok().map(Option::unwrap_or_default);
    let read = |pieces| if text.contains("${") { as_read(pieces) } else { Vec::new() };
    let wanted = pieces.as_deref().map(read);
    assert_eq!(found, wanted, "{text:?}");
    fills(&text, pieces.as_deref(), &outside);
}

/// What may stand in a YAML file as it is: the documents here are written as JSON.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')).collect()
}

/// A piece of a text, as it is restated here.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Name(String, Option<String>),
}

impl Piece {
    fn as_read(&self) -> fill::Piece<'_> {
        match self {
            Self::Text(text) => fill::Piece::Text(text),
            Self::Name(name, default) => fill::Piece::Placeholder { name, default: default.as_deref() },
        }
    }
}

fn as_read(pieces: &[Piece]) -> Vec<fill::Piece<'_>> {
    pieces.iter().map(Piece::as_read).collect()
}

/// Byte by byte: an escape, a placeholder, or a byte of text. None where it must be refused.
fn restated(text: &str) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$${") {
            flush(&mut pieces, &mut plain);
            pieces.push(Piece::Text("${".to_owned()));
            rest = after;
        } else if let Some(body) = rest.strip_prefix("${") {
            flush(&mut pieces, &mut plain);
            let mut depth = 1;
            let end = body.char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0
            });
            let (inside, after) = (&body[..end?.0], &body[end?.0 + 1..]);
            let mut parts = inside.splitn(2, ':');
            let (name, default) = (parts.next()?, parts.next());
            let letter = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if name.is_empty() || !name.chars().all(letter) || default.is_some_and(|text| text.contains("${")) {
                return None;
            }
            pieces.push(Piece::Name(name.to_owned(), default.map(str::to_owned)));
            rest = after;
        } else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    flush(&mut pieces, &mut plain);
    Some(pieces)
}

fn flush(pieces: &mut Vec<Piece>, plain: &mut String) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

/// The text as a value of a file: what it becomes, or why not, and nothing that came from outside is repeated.
fn fills(text: &str, pieces: Option<&[Piece]>, [file, environment]: &[BTreeMap<String, String>; 2]) {
    let file: BTreeMap<_, _> = file
        .iter()
        .filter(|(name, _)| {
            restated(&format!("${{{name}}}")).is_some_and(|pieces| matches!(&pieces[..], [Piece::Name(_, None)]))
        })
        .collect();
    let look = |name: &str| environment.get(name).map(OsString::from);
    let values = ValuesFile { name: "values.yaml".to_owned(), text: json!(file).to_string() };
    let given = Values { file: Some(&values), environment: &look };
    let listeners = json!([{ "name": "main", "address": "127.0.0.1:0" }]);
    let document =
        json!({ "listeners": listeners, "plugins": { "p": { "component": "builtin:p", "config": { "x": text } } } });
    let source = |document: &Value| Source { name: "f".to_owned(), dir: PathBuf::new(), text: document.to_string() };
    let value = |piece: &Piece| match piece {
        Piece::Text(text) => Some((json!(text), text.clone())),
        // In JSON, as the values file is here, a text is a text.
        Piece::Name(name, _) if file.contains_key(name) => file.get(name).map(|text| (json!(text), (*text).clone())),
        Piece::Name(name, default) => {
            let variable: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            let text = environment.get(&variable).or(default.as_ref())?;
            Some((typed(text), shown(text)))
        }
    };
    let expected = pieces.and_then(|pieces| {
        let parts = pieces.iter().map(value).collect::<Option<Vec<_>>>()?;
        match (pieces, &parts[..]) {
            ([Piece::Name(..)], [(value, _)]) => Some(value.clone()),
            _ => Some(json!(parts.iter().map(|(_, text)| text.as_str()).collect::<String>())),
        }
    });
    match (read(&source(&document), &given), expected) {
        (Ok(reading), Some(expected)) => {
            assert_eq!(reading.config.plugins["p"].config.as_value()["x"], expected, "{text:?}");
        }
        (Err(problems), None) => hides(&problems, text, &file, environment),
        (Ok(_), None) => panic!("{text:?} is accepted"),
        (Err(problems), Some(_)) => panic!("{text:?}: {problems:?}"),
    }
    let document = json!({ "listeners": listeners, "workers": text, "log": { "level": text } });
    if let Err(problems) = read(&source(&document), &given) {
        hides(&problems, text, &file, environment);
    }
}

/// What a variable or a default means alone.
fn typed(text: &str) -> Value {
    let read = serde_json::from_str::<Value>(text).ok();
    match text.bytes().next() {
        None => Value::Null,
        Some(_) if text == "~" => Value::Null,
        Some(b'{' | b'[' | b'-' | b'0'..=b'9') => {
            read.filter(|value| text.trim_end() == text || !value.is_number()).unwrap_or_else(|| json!(text))
        }
        Some(_) if matches!(text, "true" | "false" | "null") => read.unwrap(),
        Some(_) => json!(text),
    }
}

/// And within a text.
fn shown(text: &str) -> String {
    match typed(text) {
        value @ (Value::Array(_) | Value::Object(_)) => value.to_string(),
        _ => text.to_owned(),
    }
}

fn hides(problems: &[Problem], text: &str, file: &BTreeMap<&String, &String>, environment: &BTreeMap<String, String>) {
    super::are_fit_to_be_shown(problems);
    let outside = file.values().map(|text| text.as_str()).chain(environment.values().map(String::as_str));
    // Long enough to be no word of a message, and not in the file itself.
    for secret in outside.filter(|secret| secret.len() >= 12 && secret.bytes().all(|c| c.is_ascii_alphanumeric())) {
        if !text.to_ascii_uppercase().contains(&secret.to_ascii_uppercase()) {
            for problem in problems {
                assert!(!problem.to_string().contains(secret), "{secret} is repeated in\n{problem}");
            }
        }
    }
}
