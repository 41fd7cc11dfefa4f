//! What a connection begins with, read before it is known who will serve it.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead as _, ReadBuf};

use super::Edge;
use crate::head::raw::Place;

/// Bytes that are read at once of what a connection begins with, and most that are kept behind a request for an upgrade
/// while it is decided upon.
const FIRST: usize = 4096;

/// What a connection begins with.
pub enum First {
    /// A request for an upgrade, and what was read behind it.
    Upgrade(Bytes),
    /// HTTP/2 by prior knowledge (RFC 9113 §3.3), of which this was read.
    Http2(Bytes),
    /// Anything else, which is as if it had not been read.
    Other,
}

impl Edge {
    /// Reads what the connection begins with.
    ///
    /// # Errors
    /// The socket's.
    pub async fn first(&mut self) -> io::Result<First> {
        let mut read = BytesMut::new();
        loop {
            let more = poll_fn(|cx| {
                // One that says nothing has no room kept for it.
                let mut piece = [const { MaybeUninit::uninit() }; FIRST];
                let mut buf = ReadBuf::uninit(&mut piece);
                ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
                read.extend_from_slice(buf.filled());
                Poll::Ready(Ok::<_, io::Error>(!buf.filled().is_empty()))
            });
            if !more.await? {
                return Ok(First::Other);
            }
            if self.judged == 0 {
                break;
            }
        }
        match (self.scanner.place(), self.scanner.heads()) {
            (Place::Through, 1) => Ok(First::Upgrade(read.freeze())),
            (Place::Through, 0) => Ok(First::Http2(read.freeze())),
            _ => {
                self.give_back(&read);
                Ok(First::Other)
            }
        }
    }

    /// Waits until the client has left. What comes behind its request for an upgrade meanwhile is kept, up to a bound, at
    /// which nothing can be told any more.
    pub async fn gone(&mut self) {
        while self.held.len() < FIRST {
            match poll_fn(|cx| self.poll_piece(cx)).await {
                Ok(true) => self.judged = self.held.len(),
                Ok(false) | Err(_) => return,
            }
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{pin::pin, sync::Arc, time::Duration};

    use futures_util::poll;
    use rustix::net::sockopt::tcp_quickack;
    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;
    use crate::{
        head::raw::Bounds,
        http::edge::Times,
        metrics::Metrics,
        socket::{Pulse, Socket},
        tuning,
    };

    const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

    /// Whether what comes next is acknowledged at once, once this has come; and whether the beginning was read to its end.
    async fn begun_with(bytes: &[u8]) -> (bool, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tuning::accept(&listener).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(bytes).await.unwrap();
        stream.readable().await.unwrap();
        let minute = Duration::from_mins(1);
        let times = Times { establish: minute, idle: minute, linger: minute };
        let bounds = Bounds { head: 1 << 16, fields: 100, chunk_extensions: 100, http2: true };
        let socket = Socket::accepted(stream.into(), Pulse::new());
        let mut edge = Edge::new(socket, bounds, times, Arc::new(Metrics::new()), Instant::now());
        let read = poll!(pin!(edge.first())).is_ready();
        (tcp_quickack(edge.free(Bytes::new()).0).unwrap(), read)
    }

    #[tokio::test]
    async fn only_a_whole_request_for_an_upgrade_is_acknowledged_by_its_answer() {
        assert_eq!(begun_with(UPGRADE).await, (false, true));
        for end in 1..UPGRADE.len() {
            assert_eq!(begun_with(&UPGRADE[..end]).await, (true, false), "{end}");
        }
        assert_eq!(begun_with(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await, (true, true));
        assert_eq!(begun_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await, (true, true));
    }
}
