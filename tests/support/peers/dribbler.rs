//! Says all it says in single bytes, each in a write of its own.

use crate::support::board::Leg;

/// So much of the beginning and of the end of what it says.
const EDGE: usize = 300;

/// Writes `bytes` one by one, but for the middle of what is long.
pub async fn dribble(leg: &mut Leg, bytes: &[u8]) {
    let (begin, rest) = bytes.split_at(bytes.len().min(EDGE));
    let (middle, end) = rest.split_at(rest.len().saturating_sub(EDGE));
    for byte in begin {
        one(leg, *byte).await;
    }
    leg.write(middle).await;
    for byte in end {
        one(leg, *byte).await;
    }
}

async fn one(leg: &mut Leg, byte: u8) {
    leg.write(&[byte]).await;
    // Whoever else is in the test may read meanwhile.
    tokio::task::yield_now().await;
}
