//! A rendezvous leg: seated before its 101, then waiting or joined, to its end.
//!
//! To the leg that comes first belongs the session of both; the one that comes second hands over its seat and its socket.
//! A seat is given up when the first Close, end or error of either leg is read, so the id is free at once.

use std::{pin::pin, sync::Arc};

use http::HeaderMap;
use tokio::time::{Instant, timeout};

use super::{
    Admitted, Answered, Freed, Refuse, Step, Switchboard, Switched, channel_header,
    decision::Later,
    hooks::{self, Hooks},
    leg_of, rewritten,
    session::{self, OnLine, SessionHandle},
};
use crate::{
    alarm::Alarm,
    error::Cause,
    head::upgrade,
    metrics::routes::State,
    model::{ConnId, PairingDecision, Refusal, RendezvousRules},
    policy,
    relay::{self, Leg, Party, Report},
    rendezvous::{Arrival, Evicted, Key, Life, Opposite, Readied, Reservation, Seat, Side},
    route::Plan,
};

/// How often a newcomer asks for a seat whose holder, or that opposite, changes between the question about it and the
/// answer.
const TRIES: usize = 8;

pub(super) async fn answer(board: &Arc<Switchboard>, admitted: Admitted, deadline: Instant) -> Result<Step, Refuse> {
    let (Plan::Pair { key, side, rules }, Some(asked)) = (&admitted.plan, &admitted.request) else {
        return Err(Cause::Internal.into());
    };
    let arrival = Arrival {
        conn: admitted.handshake.id,
        side: *side,
        identity: admitted.info.identity.clone(),
        offers: admitted.handshake.subprotocols.iter().map(|offer| offer.as_str().into()).collect(),
    };
    let arriving = board.sessions.arrives(admitted.facts.as_ref());
    let mut alarm = Alarm::default();
    let seat = alarm.within(deadline, pin!(reserve(board, &admitted, key, &arrival, rules))).await;
    let mut seat = seat.ok_or(Cause::EstablishTimeout)??;
    let filters = hooks::open(&admitted).await?;
    admitted.place.presence.to(State::Waiting);
    // Waiting for a partner is not part of the establish budget; what is left of it counts on behind that.
    let left = deadline.saturating_duration_since(Instant::now());
    let subprotocol = alarm.within(seat.deadline().into(), pin!(seat.may_answer())).await.ok_or(Cause::NoPartner)??;
    let mut response =
        upgrade::switching_protocols(&asked.key, subprotocol.as_deref(), &[], &HeaderMap::new()).map(Answered::from);
    channel_header(&mut response, key.channel.as_str());
    rewritten(&admitted, &mut response, Instant::now() + left).await?;
    let hold = rules.hold;
    let Admitted { mut info, facts, generation, route, place, .. } = admitted;
    info.channel = Some(seat.key().channel.clone());
    let hooks = Hooks::of(filters, &route, generation);
    let (line, mailbox) = OnLine::enter(board, arrival.conn, info, facts, place, hooks);
    drop(arriving);
    let seated = Box::new(Seated { seat: Some(Box::new(seat)), line });
    Ok(Step::Switch(response, Switched::Pair(Fresh { seated, mailbox, hold })))
}

/// A seat, once a dead or replaced holder has made way, and the plugins have agreed to who sits opposite.
async fn reserve(
    board: &Switchboard,
    admitted: &Admitted,
    key: &Key,
    arrival: &Arrival,
    rules: &RendezvousRules,
) -> Result<Seat<SessionHandle>, Refuse> {
    let asks = admitted.route.plugins.iter().any(|plugin| plugin.pairs());
    let mut opposite = if asks { Opposite::Only(None) } else { Opposite::Anybody };
    let (mut verdict, mut last) = (None, None);
    let taken = |holder: ConnId| {
        let peer = board.sessions.peer(holder).map_or("before its 101".to_owned(), |peer| format!("from {peer}"));
        Refusal::new(Cause::SeatTaken).with_detail(format!("held by {holder}, {peer}"))
    };
    for _ in 0..TRIES {
        let now = Instant::now().into_std();
        match board.registry.reserve_opposite(key, arrival.clone(), rules, verdict, opposite, now) {
            Reservation::Seated { seat, evicted } => {
                tell(evicted);
                return Ok(seat);
            }
            Reservation::Refused { cause, evicted } => {
                tell(evicted);
                return Err(match (cause, last) {
                    (Cause::SeatTaken, Some(holder)) => taken(holder).into(),
                    _ => cause.into(),
                });
            }
            Reservation::Opposite { holder } => {
                decide(board, admitted, holder, true).await?;
                opposite = Opposite::Only(Some(holder));
            }
            Reservation::Occupied { holder, handle } => {
                last = Some(holder);
                let alive = match handle {
                    None => true,
                    Some(handle) => {
                        timeout(rules.probe, handle.relay().probe(holder)).await.is_ok_and(std::convert::identity)
                    }
                };
                // One that is dead makes way in any case.
                let replaced = alive && decide(board, admitted, holder, false).await?.is_some();
                verdict = Some((
                    holder,
                    match alive {
                        true if replaced => Life::Yields,
                        true => Life::Alive,
                        false => Life::Dead,
                    },
                ));
            }
        }
    }
    Err(last.map_or_else(|| Refusal::new(Cause::SeatTaken), taken).into())
}

