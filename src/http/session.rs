//! Who is on the line: the legs that were answered with 101, the session that carries each, and how it learns that we
//! stop. What is said of it in the end is [`ended`]'s.

mod ended;
mod events;
mod fate;
mod listed;
mod passage;
mod recheck;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::DashMap;
use tokio::{
    sync::{
        Notify,
        mpsc::{UnboundedSender, unbounded_channel},
    },
    time::Instant,
};
use tokio_util::task::{AbortOnDropHandle, task_tracker::TaskTrackerToken};

pub use self::recheck::{Revoked, Whom};
use self::{
    ended::{Over, account},
    events::{Crier, Observers},
    fate::Fate,
    recheck::{Rounds, Slots},
};
pub(super) use self::{
    ended::{milliseconds, unanswered},
    fate::Doom,
    passage::{Arriving, Ticket},
};
use super::{Place, Switchboard, hooks::Hooks, watchman::Ends};
use crate::{
    drain::Drain,
    error::Cause,
    generation::{Check, Route},
    metrics::{Metrics, routes::Mark},
    model::{ConnId, Handshake, Identity, Limits, Mode, Role, ServiceId},
    policy::{Facts, Known, Plugin},
    relay::{self, Report},
    rendezvous::Seat,
    route::Plan,
};

/// What is known of a leg before its 101.
#[derive(Clone)]
pub struct LegInfo {
    /// Role by name; empty for a plain request.
    pub role: &'static str,
    /// The channel's id; empty for a plain request.
    pub channel: Box<str>,
    /// `name@identity` of the policy that decided; empty if none did.
    pub policy: Arc<str>,
    /// Who it is, if an authorizer said so.
    pub identity: Option<Arc<Identity>>,
    /// What plugins are told of it while it lives; none where none is asked.
    pub facts: Option<Arc<Facts>>,
    /// Who is asked whether it may go on.
    checks: Option<Arc<[Check]>>,
    /// Who is told of it.
    observers: Option<Arc<[Arc<Plugin>]>>,
    /// Number of the generation it was decided under.
    pub generation: u64,
    /// The socket's peer.
    pub peer: SocketAddr,
    /// The client, where a trusted proxy stands before it.
    pub client: Option<Box<IpAddr>>,
    /// Name of the route.
    pub route: Arc<str>,
    /// Kind of the route.
    pub mode: Mode,
    /// Of its route.
    pub limits: Arc<Limits>,
    /// The service's id and the endpoint, on a routed leg.
    pub upstream: Option<(ServiceId, Arc<str>)>,
}

impl LegInfo {
    pub(super) fn new(
        handshake: &Handshake,
        known: &Known,
        route: &Route,
        plan: &Plan,
        policy: Option<Arc<str>>,
        generation: u64,
    ) -> Self {
        let (role, channel, facts) = match plan {
            // Whoever comes later may have a plugin that asks about it.
            Plan::Pair { key, side, .. } => {
                (side.name(), key.channel.as_str().into(), Some(known.facts(side.role(), key.channel.clone())))
            }
            Plan::Dial { channel, .. } => {
                let facts = route.asks_later().then(|| known.facts(Role::Routed, channel.clone()));
                ("routed", channel.as_str().into(), facts)
            }
            Plan::Forward { .. } => ("", "".into(), None),
        };
        Self {
            role,
            channel,
            policy: policy.unwrap_or_default(),
            identity: known.identity().cloned(),
            checks: route.checks.clone().filter(|_| facts.is_some()),
            observers: route.observers.clone().filter(|_| facts.is_some()),
            facts,
            generation,
            peer: handshake.peer,
            client: handshake.client.trusted.then(|| Box::new(handshake.client.remote)),
            route: Arc::clone(&route.config.name),
            mode: route.mode(),
            limits: Arc::clone(&route.limits),
            upstream: None,
        }
    }

    /// Whether a plugin is asked or told something while it lives, apart from its messages.
    pub(super) const fn is_followed(&self) -> bool {
        self.checks.is_some() || self.observers.is_some()
    }

