//! Stopping without breaking: the order of the steps, and the owner of every task.
//!
//! Every task of the proxy is spawned here, and sessions hold tokens, so that the end can be awaited. The steps only go forward:
//!
//! 1. [`Drain::announce`]: readiness says that we stop; everything else goes on, so that load balancers can notice.
//! 2. [`Drain::begin`]: listeners stop to accept, requests are refused, waiting legs are closed, and each joined session
//!    is closed when its [turn](Drain::turn) has come.
//! 3. [`Drain::cut`]: whatever is left ends now, and says so.
//!
//! What each task does at a step is its own affair; nothing here closes anything.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, Stream as _};
use tokio::{
    sync::SetOnce,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::{
    AbortOnDropHandle, TaskTracker,
    task_tracker::{TaskTrackerToken, TrackedFuture},
};

use crate::relay::is_rung;

/// How sessions are told that we stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Over how long the Closes of joined sessions are spread.
    pub spread: Duration,
    /// Their code.
    pub close_code: u16,
}

impl Orders {
    /// When the turn of one at this place, 0 to 1, has come.
    fn due(&self, begun: Instant, place: f64) -> Instant {
        begun + self.spread.mul_f64(place)
    }
}

/// Why what was left did not get more time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The grace was over.
    Grace,
    /// A second signal came.
    Hurry,
}

impl Cut {
    /// For the log line of what is cut.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Grace => "cut: it was still there at the end of drain.grace",
            Self::Hurry => "cut: a second signal ended the drain",
        }
    }
}

/// The steps and the tasks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Drain {
    steps: Arc<Steps>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Steps {
    announced: AtomicBool,
    /// Of those who wait for a step without being woken by it: the errands of the relay, which would all put themselves
    /// down for it, each time they wait, behind one lock.
    bells: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
    begun: SetOnce<(Instant, Orders)>,
    cut: SetOnce<Cut>,
}

impl Drain {
    /// Spawns a task that the end waits for.
    #[allow(clippy::disallowed_methods)] // the one place that spawns
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// What the end waits for as for a task, and somebody else runs.
    pub fn track<F: Future>(&self, task: F) -> TrackedFuture<F> {
        self.tasks.track_future(task)
    }

