//! Accepting: one task a listener, one a connection. Nothing slow happens in the accept loop.
//!
//! Errors of accept (no descriptors left) are waited out, counted and said once a second, never fatal. A connection is
//! served with HTTP/1.1 until it is upgraded, ends, or we stop; or with HTTP/2 where it begins with the preface of that.

mod http2;

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use crate::{
    config::{self, Http2Rules},
    drain::beside,
    http::{self, Connection, Switchboard, Watch},
    metrics::Counted,
    socket::{Pulse, Socket},
    upstream,
};

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 4096;
/// Largest request head, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// Most header fields of a request.
const MAX_HEADERS: usize = 128;
/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A listener that holds its address and does not accept yet.
pub struct Bound {
    name: Arc<str>,
    socket: TcpListener,
    address: SocketAddr,
}

/// An address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; change {key} in the configuration, or stop what listens there")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The key that names it.
    pub key: String,
    /// The system's reason.
    #[source]
    pub error: io::Error,
}

/// Binds an address.
///
/// # Errors
/// [`BindError`] names address and key.
pub fn bind(address: SocketAddr, key: impl Into<String>) -> Result<TcpListener, BindError> {
    let socket = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|error| BindError { address, key: key.into(), error })
}

impl Bound {
    /// Takes the address of a configured listener.
    ///
    /// # Errors
    /// [`BindError`] names address and key.
    pub fn bind(listener: &config::Listener) -> Result<Self, BindError> {
        let key = format!("`address` of the listener `{}`", listener.name);
        let socket = bind(listener.address, key)?;
        let address = socket.local_addr().unwrap_or(listener.address);
        Ok(Self { name: Arc::clone(&listener.name), socket, address })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it really listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until we stop. What the kernel has taken on our behalf by then is still answered.
    pub async fn serve(self, board: Arc<Switchboard>) {
        let mut last_said: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = board.drain.begun() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(&board, stream, peer),
                Err(error) => {
                    board.metrics.accept_errors.inc();
                    if last_said.is_none_or(|said| said.elapsed() > Duration::from_secs(1)) {
                        last_said = Some(Instant::now());
                        tracing::warn!(listener = %self.name, %error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        self.empty_backlog(&board);
    }

    /// Takes what the kernel has taken for us, which it would reset when the socket is closed; then it refuses.
    fn empty_backlog(&self, board: &Arc<Switchboard>) {
        let next = || {
            let (socket, peer) = SockRef::from(&self.socket).accept().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(socket.into()).ok()?, peer.as_socket()?))
        };
        // Not for ever: those that come all the while find the socket closed some time.
        for (stream, peer) in std::iter::from_fn(next).take(BACKLOG as usize) {
            self.admit(board, stream, peer);
        }
    }

    fn admit(&self, board: &Arc<Switchboard>, stream: TcpStream, peer: SocketAddr) {
        board.metrics.accepted.inc();
        if upstream::tune(&stream, None).is_err() {
            // It is gone already.
            return;
        }
        let generation = board.current.load();
        let settings = generation.config.listeners.iter().find(|listener| listener.name == self.name);
        let connection = Arc::new(Connection {
            board: Arc::clone(board),
            listener: Arc::clone(&self.name),
            peer,
            accepted: Instant::now(),
            establish: settings.map_or(config::Listener::ESTABLISH, |listener| listener.establish),
            trusted_proxies: settings.map(|listener| Arc::clone(&listener.trusted_proxies)).unwrap_or_default(),
            linger: settings.map_or(config::Listener::LINGER, |listener| listener.linger),
            http2: settings.map_or_else(Http2Rules::default, |listener| listener.http2),
            pulse: Pulse::new(),
        });
        board.drain.spawn(converse(connection, stream));
    }
}

/// Serves requests until the connection is upgraded or ends.
async fn converse(connection: Arc<Connection>, stream: TcpStream) {
    let _counted = Counted::one(&connection.board.metrics.connections);
    let board = Arc::clone(&connection.board);
    let http2 = tokio::select! {
        http2 = http2::is_spoken(&stream, connection.accepted + connection.establish) => http2,
        _ = board.drain.cut_off() => return,
    };
    if http2 {
        return http2::converse(connection, stream).await;
    }
    let watch = Arc::new(Watch::new(Some(connection.pulse.clone())));
    let fresh = AtomicBool::new(true);
    let service = service_fn(|request| {
        let first = fresh.swap(false, Ordering::Relaxed);
        http::handle(Arc::clone(&connection), Arc::clone(&watch), request, first)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(connection.establish)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Socket::accepted(stream, connection.pulse.clone())), service)
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
            // One that has not asked for anything yet is told by the answer; its request may be on its way.
            () = begun.as_mut() => if !fresh.load(Ordering::Relaxed) {
                served.as_mut().graceful_shutdown();
            },
            _ = cut.as_mut() => return,
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %connection.peer, listener = %connection.listener, %error, "connection ended");
    }
}
