//! What a plugin can be granted beside what every plugin may: random bytes, metrics of its own, buckets, discovery and
//! requests of its own.
//!
//! [`Shared`] belongs to the host and survives swaps; [`Powers`] is one version's part of it. A component that imports
//! an interface without the grant is not loaded, so here only the bounds of a grant are looked at. Every function counts
//! against `limits.host_calls` of the running call.

mod discovery;
mod http_client;
mod key_value;
mod metrics;
mod random;
mod store;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use prometheus_client::encoding::DescriptorEncoder;

use self::{
    discovery::Services,
    http_client::Client,
    metrics::{Customs, Series},
    store::{Bounds, Store, Stores},
};
use super::{component::Plugin, host::State, v0_1::errors};
use crate::config::{self, Bucket, Grants};

/// What is there for all plugins.
#[derive(Default)]
pub(super) struct Shared {
    stores: Stores,
    customs: Arc<Customs>,
    client: Client,
    services: ArcSwap<Services>,
}

/// What one version of a plugin was given.
pub(super) struct Powers {
    shared: Arc<Shared>,
    buckets: BTreeMap<Arc<str>, (Bucket, Arc<Store>)>,
    series: Option<(usize, Arc<Series>)>,
    http_client: Option<config::HttpClient>,
    /// Calls of the functions here.
    pub(super) calls: AtomicU64,
    /// Time that these waited, in nanoseconds.
    pub(super) waited: AtomicU64,
}

impl Shared {
    pub(super) fn powers(self: &Arc<Self>, plugin: &Arc<str>, grants: &Grants) -> Powers {
        let buckets = grants.key_value.iter().map(|(name, bucket)| {
            let owner = (!bucket.shared).then(|| Arc::clone(plugin));
            let store = self.stores.of(owner, name, Bounds::of(bucket));
            (Arc::clone(name), (*bucket, store))
        });
        Powers {
            buckets: buckets.collect(),
            series: grants.metrics.map(|most| (most, self.customs.of(plugin, most))),
            http_client: grants.http_client.clone(),
            shared: Arc::clone(self),
            calls: AtomicU64::new(0),
            waited: AtomicU64::new(0),
        }
    }

    /// The bounds of these versions count from now on.
    pub(super) fn in_use(current: &[Arc<Plugin>]) {
        let mut stores: BTreeMap<_, (&Arc<Store>, Bounds)> = BTreeMap::new();
        for powers in current.iter().map(|plugin| plugin.powers()) {
            for (bucket, store) in powers.buckets.values() {
                let bounds = Bounds::of(bucket);
                let (_, most) = stores.entry(Arc::as_ptr(store)).or_insert((store, bounds));
                *most = most.larger(bounds);
            }
            if let Some((most, series)) = &powers.series {
                series.bound(*most);
            }
        }
        for (store, bounds) in stores.into_values() {
            store.bound(bounds);
        }
    }

    /// These services are those of the configuration from now on.
    pub(super) fn serve<'a>(&self, services: impl Iterator<Item = &'a config::Service>) {
        self.services.store(Arc::new(discovery::view(services)));
    }

    /// What plugins keep in buckets: plugin (none where it is shared), bucket and how full it is.
    pub(super) fn buckets(&self) -> Vec<Filled> {
        self.stores.filled()
    }

    /// Writes the plugins' own metrics.
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        self.customs.encode(encoder)
    }
}

/// How full a bucket is.
#[derive(Debug)]
pub struct Filled {
    /// The plugin; none where it is shared.
    pub plugin: Option<Arc<str>>,
    /// Its name.
    pub bucket: Arc<str>,
    /// Entries.
    pub keys: usize,
    /// Of keys and values.
    pub bytes: usize,
    /// Writes that a bound refused.
    pub refused: u64,
}

impl State {
    /// Counts a call of a granted function.
    ///
    /// # Errors
    /// There were too many in this call.
    fn granted(&mut self) -> wasmtime::Result<()> {
        self.plugin().powers.calls.fetch_add(1, Ordering::Relaxed);
        let most = self.limits.host_calls;
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > most {
            return Err(wasmtime::format_err!("called granted functions more than {most} times (limits.host_calls)"));
        }
        Ok(())
    }
}

/// An error as guests get it.
fn refused(code: &str, message: impl Into<String>) -> errors::HostError {
    errors::HostError { code: code.to_owned(), message: message.into() }
}
