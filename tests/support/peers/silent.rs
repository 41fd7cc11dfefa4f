//! Vanishes without a FIN: its socket stays open and its kernel acknowledges, but nobody reads, writes or answers.

use crate::support::{
    board::Leg,
    wire::{End, Frame},
};

use super::pongless;

/// A leg behind which nobody is.
pub struct Silent(Leg);

impl Silent {
    /// From now on.
    pub const fn falls(leg: Leg) -> Self {
        Self(leg)
    }

    /// What came meanwhile, and how the connection ended.
    pub async fn was_told(&mut self) -> (Vec<Frame>, End) {
        pongless::hears_to_the_end(&mut self.0).await
    }
}
