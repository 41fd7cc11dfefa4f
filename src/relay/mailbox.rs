//! How the rest of the proxy talks to a running session: joins, probes and closes it.
//!
//! A session's mailbox costs nothing while it is empty. Its end refuses what is in it and what comes later; in
//! particular a leg that was to be joined comes back to who sent it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{
    Leg, Screened,
    lane::{Bell, Inbox},
};
use crate::{
    error::Cause,
    model::{self, ConnId},
};

/// Probes that may wait; a session takes them as soon as it runs.
const BOUND: usize = 32;

/// What a session is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Join(Ticket),
    Probe {
        conn: ConnId,
        reply: oneshot::Sender<bool>,
    },
    Close {
        conn: Option<ConnId>,
        cause: Cause,
    },
    Dismiss {
        conn: ConnId,
        cause: Cause,
        frame: Box<model::CloseFrame>,
    },
    Drain {
        conn: Option<ConnId>,
        code: u16,
        cause: Cause,
    },
    Cut {
        cause: Cause,
    },
    /// What becomes of the message of this leg that is looked at.
    Screened {
        at: usize,
        screened: Box<Screened>,
    },
}

/// A leg on its way into a session. Dropped unused, it goes back to its sender.
#[derive(Debug)]
pub(super) struct Ticket {
    leg: Option<Box<Leg>>,
    back: Option<oneshot::Sender<Box<Leg>>>,
}

impl Ticket {
    /// Uses it: the leg is joined from here on.
    pub(super) fn redeem(mut self) -> Option<Box<Leg>> {
        self.leg.take()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let (Some(leg), Some(back)) = (self.leg.take(), self.back.take()) {
            // A sender that does not wait any more has given the leg up.
            let _ = back.send(leg);
        }
    }
}

#[derive(Default)]
#[allow(clippy::box_collection)] // sessions are many, and nearly all have no mail
struct Shared {
    /// None while it is empty: few sessions ever get more mail than a partner.
    queue: Option<Box<VecDeque<Command>>>,
    /// Where it is read: a [`Bell`], in pieces so that there is room for what follows.
    lane: Option<Arc<Inbox>>,
    place: u32,
    closed: bool,
}

/// Makes a session's mailbox and the handle to it.
#[must_use]
pub fn mailbox() -> (Handle, Mailbox) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Handle(Arc::clone(&shared)), Mailbox(shared))
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The lock is never held where something could panic half-way.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaches a running session. Cheap to clone; holding one keeps nothing alive.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<Shared>>);

impl Handle {
    /// Joins `leg` to the waiting leg of this session, which then owns it. Dropping this future while it waits gives
    /// the leg up.
    ///
    /// # Errors
    /// The leg itself, untouched, if the session is over, has a partner, or its leg has just left.
    pub async fn join(&self, leg: Box<Leg>) -> Result<(), Box<Leg>> {
        let (back, returned) = oneshot::channel();
        self.send(Command::Join(Ticket { leg: Some(leg), back: Some(back) }));
        match returned.await {
            Ok(leg) => Err(leg),
            // A ticket that is redeemed is dropped without sending anything back.
            Err(_) => Ok(()),
        }
    }

    /// Asks whether a leg lives: sends it a Ping. `true` at the next byte from it, or at once if it is not being read;
    /// `false` if it, or the session, is over. Waits as long as the leg is silent: the caller sets the limit.
    pub async fn probe(&self, conn: ConnId) -> bool {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Probe { conn, reply });
        answer.await.unwrap_or(false)
    }

    /// Ends the session (`conn`: `None`, both legs get the cause's code) or one of its legs, which gets the code while
    /// its partner gets 1001. A cause without a close code cuts. Does nothing if the session is already ending.
    pub fn close(&self, conn: Option<ConnId>, cause: Cause) {
        self.send(Command::Close { conn, cause });
    }

    /// Ends one of the session's legs, which gets this Close; its partner gets 1001. Does nothing if the session is already
    /// ending. The frame's code is one that may be sent.
    pub fn dismiss(&self, conn: ConnId, cause: Cause, frame: model::CloseFrame) {
        self.send(Command::Dismiss { conn, cause, frame: Box::new(frame) });
    }

    /// Ends the session because we stop, or its policies are too old: each leg gets `code` behind what the other has
    /// sent until then, as soon as
    /// nothing more comes and after `close` at the latest. Does nothing if the session is already ending, or has not this
    /// leg.
    pub fn drain(&self, conn: Option<ConnId>, code: u16, cause: Cause) {
        self.send(Command::Drain { conn, code, cause });
    }

    /// Lets go of both legs at once, without a Close. The cause is that of a session that was not ending yet.
    pub fn cut(&self, cause: Cause) {
        self.send(Command::Cut { cause });
    }

    pub(super) fn screened(&self, at: usize, screened: Box<Screened>) {
        self.send(Command::Screened { at, screened });
    }

    /// Whether the session is over and its sockets are closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    /// What cannot be queued is dropped outside the lock, which answers it.
    fn send(&self, command: Command) {
        let bell = {
            let mut shared = lock(&self.0);
            let bounded = matches!(command, Command::Join(_) | Command::Probe { .. });
            let waiting = shared.queue.as_ref().map_or(0, |queue| queue.len());
            if shared.closed || bounded && waiting >= BOUND {
                None
            } else {
                shared.queue.get_or_insert_default().push_back(command);
                // Whoever takes mail takes all of it.
                let lane = shared.lane.as_ref().filter(|_| waiting == 0);
                lane.map(|lane| Bell { inbox: Arc::clone(lane), place: shared.place })
            }
        };
        if let Some(bell) = bell {
            bell.ring();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("closed", &self.is_closed()).finish()
    }
}

/// The session's end. That no handle is left is no reason to end.
pub struct Mailbox(Arc<Mutex<Shared>>);

impl Mailbox {
    /// Rings for each command that comes while there is no other. Those that are here already are not rung for.
    pub(super) fn ring_at(&self, bell: Bell) {
        let mut shared = lock(&self.0);
        (shared.lane, shared.place) = (Some(bell.inbox), bell.place);
    }

    /// A handle to it.
    pub(super) fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.0))
    }

    /// The next command.
    pub(super) fn next(&self) -> Option<Command> {
        let mut shared = lock(&self.0);
        let command = shared.queue.as_mut().and_then(|queue| queue.pop_front());
        if command.is_none() {
            shared.queue = None;
        }
        command
    }

    /// Closings that it was asked for.
    #[cfg(test)]
    pub(crate) fn closings(&self) -> usize {
        let shared = lock(&self.0);
        let closes = |command: &&Command| matches!(command, Command::Close { .. } | Command::Dismiss { .. });
        shared.queue.as_ref().map_or(0, |queue| queue.iter().filter(closes).count())
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let left = {
            let mut shared = lock(&self.0);
            shared.closed = true;
            shared.lane = None;
            std::mem::take(&mut shared.queue)
        };
        // Outside the lock: dropping them answers who waits.
        drop(left);
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// As with what is kept of each session elsewhere: there is one for each leg of a pair.
    #[test]
    fn what_is_kept_of_each_mailbox_stays_small() {
        assert!(size_of::<Mutex<Shared>>() <= 48 - 16, "{}", size_of::<Mutex<Shared>>());
    }
}
