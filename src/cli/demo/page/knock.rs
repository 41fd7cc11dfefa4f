//! Why a handshake was refused. A browser does not tell its pages, so the handshake is made once more from here.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{StatusCode, uri::PathAndQuery};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{client_async_with_config, tungstenite::Error};

use super::{Page, Reply, problem};
use crate::cli::demo::service::{HANDSHAKE_WITHIN, bounds};

/// Longest target, in bytes.
const MAX_TARGET: usize = 2048;

/// How often the proxy was asked, for what the page counts are other people's handshakes.
#[derive(Default)]
pub(super) struct Knocks {
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// Asks the proxy for a WebSocket at `{"target": "/…"}` and tells what it answered.
pub(super) async fn knock(page: &Page, asked: &Value) -> Reply {
    let target = asked["target"].as_str().filter(|target| target.starts_with('/') && target.len() <= MAX_TARGET);
    let Some(target) = target.and_then(|target| target.parse::<PathAndQuery>().ok()) else {
        let why = format!("`target` must be a path with or without a query, of at most {MAX_TARGET} bytes");
        return problem(StatusCode::BAD_REQUEST, why);
    };
    let handshake = async {
        let stream = TcpStream::connect(page.proxy).await?;
        client_async_with_config(format!("ws://{}{target}", page.proxy), stream, Some(bounds())).await
    };
    match timeout(HANDSHAKE_WITHIN, handshake).await {
        Ok(Ok((mut socket, _))) => {
            page.knocks.accepted.fetch_add(1, Ordering::Relaxed);
            // It was only a question; whether the Close still arrives is of no interest.
            let _ = timeout(HANDSHAKE_WITHIN, socket.close(None)).await;
            (StatusCode::OK, json!({"status": 101}))
        }
        Ok(Err(Error::Http(answer))) => {
            page.knocks.refused.fetch_add(1, Ordering::Relaxed);
            let cause = answer.headers().get("x-cordboard-error").and_then(|cause| cause.to_str().ok());
            let body = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            (StatusCode::OK, json!({"status": answer.status().as_u16(), "cause": cause, "body": body.trim_end()}))
        }
        Ok(Err(error)) => problem(StatusCode::BAD_GATEWAY, error.to_string()),
        Err(_) => problem(StatusCode::GATEWAY_TIMEOUT, "the proxy did not answer in time"),
    }
}
