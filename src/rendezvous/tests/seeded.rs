//! Seeds of simulations: a small generator, and how to replay the schedule that failed.

use std::{env, ops::Range, thread};

const SCHEDULES: u64 = 5_000;

/// `CORDBOARD_SIM_SEED` alone, or as many as `CORDBOARD_SIM_SCHEDULES` says.
pub(super) fn seeds() -> Range<u64> {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    match number("CORDBOARD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CORDBOARD_SIM_SCHEDULES").unwrap_or(SCHEDULES),
    }
}

/// `SplitMix64`: small, seeded, the same on every machine.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()].clone()
    }
}

/// Says how to replay the schedule that fails.
pub(super) struct Replay(pub(super) u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay with CORDBOARD_SIM_SEED={}", self.0);
        }
    }
}
