//! The admin address: liveness, readiness, metrics, and what is being served. Loopback only, and never on a data
//! listener; it reads and changes nothing.

mod live;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub use self::live::Live;
use crate::reload::{Control, short};

/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// Answers for as long as it is polled: while we drain, `/readyz` must say so. Its connections end with it.
pub async fn serve(control: Arc<Control>, socket: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(Arc::clone(&control), stream))),
                Err(error) => {
                    tracing::warn!(%error, "an admin connection could not be accepted");
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(control: Arc<Control>, stream: TcpStream) {
    let service = service_fn(|request| {
        let response = answer(&control, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        // One answer a connection: nobody who keeps his open holds up the end.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "admin connection ended");
    }
}

fn answer(control: &Control, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "live\n"),
        "/readyz" if control.board.drain.is_announced() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => text(StatusCode::OK, "ready\n"),
        "/metrics" => {
            let mut response = text(StatusCode::OK, control.board.metrics.text());
            let kind = header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/generation" => {
            let mut response = text(StatusCode::OK, format!("{:#}\n", generation(control)));
            let kind = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there is /livez, /readyz, /metrics and /generation\n"),
    }
}

/// What serves, and the last candidate that was refused.
fn generation(control: &Control) -> serde_json::Value {
    let generation = control.board.current.load_full();
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "generation": generation.number,
        "hash": generation.hash,
        "since": seconds(generation.since),
        "alive": control.population.alive(),
        "plugins": generation.plugins.values().map(|plugin| json!({
            "name": &*plugin.name(),
            "identity": &**plugin.identity(),
            "component": plugin.described(),
            "origin": plugin.spec().origin,
        })).collect::<Vec<_>>(),
        "routes": generation.routes.iter().map(|route| json!({
            "name": &*route.config.name,
            "mode": route.mode().name(),
            "plugins": route.config.plugins.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        })).collect::<Vec<_>>(),
        "refused": control.refused().map(|refused| json!({
            "hash": refused.hash.as_deref().map(short),
            "problems": refused.problems,
        })),
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
