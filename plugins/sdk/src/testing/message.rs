//! The doubles of a message and of a filter's interest.

use std::cell::RefCell;

use crate::{Direction, Interest, Message, MessageKind, OversizePolicy, Payload};

/// A message that answers as the host would.
///
/// ```
/// use cordboard_plugin_sdk::{Direction, Message, testing::TestMessage};
///
/// let message = TestMessage::text(Direction::ToBackend, "grüße");
/// assert_eq!((message.size(), message.slice(0, 2)), (7, b"gr".to_vec()));
/// assert_eq!(TestMessage::binary(Direction::ToClient, [0, 255]).text(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestMessage {
    direction: Direction,
    payload: Payload,
}

impl TestMessage {
    /// A text message.
    #[must_use]
    pub fn text(direction: Direction, text: impl Into<String>) -> Self {
        Self { direction, payload: Payload::Text(text.into()) }
    }

    /// A binary message.
    #[must_use]
    pub fn binary(direction: Direction, bytes: impl Into<Vec<u8>>) -> Self {
        Self { direction, payload: Payload::Binary(bytes.into()) }
    }

    fn raw(&self) -> &[u8] {
        match &self.payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        }
    }
}

impl Message for TestMessage {
    fn direction(&self) -> Direction {
        self.direction
    }
    fn kind(&self) -> MessageKind {
        match self.payload {
            Payload::Text(_) => MessageKind::Text,
            Payload::Binary(_) => MessageKind::Binary,
        }
    }
    fn size(&self) -> u32 {
        u32::try_from(self.raw().len()).unwrap_or(u32::MAX)
    }
    fn text(&self) -> Option<String> {
        match &self.payload {
            Payload::Text(text) => Some(text.clone()),
            Payload::Binary(_) => None,
        }
    }
    fn bytes(&self) -> Vec<u8> {
        self.raw().to_vec()
    }
    fn slice(&self, offset: u32, length: u32) -> Vec<u8> {
        self.raw().iter().skip(offset as usize).take(length as usize).copied().collect()
    }
}

/// What a filter asked for of one direction and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which way.
    pub direction: Direction,
    /// Text or binary.
    pub kind: MessageKind,
    /// Longer ones are oversize.
    pub max_bytes: u32,
    /// What becomes of longer ones.
    pub oversize: OversizePolicy,
}

/// Remembers which messages a filter wants.
///
/// ```
/// use cordboard_plugin_sdk::{Direction, Interest, MessageKind, OversizePolicy, testing::TestInterest};
///
/// let interest = TestInterest::new();
/// interest.messages(Direction::ToClient, MessageKind::Text, 1024, OversizePolicy::Close);
/// assert!(interest.wants(Direction::ToClient, MessageKind::Text));
/// assert!(!interest.wants(Direction::ToClient, MessageKind::Binary));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TestInterest {
    wanted: RefCell<Vec<Wanted>>,
}

impl TestInterest {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is wanted now, in the order in which it was first asked for.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        self.wanted.borrow().clone()
    }

    /// Whether messages of this direction and kind are wanted.
    #[must_use]
    pub fn wants(&self, direction: Direction, kind: MessageKind) -> bool {
        self.wanted.borrow().iter().any(|wanted| (wanted.direction, wanted.kind) == (direction, kind))
    }
}

impl Interest for TestInterest {
    fn messages(&self, direction: Direction, kind: MessageKind, max_bytes: u32, oversize: OversizePolicy) {
        let new = Wanted { direction, kind, max_bytes, oversize };
        let mut all = self.wanted.borrow_mut();
        match all.iter_mut().find(|old| (old.direction, old.kind) == (direction, kind)) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    fn nothing(&self) {
        self.wanted.borrow_mut().clear();
    }
}
