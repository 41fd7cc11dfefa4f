//! A store in memory, one for each thread and without bounds, behind [`crate::key_value`].

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use crate::{HostError, clock};

struct Entry {
    value: Vec<u8>,
    /// None: never. On the monotonic clock.
    ends: Option<Duration>,
}

type Store = BTreeMap<(String, String), Entry>;

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(BTreeMap::new()) };
}

/// Runs on the store without what is over.
fn with<T>(body: impl FnOnce(&mut Store) -> T) -> T {
    let now = clock::monotonic();
    STORE.with_borrow_mut(|store| {
        store.retain(|_, entry| entry.ends.is_none_or(|ends| ends > now));
        body(store)
    })
}

fn id(bucket: &str, key: &str) -> (String, String) {
    (bucket.to_owned(), key.to_owned())
}

fn entry(value: &[u8], ttl_ms: u64) -> Entry {
    let value = value.to_vec();
    let ends = (ttl_ms != 0).then(|| clock::monotonic().saturating_add(Duration::from_millis(ttl_ms)));
    Entry { value, ends }
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<Vec<u8>>, HostError> {
    with(|store| Ok(store.get(&id(bucket, key)).map(|entry| entry.value.clone())))
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn set(bucket: &str, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), HostError> {
    with(|store| store.insert(id(bucket, key), entry(value, ttl_ms)));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn delete(bucket: &str, key: &str) -> Result<(), HostError> {
    with(|store| store.remove(&id(bucket, key)));
    Ok(())
}

pub(crate) fn increment(bucket: &str, key: &str, delta: i64, ttl_ms: u64) -> Result<i64, HostError> {
    with(|store| {
        let kept = store.entry(id(bucket, key)).or_insert_with(|| entry(b"0", ttl_ms));
        let number = std::str::from_utf8(&kept.value).ok().and_then(|text| text.parse::<i64>().ok());
        let old = number.ok_or_else(|| HostError::new("conflict", "the key holds no number"))?;
        let sum = old.checked_add(delta).ok_or_else(|| HostError::new("invalid", "the sum is out of range"))?;
        // One that was there keeps the end of its life.
        kept.value = sum.to_string().into_bytes();
        Ok(sum)
    })
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn compare_and_set(
    bucket: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: u64,
) -> Result<bool, HostError> {
    with(|store| {
        let equal = store.get(&id(bucket, key)).map(|entry| entry.value.as_slice()) == expected;
        if equal {
            store.insert(id(bucket, key), entry(value, ttl_ms));
        }
        Ok(equal)
    })
}
