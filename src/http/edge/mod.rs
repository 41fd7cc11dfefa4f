//! The edge: the socket of a client as HTTP sees it, which is judged before it is parsed.
//!
//! What is read passes [`Scanner`] first, and hyper gets only what was judged: hyper normalises, so that behind it a
//! doubled length, a folded line or a lone LF cannot be seen any more. In place of a head that is refused it gets a
//! minimal one of ours, and the service is told by the request's number to answer with the refusal. So a refusal goes the
//! way of every answer: behind those of the requests before it, with one line in the log, and the connection ends with it.
//!
//! It also keeps the time. A head that does not come to its end within `establish` is answered with 408; a connection on
//! which none begins is closed without a word after `establish`, later after `idle`; after `idle` without a byte, a body
//! that is waited for ends and an answer is given up. After the last answer `linger` is left for the peer to take it:
//! closing a socket with unread bytes would reset it, and the answer could be lost.
//!
//! Bytes are read into hyper's buffer and judged there. What is not complete is copied and kept, at most one head and what
//! was read with it; a connection at rest keeps nothing. After a 101 the edge is gone: [`freed`] gives back the socket.

mod begin;
mod door;

use std::{
    error::Error as _,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::Instant,
};

pub use self::{
    begin::First,
    door::{Answering, Door, Refused, Turn},
};
use crate::{
    alarm::Alarm,
    error::Cause,
    head::raw::{Bounds, Place, Scan, Scanner, Violation},
    metrics::{Cut, Metrics},
    model::Refusal,
    socket::Socket,
    stream::Stream,
};

/// What stands for a head that is refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: invalid\r\nConnection: close\r\n\r\n";
/// How much is read at once of a head that did not come in one piece, in bytes.
const PIECE: usize = 4096;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From accept, or from its first byte, to the end of a head.
    pub establish: Duration,
    /// Without a byte: between requests, within a body, and for a peer to take an answer.
    pub idle: Duration,
    /// For the peer to take the last answer.
    pub linger: Duration,
}

/// The socket of a client. For hyper it stands in a [`TokioIo`].
pub struct Edge {
    stream: Socket,
    scanner: Scanner,
    /// Nothing was read yet.
    unseen: bool,
    door: Arc<Door>,
    metrics: Arc<Metrics>,
    times: Times,
    accepted: Instant,
    /// What was read and not passed on; the first `judged` bytes may be.
    held: BytesMut,
    judged: usize,
    /// The head of which a part is here: its number, and when it began.
    partial: Option<(u64, Instant)>,
    /// Since when a body is waited for.
    body_awaited: Option<Instant>,
    /// Since when an answer cannot be written.
    blocked: Option<Instant>,
    /// When the last byte was read or written.
    moved: Instant,
    /// Why nothing more is read.
    end: Option<End>,
    reading: Alarm,
    writing: Alarm,
    shut: Shut,
}

/// Why nothing more is read.
#[derive(Clone, Debug)]
enum End {
    /// A head was refused; hyper gets its stand-in and waits for nothing more.
    Refused,
    /// A body was.
    Broken(Violation),
    /// We close.
    Closed,
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shut {
    Open,
    /// Nothing more is written; what comes is thrown away until then.
    Lingering(Instant),
    Done,
}

/// What has to happen, and when.
enum Due {
    /// The connection has been silent for too long.
    Close(Cut),
    /// The head took too long.
    Late,
    /// The body did.
    Stalled,
    /// Nothing yet.
    Nothing,
}

impl Edge {
    /// The edge of a connection that was accepted at `accepted`.
    #[must_use]
    pub fn new(stream: Socket, bounds: Bounds, times: Times, metrics: Arc<Metrics>, accepted: Instant) -> Self {
        Self {
            stream,
            scanner: Scanner::new(bounds),
            unseen: true,
            door: Arc::new(Door::new(accepted)),
            metrics,
            times,
            accepted,
            held: BytesMut::new(),
            judged: 0,
            partial: None,
            body_awaited: None,
            blocked: None,
            moved: accepted,
            end: None,
            reading: Alarm::default(),
            writing: Alarm::default(),
            shut: Shut::Open,
        }
    }

    /// What the service needs to know of each request.
    #[must_use]
    pub const fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Goes on with a socket that the runtime watches; whether a lane watched it.
    ///
    /// # Errors
    /// The system's.
    pub fn leave_lane(&mut self) -> io::Result<bool> {
        self.stream.leave_lane()
    }

