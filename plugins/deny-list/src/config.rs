//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    Direction,
    config::Object,
    filter::{self, Size},
};
use regex_lite::Regex;

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) directions: &'static [Direction],
    pub(crate) rules: Vec<Rule>,
    pub(crate) size: Size,
    /// Whether binary messages are searched, too.
    pub(crate) binary: bool,
}

/// Which messages, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) sign: Sign,
    pub(crate) answer: Answer,
}

/// By what a message is known.
#[derive(Debug)]
pub(crate) enum Sign {
    Literal(String),
    Regex(Regex),
    LongerThan(u32),
}

/// What becomes of a message that has the sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Close,
    Drop,
    Reply(String),
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Object::parse(text)?;
        let directions = filter::directions(&mut keys)?;
        let listed: Vec<Object> = keys.take("rules", Vec::new())?;
        let size = Size::take(&mut keys)?;
        let binary = keys.choose("binary", &[("pass", false), ("search", true)])?;
        keys.finish()?;
        let mut rules: Vec<Rule> = Vec::with_capacity(listed.len());
        for (index, object) in listed.into_iter().enumerate() {
            let rule = Rule::read(object, size).map_err(|error| format!("rules[{index}]: {error}"))?;
            if let Some(before) = rules.iter().position(|other| other.id == rule.id) {
                return Err(format!("rules[{index}]: id: rules[{before}] has the same, {:?}", rule.id));
            }
            rules.push(rule);
        }
        if rules.is_empty() {
            return Err("rules: there is none, so nothing would be denied".to_owned());
        }
        Ok(Self { directions, rules, size, binary })
    }
}

impl Rule {
    fn read(mut keys: Object, size: Size) -> Result<Self, String> {
        let id = keys.take("id", String::new())?;
        let literal: Option<String> = keys.take("literal", None)?;
        let regex: Option<String> = keys.take("regex", None)?;
        let longer_than: Option<u32> = keys.take("longerThan", None)?;
        let action =
            keys.choose("action", &[("close", Some(Answer::Close)), ("drop", Some(Answer::Drop)), ("reply", None)])?;
        let reply: Option<String> = keys.take("reply", None)?;
        keys.finish()?;
        if id.is_empty() {
            return Err("id: it is missing; the log names the rule by it".to_owned());
        }
        let answer = match (action, reply) {
            (Some(answer), None) => answer,
            (None, Some(reply)) => Answer::Reply(reply),
            (None, None) => return Err("reply: it is missing; action \"reply\" sends it".to_owned()),
            (Some(_), Some(_)) => return Err("reply: only action \"reply\" sends it".to_owned()),
        };
        Ok(Self { id, sign: Sign::read(literal, regex, longer_than, size)?, answer })
    }
}

impl Sign {
    fn read(literal: Option<String>, regex: Option<String>, longer: Option<u32>, size: Size) -> Result<Self, String> {
        match (literal, regex, longer) {
            (Some(literal), None, None) if literal.is_empty() => {
                Err("literal: every text holds the empty one".to_owned())
            }
            (Some(literal), None, None) => Ok(Self::Literal(literal)),
            (None, Some(regex), None) => Regex::new(&regex).map(Self::Regex).map_err(|error| format!("regex: {error}")),
            (None, None, Some(bytes)) if bytes >= size.max_bytes() => Err(format!(
                "longerThan: {bytes} is not less than maxBytes ({}), and longer messages are not looked at",
                size.max_bytes()
            )),
            (None, None, Some(bytes)) => Ok(Self::LongerThan(bytes)),
            _ => Err("exactly one of literal, regex and longerThan is needed".to_owned()),
        }
    }
}
