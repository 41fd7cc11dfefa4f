//! What our TCP connections are set to, and when: what matters from the first byte on at once, what tells a peer that is gone
//! only once a session has [lasted](settle), because each setting is a call to the kernel and most handshakes are of
//! sessions that are over before.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};

/// How long a session has lasted before its sockets are settled. No peer is given up for being silent before a minute.
#[cfg(not(test))]
pub const LASTED: Duration = Duration::from_secs(5);
/// For tests that wait for it.
#[cfg(test)]
pub const LASTED: Duration = Duration::from_millis(50);

const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_mins(1)).with_interval(Duration::from_secs(15));
const RETRIES: u32 = 4;

/// Most bytes that the kernel keeps for a peer beyond what that has room for. Without a bound it would take megabytes for
/// one that reads slowly, our Pings behind them.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 << 10;

/// Sets what a connection has from its beginning, or before it: no delay, and a bound on what is unsent.
///
/// # Errors
/// The socket is not connected any more.
pub fn begin<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// The same, and TCP keep-alive. On Linux, what a listener accepts has what the listener was given (tcp(7)).
///
/// There a request is not acknowledged by a segment of its own, but by our answer, for which the kernel waits 40 ms: a
/// handshake takes one segment less. Who does not begin with a whole request for an upgrade is to be [told at once](prompt).
///
/// # Errors
/// The socket is not connected any more.
pub fn accept<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    socket.set_tcp_keepalive(&KEEPALIVE.with_retries(RETRIES))?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_quickack(&*socket, false)?;
    begin(&*socket)
}

/// Has what comes acknowledged at once again: a peer that sends a request piece by piece, and whose kernel holds back a piece
/// until the one before has arrived (RFC 9293 §3.7.4, Nagle), would wait for that. The kernel may change its mind later.
pub fn prompt<'s>(socket: impl Into<SockRef<'s>>) {
    #[cfg(target_os = "linux")]
    // One that is gone needs it no more.
    let _ = rustix::net::sockopt::set_tcp_quickack(&*socket.into(), true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Sets what a leg of a session that lasts has: keep-alive, if we dialled it, and for how long what was sent may stay
/// unacknowledged, which is twice the time `stall` that it may take nothing. It must be longer than that, because the
/// kernel also counts a peer that lives and does not read; without a limit there is none.
///
/// # Errors
/// The socket is not connected any more.
pub fn settle<'s>(socket: impl Into<SockRef<'s>>, dialled: bool, stall: Duration) -> io::Result<()> {
    let socket = socket.into();
    let limited = cfg!(target_os = "linux") && !stall.is_zero();
    if dialled {
        // The limit counts for keep-alive, too, in place of the number of probes (tcp(7), `TCP_USER_TIMEOUT`).
        socket.set_tcp_keepalive(&if limited { KEEPALIVE } else { KEEPALIVE.with_retries(RETRIES) })?;
    }
    #[cfg(target_os = "linux")]
    if limited {
        socket.set_tcp_user_timeout(Some(stall.saturating_mul(2)))?;
    }
    Ok(())
}
