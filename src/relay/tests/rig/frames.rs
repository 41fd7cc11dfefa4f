//! Frames as peers write and read them, by tungstenite's codec.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// A frame as a peer sees it, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Seen {
    pub(in crate::relay) fin: bool,
    pub(in crate::relay) opcode: u8,
    pub(in crate::relay) masked: bool,
    pub(in crate::relay) payload: Vec<u8>,
}

impl Seen {
    /// An unmasked final frame.
    pub(in crate::relay) fn plain(opcode: u8, payload: &[u8]) -> Self {
        Self { fin: true, opcode, masked: false, payload: payload.to_vec() }
    }
}

pub(in crate::relay) const CONT: u8 = 0;
pub(in crate::relay) const TEXT: u8 = 1;
pub(in crate::relay) const BINARY: u8 = 2;
pub(in crate::relay) const CLOSE: u8 = 8;
pub(in crate::relay) const PING: u8 = 9;
pub(in crate::relay) const PONG: u8 = 10;

/// Reads whole frames with tungstenite's parser; panics on a rest.
pub(in crate::relay) fn read_frames(bytes: &[u8]) -> Vec<Seen> {
    let mut cursor = Cursor::new(bytes);
    let mut seen = Vec::new();
    while usize::try_from(cursor.position()).unwrap() < bytes.len() {
        let (header, length) = FrameHeader::parse(&mut cursor).expect("a valid header").expect("a whole header");
        let at = usize::try_from(cursor.position()).unwrap();
        let length = usize::try_from(length).unwrap();
        let mut payload = bytes.get(at..at + length).expect("a whole payload").to_vec();
        if let Some(key) = header.mask {
            payload.iter_mut().enumerate().for_each(|(n, byte)| *byte ^= key[n % 4]);
        }
        cursor.set_position((at + length) as u64);
        seen.push(Seen { fin: header.is_final, opcode: header.opcode.into(), masked: header.mask.is_some(), payload });
    }
    seen
}

/// Writes a frame with tungstenite's formatter.
pub(in crate::relay) fn frame(fin: bool, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let opcode = match opcode {
        CONT => OpCode::Data(Data::Continue),
        TEXT => OpCode::Data(Data::Text),
        BINARY => OpCode::Data(Data::Binary),
        CLOSE => OpCode::Control(Control::Close),
        PING => OpCode::Control(Control::Ping),
        PONG => OpCode::Control(Control::Pong),
        other => panic!("no such opcode: {other}"),
    };
    let header = FrameHeader { is_final: fin, opcode, mask, ..FrameHeader::default() };
    let mut out = Vec::new();
    header.format(payload.len() as u64, &mut out).unwrap();
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        out[start..].iter_mut().enumerate().for_each(|(n, byte)| *byte ^= key[n % 4]);
    }
    out
}

const KEY: [u8; 4] = [0x5a, 0x13, 0xe7, 0x9c];

/// A final frame of a peer that dialled us.
pub(in crate::relay) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, payload, Some(KEY))
}

/// A final frame of a peer that we dialled.
pub(in crate::relay) fn plain(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, payload, None)
}

/// A Close's payload.
pub(in crate::relay) fn code(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// A Close frame's code, from its payload.
pub(in crate::relay) fn code_of(frames: &[Seen]) -> Option<u16> {
    let last = frames.last().filter(|frame| frame.opcode == CLOSE)?;
    Some(last.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
}
