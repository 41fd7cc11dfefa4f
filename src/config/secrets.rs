//! What came from the values file or the environment, so that no message repeats it.

use std::collections::BTreeMap;

use super::diagnose::{escaped, quoted};

/// Shortest text that is looked for everywhere; a shorter one would be found in words that have nothing to do with it. The
/// messages about its own place do not repeat it either.
const SHORTEST: usize = 4;
/// Most texts that are remembered.
const MOST: usize = 10_000;

/// Texts that are not to be repeated, each with the placeholder that stood for it.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Remembers a text that `name` stood for.
    pub(super) fn add(&mut self, text: &str, name: &str) {
        if text.len() >= SHORTEST && self.0.len() < MOST && !matches!(text, "true" | "false" | "null") {
            self.0.entry(text.to_owned()).or_insert_with(|| name.to_owned());
        }
    }

    /// The message with placeholders in place of what they stood for.
    #[must_use]
    pub fn hide(&self, message: &str) -> String {
        let mut message = message.to_owned();
        // The longest first: a secret may be a part of another.
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        for (text, name) in all {
            message = message.replace(&quoted(text), name);
            let bare = name.trim_matches('`');
            for spelled in [text.as_str(), &escaped(text)] {
                message = replace_words(&message, spelled, bare);
            }
        }
        message
    }
}

/// Replaces a text where it is not a part of a longer word.
fn replace_words(message: &str, text: &str, by: &str) -> String {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (first, last) = (word(text.chars().next()), word(text.chars().next_back()));
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(text) {
        let (before, after) = (&rest[..at], &rest[at + text.len()..]);
        let joined = (first && word(before.chars().next_back().or_else(|| out.chars().next_back())))
            || (last && word(after.chars().next()));
        out.push_str(before);
        out.push_str(if joined { text } else { by });
        rest = after;
    }
    out + rest
}

/// A message about a place whose value is a secret: neither the value nor a piece of it that was set in backticks.
pub(super) fn hide_value(message: &str, text: &str, name: &str) -> String {
    let message = message.replace(&quoted(text), name);
    let mut out = String::with_capacity(message.len());
    for (n, piece) in message.split('`').enumerate() {
        let quoted = n % 2 == 1;
        if n > 0 {
            out.push('`');
        }
        let leaks = quoted && !piece.is_empty() && !name.contains(piece) && (text.contains(piece));
        out.push_str(if leaks { "…" } else { piece });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_replaced_wherever_it_stands_as_a_word() {
        let mut secrets = Secrets::default();
        secrets.add("hunter2", "`${PASSWORD}`");
        secrets.add("hunter2-more", "`${LONGER}`");
        let hidden = secrets.hide("`hunter2` and hunter2, not ahunter2b; `hunter2-more`");
        assert_eq!(hidden, "`${PASSWORD}` and ${PASSWORD}, not ahunter2b; `${LONGER}`");
        let long = "s".repeat(500);
        secrets.add(&long, "`${LONG}`");
        assert_eq!(secrets.hide(&format!("{} is wrong", quoted(&long))), "`${LONG}` is wrong");
    }

    #[test]
    fn what_is_too_short_to_be_told_from_words_is_left_in_other_places() {
        let mut secrets = Secrets::default();
        secrets.add("1", "`${ONE}`");
        secrets.add("true", "`${FLAG}`");
        assert_eq!(secrets.hide("1 is true"), "1 is true");
        assert_eq!(hide_value("`1` is not one of `true`", "1", "`${ONE}`"), "`${ONE}` is not one of `true`");
    }

    #[test]
    fn a_piece_of_a_secret_is_not_repeated_where_it_is_used() {
        let message = "`$pass` names a group `pass`";
        assert_eq!(hide_value(message, "x$passy", "`${T}`"), "`…` names a group `…`");
    }
}
