//! A bucket is a map with bounds: whatever is done in whatever order, it does what a plain one would.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const GRANT: Bucket =
    Bucket { max_bytes: 48, max_keys: 4, max_value: 20, max_ttl: Duration::from_millis(50), shared: false };

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Set(u8, Vec<u8>, u64),
    Delete(u8),
    Increment(u8, i64, u64),
    Swap(u8, Option<Vec<u8>>, Vec<u8>, u64),
    Wait(u64),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..24), Just(b"1".to_vec()), Just(b"9223372036854775807".to_vec()),]
}

fn step() -> impl Strategy<Value = Step> {
    let (key, ttl) = (0..6u8, 0..80u64);
    prop_oneof![
        key.clone().prop_map(Step::Get),
        (key.clone(), value(), ttl.clone()).prop_map(|(key, value, ttl)| Step::Set(key, value, ttl)),
        key.clone().prop_map(Step::Delete),
        (key.clone(), -2..5i64, ttl.clone()).prop_map(|(key, delta, ttl)| Step::Increment(key, delta, ttl)),
        (key, prop::option::of(value()), value(), ttl).prop_map(|(key, old, new, ttl)| Step::Swap(key, old, new, ttl)),
        (0..30u64).prop_map(Step::Wait),
    ]
}

/// The simplest thing that could be right: expired entries are gone before anything else happens.
#[derive(Default)]
struct Model(BTreeMap<u8, (Vec<u8>, u64)>);

impl Model {
    fn put(&mut self, key: u8, value: Vec<u8>, end: u64) -> Result<(), Refused> {
        let others = self.0.iter().filter(|(other, _)| **other != key);
        let (keys, bytes) = others.fold((0, 0), |(keys, bytes), (_, (value, _))| (keys + 1, bytes + 2 + value.len()));
        if value.len() > GRANT.max_value {
            return Err(Refused::Value);
        }
        if keys >= GRANT.max_keys {
            return Err(Refused::Keys);
        }
        if bytes + 2 + value.len() > GRANT.max_bytes {
            return Err(Refused::Bytes);
        }
        self.0.insert(key, (value, end));
        Ok(())
    }
}

const fn end(now: u64, ttl: u64) -> u64 {
    now + if ttl == 0 || ttl > 50 { 50 } else { ttl }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bucket_does_what_a_map_would(steps in prop::collection::vec(step(), 0..60)) {
        let (store, mut model, start, mut now) = (Store::new(Bounds::of(&GRANT)), Model::default(), Instant::now(), 0u64);
        for step in steps {
            model.0.retain(|_, (_, end)| now < *end);
            let at = start + Duration::from_millis(now);
            let name = |key: u8| format!("k{key}");
            let write = |ttl| Write::new(&GRANT, ttl, at);
            match step {
                Step::Get(key) => {
                    prop_assert_eq!(store.get(&name(key), at), Ok(model.0.get(&key).map(|(value, _)| value.clone())));
                }
                Step::Set(key, value, ttl) => {
                    let said = store.set(&name(key), value.clone(), &write(ttl));
                    prop_assert_eq!(said, model.put(key, value, end(now, ttl)));
                }
                Step::Delete(key) => {
                    prop_assert_eq!(store.delete(&name(key), at), Ok(()));
                    model.0.remove(&key);
                }
                Step::Increment(key, delta, ttl) => {
                    let (old, ends) = model.0.get(&key).cloned().unwrap_or((b"0".to_vec(), end(now, ttl)));
                    let expected = match std::str::from_utf8(&old).ok().and_then(|old| old.parse::<i64>().ok()) {
                        None => Err(Refused::NoNumber),
                        Some(old) => old.checked_add(delta).ok_or(Refused::Overflow),
                    };
                    let expected = expected.and_then(|sum| {
                        model.put(key, sum.to_string().into_bytes(), ends).map(|()| sum)
                    });
                    prop_assert_eq!(store.increment(&name(key), delta, &write(ttl)), expected);
                }
                Step::Swap(key, old, new, ttl) => {
                    let same = model.0.get(&key).map(|(value, _)| value) == old.as_ref();
                    let expected = if same { model.put(key, new.clone(), end(now, ttl)).map(|()| true) } else { Ok(false) };
                    prop_assert_eq!(store.compare_and_set(&name(key), old.as_deref(), new, &write(ttl)), expected);
                }
                Step::Wait(time) => now += time,
            }
            let inner = store.lock();
            let counted: usize = inner.entries.iter().map(|(key, entry)| key.len() + entry.value.len()).sum();
            prop_assert!(inner.bytes == counted && counted <= GRANT.max_bytes && inner.entries.len() <= GRANT.max_keys);
            let ends = inner.entries.values().filter(|entry| entry.expires.is_some()).count();
            prop_assert_eq!(inner.expiring.len(), ends);
        }
    }
}

#[test]
fn one_operation_takes_out_a_bounded_number_of_expired_entries() {
    let grant = Bucket { max_keys: 10_000, ..Bucket::default() };
    let (store, now) = (Store::new(Bounds::of(&grant)), Instant::now());
    for n in 0..5000 {
        store.set(&n.to_string(), Vec::new(), &Write::new(&grant, 1, now)).unwrap();
    }
    let later = now + Duration::from_secs(1);
    assert_eq!(store.get("7", later), Ok(None));
    store.set("new", Vec::new(), &Write::new(&grant, 0, later)).unwrap();
    assert_eq!(store.lock().entries.len(), 5001 - SWEEP);
    store.bound(Bounds { bytes: 1 << 20, keys: 4000 });
    store.set("newer", Vec::new(), &Write::new(&grant, 0, later)).unwrap();
    assert_eq!(store.lock().entries.len(), 5002 - 2 * SWEEP - SWEEP_FOR_ROOM);
}

#[test]
fn a_bucket_lives_as_long_as_a_version_that_has_it_and_is_private_unless_shared() {
    let (stores, name, grant) = (Stores::default(), Arc::from("b"), Bucket::default());
    let of = |plugin: Option<&str>| stores.of(plugin.map(Into::into), &name, Bounds::of(&grant));
    let (old, other, shared) = (of(Some("p")), of(Some("q")), of(None));
    old.set("k", b"v".to_vec(), &Write::new(&grant, 0, Instant::now())).unwrap();
    let new = of(Some("p"));
    drop(old);
    assert_eq!(new.get("k", Instant::now()), Ok(Some(b"v".to_vec())));
    assert_eq!((other.get("k", Instant::now()), shared.get("k", Instant::now())), (Ok(None), Ok(None)));
    assert!(Arc::ptr_eq(&shared, &of(None)));
    drop(new);
    assert_eq!(of(Some("p")).get("k", Instant::now()), Ok(None));
    for key in ["", &"k".repeat(KEY_BYTES + 1)] {
        assert_eq!(shared.get(key, Instant::now()), Err(Refused::Key));
    }
}
