//! How a session ends (RFC 6455 §7): Closes passed on, Closes of ours, broken legs, and the end of TCP.
//!
//! A leg goes through: a Close is written to it (its partner's or ours) → its own Close comes → FIN from the server's
//! end → what it still sends is discarded until its FIN → the socket is closed. Closing a socket with unread input
//! would make the kernel send RST, which destroys the Close just written; hence the discarding. Each wait of that is
//! limited by the leg's `close`.

use super::{
    Party,
    close::{CloseFrame, across},
    frame::Violation,
    session::{Ending, Farewell, Session},
    side::{Input, Io, Output, Side},
};
use crate::{
    error::Cause,
    model::{self, ConnId},
    moment::Moment,
};

impl<I: Io> Session<I> {
    /// Ends the session, or one leg and with it the other, for a reason of ours.
    pub(super) fn close(&mut self, conn: Option<ConnId>, cause: Cause, now: Moment) {
        self.straight = false;
        let row = cause.row();
        match conn {
            Some(conn) => {
                let Some(at) = self.position(conn) else { return };
                if row.close == 0 {
                    return self.cut(at, cause, now);
                }
                self.dismiss(conn, cause, CloseFrame::of(cause), now);
            }
            None if row.close == 0 => (0..self.sides.len()).for_each(|at| self.cut(at, cause, now)),
            None => self.close_all(cause, &CloseFrame::of(cause), now),
        }
    }

    /// Ends one leg, which is told this, and with it the other.
    pub(super) fn dismiss(&mut self, conn: ConnId, cause: Cause, frame: CloseFrame, now: Moment) {
        self.straight = false;
        let Some(at) = self.position(conn) else { return };
        self.end(cause, None, Some(conn));
        self.finish(at, frame, now);
        if let Some(partner) = self.partner(at) {
            self.finish(partner, CloseFrame::of(Cause::PartnerGone), now);
        }
    }

    /// Ends the session; every leg is told this.
    pub(super) fn close_all(&mut self, cause: Cause, frame: &CloseFrame, now: Moment) {
        self.end(cause, None, None);
        for at in 0..self.sides.len() {
            self.finish(at, frame.clone(), now);
        }
    }

    /// Ends the session because we do not want it any more. What a leg has sent until now is delivered first: its partner gets the Close
    /// when nothing more comes, and in any case when `close` is over. Of a sender without a pause that is all there is.
    pub(super) fn take_leave(&mut self, frame: CloseFrame, cause: Cause, now: Moment) {
        self.straight = false;
        self.end(cause, None, None);
        match self.sides.iter().map(|side| side.closing_by(now)).min() {
            Some(until) if self.sides.len() > 1 => self.farewell = Some(Box::new(Farewell { frame, until })),
            _ => self.close_all(cause, &frame, now),
        }
    }

    /// Gives each leg its farewell whose partner has nothing left: it was read in vain (not `pulled`), everything it
    /// sent was taken, and nothing has arrived meanwhile. Returns whether something changed.
    pub(super) fn say_farewell(&mut self, pulled: [bool; 2], now: Moment) -> bool {
        let Some(farewell) = self.farewell.take() else { return false };
        let Farewell { frame, until } = &*farewell;
        let due = *until <= now;
        let mut changed = false;
        for (at, pulled) in pulled.into_iter().enumerate().take(self.sides.len()) {
            let Some(partner) = self.partner(at) else { continue };
            let side = &self.sides[at];
            let said = !pulled && side.flow.is_empty() && side.io.as_ref().is_none_or(|io| !io.has_more());
            if (said || due) && self.sides[partner].output == Output::Open {
                self.finish(partner, frame.clone(), now);
                changed = true;
            }
        }
        if self.sides.iter().any(|side| side.io.is_some() && side.output == Output::Open) {
            self.farewell = Some(farewell);
        }
        changed
    }

    /// Lets go of every leg at once. What is on its way to them is the kernel's affair.
    pub(super) fn drop_all(&mut self, cause: Cause) {
        self.straight = false;
        self.end(cause, None, None);
        self.sides.iter_mut().for_each(Side::release);
    }

    /// The same by somebody's order.
    pub(super) fn cut_off(&mut self, cause: Cause) {
        self.straight = false;
        self.cut = true;
        self.drop_all(cause);
    }

    /// Notes why the session ends, if that was open.
    fn end(&mut self, cause: Cause, detail: Option<&'static str>, by: Option<ConnId>) {
        if self.ending.is_none() {
            self.ending = Some(Box::new(Ending { cause, detail, by }));
            if self.sides.len() == 1 {
                // A leg that left is never handed to the next partner, nor is what it said.
                self.sides[0].flow.pending.clear();
            }
            self.owner.ending();
        }
    }

    /// A leg's Close was read; if there is a partner that may have it, it is the last of the pending bytes.
    pub(super) fn close_received(&mut self, at: usize, code: u16, now: Moment) {
        let conn = self.sides[at].conn();
        self.end(Cause::Closed, None, Some(conn));
        let side = &mut self.sides[at];
        side.input = Input::Closed;
        side.flow.pump.dry = true;
        side.report.close_received = Some(code);
        let Some(partner) = self.partner(at) else {
            return self.finish(at, CloseFrame::echo(code), now);
        };
        let partner = &mut self.sides[partner];
        if partner.io.is_some() && partner.output == Output::Open {
            partner.output = Output::Relaying(code);
            partner.deadline = Some(partner.closing_by(now));
        }
    }

