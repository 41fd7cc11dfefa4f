//! Errands: what leads to a session, run on the lane that will have it, so that a handshake changes no thread.
//!
//! An errand is a future. It shares its lane with the frames of sessions, so it must not compute for long: where many
//! do, new ones are run by the runtime [for a while](Pace), and those that still do go on there. An errand that waits costs
//! its lane nothing. What it uses of the runtime (timers, tasks, other sockets) works as
//! anywhere; only [the sockets of a lane](super::loose) are told of without a change of threads.

use std::{
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

use super::inbox::Inbox;
use crate::socket::uptime_ms;

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

/// What is to be run.
pub(in crate::relay) struct Errand {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether it is no handshake, but what brings them: it stays, and nobody looks how long it takes.
    stays: bool,
}

impl Errand {
    /// One that leads to a session.
    pub(in crate::relay) fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { future: Box::pin(future), stays: false }
    }

    /// One that stays.
    pub(super) fn staying(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { stays: true, ..Self::new(future) }
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
}

struct Place {
    errand: Errand,
    bell: Arc<Bell>,
    waker: Waker,
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
        now: Instant,
    ) -> Instant {
        let vacant = self.places.vacant_entry();
        let place = vacant.key();
        let bell = Arc::new(Bell { inbox: Arc::clone(inbox), place, rung: AtomicBool::new(false) });
        let waker = Arc::clone(&bell).into();
        vacant.insert(Place { errand, bell, waker });
        self.go_on(place, inbox, runtime, now)
    }

    /// Lets one go on at `begun`; gives the time it is then. One that computes for long where many do goes on elsewhere.
    pub(super) fn go_on(&mut self, place: usize, inbox: &Inbox, runtime: Option<&Handle>, begun: Instant) -> Instant {
        let Some(Place { errand, bell, waker }) = self.places.get_mut(place) else { return begun };
        // Before it is polled: what comes meanwhile rings again.
        bell.rung.store(false, Ordering::SeqCst);
        // One that panics takes no other with it; its panic is reported where it happens.
        let polled = catch_unwind(AssertUnwindSafe(|| errand.future.as_mut().poll(&mut Context::from_waker(waker))));
        let now = Instant::now();
        let long = !errand.stays && now.saturating_duration_since(begun) >= LONG;
        if !errand.stays {
            inbox.pace.count(long, uptime_ms);
        }
        let waits = matches!(polled, Ok(Poll::Pending));
        let runtime = runtime.filter(|_| waits && long && !inbox.pace.is_brisk(uptime_ms));
        if waits && runtime.is_none() {
            return now;
        }
        let Place { errand, .. } = self.places.remove(place);
        inbox.errand_left(runtime.is_some());
        if let Some(runtime) = runtime {
            #[allow(clippy::disallowed_methods)] // whoever waits for it tracks the future
            runtime.spawn(errand.future);
        }
        now
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
