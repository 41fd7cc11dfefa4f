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
