//! The rendezvous registry: who sits on which channel, who is joined with whom, who must make way and who waited too long.
//!
//! A channel has one seat per [`Side`]. A seat is `Reserved` before its 101, `Ready` once the 101 is flushed and `Taken`
//! once both sides were ready. What this module promises:
//! - **No I/O and no clock.** Every transition is told the time; the only thing ever awaited is [`Seat::may_answer`].
//! - **One winner.** Every transition is one operation on one map entry. No shard is held across an await, while a
//!   handle is used or dropped, or while a waiter is woken; handles are only cloned under it.
//! - **No leak and no late eviction.** A seat is owned by a [`Seat`], dropping which frees it; two whose legs have met are
//!   freed by whom their session belongs to, with [`Registry::part`]. Either frees what is still held by these very
//!   connection ids and nothing of a successor's. Empty channels leave the map, whose size is thereby bounded by the number
//!   of admitted connections.
//! - **Exact gauges.** Each transition adds the difference it made to its channel, under the shard.
//!
//! What it does not do: probe, write Closes, move legs. It answers who must be told and through which handle.
//!
//! `H` is the handle of a session, by which other tasks reach it: cheap to clone, and cloning must not call back here.

mod channel;
mod pair;
mod seat;
mod subprotocol;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use dashmap::{DashMap, Entry};
use tokio::sync::Notify;

use self::channel::{Channel, Decision};
pub use self::{pair::Pair, seat::Seat};
use crate::{
    error::Cause,
    model::{ChannelId, ConnId, Identity, RendezvousRules, Role},
};

/// The key of a channel: equal ids meet only within one namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// The route's namespace.
    pub namespace: Arc<str>,
    /// The id both legs named.
    pub channel: ChannelId,
}

impl Key {
    /// The key of `channel` on a route with these rules.
    #[must_use]
    pub fn of(rules: &RendezvousRules, channel: ChannelId) -> Self {
        Self { namespace: Arc::clone(&rules.namespace), channel }
    }
}

/// The two roles that have a seat on a channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Joined with a backend.
    Client,
    /// Joined with a client.
    Backend,
}

impl Side {
    /// The role of the other seat.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }

    /// The role by its general name.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Client => Role::Client,
            Self::Backend => Role::Backend,
        }
    }

    /// The role's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
        }
    }
}

impl TryFrom<&Role> for Side {
    type Error = Cause;

    /// # Errors
    /// [`Cause::RoleModeMismatch`] for a role without a seat.
    fn try_from(role: &Role) -> Result<Self, Cause> {
        match role {
            Role::Client => Ok(Self::Client),
            Role::Backend => Ok(Self::Backend),
            _ => Err(Cause::RoleModeMismatch),
        }
    }
}

/// A connection that asks for a seat, before its 101.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who asks.
    pub conn: ConnId,
    /// For which seat.
    pub side: Side,
    /// Its subject is compared; two without one are the same.
    pub identity: Option<Arc<Identity>>,
    /// Its `Sec-WebSocket-Protocol` offers, in its order (RFC 6455 §4.1).
    pub offers: Vec<Arc<str>>,
}

/// What a probe of a holder found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It showed life, is not being read by us, or has no session yet to be probed.
    Alive,
    /// It was silent for [`RendezvousRules::probe`].
    Dead,
    /// It lives, and makes way whatever the rules and its subject say: somebody who may has decided so.
    Yields,
}

/// Who may sit opposite a newcomer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opposite {
    /// Whoever it is.
    Anybody,
    /// Nobody but this one, or nobody at all.
    Only(Option<ConnId>),
}

/// A leg that was taken off its seat for a newcomer. Reported once; its session must be told.
#[must_use = "the session of an evicted leg must be told"]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evicted<H> {
    /// The leg that lost its seat: closed by the cause's row.
    pub conn: ConnId,
    /// Its session; none if it was still before its 101 or between two sessions, then its own [`Seat`] tells it.
    pub handle: Option<H>,
    /// [`Cause::Dead`] or [`Cause::Replaced`].
    pub cause: Cause,
    /// The leg it was joined with, in the same session, which loses its seat too: [`Cause::PartnerGone`]. The leg that
    /// came second may still be on its way to that session.
    pub partner: Option<ConnId>,
}

