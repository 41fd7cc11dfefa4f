//! Opening a WebSocket from the client's side, and answering one from the server's: heads only, blocking or not.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wrong;

/// How long a handshake, or anything else that should happen at once, may take.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The sample of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The most bytes of a head.
const HEAD: usize = 16 << 10;

/// The request for `path`. A channel that is not named in the query is named by a header, so that a policy finds one.
#[must_use]
pub fn request(path: &str) -> Vec<u8> {
    let channel = if path.contains("channelId=") { "" } else { "X-Group-Id: bench\r\n" };
    format!(
        "GET {path} HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{channel}\r\n"
    )
    .into_bytes()
}

/// Where the head in `bytes` ends, if it is whole.
pub fn head_end(bytes: &[u8]) -> io::Result<Option<usize>> {
    match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(end) => Ok(Some(end + 4)),
        None if bytes.len() > HEAD => Err(wrong("a head without an end")),
        None => Ok(None),
    }
}

/// # Errors
/// When this is not the 101 that [`request`] asked for.
pub fn check_answer(head: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(head);
    let accepted = field(&text, "sec-websocket-accept").is_some_and(|value| value == ACCEPT);
    if text.starts_with("HTTP/1.1 101 ") && accepted { Ok(()) } else { Err(wrong(format!("instead of a 101: {text}"))) }
}

/// The 101 to a request.
pub fn answer(head: &[u8]) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(head);
    let key = field(&text, "sec-websocket-key").ok_or_else(|| wrong(format!("a request without a key: {text}")))?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes())
}

fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

/// Opens a session and leaves it non-blocking, with nothing read beyond the 101.
pub fn open(address: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(path))?;
    let mut head = Vec::new();
    let end = loop {
        let mut buffer = [0; 2048];
        match stream.read(&mut buffer)? {
            0 => return Err(wrong(format!("the end instead of a 101: {}", String::from_utf8_lossy(&head)))),
            read => head.extend_from_slice(&buffer[..read]),
        }
        if let Some(end) = head_end(&head)? {
            break end;
        }
    };
    check_answer(&head)?;
    if end < head.len() {
        return Err(wrong("bytes after the 101, though nothing was said"));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}
