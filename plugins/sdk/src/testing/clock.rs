//! The clock of a test: the machine's, until it is set.

use std::{
    cell::Cell,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the clocks stand: since the Unix epoch, and the one that never goes back.
#[derive(Clone, Copy)]
struct Stopped {
    now: Duration,
    monotonic: Duration,
}

thread_local! {
    static STOPPED: Cell<Option<Stopped>> = const { Cell::new(None) };
}

/// Stops this thread's clock at a time since the Unix epoch, of which whole milliseconds count.
///
/// ```
/// use cordboard_plugin_sdk::{clock, testing};
/// use std::time::Duration;
///
/// testing::set_clock(Duration::from_secs(1_700_000_000));
/// let begun = clock::monotonic();
/// testing::advance_clock(Duration::from_secs(5));
/// assert_eq!(clock::now(), Duration::from_secs(1_700_000_005));
/// assert_eq!(clock::monotonic() - begun, Duration::from_secs(5));
/// ```
pub fn set_clock(now: Duration) {
    STOPPED.set(Some(Stopped { now, monotonic: monotonic() }));
}

/// Moves this thread's clock on, and both its times; one that runs is stopped first.
pub fn advance_clock(by: Duration) {
    STOPPED.set(Some(Stopped { now: exact_now().saturating_add(by), monotonic: monotonic().saturating_add(by) }));
}

pub(crate) fn now() -> Duration {
    Duration::from_millis(u64::try_from(exact_now().as_millis()).unwrap_or(u64::MAX))
}

fn exact_now() -> Duration {
    // A clock set before 1970 reads as 1970.
    let machines = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    STOPPED.get().map_or_else(machines, |stopped| stopped.now)
}

pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    STOPPED.get().map_or_else(|| START.get_or_init(Instant::now).elapsed(), |stopped| stopped.monotonic)
}
