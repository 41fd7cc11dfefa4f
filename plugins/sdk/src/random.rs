//! The host's random bytes. They are recorded, so that a replayed decision sees the same ones.
//!
//! Live they come from a cryptographic generator, fit for keys and nonces. In native tests they come from a generator
//! that begins alike in every thread, so that a test sees the same ones in every run; `testing::set_random` says which.
//!
//! ```
//! use cordboard_plugin_sdk::{random, testing};
//!
//! /// An id that nobody guesses.
//! fn ticket() -> String {
//!     random::bytes(16).iter().map(|byte| format!("{byte:02x}")).collect()
//! }
//!
//! testing::set_random([0xab; 16]);
//! assert_eq!(ticket(), "ab".repeat(16));
//! assert_ne!(ticket(), ticket());
//! ```

/// So many random bytes.
#[must_use]
pub fn bytes(length: u32) -> Vec<u8> {
    #[cfg(target_family = "wasm")]
    {
        crate::bindings::imports::cordboard::host::random::get_bytes(length)
    }
    #[cfg(not(target_family = "wasm"))]
    {
        crate::testing::random_bytes(length)
    }
}

/// Fills the buffer with random bytes.
///
/// # Panics
/// The host gave fewer than it was asked for: nothing may go on with a nonce that is half zero.
pub fn fill(buffer: &mut [u8]) {
    let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    buffer.copy_from_slice(&bytes(length));
}
