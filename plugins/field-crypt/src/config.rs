//! The configuration's keys, their defaults and what is refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use cordboard_plugin_sdk::{
    config::Object,
    filter::{Fallback, Size},
    json::Pointer,
};

use crate::cipher::Keys;

/// A checked configuration.
pub(crate) struct Config {
    pub(crate) pointers: Vec<Pointer>,
    pub(crate) to_backend: Way,
    pub(crate) to_client: Way,
    pub(crate) keys: Keys,
    pub(crate) on_failure: Fallback,
    pub(crate) on_invalid: Fallback,
    pub(crate) size: Size,
}

/// What is done in a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Encrypt,
    Decrypt,
    Pass,
}

impl Config {
    /// Reads and checks the JSON text.
    ///
    /// # Errors
    /// Names the key and what would be right, and never shows a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (encrypt, decrypt, pass) = (("encrypt", Way::Encrypt), ("decrypt", Way::Decrypt), ("pass", Way::Pass));

        let mut keys = Object::parse(text)?;
        let pointers: Vec<Pointer> = keys.take("pointers", Vec::new())?;
        let to_backend = keys.choose("toBackend", &[encrypt, decrypt, pass])?;
        let to_client = keys.choose("toClient", &[decrypt, encrypt, pass])?;
        let listed: Vec<Object> = keys.take("keys", Vec::new())?;
        let on_failure = Fallback::take(&mut keys, "onFailure", Fallback::Close)?;
        let on_invalid = Fallback::take(&mut keys, "onInvalid", Fallback::Close)?;
        let size = Size::take(&mut keys)?;
        keys.finish()?;
        if pointers.is_empty() {
            return Err("pointers: there is none, so nothing would be encrypted".to_owned());
        }
        if (to_backend, to_client) == (Way::Pass, Way::Pass) {
            return Err("toBackend, toClient: both are \"pass\", so nothing would be encrypted".to_owned());
        }
        let mut keys = Keys::new();
        for (index, object) in listed.into_iter().enumerate() {
            add_key(&mut keys, object).map_err(|error| format!("keys[{index}]: {error}"))?;
        }
        if keys.is_empty() {
            return Err("keys: there is none; each has an id and a key of 32 bytes in base64".to_owned());
        }
        Ok(Self { pointers, to_backend, to_client, keys, on_failure, on_invalid, size })
    }
}

fn add_key(all: &mut Keys, mut keys: Object) -> Result<(), String> {
    let id = keys.take("id", String::new())?;
    let key: String = keys.take("key", String::new())?;
    keys.finish()?;
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err(format!("id: {id:?} is not made of letters, digits, \"-\" and \"_\""));
    }
    if all.has(&id) {
        return Err(format!("id: {id:?} stands there twice"));
    }
    // The decoder's own error would show a byte of the key.
    let bytes = STANDARD.decode(key).map_err(|_| "key: it is no base64 (RFC 4648 §4, with padding)".to_owned())?;
    let key: [u8; 32] =
        bytes.try_into().map_err(|bytes: Vec<u8>| format!("key: it has {} bytes; AES-256 needs 32", bytes.len()))?;
    all.push(id, &key);
    Ok(())
}
