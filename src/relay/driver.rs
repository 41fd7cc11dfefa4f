//! Runs a [`Session`] as one tokio task over TCP sockets.
//!
//! Readiness comes from tokio, bytes from the socket itself: after a short read or write the readiness is given back
//! unread, which saves the call that would only say "not now". That is safe because an edge that comes meanwhile counts
//! as new, and tokio never forgets that a stream was closed by its peer.

use std::{
    future::{Future, poll_fn},
    io, mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Leg, Mailbox, Report,
    close::CloseFrame,
    mailbox::Command,
    session::{Next, Session, Wants},
    side::{Io, Traits},
};
use crate::error::Cause;

/// The timer is not set finer than this, whatever the deadline: it bounds how often time alone can wake a session.
const TICK: Duration = Duration::from_millis(10);

/// Runs a routed session to its end: `client` dialled us, `upstream` we dialled.
///
/// `on_first_end` is called exactly once, with whether there were two legs: when the first Close, end or error of either
/// leg is read or we decide to end the session, and at the latest when this future is dropped. Sockets may live a little
/// longer.
pub fn run_pair(
    client: Leg,
    upstream: Leg,
    mailbox: Mailbox,
    on_first_end: impl FnOnce(bool),
) -> impl Future<Output = Report> {
    drive(Session::pair(open(client), open(upstream), Instant::now()), mailbox, Once::new(on_first_end, true))
}

/// Runs a rendezvous leg from its 101 to its end: it waits until `deadline` for [`Handle::join`](super::Handle::join),
/// up to `hold` bytes of what it says are kept meanwhile, and goes on as a pair.
///
/// `on_first_end` is called exactly once, with whether there were two legs: when the first Close, end or error of either
/// leg is read or we decide to end the session, and at the latest when this future is dropped. Sockets may live a little
/// longer. From then on no partner is accepted.
pub fn run_waiting(
    leg: Leg,
    mailbox: Mailbox,
    deadline: Instant,
    hold: usize,
    on_first_end: impl FnOnce(bool),
) -> impl Future<Output = Report> {
    let (io, traits) = open(leg);
    let session = Session::waiting(io, traits, hold, deadline, Instant::now());
    drive(session, mailbox, Once::new(on_first_end, false))
}

fn open(leg: Leg) -> (Tcp, Traits) {
    let Leg { id, stream, early, end, party, limits, extensions } = leg;
    (Tcp { stream, insist: false }, Traits { conn: id, party, end, limits, extensions, early })
}

/// Calls back once, in any case, and says whether there were two legs.
struct Once<F: FnOnce(bool)> {
    hook: Option<F>,
    joined: bool,
}

impl<F: FnOnce(bool)> Once<F> {
    fn new(hook: F, joined: bool) -> Self {
        Self { hook: Some(hook), joined }
    }

    fn call(&mut self) {
        if let Some(hook) = self.hook.take() {
            hook(self.joined);
        }
    }
}

impl<F: FnOnce(bool)> Drop for Once<F> {
    fn drop(&mut self) {
        self.call();
    }
}

