//! The header codec against an independent one.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::{
    fuzzing::Input,
    relay::frame::{Expect, Header, MAX_CONTROL, Opcode, Violation, put_control},
};

/// What a header is by the oracle and the rules of RFC 6455 that the oracle leaves to a later step.
#[derive(Debug)]
pub(super) enum Judged {
    /// More bytes decide.
    More,
    /// Any of these may be reported once `decided` bytes are there.
    Bad { any_of: Vec<Violation>, decided: usize },
    /// Acceptable.
    Good { header: FrameHeader, payload: u64, size: usize },
}

/// Judges the header that `bytes` begin with.
///
/// The oracle needs a whole header, so it is shown zeros where bytes are missing; what it makes of those is not used.
pub(super) fn judge(bytes: &[u8], expect: Expect) -> Judged {
    if bytes.len() < 2 {
        return Judged::More;
    }
    let mut padded = [0; 14];
    let there = bytes.len().min(14);
    padded[..there].copy_from_slice(&bytes[..there]);
    let mut cursor = Cursor::new(&padded);
    // The only thing that it refuses is a reserved opcode.
    let Ok(parsed) = FrameHeader::parse(&mut cursor) else {
        return Judged::Bad { any_of: vec![Violation::Opcode], decided: 2 };
    };
    let (header, payload) = parsed.expect("14 bytes hold any header");
    let size = usize::try_from(cursor.position()).unwrap();

    let mut any_of = Vec::new();
    if (header.rsv1 || header.rsv2 || header.rsv3) && !expect.reserved {
        any_of.push(Violation::Reserved);
    }
    match header.mask {
        Some(_) if !expect.masked => any_of.push(Violation::Masked),
        None if expect.masked => any_of.push(Violation::Unmasked),
        _ => {}
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final || bytes[1] & 0x7f > 125 => any_of.push(Violation::Control),
        OpCode::Data(Data::Continue) if !expect.continuing => any_of.push(Violation::Continuation),
        OpCode::Data(Data::Text | Data::Binary) if expect.continuing => any_of.push(Violation::Interrupted),
        _ => {}
    }
    if !any_of.is_empty() {
        return Judged::Bad { any_of, decided: 2 };
    }
    let lengths_end = size - if header.mask.is_some() { 4 } else { 0 };
    if bytes.len() < lengths_end {
        return Judged::More;
    }
    // The oracle accepts any form and knows which one is the shortest; it also accepts lengths of 64 bits.
    if header.len(payload) != size || i64::try_from(payload).is_err() {
        return Judged::Bad { any_of: vec![Violation::Length], decided: lengths_end };
    }
    if bytes.len() < size { Judged::More } else { Judged::Good { header, payload, size } }
}

/// Reads any bytes as a header, as long and cut short, and writes control frames.
pub fn frame(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    if choice & 0x80 == 0 {
        let expect = Expect { masked: choice & 1 != 0, reserved: choice & 2 != 0, continuing: choice & 4 != 0 };
        let bytes = input.rest();
        for end in 0..=bytes.len().min(20) {
            read(&bytes[..end], expect);
        }
        read(bytes, expect);
    } else {
        let opcode = [Opcode::Close, Opcode::Ping, Opcode::Pong][usize::from(choice % 3)];
        let mask = (choice & 0x40 != 0).then(|| [input.byte(), input.byte(), input.byte(), input.byte()]);
        written(opcode, mask, input.rest());
    }
}

fn read(bytes: &[u8], expect: Expect) {
    let ours = Header::parse(bytes, expect);
    match (judge(bytes, expect), ours) {
        (Judged::More, Ok(None)) => {}
        (Judged::Bad { any_of, .. }, Err(violation)) => {
            assert!(any_of.contains(&violation), "{violation:?} is none of {any_of:?}");
        }
        (Judged::Good { header, payload, size }, Ok(Some(ours))) => {
            assert_eq!((ours.fin, ours.opcode as u8), (header.is_final, header.opcode.into()));
            assert_eq!((ours.mask, ours.payload, ours.size), (header.mask, payload, size));
        }
        (reference, ours) => panic!("{ours:?}, but by the reference {reference:?}"),
    }
}

fn written(opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) {
    let before = b"what stands before it";
    let mut ours = before.to_vec();
    put_control(&mut ours, opcode, payload, mask);
    assert!(ours.starts_with(before));
    let ours = &ours[before.len()..];

    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    let control = match opcode {
        Opcode::Close => Control::Close,
        Opcode::Ping => Control::Ping,
        _ => Control::Pong,
    };
    let header = FrameHeader { is_final: true, opcode: OpCode::Control(control), mask, ..FrameHeader::default() };
    let mut theirs = Vec::new();
    header.format(payload.len() as u64, &mut theirs).unwrap();
    let key = mask.unwrap_or_default();
    theirs.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    assert_eq!(ours, theirs);

    let expect = Expect { masked: mask.is_some(), reserved: false, continuing: payload.len().is_multiple_of(2) };
    let size = theirs.len() - payload.len();
    let read = Header { fin: true, opcode, mask, payload: payload.len() as u64, size };
    assert_eq!(Header::parse(ours, expect), Ok(Some(read)), "it is read back");
}
