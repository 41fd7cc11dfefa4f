//! Small values that the host keeps for the plugin, over reloads and for all connections. Needs a grant.
//!
//! A bucket is a name in the grant, which bounds its keys, bytes, value sizes and times to live. A time to live of none
//! means as long as the grant allows. Well-known codes of errors: `denied` (no such bucket in the grant), `quota`,
//! `too-large`, `invalid`, `timeout`, `unavailable`. In native tests a thread has its own store in memory, with the
//! buckets and bounds of `testing::grant_bucket`, or all buckets where that was not called.
//!
//! ```
//! use cordboard_plugin_sdk::{HostError, key_value, testing};
//! use std::time::Duration;
//!
//! /// Whether this nonce is seen for the first time in ten minutes.
//! fn is_new(nonce: &str) -> Result<bool, HostError> {
//!     key_value::compare_and_set("nonces", nonce, None, b"", Some(Duration::from_secs(600)))
//! }
//!
//! assert_eq!((is_new("a1"), is_new("b2"), is_new("a1")), (Ok(true), Ok(true), Ok(false)));
//! testing::advance_clock(Duration::from_secs(601));
//! assert_eq!(is_new("a1"), Ok(true));
//! ```

use std::time::Duration;

use crate::HostError;
#[cfg(target_family = "wasm")]
use crate::bindings::imports::cordboard::host::key_value as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::key_value as host;

/// The value of a key; none where there is none or its time is over.
///
/// # Errors
/// See the module.
pub fn get(bucket: &str, key: &str) -> Result<Option<Vec<u8>>, HostError> {
    host::get(bucket, key)
}

/// Sets a value.
///
/// # Errors
/// See the module.
pub fn set(bucket: &str, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), HostError> {
    host::set(bucket, key, value, millis(ttl))
}

/// Removes a key; one that is not there is no error.
///
/// # Errors
/// See the module.
pub fn delete(bucket: &str, key: &str) -> Result<(), HostError> {
    host::delete(bucket, key)
}

/// Adds to a number and gives the sum; a key that is not there counts as 0, and lives for `ttl`; one that is there
/// keeps the end of its life. The value is the number in decimal digits.
///
/// # Errors
/// See the module; `conflict` where the key holds something else than a number, `invalid` where the sum is out of range.
pub fn increment(bucket: &str, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, HostError> {
    host::increment(bucket, key, delta, millis(ttl))
}

/// Sets a value only where the present one is as expected (none: absent), and says whether it did.
///
/// # Errors
/// See the module.
pub fn compare_and_set(
    bucket: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Option<Duration>,
) -> Result<bool, HostError> {
    host::compare_and_set(bucket, key, expected, value, millis(ttl))
}

/// 0 is "no expiry" to the host, so a time that is over at once is the shortest there is.
fn millis(ttl: Option<Duration>) -> u64 {
    ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{Bucket, advance_clock, grant_bucket};

    #[test]
    fn a_key_is_of_its_bucket_and_a_number_is_its_digits() {
        set("a", "k", b"1", None).unwrap();
        assert_eq!((get("a", "k"), get("b", "k")), (Ok(Some(b"1".to_vec())), Ok(None)));
        assert_eq!((increment("a", "n", 3, None), increment("a", "n", -5, None)), (Ok(3), Ok(-2)));
        assert_eq!(increment("a", "n", i64::MIN, None).unwrap_err().code, "invalid");
        assert_eq!((increment("a", "k", 1, None), get("a", "n")), (Ok(2), Ok(Some(b"-2".to_vec()))));
        set("a", "text", b"one", None).unwrap();
        assert_eq!(increment("a", "text", 1, None).unwrap_err().code, "conflict");
        delete("a", "k").unwrap();
        assert_eq!((delete("a", "k"), get("a", "k")), (Ok(()), Ok(None)));
    }

    #[test]
    fn compare_and_set_sets_where_the_value_is_as_expected() {
        assert_eq!(compare_and_set("c", "k", Some(b"1"), b"2", None), Ok(false));
        assert_eq!(compare_and_set("c", "k", None, b"1", None), Ok(true));
        assert_eq!(compare_and_set("c", "k", None, b"2", None), Ok(false));
        assert_eq!(compare_and_set("c", "k", Some(b"1"), b"2", None), Ok(true));
        assert_eq!(get("c", "k"), Ok(Some(b"2".to_vec())));
    }

    #[test]
    fn a_time_to_live_ends_and_one_of_nothing_is_not_for_ever() {
        set("t", "k", b"1", Some(Duration::ZERO)).unwrap();
        set("t", "long", b"1", Some(Duration::from_mins(10))).unwrap();
        advance_clock(Duration::from_millis(1));
        assert_eq!(get("t", "k"), Ok(None));
        assert!(get("t", "long").unwrap().is_some());
        set("t", "day", b"1", Some(Duration::from_hours(24))).unwrap();
        increment("t", "counter", 1, Some(Duration::from_secs(1))).unwrap();
        increment("t", "counter", 1, Some(Duration::from_hours(1))).unwrap();
        advance_clock(Duration::from_mins(11));
        assert_eq!((get("t", "long"), get("t", "counter")), (Ok(None), Ok(None)));
        assert!(get("t", "day").unwrap().is_some());
    }

    #[test]
    fn a_grant_bounds_what_a_bucket_holds_and_denies_the_others() {
        let code = |said: Result<(), HostError>| said.err().map(|error| error.code);
        let max_ttl = Duration::from_secs(1);
        grant_bucket("a", Bucket { max_bytes: 10, max_keys: 2, max_value: 4, max_ttl });
        assert_eq!(code(set("b", "k", b"", None)).as_deref(), Some("denied"));
        for key in ["", &"k".repeat(1025)] {
            assert_eq!(code(set("a", key, b"", None)).as_deref(), Some("invalid"));
        }
        assert_eq!(code(set("a", "k", b"12345", None)).as_deref(), Some("too-large"));
        set("a", "k", b"1234", None).unwrap();
        set("a", "l", b"1234", None).unwrap();
        set("a", "l", b"4321", None).unwrap();
        assert_eq!(code(set("a", "m", b"", None)).as_deref(), Some("quota"));
        delete("a", "l").unwrap();
        assert_eq!(code(set("a", "long", b"1234", None)).as_deref(), Some("quota"));
        advance_clock(max_ttl);
        assert_eq!(get("a", "k"), Ok(None), "no entry outlives the grant's bound");
    }
}
