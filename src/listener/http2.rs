//! HTTP/2 by prior knowledge (RFC 9113 §3.3): on the same address as HTTP/1, told by its preface.
//!
//! Each stream has one task, which belongs to the drain and is bounded like an HTTP/1 connection is. A connection without
//! streams is ended after `idle`; one with streams lives as long as they do. What a connection may make us keep is
//! bounded by `streams`, the windows below and the size of a head.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep};

use crate::{
    drain::{Drain, beside},
    http::{self, Connection, Watch},
    socket::{Pulse, Socket},
    stream::Stream,
};

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

/// Serves streams until the connection ends. Of what the client said, `read` was read.
pub(super) async fn converse(connection: Arc<Connection>, (stream, read): (Stream, Bytes), most_head: usize) {
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
        .serve_connection(TokioIo::new(Socket::accepted(stream, connection.pulse.clone()).behind(read)), service);
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
