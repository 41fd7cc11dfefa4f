//! Who asks for a body that was announced with `Expect: 100-continue` (RFC 9110 §10.1.1).
//!
//! The body stays with the client until the service says 100 or has said nothing for `expect`. A service that answers
//! first gets no body: the client, which learns of the answer, need not send it.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
/// The answer came first.
const ANSWERED: u8 = 2;
/// And it is over: so is the request.
const OVER: u8 = 3;

/// Whether the body is asked for. Once it is, nothing closes the gate again.
#[derive(Default)]
pub(in crate::http) struct Gate {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Gate {
    /// The body is wanted.
    pub(in crate::http) fn open(&self) {
        self.pass(CLOSED, OPEN);
    }

    /// The answer has begun.
    pub(in crate::http) fn answered(&self) {
        self.pass(CLOSED, ANSWERED);
    }

    /// The answer is over.
    pub(in crate::http) fn over(&self) {
        self.pass(ANSWERED, OVER);
    }

    /// Whether the body was asked for.
    pub(in crate::http) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    fn pass(&self, from: u8, to: u8) {
        if self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.waker.wake();
        }
    }

    /// Whether the body may be read: not yet; yes; never.
    pub(in crate::http) fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), &'static str>> {
        self.waker.register(cx.waker());
        match self.state.load(Ordering::Acquire) {
            OPEN => Poll::Ready(Ok(())),
            OVER => Poll::Ready(Err("it was answered before its body was asked for")),
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker;

    use super::*;

    #[test]
    fn an_answer_closes_it_for_ever_unless_it_was_opened_before() {
        let waker = noop_waker();
        let cx = Context::from_waker(&waker);
        let gate = Gate::default();
        assert!(gate.poll(&cx).is_pending());
        gate.over();
        assert!(gate.poll(&cx).is_pending(), "nothing was answered yet");
        gate.answered();
        gate.open();
        assert!(gate.poll(&cx).is_pending() && !gate.is_open());
        gate.over();
        assert!(matches!(gate.poll(&cx), Poll::Ready(Err(_))));

        let gate = Gate::default();
        gate.open();
        gate.answered();
        gate.over();
        assert!(matches!(gate.poll(&cx), Poll::Ready(Ok(()))));
    }
}
