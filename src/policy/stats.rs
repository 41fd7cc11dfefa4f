//! The counters of one version of a plugin: atomics that calls move and the scrape reads. They go with the version; what
//! must not is in `tally`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::failure::Failure;

/// What a plugin version has done so far.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls that were answered or failed.
    pub calls: AtomicU64,
    /// Of those, with something to say: a role, a channel, a service, edits.
    pub opinions: AtomicU64,
    /// Of those, refused by the plugin's own decision.
    pub rejections: AtomicU64,
    /// Failures by kind: busy, deadline, trap, contract.
    pub failures: [AtomicU64; 4],
    /// Time spent in calls, in nanoseconds.
    pub nanoseconds: AtomicU64,
    /// Of it, time spent in the queue.
    pub queued: AtomicU64,
    /// Calls by how long they took, in the order of [`Self::LATENCIES`]; longer ones come last.
    pub latency: [AtomicU64; Self::LATENCIES.len() + 1],
    /// Instances made.
    pub instances: AtomicU64,
    /// Events that were queued for it.
    pub events: AtomicU64,
    /// Events for which its queue had no room.
    pub events_dropped: AtomicU64,
}

impl Stats {
    /// Labels of [`Self::failures`], in its order.
    pub const FAILURES: [&'static str; 4] = ["busy", "deadline", "trap", "contract"];

    /// Upper bounds of [`Self::latency`], in microseconds.
    pub const LATENCIES: [u64; 14] =
        [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000, 100_000, 1_000_000];

    pub(super) fn took(&self, time: Duration) {
        let place = Self::LATENCIES.iter().position(|bound| time <= Duration::from_micros(*bound));
        self.latency[place.unwrap_or(Self::LATENCIES.len())].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    pub(super) fn failed(&self, failure: &Failure) {
        for (label, count) in Self::FAILURES.iter().zip(&self.failures) {
            if *label == failure.label() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A time as the counters have it.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
