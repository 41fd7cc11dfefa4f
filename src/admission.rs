//! How many connections a route has, and how fast they come.
//!
//! A gate belongs to a route's name, not to a generation: its count and its bucket survive a reload, and a limit that is
//! lowered lets nobody in until enough have left. Nothing waits here: who may not enter is told so at once.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::{config::Admission, error::Cause};

/// The gate of one route.
#[derive(Debug)]
pub struct Gate {
    limits: Admission,
    held: Arc<AtomicU32>,
    bucket: Option<Arc<DefaultDirectRateLimiter>>,
}

/// Counts as one connection of its route until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicU32>);

/// Why somebody may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// [`Cause::TooManyConnections`] or [`Cause::TooManyUpgrades`].
    pub cause: Cause,
    /// How many there may be.
    pub limit: u32,
    /// When it is worth trying again, if that is known.
    pub after: Option<Duration>,
}

impl Gate {
    /// A gate with these limits; `before` is that of the same route in the generation before.
    #[must_use]
    pub fn new(limits: Admission, before: Option<&Self>) -> Self {
        let kept = before.filter(|gate| gate.limits.upgrades_per_second == limits.upgrades_per_second);
        let quota = NonZeroU32::new(limits.upgrades_per_second).map(Quota::per_second);
        Self {
            limits,
            held: before.map(|gate| Arc::clone(&gate.held)).unwrap_or_default(),
            bucket: match kept {
                Some(gate) => gate.bucket.clone(),
                None => quota.map(|quota| Arc::new(RateLimiter::direct(quota))),
            },
        }
    }

    /// Lets a connection in, and an upgrade through the bucket.
    ///
    /// # Errors
    /// [`Turned`]; nothing was taken then.
    pub fn enter(&self, upgrade: bool) -> Result<Permit, Turned> {
        let most = match self.limits.connections {
            0 => u32::MAX,
            most => most,
        };
        let one_more = |held: u32| (held < most).then(|| held + 1);
        if self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            return Err(Turned { cause: Cause::TooManyConnections, limit: most, after: None });
        }
        let permit = Permit(Arc::clone(&self.held));
        if let Some(bucket) = self.bucket.as_deref().filter(|_| upgrade)
            && let Err(early) = bucket.check()
        {
            let after = Some(early.wait_time_from(DefaultClock::default().now()));
            return Err(Turned { cause: Cause::TooManyUpgrades, limit: self.limits.upgrades_per_second, after });
        }
        Ok(permit)
    }

    /// Connections now.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn limits(connections: u32, upgrades_per_second: u32) -> Admission {
        Admission { connections, upgrades_per_second }
    }

    #[test]
    fn the_last_place_is_given_once_and_comes_back() {
        let gate = Gate::new(limits(2, 0), None);
        let (first, second) = (gate.enter(true).unwrap(), gate.enter(true).unwrap());
        assert_eq!(gate.enter(true).unwrap_err(), Turned { cause: Cause::TooManyConnections, limit: 2, after: None });
        drop(first);
        let third = gate.enter(false).unwrap();
        assert_eq!(gate.held(), 2);
        drop((second, third));
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn many_threads_never_exceed_the_limit_and_none_is_lost() {
        let gate = Gate::new(limits(5, 0), None);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let permit = gate.enter(true);
                        assert!(gate.held() <= 5);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(gate.held(), 0);
    }

    #[test]
    fn as_many_upgrades_as_a_second_has_pass_at_once_and_then_none() {
        let gate = Gate::new(limits(0, 3), None);
        for _ in 0..3 {
            drop(gate.enter(true).unwrap());
        }
        let turned = gate.enter(true).unwrap_err();
        assert_eq!((turned.cause, turned.limit), (Cause::TooManyUpgrades, 3));
        assert!(turned.after.is_some_and(|after| after <= Duration::from_secs(1)), "{turned:?}");
        assert_eq!(gate.held(), 0, "who is turned away holds nothing");
        drop(gate.enter(false).unwrap());
    }

    #[test]
    fn a_reload_keeps_the_count_and_an_unchanged_bucket() {
        let old = Gate::new(limits(0, 1), None);
        let _held = old.enter(true).unwrap();
        let same = Gate::new(limits(1, 1), Some(&old));
        assert_eq!(same.enter(false).unwrap_err().cause, Cause::TooManyConnections);
        let wider = Gate::new(limits(2, 1), Some(&same));
        assert_eq!(wider.enter(true).unwrap_err().cause, Cause::TooManyUpgrades, "the bucket is still empty");
        let other = Gate::new(limits(2, 2), Some(&wider));
        assert!(other.enter(true).is_ok(), "another rate begins with a full bucket");
    }
}
