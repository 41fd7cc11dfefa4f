//! What time does to a session: keep-alive, stalled legs, idle and old sessions, a partner that does not come, a
//! closing that takes too long. Every deadline is a plain instant in the state; the driver keeps one timer for the
//! nearest.

use std::time::Duration;

use super::{
    session::Session,
    side::{Input, Io, Output, Side},
};
use crate::{error::Cause, model::Limits, moment::Moment};

/// Durations beyond this count as this: no system waits longer at once.
const FAR: Duration = Duration::from_hours(365 * 24);

/// A `close` below this counts as this: a Close must at least be written before its time is over.
const SHORTEST_CLOSE: Duration = Duration::from_millis(100);

/// How often a full socket is insisted on within `stall`. The last time is at its end, so that a leg is cut between
/// `stall` and a quarter more after the last byte that it took.
const INSISTENCE: u32 = 4;

/// Until when no deadline comes if only frames pass. Deadlines are reckoned at every step otherwise, which would cost
/// more than the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Calm(Option<Moment>);

impl Calm {
    /// It must be reckoned.
    pub(super) const UNKNOWN: Self = Self(None);

    /// None is for ever.
    fn until(deadline: Option<Moment>) -> Self {
        Self(Some(deadline.unwrap_or(Moment::END)))
    }

    #[inline]
    pub(super) fn is_over(self, now: Moment) -> bool {
        self.0.is_none_or(|end| end <= now)
    }

    /// When it ends, if it does.
    #[inline]
    pub(super) fn end(self) -> Option<Moment> {
        self.0.filter(|end| *end < Moment::END)
    }
}

/// `by` after `at`.
fn later(at: Moment, by: Duration) -> Moment {
    at + by.min(FAR)
}

/// The same for a limit that zero turns off.
fn limit(at: Moment, by: Duration) -> Option<Moment> {
    (!by.is_zero()).then(|| later(at, by))
}

impl<I: Io> Side<I> {
    /// By when a step of its closing must be done, if it begins now.
    pub(super) fn closing_by(&self, now: Moment) -> Moment {
        later(now, self.limits.close.max(SHORTEST_CLOSE))
    }

    /// When its silence has consequences: a Ping, or after that its end.
    fn silent_at(&self) -> Option<Moment> {
        let pulse = &self.pulse;
        let listening = self.io.is_some() && self.input == Input::Open && self.output == Output::Open && !pulse.paused;
        if !listening || self.limits.ping_every.is_zero() {
            return None;
        }
        match pulse.pinged {
            Some(at) => limit(at, self.limits.pong_within),
            None if pulse.queued => None,
            None => limit(pulse.heard, self.limits.ping_every),
        }
    }

    /// When its full socket is to be insisted on, the last time because it has taken no byte for too long.
    fn insist_at(&self) -> Option<Moment> {
        // Reckoned only for a leg that is full: this is asked at every wake.
        let since = self.blocked?;
        limit(since, self.limits.stall.min(FAR) / INSISTENCE * (self.insisted + 1))
    }

    /// Notes whether the leg is being read. The clock of silence stops while it is not.
    pub(super) fn listen(&mut self, reading: bool, now: Moment) {
        if reading && self.pulse.paused {
            self.pulse.heard = now;
            self.pulse.pinged = self.pulse.pinged.map(|_| now);
        }
        self.pulse.paused = !reading;
    }
}

impl<I: Io> Session<I> {
    /// Does what is due.
    #[inline]
    pub(super) fn tick(&mut self, now: Moment) {
        if !self.is_calm() || self.calm.is_over(now) {
            self.do_what_is_due(now);
        }
    }

    /// Whether only frames pass: then bytes that come put deadlines off, and nothing brings one nearer.
    fn is_calm(&self) -> bool {
        let ordinary = |side: &Side<I>| {
            side.blocked.is_none()
                && side.deadline.is_none()
                && side.pulse.pinged.is_none()
                && !side.pulse.queued
                && !side.pulse.paused
        };
        self.sides.len() == 2 && self.ending.is_none() && self.sides.iter().all(ordinary)
    }

    /// When time alone changes something. While only frames pass it may come too early, and is reckoned anew then.
    #[inline]
    pub(super) fn next_wake(&mut self, now: Moment) -> Option<Moment> {
        if !self.is_calm() {
            self.calm = Calm::UNKNOWN;
            return self.next_deadline();
        }
        if self.calm.is_over(now) {
            self.calm = Calm::until(self.next_deadline());
        }
        self.calm.end()
    }

    fn do_what_is_due(&mut self, now: Moment) {
        let due = |deadline: Option<Moment>| deadline.is_some_and(|deadline| deadline <= now);
        for at in 0..self.sides.len() {
            let side = &mut self.sides[at];
            if due(side.deadline) {
                let full = side.blocked.is_some();
                // If it still takes what its partner left behind, it has more time.
                self.insist(at, now);
                if due(self.sides[at].deadline) {
                    self.closing_took_too_long(at, full, now);
                }
            } else if due(side.insist_at()) {
                side.insisted += 1;
                let last = side.insisted >= INSISTENCE;
                if !self.insist(at, now) && last {
                    self.cut(at, Cause::Stalled, now);
                }
            } else if due(side.silent_at()) {
                if side.pulse.pinged.is_none() {
                    side.pulse.queued = true;
                } else if !self.insist(at, now) {
                    self.cut(at, Cause::KeepAlive, now);
                }
            }
        }
        if self.ending.is_some() {
            return;
        }
        if due(self.patience) {
            self.close(None, Cause::NoPartner, now);
        } else if due(self.lifetime_at()) {
            self.close(None, Cause::Lifetime, now);
        } else if due(self.idle_at()) {
            self.close(None, Cause::Idle, now);
        }
    }

    /// Tries whether a full socket takes a byte all the same; `false` for one that is not full.
    fn insist(&mut self, at: usize, now: Moment) -> bool {
        let side = &mut self.sides[at];
        let Some((since, io)) = side.blocked.zip(side.io.as_mut()) else { return false };
        io.insist();
        self.push(at, now);
        self.sides[at].blocked != Some(since)
    }

    /// The nearest instant at which [`Session::tick`] has something to do.
    fn next_deadline(&self) -> Option<Moment> {
        let mut nearest = None;
        let mut note = |deadline: Option<Moment>| {
            if let Some(deadline) = deadline {
                nearest = Some(nearest.map_or(deadline, |nearest: Moment| nearest.min(deadline)));
            }
        };
        for side in &self.sides {
            note(side.deadline);
            note(side.insist_at());
            note(side.silent_at());
        }
        if self.ending.is_none() {
            note(self.patience);
            note(self.lifetime_at());
            note(self.idle_at());
        }
        note(self.farewell.as_ref().map(|farewell| farewell.until));
        nearest
    }

    fn lifetime_at(&self) -> Option<Moment> {
        limit(self.joined, self.shorter(|limits| limits.lifetime))
    }

    fn idle_at(&self) -> Option<Moment> {
        limit(self.active, self.shorter(|limits| limits.idle))
    }

    /// Of a limit of both legs the shorter one; zero is none, and a lone leg has none.
    fn shorter(&self, limit: impl Fn(&Limits) -> Duration) -> Duration {
        if self.sides.len() < 2 {
            return Duration::ZERO;
        }
        let limits = self.sides.iter().map(|side| limit(&side.limits));
        limits.filter(|limit| !limit.is_zero()).min().unwrap_or_default()
    }
}
