//! Texts, encrypted with the first of several keys and decrypted with the one that they name.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Nonce, Payload},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cordboard_plugin_sdk::random;

/// The format, for others to come.
const VERSION: &str = "cb1";
const NONCE_BYTES: usize = 12;

/// The keys by their ids. There is at least one.
pub(crate) struct Keys {
    keys: Vec<(String, Aes256Gcm)>,
}

/// What became of a text that was to be decrypted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened<T> {
    Value(T),
    /// It does not look encrypted.
    NotSealed,
    /// Why not.
    Failed(&'static str),
}

impl Keys {
    pub(crate) const fn new() -> Self {
        Self { keys: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == id)
    }

    /// Adds a key after those that are there.
    pub(crate) fn push(&mut self, id: String, key: &[u8; 32]) {
        self.keys.push((id, Aes256Gcm::new(key.into())));
    }

    /// The text, encrypted with the first key; none only beyond the sizes that the cipher has (64 GiB).
    pub(crate) fn seal(&self, text: &str, nonces: &mut Nonces) -> Option<String> {
        let (id, key) = self.keys.first()?;
        let head = format!("{VERSION}.{id}");
        let nonce = nonces.draw();
        let sealed = key.encrypt(&nonce, Payload { msg: text.as_bytes(), aad: head.as_bytes() }).ok()?;
        let mut data = nonce.to_vec();
        data.extend(sealed);
        Some(format!("{head}.{}", URL_SAFE_NO_PAD.encode(data)))
    }

    /// The text that was encrypted.
    pub(crate) fn open(&self, text: &str) -> Opened<String> {
        let Some(([version, id], data)) = parts(text) else { return Opened::NotSealed };
        if version != VERSION {
            return Opened::NotSealed;
        }
        let Some((_, key)) = self.keys.iter().find(|(known, _)| known == id) else {
            return Opened::Failed("its key is not configured");
        };
        let Ok(data) = URL_SAFE_NO_PAD.decode(data) else { return Opened::Failed("it is no base64") };
        let Some((nonce, sealed)) = data.split_first_chunk::<NONCE_BYTES>() else {
            return Opened::Failed("it is too short");
        };
        let head = format!("{version}.{id}");
        match key.decrypt(nonce.into(), Payload { msg: sealed, aad: head.as_bytes() }).map(String::from_utf8) {
            Ok(Ok(text)) => Opened::Value(text),
            Ok(Err(_)) => Opened::Failed("what was encrypted is no text"),
            Err(_) => Opened::Failed("it is not what was encrypted with that key"),
        }
    }
}

/// Random nonces for a message. The host is asked for more of them each time: a call costs as much as an encryption.
#[derive(Default)]
pub(crate) struct Nonces {
    bytes: Vec<u8>,
    batch: usize,
}

impl Nonces {
    fn draw(&mut self) -> Nonce<Aes256Gcm> {
        loop {
            if let Some((rest, nonce)) = self.bytes.split_last_chunk::<NONCE_BYTES>() {
                let (left, nonce) = (rest.len(), Nonce::<Aes256Gcm>::from(*nonce));
                self.bytes.truncate(left);
                return nonce;
            }
            self.batch = (self.batch * 2).clamp(1, 256);
            self.bytes = vec![0; self.batch * NONCE_BYTES];
            random::fill(&mut self.bytes);
        }
    }
}

/// Version and id, and what follows them.
fn parts(text: &str) -> Option<([&str; 2], &str)> {
    let (version, rest) = text.split_once('.')?;
    let (id, data) = rest.split_once('.')?;
    Some(([version, id], data))
}