    /// Spawns a task that the end does not wait for: it lives as long as the answer.
    #[allow(clippy::disallowed_methods)] // as above
    pub fn spawn_beside(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(task))
    }

    /// What the end waits for as for a task.
    pub fn token(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Tasks and tokens alive.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Rings behind each step.
    pub fn ring(&self, bell: impl Fn() + Send + Sync + 'static) {
        self.bells().push(Box::new(bell));
    }

    /// A step is reached.
    fn ring_all(&self) {
        self.bells().iter().for_each(|bell| bell());
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Box<dyn Fn() + Send + Sync>>> {
        self.steps.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it be seen that we are going to stop.
    pub fn announce(&self) {
        self.steps.announced.store(true, Ordering::SeqCst);
    }

    /// Whether we are going to stop, or are stopping.
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.steps.announced.load(Ordering::SeqCst)
    }

    /// Tells everybody to stop, once: the orders of the first call stand.
    pub fn begin(&self, orders: Orders) {
        self.announce();
        // Set already where this is not the first call.
        let _ = self.steps.begun.set((Instant::now(), orders));
        self.ring_all();
    }

    /// Whether we are stopping.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.steps.begun.initialized()
    }

    /// Waits until we are to stop.
    pub async fn begun(&self) {
        reached(&self.steps.begun).await;
    }

    /// Waits for the turn of one of many that must not all be closed at once, and tells the code to close with.
    /// `place`, 0 to 1, is where in the spread it stands.
    pub async fn turn(&self, place: f64) -> u16 {
        let (begun, orders) = reached(&self.steps.begun).await;
        sleep_until(orders.due(*begun, place)).await;
        orders.close_code
    }

    /// Ends whatever is left, once: the first reason stands.
    pub fn cut(&self, why: Cut) {
        // As above.
        let _ = self.steps.cut.set(why);
        self.ring_all();
    }

    /// Why whatever is left is being ended, if it is.
    #[must_use]
    pub fn is_cut(&self) -> Option<Cut> {
        self.steps.cut.get().copied()
    }

    /// Waits until whatever is left must end, and tells why.
    pub async fn cut_off(&self) -> Cut {
        *reached(&self.steps.cut).await
    }

    /// Waits for every task, at most `grace`; false if some were still running then.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.tasks.close();
        timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

/// Waits until a step is reached.
async fn reached<T>(step: &SetOnce<T>) -> &T {
    let mut waiting = pin!(step.wait());
    poll_fn(|cx| match step.get() {
        Some(reached) => Poll::Ready(reached),
        None if is_rung(cx) => Poll::Pending,
        None => waiting.as_mut().poll(cx),
    })
    .await
}

/// Waits beside something that is woken often: it is looked at only when it was woken itself, so that waiting for a step
/// costs a session no lock at each message. Polled again after its end it stays pending.
pub struct Beside<F>(FuturesUnordered<F>);

/// Makes a future one that waits beside another.
pub fn beside<F: Future>(future: F) -> Beside<F> {
    Beside(std::iter::once(future).collect())
}

impl<F: Future> Future for Beside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match Pin::new(&mut self.0).poll_next(cx) {
            Poll::Ready(Some(output)) => Poll::Ready(output),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: Orders = Orders { spread: Duration::from_secs(10), close_code: 1012 };

    #[tokio::test]
    async fn the_end_waits_for_tasks_no_longer_than_the_grace() {
        let drain = Drain::default();
        let seen = drain.clone();
        drain.spawn(async move { seen.begun().await });
        assert!(!drain.finish(Duration::from_millis(1)).await);
        drain.begin(ORDERS);
        assert!(drain.finish(Duration::from_mins(1)).await);
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test]
    async fn turns_are_spread_from_the_beginning_on() {
        let drain = Drain::default();
        let begun = Instant::now();
        for (place, after) in [(0.0, 0), (0.5, 5), (0.75, 7), (1.0, 10)] {
            let due = ORDERS.due(begun, place) - begun;
            assert_eq!(due.as_secs(), after, "{place}");
        }
        // The first one need not wait, whatever the spread; the last one of none neither.
        drain.begin(ORDERS);
        assert_eq!(drain.turn(0.0).await, 1012);
        let at_once = Drain::default();
        at_once.begin(Orders { spread: Duration::ZERO, close_code: 4000 });
        assert_eq!(at_once.turn(1.0).await, 4000);
    }

    #[tokio::test]
    async fn what_waits_beside_is_looked_at_only_when_it_was_woken() {
        let drain = Drain::default();
        let looks = std::cell::Cell::new(0);
        let mut begun = std::pin::pin!(drain.begun());
        let mut waiting = std::pin::pin!(beside(std::future::poll_fn(|cx| {
            looks.set(looks.get() + 1);
            begun.as_mut().poll(cx)
        })));
        for _ in 0..10 {
            assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        }
        drain.begin(ORDERS);
        waiting.as_mut().await;
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(looks.get(), 2);
    }

    #[test]
    fn a_step_implies_those_before_it_and_the_first_reason_stands() {
        let drain = Drain::default();
        assert!(!drain.is_announced() && !drain.has_begun() && drain.is_cut().is_none());
        drain.announce();
        assert!(drain.is_announced() && !drain.has_begun());
        let drain = Drain::default();
        drain.begin(ORDERS);
        assert!(drain.is_announced());
        drain.cut(Cut::Hurry);
        drain.cut(Cut::Grace);
        assert_eq!(drain.is_cut(), Some(Cut::Hurry));
    }
}
