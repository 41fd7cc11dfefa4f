//! One end of a connection, byte by byte: a client that sends the frames it likes, or an upstream that answers as it
//! likes. Keeps no rule of RFC 6455 on its own.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{dial::within, status, upgrade};

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A frame as it was read, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV bits and opcode.
    pub first: u8,
    pub masked: bool,
    pub payload: Vec<u8>,
}

/// How a connection ended, as its peer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side has said all it had to say.
    Fin,
    /// The connection was cut.
    Reset,
}

fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut bytes = vec![first];
    if let Ok(short @ 0..=125) = u8::try_from(length) {
        bytes.push(mask | short);
    } else if let Ok(medium) = u16::try_from(length) {
        bytes.push(mask | 0x7e);
        bytes.extend_from_slice(&medium.to_be_bytes());
    } else {
        bytes.push(mask | 0x7f);
        bytes.extend_from_slice(&(length as u64).to_be_bytes());
    }
    bytes
}

/// A frame as clients send it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len(), 0x80);
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as servers send it.
pub fn bare(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len(), 0);
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of a Close.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The connection; `head` is what was read up to the empty line, with its line ends.
pub struct Wire {
    pub stream: TcpStream,
    pub head: String,
    buffer: Vec<u8>,
    end: Option<End>,
}

