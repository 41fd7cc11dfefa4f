//! Points in time, for what there is a lot of: they take half the room that those of the standard library take, and no more
//! where there may be none.

use std::{num::NonZeroU64, ops::Add, sync::LazyLock, time::Duration};

use tokio::time::Instant;

/// What moments are counted from. Those before it count as it, which is early enough for all that is ever reckoned.
static ORIGIN: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_hours(1)).unwrap_or(now)
});

/// A point in time: nanoseconds, for some 580 years. Sums beyond that count as its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    /// The last one there is, which never comes.
    pub(crate) const END: Self = Self(NonZeroU64::MAX);

    /// Now.
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    /// How long after another it is; nothing if it is not.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos(at.saturating_duration_since(*ORIGIN))))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_as_far_apart_as_the_instants_that_they_stand_for() {
        let (at, by) = (Instant::now(), Duration::new(3, 7));
        assert_eq!(Moment::from(at + by), Moment::from(at) + by);
        assert_eq!(Moment::from(at + by).since(at.into()), by);
        assert_eq!(Moment::from(at).since(Moment::from(at + by)), Duration::ZERO);
    }

    #[test]
    fn nothing_overflows() {
        let end = Moment::now() + Duration::MAX;
        assert_eq!((end, end + Duration::from_secs(1)), (Moment::END, Moment::END));
        assert!(end > Moment::now());
        let long_ago = Instant::now().checked_sub(Duration::from_hours(2));
        assert!(long_ago.is_none_or(|at| Moment::from(at) < Moment::now()));
    }

    #[test]
    fn one_that_there_may_not_be_takes_no_more_room() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
