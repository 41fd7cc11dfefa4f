//! Never reads, however much is said to it; its kernel acknowledges what fits into its buffers.

use socket2::SockRef;

use crate::support::{
    board::Leg,
    wire::{End, PONG},
};

/// A leg that is not read.
pub struct Deaf(Leg);

impl Deaf {
    /// From now on.
    pub fn turns(leg: Leg) -> Self {
        // So that little is needed to fill it.
        SockRef::from(&leg.wire.stream).set_recv_buffer_size(16 << 10).unwrap();
        Self(leg)
    }

    /// It lives all the same: a Pong that nobody asked for (RFC 6455 §5.5.3).
    pub async fn shows_life(&mut self) {
        self.0.say(PONG, b"").await;
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
