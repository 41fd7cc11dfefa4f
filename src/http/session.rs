//! Who is on the line: the legs that were answered with 101, the session that carries each, and how it learns that we
//! stop. What is said of it in the end is [`ended`]'s.

mod ended;
mod events;
mod fate;
mod info;
mod line;
mod listed;
mod passage;
mod recheck;
mod revoke;
mod ties;

use std::{
    net::SocketAddr,
    sync::{
        Arc, MutexGuard, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use tokio::sync::{
    Notify,
    mpsc::{UnboundedSender, unbounded_channel},
};
use tokio_util::task::AbortOnDropHandle;

use self::{
    ended::{Over, account},
    events::Crier,
    recheck::{Rounds, Slot},
    revoke::Orders,
    ties::{Guest, Ties},
};
pub(super) use self::{
    ended::{milliseconds, unanswered},
    events::Observers,
    fate::Doom,
    line::OnLine,
    passage::{Arriving, Ticket},
    recheck::Slots,
};
pub use self::{
    info::{LegInfo, Upstream},
    revoke::{Revoked, Whom},
};
use super::{Watch, forward::Exchange, hooks::Hooks, watchman::Ends};
use crate::{
    drain::Drain,
    error::Cause,
    metrics::{
        Metrics,
        routes::{Standing, State},
    },
    model::{ConnId, Mode},
    policy::Facts,
    relay,
};

/// How others reach the session of a rendezvous leg.
#[derive(Clone)]
pub struct SessionHandle(Arc<OneLeg>);

impl SessionHandle {
    /// Its mailbox.
    #[must_use]
    pub fn relay(&self) -> relay::Handle {
        self.0.ties.session()
    }

    /// Where its leg is on its way.
    pub(super) fn to(&self, state: State) {
        self.0.to(state);
    }

    /// What belongs to the leg that joins it: handed over before the leg itself, taken back if that is refused.
    pub(super) fn guest(&self) -> Guest<'_> {
        self.0.ties.guest()
    }

    /// What its leg's plugins are asked.
    pub(super) fn hooks(&self) -> Option<&Hooks> {
        self.0.hooks.as_deref()
    }
}

/// A leg on the line. There are many, so what few of them need is elsewhere.
pub(super) struct OneLeg {
    pub(super) info: LegInfo,
    /// Where it is on its way.
    standing: Standing,
    ties: Ties,
    /// When its 101 went out, in milliseconds since 1970.
    opened_at: AtomicU64,
    /// What its plugins are asked and told while it lives.
    pub(super) hooks: Option<Box<Hooks>>,
}

impl OneLeg {
    fn to(&self, state: State) {
        self.standing.to(&self.info.terms.account, state);
    }

    /// What plugins are told of it, if that was kept: where any of its own is asked or told later.
    fn kept_facts(&self) -> Option<Arc<Facts>> {
        self.ties.lock().facts().cloned()
    }

    /// The same of one that holds a seat, about which anybody's plugin may be asked: kept from then on.
    fn facts(&self, conn: ConnId) -> Option<Arc<Facts>> {
        let mut tied = self.ties.lock();
        if let Some(facts) = tied.facts() {
            return Some(Arc::clone(facts));
        }
        let facts = self.info.facts(conn, self.opened_at.load(Ordering::Relaxed))?;
        if let Some(partner) = tied.partner() {
            facts.joined(partner);
        }
        Some(Arc::clone(tied.extra.get_or_insert_default().facts.insert(Arc::new(facts))))
    }

    /// Who is asked whether it may go on, if anybody is asked or told anything.
    fn slots(&self) -> Option<MutexGuard<'_, Vec<Slot>>> {
        self.hooks.as_deref().map(|hooks| hooks.slots.lock())
    }

    /// Who is told of it.
    fn observers(&self) -> Option<&Observers> {
        self.hooks.as_deref().and_then(|hooks| hooks.observers.as_ref())
    }

    /// Ends its session for a cause that both legs are told, politely.
    pub(super) fn drain(&self, conn: ConnId, code: u16, cause: Cause) {
        self.ties.drain(conn, code, cause);
    }

    /// We stop: its session is told, unless that is its host's.
    fn stop(&self, crier: &Crier, code: u16) {
        crier.tell(self, "drained", Vec::new);
        if let Some(session) = self.ties.own_session() {
            session.drain(None, code, Cause::Draining);
        }
    }

    /// When in a drain's spread its session is closed: one that waits for its partner at once.
    fn turn(&self, conn: ConnId) -> f64 {
        if self.info.terms.mode == Mode::Rendezvous && self.ties.guest().is_none() { 0.0 } else { conn.fraction() }
    }
}

/// By ids that we have given, so nobody can choose them to fall together.
type ByConn<T> = DashMap<ConnId, T, FxBuildHasher>;
type Legs = ByConn<Arc<OneLeg>>;

