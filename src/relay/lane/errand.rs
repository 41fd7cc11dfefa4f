//! Errands: what leads to a session, run on the lane that will have it, so that a handshake changes no thread.
//!
//! An errand is a future. It shares its lane with the frames of sessions, so it must not compute for long: where many
//! do, new ones are run by the runtime [for a while](Pace), and those that still do go on there. An errand that waits costs
//! its lane nothing. What it uses of the runtime (timers, tasks, other sockets) works as
//! anywhere; only [the sockets of a lane](super::loose) are told of without a change of threads.

use std::{
    cell::Cell,
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::{runtime::Handle, time::Instant};

use super::{LaneStream, inbox::Inbox, timers::Timers};
use crate::{moment::Moment, socket::uptime_ms, stream::Stream};

/// An errand that computes longer than this at a stretch, by the clock, holds up the frames of others.
const LONG: Duration = Duration::from_micros(500);
/// What such a stretch counts, where every other one counts one off: a ninth of them may be long. A thread that has to wait
/// for its CPU has long ones, too, but not so many.
const WEIGHT: u32 = 8;
/// The score at which errands go elsewhere: 32 long ones in a row. The first ones behind a rest are long, because nothing of
/// what they need is in the caches.
const MANY: u32 = 256;
/// For how long errands go elsewhere at least and at most, in milliseconds. It doubles where they do so again soon.
const SHY: (u64, u64) = (1_000, 60_000);
/// What is soon, in milliseconds.
const SOON: u64 = 10_000;

thread_local! {
    /// The errand that is polled on this thread.
    static POLLED: Cell<Option<Polled>> = const { Cell::new(None) };
}

/// An errand that is polled.
#[derive(Clone, Copy)]
struct Polled {
    /// Its waker's data, only to tell it by.
    waker: *const (),
    /// When it wants to be polled again, if nothing happens before.
    again: Option<Moment>,
}

/// Whether it is an errand itself that is polled, and not something that it is made of and that has wakers of its own.
fn polled(cx: &Context<'_>) -> Option<Polled> {
    POLLED.get().filter(|polled| polled.waker == cx.waker().data())
}

/// Whether the errand that is polled is polled again when [all are](crate::relay::Relay::ring_errands).
pub(crate) fn is_rung(cx: &Context<'_>) -> bool {
    polled(cx).is_some()
}

/// Has the errand that is polled polled again at `at`, in place of a timer; false where [there is none](is_rung). It counts
/// up to the next poll.
pub(crate) fn ring_at(at: Instant, cx: &Context<'_>) -> bool {
    let Some(polled) = polled(cx) else { return false };
    let at = at.into();
    let again = Some(polled.again.map_or(at, |again| again.min(at)));
    POLLED.set(Some(Polled { again, ..polled }));
    true
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is to be run.
pub(in crate::relay) enum Errand {
    /// It leads to a session. Made where it is run: what it consists of is in that thread's caches then, and in its part
    /// of the allocator.
    Handshake(TcpStream, Box<dyn FnOnce(Stream) -> Work + Send>),
    /// It is no handshake, but what brings them: it stays, and nobody looks how long it takes.
    Staying(Work),
}

impl Errand {
    /// One that leads to a session of this socket, which does not block.
    pub(in crate::relay) fn of<F>(socket: TcpStream, errand: impl FnOnce(Stream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::Handshake(socket, Box::new(|stream| Box::pin(errand(stream))))
    }

    /// One that stays.
    pub(super) fn staying(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Staying(Box::pin(future))
    }

    /// What it comes to in this lane.
    fn begin(self, inbox: &Arc<Inbox>) -> Option<(Work, bool)> {
        let (socket, make) = match self {
            Self::Handshake(socket, make) => (socket, make),
            Self::Staying(work) => return Some((work, true)),
        };
        match LaneStream::watch(socket, inbox) {
            // As below.
            Ok(stream) => catch_unwind(AssertUnwindSafe(|| make(Stream::Lane(stream)))).ok().map(|work| (work, false)),
            Err(error) => {
                tracing::error!(%error, "a socket cannot be watched; a connection ends at its beginning");
                None
            }
        }
    }
}

/// Whether errands take long. Only the lane writes to it.
#[derive(Default)]
pub(super) struct Pace {
    score: AtomicU32,
    /// Until when they are to be run elsewhere, in milliseconds.
    shy_until: AtomicU64,
    shy_for: AtomicU64,
}

impl Pace {
    /// Counts a stretch.
    fn count(&self, long: bool, now: impl FnOnce() -> u64) {
        let before = self.score.load(Ordering::Relaxed);
        let score = if long { before + WEIGHT } else { before.saturating_sub(1) };
        if score != before {
            self.score.store(score % MANY, Ordering::Relaxed);
        }
        if score >= MANY {
            let (now, last) = (now(), self.shy_until.load(Ordering::Relaxed));
            if now < last {
                // Of those that began before.
                return;
            }
            let again = last > 0 && now < last + SOON;
            let shy = if again { (self.shy_for.load(Ordering::Relaxed) * 2).min(SHY.1) } else { SHY.0 };
            self.shy_for.store(shy, Ordering::Relaxed);
            self.shy_until.store(now + shy, Ordering::Relaxed);
        }
    }

    /// Whether errands may be run here.
    pub(super) fn is_brisk(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.shy_until.load(Ordering::Relaxed);
        until == 0 || now() >= until
    }
}

/// The errands of a lane.
#[derive(Default)]
pub(super) struct Errands {
    places: Slab<Place>,
    timers: Timers,
}

struct Place {
    work: Work,
    stays: bool,
    bell: Arc<Bell>,
    waker: Waker,
    /// For when its timer is set.
    armed: Option<Moment>,
}

/// Wakes the errand in a place. One that is over wakes whoever has its place, who finds nothing new.
struct Bell {
    inbox: Arc<Inbox>,
    place: usize,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.inbox.put(|queue| queue.woken.push(self.place));
        }
    }
}

impl Errands {
    /// Begins one at `now`; gives the time it is then.
    pub(super) fn begin(
        &mut self,
        errand: Errand,
        inbox: &Arc<Inbox>,
        runtime: Option<&Handle>,
        now: Moment,
    ) -> Moment {
        let Some((work, stays)) = errand.begin(inbox) else {
            inbox.errand_left(false);
            return now;
        };
        let vacant = self.places.vacant_entry();
        let place = vacant.key();
        let bell = Arc::new(Bell { inbox: Arc::clone(inbox), place, rung: AtomicBool::new(false) });
        let waker = Arc::clone(&bell).into();
        vacant.insert(Place { work, stays, bell, waker, armed: None });
        self.go_on(place, inbox, runtime, now)
    }

    /// Lets one go on at `begun`; gives the time it is then. One that computes for long where many do goes on elsewhere.
    pub(super) fn go_on(&mut self, place: usize, inbox: &Inbox, runtime: Option<&Handle>, begun: Moment) -> Moment {
        let Some(Place { work, stays, bell, waker, armed }) = self.places.get_mut(place) else { return begun };
        // Before it is polled: what comes meanwhile rings again.
        bell.rung.store(false, Ordering::SeqCst);
        POLLED.set(Some(Polled { waker: waker.data(), again: None }));
        // One that panics takes no other with it; its panic is reported where it happens.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(waker))));
        let again = POLLED.take().and_then(|polled| polled.again);
        let now = Moment::now();
        let long = !*stays && now.since(begun) >= LONG;
        if !*stays {
            inbox.pace.count(long, uptime_ms);
        }
        let waits = matches!(polled, Ok(Poll::Pending));
        let runtime = runtime.filter(|_| waits && long && !inbox.pace.is_brisk(uptime_ms));
        if waits && runtime.is_none() {
            if let Some(at) = again
                && let Some(at) = self.timers.set(*armed, at, place, now)
            {
                *armed = Some(at);
            }
            return now;
        }
        let Place { work, .. } = self.places.remove(place);
        let places = &self.places;
        let is_set = |place, at| places.get(place).is_some_and(|there: &Place| there.armed == Some(at));
        self.timers.forget_if_many(places.len(), is_set);
        inbox.errand_left(runtime.is_some());
        if let Some(runtime) = runtime {
            #[allow(clippy::disallowed_methods)] // whoever waits for it tracks the future
            runtime.spawn(work);
        }
        now
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|(place, _)| place)
    }

    /// How long no timer of theirs fires; without one for ever.
    pub(super) fn wait(&self, now: Moment) -> Option<Duration> {
        self.timers.wait(now)
    }

    /// The next one whose timer has fired.
    pub(super) fn due(&mut self, now: Moment) -> Option<usize> {
        let places = &mut self.places;
        let is_set = |there: &mut Place, at| there.armed.take_if(|armed| *armed == at).is_some();
        self.timers.due(now, |place, at| places.get_mut(place).is_some_and(|there| is_set(there, at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_go_elsewhere_where_more_than_a_ninth_are_long_and_longer_each_time() {
        let pace = Pace::default();
        let mut now = 1;
        let brisk = |now| pace.is_brisk(|| now);
        let stretches = |longs: u32, of: u32, now: u64| (0..of).for_each(|at| pace.count(at < longs, || now));
        // As many as there may be, over and over.
        for _ in 0..1000 {
            stretches(1, 9, now);
        }
        assert!(brisk(now));
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            stretches(MANY / WEIGHT - 1, MANY / WEIGHT - 1, now);
            assert!(brisk(now), "not yet");
            pace.count(true, || now);
            stretches(MANY, MANY, now);
            assert!(!brisk(now + expected - 1) && brisk(now + expected), "{expected}");
            now += expected;
        }
        now += SOON;
        stretches(MANY, MANY, now);
        assert!(brisk(now + SHY.0), "long ago is forgotten");
    }
}
