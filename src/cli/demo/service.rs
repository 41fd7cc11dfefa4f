//! What the demo's two services share: an accept loop that owns its connections, and small buffers.

use std::{future::Future, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError, protocol::WebSocketConfig};

/// Connections of one service at once; more wait in the kernel until one ends.
const MOST: usize = 1024;
/// How long accept rests after an error.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Largest message, the proxy's own default for `limits.message`.
const MESSAGE: usize = 1 << 20;
/// Longest handshake, of either side.
pub(super) const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// Accepts for as long as it is polled. Its connections end with it.
pub(super) async fn serve<C>(name: &'static str, socket: TcpListener, converse: impl Fn(TcpStream) -> C)
where
    C: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept(), if connections.len() < MOST => match accepted {
                Ok((stream, _)) => {
                    // One that is gone already is noticed when it is read.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(converse(stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the demo's {name} could not accept a connection");
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a connection of the demo's {name} failed");
            },
        }
    }
}

/// Small buffers, because there may be many connections, and a bound for everything.
pub(super) fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 << 10)
        .write_buffer_size(8 << 10)
        .max_write_buffer_size(2 * MESSAGE)
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
}

/// Says in the log how a conversation broke; one that was closed did not.
pub(super) fn report(name: &str, ended: Result<(), Error>) {
    match ended {
        Ok(()) | Err(Error::ConnectionClosed) => {}
        // What a client that is killed leaves behind.
        Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            tracing::debug!("a connection of the demo's {name} ended without a Close");
        }
        Err(error) => tracing::warn!(%error, "a connection of the demo's {name} broke"),
    }
}
