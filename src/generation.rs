//! The immutable snapshot that a handshake works with: routes, their loaded policies, services.
//!
//! A generation is built beside the one that serves and published by one pointer swap. A handshake pins the one it began
//! with; a session keeps only its route's settings. What a new generation shares with the old one is taken over, not
//! made again: plugins of equal identity and bounds keep their instances, services keep their cursors. Loading fails as
//! a whole: a refused candidate leaves no trace but its reasons.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::Notify;

use crate::{
    admission::Gate,
    balance::Cursor,
    candidate::{Candidate, origin},
    config::{self, Config, Endpoint, OnFailure, Places, PluginConfig, Problem, Secrets},
    files,
    metrics::{Metrics, routes::Account},
    model::{Limits, Mode, RendezvousRules, ServiceId},
    policy::{Plugin, PluginSpec, PolicyHost},
};

/// A generation, immutable.
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// When it was published.
    pub since: SystemTime,
    /// The configuration it was made from.
    pub config: Arc<Config>,
    /// What it was made from.
    pub candidate: Arc<Candidate>,
    /// What is legal there and probably not meant.
    pub warnings: Vec<Problem>,
    /// In the order of the file.
    pub routes: Vec<Arc<Route>>,
    /// By id.
    pub services: HashMap<ServiceId, Arc<Service>>,
    /// By name.
    pub plugins: BTreeMap<Arc<str>, Arc<Plugin>>,
    _alive: Alive,
}

/// One route with what it needs at a handshake.
pub struct Route {
    /// As configured.
    pub config: Arc<config::Route>,
    /// In the order they are asked.
    pub plugins: Vec<Arc<Plugin>>,
    /// What its sessions keep of it.
    pub terms: Arc<Terms>,
    /// On a rendezvous route.
    pub rendezvous: Option<Arc<RendezvousRules>>,
    /// Who is asked whether its sessions may go on; none where nobody is.
    pub checks: Option<Arc<[Check]>>,
    /// Who is told of its connections; none where nobody is.
    pub observers: Option<Arc<[Arc<Plugin>]>>,
    /// How many it lets in; what it counts survives a reload.
    pub gate: Gate,
}

/// What a session keeps of its route, whatever becomes of that.
#[derive(Debug)]
pub struct Terms {
    /// Name of the route.
    pub route: Arc<str>,
    /// Its kind.
    pub mode: Mode,
    /// Of its legs.
    pub limits: Arc<Limits>,
    /// On a rendezvous route: equal ids meet within one.
    pub namespace: Option<Arc<str>>,
    /// Its counters.
    pub account: Arc<Account>,
}

/// A plugin that is asked whether sessions may go on.
#[derive(Clone)]
pub struct Check {
    /// The plugin.
    pub plugin: Arc<Plugin>,
    /// How often; zero is only by order.
    pub every: Duration,
}

impl Route {
    /// The kind of the route.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode()
    }

    /// Whether a plugin is asked about its connections while they live.
    #[must_use]
    pub fn asks_later(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.asks_later())
    }
}

/// One service with its balancing state.
pub struct Service {
    /// As configured.
    pub config: Arc<config::Service>,
    /// One cursor a tag: two tags that took turns on one would each see every second endpoint only.
    cursors: HashMap<Option<Arc<str>>, Arc<Cursor>>,
}

impl Service {
    fn new(config: &Arc<config::Service>, before: Option<&Self>) -> Self {
        let cursors = config.endpoints.iter().map(|endpoint| {
            let tag = endpoint.env_tag.clone();
            let kept = before.and_then(|service| service.cursors.get(&tag).cloned());
            (tag, kept.unwrap_or_default())
        });
        Self { cursors: cursors.collect(), config: Arc::clone(config) }
    }

    /// A service of one endpoint that a policy named; it has the defaults of all else.
    #[must_use]
    pub fn lone(id: ServiceId, authority: Arc<str>) -> Self {
        Self::new(&Arc::new(config::Service::lone(id, authority)), None)
    }

    /// The endpoints with exactly this tag and, where the service has both, this transport, in the order of the file.
    #[must_use]
    pub fn fitting(&self, env_tag: Option<&str>, transport: config::Transport) -> Vec<&Endpoint> {
        let tagged = || self.config.endpoints.iter().filter(|endpoint| endpoint.env_tag.as_deref() == env_tag);
        let first = tagged().next().map(|endpoint| endpoint.transport);
        let mixed = tagged().any(|endpoint| Some(endpoint.transport) != first);
        tagged().filter(|endpoint| !mixed || endpoint.transport == transport).collect()
    }