    /// When its identity ends, in milliseconds since 1970.
    fn end(&self) -> Option<u64> {
        self.identity.as_ref().and_then(|identity| identity.expires_at_ms)
    }

    /// Whom an authorizer named.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.identity.as_ref().and_then(|identity| identity.subject.as_deref())
    }

    /// The same for the log: escaped, because a caller has a say in it.
    pub(super) fn shown_subject(&self) -> Option<String> {
        self.subject().map(|subject| subject.escape_default().to_string())
    }
}

/// How others reach the session of a rendezvous leg.
#[derive(Clone)]
pub struct SessionHandle {
    /// Its mailbox.
    pub relay: relay::Handle,
    /// Where its leg is on its way.
    pub(super) mark: Mark,
    /// What belongs to the leg that joins it: handed over before the leg itself, taken back if that is refused.
    guest: Arc<Mutex<Option<Box<Guest>>>>,
    leg: Arc<OneLeg>,
}

/// What a leg that joins another's session brings beside its socket.
pub(super) struct Guest {
    /// Its seat; none once the pair has given its seats up.
    pub(super) seat: Option<Seat<SessionHandle>>,
    /// Lives as long as the session.
    pub(super) line: OnLine,
}

impl SessionHandle {
    pub(super) fn guest(&self) -> MutexGuard<'_, Option<Box<Guest>>> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its leg's plugins are asked.
    pub(super) fn hooks(&self) -> Option<&Hooks> {
        self.leg.hooks.as_ref()
    }
}

/// A leg on the line.
pub(super) struct OneLeg {
    pub(super) info: LegInfo,
    /// Its own, in which it is unless it is its partner's guest.
    session: relay::Handle,
    fate: Fate,
    slots: Slots,
    observers: Option<Observers>,
    /// Of a rendezvous leg: the place of its guest.
    guest: Option<Arc<Mutex<Option<Box<Guest>>>>>,
    /// What its plugins are asked while it lives.
    pub(super) hooks: Option<Hooks>,
}

impl OneLeg {
    /// Whether those that are asked and told of it are the versions that `current` names.
    pub(super) fn is_on(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) -> bool {
        self.slots.are_on(current) && self.observers.as_ref().is_none_or(|observers| observers.are_on(current))
    }

    /// From now on they are, where those can be asked and told.
    pub(super) fn follow(&self, current: &dyn Fn(&str) -> Option<Arc<Plugin>>) {
        self.slots.follow(current);
        if let Some(observers) = &self.observers {
            observers.follow(current);
        }
    }

    /// Ends its session for a cause that both legs are told, politely.
    pub(super) fn drain(&self, conn: ConnId, code: u16, cause: Cause) {
        self.fate.drain(conn, &self.session, code, cause);
    }

    /// When in a drain's spread its session is closed: one that waits for its partner at once.
    fn turn(&self, conn: ConnId) -> f64 {
        let waits = |guest: &Arc<Mutex<Option<Box<Guest>>>>| guest.lock().is_ok_and(|guest| guest.is_none());
        if self.guest.as_ref().is_some_and(waits) { 0.0 } else { conn.fraction() }
    }
}

type Legs = DashMap<ConnId, Arc<OneLeg>>;

