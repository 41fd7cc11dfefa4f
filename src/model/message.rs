//! Nouns of what happens after the 101: messages, who is told what, and why a session is closed.

use super::Attribute;

/// The way of a message through a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the one that asked.
    ToBackend,
    /// To the one that asked.
    ToClient,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ToBackend, Self::ToClient];
}

/// The opcode of a data message (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

impl MessageKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Text, Self::Binary];
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// A text's bytes are UTF-8.
    pub kind: MessageKind,
    /// What it carries, without masks.
    pub bytes: Vec<u8>,
}

/// What is done with a message that is longer than a filter wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Oversize {
    /// It passes unseen.
    #[default]
    Pass,
    /// It goes no further.
    Drop,
    /// The session is closed, with 1009 towards its sender.
    Close,
}

/// A Close: code and reason (RFC 6455 §5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// One that may be sent (RFC 6455 §7.4).
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

/// What a pairing policy says of a newcomer whose seat, or whose partner's, is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairingDecision {
    /// They belong together.
    Join,
    /// The newcomer takes the seat.
    Replace,
}

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// One of an open set: `opened`, `paired`, `unpaired`, `drained`, `policy-swapped`, `revoked`, `closed`.
    pub name: std::borrow::Cow<'static, str>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What there is to say about it.
    pub attributes: Vec<Attribute>,
}
