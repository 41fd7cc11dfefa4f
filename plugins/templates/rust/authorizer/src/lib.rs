//! Who may enter, and as whom: by a key in a header field.
//!
//! | key | default | is |
//! |---|---|---|
//! | `keys` | `{}` | subjects by their keys |
//! | `header` | `x-api-key` | the header field that holds the key |
//!
//! The keys stand in the configuration as they are. Where that is too much trust, keep digests of
//! them, as `builtin:api-key` does.

use std::collections::BTreeMap;

use cordboard_plugin_sdk::{
    Authorization, Identity, Plugin, Rejection, Request, config::Object, export,
};

struct Policy {
    keys: BTreeMap<String, String>,
    header: String,
}

impl Plugin for Policy {
    const NAME: &'static str = env!("CARGO_PKG_NAME");

    fn init(config: &str) -> Result<Self, String> {
        let mut keys = Object::parse(config)?;
        let policy = Self {
            keys: keys.must("keys", "map keys to subjects", BTreeMap::new())?,
            header: keys.text("header", "x-api-key")?,
        };
        keys.finish()?; // refuses a key that nobody took: it is a mistake in writing
        Ok(policy)
    }
}

impl Authorization for Policy {
    // `Ok(None)` would be "no opinion", and let in whoever no other authorizer refuses.
    fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection> {
        let Some(key) = request.header(&self.header) else {
            return Err(Rejection::new(401, "key-missing")
                .with_body("An API key is needed.\n")
                .with_header("www-authenticate", "ApiKey"));
        };
        match self.keys.get(&key) {
            Some(subject) => Ok(Some(Identity::named(subject))),
            None => Err(Rejection::new(403, "key-unknown").with_body("This key is not known.\n")),
        }
    }
}

export!(Policy: Authorization);

#[cfg(test)]
mod tests;
