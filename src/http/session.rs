//! Who is on the line: the legs that were answered with 101, the session that carries each, how it learns that we stop,
//! and the one log line at its end.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dashmap::DashMap;
use tokio::time::Instant;

use super::{Place, Switchboard};
use crate::{
    drain::Cut,
    error::Cause,
    generation::Route,
    metrics::routes::Mark,
    model::{ConnId, Handshake, Limits, Mode, Outcome},
    relay::{self, LegReport, Party, Report},
    rendezvous::Seat,
    route::Plan,
};

/// What is known of a leg before its 101.
#[derive(Clone)]
pub struct LegInfo {
    /// Role by name; empty for a plain request.
    pub role: String,
    /// The channel's id; empty for a plain request.
    pub channel: String,
    /// `name@identity` of the policy that decided; empty if none did.
    pub policy: Arc<str>,
    /// Number of the generation it was decided under.
    pub generation: u64,
    /// The socket's peer.
    pub peer: SocketAddr,
    /// The client, where a trusted proxy stands before it.
    pub client: Option<IpAddr>,
    /// Name of the route.
    pub route: Arc<str>,
    /// Kind of the route.
    pub mode: Mode,
    /// Of its route.
    pub limits: Arc<Limits>,
    /// The service's id and the endpoint, on a routed leg.
    pub upstream: Option<String>,
}

impl LegInfo {
    pub(super) fn new(
        handshake: &Handshake,
        route: &Route,
        plan: &Plan,
        policy: Option<Arc<str>>,
        generation: u64,
    ) -> Self {
        let (role, channel) = match plan {
            Plan::Pair { key, side, .. } => (side.role().name().to_owned(), key.channel.as_str().to_owned()),
            Plan::Dial { channel, .. } => ("routed".to_owned(), channel.as_str().to_owned()),
            Plan::Forward { .. } => (String::new(), String::new()),
        };
        Self {
            role,
            channel,
            policy: policy.unwrap_or_default(),
            generation,
            peer: handshake.peer,
            client: handshake.client.trusted.then_some(handshake.client.remote),
            route: Arc::clone(&route.config.name),
            mode: route.mode(),
            limits: Arc::clone(&route.limits),
            upstream: None,
        }
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
    guest: Arc<Mutex<Option<Guest>>>,
}

/// What a leg that joins another's session brings beside its socket.
pub(super) struct Guest {
    /// Its seat; none once the pair has given its seats up.
    pub(super) seat: Option<Seat<SessionHandle>>,
    /// Lives as long as the session.
    pub(super) line: OnLine,
}

impl SessionHandle {
    /// Of the leg on this line.
    pub(super) fn new(line: &OnLine) -> (Self, relay::Mailbox) {
        let (relay, mailbox) = relay::mailbox();
        (Self { relay, mark: line.mark().clone(), guest: Arc::default() }, mailbox)
    }

    pub(super) fn guest(&self) -> MutexGuard<'_, Option<Guest>> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The legs alive, by connection.
#[derive(Default)]
pub struct Sessions(DashMap<ConnId, LegInfo>);

impl Sessions {
    /// Legs alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The peer of a leg, if it is on the line.
    pub(super) fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.0.get(&conn).map(|info| info.peer)
    }
}

/// A leg between its 101 and its end: counted, and known by its connection.
pub(super) struct OnLine {
    board: Arc<Switchboard>,
    conn: ConnId,
    mode: Mode,
    place: Arc<Place>,
}

impl OnLine {
    pub(super) fn enter(board: &Arc<Switchboard>, conn: ConnId, info: LegInfo, place: impl Into<Arc<Place>>) -> Self {
        let mode = info.mode;
        board.sessions.0.insert(conn, info);
        Self { board: Arc::clone(board), conn, mode, place: place.into() }
    }

    pub(super) const fn conn(&self) -> ConnId {
        self.conn
    }

    /// What moves its frames.
    pub(super) fn relay(&self) -> &relay::Relay {
        &self.board.relay
    }

