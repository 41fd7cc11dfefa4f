//! The composition root: starts everything, applies reloads, drains.
//!
//! [`App::start`] holds every address before it accepts on any. From then on one task each owns a listener, the admin
//! address and the reloads; all of them end with [`App::stop`].

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    admin,
    candidate::{Candidate, Paths},
    config,
    drain::{Cut, Drain, Orders},
    fetch::{Fetcher, Look},
    generation::{Generation, Population},
    handover::Sockets,
    http::{Switchboard, hooks, session::Sessions},
    listener,
    metrics::Metrics,
    policy::PolicyHost,
    relay::Relay,
    reload::{self, Control},
    rendezvous::Registry,
    upstream::pool::Pool,
};

/// Longest time that what was cut may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the proxy is started with.
#[derive(Debug)]
pub struct Options {
    /// The configuration.
    pub paths: Paths,
    /// Where compiled policies and fetched components are kept; none compiles and fetches anew at every start.
    pub code_cache: Option<PathBuf>,
    /// What a service manager has bound for us.
    pub handed_over: Sockets,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or a plugin was refused.
    #[error("{}", config::Problem::shown(.0))]
    Configuration(Vec<config::Problem>),
    /// Addresses could not be had.
    #[error("{}", config::Problem::shown(.0))]
    Bind(Vec<config::Problem>),
    /// The WebAssembly engine could not be started.
    #[error("{0}")]
    Engine(String),
    /// The threads that move frames could not be started.
    #[error("cannot start the threads of the relay: {0}")]
    Relay(#[source] io::Error),
}

/// A running proxy.
pub struct App {
    control: Arc<Control>,
    admin: Option<SocketAddr>,
    /// Answers until everything else has ended.
    _admin: Option<AbortOnDropHandle<()>>,
}

impl Drop for App {
    fn drop(&mut self) {
        // Who accepts there holds what it accepts for, and with it the relay.
        self.control.board.relay.stop();
    }
}

impl App {
    /// Loads the configuration and its policies, takes every address, then begins to accept.
    ///
    /// # Errors
    /// [`StartError`]; nothing was accepted then.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let host = PolicyHost::start(options.code_cache.as_deref()).map_err(StartError::Engine)?;
        let refused = StartError::Configuration;
        let fetcher = Fetcher::new(options.code_cache.as_deref());
        let candidate = Candidate::gather(&options.paths, &fetcher, Look::Again).await.map_err(refused)?;
        let population = Population::default();
        let mut metrics = Metrics::new();
        let generation = Generation::build(Arc::new(candidate), &host, None, &population, &metrics).await;
        let generation = generation.map_err(refused)?;
        reload::warn(&generation, None);
        host.serve();
        host.in_use(&generation.plugins.values().cloned().collect::<Vec<_>>());
        host.serve_dumps(&generation.config.plugins);
        host.serve_services(generation.config.services.values().map(AsRef::as_ref));
        let config = Arc::clone(&generation.config);
        let mut handed_over = options.handed_over;
        let file = options.paths.config.display().to_string();
        let nobodys = |problem| config::Problem::of_file(&file, problem);
        handed_over.belong_to(&config).map_err(|problems| refused(problems.into_iter().map(nobodys).collect()))?;
        let admin = config
            .admin
            .map(|address| listener::bind_or_take(address, "`admin.address`", handed_over.take_admin(&config)));
        let admin = admin.transpose();
        let candidate = Arc::clone(&generation.candidate);
        let admin = admin
            .map_err(|error| StartError::Bind(vec![candidate.places.of_process("admin.address", error.to_string())]))?;
        let relay = Relay::start(config.workers).map_err(StartError::Relay)?;
        let control = Arc::new_cyclic(|control| {
            metrics.serve_routes(generation.routes.iter().map(|route| (&route.config.name, route.mode())));
            metrics.add(admin::Live::new(control.clone()));
            let drain = Drain::default();
            drain.ring(relay.ring_errands());
            let sessions = Sessions::start(&drain, &metrics);
            let board = Arc::new(Switchboard {
                pool: Pool::new(drain.clone()),
                current: ArcSwap::from_pointee(generation),
                registry: Arc::new(Registry::default()),
                metrics: Arc::new(metrics),
                sessions,
                drain,
                relay,
            });
            Control::new(board, host, fetcher, population, options.paths)
        });
        let prepared = control.listeners.prepare(&config.listeners, &mut handed_over, &control.board.relay);
        let prepared = prepared.map_err(|errors| StartError::Bind(reload::unbound(&candidate, &errors)))?;
        control.listeners.commit(prepared, &control.board);
        let drain = &control.board.drain;
        drain.spawn(reload::watch(Arc::clone(&control)));
        drain.spawn(hooks::follow(Arc::clone(&control.board)));
        let admin_address = admin.as_ref().and_then(|socket| socket.local_addr().ok());
        let admin = admin.map(|socket| drain.spawn_beside(admin::serve(Arc::clone(&control), socket)));
        Ok(Self { admin: admin_address, _admin: admin, control })
    }

    /// Where it listens, by name.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.control.listeners.addresses()
    }

    /// The admin address.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What reloads and the admin address work with.
    #[must_use]
    pub const fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Stops: readiness ends, after `drain.delay` no more accepts, waiting legs closed at once, joined ones over
    /// `drain.spread`, the rest cut at `drain.grace`. `hurry` ends all of it at once. Tells how many legs and plain
    /// requests were cut; none if nothing had to be.
    pub async fn stop(self, hurry: impl Future<Output = ()>) -> Option<usize> {
        let board = &self.control.board;
        let drain = &board.drain;
        drain.announce();
        // A reload may change it until then; afterwards there is none.
        let begin = || {
            let config::Drain { grace, spread, close_code, .. } = board.current.load().config.drain;
            drain.begin(Orders { spread, close_code });
            grace
        };
        let in_order = async {
            tokio::time::sleep(board.current.load().config.drain.delay).await;
            let grace = begin();
            let shown = config::shown_duration(grace);
            tracing::info!(legs = board.sessions.len(), grace = shown, "no more connections are accepted");
            drain.finish(grace).await
        };
        let why = tokio::select! {
            clean = in_order => if clean { return None } else { Cut::Grace },
            () = hurry => Cut::Hurry,
        };
        let left = board.metrics.present();
        // In this order: whoever learns that we stop knows that there is no time left.
        drain.cut(why);
        begin();
        // Nobody is waited for any more; this is for the last words of what was cut.
        if !drain.finish(LAST_WORDS).await {
            tracing::warn!(tasks = drain.tasks(), "some tasks have not ended");
        }
        Some(left).filter(|left| *left > 0)
    }
}
