//! The double of a connection.

use std::cell::RefCell;

use crate::{ATTACHMENT_BYTES, Connection, Identity, Role};

/// A connection that answers as the host would.
///
/// It begins as an anonymous client's, without channel, peer and attachment, opened at the Unix epoch.
///
/// ```
/// use cordboard_plugin_sdk::{Connection, Identity, testing::TestConnection};
///
/// let connection = TestConnection::new().with_identity(Identity::named("ada")).with_attribute("geo/country", "se");
/// assert_eq!(connection.attribute("geo/country").as_deref(), Some("se"));
/// connection.set_attachment(b"3 seen").unwrap();
/// assert_eq!(connection.attachment(), b"3 seen");
/// assert!(connection.set_attachment(&[0; 4097]).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct TestConnection {
    id: String,
    role: Role,
    channel_id: Option<String>,
    identity: Option<Identity>,
    subprotocol: Option<String>,
    peer_id: Option<String>,
    opened_at_ms: u64,
    attributes: Vec<(String, String)>,
    attachment: RefCell<Vec<u8>>,
}

impl Default for TestConnection {
    fn default() -> Self {
        Self::new()
    }
}

impl TestConnection {
    /// An anonymous client's connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: "0000000000000001".to_owned(),
            role: Role::Client,
            channel_id: None,
            identity: None,
            subprotocol: None,
            peer_id: None,
            opened_at_ms: 0,
            attributes: Vec::new(),
            attachment: RefCell::default(),
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// What role detection said.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// What channel extraction said.
    #[must_use]
    pub fn with_channel_id(mut self, id: &str) -> Self {
        self.channel_id = Some(id.to_owned());
        self
    }

    /// What authorization said.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The subprotocol agreed on.
    #[must_use]
    pub fn with_subprotocol(mut self, name: &str) -> Self {
        self.subprotocol = Some(name.to_owned());
        self
    }

    /// The connection that it is joined with.
    #[must_use]
    pub fn with_peer_id(mut self, id: &str) -> Self {
        self.peer_id = Some(id.to_owned());
        self
    }

    /// When it was opened, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn with_opened_at_ms(mut self, at: u64) -> Self {
        self.opened_at_ms = at;
        self
    }

    /// An attribute by its full name.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Connection for TestConnection {
    fn id(&self) -> String {
        self.id.clone()
    }
    fn role(&self) -> Role {
        self.role.clone()
    }
    fn channel_id(&self) -> Option<String> {
        self.channel_id.clone()
    }
    fn identity(&self) -> Option<Identity> {
        self.identity.clone()
    }
    fn subprotocol(&self) -> Option<String> {
        self.subprotocol.clone()
    }
    fn peer_id(&self) -> Option<String> {
        self.peer_id.clone()
    }
    fn opened_at_ms(&self) -> u64 {
        self.opened_at_ms
    }
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
    fn attachment(&self) -> Vec<u8> {
        self.attachment.borrow().clone()
    }
    fn set_attachment(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > ATTACHMENT_BYTES {
            return Err(format!("an attachment has at most {ATTACHMENT_BYTES} bytes; these are {}", bytes.len()));
        }
        self.attachment.replace(bytes.to_vec());
        Ok(())
    }
}
