//! What few legs have, and none for long. Bytes that were read before the session began; who asked whether it lives; and what
//! it is owed beside its partner's frames: Pongs, Pings and a Close of ours, and messages that a screen has answered. Each of
//! those is turned into bytes once it has found a place between two of its partner's.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    End,
    close::CloseFrame,
    frame::{Opcode, put_control},
    mask::random_key,
    pump::ping_payload,
    side::{Io, Output, Side},
};
use crate::moment::Moment;

/// What few legs have at a time.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// What was read before the session began, until it is read again.
    early: Bytes,
    /// Who asked whether it lives.
    probes: Vec<oneshot::Sender<bool>>,
    /// Payload of a Pong; a newer Ping replaces it.
    pong: Option<Box<[u8]>>,
    /// Messages of ours that wait for a place between two of its partner's.
    replies: Vec<u8>,
    /// The Close of ours, until it is staged.
    closing: Option<CloseFrame>,
    pub(super) staged: Option<Staged>,
}

/// Frames of ours on their way out, once they have found a place between two of theirs; gone when they are out.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    ping: bool,
    close: Option<u16>,
}

impl Staged {
    /// Whether a Close is among them, which is the last then.
    pub(super) const fn closes(&self) -> bool {
        self.close.is_some()
    }
}

impl Extra {
    /// Of a leg of which so much was read before its session began.
    pub(super) fn early(early: Bytes) -> Option<Box<Self>> {
        (!early.is_empty()).then(|| Box::new(Self { early, ..Self::default() }))
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.early.is_empty() && self.probes.is_empty() && !self.owes()
    }

    /// Whether something is to be put between its partner's frames, apart from Pings.
    const fn owes(&self) -> bool {
        self.pong.is_some() || !self.replies.is_empty() || self.closing.is_some() || self.staged.is_some()
    }

    /// Somebody asks whether it lives.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<bool>) {
        self.probes.retain(|probe| !probe.is_closed());
        self.probes.push(reply);
    }

    /// Tells who asked.
    pub(super) fn answer(&mut self, lives: bool) {
        for probe in std::mem::take(&mut self.probes) {
            let _ = probe.send(lives);
        }
    }
}

impl<I: Io> Side<I> {
    /// Whether there are bytes that were read before the session began.
    #[inline]
    pub(super) fn has_early(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.early.is_empty())
    }

    /// Reads them again.
    pub(super) fn read_early(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let early = &mut self.extra.as_mut()?.early;
        let part = early.split_to(early.len().min(buffer.len()));
        buffer[..part.len()].copy_from_slice(&part);
        self.tidy();
        (!part.is_empty()).then_some(part.len())
    }

    /// Whether something of ours waits for a place or is on its way, apart from a Ping.
    #[inline]
    pub(super) fn is_owed(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.owes())
    }

    /// It is owed a Pong with this payload.
    pub(super) fn owe_pong(&mut self, payload: &[u8]) {
        self.extra.get_or_insert_default().pong = Some(payload.into());
    }

    /// It is owed these messages of ours.
    pub(super) fn owe_replies(&mut self, frames: &[u8]) {
        self.extra.get_or_insert_default().replies.extend_from_slice(frames);
    }

    /// A Close of ours is next: a Pong or Ping that has no place yet gets none.
    pub(super) fn closes_with(&mut self, frame: CloseFrame, now: Moment) {
        self.output = Output::Closing;
        let extra = self.extra.get_or_insert_default();
        (extra.closing, extra.pong) = (Some(frame), None);
        self.pulse.queued = false;
        self.deadline = Some(self.closing_by(now));
    }

    /// Payload of the Pong it is owed.
    #[cfg(any(test, fuzzing))]
    pub(super) fn pong(&self) -> Option<&[u8]> {
        self.extra.as_ref()?.pong.as_deref()
    }

    /// Bytes of messages of ours that wait.
    pub(super) fn replies(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.replies.len())
    }

    /// Whether a frame of ours waits for a place.
    pub(super) fn owes(&self) -> bool {
        let extra = self.extra.as_deref();
        match self.output {
            Output::Open => self.pulse.queued || extra.is_some_and(|extra| extra.pong.is_some()),
            Output::Closing => extra.is_some_and(|extra| extra.closing.is_some()),
            _ => false,
        }
    }

    /// Turns what is owed into bytes.
    pub(super) fn stage(&mut self) {
        let mask = || (self.end == End::Client).then(random_key);
        let extra = self.extra.get_or_insert_default();
        let staged = extra.staged.get_or_insert_default();
        if let Some(frame) = extra.closing.take() {
            put_control(&mut staged.bytes, Opcode::Close, &frame.payload(), mask());
            staged.close = Some(frame.code);
            return;
        }
        if let Some(payload) = extra.pong.take() {
            put_control(&mut staged.bytes, Opcode::Pong, &payload, mask());
        }
        if self.pulse.queued {
            self.pulse.count = self.pulse.count.wrapping_add(1).max(1);
            put_control(&mut staged.bytes, Opcode::Ping, &ping_payload(self.pulse.count), mask());
            staged.ping = true;
        }
    }

    /// The same for messages of ours; `last`: its partner's Close, if there is one, is out, and nothing may follow it.
    pub(super) fn stage_replies(&mut self, last: bool) {
        let Some(extra) = &mut self.extra else { return };
        let replies = std::mem::take(&mut extra.replies);
        if !(last && matches!(self.output, Output::Relaying(_))) {
            extra.staged.get_or_insert_default().bytes.extend_from_slice(&replies);
        }
    }

    /// Draws the consequences once the frames of ours are out.
    pub(super) fn finish_staged(&mut self, staged: &Staged, now: Moment) {
        if staged.ping {
            self.pulse.queued = false;
            self.pulse.pinged = Some(now);
        }
        if let Some(code) = staged.close {
            self.close_written(code, now);
        }
    }
}
