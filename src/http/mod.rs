//! One request's way: checked, matched, judged by the policies of its route, then seated, dialled or forwarded, and only
//! then answered. Whatever fails before the answer is an HTTP status with one line of reason.
//!
//! A handshake pins the generation it begins with. Dropping the future (the client left, the connection broke) gives up
//! everything it held: its place in a plugin's queue, its seat, its dial.

mod attempt;
pub mod body;
mod decision;
pub mod edge;
pub mod explain;
mod forward;
pub mod hooks;
mod judge;
mod pair;
mod router;
pub mod session;
mod watch;
mod watchman;

use std::{convert::Infallible, error::Error, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header, request::Parts};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as _, Incoming},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::time::{Instant, timeout};

pub use self::watch::Watch;
use self::{
    attempt::Attempt,
    body::{Answered, Upload},
    decision::Later,
    session::{LegInfo, SessionHandle, Sessions},
};
use crate::{
    admission::Permit,
    alarm::Alarm,
    config::Http2Rules,
    drain::Drain,
    error::Cause,
    generation::{Generation, Route},
    head::{headers::has_token, plain, upgrade::UpgradeRequest},
    metrics::{Metrics, routes::Presence},
    model::{CheckedEdit, ConnId, Handshake, Limits, Refusal, Rejection},
    places,
    policy::{self, Facts, Known, Refused},
    relay::{End, Leg, Party, Relay},
    rendezvous::Registry,
    route::Plan,
    socket::{Pulse, Socket},
    stream::Stream,
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
    /// Moves the frames of sessions.
    pub relay: Relay,
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
    pub place: places::Shared,
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
    /// What judged it, pinned until it is answered.
    generation: Arc<Generation>,
    route: Arc<Route>,
    plan: Plan,
    edits: Vec<CheckedEdit>,
    known: Known,
    info: LegInfo,
    /// What plugins are told of it once it is a connection; none where none is asked.
    facts: Option<Arc<Facts>>,
    /// None where the request is forwarded, whatever it asks for.
    request: Option<UpgradeRequest>,
    place: Place,
}

/// A place on a route: counted there, and one of as many as it lets in.
struct Place {
    presence: Presence,
    permit: Permit,
    /// That of its connection on the listener.
    held: places::Shared,
}

/// What is decided about a request.
pub struct Decided {
    attempt: Attempt,
    step: Result<Step, Refuse>,
}

/// What follows from it.
enum Step {
    /// The 101, and what goes on behind it.
    Switch(Answer, Switched),
    /// A service is asked.
    Forward(Box<Admitted>),
}

/// The bare socket of a client whose 101 is out, with what was read behind its request; or why there is none.
pub type Freed = Result<(Stream, Bytes), Box<dyn Error + Send + Sync>>;

/// What goes on once a client has its 101.
pub enum Switched {
    /// It waits for its partner or joins it.
    Pair(pair::Fresh),
    /// It is joined to its service.
    Dial(Box<router::Dialled>),
}

impl Switched {
    /// Goes on, up to the session.
    pub async fn go(self, freed: Freed) {
        match self {
            Self::Pair(fresh) => fresh.go(freed).await,
            Self::Dial(dialled) => dialled.go(freed),
        }
    }
}

impl Decided {
    /// Decides about a request. Dropping the future gives up everything it held.
    pub async fn about(connection: &Arc<Connection>, head: Parts, begun: Instant) -> Self {
        let upgrade = head.headers.contains_key(header::UPGRADE);
        let mut attempt = Attempt::new(connection, head.uri.path().to_owned(), begun, upgrade);
        // Apart: it is large, and a connection is moved about while it is young.
        let step = Box::pin(step(connection, &mut attempt, head, begun + connection.establish)).await;
        Self { attempt, step }
    }

    /// The 101, and what goes on behind it.
    ///
    /// # Errors
    /// Itself, where it is another answer.
    pub fn switch(self) -> Result<(Answer, Switched), Box<Self>> {
        match self.step {
            Ok(Step::Switch(response, switched)) => Ok((self.attempt.admitted(response), switched)),
            step => Err(Box::new(Self { step, ..self })),
        }
    }
}

