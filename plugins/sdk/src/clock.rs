//! The host's clock. During replay and dry runs it tells the recorded time, so a decision can be repeated exactly.
//!
//! `std::time` does not work inside a component; these functions do, and in native tests they read the machine's clock.

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
        // A clock set before 1970 reads as 1970.
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
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
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}
