//! Writes lengths in more bytes than they need, or longer than they can be (RFC 6455 §5.2).

use super::Offence;
use crate::support::board::Leg;

pub fn frames(leg: &Leg) -> Vec<Offence> {
    const REASON: &str = "payload length not in its shortest form";
    let mask = if leg.masks() { 0x80 } else { 0 };
    let header = |short: u8, length: &[u8]| [&[0x82, mask | short], length, &[1, 2, 3, 4]].concat();
    let long = |length: u64| header(127, &length.to_be_bytes());
    vec![
        ("16 bits for 0", header(126, &[0, 0]), REASON),
        ("16 bits for 125", header(126, &[0, 125]), REASON),
        ("64 bits for 125", long(125), REASON),
        ("64 bits for 65,535", long(65_535), REASON),
        ("the top bit of 64", long(1 << 63 | 1 << 16), REASON),
    ]
}
