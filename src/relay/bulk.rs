//! The way of big frames that pass as they are: through a pipe, with their headers, which are looked at before.
//!
//! A direction takes it once a big frame has come, and until a small one has. Each frame begins with a look at its header,
//! so what is moved ends where the frame does, and what little of one is left for a read is read to its end only.

use std::io;

use super::{
    frame::MAX_HEADER,
    pipe::{self, Pipe},
    session::{Pulled, Session},
    side::Io,
};
use crate::moment::Moment;

/// What was done about a big frame.
pub(super) enum Bulk {
    Done(Pulled),
    /// Nothing: it is to be read, at most so many bytes.
    Read(usize),
}

impl<I: Io> Session<I> {
    /// Moves a part of a big frame into a pipe, from a leg that has sent one right before.
    pub(super) fn pull_bulk(&mut self, at: usize, now: Moment) -> Bulk {
        let orders = self.orders(at);
        let side = &mut self.sides[at];
        let (Some(io), pump) = (&mut side.io, &mut side.flow.pump) else { return Bulk::Read(usize::MAX) };
        let mut header = None;
        if pump.at_boundary() {
            let mut first = [0; MAX_HEADER];
            match io.try_peek(&mut first) {
                Ok(there) => header = pump.foresee(&first[..there], orders),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Bulk::Done(Pulled::Nothing),
                // The read that follows gets it as well.
                Err(_) => {}
            }
            if header.is_none() {
                return Bulk::Read(usize::MAX);
            }
        }
        let rest = header.map_or(pump.remaining(), |header| header.payload + header.size as u64);
        let read = Bulk::Read(usize::try_from(rest).unwrap_or(usize::MAX));
        if rest < orders.big {
            // Too little for a pipe, but what is behind it may be another big frame.
            return read;
        }
        let most = pipe::piece(rest);
        let pipe = Pipe::take().ok_or(io::ErrorKind::Unsupported.into());
        let (pipe, bytes) = match pipe.and_then(|mut pipe| io.try_fill(&mut pipe, most).map(|bytes| (pipe, bytes))) {
            Ok((pipe, bytes @ 1..)) => (pipe, bytes),
            // Nothing came, which may have any reason: a read tells.
            Ok(_) => return read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return read;
            }
            Err(_) => {
                pump.end_bulk();
                return Bulk::Read(usize::MAX);
            }
        };
        let more = bytes == most || io.is_readable();
        let gap = pump.at_gap();
        if let Some(header) = &header {
            pump.begin(header);
        }
        let messages = pump.skip(bytes);
        side.flow.pending.put_pipe(pipe, header.is_some(), gap);
        side.report.messages_in += messages;
        side.heard(bytes, now);
        if let Some(partner) = self.partner(at) {
            self.sides[partner].report.messages_out += messages;
        }
        self.active = now;
        Bulk::Done(if more { Pulled::More } else { Pulled::All })
    }
}
