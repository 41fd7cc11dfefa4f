//! A leg on the line: it enters behind its policies' yes, is told of what becomes of it, and leaves when it is accounted for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    LegInfo, OneLeg, SessionHandle, Sessions, Ticket,
    ended::Over,
    ties::{Guest, Ties},
};
use crate::{
    admission::Permit,
    error::Cause,
    http::{Place, Switchboard, hooks::Hooks, pair::Seated},
    metrics::routes::{Standing, State},
    model::{ConnId, Limits},
    places,
    policy::{Facts, now_ms},
    relay::{self, Report},
    rendezvous::Pair,
};

/// A leg between its 101 and its end: counted, known by its connection, and waited for when we stop.
pub(in crate::http) struct OnLine {
    pub(super) board: Arc<Switchboard>,
    pub(super) conn: ConnId,
    pub(super) leg: Arc<OneLeg>,
    /// None where somebody else has them.
    _held: Option<(Permit, Option<places::Place>)>,
    _awaited: TaskTrackerToken,
}

impl OnLine {
    /// Puts a leg on the line.
    pub(in crate::http) fn enter(
        board: &Arc<Switchboard>,
        conn: ConnId,
        info: LegInfo,
        facts: Option<Arc<Facts>>,
        place: Place,
        hooks: Option<Box<Hooks>>,
    ) -> (Self, relay::Mailbox) {
        let Place { presence, permit, held } = place;
        debug_assert!(Arc::ptr_eq(presence.account(), &info.terms.account), "it is counted on its route");
        // The connection becomes this leg.
        let held = (permit, held.take());
        Self::with(board, conn, info, facts, presence.hand_over(), Some(held), hooks)
    }

    /// Puts one on the line that is counted by somebody else, who holds its place, too.
    pub(in crate::http) fn enter_beside(
        board: &Arc<Switchboard>,
        conn: ConnId,
        info: LegInfo,
    ) -> (Self, relay::Mailbox) {
        Self::with(board, conn, info, None, Standing::default(), None, None)
    }

    fn with(
        board: &Arc<Switchboard>,
        conn: ConnId,
        info: LegInfo,
        facts: Option<Arc<Facts>>,
        standing: Standing,
        held: Option<(Permit, Option<places::Place>)>,
        hooks: Option<Box<Hooks>>,
    ) -> (Self, relay::Mailbox) {
        let (session, mailbox) = relay::mailbox();
        let ties = Ties::of(session, facts);
        let leg = Arc::new(OneLeg { info, standing, ties, opened_at: AtomicU64::new(0), hooks });
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
        Sessions::meets_orders(board, conn, &leg);
        let drain = &board.drain;
        // Those that are in the map by now are told by `obey`; this one may have missed it.
        if drain.has_begun() {
            let (turn, drain, leg) = (leg.turn(conn), drain.clone(), Arc::clone(&leg));
            let crier = board.sessions.crier.clone();
            board.drain.spawn(async move {
                tokio::select! {
                    biased;
                    _ = drain.cut_off() => leg.ties.session().cut(Cause::Draining),
                    code = drain.turn(turn) => leg.stop(&crier, code),
                }
            });
        }
        let line = Self { board: Arc::clone(board), conn, leg, _held: held, _awaited: drain.token() };
        (line, mailbox)
    }

    /// How others reach its session.
    pub(in crate::http) fn handle(&self) -> SessionHandle {
        SessionHandle(Arc::clone(&self.leg))
    }

    pub(in crate::http) const fn conn(&self) -> ConnId {
        self.conn
    }

    /// It is joined with this one; nothing has passed between the two yet.
    pub(in crate::http) fn joined(&self, guest: &Ticket) {
        let session = self.leg.ties.session();
        guest.leg.ties.lock().arrive(self.conn, session);
        for (leg, other) in [(&self.leg, guest.conn), (&guest.leg, self.conn)] {
            if let Some(facts) = leg.kept_facts() {
                facts.joined(other);
            }
            self.board.sessions.crier.paired(leg, other);
        }
    }

    pub(in crate::http) fn limits(&self) -> &Arc<Limits> {
        &self.leg.info.terms.limits
    }

    pub(in crate::http) const fn board(&self) -> &Arc<Switchboard> {
        &self.board
    }

    /// What goes with the leg when it becomes a guest.
    pub(in crate::http) fn ticket(&self) -> Ticket {
        Ticket { conn: self.conn, leg: Arc::clone(&self.leg) }
    }

    /// Waits until somebody wants the leg closed; for who does so itself, because it has no session.
    pub(in crate::http) async fn sealed(&self) -> Cause {
        self.leg.ties.sealed().await
    }

    /// Its 101 is out. `service` is the other leg of one that is routed.
    pub(in crate::http) fn opened(&self, subprotocol: Option<&str>, service: Option<ConnId>) {
        let mut tied = self.leg.ties.lock();
        let opened_at = match tied.facts() {
            None => now_ms(),
            Some(facts) => {
                facts.opened(subprotocol);
                if let Some(service) = service {
                    facts.joined(service);
                }
                facts.opened_at()
            }
        };
        self.leg.opened_at.store(opened_at, Ordering::Relaxed);
        // Few are ever asked about again, and nobody can get hold of it meanwhile.
        let unused = if self.leg.hooks.is_none() { tied.take_unused_facts() } else { None };
        drop(tied);
        drop(unused);
        self.board.sessions.crier.opened(&self.leg, subprotocol);
    }

    /// What the leg has that joins its session.
    pub(in crate::http) fn guest(&self) -> Guest<'_> {
        self.leg.ties.guest()
    }

    /// Where the leg is on its way.
    pub(in crate::http) fn to(&self, state: State) {
        self.leg.to(state);
    }

    /// Its session begins to end, and the two have met: both seats are free.
    pub(in crate::http) fn part(&self, guest: ConnId) {
        let seat = self.leg.info.seat();
        debug_assert!(seat.is_some(), "who has a guest has a seat");
        if let Some((key, side)) = seat {
            self.board.registry.part(&key, Pair { side, conns: [self.conn, guest] });
        }
    }

    /// Accounts for it: its session, in which `guest` was the other leg, is over. What could block, because it is the last to
    /// let go of a plugin or waits for who reads the log, is left to a task.
    pub(in crate::http) fn over(self, report: Report, guest: Option<Box<Seated>>) {
        let over = Over { line: self, report, guest };
        if over.is_brief() {
            over.account();
        } else {
            let tasks = over.line.board.sessions.over.clone();
            // Nobody accounts for anything when the whole process goes down.
            let _ = tasks.send(over);
        }
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
        self.leg.standing.leave(&self.leg.info.terms.account);
    }
}