/// The legs alive, by connection. Beside the relay's threads no task waits for a session: one tells all of them that we
/// stop, and another accounts for those that are over.
pub struct Sessions {
    legs: Arc<Legs>,
    /// Those of a rendezvous that are not on the line yet.
    arriving: Arc<ByConn<Arc<Facts>>>,
    /// Answers of services on their way to clients that have an identity.
    answers: ByConn<(Weak<Exchange>, Weak<Watch>)>,
    /// When the identities of legs end.
    ends: Arc<Ends>,
    rounds: Arc<Rounds>,
    orders: Orders,
    crier: Crier,
    over: UnboundedSender<Over>,
    /// There may be legs with hooks that are not on the generation that serves.
    pub(super) behind: Notify,
    _tasks: [AbortOnDropHandle<()>; 4],
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn start(drain: &Drain, metrics: &Metrics) -> Self {
        let legs = Arc::<Legs>::default();
        let (over, ended) = unbounded_channel();
        let crier = Crier::new(drain.clone());
        let obeying = drain.spawn_beside(obey(Arc::clone(&legs), drain.clone(), crier.clone()));
        let ends = Arc::<Ends>::default();
        let watching = drain.spawn_beside({
            let (legs, ends, crier) = (Arc::clone(&legs), Arc::clone(&ends), crier.clone());
            async move { ends.watch(|conn| _ = close(&legs, &crier, conn, &Cause::Expired.into())).await }
        });
        let rounds = Arc::new(Rounds::new(metrics.rechecks(), crier.clone()));
        let asking = drain.spawn_beside({
            let (legs, rounds) = (Arc::clone(&legs), Arc::clone(&rounds));
            async move { rounds.go(&legs).await }
        });
        let tasks = [obeying, watching, asking, drain.spawn_beside(account(ended))];
        let behind = Notify::new();
        let answers = ByConn::default();
        Self {
            legs,
            arriving: Arc::default(),
            answers,
            ends,
            rounds,
            orders: Orders::default(),
            crier,
            over,
            behind,
            _tasks: tasks,
        }
    }

    /// Legs alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// A new generation serves.
    pub fn follow(&self) {
        self.behind.notify_one();
    }

    /// The oldest generation whose code a leg uses.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.legs.iter().filter_map(|leg| leg.hooks.as_deref().map(Hooks::generation)).min()
    }

    /// The legs with such hooks.
    pub(super) fn with_hooks(&self, which: impl Fn(&Hooks) -> bool) -> Vec<(ConnId, Arc<OneLeg>)> {
        let fits = |leg: &OneLeg| leg.hooks.as_deref().is_some_and(&which);
        self.legs.iter().filter(|leg| fits(leg)).map(|leg| (*leg.key(), Arc::clone(&leg))).collect()
    }

    /// Has a leg closed, if it is on the line and not about to be closed already.
    pub(super) fn close(&self, conn: ConnId, doom: &Doom) -> bool {
        close(&self.legs, &self.crier, conn, doom)
    }

    /// What plugins are told of a leg that holds a seat.
    pub(super) fn facts(&self, conn: ConnId) -> Option<Arc<Facts>> {
        let on_line = self.legs.get(&conn).and_then(|leg| leg.facts(conn));
        on_line.or_else(|| self.arriving.get(&conn).map(|facts| Arc::clone(&facts)))
    }

    /// The leg may hold a seat before it is on the line; until then it is known here.
    pub(super) fn arrives(&self, facts: Option<&Arc<Facts>>) -> Option<Arriving> {
        let facts = facts?;
        self.arriving.insert(facts.id, Arc::clone(facts));
        Some(Arriving { all: Arc::clone(&self.arriving), conn: facts.id })
    }

    /// A service's answer is on its way, and cut off by `watch` if the permission of its client is taken back.
    pub(super) fn answers(&self, exchange: &Arc<Exchange>, watch: &Arc<Watch>) {
        if exchange.info().identity.is_some() {
            self.answers.insert(exchange.conn(), (Arc::downgrade(exchange), Arc::downgrade(watch)));
            self.answer_meets_orders(exchange, watch);
        }
    }

    /// It is over.
    pub(super) fn answered(&self, conn: ConnId) {
        self.answers.remove(&conn);
    }

    /// The peer of a leg, if it is on the line.
    pub(super) fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.legs.get(&conn).map(|leg| leg.info.peer())
    }
}

fn close(legs: &Legs, crier: &Crier, conn: ConnId, doom: &Doom) -> bool {
    let leg = legs.get(&conn).map(|leg| Arc::clone(&leg));
    let Some(leg) = leg else { return false };
    let revoked = doom.cause == Cause::Revoked;
    let sealed = leg.ties.seal(conn, doom);
    if sealed && revoked {
        crier.tell(&leg, "revoked", Vec::new);
    }
    sealed
}

/// Tells the sessions that we stop: those that wait at once, the others when it is their turn; and cuts them when that
/// has taken too long.
async fn obey(legs: Arc<Legs>, drain: Drain, crier: Crier) {
    drain.begun().await;
    let told = async {
        let mut turns: Vec<_> = legs.iter().map(|leg| (leg.turn(*leg.key()), Arc::clone(leg.value()))).collect();
        turns.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (turn, leg) in turns {
            let code = drain.turn(turn).await;
            leg.stop(&crier, code);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        _ = drain.cut_off() => {}
        () = told => {}
    }
    // Gathered first: the threads of the relay wait for whoever looks through all legs.
    let left: Vec<_> = legs.iter().map(|leg| Arc::clone(&leg)).collect();
    for leg in left {
        leg.ties.session().cut(Cause::Draining);
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::mem::size_of;

    use super::*;
    use crate::http::pair::Seated;

    /// There may be a hundred thousand of each: what grows here grows by megabytes. Sizes to which the allocator rounds,
    /// less the two counters of an `Arc`.
    #[test]
    fn what_is_kept_of_each_leg_stays_small() {
        assert!(size_of::<OneLeg>() <= 160 - 16, "{}", size_of::<OneLeg>());
        assert!(size_of::<Facts>() <= 128 - 16, "{}", size_of::<Facts>());
        assert!(size_of::<Seated>() <= 64, "{}", size_of::<Seated>());
        assert!(size_of::<OnLine>() <= 64, "{}", size_of::<OnLine>());
    }
}
