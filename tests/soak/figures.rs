//! What is read off the running proxy, and how it is shown.

use std::{fmt, fs, time::Duration};

use cordboard::model::Outcome;

use crate::support::Proxy;

/// Resident memory of the proxy, in bytes.
pub fn resident(proxy: &Proxy) -> u64 {
    let line = fs::read_to_string(format!("/proc/{}/statm", proxy.pid())).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

/// A gauge of a proxy that nobody uses. A look at it is itself a connection, and the one before it may not be gone.
pub fn at_rest(proxy: &Proxy, gauge: &str) -> f64 {
    // After its start the proxy looks at its files once more.
    proxy.metric_becomes("cordboard_reloads_total{result=\"unchanged\"}", 1.0);
    (0..10).map(|_| proxy.metric(gauge)).fold(f64::INFINITY, f64::min)
}

/// Processor time of the proxy so far, all threads.
pub fn processor(proxy: &Proxy) -> Duration {
    let line = fs::read_to_string(format!("/proc/{}/stat", proxy.pid())).unwrap();
    // The name, in parentheses, may hold spaces; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<&str> = line.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// Compares the counters of ended sessions with what the test did.
pub fn ended(proxy: &Proxy, expected: impl Fn((&'static str, &'static str)) -> u64) {
    let count = |mode: &str, outcome: &str| {
        proxy.metric(&format!("cordboard_sessions_ended_total{{mode=\"{mode}\",outcome=\"{outcome}\"}}"))
    };
    for mode in ["rendezvous", "router", "none"] {
        for outcome in Outcome::ALL {
            let (counted, did) = (count(mode, outcome.label()), expected((mode, outcome.label())));
            assert!(
                (counted - did as f64).abs() < 0.5,
                "{mode} {}: {counted} were counted, {did} took place; {}",
                outcome.label(),
                proxy.get("/metrics").lines().filter(|line| line.contains("_total{")).collect::<Vec<_>>().join("\n")
            );
        }
    }
}

/// How long handshakes took.
pub struct Latencies {
    pub count: usize,
    pub median: Duration,
    pub p99: Duration,
    pub longest: Duration,
}

impl Latencies {
    pub fn of(durations: &mut [Duration]) -> Self {
        durations.sort_unstable();
        let at =
            |percent: usize| durations.get((durations.len() * percent / 100).min(durations.len().saturating_sub(1)));
        let at = |percent| at(percent).copied().unwrap_or_default();
        Self { count: durations.len(), median: at(50), p99: at(99), longest: at(100) }
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, p50 {:.1?}, p99 {:.1?}, longest {:.1?}", self.count, self.median, self.p99, self.longest)
    }
}
