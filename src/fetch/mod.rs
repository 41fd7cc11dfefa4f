//! Components that come over the network: from web servers and OCI registries, through a cache by what they hash to.
//!
//! [`Fetcher::supply`] brings what a configuration names into memory, each within `fetch.timeout`, before anything is
//! built of it; nothing is fetched on the data path. What is pinned and in the cache is not asked for. What is not pinned
//! is looked at again when that is wanted; where nobody can be asked then (no name, no connection, no TLS, a server that
//! fails, an answer that breaks off), the copy of the last time serves and that is said. An answer that is there counts:
//! a refusal, a wrong hash, a wrong signature are never covered up by a copy. Only what was verified is kept; a signature
//! in a file is verified by whoever reads that, each time. Files and hashes are left to threads that may block.

mod cache;
mod client;
mod docker;
mod oci;
pub(crate) mod push;
mod wanted;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use self::{
    cache::Cache,
    client::{Client, FETCH},
    work::Work,
};
pub use self::{client::Trouble, wanted::Wanted};
use crate::{
    config::{Config, Fetch, PluginConfig, Secrets},
    files::bounded,
    signature::{MAX_FILE, PublicKey, Signed},
};

/// Largest component, in bytes.
pub const MAX_COMPONENT: u64 = 128 << 20;
/// Folder of the cache, below that of compiled code.
const FOLDER: &str = "components";
/// Components that are fetched at once.
const AT_ONCE: usize = 4;

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes and what they hash to; of a large component that takes a while.
async fn hashed(bytes: Vec<u8>) -> Result<(Arc<[u8]>, [u8; 32]), Trouble> {
    let hashed = tokio::task::spawn_blocking(move || {
        let hash = sha256(&bytes);
        (bytes.into(), hash)
    });
    hashed.await.map_err(|error| Trouble::Refused(error.to_string()))
}

/// A component that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The component.
    pub wasm: Arc<[u8]>,
    /// What it hashes to.
    pub sha256: [u8; 32],
    /// Why it is a copy whose original could not be looked at, and of when.
    pub copy: Option<String>,
}

/// How much is asked of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is not pinned is looked at again.
    Again,
    /// Only what is not in the cache.
    Known,
}

/// What was fetched for a configuration, and what could not be.
#[derive(Debug, Default)]
pub struct Supply(BTreeMap<Wanted, Result<Given, Trouble>>);

impl FromIterator<(Wanted, Given)> for Supply {
    /// What is here already.
    fn from_iter<T: IntoIterator<Item = (Wanted, Given)>>(all: T) -> Self {
        Self(all.into_iter().map(|(wanted, given)| (wanted, Ok(given))).collect())
    }
}

impl Supply {
    /// This, and what was refused to another.
    #[must_use]
    pub fn with_refusals_of(mut self, other: &Self) -> Self {
        let refused = other.0.iter().filter(|(_, given)| matches!(given, Err(Trouble::Refused(_))));
        self.0.extend(refused.map(|(wanted, given)| (wanted.clone(), given.clone())));
        self
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What came of it; none if nobody has tried.
    #[must_use]
    pub fn get(&self, wanted: &Wanted) -> Option<&Result<Given, Trouble>> {
        self.0.get(wanted)
    }
}

/// What became of looks, for metrics.
#[derive(Debug, Default)]
struct Counts {
    fetched: AtomicU64,
    unchanged: AtomicU64,
    copied: AtomicU64,
    failed: AtomicU64,
}

/// Fetches, and keeps what it fetched.
#[derive(Debug, Default)]
pub struct Fetcher {
    cache: Option<Arc<Cache>>,
    counts: Counts,
    /// What copies serve for, by reference: each is said once.
    copies: Mutex<BTreeSet<String>>,
}

impl Fetcher {
    /// Keeps what it fetches below this folder; without one, each start fetches everything.
    #[must_use]
    pub fn new(dir: Option<&Path>) -> Self {
        let cache = dir.and_then(|dir| {
            let dir = dir.join(FOLDER);
            Cache::open(&dir)
                .inspect_err(|error| tracing::warn!(dir = %dir.display(), %error, "fetched components are not cached"))
                .ok()
                .map(Arc::new)
        });
        Self { cache, ..Self::default() }
    }

