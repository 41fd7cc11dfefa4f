//! The policy host: asks the plugins of a route, in order, what a connection is and where it belongs.
//!
//! The only place that knows wasmtime. It promises that a plugin harms one call at most: every call has a deadline
//! inside (epochs) and outside (a timer), memory, host copies and handles are bounded, and a failure is reported with
//! plugin, version and connection. It keeps no state of connections; what a plugin said is a [`Verdict`].

mod answer;
mod authorize;
mod builtin;
mod cache;
mod component;
mod context;
mod deadline;
mod dump;
mod engine;
mod events;
mod failure;
pub mod filter;
mod granted;
mod host;
mod inspect;
mod interest;
mod known;
pub mod measure;
#[doc(hidden)]
pub mod micro;
mod output;
mod pair;
mod recheck;
mod response;
mod stats;
mod tally;
mod ticker;
mod trace;
pub mod trial;
mod user;
mod v0_1;

use std::{collections::BTreeMap, path::Path, sync::Arc};

pub use builtin::{builtin, builtin_names};
use component::Held;
pub use component::{Plugin, PluginSpec};
pub use context::Facts;
pub(crate) use context::now_ms;
use context::{Call, Scene};
pub use dump::{Dumped, Undumped};
pub use engine::MAX_MEMORY;
pub use failure::{Failure, LoadError};
pub use granted::Filled;
pub use inspect::Interfaces;
pub use known::{Known, Ruling};
use measure::Measure;
pub use pair::pair;
use prometheus_client::encoding::DescriptorEncoder;
pub use recheck::{Rechecked, recheck};
pub use response::rewrite_answer;
use sha2::{Digest, Sha256};
pub use stats::Stats;
pub use trace::{Opinion, Trace};
use v0_1::{Answer, Question, Wanted};

use crate::{
    config::{self, OnFailure, PluginConfig},
    error::Cause,
    model::{ChannelId, Handshake, Mode, Refusal, Rejection, Resolution, ServiceId, Verdict},
};

/// The host: one engine, and every version that is still in use.
pub struct PolicyHost {
    runtime: Arc<engine::Runtime>,
}

/// Why the plugins let a handshake go no further.
#[derive(Debug)]
pub enum Refused {
    /// A plugin's own decision.
    Rejected {
        /// `name@identity` of the plugin.
        policy: Arc<str>,
        /// What it said.
        rejection: Rejection,
    },
    /// A plugin failed, or broke the contract.
    Failed(Refusal),
}

impl PolicyHost {
    /// Starts the engine; `cache` is where compiled code is kept, none compiles anew at every start.
    ///
    /// # Errors
    /// When the engine or its threads cannot be started.
    pub fn start(cache: Option<&Path>) -> Result<Self, String> {
        Self::measuring(cache, Measure::Nothing)
    }

    /// The same, and each call is measured.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub fn measuring(cache: Option<&Path>, measure: Measure) -> Result<Self, String> {
        let runtime =
            engine::Runtime::start(cache, measure).map_err(|error| format!("WebAssembly engine: {error:#}"))?;
        Ok(Self { runtime })
    }

    /// Loads a version: compiled off the data path, checked, and tried with `init`.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with the component or what it said of its configuration.
    pub async fn load(&self, spec: PluginSpec) -> Result<Arc<Plugin>, LoadError> {
        Plugin::load(&self.runtime, spec).await
    }

    /// What a component imports and exports, whatever it is granted. It is compiled, and not run.
    ///
    /// # Errors
    /// It is not a component, or cannot be compiled.
    pub async fn look(&self, wasm: &Arc<[u8]>) -> Result<Interfaces, String> {
        inspect::is_component(wasm)?;
        let compiled = self.runtime.compile(wasm, &digest(&[wasm])).await;
        let component = compiled.map_err(|error| format!("cannot be compiled: {error:#}"))?;
        Ok(inspect::look(&component, &self.runtime.engine))
    }

    /// From now on there is traffic, which compilation makes way for.
    pub fn serve(&self) {
        self.runtime.serve();
    }

    /// Every version still in memory, oldest first.
    #[must_use]
    pub fn loaded(&self) -> Vec<Arc<Plugin>> {
        self.runtime.loaded()
    }

    /// Failures by plugin name over all versions, in the order of [`Stats::FAILURES`].
    #[must_use]
    pub fn failures(&self) -> Vec<(Arc<str>, [u64; Stats::FAILURES.len()])> {
        self.runtime.tallies.read()
    }

    /// Where the inputs of failed calls are written from now on, of these plugins and of no others.
    pub fn serve_dumps(&self, plugins: &BTreeMap<Arc<str>, Arc<PluginConfig>>) {
        self.runtime.dumps.serve(plugins);
    }

    /// What became of the inputs of failed calls, of each plugin whose are wanted.
    #[must_use]
    pub fn dumped(&self) -> Vec<Dumped> {
        self.runtime.dumps.read()
    }

    /// Waits until the inputs of all calls that have failed are written.
    pub async fn finish_dumps(&self) {
        self.runtime.dumps.finish().await;
    }

    /// What plugins may look up from now on.
    pub fn serve_services<'a>(&self, services: impl Iterator<Item = &'a config::Service>) {
        self.runtime.shared.serve(services);
    }

    /// How full the buckets of plugins are.
    #[must_use]
    pub fn buckets(&self) -> Vec<Filled> {
        self.runtime.shared.buckets()
    }

    /// Writes the plugins' own metrics.
    ///
    /// # Errors
    /// The encoder's.
    pub fn encode_custom(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        self.runtime.shared.encode(encoder)
    }

    /// Tells the host which versions new handshakes use: their bounds count, and the others give their idle instances
    /// back.
    pub fn in_use(&self, current: &[Arc<Plugin>]) {
        granted::Shared::in_use(current);
        for plugin in self.loaded() {
            plugin.retire(!current.iter().any(|other| Arc::ptr_eq(other, &plugin)));
        }
    }
}

