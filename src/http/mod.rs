//! One request's way: checked, matched, judged by the policies of its route, then seated, dialled or forwarded, and only
//! then answered. Whatever fails before the answer is an HTTP status with one line of reason.
//!
//! A handshake pins the generation it begins with. Dropping the future (the client left, the connection broke) gives up
//! everything it held: its place in a plugin's queue, its seat, its dial.

pub mod body;
pub mod edge;
pub mod explain;
mod forward;
mod pair;
mod router;
pub mod session;
mod watch;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as _, Incoming},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

pub use self::watch::Watch;
use self::{
    body::{Answered, Upload},
    session::{LegInfo, SessionHandle, Sessions},
};
use crate::{
    admission::Permit,
    config::Http2Rules,
    drain::{Cut, Drain},
    error::Cause,
    generation::{Generation, Route},
    head::{
        forwarded,
        headers::has_token,
        matching::Subject,
        plain, target,
        upgrade::{self, Asked, UpgradeRequest},
    },
    metrics::{
        Metrics,
        routes::{Account, Presence},
    },
    model::{ConnId, Edit, Handshake, Limits, Mode, Outcome, Refusal, Rejection},
    places,
    policy::{self, Opinion, Refused, Trace},
    relay::{End, Leg, Party},
    rendezvous::Registry,
    route::{self, Plan},
    socket::{Pulse, Socket},
    upstream::{self, pool::Pool},
};

/// Tells both legs of a rendezvous, and a routed client, the channel they are on.
const X_CHANNEL_ID: HeaderName = HeaderName::from_static("x-channel-id");

/// The connection ends with this answer.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What every connection shares, and what survives a change of generation.
pub struct Switchboard {
    /// The generation that new handshakes begin with.
    pub current: ArcSwap<Generation>,
    /// Who waits for whom.
    pub registry: Arc<Registry<SessionHandle>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Owner of the tasks.
    pub drain: Drain,
    /// Who is on the line.
    pub sessions: Sessions,
    /// Connections to services, for plain requests.
    pub pool: Pool<Upload>,
}

/// One accepted connection.
pub struct Connection {
    /// What it shares with the others.
    pub board: Arc<Switchboard>,
    /// Name of its listener.
    pub listener: Arc<str>,
    /// Who dialled us.
    pub peer: SocketAddr,
    /// When it was accepted; the budget of its first request begins then.
    pub accepted: Instant,
    /// Longest time to our answer.
    pub establish: Duration,
    /// Whose word on the client is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// How long the rest of a request is read and thrown away that is answered already.
    pub linger: Duration,
    /// Of an HTTP/2 connection.
    pub http2: Http2Rules,
    /// Of its socket.
    pub pulse: Pulse,
    /// Its place on the listener.
    pub place: Arc<places::Place>,
}

impl Connection {
    /// Reads and throws away what is left of a request that nobody takes any more, for a while.
    fn linger(&self, mut rest: Incoming) {
        if self.linger.is_zero() || rest.is_end_stream() {
            return;
        }
        let limit = self.linger;
        self.board.drain.spawn(async move {
            // After that hyper closes the connection.
            let _ = timeout(limit, async { while let Some(Ok(_)) = rest.frame().await {} }).await;
        });
    }
}

/// The body of an answer.
pub type Body = Answered;

type Answer = Response<Body>;

/// Why a handshake gets no 101.
enum Refuse {
    /// By us.
    Refusal(Refusal),
    /// By a plugin.
    Rejection { policy: Arc<str>, rejection: Rejection },
    /// By the service; its answer is passed on.
    Upstream { answer: Box<upstream::Answer> },
}

impl From<Refusal> for Refuse {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Cause> for Refuse {
    fn from(cause: Cause) -> Self {
        Self::Refusal(Refusal::new(cause))
    }
}

impl From<Refused> for Refuse {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected { policy, rejection } => Self::Rejection { policy, rejection },
            Refused::Failed(refusal) => Self::Refusal(refusal),
        }
    }
}

/// A handshake that policies have let pass.
struct Admitted {
    handshake: Arc<Handshake>,
    generation: Arc<Generation>,
    route: Arc<Route>,
    plan: Plan,
    edits: Vec<Edit>,
    info: LegInfo,
    /// None where the request is forwarded, whatever it asks for.
    request: Option<UpgradeRequest>,
    place: Place,
}

impl Admitted {
    /// Lets go of everything else, the generation first of all: a routed session keeps its route's limits only.
    fn into_place(self) -> Place {
        self.place
    }
}

/// A place on a route: counted there, and one of as many as it lets in.
struct Place {
    presence: Presence,
    _permit: Permit,
    /// That of its connection on the listener.
    _held: Arc<places::Place>,
}

/// What is known of a request so far; says in the log what became of it if nobody else did.
struct Attempt {
    id: ConnId,
    peer: SocketAddr,
    /// The client, where a trusted proxy stands before it.
    client: Option<IpAddr>,
    begun: Instant,
    /// Without the query, which may hold secrets.
    path: String,
    route: Option<Arc<str>>,
    mode: Option<Mode>,
    /// On its route, while it is decided upon.
    presence: Option<Presence>,
    account: Option<Arc<Account>>,
    /// What was decided, once it was.
    info: Option<LegInfo>,
    board: Arc<Switchboard>,
    settled: bool,
}

