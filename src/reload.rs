//! Reloads: from files that changed to a generation that serves, or to the reasons why it does not.
//!
//! One candidate at a time, all or nothing. It is built beside the generation that serves; publishing is one pointer
//! swap, so no handshake waits for it and none sees half of it. A refused candidate leaves only its reasons, in the log,
//! at `/generation` and in a counter.
//!
//! What was published is [remembered](Record). A [rollback](Control::rollback) publishes it again, under a new number, and
//! pins it: what the files say after that is loaded and shown and does not serve before [`Control::resume`].

mod history;
mod watch;

use std::{
    fmt::Display,
    path::PathBuf,
    sync::{Arc, Mutex as Lock, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep},
};

use self::history::History;
pub use self::{
    history::{Record, Why},
    watch::watch,
};
use crate::{
    candidate::{Candidate, Paths},
    config::{Problem, diff::Change},
    generation::{Generation, Population},
    handover::Sockets,
    http::Switchboard,
    listener::{Listeners, Prepared},
    policy::PolicyHost,
};

/// How long a candidate is waited for whose parts do not fit together yet: a component that is not what `sha256` pins, a
/// hash that was announced.
const COMPLETE_WITHIN: Duration = Duration::from_secs(10);

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
    paths: Paths,
    /// One candidate at a time.
    reloading: Mutex<()>,
    state: Lock<State>,
    /// What a reload waits for.
    waits: ArcSwapOption<&'static str>,
    /// After each publication.
    published: Notify,
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

/// A candidate that was refused while the generation before it serves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it would have been.
    pub hash: Option<String>,
    /// Why.
    pub problems: Vec<String>,
}

/// A candidate that could serve, were it not for the pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What it is.
    pub hash: String,
    /// What it would change.
    pub changes: Vec<Change>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It serves, under this number.
    Applied(u64),
    /// It is what serves already.
    Unchanged,
    /// It could serve, but what serves is pinned.
    Pinned(Arc<Pending>),
    /// Nothing changed but the record of why.
    Refused(Arc<Refused>),
}

impl Reloaded {
    /// For metrics, logs and answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Unchanged => "unchanged",
            Self::Pinned(_) => "pinned",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why there is no rollback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRollback {
    /// It is not remembered.
    #[error("generation {0} is not remembered; there are {1}")]
    Unknown(u64, String),
    /// Nothing else served before.
    #[error("nothing else has served before generation {0} that is remembered")]
    Nothing(u64),
    /// It is what serves.
    #[error("generation {0} is what serves already")]
    Serves(u64),
}

/// Everything there is to know, at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Oldest first; the last one serves.
    pub records: Vec<Record>,
    /// The last refused candidate, if nothing was applied since.
    pub refused: Option<Arc<Refused>>,
    /// Whether what serves is pinned.
    pub pinned: bool,
    /// What would serve without the pin.
    pub pending: Option<Arc<Pending>>,
    /// What a reload waits for, if one does.
    pub waits: Option<&'static str>,
}

impl Control {
    /// Of a proxy whose board holds its first generation, read from `paths`.
    #[must_use]
    pub fn new(board: Arc<Switchboard>, host: PolicyHost, population: Population, paths: Paths) -> Self {
        let control = Self {
            board,
            host,
            population,
            listeners: Listeners::default(),
            paths,
            reloading: Mutex::new(()),
            state: Lock::default(),
            waits: ArcSwapOption::empty(),
            published: Notify::new(),
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
            waits: self.waits.load().as_deref().copied(),
        }
    }

    /// Reads the files and, if they differ from what serves, builds a generation beside it and publishes it. With `hash`
    /// only what hashes to that; until the files do, they are read again for ten seconds.
    pub async fn reload(&self, why: Why, hash: Option<&str>) -> Reloaded {
        let _one = self.reloading.lock().await;
        self.look_again(why, hash).await
    }

    /// Publishes again what served under `number`, by default what served before, and pins it.
    ///
    /// # Errors
    /// [`NoRollback`]; nothing has changed then.
    pub async fn rollback(&self, number: Option<u64>) -> Result<Reloaded, NoRollback> {
        let _one = self.reloading.lock().await;
        let current = self.board.current.load_full();
        let (number, candidate) = {
            let state = self.state();
            let record = match number {
                Some(number) => state.history.get(number).ok_or_else(|| {
                    let known: Vec<_> = state.history.records().map(|record| record.number.to_string()).collect();
                    NoRollback::Unknown(number, known.join(", "))
                })?,
                None => state.history.before().ok_or(NoRollback::Nothing(current.number))?,
            };
            (record.number, Arc::clone(&record.candidate))
        };
        if candidate.hash() == current.hash() {
            return Err(NoRollback::Serves(number));
        }
        let changes = candidate.changes(&current.candidate);
        let reloaded = match self.build(Arc::clone(&candidate), &current, &changes).await {
            Ok((generation, prepared)) => {
                self.publish(generation, prepared, Why::Rollback(number), changes);
                let mut state = self.state();
                state.pinned = true;
                state.pending = None;
                tracing::warn!(
                    generation = self.board.current.load().number,
                    "rolled back to generation {number}; changes of the files do not serve before a resume"
                );
                Reloaded::Applied(self.board.current.load().number)
            }
            // Of what the files say nothing is known by that.
            Err(problems) => {
                self.let_go();
                self.board.metrics.reloaded("refused");
                tracing::error!(
                    generation = current.number,
                    "generation {number} cannot serve again: {}",
                    problems.join("; ")
                );
                Reloaded::Refused(Arc::new(Refused { hash: Some(candidate.hash().to_owned()), problems }))
            }
        };
        self.count(&reloaded);
        Ok(reloaded)
    }

