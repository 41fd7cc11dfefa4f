//! Whom a session belongs to, and what it is told.

use std::time::Duration;

use super::Report;
use crate::error::Cause;

/// Whom a session belongs to. It is told on a thread of the relay, so it must not block.
pub trait Owner: Send {
    /// A second leg is joined to the one that waited, and nothing has passed between the two yet.
    fn joined(&mut self) {}

    /// The session begins to end: the first Close, end or error of either leg was read, or we decided to end it, and
    /// nobody has heard of it yet. Sockets may live a little longer, but no partner is accepted any more. `joined` says
    /// whether there were two legs.
    fn ending(&mut self, joined: bool);

    /// It is over: its sockets are closed, and its mailbox refuses what comes.
    fn ended(self: Box<Self>, report: Report);
}

/// The owner of a session: told of its ending once, then of its end once, in any case; at the latest when it is dropped.
#[derive(Default)]
pub(super) struct Owned {
    owner: Option<Box<dyn Owner>>,
    told: bool,
    pub(super) joined: bool,
}

impl Owned {
    pub(super) fn by(owner: Box<dyn Owner>, joined: bool) -> Self {
        Self { owner: Some(owner), told: false, joined }
    }

    /// Tells that a second leg is joined.
    pub(super) fn join(&mut self) {
        self.joined = true;
        if let Some(owner) = &mut self.owner {
            owner.joined();
        }
    }

    /// Tells of the ending, unless that was done.
    pub(super) fn ending(&mut self) {
        if let Some(owner) = &mut self.owner
            && !std::mem::replace(&mut self.told, true)
        {
            owner.ending(self.joined);
        }
    }

    /// Tells of the end.
    pub(super) fn ended(&mut self, report: Report) {
        self.ending();
        if let Some(owner) = self.owner.take() {
            owner.ended(report);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // A session that panicked, or went down with the whole relay, has told nobody how it was.
        self.ended(Report {
            cause: Cause::Internal,
            detail: None,
            ended_by: None,
            joined: self.joined,
            cut: false,
            duration: Duration::ZERO,
            legs: Vec::new(),
        });
    }
}
