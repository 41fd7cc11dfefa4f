//! The account of one forwarded request: what passed, what it waits for, how it ended, one log line.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode, Version};
use hyper::body::Incoming;
use tokio::{sync::Notify, time::Instant};

use super::{
    super::{
        Connection, Place,
        session::{LegInfo, milliseconds},
    },
    gate::Gate,
};
use crate::{
    error::Cause,
    metrics::{Counted, routes::State},
    model::{ConnId, Handshake, HttpRules, Outcome},
    socket::{Pulse, Watched},
};

/// One request and its answer, until both are over. Shared by whoever moves a part of it; dropping the last one is the
/// end of it.
pub(in crate::http) struct Exchange {
    connection: Arc<Connection>,
    conn: ConnId,
    info: LegInfo,
    method: Method,
    version: Version,
    /// Without the query, which may hold secrets.
    path: String,
    begun: Instant,
    /// Bounds of its route.
    pub(in crate::http) rules: HttpRules,
    /// When a byte of a body passed last.
    pulse: Pulse,
    received: AtomicU64,
    sent: AtomicU64,
    upload: Upload,
    /// Of a body that waits to be asked for.
    gate: Option<Gate>,
    answered: OnceLock<Answered>,
    /// The answer's body has come from the service to its end.
    download_over: AtomicBool,
    failed: OnceLock<(Cause, String)>,
    /// The edge leaves it to us how long a body may be silent.
    _watched: Watched,
    _in_flight: Counted,
    place: Place,
}

/// The way of the request's body.
#[derive(Default)]
struct Upload {
    over: AtomicBool,
    /// The service has room and the client sends nothing.
    starving: AtomicBool,
    ended: Notify,
}

struct Answered {
    status: StatusCode,
    /// Service and endpoint.
    upstream: String,
    /// Of the connection to the endpoint.
    pulse: Pulse,
}

impl Exchange {
    /// `body` tells whether there is one, and whether it waits to be asked for.
    pub(super) fn begin(
        connection: &Arc<Connection>,
        handshake: &Handshake,
        info: &LegInfo,
        rules: HttpRules,
        place: Place,
        (has_body, asks_first): (bool, bool),
    ) -> Arc<Self> {
        let upload = Upload { over: AtomicBool::new(!has_body), ..Upload::default() };
        Arc::new(Self {
            conn: handshake.id,
            info: info.clone(),
            method: handshake.method.clone(),
            version: handshake.version,
            path: handshake.uri.path().to_owned(),
            begun: Instant::now(),
            rules,
            pulse: Pulse::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            upload,
            gate: asks_first.then(Gate::default),
            answered: OnceLock::new(),
            download_over: AtomicBool::new(false),
            failed: OnceLock::new(),
            _in_flight: Counted::one(&connection.board.metrics.http.in_flight),
            place,
            _watched: connection.pulse.watched(),
            connection: Arc::clone(connection),
        })
    }

    /// A connection has taken it: from here on the service is waited for.
    pub(super) fn sending(&self) {
        self.place.presence.to(State::Dialing);
        self.pulse.beat();
    }

    /// Bytes have come from the client; false if they are more than may come.
    pub(in crate::http) fn received(&self, bytes: usize) -> bool {
        self.pulse.beat();
        let total = self.received.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.rules.body == 0 || total <= self.rules.body
    }

