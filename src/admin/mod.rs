//! The admin address: liveness, readiness, metrics, what is being served, and the orders to change that. Loopback only,
//! and never on a data listener. A GET changes nothing; what a POST may do stands in [`orders`].

mod live;
mod orders;
mod page;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub use self::live::Live;
use crate::reload::Control;

/// Where there is something to GET.
const PAGES: &str = "there is /livez, /readyz, /metrics, /generation, /generations, /sessions and /adm/modules\n";
/// What can be done.
const ORDERS: &str = "POST /explain, /reload, /rollback, /resume, /revoke or /adm/modules; all else is only read\n";
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
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(&control, request).await) });
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

async fn answer(control: &Control, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if request.method() == Method::POST && orders::is_known(path) {
        let (status, body) = orders::carry_out(control, request).await;
        return page(status, &body);
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, ORDERS);
    }
    match path {
        "/livez" => text(StatusCode::OK, "live\n"),
        "/readyz" if control.board.drain.is_announced() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => text(StatusCode::OK, "ready\n"),
        "/metrics" => {
            let mut response = text(StatusCode::OK, control.board.metrics.text());
            let kind = header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/generation" => page(StatusCode::OK, &page::generation(control)),
        "/sessions" => page(StatusCode::OK, &page::sessions(control)),
        "/generations" => page(StatusCode::OK, &page::generations(control)),
        "/adm/modules" => page(StatusCode::OK, &page::modules(&control.board.current.load())),
        path if orders::is_known(path) => text(StatusCode::METHOD_NOT_ALLOWED, ORDERS),
        _ => text(StatusCode::NOT_FOUND, PAGES),
    }
}

fn page(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = text(status, format!("{body:#}\n"));
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
