//! Sends Closes that are none.

use super::Offence;
use crate::support::{
    board::Leg,
    wire::{CLOSE, close},
};

const PAYLOAD: &str = "invalid close code or payload";
const CONTROL: &str = "fragmented or long control frame";

/// Closes that break the protocol: 1002.
pub fn closes(leg: &Leg) -> Vec<Offence> {
    let mut closes = vec![
        ("a payload of one byte", leg.frame_of(CLOSE, b"\x03"), PAYLOAD),
        ("a Close in fragments", leg.frame_of(CLOSE & 0x7f, &close(1000, "")), CONTROL),
        ("a reason of 124 bytes", leg.frame_of(CLOSE, &close(1000, &"r".repeat(124))), CONTROL),
    ];
    for (name, code) in [
        ("0", 0),
        ("999", 999),
        ("1004", 1004),
        ("1005", 1005),
        ("1006", 1006),
        ("1015", 1015),
        ("1016", 1016),
        ("2999", 2999),
        ("5000", 5000),
        ("65535", u16::MAX),
    ] {
        closes.push((name, leg.frame_of(CLOSE, &close(code, "why")), PAYLOAD));
    }
    closes
}

/// Closes whose reason is not UTF-8: 1007.
pub fn unreadable(leg: &Leg) -> Vec<Offence> {
    const REASON: &str = "close reason is not UTF-8";
    vec![
        ("a byte that is never UTF-8", leg.frame_of(CLOSE, b"\x03\xe8why\xff"), REASON),
        ("a character cut in half", leg.frame_of(CLOSE, b"\x03\xe8gr\xc3"), REASON),
        ("a surrogate", leg.frame_of(CLOSE, b"\x03\xe8\xed\xa0\x80"), REASON),
    ]
}