/// Answers one request, whose budget began at `begun`; `watch` ends what its answer is written to.
///
/// # Errors
/// None: every failure is an answer.
pub async fn handle(
    connection: Arc<Connection>,
    watch: Arc<Watch>,
    mut request: Request<Incoming>,
    begun: Instant,
) -> Result<Answer, Infallible> {
    let mut attempt = Attempt::new(&connection, request.uri().path().to_owned());
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut head, body) = request.into_parts();
    if plain::has_crumbs(head.version) {
        plain::join_cookies(&mut head.headers);
    }
    let deadline = begun + connection.establish;
    // What was not asked for (`Expect`) is not sent, and HTTP/2 has its own way to say that no more is wanted.
    let version = head.version;
    let lingers = version < Version::HTTP_2 && !head.headers.contains_key(header::EXPECT);
    let mut body = Some(body);
    let mut response = match answer(&connection, &watch, &mut attempt, head, &mut body, upgrade, deadline).await {
        Ok(response) => attempt.admitted(response),
        Err(refuse) => {
            watch.begin_own();
            let mut response = attempt.refused(&refuse);
            if matches!(&refuse, Refuse::Refusal(refusal) if refusal.cause == Cause::BadBody) {
                end_with(&mut response);
            }
            match body.filter(|rest| !rest.is_end_stream()) {
                Some(rest) if lingers => connection.linger(rest),
                // What is not read nothing can follow (RFC 9112 §9.3).
                Some(_) if version < Version::HTTP_2 => end_with(&mut response),
                _ => {}
            }
            response
        }
    };
    let stays = version < Version::HTTP_2 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    if stays && connection.board.drain.is_announced() {
        // Whoever keeps connections for later is to dial somebody else the next time.
        end_with(&mut response);
    }
    Ok(response)
}

/// Says that the connection ends with this answer.
fn end_with(response: &mut Answer) {
    if !has_token(response.headers(), &header::CONNECTION, "close") {
        response.headers_mut().append(header::CONNECTION, CLOSE);
    }
}

/// Answers a request that the edge refused in place of its head.
#[must_use]
pub fn refuse(connection: &Connection, refused: &edge::Refused) -> Response<Body> {
    Attempt::new(connection, refused.path.clone()).refused(&Refuse::Refusal(refused.refusal.clone()))
}

async fn answer(
    connection: &Arc<Connection>,
    watch: &Watch,
    attempt: &mut Attempt,
    head: Parts,
    body: &mut Option<Incoming>,
    upgrade: OnUpgrade,
    deadline: Instant,
) -> Result<Answer, Refuse> {
    let board = &connection.board;
    let admitted = unless_draining(&board.drain, async {
        timeout_at(deadline, judge(connection, attempt, head))
            .await
            .map_err(|_| Refuse::from(Cause::EstablishTimeout))?
    });
    let admitted = admitted.await?;
    match &admitted.plan {
        Plan::Pair { .. } => unless_draining(&board.drain, pair::answer(board, admitted, upgrade, deadline)).await,
        Plan::Dial { .. } => unless_draining(&board.drain, router::answer(board, admitted, upgrade, deadline)).await,
        // What a service has been asked is waited for.
        Plan::Forward { .. } => forward::answer(connection, watch, admitted, body, upgrade).await,
    }
}

/// A step towards an answer, given up once we drain: a session that it leads to would be closed at once.
async fn unless_draining<T>(drain: &Drain, step: impl Future<Output = Result<T, Refuse>>) -> Result<T, Refuse> {
    if drain.has_begun() {
        return Err(Cause::Draining.into());
    }
    tokio::select! {
        biased;
        done = step => done,
        () = drain.begun() => Err(Cause::Draining.into()),
    }
}