    /// Takes back what was read.
    pub fn give_back(&mut self, read: &[u8]) {
        self.held = [read, &self.held[..]].concat().as_slice().into();
        self.judged += read.len();
    }

    /// The bare socket of a connection that is none of HTTP/1 any more, and what was read of that: `early`, and what came
    /// later.
    #[must_use]
    pub fn free(self, early: Bytes) -> (Stream, Bytes) {
        let early = if self.held.is_empty() { early } else { [&early[..], &self.held[..]].concat().into() };
        let Some(stream) = self.stream.into_stream() else { unreachable!("taken out here only") };
        (stream, early)
    }

    /// Hands on what may be, as much as there is room for.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.judged.min(buf.remaining());
        buf.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.advance(length);
        self.judged -= length;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Reads, judges, and says whether there is something to look at; false at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let scan = if self.held.is_empty() {
            // Into hyper's buffer; what is not complete is taken out again.
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let fresh = buf.filled().get(before..).unwrap_or_default();
            if fresh.is_empty() {
                return Poll::Ready(Ok(false));
            }
            let scan = self.scanner.scan(fresh);
            self.held.extend_from_slice(fresh.get(scan.passed..).unwrap_or_default());
            buf.set_filled(before + scan.passed);
            scan
        } else {
            if !ready!(self.poll_piece(cx))? {
                return Poll::Ready(Ok(false));
            }
            let scan = self.scanner.scan(&self.held);
            self.judged = scan.passed;
            scan
        };
        self.moved = Instant::now();
        self.body_awaited = None;
        self.note(scan);
        if std::mem::take(&mut self.unseen) && (self.scanner.place(), self.scanner.heads()) != (Place::Through, 1) {
            self.stream.prompt();
        }
        Poll::Ready(Ok(true))
    }

    /// Reads more of what is held; false at the end of the stream.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        let mut buf = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    /// Draws the conclusions of a scan.
    fn note(&mut self, scan: Scan) {
        let place = self.scanner.place();
        match scan.violation {
            Some(violation) if violation.cause == Cause::BadBody => {
                self.held.truncate(self.judged);
                self.metrics.cut(Cut::BadBody);
                self.end = Some(End::Broken(violation));
            }
            Some(violation) => self.refuse(violation.refusal(), violation.path),
            None if place == Place::Through => {
                // Nothing is held back any more. HTTP/2 has no heads of this kind, and no last one.
                self.judged = self.held.len();
                if self.scanner.heads() > 0 {
                    self.door.ends_with(self.scanner.heads());
                }
            }
            None => {}
        }
        let begun = self.held.len() > self.judged && matches!(self.scanner.place(), Place::Between | Place::Head);
        let number = self.scanner.heads() + 1;
        match self.partial {
            Some((known, _)) if begun && known == number => {}
            None if !begun => {}
            _ => {
                let since = if number == 1 { self.accepted } else { self.moved };
                self.partial = begun.then_some((number, since));
                self.door.set_partial(begun);
                if begun {
                    self.door.begins(number, since);
                }
            }
        }
    }

    /// Lets the service answer the head under way with a refusal.
    fn refuse(&mut self, refusal: Refusal, path: String) {
        self.held.truncate(self.judged);
        self.held.extend_from_slice(STAND_IN);
        self.judged = self.held.len();
        self.door.refuse(self.scanner.heads() + 1, Refused { refusal, path });
        self.end = Some(End::Refused);
    }

    /// Refuses the head under way because it is late.
    fn refuse_late(&mut self) {
        let path = self.scanner.path(self.held.get(self.judged..).unwrap_or_default());
        let why = "the head of the request did not come to its end in time";
        self.refuse(Refusal::because(Cause::EstablishTimeout, why), path);
        self.partial = None;
        self.door.set_partial(false);
    }

