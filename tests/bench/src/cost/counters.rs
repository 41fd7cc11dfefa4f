//! The hardware's counters, opened on every thread of a process tree and inherited by those that it starts.
//!
//! Machines without them (most virtual ones) and kernels that refuse them (`kernel.perf_event_paranoid`) are common.

use std::io;

use perf_event::{Builder, Counter, ReadFormat, events};
use serde::{Deserialize, Serialize};

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Instructions in user space.
    pub user: u64,
    /// Instructions in the kernel.
    pub kernel: u64,
    /// Cycles in both.
    pub cycles: u64,
}

/// Why there are no counters here; nothing if there are.
#[must_use]
pub fn refused() -> Option<String> {
    let mut counters = Counters::default();
    let error = counters.open(std::process::id()).err()?;
    Some(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::Unsupported => {
            "this machine has no hardware counters for instructions".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "the kernel does not let this user count instructions (kernel.perf_event_paranoid)".to_owned()
        }
        _ => format!("instructions cannot be counted: {error}"),
    })
}

/// Three counters for each thread.
#[derive(Debug, Default)]
pub(super) struct Counters {
    user: Vec<Counter>,
    kernel: Vec<Counter>,
    cycles: Vec<Counter>,
}

impl Counters {
    pub(super) fn start(threads: impl Iterator<Item = u32>) -> io::Result<Self> {
        let mut all = Self::default();
        for thread in threads {
            match all.open(thread) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                opened => opened?,
            }
        }
        for counter in all.user.iter_mut().chain(&mut all.kernel).chain(&mut all.cycles) {
            counter.enable()?;
        }
        Ok(all)
    }

    pub(super) fn stop(self) -> io::Result<Counts> {
        Ok(Counts { user: sum(self.user)?, kernel: sum(self.kernel)?, cycles: sum(self.cycles)? })
    }

    fn open(&mut self, thread: u32) -> io::Result<()> {
        let instructions = || builder(events::Hardware::INSTRUCTIONS, thread);
        self.user.push(instructions().exclude_user(false).exclude_kernel(true).build()?);
        self.kernel.push(instructions().exclude_user(true).exclude_kernel(false).build()?);
        let mut cycles = builder(events::Hardware::CPU_CYCLES, thread);
        self.cycles.push(cycles.exclude_user(false).exclude_kernel(false).build()?);
        Ok(())
    }
}

fn builder<'a>(event: impl events::Event, thread: u32) -> Builder<'a> {
    let mut builder = Builder::new(event);
    let times = ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING;
    builder.observe_pid(thread.cast_signed()).any_cpu().inherit(true).read_format(times);
    builder
}

/// Extrapolated where counters had to take turns.
fn sum(counters: Vec<Counter>) -> io::Result<u64> {
    let mut sum = 0.0;
    for mut counter in counters {
        let read = counter.read_full()?;
        let (enabled, running) = (read.time_enabled().unwrap_or_default(), read.time_running().unwrap_or_default());
        if !running.is_zero() {
            sum += read.count() as f64 * enabled.as_secs_f64() / running.as_secs_f64();
        }
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count of events
    Ok(sum as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{hint, thread};

    use super::*;

    /// With an event of the kernel's own, because those there are everywhere; who may count is the system's affair.
    #[test]
    fn threads_that_are_started_later_are_counted_too() {
        let mut own = match builder(events::Software::TASK_CLOCK, 0).exclude_kernel(false).build() {
            Ok(counter) => counter,
            Err(error) => return assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        };
        own.enable().unwrap();
        thread::spawn(|| hint::black_box((0..20_000_000_u64).map(hint::black_box).sum::<u64>())).join().unwrap();
        assert!(sum(vec![own]).unwrap() > 1_000_000, "nanoseconds");
    }

    #[test]
    fn what_is_refused_has_a_reason() {
        match (refused(), Counters::start([std::process::id()].into_iter())) {
            (None, Ok(counters)) => assert!(counters.stop().unwrap().user > 0),
            (reason, started) => {
                assert!(reason.is_some_and(|reason| reason.contains("instructions")));
                assert!(started.is_err());
            }
        }
    }
}
