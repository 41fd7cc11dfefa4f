//! The composition root: starts everything, applies reloads, drains.
//!
//! [`App::start`] holds every address before it accepts on any. From then on one task each owns a listener, the admin
//! address and the reloads; all of them end with [`App::stop`].

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    admin,
    config::{self, Config, watch::Watcher},
    drain::Drain,
    generation::{self, Candidate, Generation, Population},
    http::{Switchboard, session::Sessions},
    listener::{self, BindError, Bound},
    metrics::Metrics,
    policy::PolicyHost,
    rendezvous::Registry,
};

/// What the proxy is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Where compiled policies are kept; none compiles anew at every start.
    pub code_cache: Option<PathBuf>,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or a plugin was refused.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// An address could not be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The WebAssembly engine could not be started.
    #[error("{0}")]
    Engine(String),
}

/// A running proxy.
pub struct App {
    shared: Arc<Shared>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    admin: Option<SocketAddr>,
    /// Answers until everything else has ended.
    _admin: Option<AbortOnDropHandle<()>>,
}

/// What reloads and the admin address work with.
pub struct Shared {
    /// What connections share.
    pub board: Arc<Switchboard>,
    /// Loads policies.
    pub host: PolicyHost,
    /// Generations in memory.
    pub population: Population,
    path: PathBuf,
    /// The last refused candidate, none once a later one was applied.
    refused: watch::Sender<Option<Refused>>,
    /// One candidate at a time.
    reloading: Mutex<()>,
}

/// A candidate that was refused while the generation before it serves on.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What it would have been.
    pub hash: Option<String>,
    /// Why.
    pub problems: Vec<String>,
}

/// What became of a candidate.
#[derive(Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It serves, under this number.
    Applied(u64),
    /// It is what serves already.
    Unchanged,
    /// Nothing changed but the record of why.
    Refused,
}

impl App {
    /// Loads the configuration and its policies, takes every address, then begins to accept.
    ///
    /// # Errors
    /// [`StartError`]; nothing was accepted then.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let host = PolicyHost::start(options.code_cache.as_deref()).map_err(StartError::Engine)?;
        let candidate = Candidate::read(&options.config).map_err(StartError::Configuration)?;
        let files = candidate.files().to_vec();
        let population = Population::default();
        let generation = candidate.build(&host, None, &population).await.map_err(StartError::Configuration)?;
        let bound = generation.config.listeners.iter().map(Bound::bind).collect::<Result<Vec<_>, _>>()?;
        let admin = generation.config.admin.map(|address| listener::bind(address, "`admin.address`")).transpose()?;
        let shared = Arc::new_cyclic(|shared| {
            let mut metrics = Metrics::new();
            metrics.add(admin::Live::new(shared.clone()));
            let board = Arc::new(Switchboard {
                current: ArcSwap::from_pointee(generation),
                registry: Arc::new(Registry::default()),
                metrics: Arc::new(metrics),
                drain: Drain::default(),
                sessions: Sessions::default(),
            });
            Shared {
                board,
                host,
                population,
                path: options.config,
                refused: watch::Sender::new(None),
                reloading: Mutex::new(()),
            }
        });
        let addresses = bound.iter().map(|bound| (Arc::clone(bound.name()), bound.address())).collect();
        let drain = &shared.board.drain;
        if shared.board.current.load().config.reload.watch == config::Watch::Auto {
            drain.spawn(watch_files(Arc::clone(&shared), files));
        }
        for bound in bound {
            drain.spawn(bound.serve(Arc::clone(&shared.board)));
        }
        let admin_address = admin.as_ref().and_then(|socket| socket.local_addr().ok());
        let admin = admin.map(|socket| drain.spawn_beside(admin::serve(Arc::clone(&shared), socket)));
        Ok(Self { addresses, admin: admin_address, _admin: admin, shared })
    }

    /// Where it listens, by name.
    #[must_use]
    pub fn addresses(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.addresses
    }

    /// The admin address.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What reloads and the admin address work with.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Stops: no more accepts, waiting legs closed at once, joined ones over `drain.spread`, the rest cut at
    /// `drain.grace`. `hurry` ends the wait at once. False if something had to be cut.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> bool {
        let config = self.shared.board.current.load().config.drain;
        let drain = &self.shared.board.drain;
        drain.begin();
        tokio::select! {
            clean = drain.finish(config.grace) => clean,
            () = hurry => false,
        }
    }
}

