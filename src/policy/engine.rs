//! The one wasmtime engine of the process: its configuration, the linker of host functions, the compiler thread.
//!
//! Compilation runs on one thread. From [`Runtime::serve`] on its priority is low, so that a reload never takes a core
//! from the data path; before that there is none, and a start should be quick on a busy machine, too.

use std::{
    hash::{Hash, Hasher},
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
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
    host::State,
    tally::Tallies,
    ticker::Ticker,
    v0_1::{clock, log, request, types},
};

/// Most elements of one table of a guest.
pub(super) const TABLE_ELEMENTS: usize = 100_000;
/// Largest linear memory that any `limits.memory` can grant, in bytes.
pub const MAX_MEMORY: usize = 256 << 20;
/// Core instances alive at once in the process, over all plugins and generations.
const CORE_INSTANCES: u32 = 1024;
/// Frames shown of a trap.
const BACKTRACE_FRAMES: usize = 16;

/// The engine and what belongs to it.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    pub(super) tallies: Tallies,
    compiler: mpsc::Sender<Job>,
    serving: AtomicBool,
    /// Distinguishes engine configurations in cache keys.
    compatibility: String,
    /// Every version still in memory, oldest first.
    loaded: Mutex<Vec<Weak<Plugin>>>,
}

struct Job {
    /// There is traffic to make way for.
    polite: bool,
    key: String,
    wasm: Arc<[u8]>,
    reply: oneshot::Sender<wasmtime::Result<Component>>,
}

impl Runtime {
    /// Starts the engine; `cache` is where compiled code is kept, none keeps it in memory only.
    pub(super) fn start(cache: Option<&Path>) -> wasmtime::Result<Arc<Self>> {
        let engine = engine()?;
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
            compiler: compiler(engine.clone(), cache)?,
            compatibility,
            tallies: Tallies::default(),
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
        let (reply, answer) = oneshot::channel();
        let key = format!("{digest}-{}", self.compatibility);
        self.compiler
            .send(Job { polite: self.serving.load(Ordering::Relaxed), key, wasm: Arc::clone(wasm), reply })
            .map_err(|_| wasmtime::format_err!("the compiler thread has ended"))?;
        answer.await.map_err(|_| wasmtime::format_err!("the compiler thread has ended"))?
    }
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
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
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The thread ends when the runtime, and with it the sender, is dropped.
fn compiler(engine: Engine, cache: Option<CodeCache>) -> std::io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("policy-compiler".into()).spawn(move || {
        let mut polite = false;
        for job in jobs {
            if job.polite && !std::mem::replace(&mut polite, true) {
                // Linux gives each thread a priority of its own; where that is refused, we are only less polite.
                let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
            }
            // A compiler that trips over one component must go on compiling others.
            let component = panic::catch_unwind(AssertUnwindSafe(|| match &cache {
                Some(cache) => cache.component(&engine, &job.key, &job.wasm),
                None => Component::new(&engine, &job.wasm),
            }))
            .unwrap_or_else(|_| Err(wasmtime::format_err!("the compiler panicked")));
            // Nobody waits any more: a newer candidate has overtaken this one.
            let _ = job.reply.send(component);
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
