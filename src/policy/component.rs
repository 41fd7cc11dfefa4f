//! One loaded version of a plugin: checked, compiled, tried, and its pool of instances.
//!
//! Loading looks at what the component imports and exports, links it, and makes a first instance with `init`, because
//! record mismatches and refused configurations show only there. A call takes an instance for itself, an instance is
//! retired after `limits.reuse` calls or after any failure, and nothing a guest does outlives its call.

mod instances;

use std::{
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::Semaphore;
use wasmtime::{
    Store,
    component::{Component, InstancePre},
};

pub(super) use self::instances::Held;
use super::{
    context::Scene,
    deadline::{Stopped, arm, bounded},
    dump::{Dump, Undumped},
    engine::Runtime,
    events::Queue,
    failure::{Failure, LoadError},
    granted::Powers,
    host::State,
    inspect::{self, Unfit},
    measure::{self, Meter},
    output::{LogBudget, one_line},
    stats::Stats,
    tally::Tally,
    v0_1::{Answer, Guest, Indices, Question},
};
use crate::{
    config::{Grants, OnFailure, PluginLimits},
    model::Mode,
};

/// Longest name and version that a component says of itself, in bytes.
const DESCRIBED_BYTES: usize = 64;
/// How often idle instances are taken back in search of room for one more.
const SEARCHES: usize = 8;

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
    /// What it may use beside what every plugin may.
    pub grants: Grants,
    /// Bounds.
    pub limits: PluginLimits,
    /// What a failure means.
    pub on_failure: OnFailure,
}

impl PluginSpec {
    /// SHA-256 over component, configuration and grants, in hexadecimal.
    #[must_use]
    pub fn identity(&self) -> String {
        super::digest(&[&self.wasm, self.config.as_bytes(), self.grants.canonical().as_bytes()])
    }
}

/// Who a plugin is, for its logs; shared with its instances.
pub(super) struct Tag {
    pub(super) name: Arc<str>,
    pub(super) identity: Arc<str>,
    pub(super) loaded_at: Instant,
    pub(super) log_budget: LogBudget,
    pub(super) powers: Powers,
    /// Instances that are there.
    pub(super) alive: AtomicUsize,
    /// Most memory that one of them had, in bytes.
    pub(super) memory: AtomicUsize,
}

/// One loaded version.
pub struct Plugin {
    tag: Arc<Tag>,
    label: Arc<str>,
    spec: PluginSpec,
    described: String,
    unused_grants: Vec<&'static str>,
    runtime: Arc<Runtime>,
    pre: InstancePre<State>,
    indices: Indices,
    idle: Mutex<Vec<Instance>>,
    slots: Semaphore,
    waiting: AtomicUsize,
    /// Calls at once about sessions that live: a part of the instances, so that handshakes find others.
    pub(super) rechecks: Semaphore,
    /// What it is still to be told.
    pub(super) events: Queue,
    retired: AtomicBool,
    /// Connections whose filters are of this version.
    pub(super) users: AtomicUsize,
    stats: Stats,
    /// Of all versions of this name.
    tally: Arc<Tally>,
    /// The same.
    dump: Arc<Dump>,
    /// None where calls are not measured.
    meter: Option<Box<Meter>>,
}

pub(super) struct Instance {
    store: Store<State>,
    /// Apart: it is large, and an instance changes hands at each call.
    guest: Box<Guest>,
    calls: u32,
}