impl Shared {
    /// Reads the files and, if they differ from what serves, builds a generation beside it and publishes it.
    pub async fn reload(&self) -> Reloaded {
        let _one = self.reloading.lock().await;
        let (result, outcome) = match self.candidate().await {
            Ok(Some(generation)) => {
                let number = generation.number;
                self.publish(generation);
                ("applied", Reloaded::Applied(number))
            }
            Ok(None) => {
                self.refused.send_replace(None);
                ("unchanged", Reloaded::Unchanged)
            }
            Err(refused) => {
                let serving = self.board.current.load().number;
                tracing::error!(
                    generation = serving,
                    candidate = refused.hash.as_deref().map(short),
                    "the changed configuration was refused; generation {serving} serves on\n{}",
                    refused.problems.join("\n")
                );
                self.refused.send_replace(Some(refused));
                ("refused", Reloaded::Refused)
            }
        };
        self.board.metrics.reloaded(result);
        outcome
    }

    async fn candidate(&self) -> Result<Option<Generation>, Refused> {
        // Reading may block; the files are small and the page cache warm, but a component can have megabytes.
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Candidate::read(&path)).await;
        let candidate = match read {
            Ok(Ok(candidate)) => candidate,
            Ok(Err(problems)) => return Err(Refused { hash: None, problems }),
            Err(error) => return Err(Refused { hash: None, problems: vec![error.to_string()] }),
        };
        let hash = candidate.hash().to_owned();
        let before = self.board.current.load_full();
        if hash == before.hash {
            return Ok(None);
        }
        let refuse = |problems| Refused { hash: Some(hash.clone()), problems };
        let restart = needs_restart(&before.config, &candidate.config);
        if !restart.is_empty() {
            return Err(refuse(restart));
        }
        candidate.build(&self.host, Some(&before), &self.population).await.map(Some).map_err(refuse)
    }

    fn publish(&self, generation: Generation) {
        let plugins: Vec<_> = generation.plugins.values().cloned().collect();
        tracing::info!(
            generation = generation.number,
            hash = short(&generation.hash),
            plugins = %plugins
                .iter()
                .map(|plugin| format!("{}@{}", plugin.name(), plugin.identity()))
                .collect::<Vec<_>>()
                .join(" "),
            "a new generation serves"
        );
        self.board.current.store(Arc::new(generation));
        self.refused.send_replace(None);
        self.host.in_use(&plugins);
    }

    /// The last refused candidate, if nothing was applied since.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.refused.borrow().clone()
    }
}

/// First digits of a hash, for logs.
#[must_use]
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// What a running proxy cannot change.
fn needs_restart(before: &Config, after: &Config) -> Vec<String> {
    let listeners = |config: &Config| {
        config.listeners.iter().map(|listener| (Arc::clone(&listener.name), listener.address)).collect::<Vec<_>>()
    };
    let changed = [
        ("listeners (names and addresses)", listeners(before) != listeners(after)),
        ("admin.address", before.admin != after.admin),
        ("log.format and log.level", (before.log.format, before.log.level) != (after.log.format, after.log.level)),
        ("reload.watch", before.reload.watch != after.reload.watch),
        ("workers", before.workers != after.workers),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| format!("a change of {key} needs a restart in this version"))
        .collect()
}

async fn watch_files(shared: Arc<Shared>, mut files: Vec<PathBuf>) {
    let watcher = match Watcher::new() {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "changes of the configuration will not be noticed");
            return;
        }
    };
    watcher.watch(&files);
    // Between reading and watching something may have changed.
    let mut first = true;
    loop {
        let quiet = shared.board.current.load().config.reload.quiet;
        if !std::mem::take(&mut first) {
            tokio::select! {
                () = watcher.changed(quiet) => {}
                () = shared.board.drain.begun() => return,
            }
        }
        shared.reload().await;
        // A refused candidate may name new files; they are watched too, so that completing one of them is noticed.
        if let Some(named) = generation::files(&shared.path) {
            files = named;
        }
        watcher.watch(&files);
    }
}
