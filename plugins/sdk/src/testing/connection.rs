//! The double of a connection.

use std::cell::RefCell;

use super::{
    TestRequest,
    facts::{Facts, builders, getters},
};
use crate::{ATTACHMENT_BYTES, Connection, Identity, Request, Role};

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
    facts: Facts,
    role: Role,
    subprotocol: Option<String>,
    peer_id: Option<String>,
    opened_at_ms: u64,
    attachment: RefCell<Vec<u8>>,
    most: usize,
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
            facts: Facts::new(),
            role: Role::Client,
            subprotocol: None,
            peer_id: None,
            opened_at_ms: 0,
            attachment: RefCell::default(),
            most: ATTACHMENT_BYTES,
        }
    }

    /// What the host knows of the connection that this request asks for.
    #[must_use]
    pub fn of(request: &TestRequest) -> Self {
        let role = request.role().unwrap_or(Role::Client);
        Self { facts: request.facts.clone(), role, ..Self::new() }
    }

    builders!();

    /// What role detection said.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
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

    /// What this plugin kept of it before.
    #[must_use]
    pub fn with_attachment(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.attachment.replace(bytes.into());
        self
    }

    /// The operator's `limits.attachment`, in bytes.
    #[must_use]
    pub fn with_attachment_limit(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// When it was opened, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn with_opened_at_ms(mut self, at: u64) -> Self {
        self.opened_at_ms = at;
        self
    }
}

impl Connection for TestConnection {
    getters!();
    fn role(&self) -> Role {
        self.role.clone()
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
    fn attachment(&self) -> Vec<u8> {
        self.attachment.borrow().clone()
    }
    fn set_attachment(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > self.most {
            return Err(format!("an attachment has at most {} bytes; these are {}", self.most, bytes.len()));
        }
        self.attachment.replace(bytes.to_vec());
        Ok(())
    }
}
