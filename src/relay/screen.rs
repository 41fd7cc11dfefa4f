//! What looks at the messages of a session: the relay's side of message filters.
//!
//! The relay asks which messages are wanted, puts those together and hands them over one after the other in each
//! direction; until it knows what becomes of one, nothing behind it goes anywhere. What it is told in the end it carries
//! out. It neither knows who decides nor how long that takes, only that a [`Promise`] is kept or dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::mailbox::Handle;
use crate::{
    error::Cause,
    model::{CloseFrame, Direction, MessageKind, Oversize, Payload},
};

/// Looks at the messages of both legs of one session. Called on a thread of the relay, so nothing here may block.
pub trait Screen: Send + Sync {
    /// Where it says whether any messages are wanted now.
    fn wanted(&self) -> Arc<Wanted>;

    /// Longest message of this direction and kind that is wanted now, in bytes; none if none is.
    fn wants(&self, direction: Direction, kind: MessageKind) -> Option<u32>;

    /// What becomes of longer ones.
    fn oversize(&self, direction: Direction, kind: MessageKind) -> Oversize;

    /// Looks at a message: says at once what becomes of it, or later by a promise made of `reply`.
    fn look(&self, direction: Direction, message: Payload, reply: &Reply) -> Option<Screened>;
}

/// By how many any messages are wanted now: those of one direction are counted in the lower half, those of the other in the
/// upper. The relay looks at it for each message, so it is a number to be read and not a question to be asked.
#[derive(Debug, Default)]
pub struct Wanted(AtomicU64);

impl Wanted {
    /// Somebody more wants some of this direction, or somebody less. To be said once what is wanted can be asked for.
    pub fn change(&self, direction: Direction, wants: bool) {
        let one = 1 << Self::place(direction);
        if wants {
            self.0.fetch_add(one, Ordering::SeqCst)
        } else {
            self.0.fetch_sub(one, Ordering::SeqCst)
        };
    }

    /// Whether anybody wants any of this direction.
    #[must_use]
    pub fn any(&self, direction: Direction) -> bool {
        self.0.load(Ordering::Relaxed) & u64::from(u32::MAX) << Self::place(direction) != 0
    }

    /// Whether nobody wants anything.
    #[must_use]
    pub fn nothing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    const fn place(direction: Direction) -> u32 {
        u32::BITS * direction as u32
    }
}

/// What becomes of a message.
#[derive(Debug)]
pub struct Screened {
    /// What goes on instead of it, in order.
    pub passed: Vec<Passed>,
    /// What its sender is answered, in order.
    pub replies: Vec<Payload>,
    /// Whether the session ends behind that, why, and what both legs are told.
    pub close: Option<(Cause, CloseFrame)>,
}

/// A message that goes on.
#[derive(Debug)]
pub enum Passed {
    /// The one that was looked at.
    Unchanged(Payload),
    /// Another one.
    Made(Payload),
}

impl Screened {
    /// It goes on as it is.
    #[must_use]
    pub fn unchanged(message: Payload) -> Self {
        Self { passed: vec![Passed::Unchanged(message)], replies: Vec::new(), close: None }
    }

    /// It goes no further, and the session ends.
    #[must_use]
    pub fn ended(cause: Cause) -> Self {
        let row = cause.row();
        let frame = CloseFrame { code: row.close, reason: row.reason.to_owned() };
        Self { passed: Vec::new(), replies: Vec::new(), close: Some((cause, frame)) }
    }
}

/// The way back into a session, for one direction.
#[derive(Debug)]
pub struct Reply {
    pub(super) session: Handle,
    pub(super) at: usize,
}

impl Reply {
    /// Of what will be said of the message that is looked at.
    #[must_use]
    pub fn promise(&self) -> Promise {
        Promise { session: Some(self.session.clone()), at: self.at }
    }
}

/// What becomes of a message will be said here. If this is dropped, the session ends: its message cannot be judged.
#[derive(Debug)]
pub struct Promise {
    session: Option<Handle>,
    at: usize,
}

impl Promise {
    /// Says it.
    pub fn keep(mut self, screened: Screened) {
        if let Some(session) = self.session.take() {
            session.screened(self.at, Box::new(screened));
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.screened(self.at, Box::new(Screened::ended(Cause::FilterFailed)));
        }
    }
}
