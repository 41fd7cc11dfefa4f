//! A WebSocket peer at the level of bytes: it can stop in the middle of a head, a frame or a fragmented message.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The key of every request, and what must come back for it (RFC 6455 §1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub struct Frame {
    pub fin: bool,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

/// What is read: frames, or the head before them.
pub struct Reader {
    half: OwnedReadHalf,
    buffer: BytesMut,
    /// Whether the peer's frames must be masked.
    masked: bool,
}

/// What is written.
pub struct Writer {
    pub half: OwnedWriteHalf,
    /// Whether our frames are masked, and the next key.
    mask: Option<u32>,
}

/// A handshake that was not answered with 101.
pub struct Refused {
    pub status: u16,
    pub body: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.status, self.body)
    }
}

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// A loopback address of its own for each number, so that the ports of one address are not used up.
pub fn address_of(number: u64) -> Ipv4Addr {
    let part = |shift: u32, bits: u64| u8::try_from((number >> shift) & bits).unwrap();
    Ipv4Addr::new(127, 1 + part(14, 0x3f), part(7, 0x7f), 1 + part(0, 0x7f))
}

pub async fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends the request, or what is left of it, and reads the answer.
pub async fn shake(mut stream: TcpStream, request: &[u8]) -> io::Result<Result<(Reader, Writer), Refused>> {
    stream.write_all(request).await?;
    let (mut reader, writer) = split(stream, false, true);
    let head = reader.head().await?.ok_or_else(|| broken("no answer to the handshake"))?;
    let status = crate::support::status(&head);
    if status == 101 {
        let accepted = head.lines().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
            })
        });
        return if accepted { Ok(Ok((reader, writer))) } else { Err(broken(format!("a wrong 101: {head}"))) };
    }
    let body = String::from_utf8_lossy(&reader.buffer).into_owned();
    Ok(Err(Refused { status, body }))
}

/// Reads a request and answers it with 101; gives its target.
pub async fn answer(stream: TcpStream) -> io::Result<Option<(String, Reader, Writer)>> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = split(stream, true, false);
    let Some(head) = reader.head().await? else { return Ok(None) };
    let key = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, value)| value.trim())
        .ok_or_else(|| broken("a request without a key"))?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    writer.half.write_all(response.as_bytes()).await?;
    let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    Ok(Some((target, reader, writer)))
}

fn split(stream: TcpStream, masked: bool, masks: bool) -> (Reader, Writer) {
    let (read, write) = stream.into_split();
    let reader = Reader { half: read, buffer: BytesMut::new(), masked };
    (reader, Writer { half: write, mask: masks.then_some(0x1234_5678) })
}

impl Reader {
    /// Up to the empty line; none if the peer ended first.
    async fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(64 << 10);
        Ok(self.half.read_buf(&mut self.buffer).await? > 0)
    }

    /// The next frame, unmasked; none at the end of the stream.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.parse()? {
                return Ok(Some(frame));
            }
            if !self.more().await? {
                let left = self.buffer.len();
                return if left == 0 {
                    Ok(None)
                } else {
                    Err(broken(format!("the end after {left} bytes of a frame")))
                };
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<Frame>> {
        let bytes = &self.buffer[..];
        let [first, second, ..] = *bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(broken(format!("reserved bits in {first:#x}")));
        }
        if (second & 0x80 != 0) != self.masked {
            return Err(broken("a frame with a mask, or without, where it must not be so"));
        }
        let (length, mut at) = match second & 0x7f {
            126 if bytes.len() < 4 => return Ok(None),
            126 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 if bytes.len() < 10 => return Ok(None),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()), 10),
            short => (u64::from(short), 2),
        };
        let minimal = match at {
            4 => length > 125,
            10 => length > 65_535,
            _ => true,
        };
        if !minimal || length > 1 << 24 {
            return Err(broken(format!("a length of {length} in a header of {at} bytes")));
        }
        let length = usize::try_from(length).unwrap();
        let key = at;
        at += if self.masked { 4 } else { 0 };
        if bytes.len() < at + length {
            return Ok(None);
        }
        let mut payload = bytes[at..at + length].to_vec();
        if self.masked {
            apply(bytes[key..key + 4].try_into().unwrap(), &mut payload);
        }
        self.buffer.advance(at + length);
        Ok(Some(Frame { fin: first & 0x80 != 0, opcode: first & 0xf, payload }))
    }
}

impl Writer {
    /// The bytes of a frame.
    pub fn frame(&mut self, fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![if fin { 0x80 | opcode } else { opcode }];
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..126 => bytes.push(masked | u8::try_from(short).unwrap()),
            middle @ 126..65_536 => {
                bytes.push(masked | 0x7e);
                bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
            }
            long => {
                bytes.push(masked | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        let header = bytes.len();
        bytes.reserve(payload.len() + 4);
        if let Some(next) = &mut self.mask {
            let key = next.to_be_bytes();
            *next = next.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            bytes.extend(key);
            bytes.extend_from_slice(payload);
            apply(key, &mut bytes[header + 4..]);
        } else {
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    pub async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.half.write_all(bytes).await
    }

    pub async fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let frame = self.frame(true, opcode, payload);
        self.put(&frame).await
    }
}

fn apply(key: [u8; 4], payload: &mut [u8]) {
    let mut chunks = payload.chunks_exact_mut(4);
    for four in &mut chunks {
        four.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
    chunks.into_remainder().iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
}

/// The payload of a Close.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}
