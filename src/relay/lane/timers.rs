//! The deadlines of a lane's sessions, one timer for each.
//!
//! A deadline that moves away leaves its timer as it is: it then fires early, once, and is set anew, which is far less
//! work than setting it at every byte.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::moment::Moment;

/// No timer is set finer than this, whatever the deadline: it bounds how often time alone can wake a session.
const TICK: Duration = Duration::from_millis(10);

/// So many timers of sessions that are gone, and as many as there are sessions, are left where they are.
const SPARE: usize = 1024;

/// Timers by time. One that was set anew, or whose session is gone, stays until its time comes and means nothing.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Moment, usize)>>);

impl Timers {
    /// Sets the timer of the session in `place` if it would fire too late: `armed` is when it would. Gives when it does.
    pub(super) fn set(&mut self, armed: Option<Moment>, deadline: Moment, place: usize, now: Moment) -> Option<Moment> {
        if armed.is_some_and(|armed| armed <= deadline) {
            return None;
        }
        let at = deadline.max(now + TICK);
        if armed == Some(at) {
            return None;
        }
        self.0.push(Reverse((at, place)));
        Some(at)
    }

    /// How long nothing fires; without a timer for ever.
    pub(super) fn wait(&self, now: Moment) -> Option<Duration> {
        self.0.peek().map(|Reverse((at, _))| at.since(now))
    }

    /// The next session whose timer has fired, if `is_set` says of its place and time that it means something.
    #[inline]
    pub(super) fn due(&mut self, now: Moment, is_set: impl FnMut(usize, Moment) -> bool) -> Option<usize> {
        // Nearly always none is.
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now { None } else { self.take_due(now, is_set) }
    }

    fn take_due(&mut self, now: Moment, mut is_set: impl FnMut(usize, Moment) -> bool) -> Option<usize> {
        while let Some(Reverse((at, place))) = self.0.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.0.pop();
            if is_set(place, at) {
                return Some(place);
            }
        }
        None
    }

    /// Throws away what means nothing, once that is the greater part.
    pub(super) fn forget_if_many(&mut self, sessions: usize, is_set: impl Fn(usize, Moment) -> bool) {
        if self.0.len() > 2 * sessions + SPARE {
            self.0.retain(|Reverse((at, place))| is_set(*place, *at));
        }
    }
}
