//! How a session has its messages looked at: what goes through a [`Sieve`] and back, in each direction.
//!
//! A direction has a sieve from the first read at which something of it is wanted until nothing is, and from one message
//! to another; without one, frames pass as ever.

use std::sync::Arc;

use super::{
    Party,
    mailbox::Handle,
    screen::{Reply, Screen, Screened, Wanted},
    session::Session,
    side::Io,
    sieve::{Ended, Sieve, Sifted},
};
use crate::{model::Direction, moment::Moment};

/// Who looks, and the ways back.
pub(super) struct Screening {
    screen: Arc<dyn Screen>,
    wanted: Arc<Wanted>,
    replies: [Reply; 2],
}

impl Screening {
    /// Whether anything that this party sends is wanted. Mostly nothing is, of anybody, and that is seen first.
    pub(super) fn wants(&self, sender: Party) -> bool {
        !self.wanted.nothing() && self.wanted.any(direction(sender))
    }
}

/// Where what this party sends goes.
const fn direction(sender: Party) -> Direction {
    match sender {
        Party::Client => Direction::ToBackend,
        Party::Backend => Direction::ToClient,
    }
}

impl<I: Io> Session<I> {
    /// From here on messages are looked at, those that were held among them. Both legs are there.
    pub(super) fn screen_with(&mut self, screen: Arc<dyn Screen>, session: &Handle, now: Moment) {
        self.straight = false;
        let replies = [0, 1].map(|at| Reply { session: session.clone(), at });
        self.screening = Some(Box::new(Screening { wanted: screen.wanted(), screen, replies }));
        for at in 0..self.sides.len() {
            // Held from the beginning of its stream, whatever the pump is in the midst of by now.
            if self.wanted(at)
                && let Some(held) = self.sides[at].flow.pending.take_held()
            {
                let sieve = Sieve::new(self.direction(at), self.ends(at), None);
                self.sides[at].flow.sieve = Some(Box::new(sieve));
                self.sift(at, &held, now);
            }
        }
    }

    /// Whether what is read of a leg now goes through a sieve.
    pub(super) fn is_sieved(&mut self, at: usize) -> bool {
        if self.screening.is_none() || self.sides.len() < 2 {
            return false;
        }
        let wanted = self.wanted(at);
        if !wanted && self.sides[at].flow.sieve.is_none() {
            return false;
        }
        let (direction, ends) = (self.direction(at), self.ends(at));
        let flow = &mut self.sides[at].flow;
        match &flow.sieve {
            None if wanted => {
                flow.pump.end_bulk();
                flow.sieve = Some(Box::new(Sieve::new(direction, ends, Some(&flow.pump))));
            }
            Some(sieve) if !wanted && sieve.is_idle() => flow.sieve = None,
            _ => {}
        }
        flow.sieve.is_some()
    }

    fn wanted(&self, at: usize) -> bool {
        self.screening.as_ref().is_some_and(|screening| screening.wants(self.sides[at].report.party))
    }

    /// Where what a leg sends goes.
    fn direction(&self, at: usize) -> Direction {
        direction(self.sides[at].report.party)
    }

    /// Who we are towards a leg, and towards its partner.
    fn ends(&self, at: usize) -> (super::End, super::End) {
        (self.sides[at].end, self.sides[1 - at].end)
    }

    /// Sends what was read of a leg through its sieve.
    pub(super) fn sift(&mut self, at: usize, bytes: &[u8], now: Moment) {
        let (Some(screening), Some(sieve)) = (&self.screening, &mut self.sides[at].flow.sieve) else { return };
        let sifted = sieve.take(bytes, &*screening.screen, &screening.replies[at]);
        self.pass_on(at, sifted, now);
    }

    /// Carries out what was said of a leg's message.
    pub(super) fn screened(&mut self, at: usize, screened: Screened, now: Moment) {
        self.straight = false;
        let Some(screening) = &self.screening else { return };
        let Some(sieve) = self.sides.get_mut(at).and_then(|side| side.flow.sieve.as_mut()) else { return };
        let sifted = sieve.resume(screened, &*screening.screen, &screening.replies[at]);
        self.pass_on(at, sifted, now);
    }

    fn pass_on(&mut self, at: usize, sifted: Sifted, now: Moment) {
        let Some(partner) = self.partner(at) else { return };
        self.sides[partner].report.messages_out += sifted.messages;
        let sent = if self.sides[at].flow.pending.is_empty() { self.pass(partner, &sifted.out, now) } else { 0 };
        let side = &mut self.sides[at];
        let left = |place: Option<usize>| place.and_then(|place| place.checked_sub(sent));
        side.flow.pending.append(&sifted.out[sent..], left(sifted.boundary), left(sifted.gap));
        if !sifted.replies.is_empty() {
            side.report.messages_out += sifted.replied;
            side.owe_replies(&sifted.replies);
        }
        match sifted.ended {
            None => {}
            Some(Ended::Violation(violation)) => self.violated(at, violation, now),
            Some(Ended::Closed(cause, frame)) => self.closed_by_screen(at, cause, frame, now),
        }
    }
}
