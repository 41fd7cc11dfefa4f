//! Never reads, however much is said to it; its kernel acknowledges what fits into its buffers.

use std::time::Duration;

use tokio::time::interval;

use crate::support::{
    board::Leg,
    wire::{End, PONG},
};

/// A leg that is not read.
pub struct Deaf(Leg);

impl Deaf {
    /// From now on.
    pub const fn turns(leg: Leg) -> Self {
        Self(leg)
    }

    /// It lives all the same: a Pong that nobody asked for (RFC 6455 §5.5.3).
    pub async fn shows_life(&mut self) {
        self.0.say(PONG, b"").await;
    }

    /// The same now and then, for ever.
    pub async fn shows_life_for_ever(&mut self) {
        let mut pace = interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            self.shows_life().await;
        }
    }

    /// How its connection ended; only now it reads what had come before.
    pub async fn ends(&mut self) -> End {
        self.0.end().await.1
    }

    /// It comes to its senses.
    pub fn listens(self) -> Leg {
        self.0
    }
}
