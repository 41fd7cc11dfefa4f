//! The host's clock. During replay and dry runs it tells the recorded time, so a decision can be repeated exactly.
//!
//! `std::time` does not work inside a component; these functions do. In native tests they read the machine's clock, until
//! `testing::set_clock` stops it.
//!
//! ```
//! use cordboard_plugin_sdk::{clock, testing};
//! use std::time::Duration;
//!
//! /// Whether a ticket that was given out at this time is still good.
//! fn is_good(given: Duration) -> bool {
//!     clock::now().saturating_sub(given) < Duration::from_secs(3600)
//! }
//!
//! testing::set_clock(Duration::from_secs(10_000));
//! assert!(is_good(Duration::from_secs(9_000)));
//! testing::advance_clock(Duration::from_secs(3_000));
//! assert!(!is_good(Duration::from_secs(9_000)));
//! ```

use std::time::Duration;

/// Time since the Unix epoch, in whole milliseconds.
#[must_use]
pub fn now() -> Duration {
    #[cfg(target_family = "wasm")]
    {
        Duration::from_millis(crate::bindings::imports::cordboard::host::clock::now_ms())
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::now()
    }
}

/// Time since some fixed point; it never goes back. Only differences mean something.
#[must_use]
pub fn monotonic() -> Duration {
    #[cfg(target_family = "wasm")]
    {
        Duration::from_nanos(crate::bindings::imports::cordboard::host::clock::monotonic_ns())
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::monotonic()
    }
}
