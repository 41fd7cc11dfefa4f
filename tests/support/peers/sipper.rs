//! Reads, but slowly: a little now and then, at a pace.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::support::board::Leg;

/// Most that it reads at a time, and how often it does: less than 100 KiB a second.
const SIP: usize = 2 << 10;
const PACE: Duration = Duration::from_millis(20);

/// One that reads slowly.
pub struct Sipper(Leg);

impl Sipper {
    pub const fn new(leg: Leg) -> Self {
        Self(leg)
    }

    /// Reads slowly for as long; returns how much.
    pub async fn sips(&mut self, time: Duration) -> usize {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (begun, mut bytes) = (Instant::now(), 0);
        while begun.elapsed() < time {
            pace.tick().await;
            let sip = self.0.sip(SIP).await;
            assert!(sip > 0, "it was cut after {bytes} bytes and {:?}", begun.elapsed());
            bytes += sip;
        }
        bytes
    }

    pub fn gulps(self) -> Leg {
        self.0
    }
}
