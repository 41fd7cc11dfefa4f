//! Buckets as guests see them: the grant's bounds, and errors with the contract's codes.

use std::{sync::Arc, time::Instant};

use super::{
    super::{
        host::State,
        output::cut,
        v0_1::{errors, key_value},
    },
    refused,
    store::{Refused, Store, Write},
};
use crate::config::Bucket;

type Answer<T> = wasmtime::Result<Result<T, errors::HostError>>;

impl State {
    fn bucket(&mut self, name: &str) -> Answer<(Bucket, Arc<Store>)> {
        self.granted()?;
        Ok(self.plugin().powers.buckets.get(name).cloned().ok_or_else(|| {
            let name = cut(name, 128);
            refused("denied", format!("no bucket {name:?} is granted: see `grants.key_value`"))
        }))
    }
}

fn told<T>(said: Result<T, Refused>) -> Result<T, errors::HostError> {
    said.map_err(|why| refused(why.code(), why.to_string()))
}

impl key_value::Host for State {
    fn get(&mut self, bucket: String, key: String) -> Answer<Option<Vec<u8>>> {
        let said = self.bucket(&bucket)?.and_then(|(_, store)| told(store.get(&key, Instant::now())));
        Ok(self.refusing("key-value", said))
    }

    fn set(&mut self, bucket: String, key: String, value: Vec<u8>, ttl_ms: u64) -> Answer<()> {
        let said = self.bucket(&bucket)?.and_then(|(grant, store)| {
            let write = Write::new(&grant, ttl_ms, Instant::now());
            told(store.set(&key, value, &write))
        });
        Ok(self.refusing("key-value", said))
    }

    fn delete(&mut self, bucket: String, key: String) -> Answer<()> {
        let said = self.bucket(&bucket)?.and_then(|(_, store)| told(store.delete(&key, Instant::now())));
        Ok(self.refusing("key-value", said))
    }

    fn increment(&mut self, bucket: String, key: String, delta: i64, ttl_ms: u64) -> Answer<i64> {
        let said = self.bucket(&bucket)?.and_then(|(grant, store)| {
            let write = Write::new(&grant, ttl_ms, Instant::now());
            told(store.increment(&key, delta, &write))
        });
        Ok(self.refusing("key-value", said))
    }

    fn compare_and_set(
        &mut self,
        bucket: String,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: u64,
    ) -> Answer<bool> {
        let said = self.bucket(&bucket)?.and_then(|(grant, store)| {
            let write = Write::new(&grant, ttl_ms, Instant::now());
            told(store.compare_and_set(&key, expected.as_deref(), value, &write))
        });
        Ok(self.refusing("key-value", said))
    }
}