/// Questions about one handshake that follow each other.
struct Asking<'a> {
    trace: &'a mut Trace,
    held: Held<'a>,
}

impl<'a> Asking<'a> {
    fn of(trace: &'a mut Trace) -> Self {
        Self { trace, held: Held::default() }
    }
}

/// What the plugins of a route say of a handshake: role, then who it is, then channel and service, then header edits.
/// First opinion wins, edits add up, and every authorizer is asked. A verdict without a role and without a service is "no
/// opinion". A request that is forwarded has neither role nor channel, so nobody is asked for them.
///
/// # Errors
/// [`Refused`]: a plugin rejected, or failed and is not `on_failure: open`.
pub async fn decide(
    plugins: &[Arc<Plugin>],
    handshake: &Arc<Handshake>,
    mode: Mode,
    trace: &mut Trace,
) -> Result<Ruling, Refused> {
    decide_from(plugins, Known(Arc::new(Call::about(handshake))), mode, trace).await
}

/// The same where something is known of the request already.
async fn decide_from(plugins: &[Arc<Plugin>], known: Known, mode: Mode, trace: &mut Trace) -> Result<Ruling, Refused> {
    let mut verdict = Verdict::default();
    let Known(mut call) = known;
    Arc::make_mut(&mut call).mode = Some(mode);
    let mut asking = Asking::of(trace);
    if mode != Mode::Http {
        detect(plugins, &mut call, &mut verdict, mode, &mut asking).await?;
        if mode == Mode::Rendezvous && call.role.is_none() {
            return Ok(Ruling { verdict, known: Known(call) });
        }
    }
    authorize::authorize(plugins, &mut call, &mut verdict, &mut asking).await?;
    if mode != Mode::Http {
        extract(plugins, &mut call, &mut verdict, &mut asking).await?;
    }
    if mode != Mode::Rendezvous {
        resolve(plugins, &mut call, &mut verdict, &mut asking).await?;
        rewrite(plugins, &call, &mut verdict, &mut asking).await?;
    }
    Ok(Ruling { verdict, known: Known(call) })
}

async fn detect<'a>(
    plugins: &'a [Arc<Plugin>],
    call: &mut Arc<Call>,
    verdict: &mut Verdict,
    mode: Mode,
    asking: &mut Asking<'a>,
) -> Result<(), Refused> {
    for plugin in plugins {
        let Some(Answer::Role(Some(role))) = ask(plugin, Question::Role, call, asking).await? else { continue };
        if !mode.allows(&role) {
            let role = output::one_line(role.name(), answer::SHOWN_BYTES);
            let why = format!("gave role `{role}` on a {} route", mode.name());
            let detail = format!("plugin `{}` {why}", plugin.name());
            let failure = Failure::Contract(why);
            plugin.failed(&failure);
            report(plugin, Question::Role, &Scene::about(call), &failure);
            return Err(Refused::Failed(Refusal::new(Cause::RoleModeMismatch).with_detail(detail)));
        }
        Arc::make_mut(call).role = Some(role.clone());
        verdict.role = Some(role);
        verdict.policy = Some(plugin.label());
        break;
    }
    Ok(())
}

async fn extract<'a>(
    plugins: &'a [Arc<Plugin>],
    call: &mut Arc<Call>,
    verdict: &mut Verdict,
    asking: &mut Asking<'a>,
) -> Result<(), Refused> {
    for plugin in plugins {
        let Some(Answer::Channel(Some((id, attributes)))) = ask(plugin, Question::Channel, call, asking).await? else {
            continue;
        };
        let id = ChannelId::new(&id)
            .map_err(|why| Refused::Failed(Refusal::because(Cause::BadId, format!("the channel id: {why}"))))?;
        if let Err(why) = Arc::make_mut(call).add(&plugin.name(), attributes) {
            broken(plugin, Question::Channel, &Scene::about(call), why)?;
            continue;
        }
        Arc::make_mut(call).channel = Some(id.clone());
        verdict.channel = Some(id);
        break;
    }
    Ok(())
}

