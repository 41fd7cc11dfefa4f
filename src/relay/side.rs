//! One leg of a session: its socket, what it is owed and what it did. Without I/O of its own kind: see [`Io`].

use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    End, LegReport, Party,
    owed::Extra,
    pending::{Pending, Until, Writable},
    pipe::Pipe,
    pump::Pump,
    sieve::Sieve,
};
use crate::{
    model::{ConnId, Limits},
    moment::Moment,
};

/// A stream that never blocks; [`io::ErrorKind::WouldBlock`] means not now.
pub(super) trait Io {
    /// Whether a read may come to anything; `false` if it could only say not now.
    fn is_readable(&self) -> bool;
    /// Reads into a buffer that is not empty; 0 is the end of the stream.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes from a buffer that is not empty. It may be held back where `more` follows at once: then by the end at the latest,
    /// with which it goes in one segment.
    fn try_write(&mut self, buffer: &[u8], more: bool) -> io::Result<usize>;
    /// Payload from which on a frame can pass by a pipe; [`u64::MAX`] where none can.
    fn big(&self) -> u64;
    /// What the next read would read, which stays to be read.
    fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads at most `most` bytes into a pipe that is empty. [`io::ErrorKind::WouldBlock`] proves nothing: a read may
    /// still come to something. 0 is no end either.
    fn try_fill(&mut self, pipe: &mut Pipe, most: usize) -> io::Result<usize>;
    /// Writes from a pipe that is not empty.
    fn try_drain(&mut self, pipe: &mut Pipe) -> io::Result<usize>;
    /// Sends FIN behind what was written. Errors show elsewhere.
    fn shutdown_write(&mut self);
    /// Lets the next write find out for itself whether the stream takes bytes, which one that counts as full may do: it
    /// counts as writable again only once a good part of its queue is free.
    fn insist(&mut self);
    /// Makes the coming drop a cut: what is unsent is thrown away.
    fn abort(&mut self);
    /// Whether the peer's end is known to have come, read or not.
    fn hung_up(&self) -> bool;
    /// Whether bytes have arrived that a read has not been told of yet.
    fn has_more(&self) -> bool;
}

/// How far a leg's own stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Frames come.
    Open,
    /// Its Close was read; the rest is discarded.
    Closed,
    /// It broke a rule or a limit; the rest is discarded.
    Failed,
}

/// How far the stream towards a leg has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Frames go.
    Open,
    /// The partner's Close, with this code, is the last of the partner's pending bytes.
    Relaying(u16),
    /// A Close of ours is next, at the next boundary.
    Closing,
    /// A Close is written.
    Closed,
    /// Nothing can be written any more: mid-frame without a source, or a write failed.
    Cut,
}

/// What a leg sends, on its way to the partner.
pub(super) struct Flow {
    pub(super) pump: Pump,
    /// Where its messages are looked at.
    pub(super) sieve: Option<Box<Sieve>>,
    pub(super) pending: Pending,
}

impl Flow {
    /// Whether nothing is on its way: neither to be written nor looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && !self.is_busy()
    }

    /// Whether a message is being looked at.
    fn is_busy(&self) -> bool {
        self.sieve.as_ref().is_some_and(|sieve| sieve.is_busy())
    }

    /// Whether a frame of ours may stand here. Not while a message is being looked at, for that goes first.
    fn at_boundary(&self) -> bool {
        match (&self.sieve, self.pending.is_empty()) {
            (_, false) => self.pending.at_boundary(),
            (Some(sieve), true) => !sieve.is_busy() && sieve.at_boundary(),
            (None, true) => self.pump.at_boundary(),
        }
    }

    /// Whether a message of ours may stand here.
    fn at_gap(&self) -> bool {
        match (&self.sieve, self.pending.is_empty()) {
            (_, false) => self.pending.at_gap(),
            (Some(sieve), true) => sieve.at_gap(),
            (None, true) => self.pump.at_gap(),
        }
    }
}

/// Signs of life.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When the last byte was read, or reading was taken up again.
    pub(super) heard: Moment,
    /// When our Ping was written, until a byte is read.
    pub(super) pinged: Option<Moment>,
    /// A Ping of ours waits to be written, or is being written.
    pub(super) queued: bool,
    /// We are not reading, so silence means nothing.
    pub(super) paused: bool,
    /// Pings of ours so far.
    pub(super) count: u32,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing was written.
    Nothing,
    /// Something was written or the state has changed.
    Progress,
    /// The socket refuses for good.
    Failed,
}

