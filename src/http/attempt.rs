//! One request as the log and the counters know it, from its head to its answer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
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
    generation::Route,
    head::upgrade,
    metrics::routes::{Account, Presence},
    model::{ConnId, Mode, Outcome},
};

/// What is known of a request so far; says in the log what became of it if nobody else did.
pub(super) struct Attempt {
    pub(super) id: ConnId,
    peer: SocketAddr,
    /// The client, where a trusted proxy stands before it.
    pub(super) client: Option<IpAddr>,
    begun: Instant,
    /// Without the query, which may hold secrets.
    path: String,
    route: Option<Arc<str>>,
    mode: Option<Mode>,
    /// On its route, while it is decided upon.
    pub(super) presence: Option<Presence>,
    account: Option<Arc<Account>>,
    /// What was decided, once it was.
    pub(super) info: Option<LegInfo>,
    board: Arc<Switchboard>,
    settled: bool,
}

impl Attempt {
    pub(super) fn new(connection: &Connection, path: String) -> Self {
        Self {
            id: ConnId::next(),
            peer: connection.peer,
            client: None,
            begun: Instant::now(),
            path,
            route: None,
            mode: None,
            presence: None,
            account: None,
            info: None,
            board: Arc::clone(&connection.board),
            settled: false,
        }
    }

    pub(super) fn on(&mut self, route: &Route) {
        if self.route.as_ref() == Some(&route.config.name) {
            return;
        }
        let presence = self.enter(route);
        self.route = Some(Arc::clone(&route.config.name));
        self.mode = Some(route.mode());
        self.account = Some(Arc::clone(presence.account()));
        self.presence = Some(presence);
    }

    pub(super) fn enter(&self, route: &Route) -> Presence {
        self.board.metrics.enter(&route.config.name, route.mode())
    }

    pub(super) fn admitted(mut self, response: Answer) -> Answer {
        self.settled = true;
        if self.mode != Some(Mode::Http) {
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
                self.log(refusal.cause, Some(response.status()), None, &refusal.reason, detail);
                response
            }
            Refuse::Rejection { policy, rejection } => {
                let response = upgrade::rejection(rejection).map(Answered::from);
                let status = Some(response.status());
                self.log(Cause::Rejected, status, Some(policy), &rejection.code, &rejection.log_reason);
                response
            }
            Refuse::Upstream { answer } => {
                let (status, from) = (answer.status, &answer.endpoint.address);
                let detail = format!("{from} answered {}, which was passed on", status.as_u16());
                self.log(Cause::UpstreamRefused, Some(status), None, Cause::UpstreamRefused.row().reason, &detail);
                upgrade::passed_on(answer.status, &answer.headers, answer.body.clone()).map(Answered::from)
            }
        }
    }

    /// `status` is what the client was told; none if nothing.
    fn log(&self, cause: Cause, status: Option<StatusCode>, policy: Option<&Arc<str>>, reason: &str, detail: &str) {
        let row = cause.row();
        self.board.metrics.ended(self.account.as_deref(), Outcome::Refused, cause);
        if let (Some(Mode::Http), Some(account), Some(status)) = (self.mode, &self.account, status) {
            account.answered(status);
        }
        if !self.board.current.load().config.log.sessions {
            return;
        }
        let info = self.info.as_ref();
        let policy = policy.or(info.map(|info| &info.policy)).filter(|policy| !policy.is_empty());
        let detail = Some(detail).filter(|detail| !detail.is_empty());
        let said = if self.mode == Some(Mode::Http) { "request refused" } else { "handshake refused" };
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
                    route = self.route.as_deref(),
                    role = info.map(|info| info.role).filter(|role| !role.is_empty()),
                    channel = info.map(|info| info.channel.escape_default().to_string()).filter(|id| !id.is_empty()),
                    policy = policy.map(|policy| &**policy),
                    status = status.map(|status| status.as_u16()),
                    reason,
                    detail,
                    duration_ms = session::milliseconds(self.begun.elapsed()),
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
        if let Some(cut) = self.board.drain.is_cut() {
            self.log(Cause::Draining, None, None, Cause::Draining.row().reason, Cut::why(cut));
        } else {
            let row = Cause::ClientGone.row();
            self.log(Cause::ClientGone, StatusCode::from_u16(row.status).ok(), None, row.reason, "");
        }
    }
}
