//! A plain request: passed to a service as it comes, its answer passed back as it comes.
//!
//! Bodies stream in both directions at the pace of the slower side. Connections to services are kept for the next
//! request ([`crate::upstream::pool`]). A request is sent once: the next endpoint is asked only where connecting failed,
//! another connection is taken only where the one that was kept had died meanwhile. Dropping the future cancels what
//! was sent. Before the answer begins every failure is a status; then [`super::Watch`] cuts what has stopped to move.

mod exchange;
mod gate;
mod tunnel;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::OnUpgrade,
};
use tokio::time::{sleep, timeout};

pub(in crate::http) use self::exchange::Exchange;
pub(in crate::http) use self::gate::Gate;
use super::{
    Admitted, Answer, CLOSE, Connection, Refuse, Watch,
    body::{Answered, Download, Upload},
    decision::Later,
};
use crate::{
    config::Transport,
    error::Cause,
    generation::{Route, Service},
    head::{
        headers::{Changes, has_token},
        plain::{self, Length},
    },
    metrics::Counted,
    model::{Handshake, HostHeader, HttpRules, PoolRules, Refusal},
    policy::{self, Known},
    route::{Plan, Wishes},
    upstream::{
        NotOpen, Tried,
        pool::{Key, Lent},
    },
};

pub(super) async fn answer(
    connection: &Arc<Connection>,
    watch: &Arc<Watch>,
    admitted: Admitted,
    received: &mut Option<Incoming>,
    upgrade: OnUpgrade,
) -> Result<Answer, Refuse> {
    let Admitted { handshake, route, plan, edits, known, info, place, .. } = admitted;
    let (Plan::Forward { service, wishes }, Some(rules)) = (&plan, route.config.http()) else {
        return Err(Cause::Internal.into());
    };
    let body = received.as_ref().filter(|body| !body.is_end_stream());
    let length = match body {
        None => Length::None,
        Some(body) => body.size_hint().exact().map_or(Length::Unknown, Length::Known),
    };
    let captured = route.config.matching.captures(&handshake.segments);
    let changes = Changes {
        path_and_query: wishes.path_and_query.as_deref(),
        edits: &edits,
        rewrite: Some(&route.config.rewrite),
        captured: captured.as_ref(),
    };
    let Outgoing { head, asks_first, upgrades } = Outgoing::of(&handshake, &changes, length, rules)?;
    let body = body.is_some().then(|| received.take()).flatten();
    let exchange = Exchange::begin(connection, &handshake, &info, *rules, place, (body.is_some(), asks_first));
    let task =
        Task { connection, watch, handshake: &handshake, known: &known, route: &route, service, wishes, exchange };
    if upgrades {
        return tunnel::answer(&task, head, info, upgrade).await;
    }
    let (response, lent) = task.send(&head, body, true).await?;
    task.passed_on(response, lent, service.config.pool).await
}

/// A request as a service gets it, but for its `Host`, which is the endpoint's affair ([`name_host`]).
pub(super) struct Outgoing {
    pub(super) head: Request<()>,
    /// Its body waits to be asked for.
    asks_first: bool,
    upgrades: bool,
}

impl Outgoing {
    pub(super) fn of(
        handshake: &Handshake,
        changes: &Changes<'_>,
        length: Length,
        rules: &HttpRules,
    ) -> Result<Self, Refusal> {
        may_be_as_long(length, rules)?;
        let mut head = plain::request(handshake, changes, length)?;
        let expects = has_token(&handshake.headers, &header::EXPECT, "100-continue");
        // RFC 9110 §10.1.1: of HTTP/1.0 the expectation is ignored, and without a body there is none.
        let asks_first = expects && length != Length::None && handshake.version > Version::HTTP_10;
        if expects && !asks_first {
            head.headers_mut().remove(header::EXPECT);
        }
        // RFC 9110 §7.8: a server may ignore an upgrade, as we do beside a body.
        let asked = plain::upgrade_asked(handshake).filter(|_| length == Length::None);
        let upgrades = asked.is_some();
        if let Some(asked) = asked {
            plain::ask_upgrade(asked, head.headers_mut());
        }
        Ok(Self { head, asks_first, upgrades })
    }
}

