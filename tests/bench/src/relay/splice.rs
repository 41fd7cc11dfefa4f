//! Bytes that never come to user space: `splice(2)` into a pipe and out of it. A pipe is borrowed while it has something
//! in it, so an idle connection holds none.

use std::{io, net::TcpStream, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};

use super::epoll::{Carrier, Moved};

/// Bytes of a pipe, and the most that is moved at once.
const PIPE: usize = 256 << 10;

/// A pipe, and how much is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    filled: usize,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Less where the system allows no more.
        let _ = fcntl_setpipe_size(&writer, PIPE);
        Ok(Self { reader, writer, filled: 0 })
    }
}

/// Splices through pipes that a thread's connections share.
#[derive(Debug)]
pub(super) struct Spliced {
    empty: Vec<Pipe>,
}

impl Carrier for Spliced {
    type Held = Option<Pipe>;

    fn new() -> io::Result<Self> {
        Ok(Self { empty: Vec::new() })
    }

    /// A short read is ambiguous here, because the pipe may have been full: only EAGAIN says that nothing is left.
    fn carry(&mut self, from: &TcpStream, to: &TcpStream, held: &mut Option<Pipe>) -> io::Result<Moved> {
        let mut pipe = self.empty.pop().map_or_else(Pipe::new, Ok)?;
        match splice(from, None, &pipe.writer, None, PIPE, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
            Ok(0) => {
                self.empty.push(pipe);
                return Ok(Moved::Ended);
            }
            Ok(read) => pipe.filled = read,
            Err(Errno::AGAIN) => {
                self.empty.push(pipe);
                return Ok(Moved::Drained);
            }
            Err(error) => return Err(error.into()),
        }
        *held = Some(pipe);
        Ok(if self.flush(to, held)? { Moved::More } else { Moved::Blocked })
    }

    fn flush(&mut self, to: &TcpStream, held: &mut Option<Pipe>) -> io::Result<bool> {
        let Some(pipe) = held else { return Ok(true) };
        while pipe.filled > 0 {
            match splice(&pipe.reader, None, to, None, pipe.filled, SpliceFlags::MOVE | SpliceFlags::NONBLOCK) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => pipe.filled -= sent,
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.empty.extend(held.take());
        Ok(true)
    }
}