/// One leg.
pub(super) struct Side<I> {
    pub(super) end: End,
    pub(super) limits: Arc<Limits>,
    /// `None` once it is over.
    pub(super) io: Option<I>,
    pub(super) flow: Flow,
    pub(super) input: Input,
    /// The end of its stream, or an error, was read.
    pub(super) eof: bool,
    pub(super) output: Output,
    /// FIN was sent, or cannot be.
    pub(super) shut: bool,
    /// None where it has nothing of that.
    pub(super) extra: Option<Box<Extra>>,
    pub(super) pulse: Pulse,
    /// Since when it takes no byte though there are some.
    pub(super) blocked: Option<Moment>,
    /// How often it was insisted since then.
    pub(super) insisted: u32,
    /// When its closing has taken too long.
    pub(super) deadline: Option<Moment>,
    pub(super) report: LegReport,
}

/// What a leg is, apart from its stream.
pub(super) struct Traits {
    pub(super) conn: ConnId,
    pub(super) party: Party,
    pub(super) end: End,
    pub(super) limits: Arc<Limits>,
    pub(super) extensions: bool,
    pub(super) early: Bytes,
}

impl<I: Io> Side<I> {
    /// A leg right after its 101. `strip`: its partner dialled us, so that its masks are taken off.
    pub(super) fn new(io: I, traits: Traits, strip: bool, now: Moment) -> Self {
        let pump = Pump::new(traits.end == End::Server, strip, traits.extensions);
        Self {
            end: traits.end,
            limits: traits.limits,
            io: Some(io),
            flow: Flow { pump, sieve: None, pending: Pending::default() },
            input: Input::Open,
            eof: false,
            output: Output::Open,
            shut: false,
            extra: Extra::early(traits.early),
            pulse: Pulse { heard: now, pinged: None, queued: false, paused: false, count: 0 },
            blocked: None,
            insisted: 0,
            deadline: None,
            report: LegReport::new(traits.conn, traits.party),
        }
    }

    /// Payload from which on a frame of its is to pass by a pipe.
    pub(super) fn splices_from(&self) -> u64 {
        if self.limits.splice == 0 { u64::MAX } else { self.limits.splice }
    }

    /// Whether there is a point in reading.
    #[inline]
    pub(super) fn may_have_more(&self) -> bool {
        self.has_early() || self.io.as_ref().is_some_and(Io::is_readable)
    }

