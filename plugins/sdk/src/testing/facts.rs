//! What the doubles of a request and of a connection have in common.

use crate::Identity;

/// What is known of who dials, whichever of the two it is asked of.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) id: String,
    pub(super) identity: Option<Identity>,
    pub(super) channel_id: Option<String>,
    pub(super) attributes: Vec<(String, String)>,
}

impl Facts {
    pub(super) fn new() -> Self {
        Self { id: "0000000000000001".to_owned(), identity: None, channel_id: None, attributes: Vec::new() }
    }
}

/// Makes them, in an `impl` of a double that has `facts`.
macro_rules! builders {
    () => {
        /// Sets the connection's id.
        #[must_use]
        pub fn with_id(mut self, id: &str) -> Self {
            id.clone_into(&mut self.facts.id);
            self
        }

        /// What authorization said.
        #[must_use]
        pub fn with_identity(mut self, identity: Identity) -> Self {
            self.facts.identity = Some(identity);
            self
        }

        /// What channel extraction said.
        #[must_use]
        pub fn with_channel_id(mut self, id: &str) -> Self {
            self.facts.channel_id = Some(id.to_owned());
            self
        }

        /// An attribute that an earlier step set, by its full name (`plugin-name/name`).
        #[must_use]
        pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
            self.facts.attributes.push((name.to_owned(), value.to_owned()));
            self
        }
    };
}

/// Tells them, in an `impl` of [`Request`](crate::Request) or [`Connection`](crate::Connection).
macro_rules! getters {
    () => {
        fn id(&self) -> String {
            self.facts.id.clone()
        }
        fn identity(&self) -> Option<Identity> {
            self.facts.identity.clone()
        }
        fn channel_id(&self) -> Option<String> {
            self.facts.channel_id.clone()
        }
        fn attribute(&self, name: &str) -> Option<String> {
            self.facts.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        }
    };
}

pub(super) use {builders, getters};