/// Puts an endpoint's name where the route wants it.
pub(super) fn name_host(headers: &mut HeaderMap, wanted: HostHeader, authority: &str) {
    if wanted == HostHeader::Endpoint || !headers.contains_key(header::HOST) {
        // An authority of the configuration always is one.
        if let Ok(value) = HeaderValue::from_str(authority) {
            headers.insert(header::HOST, value);
        }
    }
}

/// What comes is measured as it comes, unless its length is announced.
fn may_be_as_long(length: Length, rules: &HttpRules) -> Result<(), Refusal> {
    match length {
        Length::Known(length) if rules.body != 0 && length > rules.body => {
            let detail = format!("{length} bytes are more than {} (http.body)", rules.body);
            Err(Refusal::new(Cause::BodyTooBig).with_detail(detail))
        }
        _ => Ok(()),
    }
}

/// One request on its way.
struct Task<'a> {
    connection: &'a Arc<Connection>,
    watch: &'a Arc<Watch>,
    handshake: &'a Handshake,
    known: &'a Known,
    route: &'a Route,
    service: &'a Service,
    wishes: &'a Wishes,
    exchange: Arc<Exchange>,
}

impl Task<'_> {
    /// A service's answer as the client gets it.
    async fn passed_on(
        &self,
        response: Response<Incoming>,
        lent: Lent<Upload>,
        pool: PoolRules,
    ) -> Result<Answer, Refuse> {
        let (head, body) = response.into_parts();
        let wrong = |why: &str| Refusal {
            endpoint: Some(Arc::clone(lent.address())),
            ..Refusal::new(Cause::UpstreamProtocol).with_detail(format!("{}: {why}", lent.address()))
        };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(wrong("it switches protocols without being asked").into());
        }
        let mut headers = plain::answer(head.status, &head.headers).map_err(wrong)?;
        self.rewritten(head.status, &mut headers).await?;
        self.answered(head.status, &lent);
        if self.exchange.gate().is_some_and(|gate| !gate.is_open()) && self.handshake.version < Version::HTTP_2 {
            // The body is not read, so nothing can follow it (RFC 9112 §9.3).
            headers.insert(header::CONNECTION, CLOSE);
        }
        self.watch.begin(&self.exchange);
        self.connection.board.sessions.answers(&self.exchange, self.watch);
        let (exchange, kept) = (Arc::clone(&self.exchange), self.connection.board.pool.clone());
        let endless = headers.get(header::CONTENT_TYPE).is_some_and(is_event_stream);
        let download = Download::new(body, exchange, lent, endless, kept, pool);
        let mut response = Response::new(Answered::Forwarded(Box::new(download)));
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Has the plugins edit the header of an answer. One that they reject is dropped with its body.
    async fn rewritten(&self, status: StatusCode, headers: &mut HeaderMap) -> Result<(), Refuse> {
        let mut later = Later::of(self.handshake, self.connection.board.current.load().config.log.decisions);
        let edited = policy::rewrite_answer(&self.route.plugins, self.known, status, headers, later.trace());
        let edited = timeout(self.connection.establish, edited).await;
        later.about_answer(status);
        Ok(edited.map_err(|_| Refuse::from(Cause::EstablishTimeout))??)
    }

    fn answered(&self, status: StatusCode, lent: &Lent<Upload>) {
        let upstream = format!("{} {}", self.service.config.id.as_str(), lent.address());
        self.exchange.answered(status, upstream, lent.pulse().clone());
    }

    /// Sends the request to the first endpoint that takes it; its answer, and the connection it comes on. `may_share`
    /// tells whether that may have carried another request before.
    async fn send(
        &self,
        head: &Request<()>,
        body: Option<Incoming>,
        may_share: bool,
    ) -> Result<(Response<Incoming>, Lent<Upload>), Refusal> {
        let transport = self.wishes.transport.unwrap_or(Transport::Plain);
        // RFC 9110 §9.2.2: what has no effect may be sent again.
        let repeatable = body.is_none() && [Method::GET, Method::HEAD, Method::OPTIONS].contains(head.method());
        let mut body = Upload::new(body, Arc::clone(&self.exchange));
        let mut late = false;
        let mut tried = Tried::default();
        let refused = |cause, tried: Tried| Refusal {
            endpoint: tried.last.clone(),
            ..Refusal::new(cause).with_detail(tried.to_string())
        };
        for endpoint in self.service.candidates(self.wishes.env_tag.as_deref(), transport) {
            let key = Key { service: self.service.config.id.clone(), address: Arc::clone(&endpoint.authority) };
            loop {
                let kept = if may_share { self.connection.board.pool.take(&key) } else { None };
                let mut lent = match kept {
                    Some(lent) => lent,
                    None => match self.open(&key).await {
                        Ok(lent) => lent,
                        Err(error) => {
                            late |= matches!(error, NotOpen::Late(_));
                            tried.note(&key.address, &error);
                            break;
                        }
                    },
                };
                self.exchange.sending();
                let answer = lent.send(self.request(head, body, &key));
                let mut error = match self.within_bounds(&lent, answer).await? {
                    Ok(response) => return Ok((response, lent)),
                    Err(error) => error,
                };
                if let Some((cause, detail)) = self.exchange.failed() {
                    let endpoint = Some(Arc::clone(&key.address));
                    return Err(Refusal { endpoint, ..Refusal::new(*cause).with_detail(detail.clone()) });
                }
                tried.note(&key.address, &said(error.error()));
                match error.take_message() {
                    Some(unsent) => body = unsent.into_body(),
                    // It had closed this connection when the request came, as it may.
                    None if lent.reused && repeatable && !error.error().is_parse() => {
                        body = Upload::new(None, Arc::clone(&self.exchange));
                    }
                    None => return Err(refused(Cause::UpstreamProtocol, tried)),
                }
                if !lent.reused {
                    break;
                }
            }
        }
        Err(refused(if late { Cause::UpstreamTimeout } else { Cause::NoEndpoint }, tried))
    }

    async fn open(&self, key: &Key) -> Result<Lent<Upload>, NotOpen> {
        let board = &self.connection.board;
        let connect_timeout = self.wishes.connect_timeout.unwrap_or(self.service.config.connect_timeout);
        let gauge = &board.metrics.http.connections;
        board.pool.connect(key.clone(), connect_timeout, || Counted::one(gauge)).await
    }

    fn request(&self, head: &Request<()>, body: Upload, key: &Key) -> Request<Upload> {
        let mut request = head.clone().map(|()| body);
        name_host(request.headers_mut(), self.route.config.host, &key.address);
        if self.exchange.gate().is_some() {
            let exchange = Arc::clone(&self.exchange);
            hyper::ext::on_informational(&mut request, move |said| {
                if said.status() == StatusCode::CONTINUE
                    && let Some(gate) = exchange.gate()
                {
                    gate.open();
                }
            });
        }
        request
    }

    /// Waits for the answer as long as the route's rules allow.
    async fn within_bounds<T>(&self, lent: &Lent<Upload>, answer: impl Future<Output = T>) -> Result<T, Refusal> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let late = |cause| Refusal {
                endpoint: Some(Arc::clone(lent.address())),
                ..Refusal::new(cause).with_detail(format!("{}: no byte passed", lent.address()))
            };
            let patience = self.exchange.patience(lent.pulse()).map_err(late)?;
            let tired = async {
                match patience {
                    Some(patience) => sleep(patience).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                answer = answer.as_mut() => return Ok(answer),
                () = tired => {}
                () = self.exchange.upload_ended() => {}
            }
        }
    }
}

/// Whether a body of this type is Server-Sent Events.
fn is_event_stream(kind: &HeaderValue) -> bool {
    let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// An error of hyper's with its reason.
fn said(error: &hyper::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
