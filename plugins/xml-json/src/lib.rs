//! The built-in message filter `xml-json`: text messages are XML on one side of the proxy and JSON on the other.
//!
//! - `toBackend` (default `json-to-xml`) and `toClient` (default `xml-to-json`): what is made of messages in that
//!   direction; `pass` leaves them alone.
//! - `onInvalid` (default `close`): a message that cannot be turned into the other ends both legs with 1007; with `pass`
//!   it passes as it came.
//! - `maxBytes` (default 65536) and `oversize` (default `close`; `drop`, `pass`): what becomes of longer messages. Binary
//!   messages pass unseen.
//!
//! # The mapping
//!
//! | XML | JSON |
//! |---|---|
//! | `<a>text</a>` | `{"a":"text"}` |
//! | `<a/>` | `{"a":""}` |
//! | `<a x="1"><b/>text</a>` | `{"a":{"@x":"1","b":"","#text":"text"}}` |
//! | `<a><b>1</b><b>2</b></a>` | `{"a":{"b":["1","2"]}}` |
//!
//! From XML all values are strings. Children of one name are one array, at the place of the first. Pieces of text around
//! children are put together; blanks alone do not count beside children or attributes. Comments, processing instructions
//! and the XML declaration go. Names keep their prefixes, and `xmlns` is an attribute like any other.
//!
//! From JSON the message is an object with one member, the root. Strings, numbers, `true` and `false` are text as they
//! are written; `null` is an empty element, and as an attribute or text is left out; an array repeats its element; an
//! array in an array, or a name that XML does not have, makes the message invalid.
//!
//! # Bounds
//!
//! A document type declaration is refused, and with it all entities but the five of XML itself: nothing expands. Elements
//! stand in one another at most 64 deep. What comes out has at most four times the bytes of what came in, and 64 KiB;
//! beyond that both legs are closed with 1009, whatever `onInvalid` says.
//!
//! ```yaml
//! plugins:
//!   xml-json:
//!     component: builtin:xml-json
//!     config: { toBackend: json-to-xml, toClient: xml-to-json }
//! ```

mod chars;
mod config;
mod read;
mod write;

use std::fmt;

use config::{Config, Way};
use cordboard_plugin_sdk::{
    Action, Connection, Direction, Interest, Message, MessageFiltering, MessageKind, Plugin, Request, export,
    filter::Fallback, json,
};

/// How deep elements may stand in one another.
const MAX_DEPTH: usize = 64;

/// The policy with its configuration.
#[derive(Debug)]
pub struct XmlJson {
    config: Config,
}

/// Why a message does not become another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// Completes "the message …".
    Invalid(String),
    TooLong,
}

impl Plugin for XmlJson {
    const NAME: &'static str = "xml-json";

    fn init(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::parse(config)? })
    }
}

impl MessageFiltering for XmlJson {
    fn open(&self, _: &impl Request, _: &impl Connection, interest: &impl Interest) {
        for direction in Direction::ALL.into_iter().filter(|direction| self.way(*direction) != Way::Pass) {
            self.config.size.want(interest, &[direction], MessageKind::Text);
        }
    }

    fn on_message(&self, message: &impl Message, _: &impl Connection, _: &impl Interest) -> Vec<Action> {
        let Some(text) = message.text() else { return vec![Action::Forward] };
        let turned = match self.way(message.direction()) {
            Way::Pass => return vec![Action::Forward],
            Way::JsonToXml => json_to_xml(&text),
            Way::XmlToJson => xml_to_json(&text),
        };
        vec![match turned {
            Ok(turned) => Action::emit_text(turned),
            Err(Refusal::TooLong) => Action::close(1009, "the message grows too long"),
            Err(Refusal::Invalid(why)) if self.config.on_invalid == Fallback::Close => {
                Action::close(1007, format!("the message {why}"))
            }
            Err(Refusal::Invalid(_)) => Action::Forward,
        }]
    }
}

impl XmlJson {
    const fn way(&self, direction: Direction) -> Way {
        match direction {
            Direction::ToBackend => self.config.to_backend,
            Direction::ToClient => self.config.to_client,
        }
    }
}

fn json_to_xml(text: &str) -> Result<String, Refusal> {
    let value = json::parse(text).map_err(|error| invalid(format_args!("is no JSON: {error}")))?;
    write::document(&value, longest(text))
}

fn xml_to_json(text: &str) -> Result<String, Refusal> {
    let turned = read::document(text)?.to_string();
    if turned.len() > longest(text) { Err(Refusal::TooLong) } else { Ok(turned) }
}

/// How long what is made of this text may be.
fn longest(text: &str) -> usize {
    text.len().saturating_mul(4).saturating_add(65_536)
}

fn invalid(why: impl fmt::Display) -> Refusal {
    Refusal::Invalid(why.to_string())
}

export!(XmlJson: MessageFiltering; schema = "schema.json");

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
