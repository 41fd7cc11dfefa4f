//! The request for an upgrade and a 101 that comes at once, without more of HTTP than that. Every other answer, and
//! whatever is none, is read by hyper, behind [`Replayed`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderValue, Request, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::MAX_HEAD;
use crate::{
    head::parse::{self, AnswerHead},
    stream::Stream,
};

/// Bytes that are read at once: most answers come in one piece.
const PIECE: usize = 2048;

/// What came.
pub(super) enum Said {
    /// A 101, and what was read, with what came behind it.
    Switch(AnswerHead, Bytes),
    /// The beginning of something else, or the end of the stream.
    Other(Bytes),
}

/// Sends the request with this key, to this host if there is one, and reads what is said.
///
/// # Errors
/// The socket's.
pub(super) async fn ask<B>(
    stream: &mut Stream,
    request: &Request<B>,
    host: Option<&HeaderValue>,
    key: &HeaderValue,
) -> io::Result<Said> {
    stream.write_all(&written(request, host, key)).await?;
    let mut buffer = BytesMut::with_capacity(PIECE);
    loop {
        let more = stream.read_buf(&mut buffer).await?;
        let read = buffer.freeze();
        match parse::answer(&read) {
            Ok(Some(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS && head.length <= MAX_HEAD => {
                return Ok(Said::Switch(head, read));
            }
            Ok(None) if more > 0 && read.len() <= MAX_HEAD => {
                buffer = read.try_into_mut().unwrap_or_else(|read| read.as_ref().into());
                buffer.reserve(PIECE);
            }
            _ => return Ok(Said::Other(read)),
        }
    }
}

/// The head as it is sent.
fn written<B>(request: &Request<B>, host: Option<&HeaderValue>, key: &HeaderValue) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut out = Vec::with_capacity(PIECE);
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        let host = host.filter(|_| name == header::HOST);
        parse::put_field(&mut out, name, host.unwrap_or(value));
    }
    if let Some(host) = host.filter(|_| !request.headers().contains_key(header::HOST)) {
        parse::put_field(&mut out, &header::HOST, host);
    }
    parse::put_field(&mut out, &header::SEC_WEBSOCKET_KEY, key);
    out.extend_from_slice(b"\r\n");
    out
}

/// A connection on which the request was sent, and part of the answer read: whoever speaks HTTP over it reads all of the
/// answer, once it has asked, and sends nothing.
pub(super) struct Replayed {
    read: Bytes,
    stream: Stream,
    asked: bool,
    /// Of who reads before it asks.
    reader: Option<Waker>,
}

impl Replayed {
    pub(super) const fn new(read: Bytes, stream: Stream) -> Self {
        Self { read, stream, asked: false, reader: None }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }
}

impl AsyncRead for Replayed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
