//! Accepting: one errand a listener, one a connection, on the threads of the [relay](crate::relay), so that a connection is
//! accepted, judged and joined where its frames will pass. Nothing slow happens in the accept loop.
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

use std::{
    io,
    net::{SocketAddr, TcpStream as Bare},
    pin::pin,
    sync::Arc,
    time::Duration,
};

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
    places::Most,
    relay::{LaneListener, Relay},
    socket::Pulse,
    tuning,
};

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 4096;
/// Connections that are accepted before others have their turn.
const IN_A_ROW: u32 = 16;
/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A listener that holds its address and does not accept yet.
struct Bound {
    open: Arc<Open>,
    socket: LaneListener,
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
        relay: &Relay,
    ) -> Result<Self, BindError> {
        let key = format!("`address` of the listener `{}`", listener.name);
        let is_handed_over = handed_over.is_some();
        let socket = bind_or_take(listener.address, key.clone(), handed_over)?;
        if let Err(error) = tuning::accept(&socket) {
            tracing::warn!(listener = %listener.name, %error, "its connections have the system's TCP settings");
        }
        let address = socket.local_addr().unwrap_or(listener.address);
        let watched = socket.into_std().and_then(|socket| relay.watch_listener(socket));
        let socket = watched.map_err(|error| BindError { address, key, error })?;
        let settings = ArcSwap::from_pointee(listener.clone());
        let open = Arc::new(Open { settings, shared, address, gone: CancellationToken::new() });
        Ok(Self { open, socket, handed_over: is_handed_over })
    }

    /// Accepts from now on.
    fn serve(self, board: &Arc<Switchboard>) {
        let Self { open, socket, handed_over } = self;
        let ours = Arc::clone(board);
        let errand = |socket| async move {
            accept(&open, &socket, &ours).await;
            let drain = ours.drain.clone();
            // There may be much to do at once, which is not to hold up the frames.
            drain.spawn(end(open, socket, handed_over, ours));
        };
        socket.run(|socket| board.drain.track(errand(socket)));
    }
}

/// Lets go of a listener. What the kernel has taken on our behalf by then is still answered.
async fn end(open: Arc<Open>, socket: LaneListener, handed_over: bool, board: Arc<Switchboard>) {
    let socket = match socket.into_std().and_then(TcpListener::from_std) {
        Ok(socket) => socket,
        Err(error) => {
            let listener = &open.settings.load().name;
            return tracing::error!(%listener, %error, "whoever dials in the moment that the socket is closed may be reset");
        }
    };
    let admit = |stream: TcpStream, peer| {
        // One that cannot be had any more is gone.
        let _ = stream.into_std().map(|stream| open.admit(&board, stream, peer));
    };
    if !handed_over {
        closing::close(&socket, board.drain.cut_off(), admit).await;
    } else if open.gone.is_cancelled() {
        // What else waits in the queue of a socket that the manager has, too, is for whoever gets it next.
        closing::empty(&socket, admit);
    }
}

/// Accepts until we stop or the listener is gone.
async fn accept(open: &Open, socket: &LaneListener, board: &Arc<Switchboard>) {
    let mut errors = Seldom::default();
    let (mut begun, mut gone) = (pin!(board.drain.begun()), pin!(open.gone.cancelled()));
    let mut in_a_row = 0;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = &mut begun => return,
            () = &mut gone => return,
        };
        match accepted {
            Ok((stream, peer)) => open.admit(board, stream, peer),
            Err(error) => {
                board.metrics.accept_errors.inc();
                if errors.say().is_some() {
                    tracing::warn!(listener = %open.settings.load().name, %error, "a connection could not be accepted");
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        in_a_row += 1;
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Open {
    fn admit(&self, board: &Arc<Switchboard>, stream: Bare, peer: SocketAddr) {
        board.metrics.accepted.inc();
        let accepted = Instant::now();
        let settings = self.settings.load_full();
        // The clients of a trusted proxy share its address.
        let trusted = settings.trusted_proxies.iter().any(|network| network.contains(&peer.ip().to_canonical()));
        let per_ip = if trusted { 0 } else { settings.connections_per_ip };
        let place = match self.shared.places.take(peer.ip(), Most { connections: settings.connections, per_ip }) {
            Ok(place) => place,
            Err(why) => {
                let told = &self.shared.turned_away;
                return told.tell(board, &settings.name, (stream, peer), why, settings.linger);
            }
        };
        // Elsewhere a connection has what its listener was given.
        #[cfg(not(target_os = "linux"))]
        if tuning::accept(&stream).is_err() {
            // It is gone already.
            return;
        }
        let (ours, awaited) = (Arc::clone(board), board.drain.token());
        // There where it is served.
        let converse = move |stream| {
            let times = Times { establish: settings.establish, idle: settings.idle, linger: settings.linger };
            let bounds = Bounds {
                head: settings.head,
                fields: settings.head_fields,
                chunk_extensions: settings.chunk_extensions,
                http2: true,
            };
            let connection = Arc::new(Connection {
                board: ours,
                listener: Arc::clone(&settings.name),
                peer,
                accepted,
                establish: settings.establish,
                trusted_proxies: Arc::clone(&settings.trusted_proxies),
                linger: settings.linger,
                http2: settings.http2,
                pulse: Pulse::new(),
                place: place.into(),
            });
            http1::converse(connection, stream, bounds, times, awaited)
        };
        if let Err(error) = board.relay.run_errand(stream, converse) {
            tracing::error!(%error, "a socket cannot be watched; a connection ends at its beginning");
        }
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
        tuning::accept(&listener).unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, dialled) = tokio::join!(listener.accept(), dialled);
        let (accepted, _dialled) = (accepted.unwrap().0, dialled.unwrap());
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap() && accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), 128 << 10);
        let at_once = || rustix::net::sockopt::tcp_quickack(&*accepted).unwrap();
        assert!(!at_once());
        tuning::prompt(&*accepted);
        assert!(at_once());
    }
}
