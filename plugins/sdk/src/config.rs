//! Reading a policy's JSON configuration so that a mistake is named, together with what would be right.
//!
//! ```
//! use cordboard_plugin_sdk::config::Object;
//!
//! # fn main() -> Result<(), String> {
//! let mut keys = Object::parse(r#"{ "header": "x-room" }"#)?;
//! let header = keys.take("header", "x-channel".to_owned())?;
//! let strict = keys.take("strict", false)?;
//! keys.finish()?; // any key that was not taken is refused here
//! assert_eq!((header.as_str(), strict), ("x-room", false));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};

/// Any JSON value, for keys that take several forms.
pub use serde_json::Value;

/// The keys of a JSON object that have not been taken yet, in the text's order.
///
/// Unlike a map it remembers a key that stands there twice.
#[derive(Debug, Default)]
pub struct Object {
    left: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Object {
    /// Reads the text of an object.
    ///
    /// # Errors
    /// Where the text is not JSON or not an object.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
    }

    /// Takes a key's value; the default stands in where the key is absent or null.
    ///
    /// # Errors
    /// Names the key, what it holds and what it should, or that it stands there twice.
    pub fn take<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> Result<T, String> {
        self.known.push(key);
        let mut found = None;
        let mut repeated = false;
        self.left.retain_mut(|(name, value)| {
            let taken = name == key;
            if taken {
                repeated |= found.replace(value.take()).is_some();
            }
            !taken
        });
        match found {
            _ if repeated => Err(format!("{key}: stands there twice")),
            None | Some(Value::Null) => Ok(default),
            Some(value) => serde_json::from_value(value).map_err(|error| format!("{key}: {error}")),
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
            Some((key, _)) => Err(format!("unknown key {key:?}; the keys are {}", self.known.join(", "))),
        }
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

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object::default();
                while let Some(pair) = map.next_entry()? {
                    object.left.push(pair);
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Pairs)
    }
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
        assert_eq!(error, "list: invalid type: string \"one\", expected a sequence");
        assert_eq!(keys.take("on", true).unwrap_err(), "on: stands there twice");
        assert_eq!(keys.finish().unwrap_err(), "unknown key \"backendpath\"; the keys are list, on");
    }

    #[test]
    fn a_choice_is_one_of_its_names_and_the_first_by_default() {
        let mut keys = Object::parse(r#"{"a": "two", "b": null, "c": "Two", "d": 2}"#).unwrap();
        let choices = [("one", 1), ("two", 2)];
        assert_eq!((keys.choose("a", &choices), keys.choose("b", &choices)), (Ok(2), Ok(1)));
        assert_eq!(keys.choose("c", &choices).unwrap_err(), "c: \"Two\" is none of one, two");
        assert_eq!(keys.choose("d", &choices).unwrap_err(), "d: invalid type: integer `2`, expected a string");
    }

    #[test]
    fn a_text_that_is_no_object_is_refused() {
        for text in ["", "[]", "\"a\"", "{", "{} {}"] {
            assert!(Object::parse(text).unwrap_err().starts_with("not a JSON object: "), "{text:?}");
        }
    }
}
