//! The configuration's keys, their defaults and what is refused.

use cordboard_plugin_sdk::{
    config::Object,
    filter::{Fallback, Size},
};

/// A checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) to_backend: Way,
    pub(crate) to_client: Way,
    pub(crate) on_invalid: Fallback,
    pub(crate) size: Size,
}

/// What is made of the messages in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    JsonToXml,
    XmlToJson,
    Pass,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (to_xml, to_json, pass) =
            (("json-to-xml", Way::JsonToXml), ("xml-to-json", Way::XmlToJson), ("pass", Way::Pass));
        let mut keys = Object::parse(text)?;
        let to_backend = keys.choose("toBackend", &[to_xml, to_json, pass])?;
        let to_client = keys.choose("toClient", &[to_json, to_xml, pass])?;
        let on_invalid = Fallback::take(&mut keys, "onInvalid", Fallback::Close)?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        if (to_backend, to_client) == (Way::Pass, Way::Pass) {
            return Err("toBackend, toClient: both are \"pass\", so nothing would be done".to_owned());
        }
        Ok(Self { to_backend, to_client, on_invalid, size })
    }
}