/// What the newcomer's plugins say of the holder of a seat; nothing if it has just left it.
async fn decide(
    board: &Switchboard,
    admitted: &Admitted,
    holder: ConnId,
    complementary: bool,
) -> Result<Option<PairingDecision>, Refuse> {
    let Some(facts) = board.sessions.facts(holder) else { return Ok(None) };
    let mut later = Later::of(&admitted.handshake, admitted.generation.config.log.decisions);
    let said = policy::pair(&admitted.route.plugins, &admitted.known, &facts, complementary, later.trace()).await;
    later.about_holder(holder, complementary);
    Ok(said?)
}

fn tell(evicted: Option<Evicted<SessionHandle>>) {
    if let Some(Evicted { conn, handle: Some(handle), cause, partner }) = evicted {
        handle.relay().close(Some(conn), cause);
        // The session may not have met `conn` yet, which then is told by its seat; its partner is told here in any case.
        if let Some(partner) = partner {
            handle.relay().close(Some(partner), Cause::PartnerGone);
        }
    }
}

/// A leg that gets its 101.
pub struct Fresh {
    /// Made beside what goes with the handshake, and not behind it: what stays would take the place of that, piece by piece.
    seated: Box<Seated>,
    mailbox: relay::Mailbox,
    /// Bytes that are kept while it waits.
    hold: usize,
}

/// A leg that holds its seat: the host of its own session, or a guest in its partner's.
pub(super) struct Seated {
    /// None once it has met its partner, or its session begins to end.
    seat: Option<Box<Seat<SessionHandle>>>,
    pub(super) line: OnLine,
}

impl Seated {
    /// Its connection, if it has met its host.
    pub(super) fn met(&self) -> Option<ConnId> {
        self.seat.is_none().then(|| self.line.conn())
    }
}

impl Fresh {
    pub(super) async fn go(mut self, freed: Freed) {
        let Seated { seat: Some(seat), line } = &mut *self.seated else { return };
        let party = match seat.side() {
            Side::Client => Party::Client,
            Side::Backend => Party::Backend,
        };
        match freed {
            Ok(freed) => {
                line.opened(seat.subprotocol().map(AsRef::as_ref), None);
                let leg = leg_of(freed, line.conn(), party, line.limits());
                self.join_or_wait(leg).await;
            }
            Err(error) => session::unanswered(line, party, &*error),
        }
    }

    async fn join_or_wait(self, leg: Leg) {
        let Self { mut seated, mailbox, hold } = self;
        let handle = seated.line.handle();
        let mut leg = Box::new(leg);
        let mut again = false;
        let deadline = loop {
            let Some(seat) = &mut seated.seat else { return };
            match if again { seat.rejoin(&handle) } else { seat.ready(&handle) } {
                Readied::Wait { .. } => break seat.deadline(),
                Readied::Lost(cause) => {
                    handle.relay().close(None, cause);
                    break seat.deadline();
                }
                Readied::Join { handle: partner, .. } => {
                    leg.screen = hooks::screen(seat.side(), &handle, &partner);
                    let ticket = seated.line.ticket();
                    ticket.goes_to(&partner);
                    *partner.guest() = Some(seated);
                    let Err(returned) = partner.relay().join(leg).await else {
                        ticket.arrived();
                        partner.to(State::Open);
                        return handle.to(State::Open);
                    };
                    // The partner's session ended in this very moment: we wait on with our own deadline, or join another.
                    let Some(back) = partner.guest().take() else { return };
                    (seated, leg, again) = (back, returned, true);
                }
            }
        };
        let board = Arc::clone(seated.line.board());
        board.relay.run_waiting(*leg, mailbox, Instant::from_std(deadline), hold, seated);
    }
}

impl relay::Owner for Seated {
    fn joined(&mut self) {
        let met = self.line.guest().as_mut().map(|guest| (guest.seat.take(), guest.line.ticket()));
        let Some((guests, guest)) = met else { return };
        if let (Some(own), Some(guests)) = (self.seat.take(), guests) {
            own.meet(*guests);
        }
        self.line.joined(&guest);
    }

    /// Gives up the seats. A guest that is still on its way keeps its own: its leg will come back to it.
    fn ending(&mut self, joined: bool) {
        drop(self.seat.take());
        let met = self.line.guest().as_ref().filter(|_| joined).map(|guest| {
            guest.line.to(State::Closing);
            guest.line.conn()
        });
        if let Some(guest) = met {
            self.line.part(guest);
        }
        self.line.to(State::Closing);
    }

    fn ended(self: Box<Self>, report: Report) {
        let guest = if report.joined { self.line.guest().take() } else { None };
        self.line.over(report, guest);
    }
}
