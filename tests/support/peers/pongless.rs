//! Reads all that it is sent, and answers no Ping.

use crate::support::{
    board::Leg,
    wire::{End, Frame},
};

/// Everything that comes up to the end, and how that was.
pub async fn hears_to_the_end(leg: &mut Leg) -> (Vec<Frame>, End) {
    let mut frames = Vec::new();
    while let Some(frame) = leg.frame().await {
        frames.push(frame);
    }
    (frames, leg.ended().unwrap())
}
