//! The one wasmtime engine of the process: its configuration, the linker of host functions, the compiler threads.
//!
//! Before [`Runtime::serve`] a start should be quick on a busy machine, too: components are compiled like anything else.
//! From then on, what an earlier run has not compiled is left to a thread of the least priority, so that a reload takes no
//! core from the data path. Where the cores are busy that could take for ever; so what is not ready after [`PATIENCE`] is
//! also compiled by the other thread, and whichever is first counts.

use std::{
    hash::{Hash, Hasher},
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
    component::{Component, HasSelf, Linker},
};

use super::{
    cache::CodeCache,
    component::Plugin,
    dump::Dumps,
    granted::Shared,
    host::State,
    measure::Measure,
    tally::Tallies,
    ticker::Ticker,
    v0_1::{
        clock, connection, discovery, errors, http_client, interest, key_value, log, message, metrics, random, request,
        types,
    },
};

/// Most elements of one table of a guest.
pub(super) const TABLE_ELEMENTS: usize = 100_000;
/// Largest linear memory that any `limits.memory` can grant, in bytes.
pub const MAX_MEMORY: usize = 256 << 20;
/// Core instances alive at once in the process, over all plugins and generations.
const CORE_INSTANCES: u32 = 1024;
/// Frames shown of a trap.
const BACKTRACE_FRAMES: usize = 16;
/// How long the thread of the least priority has for one component: several times what it needs on an idle core.
const PATIENCE: Duration = Duration::from_secs(3);
/// The least priority that a thread can have, as nice(2) counts.
const LEAST: i32 = 19;

/// The engine and what belongs to it.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    pub(super) tallies: Tallies,
    pub(super) dumps: Dumps,
    pub(super) shared: Arc<Shared>,
    compiler: mpsc::Sender<Job>,
    serving: AtomicBool,
    /// What is measured of calls.
    pub(super) measure: Measure,
    /// Distinguishes engine configurations in cache keys.
    compatibility: String,
    /// Every version still in memory, oldest first.
    loaded: Mutex<Vec<Weak<Plugin>>>,
}

#[derive(Clone)]
struct Job {
    /// There is traffic to make way for.
    polite: bool,
    key: String,
    wasm: Arc<[u8]>,
    /// Taken by who is first.
    reply: Arc<Mutex<Option<oneshot::Sender<wasmtime::Result<Component>>>>>,
}

impl Job {
    /// Compiles it, if somebody waits for it: a newer candidate may have overtaken this one, or the other thread.
    fn compile(&self, engine: &Engine, cache: Option<&CodeCache>) {
        if self.reply().as_ref().is_none_or(oneshot::Sender::is_closed) {
            return;
        }
        // A compiler that trips over one component must go on compiling others.
        let component = panic::catch_unwind(AssertUnwindSafe(|| match cache {
            Some(cache) => cache.compile(engine, &self.key, &self.wasm),
            None => Component::new(engine, &self.wasm),
        }));
        self.done(component.unwrap_or_else(|_| Err(wasmtime::format_err!("the compiler panicked"))));
    }

    fn done(&self, component: wasmtime::Result<Component>) {
        if let Some(reply) = self.reply().take() {
            let _ = reply.send(component);
        }
    }

    fn reply(&self) -> MutexGuard<'_, Option<oneshot::Sender<wasmtime::Result<Component>>>> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    /// Starts the engine; `cache` is where compiled code is kept, none keeps it in memory only.
    pub(super) fn start(cache: Option<&Path>, measure: Measure) -> wasmtime::Result<Arc<Self>> {
        let engine = engine(measure == Measure::Instructions)?;
        let mut hasher = KeyHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = super::hex(&hasher.0.finalize()[..8]);
        let cache = cache.and_then(|dir| {
            CodeCache::open(dir)
                .inspect_err(|error| tracing::warn!(dir = %dir.display(), %error, "compiled code is not cached"))
                .ok()
        });
        Ok(Arc::new(Self {
            linker: linker(&engine)?,
            ticker: Ticker::start(&engine)?,
            compiler: compilers(&engine, cache)?,
            measure,
            compatibility,
            tallies: Tallies::default(),
            dumps: Dumps::default(),
            shared: Arc::default(),
            serving: AtomicBool::new(false),
            loaded: Mutex::default(),
            engine,
        }))
    }

    /// From now on there is traffic.
    pub(super) fn serve(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    pub(super) fn keep(&self, plugin: &Arc<Plugin>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|plugin| plugin.strong_count() > 0);
        loaded.push(Arc::downgrade(plugin));
    }

    pub(super) fn loaded(&self) -> Vec<Arc<Plugin>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes back half of the idle instances of the version that has most; false if none has any. Those that no new
    /// handshake uses have none.
    pub(super) fn shed(&self) -> bool {
        self.loaded().iter().max_by_key(|plugin| plugin.idle()).is_some_and(|plugin| plugin.shed())
    }

