//! The message of the running call, and which messages a filter wants, as traits like [`Request`](crate::Request).

use crate::{
    Direction, MessageKind, OversizePolicy,
    bindings::imports::cordboard::plugin::{interest as host_interest, message as host},
};

/// One whole message; the host puts fragments together and checks the UTF-8 of text.
///
/// What is read is copied into the component, so look at [`direction`](Self::direction), [`kind`](Self::kind) and
/// [`size`](Self::size) first. In tests, `testing::TestMessage` implements this trait.
pub trait Message {
    /// Which way it goes.
    fn direction(&self) -> Direction;
    /// Text or binary.
    fn kind(&self) -> MessageKind;
    /// Its length in bytes.
    fn size(&self) -> u32;
    /// All of a text message; none where it is binary.
    fn text(&self) -> Option<String>;
    /// All of it, text or binary.
    fn bytes(&self) -> Vec<u8>;
    /// A part of it, as far as the message goes.
    fn slice(&self, offset: u32, length: u32) -> Vec<u8>;
}

/// Which messages a filter wants to see. At first it wants none, and frames pass untouched and at no cost.
///
/// Said in `open`; said in `on_message`, it counts from the next message on. In tests, `testing::TestInterest`
/// implements this trait and remembers what was asked for.
pub trait Interest {
    /// Asks for the messages of a direction and kind; a second call for the same replaces the first. Those longer than
    /// `max_bytes` are treated as `oversize` says, without a call.
    fn messages(&self, direction: Direction, kind: MessageKind, max_bytes: u32, oversize: OversizePolicy);
    /// From here on nothing is wanted.
    fn nothing(&self);
}

/// The running call's message in the host. Off wasm its methods panic.
#[derive(Debug)]
pub(crate) struct HostMessage;

impl Message for HostMessage {
    fn direction(&self) -> Direction {
        host::direction()
    }
    fn kind(&self) -> MessageKind {
        host::kind()
    }
    fn size(&self) -> u32 {
        host::size()
    }
    fn text(&self) -> Option<String> {
        host::text()
    }
    fn bytes(&self) -> Vec<u8> {
        host::bytes()
    }
    fn slice(&self, offset: u32, length: u32) -> Vec<u8> {
        host::slice(offset, length)
    }
}

/// The running call's interest in the host. Off wasm its methods panic.
#[derive(Debug)]
pub(crate) struct HostInterest;

impl Interest for HostInterest {
    fn messages(&self, direction: Direction, kind: MessageKind, max_bytes: u32, oversize: OversizePolicy) {
        host_interest::messages(direction, kind, max_bytes, oversize);
    }
    fn nothing(&self) {
        host_interest::nothing();
    }
}
