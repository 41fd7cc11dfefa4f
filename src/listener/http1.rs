//! HTTP/1 on one connection, behind its edge.

use std::{convert::Infallible, pin::pin, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    drain::beside,
    head::{headers::has_token, raw::Bounds},
    http::{
        self as pipeline, Connection, Watch,
        edge::{Answering, Edge, Times, Turn},
    },
    socket::Socket,
};

/// What hyper counts besides a head: an empty line before it, and a rest.
const BESIDE_HEAD: usize = 64;
/// Smallest buffer that hyper takes, in bytes.
const LEAST_BUFFER: usize = 8192;

/// Serves requests until the connection is upgraded or ends.
pub(super) async fn converse(connection: Arc<Connection>, stream: TcpStream, bounds: Bounds, times: Times) {
    let board = Arc::clone(&connection.board);
    let watch = Arc::new(Watch::new(Some(connection.pulse.clone())));
    let socket = Socket::accepted(stream, connection.pulse.clone());
    let edge = Edge::new(socket, bounds, times, Arc::clone(&board.metrics), connection.accepted);
    let door = Arc::clone(edge.door());
    let service = service_fn(|request| answer(Arc::clone(&connection), Arc::clone(&watch), request, door.turn()));
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size((bounds.head + BESIDE_HEAD).max(LEAST_BUFFER))
        .max_header_size(bounds.head + BESIDE_HEAD)
        .max_headers(bounds.fields)
        .serve_connection(TokioIo::new(edge), service)
        .with_upgrades();
    let mut served = pin!(served);
    let (mut begun, mut cut) = (pin!(beside(board.drain.begun())), pin!(beside(board.drain.cut_off())));
    let ended = loop {
        tokio::select! {
            ended = served.as_mut() => break ended,
            () = watch.overdue() => {
                tracing::debug!(peer = %connection.peer, listener = %connection.listener, "connection cut");
                return;
            }
            // One that has not asked for anything yet is told by the answer, for its request may be on its way; so is who
            // is in the middle of a head.
            () = begun.as_mut() => if !door.is_fresh() && !door.has_partial() {
                served.as_mut().graceful_shutdown();
            },
            _ = cut.as_mut() => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, listener = %connection.listener, %error, "connection ended");
    }
}

/// Answers one request.
async fn answer(
    connection: Arc<Connection>,
    watch: Arc<Watch>,
    request: Request<Incoming>,
    turn: Turn,
) -> Result<Response<Answering<pipeline::Body>>, Infallible> {
    let mut answer = match turn.refused() {
        Some(refused) => pipeline::refuse(&connection, refused),
        None => pipeline::handle(connection, watch, request, turn.begun()).await?,
    };
    // Bytes behind a request for an upgrade that is refused cannot be told from a request.
    let ends = turn.is_last() && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
    if ends && !has_token(answer.headers(), &header::CONNECTION, "close") {
        answer.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer.map(|body| Answering::new(body, turn)))
}
