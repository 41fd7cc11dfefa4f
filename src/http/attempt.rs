//! One request as the log and the counters know it, from its head to its answer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
};

use http::StatusCode;
use tokio::time::Instant;

use super::{
    Answer, Connection, Refuse, Switchboard,
    body::Answered,
    session::{self, LegInfo},
};
use crate::{
    drain::Cut,
    error::Cause,
    generation::{Route, Terms},
    head::upgrade,
    metrics::routes::Presence,
    model::{ConnId, Mode, Outcome, ServiceId},
};

/// What is known of a request so far; says in the log what became of it if nobody else did.
pub(super) struct Attempt {
    pub(super) id: ConnId,
    peer: SocketAddr,
    /// The client, where a trusted proxy stands before it.
    pub(super) client: Option<IpAddr>,
    /// When its budget began: with the connection, or with the first byte of a later request.
    due_since: Instant,
    begun: Instant,
    /// It asks for an upgrade, as far as that is known.
    upgrade: bool,
    /// Without the query, which may hold secrets.
    path: String,
    /// Of its route.
    terms: Option<Arc<Terms>>,
    /// On its route, while it is decided upon.
    pub(super) presence: Option<Presence>,
    /// What was decided, once it was.
    pub(super) info: Option<LegInfo>,
    /// The service that it is for, once that was resolved.
    pub(super) service: Option<ServiceId>,
    board: Arc<Switchboard>,
    settled: bool,
}

/// What is to be said of a refusal beside its cause.
struct Said<'a> {
    /// What the client was told; none if nothing.
    status: Option<StatusCode>,
    policy: Option<&'a Arc<str>>,
    reason: &'a str,
    detail: &'a str,
    endpoint: Option<&'a str>,
}

impl Said<'_> {
    /// Nothing but the cause's own text.
    const fn of(cause: Cause) -> Self {
        Self { status: None, policy: None, reason: cause.row().reason, detail: "", endpoint: None }
    }
}

impl Attempt {
    pub(super) fn new(connection: &Connection, path: String, due_since: Instant, upgrade: bool) -> Self {
        Self {
            id: ConnId::next(),
            peer: connection.peer,
            client: None,
            due_since,
            begun: Instant::now(),
            upgrade,
            path,
            terms: None,
            presence: None,
            info: None,
            service: None,
            board: Arc::clone(&connection.board),
            settled: false,
        }
    }

    pub(super) fn on(&mut self, route: &Route) {
        if self.terms.as_ref().is_some_and(|terms| Arc::ptr_eq(terms, &route.terms)) {
            return;
        }
        self.terms = Some(Arc::clone(&route.terms));
        self.presence = Some(Self::enter(route));
    }

    fn mode(&self) -> Option<Mode> {
        self.terms.as_ref().map(|terms| terms.mode)
    }

    pub(super) fn enter(route: &Route) -> Presence {
        Presence::new(Arc::clone(&route.terms.account))
    }

    pub(super) fn admitted(mut self, response: Answer) -> Answer {
        self.settled = true;
        if self.mode() != Some(Mode::Http) {
            self.board.metrics.handshake_seconds.observe(self.begun.elapsed().as_secs_f64());
        }
        response
    }

    pub(super) fn refused(mut self, refuse: &Refuse) -> Answer {
        self.settled = true;
        match refuse {
            Refuse::Refusal(refusal) => {
                let response = upgrade::refusal(refusal).map(Answered::from);
                let detail = refusal.detail.as_deref().unwrap_or_default();
                let (policy, endpoint) = (refusal.policy.as_ref(), refusal.endpoint.as_deref());
                let said = Said { status: Some(response.status()), policy, reason: &refusal.reason, detail, endpoint };
                self.log(refusal.cause, &said);
                response
            }
            Refuse::Rejection { policy, rejection } => {
                let response = upgrade::rejection(rejection).map(Answered::from);
                let (reason, detail) = (rejection.code.as_str(), rejection.log_reason.as_str());
                let status = Some(response.status());
                self.log(Cause::Rejected, &Said { status, policy: Some(policy), reason, detail, endpoint: None });
                response
            }
            Refuse::Upstream { answer } => {
                let (status, from) = (answer.status, &answer.endpoint.address);
                let detail = format!("{from} answered {}, which was passed on", status.as_u16());
                let said = Said {
                    status: Some(status),
                    detail: &detail,
                    endpoint: Some(from),
                    ..Said::of(Cause::UpstreamRefused)
                };
                self.log(Cause::UpstreamRefused, &said);
                upgrade::passed_on(answer.status, &answer.headers, answer.body.clone()).map(Answered::from)
            }
        }
    }

    fn log(&self, cause: Cause, said: &Said<'_>) {
        let Said { status, policy, reason, detail, endpoint } = *said;
        let row = cause.row();
        let terms = self.terms.as_deref();
        self.board.metrics.ended(terms.map(|terms| &*terms.account), Outcome::Refused, cause);
        if let (Some(Terms { mode: Mode::Http, account, .. }), Some(status)) = (terms, status) {
            account.answered(status);
        }
        if !self.board.current.load().config.log.sessions {
            return;
        }
        let info = self.info.as_ref();
        let policy = policy.or(info.map(|info| &info.policy)).filter(|policy| !policy.is_empty());
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        let upstream = self.service.as_ref().map(|service| match endpoint {
            Some(endpoint) => format!("{} {endpoint}", service.as_str()),
            None => service.as_str().to_owned(),
        });
        let handshake = self.mode().map_or(self.upgrade, |mode| mode != Mode::Http);
        let said = if handshake { "handshake refused" } else { "request refused" };
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(
                    target: "cordboard::session",
                    tracing::Level::$level,
                    outcome = Outcome::Refused.label(),
                    cause = row.label,
                    conn = %self.id,
                    peer = %self.peer,
                    client = self.client.map(|client| client.to_string()),
                    path = %self.path.escape_default(),
                    route = terms.map(|terms| &*terms.route),
                    role = info.and_then(LegInfo::role),
                    channel = info.and_then(LegInfo::shown_channel),
                    subject = info.and_then(LegInfo::shown_subject),
                    policy = policy.map(|policy| &**policy),
                    upstream,
                    status = status.map(|status| status.as_u16()),
                    reason,
                    detail,
                    duration_ms = session::milliseconds(self.due_since.elapsed()),
                    "{said}"
                )
            };
        }
        match row.level {
            tracing::Level::ERROR => at!(ERROR),
            tracing::Level::WARN => at!(WARN),
            _ => at!(INFO),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if thread::panicking() {
            self.log(
                Cause::Internal,
                &Said { detail: "a panic, which the log has before this", ..Said::of(Cause::Internal) },
            );
        } else if let Some(cut) = self.board.drain.is_cut() {
            self.log(Cause::Draining, &Said { detail: Cut::why(cut), ..Said::of(Cause::Draining) });
        } else {
            let status = StatusCode::from_u16(Cause::ClientGone.row().status).ok();
            self.log(Cause::ClientGone, &Said { status, ..Said::of(Cause::ClientGone) });
        }
    }
}