impl Wire {
    /// Sends a request and `behind` it in the same write; reads nothing.
    pub async fn knock(address: SocketAddr, request: &str, behind: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&[request.as_bytes(), behind].concat()).await.unwrap();
        Self { stream, head: String::new(), buffer: Vec::new(), end: None }
    }

    /// Upgrades `target`, with further header lines and bytes `behind` the request; reads the answer's head.
    pub async fn open_with(address: SocketAddr, target: &str, more: &str, behind: &[u8]) -> Self {
        let mut wire = Self::knock(address, &upgrade(target, more), behind).await;
        wire.read_head().await;
        wire
    }

    /// Upgrades `target`; anything but a 101 fails the test.
    pub async fn open(address: SocketAddr, target: &str) -> Self {
        let wire = Self::open_with(address, target, "", b"").await;
        assert_eq!(wire.status(), 101, "{target}: {}", wire.head);
        wire
    }

    /// One that dialled a listener of ours; its head is read.
    pub async fn taken(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut wire = Self { stream, head: String::new(), buffer: Vec::new(), end: None };
        wire.read_head().await;
        wire
    }

    pub async fn read_head(&mut self) {
        within("the head of a request or an answer", async {
            loop {
                if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    let rest = self.buffer.split_off(at + 4);
                    self.head = String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
                    return;
                }
                assert!(self.fill().await, "the end came before the head: {:?}", String::from_utf8_lossy(&self.buffer));
            }
        })
        .await;
    }

    /// The next `length` bytes.
    pub async fn take_body(&mut self, length: usize) -> Vec<u8> {
        within("a body", async {
            while self.buffer.len() < length {
                assert!(self.fill().await, "the end came before the body: {:?}", self.buffer);
            }
        })
        .await;
        self.buffer.drain(..length).collect()
    }

    /// What was read beyond the head; from here on the socket is the caller's to read.
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// The next line, without its end.
    pub async fn line(&mut self) -> String {
        within("a line", async {
            loop {
                if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                    let line = self.buffer.drain(..at + 2).take(at).collect();
                    return String::from_utf8(line).unwrap();
                }
                assert!(self.fill().await, "the end came before the line: {:?}", self.buffer);
            }
        })
        .await
    }

    /// So many bytes of a body in chunks, however they are cut.
    pub async fn take_chunks(&mut self, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < length {
            let line = self.line().await;
            let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("{line:?} is no chunk"));
            assert!(size > 0, "the end came after {body:?}");
            body.extend(self.take_body(size).await);
            assert_eq!(self.line().await, "");
        }
        body
    }

    /// The end of a body in chunks, with its trailers.
    pub async fn last_chunk(&mut self) -> Vec<String> {
        assert_eq!(self.line().await, "0");
        let mut trailers = Vec::new();
        loop {
            match self.line().await {
                line if line.is_empty() => return trailers,
                line => trailers.push(line),
            }
        }
    }

    /// Everything up to the end, and whether that was an orderly one.
    pub async fn take_rest(&mut self) -> (Vec<u8>, bool) {
        within("the end of the connection", async {
            loop {
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return (std::mem::take(&mut self.buffer), true),
                    Ok(_) => {}
                    Err(_) => return (std::mem::take(&mut self.buffer), false),
                }
            }
        })
        .await
    }

    /// Reads once; false at the end.
    async fn fill(&mut self) -> bool {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => self.end = Some(End::Fin),
            Ok(_) => return true,
            Err(_) => self.end = Some(End::Reset),
        }
        false
    }

    /// Reads once and not more than that, into what frames are taken from; 0 at the end.
    pub async fn sip(&mut self, most: usize) -> usize {
        let mut bytes = vec![0; most];
        let read = within("some bytes", self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..read]);
        read
    }

    /// Everything up to the end, which may come within a frame: what is left of that, and how it ended.
    pub async fn end(&mut self) -> (Vec<u8>, End) {
        let end = within("the end of the connection", async {
            loop {
                if !self.fill().await {
                    return self.end.unwrap_or(End::Fin);
                }
            }
        });
        let end = end.await;
        (std::mem::take(&mut self.buffer), end)
    }

    /// How it ended; none while it has not.
    pub const fn ended(&self) -> Option<End> {
        self.end
    }

    pub fn status(&self) -> u16 {
        status(&self.head)
    }

    /// The request's target.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// All values of a field, in order.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The value of a field that stands at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.fields(name);
        assert!(values.len() <= 1, "{name} stands more than once: {}", self.head);
        values.first().copied()
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        within("bytes to be written", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends a masked frame.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&masked(first, payload)).await;
    }

    /// The next frame; none at the end of the connection.
    pub async fn frame(&mut self) -> Option<Frame> {
        within("a frame", async {
            loop {
                if let Some(frame) = self.take_frame() {
                    return Some(frame);
                }
                if !self.fill().await {
                    assert!(self.buffer.is_empty(), "the end came within a frame: {:?}", self.buffer);
                    return None;
                }
            }
        })
        .await
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let bytes = &self.buffer;
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let number = |range: std::ops::Range<usize>| {
            bytes.get(range).map(|digits| digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
        };
        let (mut at, length) = match second & 0x7f {
            126 => (4, number(2..4)?),
            127 => (10, number(2..10)?),
            short => (2, usize::from(short)),
        };
        let masked = second & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            mask.copy_from_slice(bytes.get(at..at + 4)?);
            at += 4;
        }
        let payload = bytes.get(at..at + length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.buffer.drain(..at + length);
        Some(Frame { first, masked, payload })
    }

    /// The next frame must be this one; whether it is masked is not looked at.
    pub async fn expect(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame().await.expect("a frame and not the end");
        assert_eq!((frame.first, &*frame.payload), (first, payload), "{:?}", String::from_utf8_lossy(&frame.payload));
    }

    /// Code and reason of the Close that must come next; none if it has no code.
    pub async fn expect_close(&mut self) -> Option<(u16, String)> {
        let Frame { first, payload, .. } = self.frame().await.expect("a Close and not the end");
        assert_eq!(first, CLOSE, "a Close was expected and {payload:?} came");
        let (code, reason) = payload.split_first_chunk::<2>()?;
        Some((u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap()))
    }

    /// Nothing more comes but the end; ours follows, for which the other side waits.
    pub async fn expect_end(&mut self) {
        let frame = self.frame().await;
        assert_eq!(frame, None, "the end was expected");
        let _ = self.stream.shutdown().await;
    }

    /// Answers the request that was read with a 101: further header lines, and bytes `behind` it in the same write.
    pub async fn switch(&mut self, more: &str, behind: &[u8]) {
        let accept = derive_accept_key(self.field("sec-websocket-key").unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        );
        self.write(&[answer.as_bytes(), behind].concat()).await;
    }
}
