//! Ends its own direction of TCP, without a Close or behind one, and reads on.

use tokio::io::AsyncWriteExt as _;

use crate::support::board::Leg;

/// Sends FIN.
pub async fn half_close(leg: &mut Leg) {
    leg.wire.stream.shutdown().await.unwrap();
}
