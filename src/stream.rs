//! A TCP connection, wherever its readiness is told of: by the runtime, or by the lane of the relay on which its handshake
//! [runs](crate::relay::Relay::run_errand).
//!
//! Whoever dials does so where it is: on a lane, that lane watches the new socket.

use std::{
    io,
    net::{SocketAddr, TcpStream as Bare},
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{relay::LaneStream, tuning};

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Watched by the runtime.
    Runtime(TcpStream),
    /// Watched by a lane.
    Lane(LaneStream),
}

impl Stream {
    /// Connects to an address; the socket has what [`tuning::begin`] sets.
    ///
    /// # Errors
    /// Nobody took the connection, or the system has no more sockets.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        if let Some(connecting) = LaneStream::connect_here(address) {
            return connecting.await.map(Self::Lane);
        }
        let stream = TcpStream::connect(address).await?;
        tuning::begin(&stream)?;
        Ok(Self::Runtime(stream))
    }

    /// The bare socket, which nobody watches.
    ///
    /// # Errors
    /// The system's.
    pub fn into_std(self) -> io::Result<Bare> {
        match self {
            Self::Runtime(stream) => stream.into_std(),
            Self::Lane(stream) => stream.into_std(),
        }
    }

    /// The same, watched by the runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn into_runtime(self) -> io::Result<TcpStream> {
        match self {
            Self::Runtime(stream) => Ok(stream),
            Self::Lane(stream) => TcpStream::from_std(stream.into_std()?),
        }
    }

    /// Whether a lane watches it.
    #[must_use]
    pub const fn is_on_lane(&self) -> bool {
        matches!(self, Self::Lane(_))
    }

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    /// The socket's; `WouldBlock` if nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Runtime(stream) => stream.try_read(buffer),
            Self::Lane(stream) => stream.try_read(buffer),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Runtime(stream)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Runtime(stream) => stream.as_fd(),
            Self::Lane(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Runtime(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Lane(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Runtime(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Lane(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Runtime(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            // Only heads are written there, which are one piece.
            Self::Lane(stream) => {
                let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
                Pin::new(stream).poll_write(cx, first)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_on_lane()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Runtime(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lane(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
