//! What a value of a configuration may be read as.

use std::collections::BTreeMap;

use super::{Object, Value};
use crate::json::{Pointer, unquote};

/// A type that a key's value is read as: texts, numbers, `bool`, lists and maps of them, [`Object`], [`Pointer`], or
/// [`Value`] itself. `Option` is none where the value is null. A policy may add types of its own:
///
/// ```
/// use cordboard_plugin_sdk::config::{Object, Read, Value};
/// use std::net::IpAddr;
///
/// struct Address(IpAddr);
///
/// impl Read for Address {
///     fn read(value: Value) -> Result<Self, String> {
///         let text = String::read(value)?;
///         text.parse().map(Self).map_err(|_| format!("{text:?} is no IP address"))
///     }
/// }
///
/// let mut keys = Object::parse(r#"{ "allow": ["10.0.0.1", "localhost"] }"#)?;
/// let refused = keys.take("allow", Vec::<Address>::new()).err().unwrap();
/// assert_eq!(refused, "allow: \"localhost\" is no IP address");
/// # Ok::<(), String>(())
/// ```
pub trait Read: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// Says what it is and what it is not: "a list is no text".
    fn read(value: Value) -> Result<Self, String>;
}

/// What a value is, in a message: texts and what is in lists and maps may be secret.
fn found(value: &Value) -> &str {
    match value {
        Value::Scalar(raw) if raw.starts_with('"') => "a text",
        Value::Scalar(raw) => raw,
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

impl Read for Value {
    fn read(value: Value) -> Result<Self, String> {
        Ok(value)
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: Value) -> Result<Self, String> {
        if value == Value::NULL { Ok(None) } else { T::read(value).map(Some) }
    }
}

impl Read for String {
    fn read(value: Value) -> Result<Self, String> {
        match &value {
            Value::Scalar(raw) if raw.starts_with('"') => Ok(unquote(raw).into_owned()),
            other => Err(format!("{} is no text", found(other))),
        }
    }
}

impl Read for bool {
    fn read(value: Value) -> Result<Self, String> {
        match &value {
            Value::Scalar(raw) if raw == "true" => Ok(true),
            Value::Scalar(raw) if raw == "false" => Ok(false),
            other => Err(format!("{} is neither true nor false", found(other))),
        }
    }
}

macro_rules! whole {
    ($($number:ident)+) => {
        $(impl Read for $number {
            fn read(value: Value) -> Result<Self, String> {
                let number = if let Value::Scalar(raw) = &value { raw.parse().ok() } else { None };
                number.ok_or_else(|| {
                    format!("{} is no whole number from {} to {}", found(&value), Self::MIN, Self::MAX)
                })
            }
        })+
    };
}

whole!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl Read for f64 {
    fn read(value: Value) -> Result<Self, String> {
        // `inf` and `NaN` are no JSON, and a number that is too large for them is none for us.
        let number = if let Value::Scalar(raw) = &value { raw.parse().ok() } else { None };
        number.filter(|number: &Self| number.is_finite()).ok_or_else(|| format!("{} is no number", found(&value)))
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(elements) => elements.into_iter().map(T::read).collect(),
            other => Err(format!("{} is no list", found(&other))),
        }
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(value: Value) -> Result<Self, String> {
        let mut map = Self::new();
        for (name, value) in Object::read(value)? {
            let value = T::read(value).map_err(|error| format!("{name}: {error}"))?;
            if map.contains_key(&name) {
                return Err(format!("{name}: stands there twice"));
            }
            map.insert(name, value);
        }
        Ok(map)
    }
}

impl Read for Object {
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => {
                Ok(members.into_iter().map(|(name, value)| (unquote(&name).into_owned(), value)).collect())
            }
            other => Err(format!("{} is no map", found(&other))),
        }
    }
}

/// From a text.
impl Read for Pointer {
    fn read(value: Value) -> Result<Self, String> {
        Self::parse(&String::read(value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn read<T: Read>(text: &str) -> Result<T, String> {
        T::read(parse(text).map_err(|error| error.to_string())?.into_owned())
    }

    #[test]
    fn numbers_are_whole_and_in_the_range_of_their_type() {
        assert_eq!((read::<u8>("255"), read::<i8>("-128"), read::<u64>("0")), (Ok(255), Ok(-128), Ok(0)));
        assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
        for text in ["256", "-1", "1.0", "1e1", "true", "null"] {
            assert_eq!(read::<u8>(text), Err(format!("{text} is no whole number from 0 to 255")));
        }
        assert_eq!(read::<u8>("\"1\"").unwrap_err(), "a text is no whole number from 0 to 255");
        assert_eq!((read("-1.5e1"), read("7")), (Ok(-15.0), Ok(7.0)));
        for (text, what) in [("1e400", "1e400"), ("\"1\"", "a text"), ("null", "null"), ("[1]", "a list")] {
            assert_eq!(read::<f64>(text), Err(format!("{what} is no number")));
        }
    }

    #[test]
    fn escapes_are_read_in_texts_and_names() {
        assert_eq!(read(r#""a\n\u00e9""#), Ok("a\né".to_owned()));
        assert_eq!(read(r#"{"\u0061": "b"}"#), Ok(BTreeMap::from([("a".to_owned(), "b".to_owned())])));
        assert_eq!(read::<BTreeMap<String, u8>>(r#"{"a": 1, "\u0061": 2}"#).unwrap_err(), "a: stands there twice");
    }

    #[test]
    fn what_is_wrong_in_lists_and_maps_is_told_but_not_what_they_hold() {
        assert_eq!(read::<Vec<String>>(r#"["a", ["secret"]]"#).unwrap_err(), "a list is no text");
        assert_eq!(
            read::<BTreeMap<String, bool>>(r#"{"a": "secret"}"#).unwrap_err(),
            "a: a text is neither true nor false"
        );
        assert_eq!(read::<Vec<u8>>(r#"{"a": 1}"#).unwrap_err(), "a map is no list");
        assert_eq!(read::<Pointer>("\"a\"").unwrap_err(), "\"a\" is no JSON Pointer: it does not begin with \"/\"");
        assert_eq!((read::<Option<bool>>("null"), read::<Option<bool>>("true")), (Ok(None), Ok(Some(true))));
    }
}
