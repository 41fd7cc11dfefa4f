//! The way into a lane, from any thread: new sessions, and rings for those that it has.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

use mio::{Registry, Token};
use tokio::time::Instant;

use crate::relay::{Leg, Mailbox, owner::Owned};

/// What wakes the loop from outside. Sockets have twice the number of their session, plus one for the second leg.
pub(super) const WAKE: Token = Token(usize::MAX);

/// How a session begins.
pub(in crate::relay) enum Begin {
    /// Joined already.
    Pair(Leg, Leg),
    /// Alone, until a deadline, with room for so many bytes.
    Waiting(Leg, Instant, usize),
}

/// A session on its way into a lane.
pub(in crate::relay) struct Newcomer {
    pub(in crate::relay) begin: Begin,
    pub(in crate::relay) mailbox: Mailbox,
    pub(in crate::relay) owner: Owned,
}

/// What others leave for a lane.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) new: Vec<Newcomer>,
    /// Places of sessions with mail.
    pub(super) rung: Vec<usize>,
    /// The loop ends, or has ended.
    pub(super) stop: bool,
}

/// The loop does something, and will look before it waits.
const AWAKE: u8 = 0;
/// The loop waits, or is about to, and must be woken.
const ASLEEP: u8 = 1;
/// There is something in the queue, and the loop is awake or has been woken.
const MAIL: u8 = 2;

/// The way into a lane.
pub(in crate::relay) struct Inbox {
    queue: Mutex<Queue>,
    state: AtomicU8,
    waker: mio::Waker,
    /// Sessions that it has or is about to have.
    sessions: AtomicUsize,
    /// Turns that sessions have had.
    turns: AtomicU64,
}

impl Inbox {
    /// Of the loop that waits for these events.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::default(),
            state: AtomicU8::new(AWAKE),
            waker: mio::Waker::new(registry, WAKE)?,
            sessions: AtomicUsize::new(0),
            turns: AtomicU64::new(0),
        })
    }

    /// What was left, if anything was, for a loop that is going to wait: whoever comes from now on wakes it.
    pub(super) fn take(&self) -> Option<Queue> {
        // The state first: what is put into the queue behind it is told by it again.
        (self.state.swap(ASLEEP, Ordering::SeqCst) == MAIL).then(|| std::mem::take(&mut *self.lock()))
    }

    /// The loop does not wait any more.
    pub(super) fn woken(&self) {
        // Mail stays mail.
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// So many sessions have their turns.
    pub(super) fn count_turns(&self, turns: usize) {
        self.turns.fetch_add(turns as u64, Ordering::Relaxed);
    }

    /// A session is over.
    pub(super) fn left(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }

    /// The loop has ended; whoever is on the way to it is told so.
    pub(super) fn close(&self) {
        let left = {
            let mut queue = self.lock();
            queue.stop = true;
            std::mem::take(&mut queue.new)
        };
        // Outside the lock, for it wakes others.
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The lock is never held where something could panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, put: impl FnOnce(&mut Queue)) {
        put(&mut self.lock());
        if self.state.swap(MAIL, Ordering::SeqCst) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a relay thread could not be woken");
        }
    }

    /// Hands a session over. A loop that has ended drops it, which its owner is told.
    pub(in crate::relay) fn post(&self, newcomer: Newcomer) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        let mut newcomer = Some(newcomer);
        self.put(|queue| {
            if !queue.stop {
                queue.new.extend(newcomer.take());
            }
        });
    }

    /// Whether its loop ends, or has ended.
    pub(in crate::relay) fn has_stopped(&self) -> bool {
        self.lock().stop
    }

    /// How many sessions it has.
    pub(in crate::relay) fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Turns that sessions have had.
    pub(in crate::relay) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Ends the loop; sessions that are left are cut.
    pub(in crate::relay) fn stop(&self) {
        self.put(|queue| queue.stop = true);
    }
}

/// Rings for a session's mail. A ring for a session that is over reaches whoever has its place, who finds nothing.
#[derive(Clone)]
pub(in crate::relay) struct Bell {
    pub(super) inbox: Arc<Inbox>,
    pub(super) place: usize,
}

impl Bell {
    pub(in crate::relay) fn ring(&self) {
        self.inbox.put(|queue| queue.rung.push(self.place));
    }
}