/// The legs alive, by connection. Beside the relay's threads no task waits for a session: one tells all of them that we
/// stop, and another accounts for those that are over.
pub struct Sessions {
    legs: Arc<Legs>,
    /// Those of a rendezvous that are not on the line yet.
    arriving: Arc<DashMap<ConnId, Arc<Facts>>>,
    /// When the identities of legs end.
    ends: Arc<Ends>,
    rounds: Arc<Rounds>,
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
            async move { ends.watch(|conn| _ = close(&legs, &crier, conn, Cause::Expired.into())).await }
        });
        let rounds = Arc::new(Rounds::new(metrics.rechecks(), crier.clone()));
        let asking = drain.spawn_beside({
            let (legs, rounds) = (Arc::clone(&legs), Arc::clone(&rounds));
            async move { rounds.go(&legs).await }
        });
        let tasks = [obeying, watching, asking, drain.spawn_beside(account(ended))];
        let behind = Notify::new();
        Self { legs, arriving: Arc::default(), ends, rounds, crier, over, behind, _tasks: tasks }
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
        self.legs.iter().filter_map(|leg| leg.hooks.as_ref().map(Hooks::generation)).min()
    }

    /// The legs with such hooks.
    pub(super) fn with_hooks(&self, which: impl Fn(&Hooks) -> bool) -> Vec<(ConnId, Arc<OneLeg>)> {
        let fits = |leg: &OneLeg| leg.hooks.as_ref().is_some_and(&which);
        self.legs.iter().filter(|leg| fits(leg)).map(|leg| (*leg.key(), Arc::clone(&leg))).collect()
    }

    /// Has a leg closed, if it is on the line and not about to be closed already.
    pub(super) fn close(&self, conn: ConnId, doom: Doom) -> bool {
        close(&self.legs, &self.crier, conn, doom)
    }

    /// What plugins are told of a leg that holds a seat.
    pub(super) fn facts(&self, conn: ConnId) -> Option<Arc<Facts>> {
        let on_line = self.legs.get(&conn).and_then(|leg| leg.info.facts.clone());
        on_line.or_else(|| self.arriving.get(&conn).map(|facts| Arc::clone(&facts)))
    }

    /// The leg may hold a seat before it is on the line; until then it is known here.
    pub(super) fn arrives(&self, info: &LegInfo) -> Option<Arriving> {
        let facts = info.facts.as_ref()?;
        self.arriving.insert(facts.id, Arc::clone(facts));
        Some(Arriving { all: Arc::clone(&self.arriving), conn: facts.id })
    }

    /// The peer of a leg, if it is on the line.
    pub(super) fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.legs.get(&conn).map(|leg| leg.info.peer)
    }
}

fn close(legs: &Legs, crier: &Crier, conn: ConnId, doom: Doom) -> bool {
    let leg = legs.get(&conn).map(|leg| Arc::clone(&leg));
    let Some(leg) = leg else { return false };
    let revoked = doom.cause == Cause::Revoked;
    let sealed = leg.fate.seal(conn, &leg.session, doom);
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
            crier.tell(&leg, "drained", Vec::new);
            leg.session.drain(None, code, Cause::Draining);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        _ = drain.cut_off() => {}
        () = told => {}
    }
    for leg in legs.iter() {
        leg.session.cut(Cause::Draining);
    }
}

/// A leg between its 101 and its end: counted, known by its connection, and waited for when we stop.
pub(super) struct OnLine {
    board: Arc<Switchboard>,
    conn: ConnId,
    leg: Arc<OneLeg>,
    place: Arc<Place>,
    _awaited: TaskTrackerToken,
}

impl OnLine {
    /// Puts a routed leg on the line.
    pub(super) fn enter(
        board: &Arc<Switchboard>,
        conn: ConnId,
        info: LegInfo,
        place: impl Into<Arc<Place>>,
        hooks: Option<Hooks>,
    ) -> (Self, relay::Mailbox) {
        let (line, _, mailbox) = Self::with(board, conn, info, place.into(), None, hooks);
        (line, mailbox)
    }

    /// Puts a rendezvous leg on the line.
    pub(super) fn enter_seated(
        board: &Arc<Switchboard>,
        conn: ConnId,
        info: LegInfo,
        place: Place,
        hooks: Option<Hooks>,
    ) -> (Self, SessionHandle, relay::Mailbox) {
        let guest = Arc::default();
        let (line, relay, mailbox) = Self::with(board, conn, info, place.into(), Some(Arc::clone(&guest)), hooks);
        let handle = SessionHandle { relay, mark: line.mark().clone(), guest, leg: Arc::clone(&line.leg) };
        (line, handle, mailbox)
    }

