//! What a scripted peer hears, read with the oracle's codec as it comes.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use crate::{
    model::{MessageKind, Payload},
    relay::{
        pump::ping_payload,
        tests::rig::{CLOSE, CONT, PING, PONG, Seen, TEXT},
    },
};

/// The frames so far, and the beginning of one more.
#[derive(Default)]
pub(super) struct Heard {
    frames: Vec<Seen>,
    rest: Vec<u8>,
}

impl Heard {
    /// Takes bytes in.
    pub(super) fn hear(&mut self, bytes: &[u8], masked: bool) {
        if bytes.is_empty() {
            return;
        }
        assert!(self.frames.last().is_none_or(|frame| frame.opcode != CLOSE), "bytes behind a Close");
        self.rest.extend_from_slice(bytes);
        let mut read = 0;
        while let Some((seen, whole, size)) = next(&self.rest[read..], masked) {
            if !whole {
                break;
            }
            assert!(self.frames.last().is_none_or(|frame| frame.opcode != CLOSE), "a frame behind a Close");
            self.frames.push(seen);
            read += size;
        }
        self.rest.drain(..read);
    }

    /// How many data frames came whole.
    pub(super) fn whole_data(&self) -> usize {
        self.frames.iter().filter(|frame| frame.opcode < CLOSE).count()
    }

    /// The messages that came whole, put together. No frame of another stands between those of one.
    pub(super) fn messages(&self) -> Vec<Payload> {
        let mut whole = Vec::new();
        let mut open: Option<Payload> = None;
        for frame in self.frames.iter().filter(|frame| frame.opcode < CLOSE) {
            assert_eq!(open.is_some(), frame.opcode == CONT, "a message begins where one is over");
            let kind = if frame.opcode == TEXT { MessageKind::Text } else { MessageKind::Binary };
            let mut message = open.take().unwrap_or(Payload { kind, bytes: Vec::new() });
            message.bytes.extend_from_slice(&frame.payload);
            if frame.fin {
                whole.push(message);
            } else {
                open = Some(message);
            }
        }
        whole
    }

    /// Code of its Close.
    pub(super) fn close(&self) -> Option<u16> {
        let close = self.frames.last().filter(|frame| frame.opcode == CLOSE)?;
        close.payload.first_chunk().map(|code| u16::from_be_bytes(*code))
    }

    /// Compares with what the partner sent and what that sent in part. Closes are none of the comparison, and Pings and
    /// Pongs only if they `relay`.
    pub(super) fn is_beginning_of(&self, sent: &[Seen], half: Option<&Seen>, relay: bool) {
        let compared = |seen: &&Seen| match seen.opcode {
            PING | PONG => relay && !is_marked(&seen.payload),
            opcode => opcode < CLOSE,
        };
        let mut sent = sent.iter().filter(compared).chain(half);
        for (at, heard) in self.frames.iter().filter(compared).enumerate() {
            let sent = sent.next().unwrap_or_else(|| panic!("frame {at} was never sent: {heard:?}"));
            assert_eq!((heard.fin, heard.opcode), (sent.fin, sent.opcode), "frame {at}");
            assert!(heard.payload == sent.payload, "payload of frame {at}");
        }
        // What breaks off is the beginning of the next one, unless it is the beginning of one of ours.
        let Some((part, ..)) = next(&self.rest, self.rest.get(1).is_some_and(|byte| byte & 0x80 != 0)) else { return };
        if part.opcode < CLOSE {
            let sent = sent.find(|seen| seen.opcode < CLOSE).expect("its frame was sent");
            assert_eq!((part.fin, part.opcode), (sent.fin, sent.opcode));
            assert!(sent.payload.starts_with(&part.payload));
        }
    }
}

/// Whether it is one of our Pings, or the answer to one.
fn is_marked(payload: &[u8]) -> bool {
    payload.starts_with(&ping_payload(0)[..4])
}

/// The frame that `bytes` begin with, as far as it is there; whether it is whole; and how long.
fn next(bytes: &[u8], masked: bool) -> Option<(Seen, bool, usize)> {
    let mut cursor = Cursor::new(bytes);
    let (header, length) = FrameHeader::parse(&mut cursor).expect("a valid header")?;
    assert_eq!(header.mask.is_some(), masked, "masked or not, as this peer expects");
    assert!(!(header.rsv1 || header.rsv2 || header.rsv3));
    let begin = usize::try_from(cursor.position()).unwrap();
    let end = begin + usize::try_from(length).unwrap();
    let key = header.mask.unwrap_or_default();
    let there = &bytes[begin..end.min(bytes.len())];
    let payload = there.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
    let seen = Seen { fin: header.is_final, opcode: header.opcode.into(), masked: false, payload };
    Some((seen, end <= bytes.len(), end))
}
