//! A service that was dialled and has answered, and for which there is nobody after all: it gets a Close, not just the end
//! of a connection.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    close::CloseFrame,
    frame::{Opcode, put_control},
    mask::random_key,
};
use crate::{error::Cause, stream::Stream};

/// Takes leave: the cause's Close, then whatever still comes is thrown away until the service ends the connection, as the
/// one that was dialled does first (RFC 6455 §7.1.1), at most `limit`.
pub async fn leave(stream: Stream, cause: Cause, limit: Duration) {
    // What comes without a pause must not keep others from their turn, for which the runtime cares.
    let Ok(mut stream) = stream.into_runtime() else { return };
    let mut frame = Vec::new();
    put_control(&mut frame, Opcode::Close, &CloseFrame::of(cause).payload(), Some(random_key()));
    let parting = async {
        stream.write_all(&frame).await?;
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // One that is gone already needs no farewell.
    let _ = timeout(limit, parting).await;
}