    /// Where the leg is on its way.
    pub(super) fn mark(&self) -> &Mark {
        self.place.presence.mark()
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        self.board.sessions.0.remove(&self.conn);
    }
}

/// Runs a session to its end and accounts for it. While it runs it is told that we stop: one that is `waiting` at once,
/// another when it is its turn; and it is cut when that has taken too long.
pub(super) async fn run(
    line: &OnLine,
    opened: Instant,
    handle: &relay::Handle,
    waiting: impl Fn() -> bool,
    mut session: relay::Running,
) -> Report {
    let drain = &line.board.drain;
    let stop = async {
        let told = async {
            drain.begun().await;
            handle.drain(drain.turn(if waiting() { 0.0 } else { line.conn.fraction() }).await);
            std::future::pending().await
        };
        let why = tokio::select! { biased; why = drain.cut_off() => why, why = told => why };
        handle.cut(Cause::Draining);
        why
    };
    let mut stop = pin!(stop);
    let (report, cut) = tokio::select! {
        biased;
        report = &mut session => (report, None),
        why = &mut stop => (session.await, Some(why)),
    };
    ended(line, &report, opened, cut);
    report
}

/// Accounts for a leg whose 101 could not be written.
pub(super) fn unanswered(line: &OnLine, party: Party, opened: Instant, error: &hyper::Error) {
    let cut = line.board.drain.is_cut();
    tracing::debug!(conn = %line.conn, %error, "a 101 could not be written");
    let report = Report {
        cause: if cut.is_some() { Cause::Draining } else { Cause::ClientGone },
        detail: Some("left before its 101 was written"),
        ended_by: cut.is_none().then_some(line.conn),
        joined: false,
        duration: opened.elapsed(),
        legs: vec![LegReport::new(line.conn, party)],
    };
    ended(line, &report, opened, cut);
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a session's end, on the line of its first leg, and writes its own line.
fn ended(line: &OnLine, report: &Report, opened: Instant, cut: Option<Cut>) {
    let board = &line.board;
    let outcome = outcome(line.mode, report);
    board.metrics.ended(Some(line.place.presence.account()), outcome, report.cause);
    for leg in &report.legs {
        board.metrics.bytes.inc_by(leg.bytes_in);
        board.metrics.messages.inc_by(leg.messages_in);
        board.metrics.holds_filled.inc_by(leg.hold_filled.into());
        board.metrics.closes_overdue.inc_by(leg.overdue.into());
    }
    if !board.current.load().config.log.sessions {
        return;
    }
    let known: Vec<Option<LegInfo>> =
        report.legs.iter().map(|leg| board.sessions.0.get(&leg.conn).map(|info| info.clone())).collect();
    let leg = |n: usize| Shown { report: report.legs.get(n), info: known.get(n).and_then(Option::as_ref) };
    let (first, second) = (leg(0), leg(1));
    let row = report.cause.row();
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(
                target: "cordboard::session",
                tracing::Level::$level,
                outcome = outcome.label(),
                cause = row.label,
                detail = cut.map(Cut::why).or(report.detail),
                ended_by = report.ended_by.map(|conn| conn.to_string()),
                route = first.route(),
                channel = first.channel(),
                conn = first.conn(),
                role = first.role(),
                peer = first.peer(),
                client = first.client(),
                policy = first.policy(),
                generation = first.generation(),
                close_received = first.received(),
                close_sent = first.sent(),
                bytes_in = first.bytes(),
                messages_in = first.messages(),
                partner = second.conn(),
                partner_role = second.role(),
                partner_peer = second.peer(),
                partner_route = second.route(),
                partner_generation = second.generation(),
                partner_client = second.client(),
                partner_policy = second.policy(),
                partner_close_received = second.received(),
                partner_close_sent = second.sent(),
                partner_bytes_in = second.bytes(),
                partner_messages_in = second.messages(),
                upstream = first.upstream(),
                duration_ms = milliseconds(opened.elapsed()),
                "session ended"
            )
        };
    }
    match row.level {
        tracing::Level::ERROR => line!(ERROR),
        tracing::Level::WARN => line!(WARN),
        _ if cut.is_some() => line!(WARN),
        _ => line!(INFO),
    }
}

/// One leg's fields; absent ones are left out of the line.
struct Shown<'a> {
    report: Option<&'a LegReport>,
    info: Option<&'a LegInfo>,
}

impl Shown<'_> {
    fn conn(&self) -> Option<String> {
        self.report.map(|leg| leg.conn.to_string())
    }

    fn route(&self) -> Option<&str> {
        self.info.map(|info| &*info.route)
    }

    /// Escaped, because a caller chose it.
    fn channel(&self) -> Option<String> {
        self.info.map(|info| info.channel.escape_default().to_string())
    }

    fn role(&self) -> Option<&str> {
        self.info.map(|info| info.role.as_str())
    }

    fn peer(&self) -> Option<String> {
        self.info.map(|info| info.peer.to_string())
    }

    fn client(&self) -> Option<String> {
        self.info.and_then(|info| info.client).map(|client| client.to_string())
    }

    fn policy(&self) -> Option<&str> {
        self.info.map(|info| &*info.policy).filter(|policy| !policy.is_empty())
    }

    fn generation(&self) -> Option<u64> {
        self.info.map(|info| info.generation)
    }

    fn upstream(&self) -> Option<&str> {
        self.info.and_then(|info| info.upstream.as_deref())
    }

    fn received(&self) -> Option<u16> {
        self.report.and_then(|leg| leg.close_received)
    }

    fn sent(&self) -> Option<u16> {
        self.report.and_then(|leg| leg.close_sent)
    }

    fn bytes(&self) -> Option<u64> {
        self.report.map(|leg| leg.bytes_in)
    }

    fn messages(&self) -> Option<u64> {
        self.report.map(|leg| leg.messages_in)
    }
}

fn outcome(mode: Mode, report: &Report) -> Outcome {
    match report.cause {
        Cause::NoPartner => Outcome::Timeout,
        Cause::Replaced | Cause::Dead => Outcome::Replaced,
        Cause::Draining => Outcome::Drained,
        Cause::Closed | Cause::ClientBroken | Cause::BackendBroken | Cause::ClientGone if !report.joined => {
            Outcome::Lonely
        }
        Cause::Closed | Cause::Idle | Cause::Lifetime => match mode {
            Mode::Rendezvous => Outcome::Paired,
            Mode::Router | Mode::Http => Outcome::Routed,
        },
        _ => Outcome::Error,
    }
}