/// The answer to an arrival.
#[must_use]
#[derive(Debug)]
pub enum Reservation<H> {
    /// The newcomer holds the seat.
    Seated {
        /// Frees the seat when dropped.
        seat: Seat<H>,
        /// Whom it displaced.
        evicted: Option<Evicted<H>>,
    },
    /// Another connection holds the seat: find out whether it lives and ask again with the verdict about it.
    Occupied {
        /// Whom the verdict must be about.
        holder: ConnId,
        /// Its session; none if it has none yet, then it counts as [`Life::Alive`].
        handle: Option<H>,
    },
    /// Another one than was said sits opposite and waits: find out whether the two may be joined and ask again.
    Opposite {
        /// Who it is.
        holder: ConnId,
    },
    /// The newcomer is answered with the cause's status.
    Refused {
        /// [`Cause::SeatTaken`], [`Cause::BackendFirst`] or [`Cause::SubprotocolMismatch`]; [`Cause::Internal`] for a
        /// connection that already sits on this channel.
        cause: Cause,
        /// A holder that was found dead leaves whatever becomes of the newcomer.
        evicted: Option<Evicted<H>>,
    },
}

/// What follows once a leg's 101 is flushed.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readied<H> {
    /// No partner is ready: the leg's session runs and waits.
    Wait {
        /// When it has waited too long: the time of its reservation plus its route's `pairing_timeout`, never extended.
        deadline: Instant,
    },
    /// Joined: the leg, with its [`Seat`], goes to the partner's session. If that cannot take it any more, [`Seat::rejoin`].
    Join {
        /// The leg that waited.
        partner: ConnId,
        /// Its session, from now on the session of both.
        handle: H,
    },
    /// The seat was lost meanwhile: close the leg by the cause's row.
    Lost(Cause),
}

/// Exact counts, each read by itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gauges {
    /// Channels with at least one seat held.
    pub channels: usize,
    /// Seats reserved by legs without a session: before their 101, held back, or between two sessions.
    pub reserved: usize,
    /// Legs whose session waits for a partner.
    pub waiting: usize,
    /// Pairs.
    pub pairs: usize,
}

/// How a seat's owner is told of what others did to it.
#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    lost: OnceLock<Cause>,
}

/// What a transition leaves to be done once the shard is released.
struct After<H> {
    bells: Vec<Arc<Bell>>,
    handles: Vec<H>,
}

impl<H> After<H> {
    const fn new() -> Self {
        Self { bells: Vec::new(), handles: Vec::new() }
    }

    fn finish(self) {
        for bell in self.bells {
            bell.rung.notify_one();
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    channels: AtomicUsize,
    reserved: AtomicUsize,
    waiting: AtomicUsize,
    pairs: AtomicUsize,
}

impl Counters {
    /// Adds the difference between two counts of one channel; `fetch_add` wraps, so a negative one is subtracted.
    fn moved(&self, before: Gauges, after: Gauges) {
        for (counter, before, after) in [
            (&self.channels, before.channels, after.channels),
            (&self.reserved, before.reserved, after.reserved),
            (&self.waiting, before.waiting, after.waiting),
            (&self.pairs, before.pairs, after.pairs),
        ] {
            if before != after {
                counter.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            }
        }
    }
}

/// All channels of this process. Survives reloads: legs of different generations meet here.
#[derive(Debug)]
pub struct Registry<H> {
    channels: DashMap<Key, Channel<H>>,
    counters: Counters,
}

impl<H> Default for Registry<H> {
    fn default() -> Self {
        Self { channels: DashMap::new(), counters: Counters::default() }
    }
}

impl<H> Registry<H> {
    /// The counts for metrics.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        Gauges {
            channels: self.counters.channels.load(Ordering::Relaxed),
            reserved: self.counters.reserved.load(Ordering::Relaxed),
            waiting: self.counters.waiting.load(Ordering::Relaxed),
            pairs: self.counters.pairs.load(Ordering::Relaxed),
        }
    }

