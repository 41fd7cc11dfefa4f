//! The relay: what happens after the 101, until both sockets are gone.
//!
//! Two legs are joined and frames move between them. Headers are parsed (2 to 14 bytes), payloads pass in pieces as
//! they come and are never put together. Towards a leg that we dialled everything passes verbatim, masks, reserved bits
//! and fragmentation included; between two legs that dialled us frames are unmasked in place ([`pump`]). A big frame that
//! passes verbatim stays in the kernel ([`bulk`]): of it the header alone is looked at.
//!
//! What it promises:
//! - An idle session owns no buffer and no pipe; a busy one for each direction at most one buffer of 64 KiB, or a pipe
//!   with at most 256 KiB in it. Back-pressure is TCP's: a leg is not read while the other has not taken what was read
//!   before.
//! - Whatever a leg sent before it closed or broke is delivered before the other leg is closed.
//! - A frame of ours (Close, keep-alive Ping, Pong) stands between two frames of theirs, never inside one.
//! - Every session ends: each wait has a deadline out of [`Limits`].
//! - The [`Owner`] learns at once when the first Close, end or error is read (seat and id are free then), and gets a
//!   [`Report`] when the last socket is closed.
//!
//! One step drives both directions, not two, because closing and keep-alive tie them together: a Close that passes one
//! way starts the clock of the other, and a leg counts as silent only while it is being read, which the other decides.
//! The state machine ([`session`]) knows neither threads nor sockets; a [`lane`] lends it time and readiness. There are as
//! many lanes as the configuration has `workers`, each with a thread of its own. What leads to a session, from accepting
//! the first socket to the 101, runs there, too ([`Relay::run_errand`]), unless it takes long.

mod buffer;
mod bulk;
mod clocks;
mod close;
mod closing;
mod driver;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lane;
mod leaving;
mod mailbox;
mod mask;
#[doc(hidden)]
pub mod micro;
mod owed;
mod owner;
mod pending;
mod pipe;
mod pump;
pub mod raw;
mod screen;
mod screening;
mod session;
mod side;
mod sides;
mod sieve;
mod straight;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

pub(crate) use self::{
    close::is_allowed,
    lane::{LaneListener, LaneStream, is_rung, ring_at},
};
pub use self::{
    driver::Relay,
    leaving::leave,
    mailbox::{Handle, Mailbox, mailbox},
    owner::Owner,
    screen::{Passed, Promise, Reply, Screen, Screened, Wanted},
};
use crate::{
    error::Cause,
    model::{ConnId, Limits},
    stream::Stream,
};

/// Who we are towards a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It dialled us: it masks its frames, ours to it are not masked, and we end TCP first (RFC 6455 §5.1, §7.1.1).
    Server,
    /// We dialled it: its frames are not masked, ours to it are, and it ends TCP first.
    Client,
}

/// Who the peer is, which decides the codes when it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The one that asked.
    Client,
    /// The one that serves: an upstream, or the backend of a rendezvous.
    Backend,
}

/// A connection after its 101.
pub struct Leg {
    /// The connection. An upstream has an id of its own.
    pub id: ConnId,
    /// The socket. `TCP_NODELAY` and the like are set by who opened it.
    pub stream: Stream,
    /// What was read behind the handshake's head.
    pub early: Bytes,
    /// Who we are towards it.
    pub end: End,
    /// Who it is.
    pub party: Party,
    /// Its limits; of `idle` and `lifetime` the shorter of both legs counts, and either leg's `ping: terminate`.
    pub limits: Arc<Limits>,
    /// An extension was negotiated end to end, so that reserved bits pass.
    pub extensions: bool,
    /// What looks at the messages of both legs; counts of the leg that makes the pair complete.
    pub screen: Option<Arc<dyn Screen>>,
}

impl fmt::Debug for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leg")
            .field("id", &self.id)
            .field("end", &self.end)
            .field("party", &self.party)
            .finish_non_exhaustive()
    }
}

/// How a session ended.
#[derive(Debug)]
pub struct Report {
    /// The first reason.
    pub cause: Cause,
    /// Which rule of RFC 6455 was broken or what limit was hit, for the log.
    pub detail: Option<&'static str>,
    /// The leg it came from; `None` if it was nobody's (draining, idle, lifetime).
    pub ended_by: Option<ConnId>,
    /// Whether there were two legs. A waiting leg that closed by itself is [`Cause::Closed`] and not joined.
    pub joined: bool,
    /// Legs were let go of by [`Handle::cut`].
    pub cut: bool,
    /// From the beginning until now, waiting included.
    pub duration: Duration,
    /// The first (or only) leg, then the second.
    pub legs: Vec<LegReport>,
}

/// What one leg did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegReport {
    /// The connection.
    pub conn: ConnId,
    /// Who it was.
    pub party: Party,
    /// Bytes read from it, early ones included.
    pub bytes_in: u64,
    /// Bytes written to it.
    pub bytes_out: u64,
    /// Messages it sent to the end.
    pub messages_in: u64,
    /// Messages of the other leg that were passed on to it to the end, held ones included.
    pub messages_out: u64,
    /// Code of the Close it sent; 1005 for one without code, `None` if it sent none.
    pub close_received: Option<u16>,
    /// Code of the Close it was sent; 1005 for one without code, `None` if it was sent none.
    pub close_sent: Option<u16>,
    /// While it waited it said more than its `hold`, so that it was not read any more.
    pub hold_filled: bool,
    /// It did not come to its end within `close`.
    pub overdue: bool,
}

impl LegReport {
    /// Of a leg that has done nothing yet.
    pub(crate) const fn new(conn: ConnId, party: Party) -> Self {
        Self {
            conn,
            party,
            bytes_in: 0,
            bytes_out: 0,
            messages_in: 0,
            messages_out: 0,
            close_received: None,
            close_sent: None,
            hold_filled: false,
            overdue: false,
        }
    }
}

#[cfg(any(test, fuzzing))]
mod tests;
