//! Runs something again and again, and takes the time of each lap.

use std::time::Instant;

/// So many laps of so many rounds; for counting, one lap.
pub(crate) struct Clock {
    laps: u64,
    batch: u64,
    /// Nanoseconds of each lap.
    pub(crate) nanos: Vec<f64>,
}

impl Clock {
    pub(crate) fn new(laps: u64, batch: u64) -> Self {
        Self { laps, batch, nanos: Vec::with_capacity(usize::try_from(laps).expect("as many as fit into memory")) }
    }

    pub(crate) fn rounds(&mut self, mut round: impl FnMut()) {
        for _ in 0..self.laps {
            let started = Instant::now();
            for _ in 0..self.batch {
                round();
            }
            self.nanos.push(started.elapsed().as_nanos() as f64);
        }
    }

    pub(crate) async fn rounds_async(&mut self, mut round: impl AsyncFnMut()) {
        for _ in 0..self.laps {
            let started = Instant::now();
            for _ in 0..self.batch {
                round().await;
            }
            self.nanos.push(started.elapsed().as_nanos() as f64);
        }
    }
}