    /// Compiles a component, off the data path.
    pub(super) async fn compile(&self, wasm: &Arc<[u8]>, digest: &str) -> wasmtime::Result<Component> {
        self.compile_within(wasm, digest, PATIENCE).await
    }

    async fn compile_within(&self, wasm: &Arc<[u8]>, digest: &str, patience: Duration) -> wasmtime::Result<Component> {
        let gone = || wasmtime::format_err!("the compiler thread has ended");
        let (reply, mut answer) = oneshot::channel();
        let key = format!("{digest}-{}", self.compatibility);
        let polite = self.serving.load(Ordering::Relaxed);
        let job = Job { polite, key, wasm: Arc::clone(wasm), reply: Arc::new(Mutex::new(Some(reply))) };
        self.compiler.send(job.clone()).map_err(|_| gone())?;
        if polite {
            if let Ok(answer) = tokio::time::timeout(patience, &mut answer).await {
                return answer.map_err(|_| gone())?;
            }
            tracing::debug!("a component is compiled without making way for traffic: that would take too long");
            self.compiler.send(Job { polite: false, ..job }).map_err(|_| gone())?;
        }
        answer.await.map_err(|_| gone())?
    }
}

fn engine(fuel: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(fuel)
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // Said explicitly, because RUST_BACKTRACE would decide otherwise.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CORE_INSTANCES)
        .total_core_instances(CORE_INSTANCES)
        .total_memories(CORE_INSTANCES)
        .total_tables(CORE_INSTANCES * 2)
        .total_stacks(CORE_INSTANCES)
        // What one component may consist of: generous, since other languages' tools emit many small modules.
        .max_core_instances_per_component(64)
        .max_memories_per_component(16)
        .max_tables_per_component(32)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(MAX_MEMORY)
        // Small guests come back from the pool without a page fault.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(64 << 10);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|error| {
        tracing::warn!(%error, "too little address space for pooled instances; allocating them one by one");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    request::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    connection::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    message::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    interest::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    // What is granted is looked at before a component is linked.
    errors::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    random::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    metrics::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    key_value::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    discovery::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    http_client::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The threads that compile. They end when the runtime, and with it the sender, is dropped.
fn compilers(engine: &Engine, cache: Option<CodeCache>) -> std::io::Result<mpsc::Sender<Job>> {
    let cache = cache.map(Arc::new);
    let (sender, jobs) = mpsc::channel::<Job>();
    let (later, polite_jobs) = mpsc::channel::<Job>();
    let (shared, known) = (engine.clone(), cache.clone());
    thread::Builder::new().name("policy-compiler".into()).spawn(move || {
        for job in jobs {
            let load = || known.as_ref().and_then(|cache| cache.load(&shared, &job.key));
            match panic::catch_unwind(AssertUnwindSafe(load)).ok().flatten() {
                Some(component) => job.done(Ok(component)),
                None if job.polite => drop(later.send(job)),
                None => job.compile(&shared, known.as_deref()),
            }
        }
    })?;
    let engine = engine.clone();
    thread::Builder::new().name("policy-later".into()).spawn(move || {
        // Linux gives each thread a priority of its own; where that is refused, we are only less polite.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LEAST);
        for job in polite_jobs {
            job.compile(&engine, cache.as_deref());
        }
    })?;
    Ok(sender)
}

/// A stable hasher: cache keys must not change between runs.
struct KeyHasher(Sha256);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        u64::from_le_bytes(std::array::from_fn({
            let digest = self.0.clone().finalize();
            move |n| digest[n]
        }))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::await_holding_lock)] // the lock is what a thread hangs at
    use super::*;

    const START: Measure = Measure::Nothing;

    fn component() -> Arc<[u8]> {
        wat::parse_str("(component)").unwrap().into()
    }

    #[tokio::test]
    async fn what_the_polite_thread_does_not_get_done_the_other_one_compiles() {
        let runtime = Runtime::start(None, START).unwrap();
        runtime.serve();
        // The polite thread hangs at the first one, for its answer is in our hands.
        let held = Arc::new(Mutex::new(None));
        let ours = held.lock().unwrap();
        let job = Job { polite: true, key: String::new(), wasm: component(), reply: Arc::clone(&held) };
        runtime.compiler.send(job).unwrap();
        runtime.compile_within(&component(), "a", Duration::from_millis(1)).await.unwrap();
        drop(ours);
    }

    #[tokio::test]
    async fn a_component_has_one_answer_even_if_both_compile_it() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = Runtime::start(Some(&dir.path().join("code")), START).unwrap();
        runtime.serve();
        for (digest, patience) in [("a", Duration::ZERO), ("a", PATIENCE), ("b", PATIENCE)] {
            runtime.compile_within(&component(), digest, patience).await.unwrap();
        }
        assert!(runtime.compile_within(&b"none"[..].into(), "c", Duration::ZERO).await.is_err());
    }
}