    /// A leg broke a rule or a limit. What it sent before that is still delivered.
    pub(super) fn violated(&mut self, at: usize, violation: Violation, now: Moment) {
        let side = &mut self.sides[at];
        side.input = Input::Failed;
        side.flow.pump.dry = true;
        let conn = side.conn();
        self.end(violation.cause(), Some(violation.reason()), Some(conn));
        self.finish(at, CloseFrame::because(violation), now);
        self.release_partner(at, violation.cause(), now);
    }

    /// Who looks at a leg's messages ends the session. What it let pass before that is still delivered.
    pub(super) fn closed_by_screen(&mut self, at: usize, cause: Cause, frame: model::CloseFrame, now: Moment) {
        let side = &mut self.sides[at];
        side.input = Input::Failed;
        side.flow.pump.dry = true;
        self.end(cause, None, None);
        let frame = CloseFrame { code: frame.code, reason: frame.reason.into() };
        for at in 0..self.sides.len() {
            self.finish(at, frame.clone(), now);
        }
    }

    /// The end of a leg's stream, or an error, was read.
    pub(super) fn stream_ended(&mut self, at: usize, now: Moment) {
        self.straight = false;
        let side = &mut self.sides[at];
        side.eof = true;
        side.flow.pump.dry = true;
        if side.input != Input::Open {
            // After its Close that is as it should be; it may still read.
            return;
        }
        let (cause, conn) = (broken(side.report.party), side.conn());
        self.end(cause, None, Some(conn));
        self.sides[at].release();
        self.release_partner(at, cause, now);
    }

    /// A leg's socket takes nothing any more. What it has sent is still read, for it is to be delivered.
    pub(super) fn write_failed(&mut self, at: usize, now: Moment) {
        let side = &mut self.sides[at];
        side.output = Output::Cut;
        side.shut = true;
        side.blocked = None;
        side.deadline = Some(side.closing_by(now));
        if side.input == Input::Open {
            let (cause, conn) = (broken(side.report.party), side.conn());
            self.end(cause, None, Some(conn));
        }
    }

    /// Ends a leg without a Close and at once.
    pub(super) fn cut(&mut self, at: usize, cause: Cause, now: Moment) {
        let side = &mut self.sides[at];
        if let Some(io) = &mut side.io {
            io.abort();
        }
        let conn = side.conn();
        self.end(cause, None, Some(conn));
        self.sides[at].release();
        self.release_partner(at, cause, now);
    }

    /// A leg did not come to its end within `close`. One that is `full`, or has got no Close and never will, is cut, lest
    /// the kernel go on offering what it does not take.
    pub(super) fn closing_took_too_long(&mut self, at: usize, full: bool, now: Moment) {
        let side = &mut self.sides[at];
        side.report.overdue = true;
        if let Some(io) = &mut side.io {
            if full || side.output == Output::Cut {
                io.abort();
            } else if !side.shut {
                io.shutdown_write();
            }
        }
        side.release();
        let cause = self.ending.as_ref().map_or(Cause::Internal, |ending| ending.cause);
        self.release_partner(at, cause, now);
    }

    /// A leg is gone: its partner gets a Close behind what is left for it. The partner's own code if it has closed by
    /// itself and only misses the answer, else what the leg's end means to it.
    fn release_partner(&mut self, at: usize, cause: Cause, now: Moment) {
        let party = self.sides[at].report.party;
        let Some(partner) = self.partner(at) else { return };
        let frame = match self.sides[partner].report.close_received {
            Some(code) => CloseFrame::echo(code),
            None => CloseFrame::of(across(cause, party)),
        };
        self.finish(partner, frame, now);
    }

    /// Gives a leg a Close of ours, unless it gets or got another.
    fn finish(&mut self, at: usize, frame: CloseFrame, now: Moment) {
        let side = &mut self.sides[at];
        if side.io.is_some() && side.output == Output::Open {
            side.closes_with(frame, now);
        }
    }

    /// Ends TCP where it is time, and lets go of what has ended. Returns whether something changed.
    pub(super) fn settle(&mut self, at: usize) -> bool {
        let side = &mut self.sides[at];
        if side.io.is_none() {
            return false;
        }
        if !side.shut {
            let over = match side.output {
                Output::Cut => true,
                Output::Closed => side.ends_first(),
                _ => false,
            };
            if !over {
                return false;
            }
            if let Some(io) = side.io.as_mut().filter(|_| !side.eof) {
                io.shutdown_write();
            }
            side.shut = true;
        }
        if side.eof {
            // Nothing is left to be read, so that closing it ends it in order.
            side.release();
        }
        side.io.is_none()
    }
}

/// What it is called when a leg breaks.
const fn broken(party: Party) -> Cause {
    match party {
        Party::Client => Cause::ClientBroken,
        Party::Backend => Cause::BackendBroken,
    }
}
