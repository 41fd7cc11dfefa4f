//! One loaded version of a plugin: checked, compiled, tried, and its pool of instances.
//!
//! Loading looks at what the component imports and exports, links it, and makes a first instance with `init`, because
//! record mismatches and refused configurations show only there. A call takes an instance for itself, an instance is
//! retired after `limits.reuse` calls or after any failure, and nothing a guest does outlives its call.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::{
    PoolConcurrencyLimitError, Store, UpdateDeadline,
    component::{Component, InstancePre},
};

use super::{
    context::Call,
    engine::Runtime,
    host::{Bound, LogBudget, State},
    inspect,
    v0_1::{Answer, Guest, Indices, Question},
};
use crate::config::{OnFailure, PluginLimits};

/// How much later than the epoch deadline the outer timer drops a call that did not end by itself.
const OUTER: Duration = Duration::from_millis(50);

/// What is to be loaded.
#[derive(Clone, Debug)]
pub struct PluginSpec {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where the component came from, for messages.
    pub origin: String,
    /// The component.
    pub wasm: Arc<[u8]>,
    /// Configuration for `init`, as JSON text.
    pub config: String,
    /// Bounds.
    pub limits: PluginLimits,
    /// What a failure means.
    pub on_failure: OnFailure,
}

impl PluginSpec {
    /// SHA-256 over component, configuration and grants, in hexadecimal. There are no grants in this version.
    #[must_use]
    pub fn identity(&self) -> String {
        super::digest(&[&self.wasm, self.config.as_bytes(), b"{}"])
    }
}

/// Who a plugin is, for its logs; shared with its instances.
pub(super) struct Tag {
    pub(super) name: Arc<str>,
    pub(super) identity: Arc<str>,
    pub(super) loaded_at: Instant,
    pub(super) log_budget: LogBudget,
}

/// Why a version was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` ({origin}): {reason}")]
pub struct LoadError {
    /// Name in the configuration.
    pub plugin: Arc<str>,
    /// Where the component came from.
    pub origin: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// Why a call failed; each harms that one call only.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// All instances are busy and the queue is full.
    #[error("{0}")]
    Busy(String),
    /// The deadline passed.
    #[error("did not answer within {0:?} (limits.decision)")]
    Deadline(Duration),
    /// A trap, a broken bound, or an instance that could not be made.
    #[error("{0}")]
    Trap(String),
    /// An answer that breaks the contract.
    #[error("broke the contract: {0}")]
    Contract(String),
}

impl Failure {
    /// Label for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Busy(_) => "busy",
            Self::Deadline(_) => "deadline",
            Self::Trap(_) => "trap",
            Self::Contract(_) => "contract",
        }
    }
}

/// What a plugin version has done so far.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls that were answered or failed.
    pub calls: AtomicU64,
    /// Of those, refused by the plugin's own decision.
    pub rejections: AtomicU64,
    /// Failures by kind: busy, deadline, trap, contract.
    pub failures: [AtomicU64; 4],
    /// Time spent in calls, in nanoseconds.
    pub nanoseconds: AtomicU64,
    /// Instances made.
    pub instances: AtomicU64,
}