    /// One transition of one existing channel, which leaves the map if it ends up empty. None if there is no such channel.
    fn transition<R>(&self, key: &Key, step: impl FnOnce(&mut Channel<H>, &mut After<H>) -> R) -> Option<R> {
        let mut after = After::new();
        let mut answer = None;
        let removed = self.channels.remove_if_mut(key, |_, channel| {
            let before = channel.census();
            answer = Some(step(channel, &mut after));
            self.counters.moved(before, channel.census());
            channel.is_empty()
        });
        drop(removed);
        after.finish();
        answer
    }

    /// The session of two that have met begins to end: both seats are free in one operation, and so is the id, however long
    /// the sockets live on. Nothing of who has come since.
    pub fn part(&self, key: &Key, pair: Pair) {
        self.transition(key, |channel, after| channel.part(pair, after));
    }

    /// Who holds a seat now, and who waits opposite to be joined with.
    #[must_use]
    pub fn who_sits(&self, key: &Key, side: Side) -> (Option<ConnId>, Option<ConnId>) {
        self.channels.get(key).map_or((None, None), |channel| channel.who_sits(side))
    }

    /// The counts by looking at every channel.
    #[cfg(test)]
    fn scan(&self) -> Gauges {
        self.channels.iter().fold(Gauges::default(), |sum, entry| {
            let one = entry.census();
            Gauges {
                channels: sum.channels + one.channels,
                reserved: sum.reserved + one.reserved,
                waiting: sum.waiting + one.waiting,
                pairs: sum.pairs + one.pairs,
            }
        })
    }
}

impl<H: Clone> Registry<H> {
    /// Asks for a seat, before the 101.
    ///
    /// `verdict` is what a probe found out about the holder of an earlier [`Reservation::Occupied`]; it counts only while that
    /// very connection holds the seat, and a holder without a session is alive whatever it says. A dead holder is taken
    /// out in any case, a living one only for a newcomer that is seated. If the holder was joined, its pair ends, and the
    /// newcomer sits alone.
    ///
    /// The deadline of the newcomer runs from `now`.
    pub fn reserve(
        self: &Arc<Self>,
        key: &Key,
        arrival: Arrival,
        rules: &RendezvousRules,
        verdict: Option<(ConnId, Life)>,
        now: Instant,
    ) -> Reservation<H> {
        self.reserve_opposite(key, arrival, rules, verdict, Opposite::Anybody, now)
    }

    /// The same for one that must not be joined with just anybody.
    pub fn reserve_opposite(
        self: &Arc<Self>,
        key: &Key,
        arrival: Arrival,
        rules: &RendezvousRules,
        verdict: Option<(ConnId, Life)>,
        opposite: Opposite,
        now: Instant,
    ) -> Reservation<H> {
        let (conn, side) = (arrival.conn, arrival.side);
        let mut after = After::new();
        let entry = self.channels.entry(key.clone());
        // That of who was there before, if anybody was: one text for both, as there may be many, for long.
        let own = entry.key().clone();
        let decision = match entry {
            Entry::Occupied(mut entry) => {
                let before = entry.get().census();
                let decision = entry.get_mut().reserve(arrival, rules, verdict, opposite, now, &mut after);
                self.counters.moved(before, entry.get().census());
                if entry.get().is_empty() {
                    entry.remove();
                }
                decision
            }
            Entry::Vacant(entry) => {
                let mut channel = Channel::default();
                let decision = channel.reserve(arrival, rules, verdict, opposite, now, &mut after);
                if !channel.is_empty() {
                    self.counters.moved(Gauges::default(), channel.census());
                    entry.insert(channel);
                }
                decision
            }
        };
        after.finish();
        match decision {
            Decision::Seated { bell, deadline, subprotocol, evicted } => Reservation::Seated {
                seat: Seat::new(Arc::clone(self), own, side, conn, bell, deadline, subprotocol),
                evicted,
            },
            Decision::Occupied { holder, handle } => Reservation::Occupied { holder, handle },
            Decision::Opposite { holder } => Reservation::Opposite { holder },
            Decision::Refused { cause, evicted } => Reservation::Refused { cause, evicted },
        }
    }
}
