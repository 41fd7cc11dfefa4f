//! The end of identities: a leg whose identity is over is closed then (4401).
//!
//! One task for all of them, and one entry for each leg that has an end, which goes with the leg. Ends are times of the
//! wall clock, which may be set: it is looked at once a minute at least.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::{model::ConnId, policy::now_ms};

/// Longest time without a look at the clock.
const LOOK: Duration = Duration::from_mins(1);

/// Who ends when, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Ends {
    entries: Mutex<BTreeSet<(u64, ConnId)>>,
    /// There is an earlier one than before.
    sooner: Notify,
}

impl Ends {
    /// From now on this one is waited for.
    pub(super) fn insert(&self, end: u64, conn: ConnId) {
        let mut entries = self.entries();
        entries.insert((end, conn));
        let first = entries.first() == Some(&(end, conn));
        drop(entries);
        if first {
            self.sooner.notify_one();
        }
    }

    /// This one is not waited for any more.
    pub(super) fn remove(&self, end: u64, conn: ConnId) {
        self.entries().remove(&(end, conn));
    }

    /// Those whose end has come, which are waited for no more, and how long it is to the next look.
    fn due(&self, now: u64) -> (Vec<ConnId>, Duration) {
        let mut entries = self.entries();
        let later = match now.checked_add(1) {
            Some(next) => entries.split_off(&(next, ConnId::from_raw(0))),
            None => BTreeSet::new(),
        };
        let due = std::mem::replace(&mut *entries, later).into_iter().map(|(_, conn)| conn).collect();
        let next = entries.first().map_or(LOOK, |(end, _)| Duration::from_millis(end - now).min(LOOK));
        (due, next)
    }

    /// Tells of each one when its end has come; never returns.
    pub(super) async fn watch(&self, ended: impl Fn(ConnId)) {
        loop {
            let mut sooner = pin!(self.sooner.notified());
            sooner.as_mut().enable();
            let (due, next) = self.due(now_ms());
            due.into_iter().for_each(&ended);
            // Whichever it is, one looks again.
            let _ = timeout(next, sooner).await;
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeSet<(u64, ConnId)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_due_goes_and_the_next_one_is_waited_for() {
        let (ends, conn) = (Ends::default(), ConnId::from_raw);
        assert_eq!(ends.due(5), (vec![], LOOK));
        for (end, of) in [(30, 3), (10, 1), (10, 2), (u64::MAX, 9), (1_000_000, 5)] {
            ends.insert(end, conn(of));
        }
        assert_eq!(ends.due(9), (vec![], Duration::from_millis(1)));
        assert_eq!(ends.due(10), (vec![conn(1), conn(2)], Duration::from_millis(20)));
        ends.remove(30, conn(3));
        assert_eq!(ends.due(10), (vec![], LOOK), "and not for a quarter of an hour");
        assert_eq!(ends.due(u64::MAX), (vec![conn(5), conn(9)], LOOK));
        assert!(ends.entries().is_empty());
    }
}
