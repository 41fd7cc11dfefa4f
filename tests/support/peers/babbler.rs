//! Goes on talking behind its own Close.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, time::interval};

use crate::support::{
    board::Leg,
    dial::within,
    wire::{CLOSE, TEXT, close},
};

/// What it says behind its Close: a message, and what is no frame at all.
fn babble(leg: &Leg) -> Vec<u8> {
    [leg.frame_of(TEXT, b"and another thing"), vec![0xff; 300]].concat()
}

/// Its Close and the rest in one write.
pub async fn close_and_babble(leg: &mut Leg, code: u16) {
    let bytes = [leg.frame_of(CLOSE, &close(code, "")), babble(leg)].concat();
    leg.write(&bytes).await;
}

/// More of it.
pub async fn babble_on(leg: &mut Leg) {
    let bytes = babble(leg);
    leg.write(&bytes).await;
}

/// More and more of it, until the connection takes none.
pub async fn babble_to_the_end(leg: &mut Leg) {
    let bytes = babble(leg);
    // At a pace, so that there is time for others.
    let mut pace = interval(Duration::from_millis(1));
    let babbling = async {
        while leg.wire.stream.write_all(&bytes).await.is_ok() {
            pace.tick().await;
        }
    };
    within("an end of the patience with a babbler", babbling).await;
}
