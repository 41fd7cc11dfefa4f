//! The demo's page, and the small service behind it.
//!
//! A browser comes to it through the proxy, by a route of `mode: http` like any other, so that the page, what it asks
//! for and its WebSockets have one origin. Everything is embedded and nothing is asked of anybody else. What is read is
//! told to browsers on this machine alone; what is written is the demo's own configuration, on the word of the page
//! itself ([`guard`]), as a whole or not at all ([`edit`]).

mod edit;
mod events;
mod guard;
mod knock;
mod state;

use std::{convert::Infallible, fs, io, net::SocketAddr, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Mutex, Semaphore},
};

use super::service::HANDSHAKE_WITHIN;
use crate::drain::Drain;

/// Pages that hear of every change at once; more are told to come again.
const LISTENERS: usize = 32;

type Body = UnsyncBoxBody<Bytes, Infallible>;
/// A status and what the body says.
type Reply = (StatusCode, Value);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page/page.js", SCRIPT, include_str!("page/page.js")),
    ("/page/shared.js", SCRIPT, include_str!("page/shared.js")),
    ("/page/talk.js", SCRIPT, include_str!("page/talk.js")),
    ("/page/editor.js", SCRIPT, include_str!("page/editor.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
const CONFIG: &str = "/page/config";
const EVENTS: &str = "/page/events";
const KNOCK: &str = "/page/knock";

/// What the page is about.
pub(super) struct Page {
    proxy: SocketAddr,
    admin: SocketAddr,
    /// The one file that is written.
    file: PathBuf,
    /// What stood in it at the start.
    original: String,
    drain: Drain,
    /// Held from the comparison with the file until it is replaced.
    saving: Mutex<()>,
    listeners: Arc<Semaphore>,
    knocks: knock::Knocks,
}

impl Page {
    /// Of the proxy and the admin address with the configuration in `file`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn new(proxy: SocketAddr, admin: SocketAddr, file: PathBuf, drain: Drain) -> io::Result<Arc<Self>> {
        let original = fs::read_to_string(&file)?;
        let (saving, listeners) = (Mutex::new(()), Arc::new(Semaphore::new(LISTENERS)));
        Ok(Arc::new(Self { proxy, admin, file, original, drain, saving, listeners, knocks: knock::Knocks::default() }))
    }
}

/// Answers one request.
pub(super) async fn converse(stream: TcpStream, page: Arc<Page>) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(&page, request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_WITHIN)
        // One answer a connection: nothing idle is left that the end would have to wait for.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of the demo's page ended");
    }
}

async fn answer(page: &Arc<Page>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let host = match guard::is_local(&head) {
        Ok(host) => host,
        Err(why) => return told(problem(StatusCode::FORBIDDEN, why)),
    };
    let path = head.uri.path();
    let reads = [Method::GET, Method::HEAD].contains(&head.method);
    if let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == path) {
        return if reads { file(host, kind, text) } else { not_so("GET, HEAD") };
    }
    match (path, &head.method) {
        (CONFIG, &Method::PUT) => told(ordered(&head, body, async |asked| edit::save(page, &asked).await).await),
        (KNOCK, &Method::POST) => told(ordered(&head, body, async |asked| knock::knock(page, &asked).await).await),
        (CONFIG, _) if reads => told(edit::show(page).await),
        (EVENTS, &Method::GET) => events::stream(page),
        (CONFIG, _) => not_so("GET, HEAD, PUT"),
        (KNOCK, _) => not_so("POST"),
        (EVENTS, _) => not_so("GET"),
        _ => told(problem(StatusCode::NOT_FOUND, "the page is at /, and what it asks for below /page/")),
    }
}

/// Does what only the page itself may ask for.
async fn ordered(head: &Parts, body: Incoming, order: impl AsyncFnOnce(Value) -> Reply) -> Reply {
    match guard::read(head, body).await {
        Ok(asked) => order(asked).await,
        Err((status, why)) => problem(status, why),
    }
}

fn problem(status: StatusCode, why: impl Into<Value>) -> Reply {
    (status, json!({"problem": why.into()}))
}

fn not_so(allowed: &'static str) -> Response<Body> {
    let mut response = told(problem(StatusCode::METHOD_NOT_ALLOWED, format!("here is {allowed}")));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn file(host: &str, kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = respond(StatusCode::OK, kind, text);
    // Named beside 'self', which not every browser takes to mean WebSockets as well.
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws://{host}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn told((status, body): Reply) -> Response<Body> {
    respond(status, "application/json", format!("{body}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    mark(response.headers_mut(), kind);
    response
}

/// What every answer says of itself.
fn mark(headers: &mut HeaderMap, kind: &'static str) {
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Until a page says more.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let alone = http::HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(alone, HeaderValue::from_static("same-origin"));
}
