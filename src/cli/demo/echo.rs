//! The service behind the demo's router: says every message back, answers Pings and Closes.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{accept_async_with_config, tungstenite};

use super::service::{HANDSHAKE_WITHIN, bounds, report};

/// One connection, from its handshake to its end.
pub(super) async fn converse(stream: TcpStream) {
    report("echo service", echo(stream).await);
}

async fn echo(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let Ok(accepted) = timeout(HANDSHAKE_WITHIN, accept_async_with_config(stream, Some(bounds()))).await else {
        tracing::debug!("a handshake with the demo's echo service took too long");
        return Ok(());
    };
    let mut socket = accepted?;
    // Pings and Closes are answered while we read.
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
