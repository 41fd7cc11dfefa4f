//! The JSON Schema of a plugin's configuration: found with its component, and compared with what the file says.
//!
//! It is the component's custom section [`SECTION`], at whatever depth, or else the file `NAME.schema.json` beside
//! `NAME.wasm`. A configuration that does not fit is told before the component is loaded, each mistake at its place in
//! the file and with what would be right. Nothing is fetched: a reference to another document is an error of the schema.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use boon::{CompileError, Compiler, ErrorKind, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use crate::{
    config::{Component, Places, PluginConfig, Problem},
    files::bounded,
};

/// The custom section that holds a schema.
const SECTION: &str = "cordboard:config-schema";
/// Largest schema, in bytes.
const MAX_SCHEMA: u64 = 1 << 20;
/// Components within components that are looked into.
const DEPTH: usize = 8;
/// What the schema is called while it is compiled.
const NAME: &str = "https://cordboard.invalid/config-schema";
/// Most mistakes that are told of one configuration.
const MOST: usize = 20;

/// A schema, and where it came from.
pub(super) struct Found {
    text: Arc<[u8]>,
    origin: String,
}

impl Found {
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// The schema's file beside a component's.
pub(super) fn beside(component: &Path) -> PathBuf {
    component.with_extension("schema.json")
}

/// The schema of a component, if it has one.
///
/// # Errors
/// The file is there and cannot be read.
pub(super) fn find(plugin: &PluginConfig, wasm: &[u8]) -> Result<Option<Found>, String> {
    let file = match &plugin.component {
        Component::File(path) => Some(path.as_path()),
        Component::Builtin(_) | Component::Remote(_) => None,
    };
    find_at(file, wasm)
}

fn find_at(component: Option<&Path>, wasm: &[u8]) -> Result<Option<Found>, String> {
    if let Some(text) = section(wasm, DEPTH) {
        return Ok(Some(Found { text: text.into(), origin: format!("its section `{SECTION}`") }));
    }
    let Some(path) = component.map(beside) else { return Ok(None) };
    let origin = path.display().to_string();
    if !path.exists() {
        return Ok(None);
    }
    let text = bounded(&path, MAX_SCHEMA).map_err(|error| format!("{origin}: {error}"))?;
    Ok(Some(Found { text: text.into(), origin }))
}

/// What is wrong with the configuration of a plugin, or with its schema.
pub(super) fn check(plugin: &PluginConfig, schema: &Found, places: &Places) -> Vec<Problem> {
    let mistakes = match mistakes(schema, plugin.config.as_value()) {
        Ok(mistakes) => mistakes,
        Err(why) => return vec![places.plugin(&plugin.name, "component", why)],
    };
    let told = mistakes
        .into_iter()
        .map(|Mistake { at, of_key, message, hint }| places.plugin_config(&plugin.name, &at, of_key, &message, hint));
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|problem| (problem.line, problem.column));
    told
}

/// The same of a component apart from a configuration file: each mistake in a line, with the place that it is about.
///
/// # Errors
/// The schema is none, or its file cannot be read.
pub(super) fn unfit(component: &Path, wasm: &[u8], config: &Value) -> Result<Vec<String>, String> {
    let Some(schema) = find_at(Some(component), wasm)? else { return Ok(Vec::new()) };
    let told = mistakes(&schema, config)?.into_iter().map(|Mistake { at, message, hint, .. }| {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("config{}: {message}{hint}", at.replace('/', "."))
    });
    Ok(told.collect())
}

/// How a configuration does not fit its schema.
fn mistakes(schema: &Found, config: &Value) -> Result<Vec<Mistake>, String> {
    let broken = |why: String| format!("{} is not a JSON Schema: {why}", schema.origin);
    let document: Value = serde_json::from_slice(&schema.text).map_err(|error| broken(error.to_string()))?;
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.use_loader(Box::new(Nothing));
    compiler.enable_format_assertions();
    compiler.add_resource(NAME, document.clone()).map_err(|error| broken(why(&error)))?;
    let schema = compiler.compile(NAME, &mut schemas).map_err(|error| broken(why(&error)))?;
    let Err(error) = schemas.validate(config, schema) else { return Ok(Vec::new()) };
    let mut mistakes = Vec::new();
    collect(&error, &document, &mut mistakes);
    mistakes.truncate(MOST);
    Ok(mistakes)
}

