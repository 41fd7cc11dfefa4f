//! Accepting: one task a listener, one a connection. Nothing slow happens in the accept loop.
//!
//! Errors of accept (no descriptors left) are waited out, counted and said once a second, never fatal. A connection takes
//! a [place](crate::places) before anything else; one for which there is none is told so, unread, and closed. The others
//! are served with HTTP/1.1 behind an [edge](crate::http::edge) until they are upgraded, end, or we stop; or with HTTP/2
//! where they begin with the preface of that.

mod closing;
mod full;
mod http1;
mod http2;
mod set;

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::set::{Listeners, Prepared};
use self::{
    full::Seldom,
    set::{Open, Shared},
};
use crate::{
    config,
    head::raw::Bounds,
    http::{Connection, Switchboard, edge::Times},
    metrics::Counted,
    places::Most,
    socket::Pulse,
    upstream,
};

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 4096;
/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A listener that holds its address and does not accept yet.
struct Bound {
    open: Arc<Open>,
    socket: TcpListener,
    /// Whether a service manager has it, too.
    handed_over: bool,
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

/// The same, unless a socket was handed over for it: that is taken as it is.
///
/// # Errors
/// As with [`bind`].
pub fn bind_or_take(
    address: SocketAddr,
    key: impl Into<String>,
    handed_over: Option<std::net::TcpListener>,
) -> Result<TcpListener, BindError> {
    match handed_over {
        Some(socket) => TcpListener::from_std(socket).map_err(|error| BindError { address, key: key.into(), error }),
        None => bind(address, key),
    }
}

impl Bound {
    /// Takes the address of a configured listener, or the socket that was handed over for it.
    ///
    /// # Errors
    /// [`BindError`] names address and key.
    fn bind(
        listener: &config::Listener,
        shared: Arc<Shared>,
        handed_over: Option<std::net::TcpListener>,
    ) -> Result<Self, BindError> {
        let key = format!("`address` of the listener `{}`", listener.name);
        let is_handed_over = handed_over.is_some();
        let socket = bind_or_take(listener.address, key, handed_over)?;
        if let Err(error) = upstream::tune(&socket) {
            tracing::warn!(listener = %listener.name, %error, "its connections have the system's TCP settings");
        }
        let address = socket.local_addr().unwrap_or(listener.address);
        let settings = ArcSwap::from_pointee(listener.clone());
        let open = Arc::new(Open { settings, shared, address, gone: CancellationToken::new() });
        Ok(Self { open, socket, handed_over: is_handed_over })
    }

    /// Accepts until we stop or the listener is gone. What the kernel has taken on our behalf by then is still answered.
    async fn serve(self, board: Arc<Switchboard>) {
        let mut errors = Seldom::default();
        let (mut begun, mut gone) = (pin!(board.drain.begun()), pin!(self.open.gone.cancelled()));
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = &mut begun => break,
                () = &mut gone => break,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(&board, stream, peer),
                Err(error) => {
                    board.metrics.accept_errors.inc();
                    if errors.say().is_some() {
                        tracing::warn!(listener = %self.open.settings.load().name, %error, "a connection could not be accepted");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        let admit = |stream, peer| self.admit(&board, stream, peer);
        if !self.handed_over {
            closing::close(&self.socket, board.drain.cut_off(), admit).await;
        } else if self.open.gone.is_cancelled() {
            // What else waits in the queue of a socket that the manager has, too, is for whoever gets it next.
            closing::empty(&self.socket, admit);
        }
    }

    fn admit(&self, board: &Arc<Switchboard>, stream: TcpStream, peer: SocketAddr) {
        board.metrics.accepted.inc();
        let accepted = Instant::now();
        let settings = self.open.settings.load();
        // The clients of a trusted proxy share its address.
        let trusted = settings.trusted_proxies.iter().any(|network| network.contains(&peer.ip().to_canonical()));
        let per_ip = if trusted { 0 } else { settings.connections_per_ip };
        let place = match self.open.shared.places.take(peer.ip(), Most { connections: settings.connections, per_ip }) {
            Ok(place) => Arc::new(place),
            Err(why) => {
                let told = &self.open.shared.turned_away;
                return told.tell(board, &settings.name, (stream, peer), why, settings.linger);
            }
        };
        // Elsewhere a connection has what its listener was given.
        #[cfg(not(target_os = "linux"))]
        if upstream::tune(&stream).is_err() {
            // It is gone already.
            return;
        }
        let times = Times { establish: settings.establish, idle: settings.idle, linger: settings.linger };
        let bounds = Bounds {
            head: settings.head,
            fields: settings.head_fields,
            chunk_extensions: settings.chunk_extensions,
            http2: false,
        };
        let connection = Arc::new(Connection {
            board: Arc::clone(board),
            listener: Arc::clone(&settings.name),
            peer,
            accepted,
            establish: settings.establish,
            trusted_proxies: Arc::clone(&settings.trusted_proxies),
            linger: settings.linger,
            http2: settings.http2,
            pulse: Pulse::new(),
            place,
        });
        board.drain.spawn(converse(connection, stream, bounds, times));
    }
}

/// Serves requests until the connection is upgraded or ends.
async fn converse(connection: Arc<Connection>, stream: TcpStream, bounds: Bounds, times: Times) {
    let _counted = Counted::one(&connection.board.metrics.connections);
    let board = Arc::clone(&connection.board);
    let http2 = tokio::select! {
        http2 = http2::is_spoken(&stream, connection.accepted + connection.establish) => http2,
        _ = board.drain.cut_off() => return,
    };
    if http2 {
        http2::converse(connection, stream, bounds.head).await;
    } else {
        http1::converse(connection, stream, bounds, times).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use socket2::SockRef;

    use super::*;

    /// Linux hands the listener's settings on, which spares each connection six calls.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_a_listener_accepts_has_its_settings() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "`address`").unwrap();
        upstream::tune(&listener).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, dialled) = tokio::join!(listener.accept(), dialled);
        let (accepted, _dialled) = (accepted.unwrap().0, dialled.unwrap());
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), 128 << 10);
    }
}
