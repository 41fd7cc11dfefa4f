//! The order in which the endpoints of a service are tried: round robin, one step a handshake.
//!
//! A cursor belongs to one set of candidates (a service and an environment tag): handshakes for two sets that take turns
//! on one cursor would each see every second endpoint only. It survives a reload; it counts on whatever the number of
//! endpoints has become.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the next handshake starts.
#[derive(Debug, Default)]
pub struct Cursor(AtomicUsize);

impl Cursor {
    /// A cursor whose first order starts at `start`, taken modulo the number of endpoints.
    #[must_use]
    pub const fn starting_at(start: usize) -> Self {
        Self(AtomicUsize::new(start))
    }

    /// All indices below `n`, each once, from the next one on and round; the cursor moves by one.
    pub fn order(&self, n: usize) -> impl Iterator<Item = usize> + use<> {
        let start = self.0.fetch_add(1, Ordering::Relaxed).checked_rem(n).unwrap_or(0);
        (start..n).chain(0..start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(cursor: &Cursor, n: usize) -> Vec<usize> {
        cursor.order(n).collect()
    }

    #[test]
    fn each_order_starts_one_further_and_goes_round() {
        let cursor = Cursor::default();
        assert_eq!(order(&cursor, 3), [0, 1, 2]);
        assert_eq!(order(&cursor, 3), [1, 2, 0]);
        assert_eq!(order(&cursor, 3), [2, 0, 1]);
        assert_eq!(order(&cursor, 3), [0, 1, 2]);
    }

    #[test]
    fn the_number_of_endpoints_may_change_and_be_none() {
        let cursor = Cursor::starting_at(4);
        assert_eq!(order(&cursor, 0), [0; 0]);
        assert_eq!(order(&cursor, 1), [0]);
        assert_eq!(order(&cursor, 4), [2, 3, 0, 1]);
        assert_eq!(order(&cursor, 2), [1, 0]);
    }

    #[test]
    fn the_counter_wraps_without_losing_an_endpoint() {
        let cursor = Cursor::starting_at(usize::MAX);
        assert_eq!(order(&cursor, 3), [usize::MAX % 3, (usize::MAX % 3 + 1) % 3, (usize::MAX % 3 + 2) % 3]);
        assert_eq!(order(&cursor, 3), [0, 1, 2]);
    }

    #[test]
    fn concurrent_handshakes_are_spread_evenly() {
        let cursor = Cursor::default();
        let mut firsts = [0_usize; 4];
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter_map(|_| cursor.order(4).next()).collect::<Vec<_>>()))
                .collect();
            for first in threads.into_iter().filter_map(|thread| thread.join().ok()).flatten() {
                firsts[first] += 1;
            }
        });
        assert_eq!(firsts, [100; 4]);
    }
}