/// Answers one request, whose budget began at `begun`; `watch` ends what its answer is written to. What is `known`
/// already is not asked again.
///
/// # Errors
/// None: every failure is an answer.
pub async fn handle(
    connection: Arc<Connection>,
    watch: Arc<Watch>,
    mut request: Request<Incoming>,
    begun: Instant,
    known: Option<Box<Decided>>,
) -> Result<Answer, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut head, body) = request.into_parts();
    if plain::has_crumbs(head.version) {
        plain::join_cookies(&mut head.headers);
    }
    // What was not asked for (`Expect`) is not sent, and HTTP/2 has its own way to say that no more is wanted.
    let version = head.version;
    let lingers = version < Version::HTTP_2 && !head.headers.contains_key(header::EXPECT);
    let mut body = Some(body);
    let Decided { attempt, step } = match known {
        Some(known) => *known,
        None => Decided::about(&connection, head, begun).await,
    };
    let answer = match step {
        Ok(Step::Switch(response, switched)) => {
            let switching = async move { switched.go(upgrade.await.map(bare).map_err(Into::into)).await };
            connection.board.drain.spawn(switching);
            Ok(response)
        }
        // What a service has been asked is waited for.
        Ok(Step::Forward(admitted)) => forward::answer(&connection, &watch, *admitted, &mut body, upgrade).await,
        Err(refuse) => Err(refuse),
    };
    let mut response = match answer {
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

/// Answers a request that the edge refused in place of its head, and whose budget began at `begun`.
#[must_use]
pub fn refuse(connection: &Connection, refused: &edge::Refused, begun: Instant) -> Response<Body> {
    // Of those heads the edge names the one kind that asks for an upgrade.
    let upgrade = refused.refusal.cause == Cause::BadUpgrade;
    Attempt::new(connection, refused.path.clone(), begun, upgrade).refused(&Refuse::Refusal(refused.refusal.clone()))
}

/// Everything up to the 101, or to what has to be asked of a service; given up once we drain, because a session that it
/// leads to would be closed at once.
async fn step(
    connection: &Arc<Connection>,
    attempt: &mut Attempt,
    head: Parts,
    deadline: Instant,
) -> Result<Step, Refuse> {
    let drain = &connection.board.drain;
    if drain.has_begun() {
        return Err(Cause::Draining.into());
    }
    tokio::select! {
        biased;
        step = next(connection, attempt, head, deadline) => step,
        () = drain.begun() => Err(Cause::Draining.into()),
    }
}

async fn next(
    connection: &Arc<Connection>,
    attempt: &mut Attempt,
    head: Parts,
    deadline: Instant,
) -> Result<Step, Refuse> {
    let admitted = Alarm::default().within(deadline, pin!(judge::admit(connection, attempt, head))).await;
    let admitted = admitted.ok_or(Cause::EstablishTimeout)??;
    match &admitted.plan {
        Plan::Pair { .. } => pair::answer(&connection.board, admitted, deadline).await,
        Plan::Dial { .. } => router::answer(&connection.board, admitted, deadline).await,
        Plan::Forward { .. } => Ok(Step::Forward(Box::new(admitted))),
    }
}

/// The leg of a client that has its 101.
fn leg_of((stream, early): (Stream, Bytes), id: ConnId, party: Party, limits: &Arc<Limits>) -> Leg {
    Leg { id, stream, early, end: End::Server, party, limits: Arc::clone(limits), extensions: false, screen: None }
}

/// The socket behind an upgraded connection, and what was read beyond the 101.
fn bare(upgraded: Upgraded) -> (Stream, Bytes) {
    let upgraded = match edge::freed(upgraded) {
        Ok(freed) => return freed,
        Err(upgraded) => upgraded,
    };
    // Every connection is served on an edge or dialled on this type; the listener and the pool make it.
    let Ok(freed) = upgraded.downcast::<TokioIo<Socket>>() else { unreachable!("dialled on TokioIo<Socket>") };
    let Some(stream) = freed.io.into_inner().into_stream() else { unreachable!("taken out here only") };
    (stream, freed.read_buf)
}

/// Has the plugins of its route edit an answer before it goes out.
async fn rewritten(admitted: &Admitted, response: &mut Answer, deadline: Instant) -> Result<(), Refuse> {
    let status = response.status();
    let mut later = Later::of(&admitted.handshake, admitted.generation.config.log.decisions);
    let (plugins, trace) = (&admitted.route.plugins, later.trace());
    let edited = policy::rewrite_answer(plugins, &admitted.known, status, response.headers_mut(), trace);
    let edited = Alarm::default().within(deadline, pin!(edited)).await;
    later.about_answer(status);
    Ok(edited.ok_or(Cause::EstablishTimeout)??)
}

fn channel_header(response: &mut Answer, channel: &str) {
    // An id has no control characters, so this fails for none that was accepted.
    if let Ok(value) = HeaderValue::from_bytes(channel.as_bytes()) {
        response.headers_mut().insert(X_CHANNEL_ID, value);
    }
}
