//! A store in memory, one for each thread, behind [`crate::key_value`]. It has the bounds of its grants, if there are
//! any.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use crate::{HostError, clock};

/// Longest key, in bytes.
const KEY_BYTES: usize = 1024;

/// The bounds of a bucket, as in its grant; those of the host where they are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// All keys and values; then `quota`. Default 1 MiB.
    pub max_bytes: usize,
    /// Entries; then `quota`. Default 1000.
    pub max_keys: usize,
    /// One value; then `too-large`. Default 64 KiB.
    pub max_value: usize,
    /// Longest life of an entry; zero, the default, is none.
    pub max_ttl: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, max_keys: 1000, max_value: 64 << 10, max_ttl: Duration::ZERO }
    }
}

impl Bucket {
    /// Of a thread that grants nothing.
    const BOUNDLESS: Self =
        Self { max_bytes: usize::MAX, max_keys: usize::MAX, max_value: usize::MAX, max_ttl: Duration::ZERO };
}

#[derive(Clone)]
struct Entry {
    value: Vec<u8>,
    /// None: never. On the monotonic clock.
    ends: Option<Duration>,
}

#[derive(Default)]
struct Store {
    granted: BTreeMap<String, Bucket>,
    entries: BTreeMap<(String, String), Entry>,
    failing: Option<String>,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

/// Grants this thread a bucket. From the first one on all others are denied; before it there are all, without bounds.
///
/// ```
/// use cordboard_plugin_sdk::{key_value, testing::{self, Bucket}};
///
/// testing::grant_bucket("seen", Bucket { max_keys: 1, ..Bucket::default() });
/// assert_eq!(key_value::set("seen", "ada", b"1", None), Ok(()));
/// assert_eq!(key_value::set("seen", "bob", b"1", None).unwrap_err().code, "quota");
/// assert_eq!(key_value::get("sene", "ada").unwrap_err().code, "denied");
/// ```
pub fn grant_bucket(name: &str, bounds: Bucket) {
    STORE.with_borrow_mut(|store| store.granted.insert(name.to_owned(), bounds));
}

/// From now on every operation of this thread is an error with this code; with the empty one they work again.
pub fn fail_key_value(code: &str) {
    STORE.with_borrow_mut(|store| store.failing = Some(code.to_owned()).filter(|code| !code.is_empty()));
}

/// Runs on the store without what is over, if the bucket is granted and the key is one.
fn with<T>(
    bucket: &str,
    key: &str,
    body: impl FnOnce(&mut Store, Bucket, (String, String)) -> Result<T, HostError>,
) -> Result<T, HostError> {
    let now = clock::monotonic();
    STORE.with_borrow_mut(|store| {
        if let Some(code) = &store.failing {
            return Err(HostError::new(code, "the test says so; see testing::fail_key_value"));
        }
        let bounds = match store.granted.get(bucket) {
            Some(bounds) => *bounds,
            None if store.granted.is_empty() => Bucket::BOUNDLESS,
            None => return Err(HostError::new("denied", format!("no bucket {bucket:?} is granted"))),
        };
        if !(1..=KEY_BYTES).contains(&key.len()) {
            return Err(HostError::new("invalid", format!("a key has 1 to {KEY_BYTES} bytes")));
        }
        store.entries.retain(|_, entry| entry.ends.is_none_or(|ends| ends > now));
        body(store, bounds, (bucket.to_owned(), key.to_owned()))
    })
}

impl Bucket {
    /// 0 is no end, within the grant's bound.
    fn entry(self, value: &[u8], ttl_ms: u64) -> Entry {
        let cap = Some(self.max_ttl).filter(|cap| !cap.is_zero());
        let wanted = Some(Duration::from_millis(ttl_ms)).filter(|ttl| !ttl.is_zero());
        let ends = [cap, wanted].into_iter().flatten().min().map(|life| clock::monotonic().saturating_add(life));
        Entry { value: value.to_vec(), ends }
    }
}

impl Store {
    fn put(&mut self, bounds: Bucket, id: (String, String), entry: Entry) -> Result<(), HostError> {
        if entry.value.len() > bounds.max_value {
            return Err(HostError::new("too-large", "the value is larger than the bucket's `max_value`"));
        }
        let others = || self.entries.iter().filter(|(other, _)| other.0 == id.0 && other.1 != id.1);
        if others().count() >= bounds.max_keys {
            return Err(HostError::new("quota", "the bucket has `max_keys` entries"));
        }
        let bytes: usize = others().map(|(other, kept)| other.1.len() + kept.value.len()).sum();
        if bytes + id.1.len() + entry.value.len() > bounds.max_bytes {
            return Err(HostError::new("quota", "the bucket holds `max_bytes`"));
        }
        self.entries.insert(id, entry);
        Ok(())
    }
}

pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<Vec<u8>>, HostError> {
    with(bucket, key, |store, _, id| Ok(store.entries.get(&id).map(|entry| entry.value.clone())))
}

pub(crate) fn set(bucket: &str, key: &str, value: &[u8], ttl_ms: u64) -> Result<(), HostError> {
    with(bucket, key, |store, bounds, id| store.put(bounds, id, bounds.entry(value, ttl_ms)))
}

pub(crate) fn delete(bucket: &str, key: &str) -> Result<(), HostError> {
    with(bucket, key, |store, _, id| {
        store.entries.remove(&id);
        Ok(())
    })
}

pub(crate) fn increment(bucket: &str, key: &str, delta: i64, ttl_ms: u64) -> Result<i64, HostError> {
    with(bucket, key, |store, bounds, id| {
        let kept = store.entries.get(&id).cloned().unwrap_or_else(|| bounds.entry(b"0", ttl_ms));
        let number = std::str::from_utf8(&kept.value).ok().and_then(|text| text.parse::<i64>().ok());
        let old = number.ok_or_else(|| HostError::new("conflict", "the value is not a whole number"))?;
        let sum = old.checked_add(delta).ok_or_else(|| HostError::new("invalid", "the sum does not fit"))?;
        // One that was there keeps the end of its life.
        store.put(bounds, id, Entry { value: sum.to_string().into_bytes(), ends: kept.ends })?;
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
    with(bucket, key, |store, bounds, id| {
        let equal = store.entries.get(&id).map(|entry| entry.value.as_slice()) == expected;
        if equal {
            store.put(bounds, id, bounds.entry(value, ttl_ms))?;
        }
        Ok(equal)
    })
}
