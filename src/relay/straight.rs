//! The short way, which nearly every message takes: nothing is due or owed to anybody, one leg has a message, that is all it
//! has, and the other leg takes it whole. What comes to anything else was the beginning of an ordinary step.

use super::{
    buffer::{Buffer, HEADROOM},
    pending::Writable,
    pump::Digest,
    session::{Pulled, READ, Session},
    side::{Io, Side},
};
use crate::moment::Moment;

impl<I: Io> Session<I> {
    /// Whether the short way is open: two legs, and nothing waits or is waited for but bytes.
    pub(super) fn is_straight(&self) -> bool {
        self.sides.len() == 2 && self.ending.is_none() && self.sides.iter().all(Side::is_idle)
    }

    /// Passes on what one leg has; whether that was all there was to do. Then the next thing is read, or the
    /// [calm](Session::calm) ends. Reads go to `spare`, which is taken from the pool where there is none, and stays for the next.
    #[inline]
    pub(super) fn pass_straight(&mut self, spare: &mut Option<Buffer>, now: Moment) -> bool {
        if !self.straight || self.calm.is_over(now) {
            return false;
        }
        debug_assert!(self.is_straight(), "whatever is done to a session takes `straight` away");
        let Some([first, second]) = self.sides.both() else { return false };
        let (at, from, to) = match (first.may_have_more(), second.may_have_more()) {
            (true, false) => (0, first, second),
            (false, true) => (1, second, first),
            _ => return false,
        };
        if from.flow.pump.is_bulk()
            || self.screening.as_ref().is_some_and(|screening| screening.wants(from.report.party))
        {
            return false;
        }
        let mut buffer = spare.take().unwrap_or_else(Buffer::take);
        let read = from.read(&mut buffer[READ]);
        let there = HEADROOM..HEADROOM + read.as_ref().copied().unwrap_or_default();
        let message = &buffer[there.clone()];
        if there.end == READ.end || !from.flow.pump.passes_whole(message, from.limits.message) {
            // An end, an error, a bigger message, more of them, a part of one, a control frame, one to unmask.
            let pulled = self.take_in(at, buffer, read, READ.len(), false, now);
            self.straight = pulled == Pulled::All && self.is_straight() && !self.sides[at].may_have_more();
        } else {
            from.heard(message.len(), now);
            from.report.messages_in += 1;
            to.report.messages_out += 1;
            self.active = now;
            // A failure comes again when the rest is written.
            let sent = to.send(Writable::Bytes(message), false, now).unwrap_or_default();
            self.straight = sent == message.len() && !from.may_have_more();
            if sent < message.len() {
                from.flow.pending.put(buffer, &Digest::whole(there));
                from.flow.pending.advance(sent);
            } else {
                *spare = Some(buffer);
            }
        }
        self.straight
    }
}
