//! A rendezvous leg: seated before its 101, then waiting or joined, to its end.
//!
//! The leg that comes first runs the session of both; the one that comes second hands over its seat and its socket.
//! A seat is given up when the first Close, end or error of either leg is read, so the id is free at once.

use std::sync::Arc;

use http::HeaderMap;
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Admitted, Answer, Answered, Refuse, Switchboard, channel_header, leg_of,
    session::{self, Guest, OnLine, SessionHandle},
};
use crate::{
    error::Cause,
    head::upgrade,
    metrics::routes::State,
    model::{ConnId, Refusal, RendezvousRules},
    relay::{self, Leg, Party},
    rendezvous::{Arrival, Evicted, Key, Life, Readied, Reservation, Seat, Side},
    route::Plan,
};

/// How often a newcomer asks for a seat whose holder changes between probe and answer.
const TRIES: usize = 4;

pub(super) async fn answer(
    board: &Arc<Switchboard>,
    admitted: Admitted,
    upgrade: OnUpgrade,
    deadline: Instant,
) -> Result<Answer, Refuse> {
    let (Plan::Pair { key, side, rules }, Some(asked)) = (&admitted.plan, &admitted.request) else {
        return Err(Cause::Internal.into());
    };
    let arrival = Arrival {
        conn: admitted.handshake.id,
        side: *side,
        subject: None,
        offers: admitted.handshake.subprotocols.iter().map(|offer| offer.as_str().into()).collect(),
    };
    let mut seat = timeout_at(deadline, reserve(board, key, &arrival, rules))
        .await
        .map_err(|_| Refuse::from(Cause::EstablishTimeout))??;
    admitted.place.presence.mark().to(State::Waiting);
    // Waiting for a partner is not part of the establish budget.
    let subprotocol = timeout_at(seat.deadline().into(), seat.may_answer()).await.map_err(|_| Cause::NoPartner)??;
    let mut response =
        upgrade::switching_protocols(&asked.key, subprotocol.as_deref(), &[], &HeaderMap::new()).map(Answered::from);
    channel_header(&mut response, key.channel.as_str());
    let (hold, side) = (rules.hold, *side);
    let (conn, limits) = (admitted.handshake.id, Arc::clone(&admitted.info.limits));
    let line = OnLine::enter(board, conn, admitted.info, admitted.place);
    board.drain.spawn(async move {
        let opened = Instant::now();
        let party = match side {
            Side::Client => Party::Client,
            Side::Backend => Party::Backend,
        };
        match leg_of(upgrade, conn, party, &limits).await {
            Ok(leg) => seated(seat, leg, line, hold).await,
            Err(error) => session::unanswered(&line, party, opened, &error),
        }
    });
    Ok(response)
}

/// A seat, once a dead or replaced holder has made way.
async fn reserve(
    board: &Switchboard,
    key: &Key,
    arrival: &Arrival,
    rules: &RendezvousRules,
) -> Result<Seat<SessionHandle>, Refusal> {
    let (mut verdict, mut last) = (None, None);
    let taken = |holder: ConnId| {
        let peer = board.sessions.peer(holder).map_or("before its 101".to_owned(), |peer| format!("from {peer}"));
        Refusal::new(Cause::SeatTaken).with_detail(format!("held by {holder}, {peer}"))
    };
    for _ in 0..TRIES {
        let now = Instant::now().into_std();
        match board.registry.reserve(key, arrival.clone(), rules, verdict.take(), now) {
            Reservation::Seated { seat, evicted } => {
                tell(evicted);
                return Ok(seat);
            }
            Reservation::Refused { cause, evicted } => {
                tell(evicted);
                return Err(match (cause, last) {
                    (Cause::SeatTaken, Some(holder)) => taken(holder),
                    _ => Refusal::new(cause),
                });
            }
            Reservation::Occupied { holder, handle } => {
                last = Some(holder);
                let alive = match handle {
                    None => true,
                    Some(handle) => {
                        timeout(rules.probe, handle.relay.probe(holder)).await.is_ok_and(std::convert::identity)
                    }
                };
                verdict = Some((holder, if alive { Life::Alive } else { Life::Dead }));
            }
        }
    }
    Err(last.map_or_else(|| Refusal::new(Cause::SeatTaken), taken))
}

fn tell(evicted: Option<Evicted<SessionHandle>>) {
    if let Some(Evicted { conn, handle: Some(handle), cause, partner }) = evicted {
        handle.relay.close(Some(conn), cause);
        // The session may not have met `conn` yet, which then is told by its seat; its partner is told here in any case.
        if let Some(partner) = partner {
            handle.relay.close(Some(partner), Cause::PartnerGone);
        }
    }
}

/// From the 101 to the end, or until the leg has gone over to its partner's session.
async fn seated(mut seat: Seat<SessionHandle>, leg: Leg, mut line: OnLine, hold: usize) {
    let (handle, mailbox) = SessionHandle::new(&line);
    let mut leg = Box::new(leg);
    let mut readied = seat.ready(&handle);
    loop {
        match readied {
            Readied::Wait { .. } => break,
            Readied::Lost(cause) => {
                handle.relay.close(None, cause);
                break;
            }
            Readied::Join { handle: partner, .. } => {
                *partner.guest() = Some(Guest { seat: Some(seat), line });
                let Err(returned) = partner.relay.join(leg).await else {
                    partner.mark.to(State::Open);
                    return handle.mark.to(State::Open);
                };
                // The partner's session ended in this very moment: we wait on with our own deadline, or join another.
                let Some(Guest { seat: Some(own), line: back }) = partner.guest().take() else { return };
                (seat, line, leg) = (own, back, returned);
                readied = seat.rejoin(&handle);
            }
        }
    }
    host(seat, *leg, line, (handle, mailbox), hold).await;
}

/// Runs the session of a leg that came first.
async fn host(
    seat: Seat<SessionHandle>,
    leg: Leg,
    line: OnLine,
    (handle, mailbox): (SessionHandle, relay::Mailbox),
    hold: usize,
) {
    let opened = Instant::now();
    let deadline = Instant::from_std(seat.deadline());
    let own = handle.clone();
    let give_up_seats = move |joined: bool| {
        own.mark.to(State::Closing);
        // A guest that is still on its way keeps its seat: its leg will come back to it.
        let take_seat = |guest: &mut Guest| {
            guest.line.mark().to(State::Closing);
            guest.seat.take()
        };
        let guest = if joined { own.guest().as_mut().and_then(take_seat) } else { None };
        match guest {
            Some(guest) => drop(seat.pair(guest)),
            None => drop(seat),
        }
    };
    let run = line.relay().run_waiting(leg, mailbox, deadline, hold, give_up_seats);
    let report = session::run(&line, opened, &handle.relay, || handle.guest().is_none(), run).await;
    if report.joined {
        drop(handle.guest().take());
    }
}
