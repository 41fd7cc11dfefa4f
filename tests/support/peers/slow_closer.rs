//! Answers a Close late, having said what it had to say first, or never.

use crate::support::{
    board::Leg,
    wire::{CLOSE, TEXT, close},
};

/// It has heard the Close, and goes on with its own affairs.
pub async fn goes_on(leg: &mut Leg) {
    for text in ["one", "more", "thing"] {
        leg.say(TEXT, text.as_bytes()).await;
    }
}

/// At last it answers.
pub async fn answers(leg: &mut Leg, code: u16) {
    leg.say(CLOSE, &close(code, "at last")).await;
}
