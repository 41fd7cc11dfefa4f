//! Failures by plugin name, over all versions: what a swap does not wipe out.
//!
//! Each version in memory holds the tally of its name, so that a tally lives through a swap (the new version is loaded
//! while the old one is there) and ends with the last version: their number is bounded by the versions in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{failure::Failure, stats::Stats};

/// Failures by kind, in the order of [`Stats::FAILURES`].
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; Stats::FAILURES.len()]);

impl Tally {
    pub(super) fn failed(&self, failure: &Failure) {
        for (label, count) in Stats::FAILURES.iter().zip(&self.0) {
            if *label == failure.label() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn read(&self) -> [u64; Stats::FAILURES.len()] {
        std::array::from_fn(|kind| self.0[kind].load(Ordering::Relaxed))
    }
}

/// The tallies that are alive, by name.
#[derive(Debug, Default)]
pub(super) struct Tallies(Mutex<BTreeMap<Arc<str>, Weak<Tally>>>);

impl Tallies {
    /// The tally of a name, which goes on where another version of that name holds it.
    pub(super) fn of(&self, name: &Arc<str>) -> Arc<Tally> {
        let mut tallies = self.lock();
        tallies.retain(|_, tally| tally.strong_count() > 0);
        if let Some(tally) = tallies.get(name).and_then(Weak::upgrade) {
            return tally;
        }
        let tally = Arc::new(Tally::default());
        tallies.insert(Arc::clone(name), Arc::downgrade(&tally));
        tally
    }

    /// What each counted, by name.
    pub(super) fn read(&self) -> Vec<(Arc<str>, [u64; Stats::FAILURES.len()])> {
        let tallies = self.lock();
        tallies.iter().filter_map(|(name, tally)| Some((Arc::clone(name), tally.upgrade()?.read()))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Weak<Tally>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_lives_through_a_swap_and_ends_with_the_last_version() {
        let tallies = Tallies::default();
        let (name, other): (Arc<str>, Arc<str>) = ("it".into(), "other".into());
        let old = tallies.of(&name);
        old.failed(&Failure::Trap("unreachable".to_owned()));
        let new = tallies.of(&name);
        drop(old);
        assert_eq!(tallies.read(), [(Arc::clone(&name), [0, 0, 1, 0])]);
        drop(new);
        assert_eq!(tallies.read(), []);
        let other = tallies.of(&other);
        assert_eq!((tallies.lock().len(), other.read()), (1, [0; 4]));
        assert_eq!(tallies.of(&name).read(), [0; 4]);
    }
}