async fn rewrite<'a>(
    plugins: &'a [Arc<Plugin>],
    call: &Arc<Call>,
    verdict: &mut Verdict,
    asking: &mut Asking<'a>,
) -> Result<(), Refused> {
    for plugin in plugins {
        if let Some(Answer::Rewrite(edits)) = ask(plugin, Question::Rewrite, call, asking).await? {
            match answer::edits(&edits) {
                Ok(checked) => {
                    verdict.edits.extend(edits);
                    verdict.checked_edits.extend(checked);
                }
                Err(why) => broken(plugin, Question::Rewrite, &Scene::about(call), why)?,
            }
        }
    }
    Ok(())
}

async fn resolve<'a>(
    plugins: &'a [Arc<Plugin>],
    call: &mut Arc<Call>,
    verdict: &mut Verdict,
    asking: &mut Asking<'a>,
) -> Result<(), Refused> {
    for plugin in plugins {
        let Some(Answer::Service(Some((target, attributes)))) = ask(plugin, Question::Service, call, asking).await?
        else {
            continue;
        };
        let checked = answer::target(target, &plugin.spec().grants.endpoints)
            .and_then(|checked| Arc::make_mut(call).add(&plugin.name(), attributes).map(|()| checked));
        let (Wanted { id, scheme, env_tag, path_and_query, connect_timeout }, endpoint) = match checked {
            Ok(checked) => checked,
            Err(why) => {
                broken(plugin, Question::Service, &Scene::about(call), why)?;
                continue;
            }
        };
        let service = ServiceId::new(&id)
            .map_err(|why| Refused::Failed(Refusal::because(Cause::BadId, format!("the service id: {why}"))))?;
        verdict.resolution = Some(Resolution { service, endpoint, scheme, env_tag, path_and_query, connect_timeout });
        verdict.policy = Some(plugin.label());
        break;
    }
    Ok(())
}

/// One question to one plugin; none where it has nothing to say: not exported, or failed with `on_failure: open`.
async fn ask<'a>(
    plugin: &'a Arc<Plugin>,
    question: Question<'_>,
    call: &Arc<Call>,
    asking: &mut Asking<'a>,
) -> Result<Option<Answer>, Refused> {
    if !plugin.answers(question) {
        return Ok(None);
    }
    answered(plugin, question, &mut Scene::about(call), asking).await
}

/// The same of a plugin that has something to say, about a scene.
async fn answered<'a>(
    plugin: &'a Arc<Plugin>,
    question: Question<'_>,
    scene: &mut Scene,
    asking: &mut Asking<'a>,
) -> Result<Option<Answer>, Refused> {
    let asked = asking.trace.asking();
    let said = plugin.ask_in_a_row(question, scene, &mut asking.held).await;
    asking.trace.note(plugin, question, &said, asked);
    match said {
        Ok(Answer::Rejected(rejection)) => Err(Refused::Rejected { policy: plugin.label(), rejection }),
        Ok(answer) => {
            scene.keep(&plugin.name());
            Ok(Some(answer))
        }
        Err(failure) => refused(plugin, question, scene, &failure).map(|()| None),
    }
}

/// An answer that breaks the contract is a failure like any other.
fn broken(plugin: &Plugin, question: Question<'_>, scene: &Scene, why: String) -> Result<(), Refused> {
    let failure = Failure::Contract(why);
    plugin.failed(&failure);
    refused(plugin, question, scene, &failure)
}

/// Reports a failure; fine where the plugin is then treated as if it had no opinion.
fn refused(plugin: &Plugin, question: Question<'_>, scene: &Scene, failure: &Failure) -> Result<(), Refused> {
    report(plugin, question, scene, failure);
    match plugin.spec().on_failure {
        OnFailure::Open => Ok(()),
        OnFailure::Closed => Err(Refused::Failed(Refusal::new(failure.cause()))),
    }
}

/// Says that a call failed, and has its input written down where that is wanted.
fn report(plugin: &Plugin, question: Question<'_>, scene: &Scene, failure: &Failure) {
    let (conn, route) = scene.place().unzip();
    let taken = plugin.dump(question, scene, failure);
    let (dump, undumped) = match taken {
        None => (None, None),
        Some(Ok(path)) => (Some(path.display().to_string()), None),
        Some(Err(why)) => (None, Some(why.label())),
    };
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(
                tracing::Level::$level,
                plugin = %plugin.name(),
                version = %plugin.identity(),
                component = plugin.described(),
                conn = conn.map(tracing::field::display),
                route = route.map(|route| &**route),
                failure = failure.label(),
                dump,
                undumped,
                "a policy failed: {failure}"
            )
        };
    }
    match failure {
        // Of these there are as many as there are clients too many.
        Failure::Busy(_) => at!(WARN),
        Failure::Deadline(..) | Failure::Trap(_) | Failure::Configuration(_) | Failure::Contract(_) => at!(ERROR),
    }
}

/// SHA-256 over parts, each with its length, in hexadecimal.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Whether these bytes are a component.
///
/// # Errors
/// What they are instead.
pub fn recognise(wasm: &[u8]) -> Result<(), String> {
    inspect::is_component(wasm)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