    /// What is to happen next while nothing comes.
    fn due(&mut self, now: Instant) -> Option<(Instant, Due)> {
        let at_rest = |edge: &Self| {
            if edge.door.is_busy() {
                (now + edge.times.idle, Due::Nothing)
            } else {
                (edge.moved + edge.times.idle, Due::Close(Cut::Idle))
            }
        };
        match (self.scanner.place(), self.partial) {
            (_, Some((_, begun))) => Some((begun + self.times.establish, Due::Late)),
            (Place::Between | Place::Head, None) if self.scanner.heads() == 0 => {
                Some((self.accepted + self.times.establish, Due::Close(Cut::Silent)))
            }
            (Place::Between | Place::Head, None) => Some(at_rest(self)),
            // Whoever forwards it has a time of its own.
            (Place::Body, None) if self.stream.pulse().is_watched() => Some((now + self.times.idle, Due::Nothing)),
            (Place::Body, None) => Some((*self.body_awaited.get_or_insert(now) + self.times.idle, Due::Stalled)),
            (Place::Through, None) if self.scanner.heads() == 0 => Some(at_rest(self)),
            (Place::Through | Place::Refused, None) => None,
        }
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let now = Instant::now();
            match self.due(now) {
                None => return Poll::Pending,
                Some((at, due)) if at <= now => return Poll::Ready(due),
                Some((at, _)) => ready!(self.reading.poll(at, cx)),
            }
        }
    }

    /// Judges how a write went.
    fn written(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(wrote) = wrote {
            if self.blocked.take().is_some() {
                self.door.set_blocked(false);
                // hyper 1.12 has no look at the answer of a request whose turn has come by this very write, as it is with
                // one behind a body that nobody read: once more, or it waits for the peer, and the peer for it.
                cx.waker().wake_by_ref();
            }
            self.moved = Instant::now();
            return Poll::Ready(wrote);
        }
        self.door.set_blocked(true);
        let mut end = *self.blocked.get_or_insert_with(Instant::now) + self.times.idle;
        loop {
            let now = Instant::now();
            if self.stream.pulse().is_watched() {
                // As in `due`.
                self.blocked = Some(now);
                end = now + self.times.idle;
            }
            if now >= end {
                break;
            }
            ready!(self.writing.poll(end, cx));
        }
        self.metrics.cut(Cut::Stalled);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether there is, or will be, something that nobody has read.
    fn has_unread(&self) -> bool {
        let at_rest = self.scanner.place() == Place::Between || self.scanner.heads() == 0;
        if !self.held.is_empty() || !at_rest || matches!(self.end, Some(End::Refused | End::Broken(_))) {
            return true;
        }
        self.stream.has_unread()
    }

    /// Throws away what comes until the peer has closed.
    fn poll_linger(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let mut scrap = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        while Instant::now() < until {
            ready!(self.reading.poll(until, cx));
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Edge {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            if self.judged > 0 {
                self.deliver(buf);
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            match &self.end {
                None => {}
                // The answer is at hand; the end of the stream would make hyper drop it.
                Some(End::Refused) => return Poll::Pending,
                Some(End::Broken(violation)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation.clone())));
                }
                Some(End::Closed) => return Poll::Ready(Ok(())),
            }
            match self.poll_fill(cx, buf) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => {
                    if self.partial.is_some() {
                        self.metrics.cut(Cut::Partial);
                    }
                    self.end = Some(End::Closed);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => match ready!(self.poll_due(cx)) {
                    Due::Nothing => {}
                    Due::Late => self.refuse_late(),
                    Due::Close(why) => {
                        self.metrics.cut(why);
                        self.end = Some(End::Closed);
                    }
                    Due::Stalled => {
                        self.metrics.cut(Cut::Stalled);
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                },
            }
        }
    }
}

impl AsyncWrite for Edge {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shut == Shut::Open {
            // A peer that is gone has taken what it wanted.
            let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
            let until = Instant::now() + self.times.linger;
            self.shut = if self.has_unread() { Shut::Lingering(until) } else { Shut::Done };
        }
        if let Shut::Lingering(until) = self.shut {
            ready!(self.poll_linger(cx, until));
            self.shut = Shut::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// What was wrong with a body that hyper could not read.
#[must_use]
pub fn violation(error: &hyper::Error) -> Option<&Violation> {
    let broken = error.source()?.downcast_ref::<io::Error>()?;
    broken.get_ref()?.downcast_ref()
}

/// The socket of an upgraded connection of ours, and the bytes that were read behind the request, in order; the only
/// place that knows what hyper was given.
///
/// # Errors
/// The connection is not one of ours.
pub fn freed(upgraded: Upgraded) -> Result<(Stream, Bytes), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Edge>>()?;
    Ok(parts.io.into_inner().free(parts.read_buf))
}

/// Ends a connection that hyper gave up because an upgrade was asked for, and refused: as it ends all others, which is
/// without a reset while the peer is still sending. What hyper had not written yet is lost: with 1.12 that can be the end of
/// an answer to a request for `h2c` whose body nobody read, where the peer takes the answer slowly.
pub async fn part(upgraded: Upgraded) {
    if let Ok(parts) = upgraded.downcast::<TokioIo<Edge>>() {
        let _ = parts.io.into_inner().shutdown().await;
    }
}
