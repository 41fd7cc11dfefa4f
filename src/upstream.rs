//! The dial: from candidate endpoints to a WebSocket connection with one of them, or to the reason why there is none.
//!
//! Everything runs inside the caller's future: no task is spawned, and dropping the future at any point closes what was
//! open. The candidates are tried in the given order until one answers; an answer, whatever it says, ends the search,
//! because only a request that nobody answered may be sent again. `connect_timeout` bounds the name's resolution and
//! then, for each address, connecting and the wait for its answer; `deadline` bounds the whole.
//!
//! The 101 is verified against the request as it was sent (RFC 6455 §4.1). What came behind it in the same segment is
//! handed over with the bare socket. Nothing is read beyond that.

use std::{
    fmt::{self, Write as _},
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1::Connection};
use hyper_util::rt::TokioIo;
use tokio::{
    net::lookup_host,
    time::{Instant, timeout_at},
};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use self::ask::{Replayed, Said};
use crate::{
    alarm::Alarm,
    error::Cause,
    head::{headers::end_to_end_answer, parse::AnswerHead},
    model::{HostHeader, Refusal},
    stream::Stream,
};

mod ask;
pub mod pool;
mod verify;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // the runtime of a test owns its tasks
mod tests;

/// The most of a refusing upstream's body that is passed on; the rest is cut off.
pub const MAX_ANSWER_BODY: usize = 64 << 10;
/// The largest response head that is read.
const MAX_HEAD: usize = 64 << 10;

/// Where a service can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `host:port`; all addresses of the host are tried.
    pub address: Arc<str>,
}

/// How to dial.
#[derive(Clone, Copy, Debug)]
pub struct Dial<'a> {
    /// The upgrade request, as [`crate::head::headers::upstream_request`] makes it. Each attempt has its own key.
    pub request: &'a Request<Empty<Bytes>>,
    /// Which `Host` it carries.
    pub host: HostHeader,
    /// Bounds the resolution of one name; for one address, the TCP connect and the answer's head together.
    pub connect_timeout: Duration,
    /// When everything must be done, answer included.
    pub deadline: Instant,
}

/// An established connection: the 101 was verified and not a byte of ours has followed it.
#[derive(Debug)]
pub struct Connected {
    /// The socket.
    pub stream: Stream,
    /// What the upstream sent right behind its 101.
    pub early: Bytes,
    /// What it selected; one of the request's offers.
    pub subprotocol: Option<String>,
    /// Its `Sec-WebSocket-Extensions` as received; every one was offered.
    pub extensions: Vec<HeaderValue>,
    /// The other end-to-end fields of its 101, for the client's (`Set-Cookie` and the like).
    pub headers: HeaderMap,
    /// Who answered.
    pub endpoint: Endpoint,
}

/// An upstream's refusal, to be passed on.
#[derive(Debug)]
pub struct Answer {
    /// 300 to 599.
    pub status: StatusCode,
    /// Its end-to-end fields.
    pub headers: HeaderMap,
    /// At most [`MAX_ANSWER_BODY`] bytes.
    pub body: Bytes,
    /// Whether the body was longer, broke off or did not end before the deadline.
    pub truncated: bool,
    /// Who answered.
    pub endpoint: Endpoint,
}

/// Why there is no connection. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It answered, and not with a 101.
    #[error("{} answered {}", .0.endpoint.address, .0.status)]
    Answer(Box<Answer>),
    /// There was no candidate, or every one refused or broke the connection before it answered.
    #[error("no endpoint could be reached: {0}")]
    NoEndpoint(Tried),
    /// The deadline came, or no candidate was left after one had timed out.
    #[error("timed out: {0}")]
    Timeout(Tried),
    /// It answered something that is no answer to our request, or selected what was not offered.
    #[error("the handshake answer is not acceptable: {0}")]
    Protocol(Tried),
}

/// What was tried in vain: in words, and the endpoint that was tried last.
#[derive(Debug, Default)]
pub struct Tried {
    said: String,
    /// None if there was nobody to try.
    pub last: Option<Arc<str>>,
}

impl Tried {
    /// Why it was in vain with one endpoint.
    pub fn note(&mut self, address: &Arc<str>, why: &impl fmt::Display) {
        let separator = if self.said.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(self.said, "{separator}{address}: {why}");
        self.last = Some(Arc::clone(address));
    }

    /// The same of one alone.
    fn one(address: &Arc<str>, why: &impl fmt::Display) -> Self {
        let mut tried = Self::default();
        tried.note(address, why);
        tried
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.said.is_empty() { "it has no candidates" } else { &self.said })
    }
}

