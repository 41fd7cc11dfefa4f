//! Buckets: keys and values in memory, bounded in number and bytes, each with an end of its life.
//!
//! A bucket belongs to a plugin's name, or to all that share it, and lives as long as a version that was granted it: a
//! swap finds everything there. Every operation is atomic. What has expired is gone at once for whoever looks; its room
//! is taken back by later operations, each of which does a bounded piece of that work.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::Filled;
use crate::config::Bucket;

/// Longest key, in bytes.
const KEY_BYTES: usize = 1024;
/// Expired entries that one operation takes out; more if it needs the room, up to the second.
const SWEEP: usize = 16;
const SWEEP_FOR_ROOM: usize = 1024;

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a key has 1 to {KEY_BYTES} bytes")]
    Key,
    #[error("the value is larger than the bucket's `max_value`")]
    Value,
    #[error("the bucket has `max_keys` entries")]
    Keys,
    #[error("the bucket holds `max_bytes`")]
    Bytes,
    #[error("the value is not a whole number")]
    NoNumber,
    #[error("the sum does not fit into 64 bits")]
    Overflow,
}

impl Refused {
    /// The contract's name for it.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Key | Self::Overflow => "invalid",
            Self::Value => "too-large",
            Self::Keys | Self::Bytes => "quota",
            Self::NoNumber => "conflict",
        }
    }
}

/// How much a bucket may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    bytes: usize,
    keys: usize,
}

impl Bounds {
    pub(super) const fn of(bucket: &Bucket) -> Self {
        Self { bytes: bucket.max_bytes, keys: bucket.max_keys }
    }

    pub(super) fn larger(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), keys: self.keys.max(other.keys) }
    }
}

/// How something is written.
pub(super) struct Write {
    most: usize,
    now: Instant,
    expires: Option<Instant>,
}

impl Write {
    /// `ttl_ms` 0 is no end, within the grant's bound.
    pub(super) fn new(bucket: &Bucket, ttl_ms: u64, now: Instant) -> Self {
        let cap = (!bucket.max_ttl.is_zero()).then_some(bucket.max_ttl);
        let wanted = (ttl_ms > 0).then(|| Duration::from_millis(ttl_ms));
        let life = [cap, wanted].into_iter().flatten().min();
        // A time that the clock cannot count to is no end.
        Self { most: bucket.max_value, now, expires: life.and_then(|life| now.checked_add(life)) }
    }
}

struct Entry {
    value: Box<[u8]>,
    expires: Option<Instant>,
}

/// One bucket.
pub(super) struct Store(Mutex<Inner>);

struct Inner {
    bounds: Bounds,
    entries: HashMap<Arc<str>, Entry>,
    expiring: BTreeSet<(Instant, Arc<str>)>,
    bytes: usize,
    refused: u64,
}

impl Store {
    fn new(bounds: Bounds) -> Self {
        let (entries, expiring) = (HashMap::new(), BTreeSet::new());
        Self(Mutex::new(Inner { bounds, entries, expiring, bytes: 0, refused: 0 }))
    }

    /// From now on; what is in it beyond them stays.
    pub(super) fn bound(&self, bounds: Bounds) {
        self.lock().bounds = bounds;
    }

    pub(super) fn get(&self, key: &str, now: Instant) -> Result<Option<Vec<u8>>, Refused> {
        checked(key)?;
        let inner = self.lock();
        Ok(inner.alive(key, now).map(|entry| entry.value.to_vec()))
    }

    pub(super) fn set(&self, key: &str, value: Vec<u8>, write: &Write) -> Result<(), Refused> {
        checked(key)?;
        self.lock().put(key, value.into(), write.expires, write)
    }

    pub(super) fn delete(&self, key: &str, now: Instant) -> Result<(), Refused> {
        checked(key)?;
        let mut inner = self.lock();
        inner.remove(key);
        inner.sweep(now, SWEEP);
        Ok(())
    }

    /// A counter is kept as decimal digits; one that is there keeps the end of its life, so that counters of a window
    /// of time are one call each.
    pub(super) fn increment(&self, key: &str, delta: i64, write: &Write) -> Result<i64, Refused> {
        checked(key)?;
        let mut inner = self.lock();
        let (value, expires) = match inner.alive(key, write.now) {
            None => (0, write.expires),
            Some(entry) => {
                let digits = std::str::from_utf8(&entry.value).ok();
                (digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or(Refused::NoNumber)?, entry.expires)
            }
        };
        let sum = value.checked_add(delta).ok_or(Refused::Overflow)?;
        inner.put(key, sum.to_string().into_bytes().into(), expires, write)?;
        Ok(sum)
    }

