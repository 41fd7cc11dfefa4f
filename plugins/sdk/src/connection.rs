//! The live connection of the running call, as a trait like [`Request`](crate::Request).

use crate::{Identity, Role, bindings::imports::cordboard::plugin::connection as host};

/// How much a connection's attachment holds unless the operator says otherwise, in bytes.
pub const ATTACHMENT_BYTES: usize = 4096;

/// A WebSocket connection that is open, or about to be.
///
/// Inside the proxy every method is one call of the host, so ask once and keep the answer. Take `&impl Connection`:
/// only what a policy calls becomes an import of its component. In tests, `testing::TestConnection` implements this.
pub trait Connection {
    /// The connection's id, as in logs.
    fn id(&self) -> String;
    /// What role detection said.
    fn role(&self) -> Role;
    /// What channel extraction said.
    fn channel_id(&self) -> Option<String>;
    /// Who it is; none where no authorizer had an opinion.
    fn identity(&self) -> Option<Identity>;
    /// The subprotocol agreed on.
    fn subprotocol(&self) -> Option<String>;
    /// The id of the connection that it is joined with.
    fn peer_id(&self) -> Option<String>;
    /// When it was opened, in milliseconds since the Unix epoch.
    fn opened_at_ms(&self) -> u64;
    /// An attribute by its full name (`plugin-name/name`, or `cordboard.…` of the host).
    fn attribute(&self, name: &str) -> Option<String>;
    /// What this plugin last kept for this connection; empty at first.
    ///
    /// It is the only state that lasts from call to call: any instance may get the next message, and a reload may
    /// replace the policy in between.
    fn attachment(&self) -> Vec<u8>;
    /// Keeps these bytes for this connection and plugin.
    ///
    /// # Errors
    /// They are more than the operator allows, by default [`ATTACHMENT_BYTES`]; what was kept before stays.
    fn set_attachment(&self, bytes: &[u8]) -> Result<(), String>;
}

/// The running call's connection in the host. Off wasm its methods panic.
#[derive(Debug)]
pub(crate) struct HostConnection;

impl Connection for HostConnection {
    fn id(&self) -> String {
        host::id()
    }
    fn role(&self) -> Role {
        host::role()
    }
    fn channel_id(&self) -> Option<String> {
        host::channel_id()
    }
    fn identity(&self) -> Option<Identity> {
        host::identity()
    }
    fn subprotocol(&self) -> Option<String> {
        host::subprotocol()
    }
    fn peer_id(&self) -> Option<String> {
        host::peer_id()
    }
    fn opened_at_ms(&self) -> u64 {
        host::opened_at_ms()
    }
    fn attribute(&self, name: &str) -> Option<String> {
        host::attribute(name)
    }
    fn attachment(&self) -> Vec<u8> {
        host::attachment()
    }
    fn set_attachment(&self, bytes: &[u8]) -> Result<(), String> {
        host::set_attachment(bytes)
    }
}
