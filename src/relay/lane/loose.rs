//! Sockets that a lane watches and no session has: those of [errands](super::errand).
//!
//! They may be used on any thread, though they are made for that of their lane. As with a session's socket, what
//! epoll says is kept, and only a call that comes up short takes it away, unless epoll has said something meanwhile. A
//! session of the same lane takes it over with its place, and the kernel is not told of that.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener as StdListener, TcpStream},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use mio::{Interest, Registry, Token, event::Event, unix::SourceFd};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{errand::Errand, inbox::Inbox};
use crate::tuning;

/// In the tokens of these sockets.
pub(super) const MARK: usize = 1 << (usize::BITS - 2);

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Most bytes that are read at once.
const PIECE: usize = 4096;

const READABLE: u32 = 1;
const WRITABLE: u32 = 2;
/// Its stream has ended or is broken; behind what is still to be read. Told once, so it stays.
const ENDED: u32 = 4;
/// What is above counts what epoll has said.
const SAID: u32 = 8;

/// What is known of a socket.
#[derive(Default)]
struct Ready {
    state: AtomicU32,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// All of them of a lane.
pub(super) struct Loose {
    pub(super) registry: Registry,
    /// None has one whose socket a session has.
    places: Mutex<Slab<Option<Arc<Ready>>>>,
}

impl Loose {
    /// None yet.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        Ok(Self { registry: registry.try_clone()?, places: Mutex::default() })
    }