    pub(super) fn compare_and_set(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        value: Vec<u8>,
        write: &Write,
    ) -> Result<bool, Refused> {
        checked(key)?;
        let mut inner = self.lock();
        if inner.alive(key, write.now).map(|entry| &*entry.value) != expected {
            return Ok(false);
        }
        inner.put(key, value.into(), write.expires, write).map(|()| true)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(key: &str) -> Result<(), Refused> {
    if (1..=KEY_BYTES).contains(&key.len()) { Ok(()) } else { Err(Refused::Key) }
}

impl Inner {
    fn alive(&self, key: &str, now: Instant) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires.is_none_or(|end| now < end))
    }

    fn put(&mut self, key: &str, value: Box<[u8]>, expires: Option<Instant>, write: &Write) -> Result<(), Refused> {
        self.sweep(write.now, SWEEP);
        let done = self.try_put(key, &value, write).or_else(|why| {
            let swept = matches!(why, Refused::Keys | Refused::Bytes) && self.sweep(write.now, SWEEP_FOR_ROOM);
            if swept { self.try_put(key, &value, write) } else { Err(why) }
        });
        if let Err(why) = done {
            self.refused += 1;
            return Err(why);
        }
        self.remove(key);
        let key: Arc<str> = key.into();
        self.bytes += key.len() + value.len();
        if let Some(end) = expires {
            self.expiring.insert((end, Arc::clone(&key)));
        }
        self.entries.insert(key, Entry { value, expires });
        Ok(())
    }

    /// Whether there is room for it.
    fn try_put(&self, key: &str, value: &[u8], write: &Write) -> Result<(), Refused> {
        if value.len() > write.most {
            return Err(Refused::Value);
        }
        let (there, taken) = self.entries.get(key).map_or((0, 0), |entry| (1, key.len() + entry.value.len()));
        if self.entries.len() - there >= self.bounds.keys {
            return Err(Refused::Keys);
        }
        let bytes = self.bytes - taken + key.len() + value.len();
        if bytes > self.bounds.bytes { Err(Refused::Bytes) } else { Ok(()) }
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes -= key.len() + entry.value.len();
            if let Some(end) = entry.expires {
                self.expiring.remove(&(end, key));
            }
        }
    }

    /// Takes out so many expired entries; whether there was one.
    fn sweep(&mut self, now: Instant, most: usize) -> bool {
        let mut swept = false;
        for _ in 0..most {
            match self.expiring.first() {
                Some((end, key)) if *end <= now => {
                    let key = Arc::clone(key);
                    self.remove(&key);
                    swept = true;
                }
                _ => break,
            }
        }
        swept
    }
}

/// The plugin, none where it is shared, and the name.
type Key = (Option<Arc<str>>, Arc<str>);

/// All buckets that a version was granted.
#[derive(Default)]
pub(super) struct Stores(Mutex<BTreeMap<Key, Weak<Store>>>);

impl Stores {
    /// The bucket, with these bounds if it is new.
    pub(super) fn of(&self, plugin: Option<Arc<str>>, bucket: &Arc<str>, bounds: Bounds) -> Arc<Store> {
        let mut stores = self.lock();
        stores.retain(|_, store| store.strong_count() > 0);
        let key = (plugin, Arc::clone(bucket));
        if let Some(store) = stores.get(&key).and_then(Weak::upgrade) {
            return store;
        }
        let store = Arc::new(Store::new(bounds));
        stores.insert(key, Arc::downgrade(&store));
        store
    }

    pub(super) fn filled(&self) -> Vec<Filled> {
        let stores = self.lock();
        let alive = stores.iter().filter_map(|((plugin, bucket), store)| Some((plugin, bucket, store.upgrade()?)));
        let filled = alive.map(|(plugin, bucket, store)| {
            let inner = store.lock();
            let (keys, bytes, refused) = (inner.entries.len(), inner.bytes, inner.refused);
            Filled { plugin: plugin.clone(), bucket: Arc::clone(bucket), keys, bytes, refused }
        });
        filled.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Weak<Store>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
