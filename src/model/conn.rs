//! The id of a connection: what it is called in logs, by policies and at the admin address.

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// One inbound connection, unique in this process and, for practical purposes, between restarts.
///
/// Shown as 16 hexadecimal digits: 32 random bits of the process, then a counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(NonZeroU64);

impl ConnId {
    /// The next id of this process.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: OnceLock<AtomicU64> = OnceLock::new();
        let next = NEXT.get_or_init(|| AtomicU64::new((u64::from(uuid::Uuid::new_v4().as_fields().0) << 32) | 1));
        Self::from_raw(next.fetch_add(1, Ordering::Relaxed))
    }

    /// A place between 0 and 1 that follows from the id: spreads evenly what must not happen to all connections at once,
    /// also over a few that dialled one after the other.
    #[must_use]
    pub fn fraction(self) -> f64 {
        // The finalizer of SplitMix64: ids that follow each other come out far apart. 32 bits are exact in an f64.
        let mut mixed = self.raw();
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as f64 / f64::from(u32::MAX)
    }

    /// A chosen id, for tests and simulations, or one by its number; 0 counts as 1, the least there is.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        match NonZeroU64::new(raw) {
            Some(raw) => Self(raw),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Its number; no connection has 0.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for ConnId {
    type Err = &'static str;

    /// As it is shown.
    ///
    /// # Errors
    /// What is wrong.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a connection has 16 hexadecimal digits, as `conn` in the log";
        if text.len() != 16 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong);
        }
        u64::from_str_radix(text, 16).ok().and_then(NonZeroU64::new).map(Self).ok_or(wrong)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_connections_in_a_row_are_spread_over_the_whole() {
        // Of the two legs of a pair only one counts, so every second id may be missing.
        for step in [1, 2, 3, 1000] {
            let mut tenths = [0; 10];
            for n in 0..100 {
                let place = ConnId::from_raw(0x1234_5678_0000_0000 + n * step).fraction();
                assert!((0.0..=1.0).contains(&place));
                let tenth = (0..9).find(|tenth| place < f64::from(tenth + 1) / 10.0).unwrap_or(9);
                tenths[usize::try_from(tenth).unwrap_or(9)] += 1;
            }
            assert!(tenths.iter().all(|count| (1..=30).contains(count)), "{step}: {tenths:?}");
        }
    }
}
