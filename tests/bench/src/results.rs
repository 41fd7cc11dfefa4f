//! What a run found: for each row, peer and metric the values of the repetitions. It is kept as JSON beside the document
//! that is made of it.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{peer::Peer, stats::Summary, wrong};

/// What is measured, and in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Thousands of instructions in user space, of a message or a handshake.
    UserInstructions,
    /// Thousands of instructions in the kernel, of a message or a handshake.
    KernelInstructions,
    /// Thousands of cycles, of a message or a handshake.
    Cycles,
    /// CPU time in microseconds, of a message or a handshake.
    Cpu,
    /// The part of it in user space; sampled.
    UserCpu,
    /// Messages or handshakes a second.
    Rate,
    /// MB (10⁶ bytes) of payload a second, in one direction.
    Throughput,
    /// Microseconds that half of all were within.
    P50,
    /// Microseconds that 99 % were within.
    P99,
    /// Microseconds that 99 % were within in a usual tenth of a second: the median of all, in an open loop.
    P99Tenth,
    /// Microseconds that 99.9 % were within.
    P999,
    /// Bytes of memory of an idle session.
    IdleBytes,
    /// Idle sessions that were open.
    Sessions,
    /// Milliseconds from the start to the first connection that is accepted.
    Ready,
    /// Milliseconds from the start to the first echo.
    FirstEcho,
    /// Swaps a second that were made.
    Swaps,
    /// What the slowest session did of an even share.
    Slowest,
    /// Instructions in user space of a message, by callgrind.
    Callgrind,
}

/// What the run was made on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Of `/proc/cpuinfo`.
    pub cpu: String,
    /// How many CPUs may be used.
    pub cpus: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// Memory in bytes.
    pub memory: u64,
    /// The congestion control of TCP on loopback.
    #[serde(default)]
    pub congestion: String,
    /// Why instructions were not counted.
    pub no_counters: Option<String>,
}

/// All of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Where.
    pub machine: Machine,
    /// The versions of the peers, by id.
    pub versions: BTreeMap<String, String>,
    /// Repetitions of each row.
    pub repetitions: usize,
    /// Seconds that each repetition was measured for.
    pub seconds: f64,
    /// By row, peer and metric.
    pub values: BTreeMap<String, BTreeMap<String, BTreeMap<Metric, Vec<f64>>>>,
    /// What is missing and why, and what went wrong.
    pub problems: Vec<String>,
}

impl Results {
    /// Adds the value of one repetition.
    pub fn add(&mut self, row: &str, peer: Peer, metric: Metric, value: f64) {
        let row = self.values.entry(row.to_owned()).or_default();
        row.entry(peer.id().to_owned()).or_default().entry(metric).or_default().push(value);
    }

    /// Notes once that something is not as it should be.
    pub fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            eprintln!("  ! {problem}");
            self.problems.push(problem);
        }
    }

    /// What the repetitions came to.
    #[must_use]
    pub fn summary(&self, row: &str, peer: Peer, metric: Metric) -> Option<Summary> {
        Summary::of(self.values.get(row)?.get(peer.id())?.get(&metric)?)
    }

    /// The median.
    #[must_use]
    pub fn median(&self, row: &str, peer: Peer, metric: Metric) -> Option<f64> {
        self.summary(row, peer, metric).map(|summary| summary.median)
    }

    /// Which of the proxies that others run has the least, and how much, by what `of` takes of a summary.
    #[must_use]
    pub fn best_rival(&self, row: &str, metric: Metric, of: fn(Summary) -> f64) -> Option<(Peer, f64)> {
        let rivals = Peer::ALL.into_iter().filter(|peer| peer.is_rival());
        let value = |peer: Peer| self.summary(row, peer, metric).map(|summary| (peer, of(summary)));
        rivals.filter_map(value).min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Reads what a run has written.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&fs::read(path)?).map_err(|error| wrong(format!("{}: {error}", path.display())))
    }

    /// Writes it for another time.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| wrong(error.to_string()))?;
        fs::write(path, text + "\n")
    }
}

impl Machine {
    /// This one.
    pub fn this() -> io::Result<Self> {
        let first = |path: &str, name: &str| -> io::Result<String> {
            let text = fs::read_to_string(path)?;
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            let found = fields.clone().find(|(field, _)| field.trim() == name);
            Ok(found.map_or("unknown", |(_, value)| value.trim()).to_owned())
        };
        let kilobytes = first("/proc/meminfo", "MemTotal")?;
        let kilobytes: u64 = kilobytes.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Ok(Self {
            cpu: first("/proc/cpuinfo", "model name")?,
            cpus: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            memory: kilobytes * 1024,
            congestion: crate::network::congestion_control()?,
            no_counters: crate::cost::refused(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rival_is_the_one_with_the_least_median() {
        let mut results = Results::default();
        let (plain, large) = (Peer::Nginx { large: false }, Peer::Nginx { large: true });
        for (peer, values) in [(Peer::Cordboard, [1.0, 1.0]), (plain, [5.0, 6.0]), (large, [4.0, 5.0])] {
            for value in values {
                results.add("row", peer, Metric::Cpu, value);
            }
        }
        assert_eq!(results.best_rival("row", Metric::Cpu, |of| of.median), Some((large, 4.5)));
        assert_eq!(results.best_rival("row", Metric::Cpu, |of| of.least), Some((large, 4.0)));
        assert_eq!(results.best_rival("row", Metric::Rate, |of| of.median), None);
        assert_eq!(results.best_rival("no row", Metric::Cpu, |of| of.median), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut results = Results { machine: Machine::this().unwrap(), ..Results::default() };
        results.add("row", Peer::None, Metric::P999, 1.5);
        results.problem("one".to_owned());
        results.problem("one".to_owned());
        let text = serde_json::to_string(&results).unwrap();
        let again: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(again, results);
        assert_eq!(again.problems, ["one"]);
    }
}
