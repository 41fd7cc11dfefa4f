//! Reading a policy's JSON configuration so that a mistake is named, together with what would be right.
//!
//! ```
//! use cordboard_plugin_sdk::config::Object;
//! use std::collections::BTreeMap;
//!
//! # fn main() -> Result<(), String> {
//! let mut keys = Object::parse(r#"{ "header": "x-room", "rooms": { "1": "blue" } }"#)?;
//! let header = keys.text("header", "x-channel")?;
//! let most = keys.whole("most", 1..=100, 10)?;
//! let rooms: BTreeMap<String, String> = keys.must("rooms", "map numbers to names", BTreeMap::new())?;
//! keys.finish()?; // any key that was not taken is refused here
//! assert_eq!((header.as_str(), most, rooms["1"].as_str()), ("x-room", 10, "blue"));
//!
//! let mistake = Object::parse(r#"{ "most": 1000 }"#)?.whole("most", 1..=100, 10);
//! assert_eq!(mistake.unwrap_err(), "most must be a whole number from 1 to 100");
//! # Ok(())
//! # }
//! ```
//!
//! A policy without keys says so with [`nothing`]: then a key that somebody hopes for is refused, not ignored.
//!
//! `init` gets a text: who would rather read it with another crate, such as `serde_json`, does.

use std::{mem, ops::RangeInclusive, str::FromStr};

use crate::json;

mod read;

pub use read::Read;

/// Any JSON value, for keys that take several forms. Numbers have all their digits.
pub type Value = json::Value<'static>;

/// The configuration of a policy that takes none.
///
/// ```
/// use cordboard_plugin_sdk::config;
///
/// assert_eq!(config::nothing("{}"), Ok(()));
/// assert_eq!(config::nothing(r#"{"room": 7}"#).unwrap_err(), "unknown key \"room\"; there are none");
/// ```
///
/// # Errors
/// Names the first key.
pub fn nothing(text: &str) -> Result<(), String> {
    Object::parse(text)?.finish()
}

/// The keys of a JSON object that have not been taken yet, in the text's order.
///
/// Unlike a map it remembers a key that stands there twice.
#[derive(Debug, Default)]
pub struct Object {
    left: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Object {
    /// Reads the text that `init` gets. Another text is parsed with `text.parse::<Object>()`.
    ///
    /// # Errors
    /// Where the text is not JSON or not an object.
    pub fn parse(text: &str) -> Result<Self, String> {
        object(text).map_err(|error| format!("the configuration must be an object: {error}"))
    }

    /// Takes a key's value; the default stands in where the key is absent or null.
    ///
    /// # Errors
    /// Names the key, what it holds and what it should, or that it stands there twice.
    pub fn take<T: Read>(&mut self, key: &'static str, default: T) -> Result<T, String> {
        match self.find(key)? {
            None => Ok(default),
            Some(value) => T::read(value).map_err(|error| format!("{key}: {error}")),
        }
    }

    /// [`take`](Self::take) with words of the policy's own for what the value must do: `"be a list of ports"`,
    /// `"map paths to services"`.
    ///
    /// # Errors
    /// "KEY must WHAT", or that the key stands there twice.
    pub fn must<T: Read>(&mut self, key: &'static str, what: &str, default: T) -> Result<T, String> {
        match self.find(key)? {
            None => Ok(default),
            Some(value) => T::read(value).map_err(|_| format!("{key} must {what}")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn text(&mut self, key: &'static str, default: &str) -> Result<String, String> {
        self.must(key, "be a text", None).map(|text: Option<String>| text.unwrap_or_else(|| default.to_owned()))
    }

    /// A list of texts.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn texts(&mut self, key: &'static str, default: &[&str]) -> Result<Vec<String>, String> {
        let given: Option<Vec<String>> = self.must(key, "be a list of texts", None)?;
        Ok(given.unwrap_or_else(|| default.iter().map(|text| (*text).to_owned()).collect()))
    }

    /// True or false.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, String> {
        self.must(key, "be true or false", default)
    }

    /// A whole number of a range.
    ///
    /// # Errors
    /// As [`must`](Self::must).
    pub fn whole(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> Result<u64, String> {
        let what = format!("be a whole number from {} to {}", range.start(), range.end());
        let number = self.must(key, &what, default)?;
        if range.contains(&number) { Ok(number) } else { Err(format!("{key} must {what}")) }
    }

    /// The value of a key, none where it is absent or null.
    fn find(&mut self, key: &'static str) -> Result<Option<Value>, String> {
        self.known.push(key);
        let mut found = None;
        let mut repeated = false;
        self.left.retain_mut(|(name, value)| {
            let taken = name == key;
            if taken {
                repeated |= found.replace(mem::replace(value, Value::NULL)).is_some();
            }
            !taken
        });
        match found {
            _ if repeated => Err(format!("{key}: stands there twice")),
            found => Ok(found.filter(|value| *value != Value::NULL)),
        }
    }

    /// Takes one of several names; the first of them stands in where the key is absent or null.
    ///
    /// # Errors
    /// Names the key and the names that there are.
    pub fn choose<T: Clone>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Result<T, String> {
        let given: Option<String> = self.take(key, None)?;
        let chosen = match &given {
            None => choices.first(),
            Some(given) => choices.iter().find(|(name, _)| name == given),
        };
        chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            format!("{key}: {:?} is none of {}", given.unwrap_or_default(), names.join(", "))
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Names the first key that nobody took, and the keys that there are.
    pub fn finish(self) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) if self.known.is_empty() => Err(format!("unknown key {key:?}; there are none")),
            Some((key, _)) => Err(format!("unknown key {key:?}; the keys are {}", self.known.join(", "))),
        }
    }
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        object(text).map_err(|error| format!("not a JSON object: {error}"))
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.left.into_iter()
    }
}

impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        Self { left: pairs.into_iter().collect(), known: Vec::new() }
    }
}

fn object(text: &str) -> Result<Object, String> {
    Object::read(json::parse(text).map_err(|error| error.to_string())?.into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_keys_take_their_default() {
        let mut keys = Object::parse(r#"{"b": null, "c": 3}"#).unwrap();
        assert_eq!((keys.take("a", 1), keys.take("b", 2), keys.take("c", 0)), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(keys.finish(), Ok(()));
    }

    #[test]
    fn a_mistake_is_named_together_with_what_would_be_right() {
        let mut keys = Object::parse(r#"{"backendpath": "/x", "list": "one", "on": true, "on": false}"#).unwrap();
        let error = keys.take("list", vec![String::new()]).unwrap_err();
        assert_eq!(error, "list: a text is no list");
        assert_eq!(keys.take("on", true).unwrap_err(), "on: stands there twice");
        assert_eq!(keys.finish().unwrap_err(), "unknown key \"backendpath\"; the keys are list, on");
    }

    #[test]
    fn a_choice_is_one_of_its_names_and_the_first_by_default() {
        let mut keys = Object::parse(r#"{"a": "two", "b": null, "c": "Two", "d": 2}"#).unwrap();
        let choices = [("one", 1), ("two", 2)];
        assert_eq!((keys.choose("a", &choices), keys.choose("b", &choices)), (Ok(2), Ok(1)));
        assert_eq!(keys.choose("c", &choices).unwrap_err(), "c: \"Two\" is none of one, two");
        assert_eq!(keys.choose("d", &choices).unwrap_err(), "d: 2 is no text");
    }

    #[test]
    fn a_value_of_another_kind_is_told_what_it_must_be() {
        let text = r#"{"a": 1, "b": ["x", 1], "c": 1, "d": -1, "e": 1.5, "f": 11, "g": {"x": 1}, "h": null}"#;
        let mut keys = Object::parse(text).unwrap();
        assert_eq!(keys.text("a", "").unwrap_err(), "a must be a text");
        assert_eq!(keys.texts("b", &[]).unwrap_err(), "b must be a list of texts");
        assert_eq!(keys.flag("c", true).unwrap_err(), "c must be true or false");
        for key in ["d", "e", "f"] {
            assert_eq!(keys.whole(key, 0..=10, 1).unwrap_err(), format!("{key} must be a whole number from 0 to 10"));
        }
        let none = std::collections::BTreeMap::<String, String>::new();
        assert_eq!(keys.must("g", "map names to names", none).unwrap_err(), "g must map names to names");
        assert_eq!((keys.text("h", "x"), keys.texts("i", &["y"])), (Ok("x".to_owned()), Ok(vec!["y".to_owned()])));
        assert_eq!((keys.flag("j", true), keys.whole("k", 0..=10, 3)), (Ok(true), Ok(3)));
    }

    #[test]
    fn a_text_that_is_no_object_is_refused() {
        for text in ["", "[]", "\"a\"", "{", "{} {}"] {
            assert!(Object::parse(text).unwrap_err().starts_with("the configuration must be an object: "), "{text:?}");
        }
    }
}