impl DialError {
    /// The row of the error table.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::Answer(_) => Cause::UpstreamRefused,
            Self::NoEndpoint(_) => Cause::NoEndpoint,
            Self::Timeout(_) => Cause::UpstreamTimeout,
            Self::Protocol(_) => Cause::UpstreamProtocol,
        }
    }

    /// The refusal for the client, with the text as detail; an [`Answer`] is better passed on as it is.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let endpoint = match self {
            Self::Answer(answer) => Some(&answer.endpoint.address),
            Self::NoEndpoint(tried) | Self::Timeout(tried) | Self::Protocol(tried) => tried.last.as_ref(),
        };
        Refusal { endpoint: endpoint.cloned(), ..Refusal::new(self.cause()).with_detail(self.to_string()) }
    }
}

/// Why there is no TCP connection to an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum NotOpen {
    /// Nobody is there, or its name has no address.
    #[error("{0}")]
    Refused(String),
    /// It did not take the connection in time, or its name was not resolved in time.
    #[error("{0}")]
    Late(String),
}

/// Why one attempt failed.
enum Failure {
    /// The next endpoint may do better.
    Refused(String),
    /// So it may, but if it does not, it was about time.
    Late(String),
    /// Nobody else is asked.
    Final(DialError),
}

impl From<NotOpen> for Failure {
    fn from(not_open: NotOpen) -> Self {
        match not_open {
            NotOpen::Refused(why) => Self::Refused(why),
            NotOpen::Late(why) => Self::Late(why),
        }
    }
}

/// Dials the candidates in turn until one answers.
///
/// # Errors
/// [`DialError`]: a refusal, nobody there, too late, or an answer that is none.
pub async fn connect(candidates: impl IntoIterator<Item = Endpoint>, dial: &Dial<'_>) -> Result<Connected, DialError> {
    let mut late = false;
    let mut tried = Tried::default();
    let mut alarm = Alarm::default();
    for endpoint in candidates {
        if Instant::now() >= dial.deadline {
            tried.note(&endpoint.address, &"there was no time left to ask it");
            return Err(DialError::Timeout(tried));
        }
        match attempt(&endpoint, dial, &mut alarm).await {
            Ok(connected) => return Ok(connected),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Refused(why)) => tried.note(&endpoint.address, &why),
            Err(Failure::Late(why)) => {
                late = true;
                tried.note(&endpoint.address, &why);
            }
        }
    }
    Err(if late { DialError::Timeout(tried) } else { DialError::NoEndpoint(tried) })
}

async fn attempt(endpoint: &Endpoint, dial: &Dial<'_>, alarm: &mut Alarm) -> Result<Connected, Failure> {
    let times = (dial.connect_timeout, Some(dial.deadline));
    let (mut stream, answer_by) = open(&endpoint.address, times, alarm).await?;
    let field = |text: &str| HeaderValue::from_str(text).map_err(|error| Failure::Refused(error.to_string()));
    let host = if dial.host == HostHeader::Endpoint { Some(field(&endpoint.address)?) } else { None };
    let key = generate_key();
    let said = alarm.within(answer_by, pin!(ask::ask(&mut stream, dial.request, host.as_ref(), &field(&key)?))).await;
    let (head, stream, early) = match said.ok_or_else(late)?.map_err(|error| Failure::Refused(error.to_string()))? {
        Said::Switch(head, read) => {
            let early = read.slice(head.length..);
            (head, stream, early)
        }
        // Apart: it is large, and most answers are not among these.
        Said::Other(read) => Box::pin(other(read, stream, endpoint, dial, answer_by)).await?,
    };
    let selected = verify::verify(head.version, &head.headers, dial.request.headers(), &key)
        .map_err(|why| Failure::Final(DialError::Protocol(Tried::one(&endpoint.address, &why))))?;
    Ok(Connected {
        stream,
        early,
        subprotocol: selected.subprotocol,
        extensions: selected.extensions,
        headers: end_to_end_answer(&head.headers),
        endpoint: endpoint.clone(),
    })
}