/// Everything up to the plan.
async fn judge(connection: &Connection, attempt: &mut Attempt, head: Parts) -> Result<Admitted, Refuse> {
    let authority = target::check_head(&head)?;
    let client = forwarded::client(connection.peer.ip(), false, &head.headers, &connection.trusted_proxies);
    attempt.client = client.trusted.then_some(client.remote);
    let segments = target::segments(head.uri.path())?;
    let generation = connection.board.current.load_full();
    let subject = Subject {
        method: &head.method,
        authority: &authority,
        segments: &segments,
        query: head.uri.query(),
        headers: &head.headers,
    };
    let mut routes = route::matching(&generation, &subject).cloned().collect::<Vec<_>>().into_iter().peekable();
    let first = routes.peek().ok_or(Cause::NoRoute)?;
    attempt.on(first);
    let first_mode = first.mode();
    // What a forwarded request asks for is the service's to judge.
    let asked = upgrade::inspect(&head);
    let offers = match &asked {
        Ok(Asked::Upgrade(request)) => request.subprotocols.clone(),
        _ => Vec::new(),
    };
    let mut handshake = Arc::new(Handshake {
        id: attempt.id,
        method: head.method,
        version: head.version,
        uri: head.uri,
        authority,
        segments,
        headers: head.headers,
        subprotocols: offers,
        peer: connection.peer,
        client,
        listener: Arc::clone(&connection.listener),
        route: Arc::clone(&first.config.name),
    });
    let mut trace = Trace::new(generation.config.log.decisions);
    for route in routes {
        attempt.on(&route);
        let request = match &asked {
            _ if route.mode() == Mode::Http => None,
            Ok(Asked::Upgrade(request)) => Some(request.clone()),
            Ok(Asked::Plain) => return Err(Cause::NotAnUpgrade.into()),
            Err(refusal) => return Err(refusal.clone().into()),
        };
        if handshake.route != route.config.name {
            // No plugin keeps a handshake beyond its call, so this changes the one we have.
            if let Some(handshake) = Arc::get_mut(&mut handshake) {
                handshake.route = Arc::clone(&route.config.name);
            }
        }
        let permit = enter(&route, request.is_some() || plain::upgrade_asked(&handshake).is_some())?;
        let verdict = policy::decide(&route.plugins, &handshake, route.mode(), &mut trace).await;
        if let Some(opinions) = trace.take() {
            log_decision(&handshake, &opinions);
        }
        let mut verdict = verdict?;
        let edits = std::mem::take(&mut verdict.edits);
        let policy = verdict.policy.clone();
        if let Some(plan) = route::plan(&generation, &route, verdict)? {
            let info = LegInfo::new(&handshake, &route, &plan, policy, generation.number);
            attempt.info = Some(info.clone());
            let presence = attempt.presence.take().unwrap_or_else(|| attempt.enter(&route));
            let place = Place { presence, _permit: permit, _held: Arc::clone(&connection.place) };
            return Ok(Admitted { handshake, generation, route, plan, edits, info, request, place });
        }
    }
    Err(route::no_opinion(Some(first_mode)).into())
}

/// What the plugins of a route said of a request; what follows stands in the session's line, which has the same `conn`.
fn log_decision(handshake: &Handshake, opinions: &[Opinion]) {
    let said: Vec<_> = opinions.iter().map(ToString::to_string).collect();
    tracing::info!(
        target: "cordboard::decision",
        conn = %handshake.id,
        route = &*handshake.route,
        opinions = if said.is_empty() { "nobody was asked".to_owned() } else { said.join("; ") },
        "decided"
    );
}

/// A place on the route, before anything is spent on the request.
fn enter(route: &Route, upgrade: bool) -> Result<Permit, Refusal> {
    route.gate.enter(upgrade).map_err(|turned| Refusal { retry_after: turned.after, ..Refusal::new(turned.cause) })
}

/// The leg of a client, once hyper has flushed the 101 and given its socket back.
async fn leg_of(upgrade: OnUpgrade, id: ConnId, party: Party, limits: &Arc<Limits>) -> Result<Leg, hyper::Error> {
    let (stream, early) = bare(upgrade.await?);
    // A socket that is gone already shows it at the first read.
    let _ = upstream::tune(&stream, upstream::user_timeout(limits.stall));
    Ok(Leg { id, stream, early, end: End::Server, party, limits: Arc::clone(limits), extensions: false })
}

/// The socket behind an upgraded connection, and what was read beyond the 101.
fn bare(upgraded: Upgraded) -> (TcpStream, Bytes) {
    let upgraded = match edge::freed(upgraded) {
        Ok(freed) => return freed,
        Err(upgraded) => upgraded,
    };
    // Every connection is served on an edge or dialled on this type; the listener and the pool make it.
    let Ok(freed) = upgraded.downcast::<TokioIo<Socket>>() else { unreachable!("dialled on TokioIo<Socket>") };
    let Some(stream) = freed.io.into_inner().into_stream() else { unreachable!("taken out here only") };
    (stream, freed.read_buf)
}

fn channel_header(response: &mut Answer, channel: &str) {
    // An id has no control characters, so this fails for none that was accepted.
    if let Ok(value) = HeaderValue::from_bytes(channel.as_bytes()) {
        response.headers_mut().insert(X_CHANNEL_ID, value);
    }
}

impl Attempt {
    fn new(connection: &Connection, path: String) -> Self {
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

    fn on(&mut self, route: &Route) {
        if self.route.as_ref() == Some(&route.config.name) {
            return;
        }
        let presence = self.enter(route);
        self.route = Some(Arc::clone(&route.config.name));
        self.mode = Some(route.mode());
        self.account = Some(Arc::clone(presence.account()));
        self.presence = Some(presence);
    }

    fn enter(&self, route: &Route) -> Presence {
        self.board.metrics.enter(&route.config.name, route.mode())
    }

    fn admitted(mut self, response: Answer) -> Answer {
        self.settled = true;
        if self.mode != Some(Mode::Http) {
            self.board.metrics.handshake_seconds.observe(self.begun.elapsed().as_secs_f64());
        }
        response
    }

    fn refused(mut self, refuse: &Refuse) -> Answer {
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
                    role = info.map(|info| info.role.as_str()).filter(|role| !role.is_empty()),
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
