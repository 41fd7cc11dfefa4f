//! What a policy implements: [`Plugin`], and a trait for each decision that it takes.

use crate::{
    Action, Channel, CloseFrame, Connection, Edit, Event, Identity, Interest, Message, PairingDecision, Rejection,
    Request, Resolution, Role,
};

/// What every policy has.
pub trait Plugin: Sized + 'static {
    /// The policy's own name. The operator may load it under another.
    const NAME: &'static str;

    /// Makes the policy from its configuration, a JSON text (`{}` where there is none).
    ///
    /// # Errors
    /// The text is shown to the operator and refuses the new version; the running one stays.
    fn init(config: &str) -> Result<Self, String>;
}

/// Decides what a connection is on its route.
pub trait RoleDetection: Plugin {
    /// The role, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn detect_role(&self, request: &impl Request) -> Result<Option<Role>, Rejection>;
}

/// Decides who a client is and whether it may in. Unlike in other decisions, every authorizer of the route is asked.
pub trait Authorization: Plugin {
    /// Who it is, or none for "no opinion". The first identity of the route's authorizers counts.
    ///
    /// # Errors
    /// A rejection refuses the upgrade, whatever the others say.
    fn authorize(&self, request: &impl Request) -> Result<Option<Identity>, Rejection>;
}

/// Decides whether an open session may go on: on an interval, on revocation, and after a reload where the
/// configuration asks for it.
pub trait SessionAuthorization: Plugin {
    /// Asked about a connection that some authorizer let in.
    ///
    /// # Errors
    /// The close frame ends the session; 4401 is the code for an identity that no longer holds.
    fn recheck(&self, connection: &impl Connection) -> Result<(), CloseFrame>;
}

/// Decides which channel a connection belongs to.
pub trait ChannelExtraction: Plugin {
    /// The channel, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn extract_channel(&self, request: &impl Request) -> Result<Option<Channel>, Rejection>;
}

/// Decides what a routed connection is joined to.
pub trait ServiceResolution: Plugin {
    /// The target, or none for "no opinion".
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn resolve(&self, request: &impl Request) -> Result<Option<Resolution>, Rejection>;
}

/// Decides what happens when a seat of the channel is already taken.
pub trait Pairing: Plugin {
    /// The decision, or none for "no opinion". The request is the newcomer's; the connection holds the seat.
    ///
    /// # Errors
    /// A rejection refuses the newcomer.
    fn decide(&self, request: &impl Request, holder: &impl Connection) -> Result<Option<PairingDecision>, Rejection>;
}

/// Changes the header fields that go upstream.
pub trait RequestRewriting: Plugin {
    /// The changes, in order. Those of later plugins win.
    ///
    /// # Errors
    /// A rejection refuses the upgrade.
    fn rewrite_request(&self, request: &impl Request) -> Result<Vec<Edit>, Rejection>;
}

/// Changes the header fields of the answer to an upgrade.
pub trait ResponseRewriting: Plugin {
    /// The changes, in order. Those of later plugins win. Status and header fields are the answer's as it is so far.
    ///
    /// # Errors
    /// A rejection is sent in the answer's place.
    fn rewrite_response(
        &self,
        request: &impl Request,
        status: u16,
        headers: &[(String, String)],
    ) -> Result<Vec<Edit>, Rejection>;
}

/// Decides what becomes of each message.
///
/// Messages of one direction come in order, one after the other.
pub trait MessageFiltering: Plugin {
    /// Says which messages are wanted, before the handshake ends. Only here there is a request to look at; what
    /// messages need of it goes into the connection's attachment.
    fn open(&self, request: &impl Request, connection: &impl Connection, interest: &impl Interest);

    /// What becomes of a message, in order; an empty list drops it. `vec![Action::Forward]` passes it on as it is.
    fn on_message(&self, message: &impl Message, connection: &impl Connection, interest: &impl Interest)
    -> Vec<Action>;
}

/// Takes over connections that were opened under another version of the policy.
pub trait FilterMigration: Plugin {
    /// Carries the connection's attachment over, or resets it.
    ///
    /// # Errors
    /// The connection stays with its old version; the text is logged.
    fn migrate(&self, connection: &impl Connection, from_version: &str) -> Result<(), String>;
}

/// Is told of what happens to connections.
pub trait Lifecycle: Plugin {
    /// Something happened. Names are an open set: ignore those that you do not know.
    fn on_event(&self, connection: &impl Connection, event: &Event);
}
