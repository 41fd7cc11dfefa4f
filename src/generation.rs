//! The immutable snapshot that a handshake works with: routes, their loaded policies, services.
//!
//! A generation is built beside the one that serves and published by one pointer swap. A handshake pins the one it began
//! with; a session keeps only its route's settings. What a new generation shares with the old one is taken over, not
//! made again: plugins of equal identity and bounds keep their instances, services keep their cursors. Loading fails as
//! a whole: a refused candidate leaves no trace but its reasons.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use crate::{
    admission::Gate,
    balance::Cursor,
    config::{self, Component, Config, Endpoint, PluginConfig, Source},
    model::{Limits, Mode, RendezvousRules, ServiceId},
    policy::{self, Plugin, PluginSpec, PolicyHost},
};

/// Everything a candidate consists of, read into memory before anything is judged.
#[derive(Debug)]
pub struct Candidate {
    /// The checked configuration.
    pub config: Config,
    /// Components by plugin name.
    components: BTreeMap<Arc<str>, Arc<[u8]>>,
    /// Files that were read: what must be watched.
    files: Vec<PathBuf>,
    /// SHA-256 over the text and every component.
    hash: String,
}

/// A generation, immutable.
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// SHA-256 over configuration text and components.
    pub hash: String,
    /// When it was published.
    pub since: SystemTime,
    /// The configuration it was made from.
    pub config: Config,
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
    /// Of its sessions' legs.
    pub limits: Arc<Limits>,
    /// On a rendezvous route.
    pub rendezvous: Option<Arc<RendezvousRules>>,
    /// How many it lets in; what it counts survives a reload.
    pub gate: Gate,
}

impl Route {
    /// The kind of the route.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.config.mode()
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

    /// The endpoints with exactly this tag and, where the service has both, this transport; next one first.
    #[must_use]
    pub fn candidates(&self, env_tag: Option<&str>, transport: config::Transport) -> Vec<&Endpoint> {
        let tagged = || self.config.endpoints.iter().filter(|endpoint| endpoint.env_tag.as_deref() == env_tag);
        let first = tagged().next().map(|endpoint| endpoint.transport);
        let mixed = tagged().any(|endpoint| Some(endpoint.transport) != first);
        let endpoints: Vec<_> = tagged().filter(|endpoint| !mixed || endpoint.transport == transport).collect();
        match self.cursors.iter().find(|(tag, _)| tag.as_deref() == env_tag) {
            Some((_, cursor)) => cursor.order(endpoints.len()).filter_map(|n| endpoints.get(n).copied()).collect(),
            None => Vec::new(),
        }
    }
}

/// How many generations are in memory; the gauge that proves old ones are freed.
#[derive(Clone, Default)]
pub struct Population(Arc<AtomicUsize>);

