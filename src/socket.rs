//! TCP sockets that hyper reads and writes, with what others must know or decide about them meanwhile.
//!
//! A [`Pulse`] says when a byte last passed, which tells a slow peer from one that has stopped; it also holds the order
//! to end the socket with a reset instead of a FIN. A socket towards an upstream goes on being read after a failed
//! write, because the answer that explains the failure may be in the receive buffer already.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{stream::Stream, tuning};

/// When bytes last passed, shared by a socket and those who watch it.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Milliseconds, as [`uptime_ms`] counts them.
    last: AtomicU64,
    /// The peer takes nothing at the moment.
    blocked: AtomicBool,
    reset: AtomicBool,
    /// Those who have a time of their own for what passes here.
    watched: AtomicUsize,
}

/// Milliseconds since the first call.
pub(crate) fn uptime_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Pulse {
    /// One that has just beaten.
    #[must_use]
    pub fn new() -> Self {
        let this = Self::default();
        this.beat();
        this
    }

    /// Something has passed.
    pub fn beat(&self) {
        self.0.last.store(uptime_ms(), Ordering::Relaxed);
    }

    /// How long nothing has passed, to the millisecond.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_millis(uptime_ms().saturating_sub(self.0.last.load(Ordering::Relaxed)))
    }

    /// Whether bytes wait for the peer to take them.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.0.blocked.load(Ordering::Relaxed)
    }

    /// Says that somebody has a time of its own for what passes here, until the answer is dropped.
    #[must_use]
    pub fn watched(&self) -> Watched {
        self.0.watched.fetch_add(1, Ordering::Relaxed);
        Watched(self.clone())
    }

    /// Whether somebody has.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed) > 0
    }

    /// Makes the socket end with a reset, so that the peer cannot take what it has for all there is, and nothing is left
    /// in the kernel for a peer that does not read.
    pub fn reset_at_end(&self) {
        self.0.reset.store(true, Ordering::Relaxed);
    }
}

/// Somebody who has a time of its own for what passes.
#[derive(Debug)]
pub struct Watched(Pulse);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.0.watched.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket with a pulse.
#[derive(Debug)]
pub struct Socket {
    /// None once it was taken out.
    stream: Option<Stream>,
    pulse: Pulse,
    upstream: bool,
    /// The first write that failed, on a socket towards an upstream.
    broken: Option<io::ErrorKind>,
    /// What was read of it elsewhere, and comes first here.
    early: Bytes,
}

impl Socket {
    /// One that dialled us.
    #[must_use]
    pub fn accepted(stream: Stream, pulse: Pulse) -> Self {
        Self { stream: Some(stream), pulse, upstream: false, broken: None, early: Bytes::new() }
    }

    /// One that we dialled: a failed write is kept back until reading has ended too.
    #[must_use]
    pub fn dialled(stream: Stream, pulse: Pulse) -> Self {
        Self { stream: Some(stream), pulse, upstream: true, broken: None, early: Bytes::new() }
    }

    /// The same, of which `early` was read elsewhere, and is to be read here again.
    #[must_use]
    pub fn behind(mut self, early: Bytes) -> Self {
        self.early = early;
        self
    }

    /// Its pulse.
    #[must_use]
    pub const fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The bare socket.
    #[must_use]
    pub fn into_stream(mut self) -> Option<Stream> {
        self.stream.take()
    }

    /// Has it watched by the runtime; whether a lane watched it.
    ///
    /// # Errors
    /// The system's; it is gone then.
    pub fn leave_lane(&mut self) -> io::Result<bool> {
        match self.stream.take() {
            Some(Stream::Lane(stream)) => {
                self.stream = Some(Stream::Runtime(Stream::Lane(stream).into_runtime()?));
                Ok(true)
            }
            other => {
                self.stream = other;
                Ok(false)
            }
        }
    }

    /// Has what comes acknowledged [at once](tuning::prompt).
    pub fn prompt(&self) {
        if let Some(stream) = &self.stream {
            tuning::prompt(stream);
        }
    }

    /// Whether bytes have come that nobody has read.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.try_read(&mut [0; 1]).is_ok_and(|read| read > 0))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What becomes of a write: a failure is kept back where reading may still tell more.
    fn written(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.pulse.0.blocked.store(wrote.is_pending(), Ordering::Relaxed);
        match ready!(wrote) {
            Ok(length) => {
                self.pulse.beat();
                Poll::Ready(Ok(length))
            }
            Err(error) if self.upstream => {
                self.broken = Some(error.kind());
                // The end or the error that reading comes to wakes the task.
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take()
            && self.pulse.0.reset.load(Ordering::Relaxed)
        {
            // A socket that is gone needs none.
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(self.stream()?.poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.pulse.beat();
        } else if let Some(kind) = self.broken
            && kind != io::ErrorKind::BrokenPipe
        {
            // The reset was reported to the write; after it the kernel calls the rest an orderly end, which it is not.
            return Poll::Ready(Err(kind.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Pending;
        }
        let wrote = self.stream()?.poll_write(cx, bytes);
        self.written(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Pending;
        }
        let wrote = self.stream()?.poll_write_vectored(cx, slices);
        self.written(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}
