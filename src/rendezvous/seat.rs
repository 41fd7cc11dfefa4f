//! The guard by which a leg owns its seat.

use std::{fmt, sync::Arc, time::Instant};

use super::{Bell, Key, Pair, Readied, Registry, Side, channel::Answer};
use crate::{error::Cause, model::ConnId};

/// A leg's seat on its channel, from before the 101 until the leg ends or has met its partner.
///
/// Dropping it frees the seat if this connection still holds it. A partner it was joined with, but whose leg it has not
/// met, keeps its own seat and its own deadline.
pub struct Seat<H> {
    registry: Arc<Registry<H>>,
    key: Key,
    side: Side,
    conn: ConnId,
    bell: Arc<Bell>,
    deadline: Instant,
    subprotocol: Option<Arc<str>>,
    /// False once the registry has nothing of ours any more.
    held: bool,
}

impl<H> Seat<H> {
    pub(super) const fn new(
        registry: Arc<Registry<H>>,
        key: Key,
        side: Side,
        conn: ConnId,
        bell: Arc<Bell>,
        deadline: Instant,
        subprotocol: Option<Arc<str>>,
    ) -> Self {
        Self { registry, key, side, conn, bell, deadline, subprotocol, held: true }
    }

    /// The channel; equal to what was asked for, and shared with a partner that was there before.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    #[cfg(test)]
    pub(super) const fn registry(&self) -> &Arc<Registry<H>> {
        &self.registry
    }

    /// The role.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The connection.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }

    /// When this leg has waited too long for a partner, be it for its 101 or after it.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What the 101 names; with `accept: when_paired` not settled, hence none, before [`Self::may_answer`] said yes.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&Arc<str>> {
        self.subprotocol.as_ref()
    }

    /// Waits until the 101 may go out and answers the subprotocol it names.
    ///
    /// At once with `accept: at_once`; else as soon as a partner is seated, whether that one answers at once or not, so two
    /// such legs do not wait for each other. Cancel safe; give it up at [`Self::deadline`] with [`Cause::NoPartner`].
    ///
    /// # Errors
    /// [`Cause::SeatTaken`] if a newcomer took the seat: the leg is still before its 101 and gets a status.
    pub async fn may_answer(&mut self) -> Result<Option<Arc<str>>, Cause> {
        loop {
            match self.registry.transition(&self.key, |channel, _| channel.answer(self.side, self.conn)).flatten() {
                Some(Answer::Go { subprotocol }) => {
                    self.subprotocol.clone_from(&subprotocol);
                    return Ok(subprotocol);
                }
                // A ring between the look and the wait is kept as a permit, so none is missed.
                Some(Answer::Hold) => self.bell.rung.notified().await,
                None => return Err(Cause::SeatTaken),
            }
        }
    }

    /// The guest's leg has reached its host's session: from now on both seats are freed together, by [`Registry::part`].
    ///
    /// Called on either with the other. It does not matter whether they still hold their seats: if a newcomer ended the
    /// pair, the session is told by its handle. Seats of different channels are no pair: both are free at once.
    pub fn meet(mut self, mut partner: Self) {
        if self.key == partner.key {
            (self.held, partner.held) = (false, false);
            let pair = Pair { side: self.side, conns: [self.conn, partner.conn] };
            let over = self.registry.channels.get_mut(&self.key).map(|mut channel| channel.meet(pair));
            // Outside the shard, as everything.
            drop(over);
        }
    }

    /// Why the seat is not ours any more.
    fn lost(&self) -> Cause {
        self.bell.lost.get().copied().unwrap_or(Cause::Internal)
    }
}

impl<H: Clone> Seat<H> {
    /// The 101 is flushed. `handle` reaches the leg's own session, should it have to wait.
    pub fn ready(&mut self, handle: &H) -> Readied<H> {
        let step = self.registry.transition(&self.key, |channel, _| channel.ready(self.side, self.conn, handle));
        step.flatten().unwrap_or_else(|| Readied::Lost(self.lost()))
    }

    /// After [`Readied::Join`], if the partner's session ended before it took this leg: the seat was kept, and the leg waits
    /// with its original deadline or is joined with yet another partner, as after [`Self::ready`].
    ///
    /// Only for a session that is known to be over: its leg's seat is freed, if that has not happened yet.
    pub fn rejoin(&mut self, handle: &H) -> Readied<H> {
        let step =
            self.registry.transition(&self.key, |channel, after| channel.rejoin(self.side, self.conn, handle, after));
        step.flatten().unwrap_or_else(|| Readied::Lost(self.lost()))
    }
}

impl<H> Drop for Seat<H> {
    fn drop(&mut self) {
        if self.held {
            self.registry.transition(&self.key, |channel, after| channel.leave(self.side, self.conn, after));
        }
    }
}

impl<H> fmt::Debug for Seat<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("key", &self.key)
            .field("side", &self.side)
            .field("conn", &self.conn)
            .finish_non_exhaustive()
    }
}
