//! The counters that events move, and the text that Prometheus reads.
//!
//! Names begin with `cordboard_`. Labels come from closed sets (routes of the configuration, modes, outcomes, causes):
//! never a channel, a service or a path. What belongs to a route is in [`routes`]; what can be counted by looking
//! (waiting legs, plugins, descriptors) is added by collectors at the scrape.

mod http;
pub mod routes;

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub use self::http::{Counted, Http};
use self::routes::{Account, Accounts};
use crate::{
    error::Cause,
    model::{Mode, Outcome},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByOutcome {
    mode: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCause {
    cause: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByWhy {
    why: &'static str,
}

/// What became of sessions whose plugins were asked again.
#[derive(Clone, Debug)]
pub struct Rechecks {
    /// They go on.
    pub kept: Counter,
    /// They were closed.
    pub closed: Counter,
    /// The plugin failed; what follows is its configuration's affair.
    pub failed: Counter,
}

/// Why a connection was closed without an answer, before an upgrade or behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing came within `establish`.
    Silent,
    /// The peer left in the middle of a head.
    Partial,
    /// No further request came within `idle`.
    Idle,
    /// No byte of a body came, or of an answer was taken, within `idle`.
    Stalled,
    /// The body of a request breaks the rules.
    BadBody,
}

impl Cut {
    const ALL: [Self; 5] = [Self::Silent, Self::Partial, Self::Idle, Self::Stalled, Self::BadBody];

    const fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Partial => "partial",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::BadBody => "bad-body",
        }
    }
}

/// The handles. Every one is an atomic; recording takes no lock but for the first use of a label, and for finding the
/// route of a request.
pub struct Metrics {
    registry: Registry,
    /// TCP connections accepted and neither upgraded nor ended.
    pub connections: Gauge,
    /// Connections ever accepted.
    pub accepted: Counter,
    /// Errors of accept, such as no descriptors left.
    pub accept_errors: Counter,
    /// Seconds from the head of an upgrade request to its 101.
    pub handshake_seconds: Histogram,
    cut: Family<ByWhy, Counter>,
    accounts: Arc<Accounts>,
    outcomes: Family<ByOutcome, Counter>,
    causes: Family<ByCause, Counter>,
    reloads: Family<ByResult, Counter>,
    swept: Family<ByResult, Counter>,
    rechecks: Family<ByResult, Counter>,
    /// Payload and header bytes received from all legs.
    pub bytes: Counter,
    /// Messages received from all legs.
    pub messages: Counter,
    /// Of plain requests.
    pub http: Http,
    /// Waiting legs whose `hold` was full.
    pub holds_filled: Counter,
    /// Legs that did not come to their end within `close`.
    pub closes_overdue: Counter,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("cordboard");
        let this = Self {
            connections: Gauge::default(),
            accepted: Counter::default(),
            accept_errors: Counter::default(),
            handshake_seconds: Histogram::new([
                0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
            ]),
            cut: Family::default(),
            accounts: Arc::default(),
            outcomes: Family::default(),
            causes: Family::default(),
            reloads: Family::default(),
            swept: Family::default(),
            rechecks: Family::default(),
            bytes: Counter::default(),
            messages: Counter::default(),
            http: Http::default(),
            holds_filled: Counter::default(),
            closes_overdue: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "connections",
            "TCP connections accepted and neither upgraded nor ended",
            this.connections.clone(),
        );
        registry.register("accepted", "Accepted TCP connections", this.accepted.clone());
        registry.register("accept_errors", "Failed accepts", this.accept_errors.clone());
        registry.register("connections_cut", "Connections closed without an answer", this.cut.clone());
        registry.register("handshake_seconds", "From an upgrade's head to its 101", this.handshake_seconds.clone());
        registry.register_collector(Box::new(routes::Series(Arc::clone(&this.accounts))));
        registry.register("outcomes", "Ended sessions and refused requests by outcome", this.outcomes.clone());
        registry.register("causes", "Refusals and session ends by cause", this.causes.clone());
        registry.register("reloads", "Candidates by what became of them", this.reloads.clone());
        registry.register(
            "swept_legs",
            "Legs with plugins of an older version, by what became of them at a swap",
            this.swept.clone(),
        );
        registry.register("rechecks", "Sessions that were asked again, by what became of them", this.rechecks.clone());
        registry.register("received_bytes", "Bytes received from all legs", this.bytes.clone());
        registry.register("received_messages", "Messages received from all legs", this.messages.clone());
        this.http.register(&mut registry);
        registry.register(
            "holds_filled",
            "Legs that were read no further while they waited, at their end",
            this.holds_filled.clone(),
        );
        registry.register(
            "closes_overdue",
            "Legs that did not come to their end within `close`",
            this.closes_overdue.clone(),
        );
        for outcome in Outcome::ALL {
            for mode in Mode::ALL {
                drop(this.outcomes.get_or_create(&ByOutcome { mode: mode.name(), outcome: outcome.label() }));
            }
        }
        for why in Cut::ALL {
            drop(this.cut.get_or_create(&ByWhy { why: why.label() }));
        }
        for result in ["applied", "pinned", "refused", "unchanged"] {
            drop(this.reloads.get_or_create(&ByResult { result }));
        }
        for result in ["moved", "stayed", "closed"] {
            drop(this.swept.get_or_create(&ByResult { result }));
        }
        drop(this.rechecks());
        Self { registry, ..this }
    }

    /// The counters of sessions that are asked again.
    #[must_use]
    pub fn rechecks(&self) -> Rechecks {
        let count = |result| self.rechecks.get_or_create(&ByResult { result }).clone();
        Rechecks { kept: count("kept"), closed: count("closed"), failed: count("failed") }
    }

    /// Adds what is counted by looking.
    pub fn add(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// Legs that dialled in, and plain requests, that are on their way.
    #[must_use]
    pub fn present(&self) -> usize {
        self.accounts.present()
    }

    /// The routes that new requests find: each has its series from now on. Those of others go with their last request.
    pub fn serve_routes<'a>(&self, routes: impl IntoIterator<Item = (&'a Arc<str>, Mode)>) {
        self.accounts.serve(routes);
    }

    /// The counters of a route: its series are there for as long as anybody has them.
    #[must_use]
    pub fn account(&self, route: &Arc<str>, mode: Mode) -> Arc<Account> {
        self.accounts.of(route, mode)
    }

    /// A connection was closed without an answer.
    pub fn cut(&self, why: Cut) {
        self.cut.get_or_create(&ByWhy { why: why.label() }).inc();
    }

    /// A session ended, or a request was refused; without an account where no route was found.
    pub fn ended(&self, account: Option<&Account>, outcome: Outcome, cause: Cause) {
        let account = account.unwrap_or(&self.accounts.nowhere);
        account.ended(outcome);
        self.outcomes.get_or_create(&ByOutcome { mode: account.mode(), outcome: outcome.label() }).inc();
        self.causes.get_or_create(&ByCause { cause: cause.label() }).inc();
    }

    /// So many legs with filters of an older version `moved`, `stayed` or were `closed` at a swap.
    pub fn swept(&self, result: &'static str, legs: usize) {
        self.swept.get_or_create(&ByResult { result }).inc_by(legs as u64);
    }

    /// A candidate was `applied`, `refused` or found `unchanged`.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.get_or_create(&ByResult { result }).inc();
    }

    /// The exposition text (`OpenMetrics` 1.0).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only a collector's formatting can fail, and writing to a String does not.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
