//! The floor: edge-triggered epoll threads, each with its own listener on the same port. A connection is registered once
//! and never again, and holds no buffer while it has nothing to pass on.
//!
//! What moves the bytes is a [`Carrier`]; the loop around it is the same for copying and for `splice(2)`. Nothing is
//! read in one direction while what was read before has not been written, and a direction gets a few reads a turn.

use std::{
    convert::Infallible,
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use rustix::{io::Errno, net::SendFlags};

use super::{Ways, listener, tell};
use crate::poll::{Events, Flags, Poll};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;
/// Reads of one direction before others have their turn.
const READS: usize = 4;
const LISTENER: usize = usize::MAX;

/// What a read and the write after it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// All that was asked for was there, so there may be more.
    More,
    /// There was less, so an event tells when there is more.
    Drained,
    /// The other side takes no more for now; an event tells when it does.
    Blocked,
    /// The sender has ended.
    Ended,
}

/// How bytes get from one socket to another.
pub(super) trait Carrier: Sized {
    /// What a direction holds when the other side took less than was read.
    type Held: Default;

    fn new() -> io::Result<Self>;

    /// Reads once, and writes what was read.
    fn carry(&mut self, from: &TcpStream, to: &TcpStream, held: &mut Self::Held) -> io::Result<Moved>;

    /// Writes what is held. Whether all of it is written.
    fn flush(&mut self, to: &TcpStream, held: &mut Self::Held) -> io::Result<bool>;
}

/// Copies through a buffer that all connections of a thread share.
#[derive(Debug)]
pub(super) struct Buffered {
    buffer: Vec<u8>,
}

impl Carrier for Buffered {
    type Held = Vec<u8>;

    fn new() -> io::Result<Self> {
        Ok(Self { buffer: vec![0; BUFFER] })
    }

    fn carry(&mut self, from: &TcpStream, to: &TcpStream, held: &mut Vec<u8>) -> io::Result<Moved> {
        let read = match rustix::io::read(from, &mut self.buffer[..]) {
            Ok(0) => return Ok(Moved::Ended),
            Ok(read) => read,
            Err(Errno::AGAIN) => return Ok(Moved::Drained),
            Err(error) => return Err(error.into()),
        };
        let sent = send(to, &self.buffer[..read])?;
        if sent < read {
            held.extend_from_slice(&self.buffer[sent..read]);
            return Ok(Moved::Blocked);
        }
        Ok(if read < BUFFER { Moved::Drained } else { Moved::More })
    }

    fn flush(&mut self, to: &TcpStream, held: &mut Vec<u8>) -> io::Result<bool> {
        let sent = send(to, held)?;
        held.drain(..sent);
        if held.is_empty() {
            *held = Vec::new();
        }
        Ok(held.is_empty())
    }
}

fn send(to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(to, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// One direction.
#[derive(Default)]
struct Way<H> {
    held: H,
    readable: bool,
    /// `held` has something.
    blocked: bool,
    stage: Stage,
}

/// How far the sender of a direction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// It has sent its end, so a short read does not mean that an event will come.
    Ending,
    /// Its end has been passed on.
    Ended,
}

/// The two sockets of a session: 0 dialled in, 1 was dialled. Way 0 leads from 0 to 1.
struct Pair<H> {
    sockets: [TcpStream; 2],
    ways: [Way<H>; 2],
    again: bool,
}

pub(super) fn run<C: Carrier>(ways: Ways) -> io::Result<Infallible> {
    let first = listener(ways.listen)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..ways.workers {
        listeners.push(listener(address)?);
    }
    tell(address)?;
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| thread::spawn(move || Worker::<C>::new(&listener, ways.to)?.run(&listener)))
        .collect();
    for thread in threads {
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
    }
    Err(io::Error::other("there are no threads"))
}

struct Worker<C: Carrier> {
    poll: Poll,
    to: SocketAddr,
    carrier: C,
    pairs: Vec<Option<Pair<C::Held>>>,
    free: Vec<usize>,
    again: Vec<usize>,
}

impl<C: Carrier> Worker<C> {
    fn new(listener: &TcpListener, to: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.add(listener, LISTENER, Flags::IN)?;
        Ok(Self { poll, to, carrier: C::new()?, pairs: Vec::new(), free: Vec::new(), again: Vec::new() })
    }

    fn run(mut self, listener: &TcpListener) -> io::Result<Infallible> {
        let mut events = Events::new();
        loop {
            let timeout = (!self.again.is_empty()).then_some(Duration::ZERO);
            self.poll.wait(timeout, &mut events)?;
            let mut over = Vec::new();
            for at in std::mem::take(&mut self.again) {
                self.pump(at, &mut over);
            }
            for &(token, flags) in &events {
                if token == LISTENER {
                    self.accept(listener)?;
                    continue;
                }
                let (at, socket) = (token / 2, token % 2);
                let Some(pair) = &mut self.pairs[at] else { continue };
                let ending = flags.intersects(Flags::RDHUP | Flags::HUP | Flags::ERR);
                if ending && pair.ways[socket].stage == Stage::Open {
                    pair.ways[socket].stage = Stage::Ending;
                }
                pair.ways[socket].readable |= ending || flags.contains(Flags::IN);
                let unblocked = flags.contains(Flags::OUT) && pair.ways[1 - socket].blocked;
                if unblocked || pair.ways[socket].readable {
                    self.pump(at, &mut over);
                }
            }
            // Only now, so that no event of this batch is taken for another pair's.
            self.free.append(&mut over);
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let (from, _) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        from.set_nonblocking(true)?;
        from.set_nodelay(true)?;
        let to = dial(self.to)?;
        let at = self.free.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            self.pairs.len() - 1
        });
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        self.poll.add(&from, 2 * at, flags)?;
        self.poll.add(&to, 2 * at + 1, flags)?;
        self.pairs[at] = Some(Pair { sockets: [from, to], ways: [Way::default(), Way::default()], again: false });
        Ok(())
    }

    /// Lets pass what can. A pair of which both directions have ended, or one broke, goes.
    fn pump(&mut self, at: usize, over: &mut Vec<usize>) {
        let Some(pair) = &mut self.pairs[at] else { return };
        pair.again = false;
        let passed = (0..2).try_for_each(|way| pass(&mut self.carrier, pair, way));
        if passed.is_err() || pair.ways.iter().all(|way| way.stage == Stage::Ended) {
            self.pairs[at] = None;
            over.push(at);
        } else if pair.again {
            self.again.push(at);
        }
    }
}

fn pass<C: Carrier>(carrier: &mut C, pair: &mut Pair<C::Held>, way: usize) -> io::Result<()> {
    let Pair { sockets, ways, again } = pair;
    let (from, to, way) = (&sockets[way], &sockets[1 - way], &mut ways[way]);
    if way.blocked {
        way.blocked = !carrier.flush(to, &mut way.held)?;
    }
    for _ in 0..READS {
        if way.blocked || way.stage == Stage::Ended || !way.readable {
            return Ok(());
        }
        match carrier.carry(from, to, &mut way.held)? {
            Moved::More => {}
            Moved::Drained => way.readable = way.stage == Stage::Ending,
            Moved::Blocked => way.blocked = true,
            Moved::Ended => {
                way.stage = Stage::Ended;
                to.shutdown(Shutdown::Write)?;
            }
        }
    }
    *again |= way.readable && !way.blocked && way.stage != Stage::Ended;
    Ok(())
}

/// Begins to connect; until it is done, writing says that it must wait.
fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}