    fn places(&self) -> MutexGuard<'_, Slab<Option<Arc<Ready>>>> {
        // The lock is never held where something could panic half-way.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the kernel says of one, which may be gone already.
    pub(super) fn note(&self, event: &Event) {
        let place = event.token().0 & !MARK;
        let ready = self.places().get(place).and_then(Option::clone);
        if let Some(ready) = ready {
            ready.note(event);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.places().len()
    }

    /// Makes a place free.
    pub(super) fn leave(&self, place: usize) {
        self.places().remove(place);
    }

    /// No errand is told any more of what the kernel says of this place.
    fn keep(&self, place: usize) {
        self.places()[place] = None;
    }
}

/// What is known of a socket that changes hands.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Ready {
    fn note(&self, event: &Event) {
        let mut said = 0;
        if event.is_read_closed() || event.is_error() {
            said |= ENDED | READABLE;
        }
        if event.is_readable() {
            said |= READABLE;
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            said |= WRITABLE;
        }
        // Relaxed would do for the flags; whoever waits has registered its waker before it looked at them.
        let _ =
            self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(state.wrapping_add(SAID) | said));
        if said & READABLE != 0 {
            self.reader.wake();
        }
        if said & WRITABLE != 0 {
            self.writer.wake();
        }
    }

    /// Waits for a flag; gives the state that has it.
    fn poll(&self, flag: u32, waker: &AtomicWaker, cx: &Context<'_>) -> Poll<u32> {
        for registered in [false, true] {
            let state = self.state.load(Ordering::SeqCst);
            if state & flag != 0 {
                return Poll::Ready(state);
            }
            if !registered {
                waker.register(cx.waker());
            }
        }
        Poll::Pending
    }

    /// A call came up short that was made in this state.
    fn clear(&self, flag: u32, state: u32) {
        // Where it fails epoll has said something meanwhile, or somebody else has cleared the other flag: the next call tells.
        let _ = self.state.compare_exchange(state, state & !flag, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// A place among the sockets of a lane.
struct Watched {
    ready: Arc<Ready>,
    lane: Arc<Inbox>,
    place: usize,
    /// Somebody else has the place now.
    kept: bool,
}

impl Watched {
    /// Has a socket watched.
    ///
    /// # Errors
    /// When the system watches no more sockets (`fs.epoll.max_user_watches`).
    fn new(socket: &impl AsFd, known: u32, interest: Interest, lane: &Arc<Inbox>) -> io::Result<Self> {
        let ready = Arc::new(Ready { state: known.into(), ..Ready::default() });
        let place = lane.loose.places().insert(Some(Arc::clone(&ready)));
        let this = Self { ready, lane: Arc::clone(lane), place, kept: false };
        let fd = socket.as_fd().as_raw_fd();
        lane.loose.registry.register(&mut SourceFd(&fd), Token(MARK | place), interest)?;
        Ok(this)
    }

    async fn until(&self, flag: u32) -> u32 {
        let waker = if flag == READABLE { &self.ready.reader } else { &self.ready.writer };
        poll_fn(|cx| self.ready.poll(flag, waker, cx)).await
    }

    /// Keeps the place for whoever has the socket now.
    fn hand_over(mut self) -> (usize, u32) {
        self.lane.loose.keep(self.place);
        self.kept = true;
        (self.place, self.ready.state.load(Ordering::SeqCst))
    }

    /// Has the kernel speak of it no more.
    fn forget(&self, socket: &impl AsFd) -> io::Result<()> {
        self.lane.loose.registry.deregister(&mut SourceFd(&socket.as_fd().as_raw_fd()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.kept {
            self.lane.loose.leave(self.place);
        }
    }
}

/// A listening socket that a lane watches.
pub(crate) struct LaneListener {
    socket: mio::net::TcpListener,
    watched: Watched,
}

impl LaneListener {
    /// Has a socket watched that does not block.
    ///
    /// # Errors
    /// As with [`LaneStream::watch`].
    pub(in crate::relay) fn watch(socket: StdListener, lane: &Arc<Inbox>) -> io::Result<Self> {
        let watched = Watched::new(&socket, 0, Interest::READABLE, lane)?;
        Ok(Self { socket: mio::net::TcpListener::from_std(socket), watched })
    }

    /// Accepts a connection, whose socket does not block and is watched by nobody.
    ///
    /// # Errors
    /// The system's.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let state = self.watched.until(READABLE).await;
            match self.socket.accept() {
                Ok((stream, peer)) => return Ok((stream.into(), peer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watched.ready.clear(READABLE, state),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs what uses it where it is watched.
    pub(crate) fn run<F: Future<Output = ()> + Send + 'static>(self, errand: impl FnOnce(Self) -> F) {
        let lane = Arc::clone(&self.watched.lane);
        lane.send(Errand::staying(errand(self)));
    }

    /// The bare socket, which nobody watches.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn into_std(self) -> io::Result<StdListener> {
        self.watched.forget(&self.socket)?;
        Ok(self.socket.into())
    }
}

/// A connected socket that a lane watches.
pub struct LaneStream {
    /// Closed before its place is free.
    stream: TcpStream,
    watched: Watched,
}

impl LaneStream {
    /// Has a socket watched that does not block.
    ///
    /// # Errors
    /// When the system watches no more sockets (`fs.epoll.max_user_watches`).
    pub(in crate::relay) fn watch(stream: TcpStream, lane: &Arc<Inbox>) -> io::Result<Self> {
        // Nothing is known yet, but a connection that was accepted nearly always takes bytes; the first edges tell.
        let watched = Watched::new(&stream, WRITABLE, BOTH, lane)?;
        Ok(Self { stream, watched })
    }

    /// Connects to an address, on the lane whose thread this is; none if it is no lane's. The socket has what
    /// [`tuning::begin`] sets.
    ///
    /// # Errors
    /// Nobody took the connection, or the system has no more sockets.
    pub(crate) fn connect_here(address: SocketAddr) -> Option<impl Future<Output = io::Result<Self>> + Send> {
        let lane = super::HERE.with_borrow(Clone::clone)?;
        Some(async move {
            let stream = connecting(address)?;
            let watched = Watched::new(&stream, 0, BOTH, &lane)?;
            // In one: it is closed before its place is free.
            let this = Self { stream, watched };
            let state = this.watched.until(WRITABLE).await;
            // epoll says so where it failed.
            if state & ENDED != 0 || cfg!(not(target_os = "linux")) {
                this.stream.take_error()?.map_or(Ok(()), Err)?;
            }
            Ok(this)
        })
    }

    /// The lane that watches it.
    pub(in crate::relay) const fn lane(&self) -> &Arc<Inbox> {
        &self.watched.lane
    }

    /// The bare socket, which its lane goes on watching under the same token, and its place, to be [left](Loose::leave) when
    /// it is closed. To be called on the lane's thread, where nothing is said of it meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn hand_over(self) -> io::Result<(TcpStream, usize, Known)> {
        if self.watched.ready.state.load(Ordering::SeqCst) & ENDED != 0 {
            // That may have been said of who had the place before, just when it was given up on another thread: the kernel
            // says anew what is true.
            let (fd, token) = (self.stream.as_raw_fd(), Token(MARK | self.watched.place));
            self.watched.lane.loose.registry.reregister(&mut SourceFd(&fd), token, BOTH)?;
            let (place, _) = self.watched.hand_over();
            return Ok((self.stream, place, Known { readable: true, writable: true }));
        }
        let (place, state) = self.watched.hand_over();
        let has = |flag| state & flag != 0;
        Ok((self.stream, place, Known { readable: has(READABLE), writable: has(WRITABLE) }))
    }

    /// The bare socket, which nobody watches.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn into_std(self) -> io::Result<TcpStream> {
        self.watched.forget(&self.stream)?;
        Ok(self.stream)
    }

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` if nothing is there.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.stream, buffer, RecvFlags::empty())?.0)
    }
}

/// A socket that does not block and is connecting to an address. We speak first: on Linux our word completes the handshake
/// instead of an empty segment before it (tcp(7), `TCP_QUICKACK`).
fn connecting(address: SocketAddr) -> io::Result<TcpStream> {
    let made = |kind| Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP));
    #[cfg(target_os = "linux")]
    let socket = {
        let socket = made(Type::STREAM.nonblocking())?;
        rustix::net::sockopt::set_tcp_quickack(&socket, false)?;
        socket
    };
    #[cfg(not(target_os = "linux"))]
    let socket = {
        let socket = made(Type::STREAM)?;
        socket.set_nonblocking(true)?;
        socket
    };
    // Before it is watched: setting it tells whoever watches that there is room.
    tuning::begin(&socket)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket.into()),
    }
}

impl std::fmt::Debug for LaneStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl AsFd for LaneStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AsyncRead for LaneStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let state = ready!(self.watched.ready.poll(READABLE, &self.watched.ready.reader, cx));
            let room = buffer.remaining().min(PIECE);
            // Copying the little that comes costs less than clearing the room for it.
            let mut piece = [const { MaybeUninit::<u8>::uninit() }; PIECE];
            let read = match recv(&self.stream, &mut piece[..room], RecvFlags::empty()) {
                Err(Errno::AGAIN) => {
                    self.watched.ready.clear(READABLE, state);
                    continue;
                }
                Err(Errno::INTR) => continue,
                read => &*read?.0.0,
            };
            // The end stands behind what was read, and is told of only once.
            if read.len() < room && state & ENDED == 0 {
                self.watched.ready.clear(READABLE, state);
            }
            buffer.put_slice(read);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for LaneStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let state = ready!(self.watched.ready.poll(WRITABLE, &self.watched.ready.writer, cx));
            match send(&self.stream, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.watched.ready.clear(WRITABLE, state),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(sent) => {
                    if sent < bytes.len() {
                        self.watched.ready.clear(WRITABLE, state);
                    }
                    return Poll::Ready(Ok(sent));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(&self.stream, Shutdown::Write).map_err(Into::into))
    }
}