impl Population {
    /// The count.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn join(&self) -> Alive {
        self.0.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(&self.0))
    }
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Candidate {
    /// Reads the configuration and every component it names.
    ///
    /// # Errors
    /// Each problem as a text that says where and what would be right.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let (text, config) = parse(path)?;
        let mut problems = Vec::new();
        let mut files = vec![path.to_owned()];
        let mut components = BTreeMap::new();
        for plugin in config.plugins.values() {
            if let Component::File(file) = &plugin.component {
                files.push(file.clone());
            }
            match component(plugin) {
                Ok(wasm) => drop(components.insert(Arc::clone(&plugin.name), wasm)),
                Err(problem) => problems.push(format!("{}: plugins.{}: {problem}", path.display(), plugin.name)),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut parts = vec![text.as_bytes()];
        parts.extend(components.values().map(AsRef::as_ref));
        let hash = policy::digest(&parts);
        Ok(Self { config, components, files, hash })
    }

    /// What tells this candidate from another.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The files it was read from.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Loads the policies and makes the generation; `before` is the one that serves now.
    ///
    /// # Errors
    /// What each refused plugin said.
    pub async fn build(
        self,
        host: &PolicyHost,
        before: Option<&Generation>,
        population: &Population,
    ) -> Result<Generation, Vec<String>> {
        let mut plugins = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, wasm) in &self.components {
            let Some(config) = self.config.plugins.get(name) else { continue };
            let spec = spec(config, wasm);
            let kept = before.and_then(|before| before.plugins.get(name)).filter(|plugin| same(plugin.spec(), &spec));
            let loaded = match kept {
                Some(plugin) => Ok(Arc::clone(plugin)),
                None => host.load(spec).await,
            };
            match loaded {
                Ok(plugin) => drop(plugins.insert(Arc::clone(name), plugin)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let routes = self.config.routes.iter().map(|route| {
            let kept = before.and_then(|before| before.routes.iter().find(|old| old.config.name == route.name));
            Arc::new(Route {
                gate: Gate::new(route.admission, kept.map(|route| &route.gate)),
                plugins: route.plugins.iter().filter_map(|name| plugins.get(name).cloned()).collect(),
                limits: Arc::new(route.limits.clone()),
                rendezvous: route.rendezvous().cloned().map(Arc::new),
                config: Arc::clone(route),
            })
        });
        let services = self.config.services.iter().map(|(id, service)| {
            let kept = before.and_then(|before| before.services.get(id));
            (id.clone(), Arc::new(Service::new(service, kept.map(AsRef::as_ref))))
        });
        Ok(Generation {
            number: before.map_or(1, |before| before.number + 1),
            since: SystemTime::now(),
            routes: routes.collect(),
            services: services.collect(),
            plugins,
            hash: self.hash,
            config: self.config,
            _alive: population.join(),
        })
    }
}

/// The configuration file and the components it names now; none if it cannot be read.
#[must_use]
pub fn files(path: &Path) -> Option<Vec<PathBuf>> {
    let config = parse(path).ok()?.1;
    let components = config.plugins.values().filter_map(|plugin| match &plugin.component {
        Component::File(file) => Some(file.clone()),
        Component::Builtin(_) => None,
    });
    Some(std::iter::once(path.to_owned()).chain(components).collect())
}

/// The text of a configuration file and what it says.
///
/// # Errors
/// Each problem as a text that says where and what would be right.
pub fn parse(path: &Path) -> Result<(String, Config), Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
    let dir = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
    let source = Source { name: path.display().to_string(), dir, text };
    match config::parse(&source) {
        Ok(config) => Ok((source.text, config)),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

fn same(one: &PluginSpec, other: &PluginSpec) -> bool {
    one.wasm == other.wasm
        && one.config == other.config
        && one.limits == other.limits
        && one.on_failure == other.on_failure
}

fn spec(config: &PluginConfig, wasm: &Arc<[u8]>) -> PluginSpec {
    PluginSpec {
        name: Arc::clone(&config.name),
        origin: origin(&config.component),
        wasm: Arc::clone(wasm),
        config: config.config.as_json().to_string(),
        limits: config.limits,
        on_failure: config.on_failure,
    }
}

fn origin(component: &Component) -> String {
    match component {
        Component::Builtin(name) => format!("builtin:{name}"),
        Component::File(path) => path.display().to_string(),
    }
}

fn component(plugin: &PluginConfig) -> Result<Arc<[u8]>, String> {
    let wasm: Arc<[u8]> = match &plugin.component {
        Component::Builtin(name) => policy::builtin(name)
            .ok_or_else(|| {
                let names: Vec<_> = policy::builtin_names().map(|name| format!("builtin:{name}")).collect();
                format!("there is no `builtin:{name}`; there are {}", names.join(", "))
            })?
            .into(),
        Component::File(path) => fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?.into(),
    };
    match plugin.sha256 {
        Some(pin) if policy::sha256(&wasm) != pin => Err(format!(
            "{} hashes to {}, but `sha256` pins {}",
            origin(&plugin.component),
            policy::hex(&policy::sha256(&wasm)),
            policy::hex(&pin)
        )),
        _ => Ok(wasm),
    }
}
