//! A second oracle: tungstenite as an endpoint, which puts messages together and keeps to its own idea of the protocol.
//! It must read from what is passed on the same messages as from what came in.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig},
};

use super::reference::{Ending, Reference, Rules};
use crate::relay::{frame::Violation, pump::ping_payload};

/// Its messages are at most so long; what is longer ends its reading.
const MOST: usize = 1 << 20;

/// A stream that has come so far, and an end that takes any answer.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages of a stream, and why there are no more.
fn messages(stream: &[u8], role: Role) -> (Vec<Message>, Error) {
    let config =
        WebSocketConfig::default().read_buffer_size(4 << 10).max_message_size(Some(MOST)).max_frame_size(Some(MOST));
    let mut socket = WebSocket::from_raw_socket(Wire(stream), role, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message @ Message::Close(_)) => {
                messages.push(message);
                return (messages, Error::ConnectionClosed);
            }
            Ok(message) => messages.push(message),
            Err(error) => return (messages, error),
        }
    }
}

/// Compares what an endpoint makes of what came in with what it makes of what went out.
pub(super) fn compare(stream: &[u8], out: &[u8], reference: &Reference, rules: &Rules) {
    let role = |masked| if masked { Role::Server } else { Role::Client };
    let (mut sent, why) = messages(stream, role(rules.masked));
    let (heard, _) = messages(out, role(rules.masked && !rules.strip));
    sent.retain(|message| match message {
        Message::Ping(_) => !rules.orders.answer,
        Message::Pong(payload) => {
            !rules.orders.answer && (1..=rules.orders.pings).all(|number| payload[..] != ping_payload(number))
        }
        _ => true,
    });
    // It knows no extension, so it stops at the first frame that has a bit of one; that may be a Ping which we answer.
    let blind = rules.extensions && matches!(why, Error::Protocol(ProtocolError::NonZeroReservedBits));
    match &reference.stop {
        _ if blind => assert!(sent.starts_with(&heard) || heard.starts_with(&sent), "{sent:?} became {heard:?}"),
        Some(ending) if goes_on(ending, stream) => assert!(sent.starts_with(&heard), "{sent:?} became {heard:?}"),
        _ => assert!(sent == heard, "{sent:?} became {heard:?}"),
    }
    // What it does not accept we must not let pass, but for what is a matter of the endpoints.
    if reference.stop.is_none() {
        let theirs_to_judge = match &why {
            Error::Io(_) | Error::Utf8(_) | Error::Capacity(_) => true,
            Error::Protocol(ProtocolError::NonZeroReservedBits) => rules.extensions,
            _ => false,
        };
        assert!(theirs_to_judge, "passed, but an endpoint says: {why}");
    }
}

/// Whether the endpoint reads on where we stop. Lengths in a longer form it accepts; limits are ours alone; a Close it
/// judges in its own way.
fn goes_on(ending: &Ending, stream: &[u8]) -> bool {
    ending.any_of.iter().any(|violation| match violation {
        Violation::Length
        | Violation::MessageTooBig
        | Violation::TooManyFragments
        | Violation::ClosePayload
        | Violation::CloseReason => true,
        // It looks at the length alone, and we at the form that only longer ones may have, which the second byte tells.
        Violation::Control => stream[ending.decided - 1] & 0x7f > 125,
        _ => false,
    })
}