impl Plugin {
    pub(super) async fn load(runtime: &Arc<Runtime>, spec: PluginSpec) -> Result<Arc<Self>, LoadError> {
        let refuse = |reason: String| LoadError {
            plugin: Arc::clone(&spec.name),
            origin: spec.origin.clone(),
            reason,
            key: "component",
        };
        inspect::is_component(&spec.wasm).map_err(&refuse)?;
        let component = runtime
            .compile(&spec.wasm, &super::digest(&[&spec.wasm]))
            .await
            .map_err(|error| refuse(format!("cannot be compiled: {error:#}")))?;
        let unused_grants = inspect::interfaces(&component, &runtime.engine, &spec.name, &spec.grants).map_err(
            |unfit| match unfit {
                Unfit::Component(why) => refuse(why),
                Unfit::Grants(why) => LoadError { key: "grants", ..refuse(why) },
            },
        )?;
        let (pre, indices) = Self::link(runtime, &component).map_err(|error| refuse(format!("{error:#}")))?;
        let identity: Arc<str> = spec.identity().into();
        let tag = Arc::new(Tag {
            name: Arc::clone(&spec.name),
            identity: identity[..12].into(),
            loaded_at: Instant::now(),
            log_budget: LogBudget::new(),
            powers: runtime.shared.powers(&spec.name, &spec.grants),
            alive: AtomicUsize::new(0),
            memory: AtomicUsize::new(0),
        });
        let mut plugin = Self {
            slots: Semaphore::new(spec.limits.instances),
            label: format!("{}@{}", tag.name, tag.identity).into(),
            tag,
            described: String::new(),
            unused_grants,
            runtime: Arc::clone(runtime),
            pre,
            indices,
            idle: Mutex::default(),
            waiting: AtomicUsize::new(0),
            events: Queue::default(),
            rechecks: Semaphore::new((spec.limits.instances / 4).max(1)),
            retired: AtomicBool::new(false),
            users: AtomicUsize::new(0),
            stats: Stats::default(),
            tally: runtime.tallies.of(&spec.name),
            dump: runtime.dumps.of(&spec.name),
            meter: Meter::of(runtime.measure),
            spec,
        };
        let refuse =
            |reason| LoadError { plugin: plugin.name(), origin: plugin.spec.origin.clone(), reason, key: "component" };
        let mut first = plugin.fresh().await.map_err(|failure| LoadError {
            key: if matches!(failure, Failure::Configuration(_)) { "config" } else { "component" },
            ..refuse(failure.to_string())
        })?;
        let limit = plugin.spec.limits.init;
        let armed = arm(&mut first.store, Instant::now(), limit);
        let info =
            bounded(&runtime.ticker, &armed, first.guest.describe(&mut first.store)).await.map_err(|stopped| {
                refuse(match stopped {
                    Stopped::Deadline | Stopped::HostTime => {
                        format!("`describe` did not answer within {limit:?} (limits.init)")
                    }
                    Stopped::Full(why) => why,
                    Stopped::Failed(why) => format!("`describe` failed: {why}"),
                })
            })?;
        let shown = |text| one_line(text, DESCRIBED_BYTES);
        plugin.described = format!("{} {}", shown(&info.name), shown(&info.version));
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

    /// The interfaces that it exports, in the order in which they are asked.
    #[must_use]
    pub fn exports(&self) -> Vec<&'static str> {
        self.indices.exported().collect()
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

    /// `name@identity`: who decided.
    #[must_use]
    pub fn label(&self) -> Arc<str> {
        Arc::clone(&self.label)
    }

    /// What the component says of itself: name and version.
    #[must_use]
    pub fn described(&self) -> &str {
        &self.described
    }

    /// Keys of grants that it does not need.
    #[must_use]
    pub fn unused_grants(&self) -> &[&'static str] {
        &self.unused_grants
    }

    /// See [`micro::run_on`](super::micro::run_on).
    pub(super) fn run_on(&self) {
        self.runtime.ticker.rest();
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

    /// What was measured since the last time, if calls are measured.
    #[must_use]
    pub fn measured(&self) -> Option<measure::Measured> {
        self.meter.as_ref().map(|meter| meter.take())
    }

    pub(super) fn powers(&self) -> &Powers {
        &self.tag.powers
    }

    /// Calls of granted functions, and the nanoseconds that these waited.
    #[must_use]
    pub fn host_calls(&self) -> (u64, u64) {
        let Powers { calls, waited, .. } = self.powers();
        (calls.load(Ordering::Relaxed), waited.load(Ordering::Relaxed))
    }

    /// Counts a failed call.
    pub(super) fn failed(&self, failure: &Failure) {
        self.stats.failed(failure);
        self.tally.failed(failure);
    }

    /// Has the input of a failed call written down, where that is wanted: to this file, or why not.
    pub(super) fn dump(
        &self,
        question: Question<'_>,
        scene: &Scene,
        failure: &Failure,
    ) -> Option<Result<PathBuf, Undumped>> {
        self.dump.take(self, question, scene, failure)
    }

    pub(super) const fn answers(&self, question: Question<'_>) -> bool {
        self.indices.answers(question)
    }

    pub(super) const fn indices(&self) -> &Indices {
        &self.indices
    }

    /// Whether it exports what a route of this kind cannot do without: roles for a rendezvous, services otherwise.
    #[must_use]
    pub fn decides(&self, mode: Mode) -> bool {
        self.answers(match mode {
            Mode::Rendezvous => Question::Role,
            Mode::Router | Mode::Http => Question::Service,
        })
    }

    /// Whether it exports what looks at messages.
    #[must_use]
    pub fn filters(&self) -> bool {
        self.answers(Question::Open)
    }

    /// Whether it exports what finds a channel.
    #[must_use]
    pub fn finds_channels(&self) -> bool {
        self.answers(Question::Channel)
    }

    /// Whether new handshakes use this version. One that they do not use gives its idle instances back and keeps none
    /// from now on, as soon as no connection is left that uses it.
    pub(super) fn retire(&self, retired: bool) {
        self.retired.store(retired, Ordering::SeqCst);
        self.keep_or_not();
    }

    fn is_kept(&self) -> bool {
        !self.retired.load(Ordering::SeqCst) || self.users.load(Ordering::SeqCst) > 0
    }

    pub(super) fn keep_or_not(&self) {
        if !self.is_kept() {
            drop(self.take_back(usize::MAX));
        }
    }

    /// Connections whose filters are of this version.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.load(Ordering::Relaxed)
    }

    /// Instances that are there, idle or not, and the most memory that one of this version had, in bytes.
    #[must_use]
    pub fn instances(&self) -> (usize, usize) {
        (self.tag.alive.load(Ordering::Relaxed), self.tag.memory.load(Ordering::Relaxed))
    }

    /// Instances that wait for a call.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.pool().len()
    }