/// What is no 101 at once: an answer that refuses, or a 101 behind one that was none yet, such as 103.
async fn other(
    read: Bytes,
    stream: Stream,
    endpoint: &Endpoint,
    dial: &Dial<'_>,
    answer_by: Instant,
) -> Result<(AnswerHead, Stream, Bytes), Failure> {
    let broken = |error: hyper::Error| Failure::Refused(error.to_string());
    let replayed = TokioIo::new(Replayed::new(read, stream));
    let (mut sender, connection) = pool::builder().handshake(replayed).await.map_err(broken)?;
    let mut driven = Driven { connection, ended: false };
    let response = timeout_at(answer_by, driven.run(sender.send_request(dial.request.clone()))).await;
    let response = response.map_err(|_| late())?.map_err(|error| unanswered(&error, endpoint))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::Final(refused(&mut driven, response, endpoint, dial.deadline).await));
    }
    let (version, headers) = (response.version(), response.headers().clone());
    let head = AnswerHead { status: response.status(), version, headers, length: 0 };
    let (stream, early) = driven.take().await.map_err(broken)?;
    Ok((head, stream, early))
}

fn late() -> Failure {
    Failure::Late("it did not answer in time".to_owned())
}

/// A TCP connection to the first address of the name that takes one, and when what follows must be done: `connect_timeout`
/// after connecting to it began, or at the deadline if there is one before that.
async fn open(
    address: &str,
    (connect_timeout, deadline): (Duration, Option<Instant>),
    alarm: &mut Alarm,
) -> Result<(Stream, Instant), NotOpen> {
    let end = || {
        let end = Instant::now() + connect_timeout;
        deadline.map_or(end, |deadline| end.min(deadline))
    };
    let found = alarm.within(end(), pin!(lookup_host(address))).await;
    let addresses = found
        .ok_or_else(|| NotOpen::Late("its name was not resolved in time".to_owned()))?
        .map_err(|error| NotOpen::Refused(format!("its name was not resolved: {error}")))?;
    let mut late = false;
    let mut last = "its name has no address".to_owned();
    // Whoever says why puts the name before it; an address is added where it is not the same.
    let said = |found: SocketAddr, why: &dyn fmt::Display| {
        let found = found.to_string();
        if found == address { why.to_string() } else { format!("{found}: {why}") }
    };
    for found in addresses {
        let end = end();
        match alarm.within(end, pin!(Stream::connect(found))).await {
            Some(Ok(stream)) => return Ok((stream, end)),
            Some(Err(error)) => last = said(found, &error),
            None => {
                late = true;
                last = said(found, &"it did not take the connection in time");
            }
        }
    }
    Err(if late { NotOpen::Late(last) } else { NotOpen::Refused(last) })
}

/// A connection gone before its answer leaves the next endpoint to ask; bytes that are no answer do not.
fn unanswered(error: &hyper::Error, endpoint: &Endpoint) -> Failure {
    let text =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_parse() {
        Failure::Final(DialError::Protocol(Tried::one(&endpoint.address, &text)))
    } else {
        Failure::Refused(text)
    }
}

/// What an answer other than 101 means; its body is read as far as it is wanted and comes.
async fn refused(
    driven: &mut Driven,
    response: Response<Incoming>,
    endpoint: &Endpoint,
    deadline: Instant,
) -> DialError {
    let status = response.status();
    if !(300..600).contains(&status.as_u16()) {
        return DialError::Protocol(Tried::one(&endpoint.address, &format_args!("it answered {status} to an upgrade")));
    }
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    let mut truncated = false;
    // The deadline cuts the body only: the status is known and is what the client should see.
    while let Some(frame) = timeout_at(deadline, driven.run(incoming.frame())).await.unwrap_or_else(|_| {
        truncated = true;
        None
    }) {
        let Ok(frame) = frame else {
            truncated = true;
            break;
        };
        let Ok(data) = frame.into_data() else { continue };
        let room = MAX_ANSWER_BODY - body.len();
        body.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            truncated = true;
            break;
        }
    }
    let headers = end_to_end_answer(&head.headers);
    DialError::Answer(Box::new(Answer { status, headers, body: body.freeze(), truncated, endpoint: endpoint.clone() }))
}

/// hyper's connection, polled beside whatever waits for it: it makes no progress of its own and needs no task.
struct Driven {
    connection: Connection<TokioIo<Replayed>, Empty<Bytes>>,
    ended: bool,
}

impl Driven {
    async fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            // An error of the connection reaches the future through hyper's channels.
            self.ended = self.ended || self.connection.poll_without_shutdown(context).is_ready();
            future.as_mut().poll(context)
        })
        .await
    }

    /// The bare socket and what was read beyond the 101.
    async fn take(mut self) -> hyper::Result<(Stream, Bytes)> {
        poll_fn(
            |context| {
                if self.ended { Poll::Ready(Ok(())) } else { self.connection.poll_without_shutdown(context) }
            },
        )
        .await?;
        let parts = self.connection.into_parts();
        Ok((parts.io.into_inner().into_stream(), parts.read_buf))
    }
}