    /// Bytes are on their way to the client.
    pub(in crate::http) fn sent(&self, bytes: usize) {
        self.pulse.beat();
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the service has room for more of the body than the client sends.
    pub(in crate::http) fn starving(&self, starving: bool) {
        self.upload.starving.store(starving, Ordering::Relaxed);
    }

    /// The request's body has ended, or nobody takes it any more. What is left of it is read for a while and thrown
    /// away, lest the client's answer be destroyed: closing a socket with unread input makes the kernel reset it.
    pub(in crate::http) fn upload_over(&self, rest: Option<Incoming>) {
        self.upload.over.store(true, Ordering::Release);
        self.pulse.beat();
        self.upload.ended.notify_one();
        if let Some(rest) = rest.filter(|_| self.version < Version::HTTP_2) {
            self.connection.linger(rest);
        }
    }

    /// Of a body that waits to be asked for.
    pub(in crate::http) const fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// The answer begins; from here on the account is ours.
    pub(super) fn answered(&self, status: StatusCode, upstream: String, pulse: Pulse) {
        if let Some(gate) = &self.gate {
            gate.answered();
        }
        self.pulse.beat();
        self.place.presence.to(State::Open);
        let _ = self.answered.set(Answered { status, upstream, pulse });
    }

    /// Why it ends before it is over; the first reason counts. What we cut fails for no other reason.
    pub(in crate::http) fn fail(&self, cause: Cause, detail: impl Into<String>) {
        let _ = self.failed.set(match self.connection.board.drain.is_cut() {
            Some(cut) => (Cause::Draining, cut.why().to_owned()),
            None => (cause, detail.into()),
        });
    }

    /// When the identity of its client ends, in milliseconds since 1970.
    pub(in crate::http) fn end(&self) -> Option<u64> {
        self.info.end()
    }

    /// What is known of its request.
    pub(in crate::http) const fn info(&self) -> &LegInfo {
        &self.info
    }

    /// Its connection's id.
    pub(in crate::http) const fn conn(&self) -> ConnId {
        self.conn
    }

    /// Its place on its route.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Why it ended before it was over.
    pub(super) fn failed(&self) -> Option<&(Cause, String)> {
        self.failed.get()
    }

    /// What comes to the client cannot be told from all there is but by a reset: HTTP/1.0 without a length.
    pub(in crate::http) fn break_visibly(&self) {
        if self.version < Version::HTTP_11 {
            self.connection.pulse.reset_at_end();
        }
    }

    /// How long no byte has passed in either direction.
    pub(in crate::http) fn silence(&self) -> Duration {
        let silence = self.pulse.silence();
        // With both bodies over the connection to the service may carry somebody else's.
        let ours = !(self.download_over.load(Ordering::Acquire) && self.upload.over.load(Ordering::Acquire));
        let service = self.answered.get().filter(|_| ours).map(|answered| answered.pulse.silence());
        service.map_or(silence, |service| silence.min(service))
    }

    /// The answer's body has come to its end.
    pub(in crate::http) fn download_over(&self) {
        self.download_over.store(true, Ordering::Release);
        self.gate_over();
    }

    /// Nobody waits for the answer any more: a body that was not asked for will not be.
    pub(in crate::http) fn gate_over(&self) {
        if let Some(gate) = &self.gate {
            gate.over();
        }
    }

    /// What is wrong after such a silence of the service before its answer; else how long it may last.
    pub(super) fn patience(&self, service: &Pulse) -> Result<Option<Duration>, Cause> {
        let upload = !self.upload.over.load(Ordering::Acquire);
        // A body that waits to be asked for is the client's and the gate's affair.
        let (bound, silence) = if upload {
            (self.rules.idle, self.pulse.silence().min(service.silence()))
        } else {
            (self.rules.answer, self.pulse.silence())
        };
        if bound.is_zero() {
            return Ok(None);
        }
        let remaining = bound.saturating_sub(silence);
        match remaining.is_zero() {
            false => Ok(Some(remaining)),
            true if upload && self.upload.starving.load(Ordering::Relaxed) => Err(Cause::BodyStalled),
            true => Err(Cause::UpstreamTimeout),
        }
    }

    /// Waits until the request's body is over.
    pub(super) async fn upload_ended(&self) {
        self.upload.ended.notified().await;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.info.identity.is_some() {
            self.connection.board.sessions.answered(self.conn);
        }
        // What never was answered is a refusal, which has its line and its counters elsewhere.
        let Some(Answered { status, upstream, .. }) = self.answered.get() else { return };
        let board = &self.connection.board;
        let failed = self.failed.get();
        let cause = failed.map_or(Cause::Closed, |(cause, _)| *cause);
        let outcome = match cause {
            Cause::Closed | Cause::Idle | Cause::Expired | Cause::Revoked => Outcome::Forwarded,
            Cause::Draining => Outcome::Drained,
            _ => Outcome::Error,
        };
        let account = self.place.presence.account();
        board.metrics.ended(Some(account), outcome, cause);
        account.answered(*status);
        if !board.current.load().config.log.sessions {
            return;
        }
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(
                    target: "cordboard::session",
                    tracing::Level::$level,
                    outcome = outcome.label(),
                    cause = cause.label(),
                    detail = failed.map(|(_, detail)| detail.as_str()).filter(|detail| !detail.is_empty()),
                    conn = %self.conn,
                    peer = %self.info.peer(),
                    method = %self.method,
                    path = %self.path.escape_default(),
                    route = &*self.info.terms.route,
                    subject = self.info.shown_subject(),
                    policy = Some(&*self.info.policy).filter(|policy| !policy.is_empty()),
                    generation = self.info.generation(),
                    upstream,
                    status = status.as_u16(),
                    bytes_in = self.received.load(Ordering::Relaxed),
                    bytes_out = self.sent.load(Ordering::Relaxed),
                    duration_ms = milliseconds(self.begun.elapsed()),
                    "request forwarded"
                )
            };
        }
        match cause.row().level {
            tracing::Level::ERROR => at!(ERROR),
            tracing::Level::WARN => at!(WARN),
            _ if failed.is_some() && board.drain.is_cut().is_some() => at!(WARN),
            _ => at!(INFO),
        }
    }
}
