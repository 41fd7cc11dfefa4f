//! Uses what RFC 6455 §5.2 reserves, and control frames as they must not be (§5.5).

use super::Offence;
use crate::support::board::Leg;

pub fn frames(leg: &Leg) -> Vec<Offence> {
    const BITS: &str = "reserved bits without an extension";
    const OPCODE: &str = "reserved opcode";
    const CONTROL: &str = "fragmented or long control frame";
    let frame = |first, payload: &[u8]| leg.frame_of(first, payload);
    vec![
        ("RSV1", frame(0xc1, b"x"), BITS),
        ("RSV2", frame(0xa1, b"x"), BITS),
        ("RSV3 of a Ping", frame(0x99, b"x"), BITS),
        ("opcode 3", frame(0x83, b"x"), OPCODE),
        ("opcode 7", frame(0x87, b""), OPCODE),
        ("opcode 11", frame(0x8b, b"x"), OPCODE),
        ("opcode 15", frame(0x8f, b""), OPCODE),
        ("a Ping in fragments", frame(0x09, b"x"), CONTROL),
        ("a Ping of 126 bytes", frame(0x89, &[0; 126]), CONTROL),
        ("a Pong of 126 bytes", frame(0x8a, &[0; 126]), CONTROL),
        ("a continuation of nothing", frame(0x80, b"x"), "continuation of no message"),
        ("a text in a text", [frame(0x01, b""), frame(0x81, b"x")].concat(), "new message inside another"),
    ]
}