    /// The same, the one whose turn it is first; the next time it is another's.
    #[must_use]
    pub fn candidates(&self, env_tag: Option<&str>, transport: config::Transport) -> Vec<&Endpoint> {
        let endpoints = self.fitting(env_tag, transport);
        match self.cursors.iter().find(|(tag, _)| tag.as_deref() == env_tag) {
            Some((_, cursor)) => cursor.order(endpoints.len()).filter_map(|n| endpoints.get(n).copied()).collect(),
            None => Vec::new(),
        }
    }
}

/// How many generations are in memory; the gauge that proves old ones are freed.
#[derive(Clone, Default)]
pub struct Population(Arc<Count>);

#[derive(Default)]
struct Count {
    alive: AtomicUsize,
    fewer: Notify,
}

impl Population {
    /// The count.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.alive.load(Ordering::Acquire)
    }

    /// Waits until there are fewer than `most`.
    pub async fn fewer_than(&self, most: usize) {
        loop {
            let mut fewer = pin!(self.0.fewer.notified());
            fewer.as_mut().enable();
            if self.alive() < most {
                return;
            }
            fewer.await;
        }
    }

    fn join(&self) -> Alive {
        self.0.alive.fetch_add(1, Ordering::AcqRel);
        Alive(Arc::clone(&self.0))
    }
}

struct Alive(Arc<Count>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::AcqRel);
        self.0.fewer.notify_waiters();
    }
}

impl Generation {
    /// SHA-256 over configuration, values and components.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.candidate.hash()
    }

    /// Loads the policies and makes the generation; `before` is the one that serves now, and `metrics` has the counters.
    ///
    /// # Errors
    /// What is wrong with each component that could not be read or loaded.
    pub async fn build(
        candidate: Arc<Candidate>,
        host: &PolicyHost,
        before: Option<&Self>,
        population: &Population,
        metrics: &Metrics,
    ) -> Result<Self, Vec<Problem>> {
        let config = &candidate.config;
        let mut plugins = BTreeMap::new();
        let mut problems = candidate.unread().to_vec();
        for (name, code) in &candidate.code {
            let Some(plugin) = config.plugins.get(name) else { continue };
            let spec = spec(plugin, &code.wasm, &candidate.secrets);
            let kept = before.and_then(|before| before.plugins.get(name)).filter(|plugin| same(plugin.spec(), &spec));
            let loaded = match kept {
                Some(plugin) => Ok(Arc::clone(plugin)),
                None => host.load(spec).await,
            };
            match loaded {
                Ok(loaded) if loaded.authorizes() && plugin.on_failure == OnFailure::Open => {
                    let why = format!(
                        "`open` lets everybody in while `{name}`, which exports `authorization`, fails: it must be `closed`"
                    );
                    problems.push(candidate.places.plugin(name, "on_failure", why));
                }
                Ok(plugin) => drop(plugins.insert(Arc::clone(name), plugin)),
                Err(error) => {
                    let why = candidate.secrets.hide(&error.to_string());
                    problems.push(candidate.places.plugin(name, error.key, why));
                }
            }
        }
        if !problems.is_empty() {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            return Err(problems);
        }
        let mut warnings = candidate.warnings.clone();
        warnings.extend(undecided(config, &plugins, &candidate.places));
        warnings.extend(never_asked(config, &plugins, &candidate.places));
        warnings.extend(undumpable(config, &candidate.places));
        warnings.extend(plugins.iter().flat_map(|(name, plugin)| {
            plugin.unused_grants().iter().map(|key| candidate.places.unused_grant(name, key))
        }));
        let routes = config.routes.iter().map(|route| {
            let kept = before.and_then(|before| before.routes.iter().find(|old| old.config.name == route.name));
            let checks: Vec<_> = route
                .plugins
                .iter()
                .filter_map(|name| {
                    let plugin = plugins.get(name).filter(|plugin| plugin.rechecks())?;
                    Some(Check { plugin: Arc::clone(plugin), every: config.plugins.get(name)?.recheck })
                })
                .collect();
            let observers: Vec<_> =
                route.plugins.iter().filter_map(|name| plugins.get(name).filter(|it| it.observes()).cloned()).collect();
            Arc::new(Route {
                observers: Some(observers).filter(|observers| !observers.is_empty()).map(Into::into),
                checks: Some(checks).filter(|checks| !checks.is_empty()).map(Into::into),
                gate: Gate::new(route.admission, kept.map(|route| &route.gate)),
                plugins: route.plugins.iter().filter_map(|name| plugins.get(name).cloned()).collect(),
                terms: Arc::new(Terms {
                    route: Arc::clone(&route.name),
                    mode: route.mode(),
                    limits: Arc::new(route.limits.clone()),
                    namespace: route.rendezvous().map(|rules| Arc::clone(&rules.namespace)),
                    account: metrics.account(&route.name, route.mode()),
                }),
                rendezvous: route.rendezvous().cloned().map(Arc::new),
                config: Arc::clone(route),
            })
        });
        let services = config.services.iter().map(|(id, service)| {
            let kept = before.and_then(|before| before.services.get(id));
            (id.clone(), Arc::new(Service::new(service, kept.map(AsRef::as_ref))))
        });
        Ok(Self {
            number: before.map_or(1, |before| before.number + 1),
            since: SystemTime::now(),
            routes: routes.collect(),
            services: services.collect(),
            plugins,
            config: Arc::clone(config),
            candidate,
            warnings,
            _alive: population.join(),
        })
    }
}

