//! Reloads: from files that changed to a generation that serves, or to the reasons why it does not.
//!
//! One candidate at a time, all or nothing. It is built beside the generation that serves; publishing is one pointer
//! swap, so no handshake waits for it and none sees half of it. A refused candidate leaves only its reasons, in the log,
//! at `/generation` and in a counter.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use crate::{
    config::{Config, watch::Watcher},
    generation::{self, Candidate, Generation, Population},
    http::Switchboard,
    policy::PolicyHost,
};

/// What reloads and the admin address work with.
pub struct Control {
    /// What connections share.
    pub board: Arc<Switchboard>,
    /// Loads policies.
    pub host: PolicyHost,
    /// Generations in memory.
    pub population: Population,
    path: PathBuf,
    /// The last refused candidate, none once a later one was applied.
    refused: ArcSwapOption<Refused>,
    /// One candidate at a time.
    reloading: Mutex<()>,
}

/// A candidate that was refused while the generation before it serves on.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Control {
    /// Of a proxy whose board holds its first generation, read from `path`.
    #[must_use]
    pub fn new(board: Arc<Switchboard>, host: PolicyHost, population: Population, path: PathBuf) -> Self {
        Self { board, host, population, path, refused: ArcSwapOption::empty(), reloading: Mutex::new(()) }
    }

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
                if self.refused.swap(None).is_some() {
                    let serving = self.board.current.load().number;
                    tracing::info!(generation = serving, "the files are again those of generation {serving}");
                }
                ("unchanged", Reloaded::Unchanged)
            }
            // Any event in a watched folder leads here, also while nobody has mended what was refused.
            Err(refused) if self.refused.load().as_deref() == Some(&refused) => ("unchanged", Reloaded::Refused),
            Err(refused) => {
                let serving = self.board.current.load().number;
                tracing::error!(
                    generation = serving,
                    candidate = refused.hash.as_deref().map(short),
                    problems = refused.problems.len(),
                    "the changed configuration was refused; generation {serving} serves on"
                );
                for problem in &refused.problems {
                    tracing::error!(generation = serving, "refused: {}", in_one_line(problem));
                }
                self.refused.store(Some(Arc::new(refused)));
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
        self.board.metrics.serve_routes(generation.routes.iter().map(|route| (&route.config.name, route.mode())));
        self.board.current.store(Arc::new(generation));
        self.refused.store(None);
        self.host.in_use(&plugins);
    }

    /// The last refused candidate, if nothing was applied since.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.refused.load_full()
    }
}

/// A problem as a log line: what and where, and the hint, without the excerpt between them.
fn in_one_line(problem: &str) -> String {
    let hints = problem.lines().skip(1).filter_map(|line| line.trim_start().strip_prefix("= "));
    problem.lines().take(1).chain(hints).collect::<Vec<_>>().join("; ")
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

/// Reloads whenever a file of the configuration changes, until we stop.
pub async fn watch(control: Arc<Control>, mut files: Vec<PathBuf>) {
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
        let quiet = control.board.current.load().config.reload.quiet;
        if !std::mem::take(&mut first) {
            tokio::select! {
                () = watcher.changed(quiet) => {}
                () = control.board.drain.begun() => return,
            }
        }
        control.reload().await;
        // A refused candidate may name new files; they are watched too, so that completing one of them is noticed.
        if let Some(named) = generation::files(&control.path) {
            files = named;
        }
        watcher.watch(&files);
    }
}
