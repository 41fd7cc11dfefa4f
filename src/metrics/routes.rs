//! What is counted for each route: where its legs are on their way, how sessions ended, what plain requests were
//! answered.
//!
//! A leg that dialled in, or a plain request, is counted by a guard, [`Presence`], in exactly one [`State`] from the
//! moment its route is known until the guard is dropped, or what it was [handed over](Presence::hand_over) to is left;
//! states only go forward, so two tasks may move the same leg. All of it is atomics: the map of routes is locked when a
//! generation is made and when the series are written.
//!
//! The series of a route that is not served any more are there for as long as one of its legs is, or a generation that has
//! it, and are gone at the first look or reload after that. Their number is bounded by the routes
//! of the generations that are alive.

use std::{
    collections::BTreeMap,
    fmt, mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
};

use http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::model::{Mode, Outcome};

/// Where a leg that dialled in, or a plain request, is on its way. Each later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its route is known; its policies are asked.
    Deciding,
    /// It has a seat and no partner.
    Waiting,
    /// Its service is being dialled, or has not answered yet.
    Dialing,
    /// It is joined; the answer to a plain request passes.
    Open,
    /// The first Close, end or error of its session was read or decided.
    Closing,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 5] = [Self::Deciding, Self::Waiting, Self::Dialing, Self::Open, Self::Closing];

    /// The label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Deciding => "deciding",
            Self::Waiting => "waiting",
            Self::Dialing => "dialing",
            Self::Open => "open",
            Self::Closing => "closing",
        }
    }
}

/// Classes of the status of a plain request's answer.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Behind every state: the leg is not counted any more.
const GONE: u8 = u8::MAX;

/// The counters of one route.
#[derive(Debug)]
pub struct Account {
    route: Arc<str>,
    mode: &'static str,
    states: [AtomicI64; State::ALL.len()],
    /// In the order of [`Outcome::ALL`].
    outcomes: [AtomicU64; Outcome::ALL.len()],
    /// Answers to plain requests, in the order of [`CLASSES`].
    answers: [AtomicU64; CLASSES.len()],
    /// New handshakes find this route.
    served: AtomicBool,
}

impl Account {
    fn new(route: &str, mode: &'static str) -> Self {
        Self {
            route: route.into(),
            mode,
            states: Default::default(),
            outcomes: Default::default(),
            answers: Default::default(),
            served: AtomicBool::new(false),
        }
    }