/// The routes whose plugins lack the decision that they are there for: whatever is asked, nobody answers.
fn undecided(config: &Config, plugins: &BTreeMap<Arc<str>, Arc<Plugin>>, places: &Places) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let mode = route.mode();
        let any = |exports: &dyn Fn(&Plugin) -> bool| {
            route.plugins.iter().filter_map(|name| plugins.get(name)).any(|plugin| exports(plugin))
        };
        let missing = match mode {
            Mode::Rendezvous if !any(&|plugin| plugin.decides(mode)) => {
                Some(("role-detection", "without a role nobody is joined"))
            }
            Mode::Rendezvous if !any(&Plugin::finds_channels) => {
                Some(("channel-extraction", "without a channel every connection is refused with 400"))
            }
            Mode::Router | Mode::Http if route.service().is_none() && !any(&|plugin| plugin.decides(mode)) => {
                Some(("service-resolution", "without a service nothing is dialled"))
            }
            _ => None,
        };
        if let Some((decision, why)) = missing {
            let message = format!("none of these plugins exports `{decision}`: {why}");
            let hint = match mode {
                Mode::Rendezvous => "add a plugin that does, such as `builtin:rendezvous`",
                Mode::Router | Mode::Http => "add a plugin that does, such as `builtin:router`, or a `service`",
            };
            warnings.push(places.route_plugins(index, message, hint));
        }
    }
    warnings
}

/// The plugins that are to be asked whether sessions may go on, and cannot say.
fn never_asked(config: &Config, plugins: &BTreeMap<Arc<str>, Arc<Plugin>>, places: &Places) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (name, plugin) in plugins.iter().filter(|(_, plugin)| !plugin.rechecks()) {
        let Some(config) = config.plugins.get(name) else { continue };
        for (key, wanted) in [("recheck", !config.recheck.is_zero()), ("recheck_on_swap", config.recheck_on_swap)] {
            if wanted {
                let why =
                    format!("`{}` does not export `session-authorization`: nothing is asked again", plugin.name());
                warnings.push(places.unlikely_plugin(name, key, why));
            }
        }
    }
    warnings
}

/// The folders for inputs of failed calls that these cannot be written to. What the plugins decide does not hang on it, and
/// whoever checks a configuration may do so on another machine.
fn undumpable(config: &Config, places: &Places) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (name, plugin) in &config.plugins {
        let Some(dump) = &plugin.dump else { continue };
        if let Err(why) = files::can_be_made_in(&dump.dir) {
            let why = format!("the inputs of failed calls cannot be written there: {why}");
            warnings.push(places.unlikely_plugin(name, "dump", why));
        }
    }
    warnings
}

fn same(one: &PluginSpec, other: &PluginSpec) -> bool {
    one.wasm == other.wasm
        && one.config == other.config
        && one.grants == other.grants
        && one.limits == other.limits
        && one.on_failure == other.on_failure
}

fn spec(config: &PluginConfig, wasm: &Arc<[u8]>, secrets: &Secrets) -> PluginSpec {
    PluginSpec {
        name: Arc::clone(&config.name),
        origin: secrets.hide(&origin(&config.component)),
        wasm: Arc::clone(wasm),
        config: config.config.as_json().to_string(),
        grants: config.grants.clone(),
        limits: config.limits,
        on_failure: config.on_failure,
    }
}
