//! The way into a lane, from any thread: new sessions and errands, and rings for those that it has.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
};

use mio::{Registry, Token};
use tokio::time::Instant;

use super::{
    errand::{Errand, Pace},
    loose::Loose,
};
use crate::{
    relay::{Leg, Mailbox, owner::Owned},
    socket::uptime_ms,
};

/// What wakes the loop from outside. Sockets of sessions have twice the number of their session, plus one for the second
/// leg; those of errands are [marked](super::loose::MARK).
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
    pub(super) errands: Vec<Errand>,
    /// Places of errands that can go on.
    pub(super) woken: Vec<usize>,
    /// All errands are to be polled.
    pub(super) all: bool,
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
    /// Errands likewise.
    errands: AtomicUsize,
    /// Errands that were run elsewhere because many take long here.
    elsewhere: AtomicU64,
    /// Sockets that belong to errands.
    pub(super) loose: Loose,
    /// Whether errands take long.
    pub(super) pace: Pace,
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
            errands: AtomicUsize::new(0),
            elsewhere: AtomicU64::new(0),
            loose: Loose::new(registry)?,
            pace: Pace::default(),
            turns: AtomicU64::new(0),
        })
    }

    /// Where its sockets are watched.
    pub(super) const fn registry(&self) -> &Registry {
        &self.loose.registry
    }

    /// Places of sockets that an errand has, or a session that got them from one.
    #[cfg(test)]
    pub(in crate::relay) fn watched(&self) -> usize {
        self.loose.count()
    }

    /// Swaps what was left, if anything was, for what is `empty`; for a loop that is awake. Says whether it did.
    pub(super) fn take(&self, empty: &mut Queue) -> bool {
        if self.state.load(Ordering::SeqCst) != MAIL {
            return false;
        }
        // The state first: what is put into the queue behind it is told by it again.
        self.state.store(AWAKE, Ordering::SeqCst);
        std::mem::swap(empty, &mut *self.lock());
        true
    }

    /// Whether the loop may wait: whoever comes from now on wakes it. If it may not, there is something to take.
    pub(super) fn lie_down(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
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

    /// An errand is done, or goes on `elsewhere`.
    pub(super) fn errand_left(&self, elsewhere: bool) {
        self.errands.fetch_sub(1, Ordering::Relaxed);
        if elsewhere {
            self.count_elsewhere();
        }
    }

    /// An errand is run, or goes on, elsewhere because many take long here.
    pub(in crate::relay) fn count_elsewhere(&self) {
        self.elsewhere.fetch_add(1, Ordering::Relaxed);
    }

    /// Errands of which that was so.
    pub(in crate::relay) fn elsewhere(&self) -> u64 {
        self.elsewhere.load(Ordering::Relaxed)
    }

    /// The loop has ended; whoever is on the way to it is told so.
    pub(super) fn close(&self) {
        let left = {
            let mut queue = self.lock();
            queue.stop = true;
            (std::mem::take(&mut queue.new), std::mem::take(&mut queue.errands))
        };
        // Outside the lock, for it wakes others.
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The lock is never held where something could panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, put: impl FnOnce(&mut Queue)) {
        put(&mut self.lock());
        if self.state.swap(MAIL, Ordering::SeqCst) == ASLEEP
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a relay thread could not be woken");
        }
    }

    /// Hands a session over. A loop that has ended drops it, which its owner is told.
    pub(in crate::relay) fn post(&self, newcomer: Newcomer) {
        self.hand(&self.sessions, newcomer, |queue| &mut queue.new);
    }

    /// Has an errand run there. A loop that has ended drops it.
    pub(in crate::relay) fn send(&self, errand: Errand) {
        self.hand(&self.errands, errand, |queue| &mut queue.errands);
    }

    fn hand<T>(&self, count: &AtomicUsize, one: T, list: fn(&mut Queue) -> &mut Vec<T>) {
        count.fetch_add(1, Ordering::Relaxed);
        // Dropped outside the lock, for it wakes others.
        let mut one = Some(one);
        self.put(|queue| {
            if !queue.stop {
                list(queue).extend(one.take());
            }
        });
    }

    /// Has all its errands polled.
    pub(in crate::relay) fn ring_errands(&self) {
        self.put(|queue| queue.all = true);
    }

    /// Whether its loop ends, or has ended.
    pub(in crate::relay) fn has_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Whether errands take no long.
    pub(in crate::relay) fn is_brisk(&self) -> bool {
        self.pace.is_brisk(uptime_ms)
    }

    /// How many sessions it has, and errands, most of which become sessions.
    pub(in crate::relay) fn load(&self) -> usize {
        self.sessions.load(Ordering::Relaxed) + self.errands.load(Ordering::Relaxed)
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
pub(in crate::relay) struct Bell {
    pub(in crate::relay) inbox: Arc<Inbox>,
    /// There are fewer descriptors than that.
    pub(in crate::relay) place: u32,
}

impl Bell {
    pub(in crate::relay) fn ring(&self) {
        self.inbox.put(|queue| queue.rung.push(self.place as usize));
    }
}