    /// Takes the pin away; what the files say serves again.
    pub async fn resume(&self) -> Reloaded {
        let _one = self.reloading.lock().await;
        let pinned = {
            let mut state = self.state();
            state.pending = None;
            std::mem::take(&mut state.pinned)
        };
        if pinned {
            tracing::info!("the pin of the rollback is taken away");
        }
        self.look_again(Why::Resume, None).await
    }

    async fn look_again(&self, why: Why, hash: Option<&str>) -> Reloaded {
        let reloaded = match self.read(hash).await {
            Ok(candidate) => self.take_up(candidate, why).await,
            Err(problems) => self.refuse(None, problems),
        };
        self.count(&reloaded);
        reloaded
    }

    fn count(&self, reloaded: &Reloaded) {
        // Whoever refuses it knows whether it is a new one.
        if !matches!(reloaded, Reloaded::Refused(_)) {
            self.board.metrics.reloaded(reloaded.name());
        }
    }

    /// Reads the files; waits for what does not fit together yet.
    async fn read(&self, hash: Option<&str>) -> Result<Candidate, Vec<String>> {
        let end = Instant::now() + COMPLETE_WITHIN;
        loop {
            // Reading may block; the files are small and the page cache warm, but a component can have megabytes.
            let paths = self.paths.clone();
            let read = tokio::task::spawn_blocking(move || Candidate::read(&paths)).await;
            if let Ok(Ok(candidate)) = &read {
                self.files_are(candidate);
            }
            let problems = match (read, hash) {
                (Ok(Ok(candidate)), _) if candidate.is_incomplete() => texts(candidate.unread()),
                (Ok(Ok(candidate)), Some(hash)) if candidate.hash() != hash => {
                    vec![format!(
                        "{}: the files hash to {}, not to {hash}",
                        self.paths.config.display(),
                        candidate.hash()
                    )]
                }
                (Ok(Ok(candidate)), _) => return Ok(candidate),
                (Ok(Err(problems)), _) => return Err(texts(&problems)),
                (Err(error), _) => return Err(vec![error.to_string()]),
            };
            let quiet = self.board.current.load().config.reload.quiet;
            if Instant::now() + quiet >= end || self.board.drain.is_announced() {
                return Err(problems);
            }
            let _waits = self.wait_for("files that do not have the hash yet that was announced", &problems);
            sleep(quiet).await;
        }
    }

    /// Publishes a candidate if it may be.
    async fn take_up(&self, mut candidate: Candidate, why: Why) -> Reloaded {
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
            return Reloaded::Unchanged;
        }
        let pinned = {
            let state = self.state();
            state.history.records().for_each(|record| candidate.share(&record.candidate));
            let known = state.pending.clone().filter(|pending| pending.hash == candidate.hash());
            if let Some(pending) = known {
                return Reloaded::Pinned(pending);
            }
            state.pinned
        };
        let changes = candidate.changes(&current.candidate);
        let hash = candidate.hash().to_owned();
        match self.build(Arc::new(candidate), &current, &changes).await {
            Err(problems) => self.refuse(Some(hash), problems),
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
                Reloaded::Applied(number)
            }
        }
    }

    /// Everything that can fail.
    async fn build(
        &self,
        candidate: Arc<Candidate>,
        current: &Generation,
        changes: &[Change],
    ) -> Result<(Generation, Prepared), Vec<String>> {
        if self.board.drain.is_announced() {
            return Err(vec!["the proxy is stopping".to_owned()]);
        }
        let restart: Vec<_> = changes.iter().flat_map(Change::needs_restart).collect();
        if !restart.is_empty() {
            return Err(restart.iter().map(|key| format!("a change of `{key}` needs a restart")).collect());
        }
        let most = candidate.config.reload.generations;
        if self.population.alive() >= most {
            let why = "one of as many generations as `reload.generations` allows to be let go";
            let _waits = self.wait_for(why, &[]);
            tokio::select! {
                () = self.population.fewer_than(most) => {}
                () = self.board.drain.begun() => return Err(vec!["the proxy is stopping".to_owned()]),
            }
        }
        let listeners = candidate.config.listeners.clone();
        let generation = Generation::build(candidate, &self.host, Some(current), &self.population).await;
        let generation = generation.map_err(|problems| texts(&problems))?;
        // Last, so that no address is held for a candidate that is refused.
        let errors = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let prepared = self.listeners.prepare(&listeners, &mut Sockets::default()).map_err(errors)?;
        Ok((generation, prepared))
    }

    /// Makes known that a reload waits, for as long as the result lives.
    fn wait_for(&self, what: &'static str, problems: &[String]) -> impl Drop + use<'_> {
        struct Waits<'a>(&'a Control);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.waits.store(None);
            }
        }
        if self.waits.swap(Some(Arc::new(what))).is_none() {
            tracing::warn!(problems = listed(problems), "a reload waits for {what}");
        }
        Waits(self)
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
        self.board.current.store(generation);
        self.listeners.commit(prepared, &self.board);
        self.host.in_use(&plugins);
        self.published.notify_one();
    }

    /// Lets go of plugins that were loaded for what does not serve.
    fn let_go(&self) {
        let current = self.board.current.load();
        self.host.in_use(&current.plugins.values().cloned().collect::<Vec<_>>());
    }

    fn refuse(&self, hash: Option<String>, problems: Vec<String>) -> Reloaded {
        let refused = Arc::new(Refused { hash, problems });
        self.let_go();
        // Any event in a watched folder leads here, also while nobody has mended what was refused.
        if self.state().refused.replace(Arc::clone(&refused)).as_ref() == Some(&refused) {
            self.board.metrics.reloaded("unchanged");
            return Reloaded::Refused(refused);
        }
        self.board.metrics.reloaded("refused");
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