    fn with(
        board: &Arc<Switchboard>,
        conn: ConnId,
        mut info: LegInfo,
        place: Arc<Place>,
        guest: Option<Arc<Mutex<Option<Box<Guest>>>>>,
        hooks: Option<Hooks>,
    ) -> (Self, relay::Handle, relay::Mailbox) {
        let (session, mailbox) = relay::mailbox();
        // From here on no version is kept by what was known before.
        let slots = info.checks.take().as_deref().map(Slots::of).unwrap_or_default();
        let observers = info.observers.take().map(Observers::new);
        let fate = Fate::default();
        let leg = Arc::new(OneLeg { info, session: session.clone(), fate, slots, observers, guest, hooks });
        board.sessions.legs.insert(conn, Arc::clone(&leg));
        // Whoever looked for legs to bring to the generation that serves may have missed this one.
        if leg.hooks.as_ref().is_some_and(|hooks| hooks.is_behind(&board.current.load())) {
            board.sessions.follow();
        }
        if let Some(end) = leg.info.end() {
            board.sessions.ends.insert(end, conn);
        }
        board.sessions.rounds.begin(conn, &leg);
        // Those that are in the map by now are seen when a generation is published; this one may have come too late.
        board.sessions.catch_up(conn, &leg, &board.current.load());
        let drain = &board.drain;
        // Those that are in the map by now are told by `obey`; this one may have missed it.
        if drain.has_begun() {
            let (turn, drain, leg) = (leg.turn(conn), drain.clone(), Arc::clone(&leg));
            let crier = board.sessions.crier.clone();
            board.drain.spawn(async move {
                tokio::select! {
                    biased;
                    _ = drain.cut_off() => leg.session.cut(Cause::Draining),
                    code = drain.turn(turn) => {
                        crier.tell(&leg, "drained", Vec::new);
                        leg.session.drain(None, code, Cause::Draining);
                    }
                }
            });
        }
        let line = Self { board: Arc::clone(board), conn, leg, place, _awaited: drain.token() };
        (line, session, mailbox)
    }

    pub(super) const fn conn(&self) -> ConnId {
        self.conn
    }

    /// It is joined with this one; nothing has passed between the two yet.
    pub(super) fn joined(&self, guest: &Self) {
        for (one, other) in [(self, guest), (guest, self)] {
            if let Some(facts) = &one.leg.info.facts {
                facts.joined(other.conn);
            }
            self.board.sessions.crier.paired(&one.leg, other.conn);
        }
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.leg.info.limits
    }

    pub(super) const fn board(&self) -> &Arc<Switchboard> {
        &self.board
    }

    /// What goes with the leg when it becomes a guest.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { conn: self.conn, leg: Arc::clone(&self.leg) }
    }

    /// Waits until somebody wants the leg closed; for who does so itself, because it has no session.
    pub(super) async fn sealed(&self) -> &Doom {
        self.leg.fate.sealed().await
    }

    /// Its 101 is out. `service` is the other leg of one that is routed.
    pub(super) fn opened(&self, subprotocol: Option<&str>, service: Option<ConnId>) {
        if let Some(facts) = &self.leg.info.facts {
            facts.opened(subprotocol);
            if let Some(service) = service {
                facts.joined(service);
            }
        }
        self.board.sessions.crier.opened(&self.leg, subprotocol);
    }

    /// Where the leg is on its way.
    pub(super) fn mark(&self) -> &Mark {
        self.place.presence.mark()
    }

    /// Leaves it to be accounted for: its session, in which `guest` was the other leg, is over. Does not block.
    pub(super) fn over(self, opened: Instant, report: Report, guest: Option<Box<Guest>>) {
        let over = self.board.sessions.over.clone();
        // Nobody accounts for anything when the whole process goes down.
        let _ = over.send(Over { line: self, opened, report, _guest: guest });
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        let sessions = &self.board.sessions;
        sessions.legs.remove(&self.conn);
        if let Some(end) = self.leg.info.end() {
            sessions.ends.remove(end, self.conn);
        }
        sessions.rounds.end(self.conn, &self.leg);
    }
}
