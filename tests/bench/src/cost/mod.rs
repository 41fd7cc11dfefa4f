//! What a proxy's process tree costs while it is measured: instructions and cycles where the kernel counts them, CPU time
//! in any case.

mod counters;
mod tree;

use std::{collections::BTreeMap, io, time::Duration};

use counters::Counters;
pub use counters::{Counts, refused};
use serde::{Deserialize, Serialize};
pub use tree::{processes, pss};

/// What was spent between two looks.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// On all CPUs together, as the scheduler counted it, to the nanosecond.
    pub cpu: Duration,
    /// The part of it that was spent in user space, as the kernel sampled it: right on the average only.
    pub user: f64,
    /// What the hardware counted, where it can be asked.
    pub counts: Option<Counts>,
}

/// A measurement that has begun.
#[derive(Debug)]
pub struct Meter {
    root: u32,
    threads: BTreeMap<(u32, u32), Duration>,
    ticks: [u64; 2],
    counters: Option<Counters>,
}

impl Meter {
    /// Begins to measure `root` and all processes below it.
    ///
    /// # Errors
    /// When the process has gone. Counters that the kernel refuses are done without.
    pub fn start(root: u32) -> io::Result<Self> {
        let processes = tree::processes(root)?;
        let threads = tree::run_times(&processes)?;
        let counters = Counters::start(threads.keys().map(|(_, thread)| *thread)).ok();
        Ok(Self { root, counters, ticks: tree::ticks(&processes)?, threads: tree::run_times(&processes)? })
    }

    /// What was spent since, and what `at` says when that is read. Of threads that have ended meanwhile only the counters
    /// know.
    pub fn stop<T>(self, at: impl FnOnce() -> T) -> io::Result<(Cost, T)> {
        let processes = tree::processes(self.root)?;
        let after = tree::run_times(&processes)?;
        let at = at();
        let ticks = tree::ticks(&processes)?;
        let counts = self.counters.map(Counters::stop).transpose()?;
        let spent = |(thread, time): (&(u32, u32), &Duration)| {
            time.saturating_sub(self.threads.get(thread).copied().unwrap_or_default())
        };
        let [user, system] = [0, 1].map(|part| ticks[part].saturating_sub(self.ticks[part]) as f64);
        let user = if user + system > 0.0 { user / (user + system) } else { 0.0 };
        Ok((Cost { cpu: after.iter().map(spent).sum(), user, counts }, at))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        hint,
        process::{self, Command},
    };

    use super::*;

    #[test]
    fn the_cpu_time_of_threads_that_came_later_counts() {
        let meter = Meter::start(process::id()).unwrap();
        let mut cost = Cost::default();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| (0..20_000_000_u64).map(hint::black_box).sum::<u64>());
            worker.join().unwrap();
            // A thread that has ended is no longer listed; this one is.
            hint::black_box((0..20_000_000_u64).map(hint::black_box).sum::<u64>());
            (cost, ()) = meter.stop(|| ()).unwrap();
        });
        assert!(cost.cpu > Duration::from_millis(1), "{cost:?}");
        assert!((0.0..=1.0).contains(&cost.user), "{cost:?}");
    }

    #[test]
    fn children_are_part_of_the_tree_and_have_memory() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let processes = processes(process::id()).unwrap();
        let memory = pss(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(processes.contains(&child.id()), "{processes:?}");
        assert!(memory.unwrap() > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(Meter::start(child.id()).is_err());
    }
}