    /// Up to so many idle instances, out of the pool; dropped outside its lock, because that takes a while.
    fn take_back(&self, most: usize) -> Vec<Instance> {
        let mut idle = self.pool();
        let kept = idle.len().saturating_sub(most);
        idle.split_off(kept)
    }

    /// Gives half of the idle instances back; false if there was none.
    pub(super) fn shed(&self) -> bool {
        !self.take_back(self.idle().div_ceil(2)).is_empty()
    }

    fn pool(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one question. What the call was about is back in its place when this is through.
    pub(super) async fn ask_about(&self, question: Question<'_>, scene: &mut Scene) -> Result<Answer, Failure> {
        self.ask_in_a_row(question, scene, &mut Held::default()).await
    }

    /// The same, of questions that follow each other: the instance that has answered the last one is `held` for the next.
    pub(super) async fn ask_in_a_row<'a>(
        &'a self,
        question: Question<'_>,
        scene: &mut Scene,
        held: &mut Held<'a>,
    ) -> Result<Answer, Failure> {
        let started = Instant::now();
        let answer = self.ask_one(question, scene, started, held).await;
        let took = started.elapsed();
        if let Some(meter) = &self.meter {
            meter.took(question, took);
        }
        self.stats.calls.fetch_add(1, Ordering::Relaxed);
        self.stats.took(took);
        match &answer {
            Err(failure) => self.failed(failure),
            Ok(Answer::Rejected(_)) => drop(self.stats.rejections.fetch_add(1, Ordering::Relaxed)),
            Ok(answer) if answer.is_opinion() => drop(self.stats.opinions.fetch_add(1, Ordering::Relaxed)),
            Ok(_) => {}
        }
        answer
    }

    async fn ask_one<'a>(
        &'a self,
        question: Question<'_>,
        scene: &mut Scene,
        mut now: Instant,
        held: &mut Held<'a>,
    ) -> Result<Answer, Failure> {
        let (slot, mut instance) = match held.take_of(self) {
            Some(instance) => instance,
            None => self.check_out(&mut now).await?,
        };
        let (limit, key) = match question {
            Question::Message => (self.spec.limits.message, "limits.message"),
            _ => (self.spec.limits.decision, "limits.decision"),
        };
        instance.store.data_mut().begin(std::mem::take(scene));
        let armed = arm(&mut instance.store, now, limit);
        if let Some(meter) = &self.meter {
            meter.fill(&mut instance.store);
        }
        // If this fails or is dropped, the instance goes with it: nothing a guest left half done is entered again.
        let answer = {
            // Pinned where it is: it is large.
            let asked = pin!(instance.guest.ask(&mut instance.store, question));
            bounded(&self.runtime.ticker, &armed, asked).await
        };
        *scene = instance.store.data_mut().end();
        let answer = answer.map_err(|stopped| match stopped {
            Stopped::Failed(why) => Failure::Trap(why + &instance.store.data().said()),
            Stopped::Deadline => Failure::Deadline(limit, key),
            Stopped::HostTime => Failure::Deadline(self.spec.limits.host, "limits.host"),
            Stopped::Full(why) => Failure::Busy(why),
        })?;
        if let Some(meter) = &self.meter {
            meter.left(question, &mut instance.store);
        }
        instance.calls += 1;
        held.keep(self, (slot, instance));
        Ok(answer)
    }
}
