//! When something is due in an open loop: at even intervals from the start, however late the answers are. What is
//! measured from then on has no coordinated omission.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// How a load goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next one when one is done.
    Closed,
    /// So many a second in all.
    Open(f64),
}

/// A timer that an epoll set can watch, and what is due.
#[derive(Debug)]
pub struct Pacer {
    timer: OwnedFd,
    interval: Duration,
    due: Instant,
}

impl Pacer {
    /// So many a second, the first at once.
    pub fn new(rate: f64) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let pacer = Self { timer, interval: Duration::from_secs_f64(1.0 / rate), due: Instant::now() };
        pacer.arm()?;
        Ok(pacer)
    }

    /// The next that is due by now: the time at which it was. None when nothing is, until the timer says so.
    pub fn next_due(&mut self) -> io::Result<Option<Instant>> {
        if self.due > Instant::now() {
            self.arm()?;
            return Ok(None);
        }
        let due = self.due;
        self.due += self.interval;
        Ok(Some(due))
    }

    /// Setting it anew takes back that it has expired.
    fn arm(&self) -> io::Result<()> {
        let left = self.due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: left.as_secs().try_into().unwrap_or(0), tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

impl AsFd for Pacer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