async fn drive(mut session: Session<Tcp>, mailbox: Mailbox, mut hook: Once<impl FnOnce(bool)>) -> Report {
    let sleep = pin!(sleep_until(Instant::now()));
    let mut timer = Timer { sleep, armed: None };
    poll_fn(|cx| {
        loop {
            let next = session.step(Instant::now());
            hook.joined = session.sides.len() > 1;
            if session.ending.is_some() {
                hook.call();
            }
            // Also while bytes keep coming: a session must not be deaf to its owner.
            let commanded = take_commands(&mut session, &mailbox, cx);
            match next {
                Next::Done => return Poll::Ready(()),
                Next::Again => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::Wait(wants) => {
                    let ready = is_ready(&session, &wants, cx);
                    let due = timer.poll(wants.deadline, cx);
                    if !(commanded || ready || due) {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;
    session.report(Instant::now())
}

/// Carries out what the mailbox holds. Runs right after a step, so that a leg that has left is known to have left.
fn take_commands(session: &mut Session<Tcp>, mailbox: &Mailbox, cx: &Context<'_>) -> bool {
    let mut any = false;
    while let Poll::Ready(command) = mailbox.poll(cx) {
        any = true;
        let now = Instant::now();
        match command {
            Command::Join(ticket) => {
                if session.may_join(now)
                    && let Some(leg) = ticket.redeem()
                {
                    let (io, traits) = open(*leg);
                    session.join(io, traits, now);
                }
            }
            Command::Probe { conn, reply } => session.probe(conn, reply),
            Command::Close { conn, cause } => session.close(conn, cause, now),
            Command::Drain { code } => {
                session.take_leave(CloseFrame { code, ..CloseFrame::of(Cause::Draining) }, now);
            }
            Command::Cut { cause } => session.drop_all(cause),
        }
    }
    any
}

/// Whether a leg is ready for what is wanted of it; where not, the task is woken when it is.
fn is_ready(session: &Session<Tcp>, wants: &Wants, cx: &mut Context<'_>) -> bool {
    let mut ready = false;
    for (at, side) in session.sides.iter().enumerate() {
        if let Some(Tcp { stream, .. }) = &side.io {
            // An error counts as ready: the next read or write shows it.
            ready |= wants.read[at] && stream.poll_read_ready(cx).is_ready();
            ready |= wants.write[at] && stream.poll_write_ready(cx).is_ready();
        }
    }
    ready
}

/// One timer for the nearest deadline. A deadline that moves away leaves it as it is: it then fires early, once, and is
/// set anew, which is far less work than setting it at every byte.
struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    armed: Option<Instant>,
}

impl Timer<'_> {
    /// Whether the timer fired; if not, the task is woken at `deadline` at the latest.
    fn poll(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else { return false };
        if self.armed.is_none_or(|armed| armed > deadline) {
            let at = deadline.max(Instant::now() + TICK);
            self.sleep.as_mut().reset(at);
            self.armed = Some(at);
        }
        let fired = self.sleep.as_mut().poll(cx).is_ready();
        if fired {
            self.armed = None;
        }
        fired
    }
}

/// A leg's socket.
struct Tcp {
    stream: TcpStream,
    /// The next write asks the socket and not tokio.
    insist: bool,
}

impl Io for Tcp {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let asked = buffer.len();
        let mut short = None;
        let full = self.stream.try_io(Interest::READABLE, || {
            let (read, _) = recv(&self.stream, &mut *buffer, RecvFlags::empty())?;
            if read > 0 && read < asked {
                short = Some(read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(read)
        });
        short.map_or(full, Ok)
    }

    fn try_write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if mem::take(&mut self.insist) {
            // Tokio need not hear of it: it waits for the kernel's word as before.
            return Ok(send(&self.stream, buffer, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?);
        }
        let asked = buffer.len();
        let mut short = None;
        let full = self.stream.try_io(Interest::WRITABLE, || {
            let sent = send(&self.stream, buffer, SendFlags::NOSIGNAL)?;
            if sent < asked {
                short = Some(sent);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(sent)
        });
        short.map_or(full, Ok)
    }

    fn shutdown_write(&mut self) {
        // A socket that is already gone shows it at the next read.
        let _ = shutdown(&self.stream, Shutdown::Write);
    }

    fn insist(&mut self) {
        self.insist = true;
    }

    fn abort(&mut self) {
        // Without it the kernel would go on offering what is unsent to a peer that does not take it.
        let _ = self.stream.set_zero_linger();
    }

    fn has_more(&self) -> bool {
        matches!(recv(&self.stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((1.., _)))
    }

    fn hung_up(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // What tokio has heard, which may be behind bytes that are not read.
        let ready = pin!(self.stream.ready(Interest::READABLE)).poll(&mut cx);
        if matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()) {
            return true;
        }
        // What it has not heard yet.
        match recv(&self.stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((length, _)) => length == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}

#[cfg(test)]
mod tests;
