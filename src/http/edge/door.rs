//! What the socket's side of a connection and its service tell each other about each request, in the order of requests.
//!
//! A request is known by its number on the connection, which no peer can forge.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::model::Refusal;

/// A request that was refused before it was read.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The path it asked for, without its query; empty where that is not known.
    pub path: String,
}

/// The door between a socket and its service.
#[derive(Debug)]
pub struct Door {
    accepted: Instant,
    /// Requests handed to the service.
    turns: AtomicU64,
    /// Requests that the service has and whose answers are not at their end.
    busy: AtomicU64,
    /// The one that is refused; nothing comes behind it.
    refused: OnceLock<(u64, Refused)>,
    /// The upgrade request; what comes behind it is not judged.
    last: OnceLock<u64>,
    /// When a request began that did not come in one piece.
    begun: Mutex<Option<(u64, Instant)>>,
    /// Whether part of a head is here.
    partial: AtomicBool,
    /// Whether something waits to be written.
    blocked: AtomicBool,
}

impl Door {
    pub(super) fn new(accepted: Instant) -> Self {
        Self {
            accepted,
            turns: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            refused: OnceLock::new(),
            last: OnceLock::new(),
            begun: Mutex::default(),
            partial: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
        }
    }

    pub(super) fn refuse(&self, turn: u64, refused: Refused) {
        // A connection has one violation: nothing is judged behind it.
        let _ = self.refused.set((turn, refused));
    }

    pub(super) fn ends_with(&self, turn: u64) {
        let _ = self.last.set(turn);
    }

    pub(super) fn begins(&self, turn: u64, at: Instant) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some((turn, at));
    }

    pub(super) fn set_partial(&self, partial: bool) {
        self.partial.store(partial, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Whether part of a head is here, whose sender waits for an answer.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.partial.load(Ordering::Relaxed)
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Whether the end of an answer waits for the peer to take it. If it refuses an upgrade, hyper 1.12 would not wait when it
    /// is told to end.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether nothing has been asked for yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.turns.load(Ordering::Relaxed) == 0
    }

    /// The next request's turn; to be called once for each, in their order.
    #[must_use]
    pub fn turn(self: &Arc<Self>) -> Turn {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Turn { number: self.turns.fetch_add(1, Ordering::Relaxed) + 1, door: Arc::clone(self) }
    }
}

/// One request, from its head to the end of its answer.
#[derive(Debug)]
pub struct Turn {
    number: u64,
    door: Arc<Door>,
}

impl Turn {
    /// Why this request is not to be served.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.door.refused.get().filter(|(number, _)| *number == self.number).map(|(_, refused)| refused)
    }

    /// Whether the connection ends with this request if it is not upgraded.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.door.last.get() == Some(&self.number)
    }

    /// When the request's budget began: with the connection, or with the first byte of a later request.
    #[must_use]
    pub fn begun(&self) -> Instant {
        if self.number == 1 {
            return self.door.accepted;
        }
        let begun = *self.door.begun.lock().unwrap_or_else(PoisonError::into_inner);
        // One that came in one piece has only now got its turn.
        begun.filter(|(number, _)| *number == self.number).map_or_else(Instant::now, |(_, at)| at)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.door.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer; the request's turn lasts as long.
pub struct Answering<B> {
    body: B,
    _turn: Turn,
}

impl<B> Answering<B> {
    /// Ends `turn` with `body`.
    pub const fn new(body: B, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
