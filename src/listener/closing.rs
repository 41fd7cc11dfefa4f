//! The end of a listening socket: nobody whose handshake with the kernel has begun is reset.
//!
//! Closing a socket resets what waits in its queue, and also what is half open: a client is connected as soon as it has
//! the kernel's SYN-ACK, its own ACK is still under way. So newcomers are turned away first, unanswered; those half open
//! get [`LATE`] to come through and are accepted as ever; then the queue is emptied and the socket may go. Who was turned
//! away repeats its SYN after a second (RFC 6298, 2.1) and finds nobody, or whoever has the address by then.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};

use super::{BACK_OFF, BACKLOG};

/// How long what is half open may take to come through: more than a round trip takes nearly everywhere.
const LATE: Duration = Duration::from_millis(250);

/// Takes in whoever has begun to come; `hurry` ends the wait for those half open. The socket is to be dropped after it.
pub(super) async fn close(socket: &TcpListener, hurry: impl Future, mut admit: impl FnMut(TcpStream, SocketAddr)) {
    if let Err(error) = turn_away_newcomers(socket) {
        tracing::debug!(%error, "whoever dials in the moment that the socket is closed may be reset");
    }
    let late = async {
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => admit(stream, peer),
                Err(_) => tokio::time::sleep(BACK_OFF).await,
            }
        }
    };
    tokio::select! {
        () = late => {}
        () = tokio::time::sleep(LATE) => {}
        _ = hurry => {}
    }
    empty(socket, admit);
}

/// Takes what the kernel has taken for us, which it would reset when the socket is closed; after that it refuses.
pub(super) fn empty(socket: &TcpListener, mut admit: impl FnMut(TcpStream, SocketAddr)) {
    let next = || {
        let (stream, peer) = SockRef::from(socket).accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream.into()).ok()?, peer.as_socket()?))
    };
    // Linux holds one more than it was told. Not for ever where newcomers could not be turned away.
    for (stream, peer) in std::iter::from_fn(next).take(BACKLOG as usize + 1) {
        admit(stream, peer);
    }
}

/// Lets the kernel drop what would begin a connection. Handshakes that have begun come through. The socket stays like
/// that, whoever else has it.
fn turn_away_newcomers(socket: &TcpListener) -> io::Result<()> {
    const SYN: u32 = 0x02;
    SockRef::from(socket).attach_filter(&without(SYN))
}

/// Classic BPF over the TCP header (bpf(4)) that drops the segments with exactly these of the flags SYN and ACK.
const fn without(flags: u32) -> [SockFilter; 5] {
    const TCP_FLAGS: u32 = 13;
    const SYN_OR_ACK: u32 = 0x12;
    [
        SockFilter::new(0x30, 0, 0, TCP_FLAGS),
        SockFilter::new(0x54, 0, 0, SYN_OR_ACK),
        SockFilter::new(0x15, 0, 1, flags),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::pending;

    use tokio::io::AsyncReadExt as _;

    use super::{super::bind, *};

    fn listening() -> (TcpListener, SocketAddr) {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "`address`").unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn who_is_half_open_is_taken_in_and_who_comes_later_is_refused() {
        const ACK: u32 = 0x10;
        let (socket, address) = listening();
        // Every ACK is lost: the client is connected, and for the kernel on our side half open.
        SockRef::from(&socket).attach_filter(&without(ACK)).unwrap();
        let half = TcpStream::connect(address).await.unwrap();
        let mut admitted = Vec::new();
        let speak = async {
            // The filter of the end has taken the place of ours: what is said now brings the ACK again.
            half.writable().await.unwrap();
            half.try_write(b"hello").unwrap();
        };
        let closed = close(&socket, pending::<()>(), |stream, peer| admitted.push((stream, peer)));
        tokio::join!(biased; closed, speak);
        drop(socket);
        let (mut stream, peer) = admitted.pop().unwrap();
        assert_eq!(peer, half.local_addr().unwrap());
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hello");
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn in_a_hurry_the_queue_is_still_emptied() {
        let (socket, address) = listening();
        let waiting = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let mut admitted = Vec::new();
        close(&socket, async {}, |_, peer| admitted.push(peer)).await;
        assert_eq!(admitted, waiting.map(|stream| stream.local_addr().unwrap()));
    }
}
