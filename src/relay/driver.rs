//! The threads that move frames, and the way of a session to one of them and back.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    Handle, Leg, Mailbox, Report,
    first_end::FirstEnd,
    lane::{Begin, Inbox, Lane, Newcomer},
};
use crate::error::Cause;

/// Runs sessions on threads of its own. A session stays on the thread where it began. Dropping this cuts what is left.
pub struct Relay {
    lanes: Vec<Arc<Inbox>>,
}

impl Relay {
    /// With this many threads, one for each core if 0.
    ///
    /// # Errors
    /// When the system has no threads or descriptors left: each thread takes two.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut relay = Self { lanes: Vec::with_capacity(threads) };
        for number in 0..threads {
            let lane = Lane::new()?;
            relay.lanes.push(lane.inbox());
            // It ends with its inbox's word, which `drop` says.
            thread::Builder::new().name(format!("relay-{number}")).spawn(move || lane.run())?;
        }
        Ok(relay)
    }

    /// Runs a routed session to its end: `client` dialled us, `upstream` we dialled. It runs from this call on; dropping
    /// the future cuts it.
    ///
    /// `on_first_end` is called exactly once, on a thread of the relay, with whether there were two legs: when the first
    /// Close, end or error of either leg is read or we decide to end the session, and at the latest when it is cut.
    /// Sockets may live a little longer. It must not block.
    pub fn run_pair(
        &self,
        client: Leg,
        upstream: Leg,
        mailbox: Mailbox,
        on_first_end: impl FnOnce(bool) + Send + 'static,
    ) -> Running {
        self.run(Begin::Pair(client, upstream), mailbox, FirstEnd::new(on_first_end, true))
    }

    /// Runs a rendezvous leg from its 101 to its end: it waits until `deadline` for [`Handle::join`], up to `hold` bytes
    /// of what it says are kept meanwhile, and goes on as a pair. It runs from this call on; dropping the future cuts it.
    ///
    /// `on_first_end` is called as for [`Relay::run_pair`]. From then on no partner is accepted.
    pub fn run_waiting(
        &self,
        leg: Leg,
        mailbox: Mailbox,
        deadline: Instant,
        hold: usize,
        on_first_end: impl FnOnce(bool) + Send + 'static,
    ) -> Running {
        self.run(Begin::Waiting(leg, deadline, hold), mailbox, FirstEnd::new(on_first_end, false))
    }

    /// How often a session has had its turn, since the start. Sessions that have nothing to do have none.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.turns()).sum()
    }

    fn run(&self, begin: Begin, mailbox: Mailbox, first_end: FirstEnd) -> Running {
        let (done, report) = oneshot::channel();
        let handle = mailbox.handle();
        // One whose loop has ended, which only a mistake of ours could bring about, is not asked.
        let lanes = self.lanes.iter().filter(|lane| !lane.has_stopped());
        if let Some(lane) = lanes.min_by_key(|lane| lane.sessions()) {
            lane.post(Newcomer { begin, mailbox, first_end, done });
        }
        Running { handle, report }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.stop();
        }
    }
}

/// A session that runs; its end is the result. Dropping this cuts it.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    report: oneshot::Receiver<Report>,
}

impl Future for Running {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        // A session that panicked, or was cut with the whole relay, has told nobody how it was.
        let untold = |_| Report {
            cause: Cause::Internal,
            detail: None,
            ended_by: None,
            joined: false,
            duration: Duration::ZERO,
            legs: Vec::new(),
        };
        Pin::new(&mut self.report).poll(cx).map(|report| report.unwrap_or_else(untold))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that is over takes no commands.
        self.handle.cut(Cause::Internal);
    }
}

#[cfg(test)]
mod tests;
