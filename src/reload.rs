//! Reloads: from files that changed to a generation that serves, or to the reasons why it does not.
//!
//! One candidate at a time, all or nothing. It is built beside the generation that serves; publishing is one pointer
//! swap, so no handshake waits for it and none sees half of it. A refused candidate leaves only its reasons, in the log,
//! at `/generation` and in a counter.
//!
//! What was published is [remembered](Record). A [rollback](Control::rollback) publishes it again, under a new number, and
//! pins it: what the files say after that is loaded and shown and does not serve before [`Control::resume`].

mod history;
mod outcome;
mod turns;
mod waits;
mod watch;

use std::{
    fmt::Display,
    path::PathBuf,
    sync::{Arc, Mutex as Lock, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};

use self::{
    history::History,
    turns::{NoRoom, Unbuilt},
    waits::Waits,
};
pub use self::{
    history::{Record, Why},
    outcome::{NoRollback, Overview, Pending, Refused, Reloaded},
    watch::watch,
};
use crate::{
    candidate::{Candidate, Paths},
    config::{PluginConfig, Problem, diff::Change},
    fetch::{Fetcher, Supply},
    generation::{Generation, Population},
    handover::Sockets,
    http::Switchboard,
    listener::{BindError, Listeners, Prepared},
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
    /// Who accepts.
    pub listeners: Listeners,
    /// Fetches components.
    pub fetcher: Fetcher,
    paths: Paths,
    /// One candidate at a time.
    reloading: Mutex<()>,
    state: Lock<State>,
    /// What a reload waits for.
    waits: Waits,
    /// After each publication.
    published: Notify,
    /// When components that are not pinned were looked at last.
    refreshed: Lock<Instant>,
    /// What the configuration was read from that could be read last, served or refused: what must be watched.
    files: Lock<Vec<PathBuf>>,
}

/// What is known besides what serves.
#[derive(Debug, Default)]
struct State {
    history: History,
    /// The last refused candidate, none once a later one was applied.
    refused: Option<Arc<Refused>>,
    /// Whether what serves was pinned by a rollback.
    pinned: bool,
    /// What would serve without the pin.
    pending: Option<Arc<Pending>>,
}

impl Control {
    /// Of a proxy whose board holds its first generation, read from `paths`.
    #[must_use]
    pub fn new(
        board: Arc<Switchboard>,
        host: PolicyHost,
        fetcher: Fetcher,
        population: Population,
        paths: Paths,
    ) -> Self {
        let control = Self {
            board,
            host,
            population,
            listeners: Listeners::default(),
            fetcher,
            paths,
            reloading: Mutex::new(()),
            state: Lock::default(),
            waits: Waits::default(),
            published: Notify::new(),
            refreshed: Lock::new(Instant::now()),
            files: Lock::default(),
        };
        let first = control.board.current.load_full();
        control.files_are(&first.candidate);
        control.state().remember(&first, Why::Start, Vec::new());
        control
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files_are(&self, candidate: &Candidate) {
        candidate.files().clone_into(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let state = self.state();
        Overview {
            records: state.history.records().cloned().collect(),
            refused: state.refused.clone(),
            pinned: state.pinned,
            pending: state.pending.clone(),
            waits: self.waits.what(),
        }
    }

    fn count(&self, reloaded: &Reloaded) {
        // Whoever refuses it knows whether it is a new one.
        if !matches!(reloaded, Reloaded::Refused(_)) {
            self.board.metrics.reloaded(reloaded.name());
        }
    }

    async fn read(&self, supply: &Arc<Supply>) -> Result<Candidate, Vec<String>> {
        // Reading may block; the files are small and the page cache warm, but a component can have megabytes.
        let (paths, supply) = (self.paths.clone(), Arc::clone(supply));
        match tokio::task::spawn_blocking(move || Candidate::read(&paths, &supply)).await {
            Ok(Ok(candidate)) => {
                self.files_are(&candidate);
                Ok(candidate)
            }
            Ok(Err(problems)) => Err(texts(&problems)),
            Err(error) => Err(vec![error.to_string()]),
        }
    }

    fn refreshed(&self) -> Instant {
        *self.refreshed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what serves and is not pinned: whether it is another thing now.
    async fn refresh(&self) -> bool {
        let current = self.board.current.load_full();
        let known = |plugin: &PluginConfig| current.candidate.sha256(&plugin.name);
        let differs = self.fetcher.differs(&current.config, &current.candidate.secrets, known).await;
        *self.refreshed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        differs
    }

    /// Publishes a candidate if it may be. The error: there are as many generations as there may be.
    async fn take_up(&self, mut candidate: Candidate, why: Why) -> Result<Reloaded, NoRoom> {
        let current = self.board.current.load_full();
        if candidate.hash() == current.hash() {
            let mut state = self.state();
            state.pending = None;
            if state.refused.take().is_some() {
                tracing::info!(
                    generation = current.number,
                    "the files are again those of generation {}",
                    current.number
                );
            }
            return Ok(Reloaded::Unchanged);
        }
        let pinned = {
            let mut state = self.state();
            state.history.records().for_each(|record| candidate.share(&record.candidate));
            let known = state.pending.clone().filter(|pending| pending.hash == candidate.hash());
            if let Some(pending) = known {
                state.refused = None;
                return Ok(Reloaded::Pinned(pending));
            }
            state.pinned
        };
        let changes = candidate.changes(&current.candidate);
        let hash = candidate.hash().to_owned();
        Ok(match self.build(Arc::new(candidate), &current, &changes).await {
            Err(Unbuilt::NoRoom(full)) => return Err(full),
            Err(Unbuilt::Wrong(problems)) => self.refuse(Some(hash), problems),
            Ok(built) if pinned => {
                drop(built);
                self.let_go();
                tracing::warn!(
                    generation = current.number,
                    candidate = short(&hash),
                    changes = listed(&changes),
                    "a change of the files could serve, but generation {} is pinned; resume to take it up",
                    current.number
                );
                let pending = Arc::new(Pending { hash, changes });
                let mut state = self.state();
                (state.pending, state.refused) = (Some(Arc::clone(&pending)), None);
                Reloaded::Pinned(pending)
            }
            Ok((generation, prepared)) => {
                let number = generation.number;
                self.publish(generation, prepared, why, changes);
                self.prune().await;
                Reloaded::Applied(number)
            }
        })
    }

    /// Everything that can fail.
    async fn build(
        &self,
        candidate: Arc<Candidate>,
        current: &Generation,
        changes: &[Change],
    ) -> Result<(Generation, Prepared), Unbuilt> {
        if self.board.drain.is_announced() {
            return Err(Unbuilt::Wrong(vec!["the proxy is stopping".to_owned()]));
        }
        let restart: Vec<_> = changes.iter().flat_map(Change::needs_restart).collect();
        if !restart.is_empty() {
            let why = |key: &String| {
                candidate.places.of_process(key, format!("a change of `{key}` needs a restart")).to_string()
            };
            return Err(Unbuilt::Wrong(restart.iter().map(why).collect()));
        }
        let rules = &candidate.config.reload;
        if self.population.alive() >= rules.generations {
            return Err(Unbuilt::NoRoom(NoRoom::of(rules)));
        }
        let (population, metrics) = (&self.population, &self.board.metrics);
        let generation =
            Generation::build(Arc::clone(&candidate), &self.host, Some(current), population, metrics).await;
        let generation = generation.map_err(|problems| Unbuilt::Wrong(texts(&problems)))?;
        // Last, so that no address is held for a candidate that is refused.
        let prepared = self.listeners.prepare(&candidate.config.listeners, &mut Sockets::default(), &self.board.relay);
        let prepared = prepared.map_err(|errors| Unbuilt::Wrong(texts(&unbound(&candidate, &errors))))?;
        Ok((generation, prepared))
    }

    fn publish(&self, generation: Generation, prepared: Prepared, why: Why, changes: Vec<Change>) {
        let plugins: Vec<_> = generation.plugins.values().cloned().collect();
        tracing::info!(
            generation = generation.number,
            hash = short(generation.hash()),
            why = %why,
            changes = listed(&changes),
            plugins = %plugins
                .iter()
                .map(|plugin| format!("{}@{}", plugin.name(), plugin.identity()))
                .collect::<Vec<_>>()
                .join(" "),
            "a new generation serves"
        );
        warn(&generation, Some(&self.board.current.load()));
        self.board.metrics.serve_routes(generation.routes.iter().map(|route| (&route.config.name, route.mode())));
        let generation = Arc::new(generation);
        self.state().remember(&generation, why, changes);
        // Whoever is asked under it finds its services.
        self.host.serve_dumps(&generation.config.plugins);
        self.host.serve_services(generation.config.services.values().map(AsRef::as_ref));
        self.board.current.store(Arc::clone(&generation));
        self.board.sessions.swapped(&generation);
        self.listeners.commit(prepared, &self.board);
        self.host.in_use(&plugins);
        self.board.sessions.follow();
        self.fetcher.serves(&generation.config);
        self.published.notify_one();
    }

    /// Lets go of fetched components that nothing that is remembered is made of.
    async fn prune(&self) {
        let used = self.state().history.records().flat_map(|record| record.candidate.hashes()).collect();
        self.fetcher.prune(used).await;
    }

    /// Lets go of plugins that were loaded for what does not serve.
    fn let_go(&self) {
        let current = self.board.current.load();
        self.host.in_use(&current.plugins.values().cloned().collect::<Vec<_>>());
    }

    fn refuse(&self, hash: Option<String>, problems: Vec<String>) -> Reloaded {
        self.let_go();
        // Any event in a watched folder leads here, also while nobody has mended what was refused.
        let known = self.state().refused.clone();
        if let Some(known) = known.filter(|known| (&known.hash, &known.problems) == (&hash, &problems)) {
            self.board.metrics.reloaded("unchanged");
            return Reloaded::Refused(known);
        }
        let refused = Arc::new(Refused { since: SystemTime::now(), hash, problems });
        self.state().refused = Some(Arc::clone(&refused));
        self.board.metrics.reloaded("refused");
        let (serving, candidate) = (self.board.current.load().number, refused.hash.as_deref().map(short));
        tracing::error!(
            generation = serving,
            candidate,
            problems = refused.problems.len(),
            "the changed configuration was refused; generation {serving} serves on"
        );
        for problem in &refused.problems {
            tracing::error!(generation = serving, candidate, "refused: {}", in_one_line(problem));
        }
        Reloaded::Refused(refused)
    }
}

impl State {
    fn remember(&mut self, generation: &Generation, why: Why, changes: Vec<Change>) {
        let record = Record {
            number: generation.number,
            since: generation.since,
            why,
            changes,
            candidate: Arc::clone(&generation.candidate),
        };
        self.history.push(record, generation.config.reload.history);
        self.refused = None;
    }
}

/// Addresses that cannot be had, with their places in the file.
#[must_use]
pub fn unbound(candidate: &Candidate, errors: &[(usize, BindError)]) -> Vec<Problem> {
    errors.iter().map(|(place, error)| candidate.places.address(*place, error.to_string())).collect()
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Logs what is unlikely about a generation and was not so about the one before it.
pub fn warn(generation: &Generation, before: Option<&Generation>) {
    let known = |warning: &Problem| {
        let same = |old: &Problem| (&old.key, &old.message) == (&warning.key, &warning.message);
        before.is_some_and(|before| before.warnings.iter().any(same))
    };
    for warning in generation.warnings.iter().filter(|warning| !known(warning)) {
        tracing::warn!(generation = generation.number, "{}", in_one_line(&warning.to_string()));
    }
}

/// A problem as a log line: what and where, and the hint, without the excerpt between them.
fn in_one_line(problem: &str) -> String {
    let hints = problem.lines().skip(1).filter_map(|line| line.trim_start().strip_prefix("= "));
    problem.lines().take(1).chain(hints).collect::<Vec<_>>().join("; ")
}

/// Problems as a field of a log line.
fn in_one_field(problems: &[String]) -> String {
    problems.iter().map(|problem| in_one_line(problem)).collect::<Vec<_>>().join("; ")
}

fn listed<T: Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// First digits of a hash, for logs.
#[must_use]
pub fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// A time as seconds of the Unix epoch.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