/// Refuses to load anything.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("{url} is another document, and none is fetched").into())
    }
}

/// Without the name that only we gave it.
fn why(error: &CompileError) -> String {
    let mut text = match error {
        CompileError::ValidationError { src, .. } => {
            let mut mistakes = Vec::new();
            collect(src, &Value::Null, &mut mistakes);
            let shown = mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.at, mistake.message));
            shown.take(3).collect::<Vec<_>>().join("; ")
        }
        CompileError::LoadUrlError { src, .. } => src.to_string(),
        other => other.to_string(),
    };
    text = text.replace(NAME, "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Mistake {
    /// JSON pointer.
    at: String,
    /// It is about the key itself.
    of_key: bool,
    message: String,
    hint: Option<String>,
}

/// Every mistake at its place. Of alternatives none of which fits, only that is said: each of them has its own reasons.
fn collect(error: &ValidationError<'_, '_>, schema: &Value, found: &mut Vec<Mistake>) {
    let at = error.instance_location.to_string();
    let rule = error.schema_url.split_once('#').and_then(|(_, pointer)| schema.pointer(pointer));
    let described = || rule.and_then(|rule| rule.get("description")?.as_str()).map(ToOwned::to_owned);
    let mut mistake = |at: String, of_key, message: String, hint: Option<String>| {
        found.push(Mistake { at, of_key, message, hint: hint.or_else(described) });
    };
    match &error.kind {
        ErrorKind::AdditionalProperties { got } => {
            let known = rule.and_then(|rule| rule.get("properties")?.as_object());
            let names = || known.into_iter().flat_map(|known| known.keys().map(String::as_str));
            let names: Vec<_> = names().collect();
            for key in got {
                let hint = crate::config::suggestion("known keys here are", key, names.iter().copied());
                let key_at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                mistake(key_at, true, format!("unknown key {}", crate::config::quoted(key)), hint);
            }
        }
        ErrorKind::Required { want } => {
            for key in want {
                let told = rule.and_then(|rule| rule.get("properties")?.get(key)?.get("description")?.as_str());
                mistake(at.clone(), true, format!("the key `{key}` is missing"), told.map(ToOwned::to_owned));
            }
        }
        ErrorKind::Type { got, want } => {
            let want: Vec<_> = want.iter().map(|kind| kind.to_string()).collect();
            mistake(at, false, format!("this is of type {got}, and {} belongs here", want.join(" or ")), None);
        }
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            mistake(at, false, "this has none of the forms that are allowed here".to_owned(), forms(error));
        }
        ErrorKind::FalseSchema => mistake(at, true, "this key does not belong here".to_owned(), None),
        _ if error.causes.is_empty() => mistake(at, false, error.kind.to_string(), None),
        _ => error.causes.iter().for_each(|cause| collect(cause, schema, found)),
    }
}

/// What each alternative says.
fn forms(error: &ValidationError<'_, '_>) -> Option<String> {
    let mut all = Vec::new();
    for cause in &error.causes {
        let mut mistakes = Vec::new();
        collect(cause, &Value::Null, &mut mistakes);
        all.extend(mistakes.into_iter().map(|mistake| mistake.message).take(1));
    }
    all.truncate(4);
    (!all.is_empty()).then(|| all.join("; or: "))
}

/// The content of the first custom section of that name, in modules and components within, too. What is no section is
/// for the compiler to say.
fn section(wasm: &[u8], depth: usize) -> Option<&[u8]> {
    const CUSTOM: u8 = 0;
    /// In a component: a core module, a component.
    const NESTED: [u8; 2] = [1, 4];
    let is_component = match wasm.get(..8)? {
        [0, b'a', b's', b'm', _, _, 1, 0] => true,
        [0, b'a', b's', b'm', 1, 0, 0, 0] => false,
        _ => return None,
    };
    let mut rest = &wasm[8..];
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = number(after)?;
        let (content, after) = after.split_at_checked(length)?;
        rest = after;
        if *id == CUSTOM {
            let (length, content) = number(content)?;
            let (name, content) = content.split_at_checked(length)?;
            if name == SECTION.as_bytes() {
                return Some(content);
            }
        } else if is_component
            && NESTED.contains(id)
            && depth > 0
            && let Some(found) = section(content, depth - 1)
        {
            return Some(found);
        }
    }
    None
}

/// An unsigned number of at most 32 bits (LEB128), and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
