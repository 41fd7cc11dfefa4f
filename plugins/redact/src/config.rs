//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    Direction,
    config::Object,
    filter::{self, Fallback, Size},
    json::Pointer,
};
use regex_lite::Regex;

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) directions: &'static [Direction],
    pub(crate) pointers: Vec<Pointer>,
    pub(crate) patterns: Vec<Regex>,
    pub(crate) replacement: String,
    pub(crate) on_invalid: Fallback,
    pub(crate) size: Size,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let directions = filter::directions(&mut keys)?;
        let pointers: Vec<Pointer> = keys.take("pointers", Vec::new())?;
        let patterns: Vec<String> = keys.take("patterns", Vec::new())?;
        let replacement = keys.take("replacement", "[redacted]".to_owned())?;
        let on_invalid = Fallback::take(&mut keys, "onInvalid", Fallback::Pass)?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        if pointers.is_empty() && patterns.is_empty() {
            return Err("neither pointers nor patterns: there is nothing to redact".to_owned());
        }
        let compile = |text: &String| Regex::new(text).map_err(|error| format!("patterns: {text:?}: {error}"));
        let patterns = patterns.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { directions, pointers, patterns, replacement, on_invalid, size })
    }
}
