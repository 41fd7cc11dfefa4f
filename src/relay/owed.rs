//! What a leg is owed beside its partner's frames: Pongs, Pings and a Close of ours, and messages that a screen has
//! answered. Each is turned into bytes once it has found a place between two of those, and few legs are owed something.

use super::{
    End,
    close::CloseFrame,
    frame::{Opcode, put_control},
    mask::random_key,
    pump::ping_payload,
    side::{Io, Output, Side},
};
use crate::moment::Moment;

/// What is to be put between its partner's frames, apart from Pings.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Payload of a Pong; a newer Ping replaces it.
    pong: Option<Box<[u8]>>,
    /// Messages of ours that wait for a place between two of its partner's.
    replies: Vec<u8>,
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

impl Owed {
    pub(super) const fn is_nothing(&self) -> bool {
        self.pong.is_none() && self.replies.is_empty() && self.staged.is_none()
    }
}

impl<I: Io> Side<I> {
    /// It is owed a Pong with this payload.
    pub(super) fn owe_pong(&mut self, payload: &[u8]) {
        self.owed.get_or_insert_default().pong = Some(payload.into());
    }

    /// It is owed these messages of ours.
    pub(super) fn owe_replies(&mut self, frames: &[u8]) {
        self.owed.get_or_insert_default().replies.extend_from_slice(frames);
    }

    /// A Close of ours is next: a Pong or Ping that has no place yet gets none.
    pub(super) fn closes_with(&mut self, frame: CloseFrame, now: Moment) {
        self.output = Output::Closing(Box::new(frame));
        if let Some(owed) = &mut self.owed {
            owed.pong = None;
        }
        self.pulse.queued = false;
        self.deadline = Some(self.closing_by(now));
    }

    /// Payload of the Pong it is owed.
    #[cfg(any(test, fuzzing))]
    pub(super) fn pong(&self) -> Option<&[u8]> {
        self.owed.as_ref()?.pong.as_deref()
    }

    /// Bytes of messages of ours that wait.
    pub(super) fn replies(&self) -> usize {
        self.owed.as_ref().map_or(0, |owed| owed.replies.len())
    }

    /// Whether a frame of ours waits for a place.
    pub(super) fn owes(&self) -> bool {
        let owed = self.owed.as_deref();
        match self.output {
            Output::Open => self.pulse.queued || owed.is_some_and(|owed| owed.pong.is_some()),
            Output::Closing(_) => {
                owed.and_then(|owed| owed.staged.as_ref()).is_none_or(|staged| staged.close.is_none())
            }
            _ => false,
        }
    }

    /// Turns what is owed into bytes.
    pub(super) fn stage(&mut self) {
        let mask = || (self.end == End::Client).then(random_key);
        let owed = self.owed.get_or_insert_default();
        let staged = owed.staged.get_or_insert_default();
        if let Output::Closing(frame) = &self.output {
            put_control(&mut staged.bytes, Opcode::Close, &frame.payload(), mask());
            staged.close = Some(frame.code);
            return;
        }
        if let Some(payload) = owed.pong.take() {
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
        let Some(owed) = &mut self.owed else { return };
        let replies = std::mem::take(&mut owed.replies);
        if !(last && matches!(self.output, Output::Relaying(_))) {
            owed.staged.get_or_insert_default().bytes.extend_from_slice(&replies);
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
