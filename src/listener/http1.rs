//! One connection, behind its edge: HTTP/1, unless it begins with the preface of HTTP/2.
//!
//! A connection that begins with a request for an upgrade, as nearly all do, is answered without more of HTTP than that.
//! For everything else, and for every answer but a 101, there is hyper.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::http2;
use crate::{
    drain::beside,
    head::{headers::has_token, parse, raw::Bounds},
    http::{
        self as pipeline, Connection, Decided, Watch,
        edge::{self, Answering, Edge, First, Times, Turn},
    },
    metrics::Counted,
    socket::Socket,
    stream::Stream,
};

/// What hyper counts besides a head: an empty line before it, and a rest.
const BESIDE_HEAD: usize = 64;
/// Smallest buffer that hyper takes, in bytes.
const LEAST_BUFFER: usize = 8192;

/// Serves requests until the connection is upgraded or ends, for which the end waits by the token. What is no handshake
/// leaves the lane.
pub(super) async fn converse(
    connection: Arc<Connection>,
    stream: Stream,
    bounds: Bounds,
    times: Times,
    _awaited: TaskTrackerToken,
) {
    let counted = Counted::one(&connection.board.metrics.connections);
    let board = Arc::clone(&connection.board);
    let socket = Socket::accepted(stream, connection.pulse.clone());
    let mut edge = Edge::new(socket, bounds, times, Arc::clone(&board.metrics), connection.accepted);
    let decided = tokio::select! {
        biased;
        decided = decide(&connection, &mut edge) => decided,
        _ = board.drain.cut_off() => return,
    };
    let known = match decided {
        Begun::Gone => return,
        Begun::Switch(head, switched, early) => {
            drop(connection);
            let written = tokio::select! {
                biased;
                written = edge.write_all(&head) => written.map_err(Into::into),
                _ = board.drain.cut_off() => Err("it was cut".into()),
            };
            let freed = written.map(|()| edge.free(early));
            return switched.go(freed).await;
        }
        Begun::Http2(read) => Err(read),
        Begun::Http(known) => Ok(known),
    };
    let moved = match edge.leave_lane() {
        Ok(moved) => moved,
        Err(error) => return tracing::error!(%error, "a socket cannot be watched; a connection ends"),
    };
    let served = async move {
        let _counted = counted;
        match known {
            Ok(known) => serve(connection, edge, bounds, known).await,
            Err(read) => http2::converse(connection, edge.free(read), bounds.head).await,
        }
    };
    if moved {
        board.drain.spawn(served);
    } else {
        // Apart, so that what waits for a request, or for a policy, is small.
        Box::pin(served).await;
    }
}

/// What the beginning of a connection comes to.
enum Begun {
    /// A 101, what goes on behind it, and what came behind the request.
    Switch(Vec<u8>, pipeline::Switched, Bytes),
    /// Anything else, and what is known of it.
    Http(Option<Box<Decided>>),
    /// HTTP/2, of which this was read.
    Http2(Bytes),
    /// The client has left.
    Gone,
}

/// Reads the first request and, if it asks for an upgrade, decides about it.
async fn decide(connection: &Arc<Connection>, edge: &mut Edge) -> Begun {
    let bytes = match edge.first().await {
        Ok(First::Upgrade(bytes)) => bytes,
        Ok(First::Http2(read)) => return Begun::Http2(read),
        Ok(First::Other) | Err(_) => return Begun::Http(None),
    };
    let Some((head, end)) = parse::request(&bytes) else {
        edge.give_back(&bytes);
        return Begun::Http(None);
    };
    let decided = tokio::select! {
        biased;
        decided = Decided::about(connection, head, connection.accepted) => decided,
        () = edge.gone() => return Begun::Gone,
    };
    match decided.switch() {
        Ok((response, switched)) => Begun::Switch(parse::switching(response.headers()), switched, bytes.slice(end..)),
        Err(decided) => {
            edge.give_back(&bytes);
            Begun::Http(Some(decided))
        }
    }
}

/// Serves with hyper; what is `known` is of the first request.
async fn serve(connection: Arc<Connection>, edge: Edge, bounds: Bounds, known: Option<Box<Decided>>) {
    let board = Arc::clone(&connection.board);
    let watch = Arc::new(Watch::new(Some(connection.pulse.clone())));
    let door = Arc::clone(edge.door());
    let known = Mutex::new(known);
    let refused = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner).take();
        let upgrade = request.extensions().get::<OnUpgrade>().cloned();
        let answer = answer(Arc::clone(&connection), Arc::clone(&watch), request, door.turn(), known);
        async {
            let answer = answer.await?;
            if upgrade.is_some() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                *refused.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size((bounds.head + BESIDE_HEAD).max(LEAST_BUFFER))
        .max_header_size(bounds.head + BESIDE_HEAD)
        .max_headers(bounds.fields)
        .serve_connection(TokioIo::new(edge), service)
        .with_upgrades();
    let mut served = Box::pin(served);
    let (mut begun, mut cut) = (pin!(beside(board.drain.begun())), pin!(beside(board.drain.cut_off())));
    let mut stopping = false;
    // Looked at behind what is served: it is that which changes it.
    let through = || poll_fn(|_| if door.is_blocked() { Poll::Pending } else { Poll::Ready(()) });
    let ended = loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => break ended,
            () = through(), if stopping => {
                stopping = false;
                served.as_mut().graceful_shutdown();
            }
            () = watch.overdue() => {
                tracing::debug!(peer = %connection.peer, listener = %connection.listener, "connection cut");
                return;
            }
            // One that has not asked for anything yet is told by the answer, for its request may be on its way; so is who
            // is in the middle of a head.
            () = begun.as_mut() => stopping = !door.is_fresh() && !door.has_partial(),
            _ = cut.as_mut() => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, listener = %connection.listener, %error, "connection ended");
    }
    drop(served);
    let refused = refused.into_inner().unwrap_or_else(PoisonError::into_inner);
    let parted = async {
        if let Some(upgrade) = refused
            && let Ok(upgraded) = upgrade.await
        {
            edge::part(upgraded).await;
        }
    };
    tokio::select! {
        () = parted => {}
        _ = cut => {}
    }
}

/// Answers one request.
async fn answer(
    connection: Arc<Connection>,
    watch: Arc<Watch>,
    request: Request<Incoming>,
    turn: Turn,
    known: Option<Box<Decided>>,
) -> Result<Response<Answering<pipeline::Body>>, Infallible> {
    let mut answer = match turn.refused() {
        Some(refused) => pipeline::refuse(&connection, refused, turn.begun()),
        None => pipeline::handle(connection, watch, request, turn.begun(), known).await?,
    };
    // Bytes behind a request for an upgrade that is refused cannot be told from a request.
    let ends = turn.is_last() && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
    if ends && !has_token(answer.headers(), &header::CONNECTION, "close") {
        answer.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer.map(|body| Answering::new(body, turn)))
}
