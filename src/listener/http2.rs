//! HTTP/2 by prior knowledge (RFC 9113 §3.3): on the same address as HTTP/1, told by its preface.
//!
//! Each stream has one task, which belongs to the drain and is bounded like an HTTP/1 connection is. A connection without
//! streams is ended after `idle`; one with streams lives as long as they do. What a connection may make us keep is
//! bounded by `streams`, the windows below and the size of a head.

use std::{
    future::Future,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    drain::{Drain, beside},
    http::{self, Connection, Watch},
    socket::{Pulse, Socket},
};

/// What a client that knows begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of one request's body that may be on their way, or kept until its service takes them.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same of all requests of a connection.
const CONNECTION_WINDOW: u32 = 512 << 10;
/// Bytes of one answer that are kept until the client takes them.
const SEND_BUFFER: usize = 64 << 10;

tokio::task_local! {
    /// Of the stream whose task this is.
    static WATCH: Arc<Watch>;
}

/// Whether a connection begins with the preface; nothing is taken from it. One that has not told by `deadline` speaks
/// HTTP/1, whose own deadline it has missed then.
pub(super) async fn is_spoken(stream: &TcpStream, deadline: Instant) -> bool {
    let look = async {
        loop {
            stream.readable().await?;
            let looked = stream.try_io(Interest::READABLE, || {
                let mut begin = [0; PREFACE.len()];
                let (_, length) = recv(stream, &mut begin, RecvFlags::PEEK)?;
                // What would block makes tokio wait for more than there is.
                tells(begin.get(..length).unwrap_or_default()).ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            match looked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return looked,
            }
        }
    };
    matches!(timeout_at(deadline, look).await, Ok(Ok(true)))
}

/// Whether these bytes begin HTTP/2; none if more must come to tell. An end is no beginning.
fn tells(begin: &[u8]) -> Option<bool> {
    match PREFACE.strip_prefix(begin) {
        Some([]) => Some(true),
        Some(_) if !begin.is_empty() => None,
        _ => Some(false),
    }
}

/// Runs hyper's tasks: one a stream.
#[derive(Clone)]
struct Streams {
    drain: Drain,
    open: Open,
}

/// The streams that are open now.
#[derive(Clone, Default)]
struct Open {
    count: Arc<AtomicUsize>,
    /// When one began or ended.
    changed: Pulse,
}

impl Open {
    fn one(&self) -> OpenOne {
        self.count.fetch_add(1, Ordering::Relaxed);
        OpenOne(self.clone())
    }

    /// Waits until there has been none for `limit`.
    async fn none_for(&self, limit: Duration) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let silence = match self.count.load(Ordering::Relaxed) {
                0 => self.changed.silence(),
                _ => Duration::ZERO,
            };
            let remaining = limit.saturating_sub(silence);
            if remaining.is_zero() {
                return;
            }
            sleep(remaining).await;
        }
    }
}

struct OpenOne(Open);

impl Drop for OpenOne {
    fn drop(&mut self) {
        self.0.changed.beat();
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let open = self.open.one();
        let watch = Arc::new(Watch::new(None));
        let scoped = WATCH.scope(Arc::clone(&watch), stream);
        let drain = self.drain.clone();
        self.drain.spawn(async move {
            tokio::select! {
                () = scoped => {}
                // Dropping what it is made of resets the stream.
                () = watch.overdue() => {}
                _ = beside(drain.cut_off()) => {}
            }
            drop(open);
        });
    }
}

/// Serves streams until the connection ends.
pub(super) async fn converse(connection: Arc<Connection>, stream: TcpStream, most_head: usize) {
    let board = Arc::clone(&connection.board);
    let rules = connection.http2;
    let fresh = AtomicBool::new(true);
    let service = service_fn(|request| {
        let first = fresh.swap(false, Ordering::Relaxed);
        let connection = Arc::clone(&connection);
        async move {
            // Always there: hyper runs this in the task of its stream.
            let watch = WATCH.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(Watch::new(None)));
            let begun = if first { connection.accepted } else { Instant::now() };
            http::handle(connection, watch, request, begun, None).await
        }
    });
    let open = Open { changed: Pulse::new(), ..Open::default() };
    let streams = Streams { drain: board.drain.clone(), open: open.clone() };
    let served = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(rules.streams)
        .max_header_list_size(u32::try_from(most_head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(Socket::accepted(stream, connection.pulse.clone())), service);
    let mut served = pin!(served);
    let mut stopping = false;
    let (mut begun, mut cut) = (pin!(beside(board.drain.begun())), pin!(beside(board.drain.cut_off())));
    let ended = loop {
        tokio::select! {
            ended = served.as_mut() => break ended,
            () = open.none_for(rules.idle) => {
                // Told once, and cut if it does not go by itself.
                if std::mem::replace(&mut stopping, true) {
                    return;
                }
                open.changed.beat();
                served.as_mut().graceful_shutdown();
            }
            () = begun.as_mut() => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            _ = cut.as_mut() => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, listener = %connection.listener, %error, "connection ended");
    }
}
