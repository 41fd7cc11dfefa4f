//! Requests of plugins' own: plain HTTP to the hosts that are granted, with connections that are kept for the next.
//!
//! A request suspends its guest and holds no thread. Redirects are not followed; heads and bodies are bounded both ways.
//! Its time is the host's, not the guest's: `limits.host` bounds all of it in one call, and the guest goes on with what
//! it had left of its own. A guest that is stopped or dropped takes its request with it.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioTimer,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    super::{
        deadline::HostTimePassed,
        host::State,
        output::cut,
        v0_1::{errors, http_client},
    },
    refused,
};
use crate::config;

/// Largest head of an answer, and of a request, in bytes.
const HEAD_BYTES: usize = 32 << 10;
/// Most fields of a head.
const FIELDS: usize = 64;
/// Connections that are kept for each host, and how long.
const IDLE: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time to connect: a connection that nobody waits for any more is given up, too.
const CONNECT: Duration = Duration::from_secs(30);

/// The client of the process.
pub(super) struct Client {
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
    _end: DropGuard,
}

/// Its tasks: one for each connection. They end with the client.
#[derive(Clone)]
struct Owner {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Owner {
    fn execute(&self, task: F) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = task => {}
                () = end.cancelled() => {}
            }
        });
    }
}

impl Default for Client {
    fn default() -> Self {
        let owner = Owner { tasks: TaskTracker::new(), end: CancellationToken::new() };
        let end = owner.end.clone().drop_guard();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let inner = legacy::Client::builder(owner)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(HEAD_BYTES)
            .http1_max_headers(FIELDS)
            .build(connector);
        Self { inner, _end: end }
    }
}

impl http_client::Host for State {
    async fn send(
        &mut self,
        asked: http_client::Request,
    ) -> wasmtime::Result<Result<http_client::Response, errors::HostError>> {
        self.granted()?;
        let plugin = self.plugin().clone();
        let Some(grant) = &plugin.powers.http_client else {
            let error = refused("denied", "no request is granted: see `grants.http_client`");
            return Ok(self.refusing("http-client", Err(error)));
        };
        let wanted = Duration::from_millis(u64::from(asked.timeout_ms));
        let timeout = if wanted.is_zero() { grant.timeout } else { wanted.min(grant.timeout) };
        let request = match checked(asked, grant) {
            Ok(request) => request,
            Err(error) => return Ok(self.refusing("http-client", Err(error))),
        };
        let left = self.host_left();
        if left.is_zero() {
            return Err(HostTimePassed.into());
        }
        let begun = Instant::now();
        self.wait_until(begun, timeout.min(left));
        let exchange = exchange(&plugin.powers.shared.client, request, grant.max_body);
        let said = tokio::time::timeout(timeout.min(left), exchange).await;
        let took = self.waited_since(begun);
        plugin.powers.waited.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        match said {
            Ok(said) => Ok(self.refusing("http-client", said)),
            Err(_) if timeout <= left => {
                let error = refused("timeout", format!("no answer within {timeout:?}"));
                Ok(self.refusing("http-client", Err(error)))
            }
            Err(_) => Err(HostTimePassed.into()),
        }
    }
}

/// The request, if it may be sent.
fn checked(asked: http_client::Request, grant: &config::HttpClient) -> Result<Request<Full<Bytes>>, errors::HostError> {
    let invalid = |what: &str| refused("invalid", what);
    let shown = cut(&asked.url, 128);
    let uri: Uri = asked.url.parse().map_err(|_| refused("invalid", format!("{shown:?} is not a URL")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(invalid("TLS is not in this version: ask an `http://` address")),
        _ => return Err(refused("invalid", format!("{shown:?} is not an `http://` URL"))),
    }
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.ok_or_else(|| invalid("a URL has a host, and no user name"))?;
    let host = format!("{}:{}", authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(80));
    if !grant.allow.iter().any(|allowed| **allowed == *host) {
        return Err(refused("denied", format!("{host:?} is not granted: see `grants.http_client.allow`")));
    }
    let method = Method::from_bytes(asked.method.as_bytes()).map_err(|_| invalid("this is not a method"))?;
    if method == Method::CONNECT {
        return Err(invalid("CONNECT is not for plugins"));
    }
    let most = grant.max_request;
    if asked.body.len() > most {
        return Err(refused("too-large", format!("the body is larger than {most} bytes (`max_request`)")));
    }
    let bytes: usize = asked.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if asked.headers.len() > FIELDS || bytes + asked.url.len() > HEAD_BYTES {
        return Err(refused("too-large", format!("the head has more than {FIELDS} fields or {HEAD_BYTES} bytes")));
    }
    let mut request = Request::new(Full::new(Bytes::from(asked.body)));
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    for (name, value) in asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("this is not a header field's name"))?;
        if reserved(&name) {
            return Err(refused("invalid", format!("the header {name} is the host's own")));
        }
        let value = HeaderValue::from_str(&value).map_err(|_| invalid("this is not a header field's value"))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// What would make another message or another host of it.
fn reserved(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::PROXY_AUTHORIZATION,
    ]
    .contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

async fn exchange(
    client: &Client,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<http_client::Response, errors::HostError> {
    let answer = client.inner.request(request).await.map_err(|error| unavailable(&error))?;
    let (head, body) = answer.into_parts();
    // What a guest's texts cannot hold is left out.
    let fields = head.headers.iter();
    let headers = fields.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    Ok(http_client::Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body: whole(body, most).await?,
    })
}

async fn whole(body: Incoming, most: usize) -> Result<Vec<u8>, errors::HostError> {
    let too_large = || refused("too-large", format!("the answer is larger than {most} bytes (`max_body`)"));
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes().into()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(unavailable(&*error)),
    }
}

/// With its causes: the outermost says nothing.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> errors::HostError {
    let causes = std::iter::successors(Some(error), |error| error.source());
    refused("unavailable", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
