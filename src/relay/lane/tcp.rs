//! A leg's socket in a lane: what epoll has said of it, and calls that never block.

use std::{io, net::TcpStream, os::fd::AsRawFd as _, time::Duration};

use mio::{Interest, Registry, Token, event::Event, unix::SourceFd};
use rustix::{
    io::Errno,
    net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown},
};
use socket2::SockRef;

use super::loose::Known;
use crate::{
    relay::{pipe::Pipe, side::Io},
    tuning,
};

const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
/// Linux holds it back for 200 ms at most.
#[cfg(target_os = "linux")]
const MORE: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
const MORE: SendFlags = SendFlags::empty();

/// A socket and what it is ready for. After a short read or write a flag goes out without the call that would only say
/// "not now": the kernel tells of what comes later as a new edge.
pub(super) struct Tcp {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    end: End,
    /// The next write asks the socket and not the flag.
    insist: bool,
}

/// What is known of the end of what the peer sends. Told once, so it stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing.
    Unknown,
    /// It is behind what is still to be read.
    Behind,
    /// It is next.
    Next,
    /// It is broken, which a call has to say.
    Broken,
}

impl Tcp {
    /// Has it watched, for as long as it lives.
    ///
    /// # Errors
    /// When the system watches no more sockets (`fs.epoll.max_user_watches`).
    pub(super) fn register(stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        registry.register(&mut SourceFd(&stream.as_raw_fd()), token, Interest::READABLE | Interest::WRITABLE)?;
        // Nothing is known yet, but a new connection nearly always takes bytes; the first edges tell.
        Ok(Self::watched(stream, Known { readable: false, writable: true }))
    }

    /// One that is watched already.
    pub(super) const fn watched(stream: TcpStream, known: Known) -> Self {
        let Known { readable, writable } = known;
        Self { stream, readable, writable, end: End::Unknown, insist: false }
    }

    /// Keeps what the kernel says.
    pub(super) fn note(&mut self, event: &Event) {
        if event.is_error() {
            self.end = End::Broken;
        } else if event.is_read_closed() && self.end == End::Unknown {
            self.end = End::Behind;
        }
        self.readable |= self.has_ended() || event.is_readable();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Sets what a leg has whose session lasts.
    pub(super) fn settle(&self, dialled: bool, stall: Duration) {
        // A socket that is gone shows it elsewhere.
        let _ = tuning::settle(&self.stream, dialled, stall);
    }

    fn has_ended(&self) -> bool {
        self.end != End::Unknown
    }

    pub(super) const fn is_writable(&self) -> bool {
        self.writable
    }
}

impl Io for Tcp {
    fn is_readable(&self) -> bool {
        self.readable
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.end == End::Next {
            return Ok(0);
        }
        let read = recv(&self.stream, &mut *buffer, RecvFlags::empty()).map(|(read, _)| read);
        match read {
            // The end stands behind what was read, and is told of only once. Where it was known before, this was all.
            Ok(read) if read < buffer.len() => {
                self.readable = self.has_ended();
                if self.end == End::Behind {
                    self.end = End::Next;
                }
            }
            Err(Errno::AGAIN) => self.readable = false,
            _ => {}
        }
        Ok(read?)
    }

    fn try_write(&mut self, buffer: &[u8], more: bool) -> io::Result<usize> {
        if !std::mem::take(&mut self.insist) && !self.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let sent = send(&self.stream, buffer, if more { FLAGS.union(MORE) } else { FLAGS });
        if !matches!(sent, Ok(sent) if sent == buffer.len()) && !matches!(sent, Err(Errno::INTR)) {
            self.writable = false;
        }
        Ok(sent?)
    }

    fn big(&self) -> u64 {
        0
    }

    fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = recv(&self.stream, &mut *buffer, RecvFlags::PEEK).map(|(there, _)| there);
        if matches!(there, Err(Errno::AGAIN)) {
            self.readable = false;
        }
        Ok(there?)
    }

    fn try_fill(&mut self, pipe: &mut Pipe, most: usize) -> io::Result<usize> {
        let read = pipe.fill(&self.stream, most);
        // That it is short may be the pipe's doing, however much the socket has.
        if matches!(read, Ok(read) if read < most) {
            self.readable = self.has_ended() || self.has_more();
        }
        Ok(read?)
    }

    fn try_drain(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        if !std::mem::take(&mut self.insist) && !self.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let sent = pipe.drain(&self.stream);
        if !matches!(sent, Ok(_) | Err(Errno::INTR)) {
            self.writable = false;
        }
        Ok(sent?)
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
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn has_more(&self) -> bool {
        matches!(recv(&self.stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((1.., _)))
    }

    fn hung_up(&self) -> bool {
        if self.has_ended() {
            return true;
        }
        // What epoll has not said yet.
        match recv(&self.stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((length, _)) => length == 0,
            Err(error) => !matches!(error, Errno::AGAIN | Errno::INTR),
        }
    }
}