impl Stats {
    /// Labels of [`Self::failures`], in its order.
    pub const FAILURES: [&'static str; 4] = ["busy", "deadline", "trap", "contract"];

    pub(super) fn failed(&self, failure: &Failure) {
        for (label, count) in Self::FAILURES.iter().zip(&self.failures) {
            if *label == failure.label() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// One loaded version.
pub struct Plugin {
    tag: Arc<Tag>,
    spec: PluginSpec,
    described: String,
    runtime: Arc<Runtime>,
    pre: InstancePre<State>,
    indices: Indices,
    idle: Mutex<Vec<Instance>>,
    slots: Semaphore,
    waiting: AtomicUsize,
    retired: AtomicBool,
    stats: Stats,
}

struct Instance {
    store: Store<State>,
    guest: Guest,
    calls: u32,
}

impl Plugin {
    pub(super) async fn load(runtime: &Arc<Runtime>, spec: PluginSpec) -> Result<Arc<Self>, LoadError> {
        let refuse = |reason: String| LoadError { plugin: Arc::clone(&spec.name), origin: spec.origin.clone(), reason };
        inspect::is_component(&spec.wasm).map_err(&refuse)?;
        let component = runtime
            .compile(&spec.wasm, &super::digest(&[&spec.wasm]))
            .await
            .map_err(|error| refuse(format!("cannot be compiled: {error:#}")))?;
        inspect::interfaces(&component, &runtime.engine).map_err(&refuse)?;
        let (pre, indices) = Self::link(runtime, &component).map_err(|error| refuse(format!("{error:#}")))?;
        let identity: Arc<str> = spec.identity().into();
        let tag = Arc::new(Tag {
            name: Arc::clone(&spec.name),
            identity: identity[..12].into(),
            loaded_at: Instant::now(),
            log_budget: LogBudget::new(),
        });
        let mut plugin = Self {
            slots: Semaphore::new(spec.limits.instances),
            tag,
            described: String::new(),
            runtime: Arc::clone(runtime),
            pre,
            indices,
            idle: Mutex::default(),
            waiting: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            stats: Stats::default(),
            spec,
        };
        let refuse = |reason| LoadError { plugin: plugin.name(), origin: plugin.spec.origin.clone(), reason };
        let mut first = plugin.instantiate().await.map_err(|failure| refuse(failure.to_string()))?;
        let limit = plugin.spec.limits.init;
        first.store.data_mut().deadline = Instant::now() + limit;
        let info = tokio::time::timeout(limit + OUTER, first.guest.describe(&mut first.store))
            .await
            .map_err(|_| refuse(format!("`describe` did not answer within {limit:?} (limits.init)")))?
            .map_err(|error| refuse(format!("`describe` failed: {}", explain(&error))))?;
        plugin.described = format!("{} {}", info.name, info.version);
        plugin.put_back(first);
        let plugin = Arc::new(plugin);
        runtime.keep(&plugin);
        Ok(plugin)
    }

    fn link(runtime: &Runtime, component: &Component) -> wasmtime::Result<(InstancePre<State>, Indices)> {
        let pre = runtime.linker.instantiate_pre(component)?;
        let indices = Indices::new(component, &pre)?;
        Ok((pre, indices))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.tag.name)
    }

    /// First 12 digits of its identity.
    #[must_use]
    pub fn identity(&self) -> &Arc<str> {
        &self.tag.identity
    }

    /// What the component says of itself: name and version.
    #[must_use]
    pub fn described(&self) -> &str {
        &self.described
    }

    /// What was loaded.
    #[must_use]
    pub const fn spec(&self) -> &PluginSpec {
        &self.spec
    }

    /// Counters of this version.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(super) const fn answers(&self, question: Question) -> bool {
        self.indices.answers(question)
    }

    /// No new generation uses this version: its idle instances are given back first when the pool is full.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.shed();
    }

    pub(super) fn shed(&self) {
        if self.retired.load(Ordering::Relaxed) {
            drop(std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner)));
        }
    }

    /// Asks one question about one handshake.
    pub(super) async fn ask(&self, question: Question, call: &Arc<Call>) -> Result<Answer, Failure> {
        let started = Instant::now();
        let answer = self.ask_one(question, call).await;
        self.stats.calls.fetch_add(1, Ordering::Relaxed);
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.stats.nanoseconds.fetch_add(spent, Ordering::Relaxed);
        match &answer {
            Err(failure) => self.stats.failed(failure),
            Ok(Answer::Rejected(_)) => drop(self.stats.rejections.fetch_add(1, Ordering::Relaxed)),
            Ok(_) => {}
        }
        answer
    }

    async fn ask_one(&self, question: Question, call: &Arc<Call>) -> Result<Answer, Failure> {
        let _slot = self.admit().await?;
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            None => match self.instantiate().await {
                // The pool of the process is full: versions that no new handshake uses give theirs back first.
                Err(Failure::Busy(_)) => {
                    self.runtime.shed();
                    self.instantiate().await?
                }
                other => other?,
            },
        };
        let limit = self.spec.limits.decision;
        instance.store.data_mut().begin(call, Instant::now() + limit);
        instance.store.set_epoch_deadline(1);
        let _busy = self.runtime.ticker.busy();
        let answered = tokio::time::timeout(limit + OUTER, instance.guest.ask(&mut instance.store, question)).await;
        match answered {
            Ok(Ok(answer)) => {
                instance.store.data_mut().end();
                instance.calls += 1;
                self.put_back(instance);
                Ok(answer)
            }
            // After a trap the instance cannot be entered again; dropping a call in flight is safe, too.
            Ok(Err(_)) if instance.store.data().hit == Some(Bound::Deadline) => Err(Failure::Deadline(limit)),
            Ok(Err(error)) => Err(Failure::Trap(explain(&error))),
            Err(_) => Err(Failure::Deadline(limit)),
        }
    }

    /// Waits for one of `limits.instances`, behind at most `limits.queue` others.
    async fn admit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(permit) = self.slots.try_acquire() {
            return Ok(permit);
        }
        let PluginLimits { queue, instances, .. } = self.spec.limits;
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.waiting);
        if waiting >= queue {
            return Err(Failure::Busy(format!(
                "all {instances} instances are busy and {waiting} calls wait already (limits.instances, limits.queue)"
            )));
        }
        self.slots.acquire().await.map_err(|_| Failure::Busy("the plugin was unloaded".to_owned()))
    }

    fn take_idle(&self) -> Option<Instance> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, instance: Instance) {
        if instance.calls < self.spec.limits.reuse && !self.retired.load(Ordering::Relaxed) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
        }
    }

    /// A fresh instance, with `init` done.
    async fn instantiate(&self) -> Result<Instance, Failure> {
        let limits = &self.spec.limits;
        let limit = limits.init;
        let _busy = self.runtime.ticker.busy();
        let mut store = Store::new(&self.runtime.engine, State::new(&self.tag, limits, Instant::now() + limit));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.host_copy);
        store.set_max_component_handles(limits.handles);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            if Instant::now() < state.deadline {
                return Ok(UpdateDeadline::Yield(1));
            }
            state.hit = Some(Bound::Deadline);
            Err(wasmtime::format_err!("the deadline passed"))
        });
        let made = tokio::time::timeout(limit + OUTER, async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            let guest = self.indices.load(&mut store, &instance)?;
            let init = guest.init(&mut store, &self.spec.config).await?;
            Ok::<_, wasmtime::Error>((guest, init))
        })
        .await;
        self.stats.instances.fetch_add(1, Ordering::Relaxed);
        match made {
            Ok(Ok((guest, Ok(())))) => Ok(Instance { store, guest, calls: 0 }),
            Ok(Ok((_, Err(reason)))) => Err(Failure::Trap(format!("`init` refused the configuration: {reason}"))),
            Ok(Err(error)) if error.is::<PoolConcurrencyLimitError>() => {
                Err(Failure::Busy(format!("the process has no room for another instance: {error}")))
            }
            Ok(Err(error)) => Err(match store.data().hit {
                Some(Bound::Deadline) => Failure::Trap(format!("`init` did not answer within {limit:?} (limits.init)")),
                _ => Failure::Trap(format!("could not be instantiated: {}", explain(&error))),
            }),
            Err(_) => Err(Failure::Trap(format!("`init` did not answer within {limit:?} (limits.init)"))),
        }
    }
}

/// A place in the queue, given up when the waiting call is dropped, too.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The error and its causes in one line, then the guest's frames.
fn explain(error: &wasmtime::Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    // The backtrace is the outermost context and spans lines; the reason is said first.
    let backtrace = if causes.len() > 1 && causes[0].contains("wasm backtrace") {
        format!(" [{}]", causes.remove(0).split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        String::new()
    };
    format!("{}{backtrace}", causes.join(": "))
}