    /// Looks that ended so, by how: `fetched`, `unchanged`, `copy`, `failed`.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        let Counts { fetched, unchanged, copied, failed } = &self.counts;
        [("fetched", fetched), ("unchanged", unchanged), ("copy", copied), ("failed", failed)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// References that nobody could be asked about at the last look: copies serve.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.told().len()
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this configuration serves: what copies served for, and it does not look at, troubles nobody any more.
    pub fn serves(&self, config: &Config) {
        let looked_at = Wanted::all(config).into_iter().filter(Wanted::is_mutable);
        let looked_at: BTreeSet<_> = looked_at.map(|wanted| wanted.reference()).collect();
        self.told().retain(|reference| looked_at.contains(reference));
    }

    /// Brings what is wanted and not there yet. What is logged repeats none of the secrets.
    pub async fn supply(
        &self,
        wanted: BTreeSet<Wanted>,
        fetch: &Fetch,
        secrets: &Secrets,
        look: Look,
        supply: &mut Supply,
    ) {
        let missing: Vec<_> = wanted.iter().filter(|wanted| supply.get(wanted).is_none()).cloned().collect();
        if missing.is_empty() {
            return;
        }
        let client = Client::new(fetch.ca_file.as_deref(), &FETCH);
        let client = &client;
        let brought = stream::iter(missing)
            .map(async |wanted: Wanted| {
                let (reference, shown) = (wanted.reference(), secrets.hide(&wanted.remote.to_string()));
                let work = Work { fetcher: self, client, wanted: &wanted, fetch, secrets, reference, shown };
                let given = self.one(&work, look).await;
                (wanted, given)
            })
            .buffer_unordered(AT_ONCE);
        supply.0.extend(brought.collect::<Vec<_>>().await);
    }

    /// Lets go of what these configurations do not use.
    pub async fn prune(&self, used: BTreeSet<[u8; 32]>) {
        if let Some(cache) = self.cache.clone() {
            // It cannot fail but by a panic, which is logged.
            let _ = tokio::task::spawn_blocking(move || cache.prune(&used)).await;
        }
    }

    /// Whether something that is not pinned is another thing than it was, or cannot be said to be the same.
    pub async fn differs(
        &self,
        config: &Config,
        secrets: &Secrets,
        known: impl Fn(&PluginConfig) -> Option<[u8; 32]>,
    ) -> bool {
        let mutable = config.plugins.values().filter_map(|plugin| {
            let wanted = Wanted::by(plugin, &config.trust).filter(Wanted::is_mutable)?;
            Some((wanted, known(plugin)?))
        });
        let mutable: Vec<_> = mutable.collect();
        let mut supply = Supply::default();
        let wanted = mutable.iter().map(|(wanted, _)| wanted.clone()).collect();
        self.supply(wanted, &config.fetch, secrets, Look::Again, &mut supply).await;
        mutable.iter().any(|(wanted, hash)| match supply.get(wanted) {
            Some(Ok(given)) => given.sha256 != *hash,
            Some(Err(_)) => true,
            None => false,
        })
    }

    /// Whether there is something that is worth a look from time to time.
    #[must_use]
    pub fn changes(config: &Config) -> bool {
        Wanted::all(config).iter().any(Wanted::is_mutable)
    }

    async fn one(&self, work: &Work<'_>, look: Look) -> Result<Given, Trouble> {
        let limit = work.fetch.timeout;
        let given = if let Ok(given) = tokio::time::timeout(limit, work.given(look)).await {
            given
        } else {
            let late = format!("not done within {limit:?} (`fetch.timeout`)");
            work.instead(Trouble::Unreachable(late)).await
        };
        given.map_err(|trouble| {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
            self.told().remove(&work.reference);
            trouble.of(&work.wanted.remote)
        })
    }
}

/// The text of a signature file.
///
/// # Errors
/// Why it cannot be read.
pub fn file_of_signature(path: &Path) -> Result<String, String> {
    let wrong = |why: String| format!("its signature {}: {why}", path.display());
    let bytes = bounded(path, MAX_FILE as u64).map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| wrong("this is no text".to_owned()))
}

/// Whether one of these keys signed a component of this hash.
///
/// # Errors
/// Why not.
pub fn verify(text: &str, sha256: &[u8; 32], keys: &[(Arc<str>, PublicKey)]) -> Result<String, String> {
    let signed: Signed = text.parse().map_err(|why| format!("{why}"))?;
    let name = signed.verify(sha256, keys.iter().map(|(name, key)| (&**name, *key)));
    name.map(ToOwned::to_owned).map_err(|why| why.to_string())
}
