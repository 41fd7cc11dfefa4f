//! One timer that is set again and again, and made when it is first needed.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::relay::ring_at;

/// A timer that may ring too early, never too late: who is woken looks at the clock. On a lane of the relay it is the
/// lane's, elsewhere one of the runtime's.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once after it was set to `at` or, by an earlier call, to a time before it, unless it is a lane's: that wakes
    /// whoever polls. To be called at each poll, where the clock says that it is not time yet.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if ring_at(at, cx) {
            return Poll::Pending;
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.is_elapsed() || sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }

    /// What `future` comes to, unless the time is `end` by then. One alarm serves steps that follow each other, which mostly
    /// have the same end: setting a timer costs more than looking at it.
    pub(crate) async fn within<F: Future>(&mut self, end: Instant, mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            while Instant::now() < end {
                if self.poll(end, cx).is_pending() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(None)
        })
        .await
    }
}
