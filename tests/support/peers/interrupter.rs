//! Closes in the middle of its own message: between fragments, where it may (RFC 6455 §5.4), or within a frame, where
//! nothing can stand.

use crate::support::{
    board::Leg,
    wire::{BINARY, CLOSE, close},
};

/// The first fragment of a text, an empty one, and a Close.
pub async fn close_between_fragments(leg: &mut Leg, code: u16, reason: &str) {
    let bytes =
        [leg.frame_of(0x01, b"I was about to "), leg.frame_of(0x00, b""), leg.frame_of(CLOSE, &close(code, reason))];
    leg.write(&bytes.concat()).await;
}

/// Half a frame and no more. Returns how much payload that was.
pub async fn stop_within_a_frame(leg: &mut Leg) -> usize {
    let bytes = leg.frame_of(BINARY, &[5; 1000]);
    leg.write(&bytes[..bytes.len() - 400]).await;
    600
}