    /// Kind of the route by name, `none` if there is no route.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        self.mode
    }

    /// A plain request was answered.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len());
        self.answers[class - 1].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, outcome: Outcome) {
        for (one, count) in Outcome::ALL.iter().zip(&self.outcomes) {
            if *one == outcome {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Counts a leg in one state of its route for as long as it lives.
#[derive(Debug)]
#[must_use = "a leg is counted for as long as this lives"]
pub struct Presence {
    account: Arc<Account>,
    standing: Standing,
}

impl Presence {
    /// One that is [being decided about](State::Deciding).
    pub fn new(account: Arc<Account>) -> Self {
        account.states[State::Deciding as usize].fetch_add(1, Ordering::Relaxed);
        Self { account, standing: Standing(AtomicU8::new(State::Deciding as u8)) }
    }

    /// It is in this state now; nothing happens if it was further already.
    pub fn to(&self, state: State) {
        self.standing.to(&self.account, state);
    }

    /// The counters of its route.
    #[must_use]
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Counts on as before, until it is [left](Standing::leave): for one who has the account anyway.
    pub fn hand_over(mut self) -> Standing {
        mem::take(&mut self.standing)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.standing.leave(&self.account);
    }
}

/// In which state a leg is counted, by default in none. Goes always with the same account.
#[derive(Debug)]
#[must_use = "the leg is counted until this is left"]
pub struct Standing(AtomicU8);

impl Default for Standing {
    fn default() -> Self {
        Self(AtomicU8::new(GONE))
    }
}

impl Standing {
    /// The leg is in this state now; nothing happens if it was further already.
    pub fn to(&self, account: &Account, state: State) {
        self.move_to(account, state as u8);
    }

    /// The leg is gone, and not counted any more.
    pub fn leave(&self, account: &Account) {
        self.move_to(account, GONE);
    }

    fn move_to(&self, account: &Account, state: u8) {
        let before = self.0.fetch_max(state, Ordering::Relaxed);
        if before >= state {
            return;
        }
        if let Some(entered) = account.states.get(usize::from(state)) {
            entered.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(left) = account.states.get(usize::from(before)) {
            left.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A route by its name and the kind it has: a reload may give a name to another kind.
type Key = (Arc<str>, &'static str);

/// All accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    routes: RwLock<BTreeMap<Key, Arc<Account>>>,
    /// For requests that no route was found for.
    pub(super) nowhere: Account,
}

impl Default for Accounts {
    fn default() -> Self {
        let nowhere = Account::new("none", "none");
        Self { routes: RwLock::default(), nowhere }
    }
}

impl Accounts {
    /// The account of a route. One that is served no more has one for as long as somebody holds it.
    pub(super) fn of(&self, route: &Arc<str>, mode: Mode) -> Arc<Account> {
        let key = (Arc::clone(route), mode.name());
        if let Some(account) = self.read().get(&key) {
            return Arc::clone(account);
        }
        Arc::clone(self.write().entry(key).or_insert_with_key(|(route, mode)| Arc::new(Account::new(route, mode))))
    }

    /// These routes are served, and no others.
    pub(super) fn serve<'a>(&self, served: impl IntoIterator<Item = (&'a Arc<str>, Mode)>) {
        let mut routes = self.write();
        for account in routes.values() {
            account.served.store(false, Ordering::Relaxed);
        }
        for (route, mode) in served {
            let account = routes
                .entry((Arc::clone(route), mode.name()))
                .or_insert_with_key(|(route, mode)| Arc::new(Account::new(route, mode)));
            account.served.store(true, Ordering::Relaxed);
        }
        sweep(&mut routes);
    }

    /// Legs and plain requests, wherever they are on their way.
    pub(super) fn present(&self) -> usize {
        let states = |account: &Arc<Account>| account.states.iter().map(|n| n.load(Ordering::Relaxed)).sum::<i64>();
        usize::try_from(self.read().values().map(states).sum::<i64>()).unwrap_or(0)
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<Account>>> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Key, Arc<Account>>> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the accounts of which there is nothing left to count. Nobody takes one out meanwhile: the map is locked.
fn sweep(routes: &mut BTreeMap<Key, Arc<Account>>) {
    routes.retain(|_, account| account.served.load(Ordering::Relaxed) || Arc::strong_count(account) > 1);
}

/// Writes the series of all routes.
#[derive(Debug)]
pub(super) struct Series(pub(super) Arc<Accounts>);

impl Collector for Series {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let accounts: Vec<_> = {
            let mut routes = self.0.write();
            sweep(&mut routes);
            routes.values().cloned().collect()
        };
        let help = "Legs that dialled in, and plain requests, by where they are on their way";
        let mut family = encoder.encode_descriptor("sessions", help, None, MetricType::Gauge)?;
        for account in &accounts {
            for (state, count) in State::ALL.iter().zip(&account.states) {
                let labels = [("route", &*account.route), ("mode", account.mode), ("state", state.label())];
                // One that moves on at this moment may have left before it has entered.
                let count = count.load(Ordering::Relaxed).max(0);
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Ended sessions and refused requests by outcome, on the route of the leg that came first";
        let mut family = encoder.encode_descriptor("sessions_ended", help, None, MetricType::Counter)?;
        for account in accounts.iter().map(|account| &**account).chain([&self.0.nowhere]) {
            for (outcome, count) in Outcome::ALL.iter().zip(&account.outcomes) {
                let labels = [("route", &*account.route), ("mode", account.mode), ("outcome", outcome.label())];
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Plain requests by class of the answer's status";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for account in accounts.iter().filter(|account| account.mode == Mode::Http.name()) {
            for (class, count) in CLASSES.iter().zip(&account.answers) {
                let labels = [("route", &*account.route), ("class", *class)];
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Cause, metrics::Metrics};

    fn page(metrics: &Metrics, parts: &[&str]) -> Vec<String> {
        let text = metrics.text();
        let lines = text.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
        lines.map(ToOwned::to_owned).collect()
    }

    fn enter(metrics: &Metrics, route: &Arc<str>, mode: Mode) -> Presence {
        Presence::new(metrics.account(route, mode))
    }

    /// How many legs are in each state, on all routes together.
    fn legs(metrics: &Metrics) -> [u64; 5] {
        State::ALL.map(|state| {
            let lines = page(metrics, &["cordboard_sessions{", &format!("state=\"{}\"", state.label())]);
            lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        })
    }

    #[test]
    fn a_leg_is_in_one_state_at_a_time_and_in_none_when_it_is_gone() {
        let metrics = Metrics::new();
        let account = metrics.account(&"chat".into(), Mode::Rendezvous);
        let leg = Presence::new(Arc::clone(&account));
        assert_eq!(legs(&metrics), [1, 0, 0, 0, 0]);
        leg.to(State::Waiting);
        assert_eq!(legs(&metrics), [0, 1, 0, 0, 0]);
        let leg = leg.hand_over();
        assert_eq!(legs(&metrics), [0, 1, 0, 0, 0]);
        leg.to(&account, State::Closing);
        assert_eq!(legs(&metrics), [0, 0, 0, 0, 1]);
        // Whoever says so later was only slower.
        leg.to(&account, State::Open);
        assert_eq!(legs(&metrics), [0, 0, 0, 0, 1]);
        leg.leave(&account);
        leg.to(&account, State::Closing);
        leg.leave(&account);
        assert_eq!(legs(&metrics), [0; 5]);
        let leg = Presence::new(account);
        leg.to(State::Dialing);
        drop(leg);
        assert_eq!(legs(&metrics), [0; 5]);
    }

    #[test]
    fn the_series_of_a_route_are_there_while_it_is_served_or_has_legs() {
        let metrics = Metrics::new();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let series = |route: &str| page(&metrics, &[&format!("{{route=\"{route}\",")]).len();
        metrics.serve_routes([(&one, Mode::Router)]);
        let all = series("one");
        assert_eq!((all, series("other")), (State::ALL.len() + Outcome::ALL.len(), 0));
        let leg = enter(&metrics, &one, Mode::Router);
        metrics.serve_routes([(&other, Mode::Router)]);
        assert_eq!((series("one"), series("other")), (all, all), "a leg is left");
        // One that began under the generation before comes late.
        let late = enter(&metrics, &one, Mode::Router);
        drop(leg);
        assert_eq!(series("one"), all);
        metrics.ended(Some(late.account()), Outcome::Routed, Cause::Closed);
        drop(late);
        assert_eq!((series("one"), series("other")), (0, all));
        let total = page(&metrics, &["cordboard_outcomes_total{mode=\"router\",outcome=\"routed\"} 1"]);
        assert_eq!(total.len(), 1, "what was counted on the route is not lost");
    }

    #[test]
    fn a_name_that_changes_its_kind_has_series_of_both_while_it_must() {
        let metrics = Metrics::new();
        let name: Arc<str> = "it".into();
        metrics.serve_routes([(&name, Mode::Router)]);
        let leg = enter(&metrics, &name, Mode::Router);
        metrics.serve_routes([(&name, Mode::Rendezvous)]);
        let modes = || {
            ["router", "rendezvous"]
                .map(|mode| page(&metrics, &["cordboard_sessions{", &format!("route=\"it\",mode=\"{mode}\"")]).len())
        };
        assert_eq!(modes(), [5, 5]);
        drop(leg);
        assert_eq!(modes(), [0, 5]);
    }

    #[test]
    fn legs_that_come_and_go_on_many_threads_leave_nothing() {
        let metrics = Metrics::new();
        let route: Arc<str> = "busy".into();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let leg = enter(&metrics, &route, Mode::Rendezvous);
                        std::thread::scope(|scope| {
                            scope.spawn(|| leg.to(State::Open));
                            leg.to(State::Closing);
                        });
                    }
                });
            }
        });
        assert_eq!(legs(&metrics), [0; 5]);
    }
}