    /// Reads, early bytes first.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.extra.is_some()
            && let Some(read) = self.read_early(buffer)
        {
            return Ok(read);
        }
        match &mut self.io {
            Some(io) => io.try_read(buffer),
            None => Ok(0),
        }
    }

    /// Any byte is a sign of life.
    pub(super) fn heard(&mut self, bytes: usize, now: Moment) {
        self.report.bytes_in += bytes as u64;
        self.pulse.heard = now;
        self.pulse.pinged = None;
        self.answer(true);
    }

    /// Will say at its next byte that it lives.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<bool>) {
        self.extra.get_or_insert_default().ask(reply);
        self.pulse.queued |= self.pulse.pinged.is_none();
    }

    /// Answers who asked.
    #[inline]
    fn answer(&mut self, lives: bool) {
        if let Some(extra) = &mut self.extra {
            extra.answer(lives);
            self.tidy();
        }
    }

    /// Keeps no room for what it has not.
    #[inline]
    pub(super) fn tidy(&mut self) {
        self.extra.take_if(|extra| extra.is_nothing());
    }

    /// The connection.
    pub(super) const fn conn(&self) -> ConnId {
        self.report.conn
    }

    /// Whether frames can still go out to it.
    pub(super) const fn takes_frames(&self) -> bool {
        self.io.is_some() && matches!(self.output, Output::Open | Output::Closing)
    }

    /// Whether it is read, nothing is on its way to or from it or was read early, and no clock but that of silence runs.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.input == Input::Open
            && self.output == Output::Open
            && self.io.is_some()
            && !self.eof
            && self.extra.is_none()
            && self.blocked.is_none()
            && self.deadline.is_none()
            && self.flow.sieve.is_none()
            && self.flow.pending.is_empty()
            && self.pulse.pinged.is_none()
            && !self.pulse.queued
            && !self.pulse.paused
    }

    /// Whether there is nothing to write and no state to change.
    #[inline]
    pub(super) fn is_served(&self, source: Option<&Flow>) -> bool {
        self.output == Output::Open
            && source.is_none_or(|source| source.pending.is_empty())
            && !self.is_owed()
            && !self.pulse.queued
    }

    /// How far its partner's bytes may go before something else has its turn.
    fn until(&self) -> Until {
        match (self.replies() > 0, self.owes()) {
            (true, _) => Until::Gap,
            (false, true) => Until::Boundary,
            (false, false) => Until::End,
        }
    }

    /// Writes what this leg is owed: frames of ours between those of `source`, its partner's.
    pub(super) fn flush(&mut self, source: Option<&mut Flow>, now: Moment) -> Flushed {
        let flushed = self.flush_owed(source, now);
        self.tidy();
        flushed
    }

    fn flush_owed(&mut self, mut source: Option<&mut Flow>, now: Moment) -> Flushed {
        let mut outcome = Flushed::Nothing;
        if self.io.is_none() || matches!(self.output, Output::Closed | Output::Cut) {
            if let Some(source) = source {
                source.pending.clear();
            }
            return outcome;
        }
        loop {
            if let Some(mut staged) = self.extra.as_mut().and_then(|extra| extra.staged.take()) {
                let last = staged.closes() && self.ends_first();
                let sent = self.send(Writable::Bytes(&staged.bytes[staged.sent..]), last, now);
                staged.sent += sent.unwrap_or_default();
                if staged.sent < staged.bytes.len() {
                    self.extra.get_or_insert_default().staged = Some(staged);
                } else {
                    self.finish_staged(&staged, now);
                }
                match sent {
                    Err(()) => return Flushed::Failed,
                    Ok(0) => return outcome,
                    Ok(_) => outcome = Flushed::Progress,
                }
                continue;
            }
            if self.output == Output::Closed {
                return outcome;
            }
            if self.replies() > 0 && source.as_ref().is_none_or(|source| source.at_gap()) {
                let last = source.as_ref().is_none_or(|source| source.pending.is_empty());
                self.stage_replies(last);
                continue;
            }
            if self.owes() {
                if source.as_ref().is_none_or(|source| source.at_boundary()) {
                    self.stage();
                    continue;
                }
                if source.as_ref().is_some_and(|source| source.pump.dry && source.is_empty()) {
                    // The frame it is in the middle of will never be whole, so no Close can follow.
                    self.output = Output::Cut;
                    return Flushed::Progress;
                }
            }
            let Some(source) = source.as_deref_mut() else { return outcome };
            if source.pending.is_empty() {
                if let Output::Relaying(code) = self.output
                    && source.is_empty()
                {
                    self.close_written(code, now);
                    outcome = Flushed::Progress;
                }
                return outcome;
            }
            let last = matches!(self.output, Output::Relaying(_)) && !source.is_busy() && self.ends_first();
            let until = self.until();
            let what = source.pending.writable(until);
            let last = last && until == Until::End;
            let Ok(sent) = self.send(what, last, now) else { return Flushed::Failed };
            if sent == 0 {
                return outcome;
            }
            outcome = Flushed::Progress;
            source.pending.advance(sent);
            if self.deadline.is_some() && (source.pump.dry || matches!(self.output, Output::Relaying(_))) {
                // It takes what its partner left behind, slowly perhaps, but it does.
                self.deadline = Some(self.closing_by(now));
            }
        }
    }

    /// Whether we end TCP as soon as a Close is written.
    pub(super) fn ends_first(&self) -> bool {
        match self.input {
            Input::Open => false,
            // Towards a peer that dialled us we end TCP first; one that we dialled does.
            Input::Closed => self.end == End::Server || self.eof,
            Input::Failed => true,
        }
    }

    /// Writes; 0 if the socket takes nothing now. What is `last` goes out with the end.
    pub(super) fn send(&mut self, mut what: Writable<'_>, last: bool, now: Moment) -> Result<usize, ()> {
        let Some(io) = &mut self.io else { return Err(()) };
        loop {
            let sent = match &mut what {
                Writable::Bytes(bytes) => io.try_write(bytes, last),
                Writable::Pipe(pipe) => io.try_drain(pipe),
            };
            match sent {
                Ok(0) => return Err(()),
                Ok(sent) => {
                    self.report.bytes_out += sent as u64;
                    if self.blocked.take().is_some() {
                        // A full socket that takes bytes again has a peer that acknowledges. Our Ping, if there is one,
                        // stands behind bytes that the peer has still to read.
                        self.pulse.pinged = self.pulse.pinged.map(|_| now);
                        self.answer(true);
                    }
                    return Ok(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.blocked.is_none() {
                        self.blocked = Some(now);
                        self.insisted = 0;
                    }
                    return Ok(0);
                }
                Err(_) => return Err(()),
            }
        }
    }

    pub(super) fn close_written(&mut self, code: u16, now: Moment) {
        self.output = Output::Closed;
        self.report.close_sent = Some(code);
        self.deadline = Some(self.closing_by(now));
    }

    /// Lets go of the socket and of everything that was on its way to or from it.
    pub(super) fn release(&mut self) {
        self.io = None;
        self.answer(false);
        self.extra = None;
        self.flow.pump.dry = true;
        self.blocked = None;
        self.deadline = None;
    }
}
