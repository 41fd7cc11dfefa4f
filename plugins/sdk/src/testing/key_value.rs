//! A store in memory, one for each thread and without bounds, behind [`crate::key_value`].

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use crate::{HostError, clock};

struct Entry {
    value: Value,
    /// None: never. On the monotonic clock.
    ends: Option<Duration>,
}

/// Numbers are apart from bytes: how a host keeps them is its own affair, so nobody should build on it.
enum Value {
    Bytes(Vec<u8>),
    Number(i64),
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

fn entry(value: Value, ttl_ms: u64) -> Entry {
    let ends = (ttl_ms != 0).then(|| clock::monotonic().saturating_add(Duration::from_millis(ttl_ms)));
    Entry { value, ends }
}

fn bytes(entry: Option<&Entry>) -> Result<Option<&[u8]>, HostError> {
    match entry.map(|entry| &entry.value) {
        None => Ok(None),
        Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
        Some(Value::Number(_)) => Err(HostError::new("invalid", "the key holds a number; read it with increment by 0")),
    }
}

pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<Vec<u8>>, HostError> {
    with(|store| Ok(bytes(store.get(&id(bucket, key)))?.map(<[u8]>::to_vec)))
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn set(bucket: &str, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), HostError> {
    with(|store| store.insert(id(bucket, key), entry(Value::Bytes(value.to_vec()), ttl_ms)));
    Ok(())
}

#[allow(clippy::unnecessary_wraps)] // as the host's
pub(crate) fn delete(bucket: &str, key: &str) -> Result<(), HostError> {
    with(|store| store.remove(&id(bucket, key)));
    Ok(())
}

pub(crate) fn increment(bucket: &str, key: &str, delta: i64, ttl_ms: u64) -> Result<i64, HostError> {
    with(|store| {
        let old = match store.get(&id(bucket, key)).map(|entry| &entry.value) {
            None => 0,
            Some(Value::Number(number)) => *number,
            Some(Value::Bytes(_)) => return Err(HostError::new("invalid", "the key holds no number")),
        };
        let sum = old.checked_add(delta).ok_or_else(|| HostError::new("invalid", "the sum is out of range"))?;
        store.insert(id(bucket, key), entry(Value::Number(sum), ttl_ms));
        Ok(sum)
    })
}

pub(crate) fn compare_and_set(
    bucket: &str,
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl_ms: u64,
) -> Result<bool, HostError> {
    with(|store| {
        let equal = bytes(store.get(&id(bucket, key)))? == expected;
        if equal {
            store.insert(id(bucket, key), entry(Value::Bytes(value.to_vec()), ttl_ms));
        }
        Ok(equal)
    })
}
