//! Does not mask where it must, or masks where it must not (RFC 6455 §5.1).

use super::Offence;
use crate::support::{
    board::Leg,
    wire::{BINARY, CLOSE, PING, TEXT, bare, close, masked},
};

/// How a frame is written.
type Writes = fn(u8, &[u8]) -> Vec<u8>;

pub fn frames(leg: &Leg) -> Vec<Offence> {
    let (wrong, reason): (Writes, _) = if leg.masks() {
        (bare, "frames of this side must be masked")
    } else {
        (masked, "frames of this side must not be masked")
    };
    vec![
        ("the mask of a text", wrong(TEXT, b"x"), reason),
        ("the mask of an empty frame", wrong(BINARY, b""), reason),
        ("the mask of a Ping", wrong(PING, b"x"), reason),
        ("the mask of a Close", wrong(CLOSE, &close(1000, "")), reason),
    ]
}
