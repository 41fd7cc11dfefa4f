//! What the configurations of message filters have in common: the keys `direction`, `maxBytes` and `oversize`, and those
//! like `onInvalid`, of what becomes of a message that a filter can do nothing with.

use crate::{Direction, Interest, MessageKind, OversizePolicy, config::Object};

/// How long the messages are that a filter gets, and what becomes of longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    max_bytes: u32,
    oversize: OversizePolicy,
}

impl Size {
    /// Takes `maxBytes` (default 65536) and `oversize` (default `close`: what a filter has not seen goes nowhere).
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub fn take(keys: &mut Object) -> Result<Self, String> {
        let max_bytes = keys.take("maxBytes", 65_536)?;
        let policies =
            [("close", OversizePolicy::Close), ("drop", OversizePolicy::Drop), ("pass", OversizePolicy::Pass)];
        let oversize = keys.choose("oversize", &policies)?;
        if max_bytes == 0 {
            return Err("maxBytes: 0 is no size; the least is 1".to_owned());
        }
        Ok(Self { max_bytes, oversize })
    }

    /// The longest message that the filter gets.
    #[must_use]
    pub const fn max_bytes(self) -> u32 {
        self.max_bytes
    }

    /// Asks for the messages of these directions.
    pub fn want(self, interest: &impl Interest, directions: &[Direction], kind: MessageKind) {
        for direction in directions {
            interest.messages(*direction, kind, self.max_bytes, self.oversize);
        }
    }
}

/// What becomes of a message that a filter can do nothing with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It passes as it came.
    Pass,
    /// Both legs are closed.
    Close,
}

impl Fallback {
    /// Takes `key`: `pass` or `close`; `default` where it is absent or null.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub fn take(keys: &mut Object, key: &'static str, default: Self) -> Result<Self, String> {
        let [pass, close] = [("pass", Self::Pass), ("close", Self::Close)];
        let choices = if default == Self::Pass { [pass, close] } else { [close, pass] };
        keys.choose(key, &choices)
    }
}

/// Takes `direction`: `both` (the default), `to-backend` or `to-client`.
///
/// # Errors
/// Names the key and what would be right.
pub fn directions(keys: &mut Object) -> Result<&'static [Direction], String> {
    let all: [(&str, &'static [Direction]); 3] =
        [("both", &Direction::ALL), ("to-backend", &[Direction::ToBackend]), ("to-client", &[Direction::ToClient])];
    keys.choose("direction", &all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{TestInterest, Wanted};

    #[test]
    fn a_filter_asks_for_no_more_than_its_configuration_says() {
        let mut keys = Object::parse(r#"{"direction": "to-client", "maxBytes": 10, "oversize": "drop"}"#).unwrap();
        let (size, interest) = (Size::take(&mut keys).unwrap(), TestInterest::new());
        size.want(&interest, directions(&mut keys).unwrap(), MessageKind::Text);
        let only = Wanted {
            direction: Direction::ToClient,
            kind: MessageKind::Text,
            max_bytes: 10,
            oversize: OversizePolicy::Drop,
        };
        assert_eq!(interest.wanted(), [only]);

        let mut keys = Object::default();
        Size::take(&mut keys).unwrap().want(&interest, directions(&mut keys).unwrap(), MessageKind::Binary);
        assert_eq!(interest.wanted().len(), 3);
        assert!(
            interest.wanted()[1..].iter().all(|one| (one.max_bytes, one.oversize) == (65_536, OversizePolicy::Close))
        );
    }

    #[test]
    fn a_fallback_is_the_default_unless_it_is_named() {
        for default in [Fallback::Pass, Fallback::Close] {
            let take = |text: &str| Fallback::take(&mut Object::parse(text).unwrap(), "onInvalid", default);
            assert_eq!(take("{}"), Ok(default));
            assert_eq!(take(r#"{"onInvalid": null}"#), Ok(default));
            assert_eq!(take(r#"{"onInvalid": "pass"}"#), Ok(Fallback::Pass));
            assert_eq!(take(r#"{"onInvalid": "close"}"#), Ok(Fallback::Close));
            let error = take(r#"{"onInvalid": "drop"}"#).unwrap_err();
            assert!(error.starts_with("onInvalid: \"drop\" is none of ") && error.contains("pass"), "{error}");
        }
    }

    #[test]
    fn a_bad_bound_is_told() {
        for (text, told) in [
            (r#"{"maxBytes": 0}"#, "maxBytes: 0 is no size; the least is 1"),
            (r#"{"maxBytes": -1}"#, "maxBytes: -1 is no whole number from 0 to 4294967295"),
            (r#"{"oversize": "cut"}"#, "oversize: \"cut\" is none of close, drop, pass"),
        ] {
            assert_eq!(Size::take(&mut Object::parse(text).unwrap()).unwrap_err(), told);
        }
        let mut keys = Object::parse(r#"{"direction": "up"}"#).unwrap();
        assert_eq!(directions(&mut keys).unwrap_err(), "direction: \"up\" is none of both, to-backend, to-client");
    }
}
