//! The backend of the demo's rendezvous: a service that nobody can dial, so it dials in when it is triggered.
//!
//! `GET /connect?channelId=ID`, at its own port or forwarded by the proxy, makes it dial `/chat/connect?channelId=ID` at the proxy. The answer says
//! whether that was accepted; the conversation follows: a greeting, every text back with a prefix, `bye` closes it.
//! A triggering connection and its conversation are one task, so the bound on the one bounds the other.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::service::{HANDSHAKE_WITHIN, bounds, report};

/// What was dialled, and its channel as it stood in the query.
struct Dialled {
    channel: String,
    socket: WebSocketStream<TcpStream>,
}

/// Answers one request and holds the conversation that it triggered.
pub(super) async fn converse(stream: TcpStream, proxy: SocketAddr) {
    let dialled = Mutex::new(None);
    let service = service_fn(|request| {
        let dialled = &dialled;
        async move {
            let (answer, new) = answer(&request, proxy).await;
            *dialled.lock().unwrap_or_else(PoisonError::into_inner) = new;
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_WITHIN)
        // One request a connection, so one conversation.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a triggering connection ended");
    }
    let dialled = dialled.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(Dialled { channel, socket }) = dialled {
        tracing::info!(channel, "the demo's backend dialled in");
        report("backend", chat(&channel, socket).await);
    }
}

async fn answer(request: &Request<Incoming>, proxy: SocketAddr) -> (Response<String>, Option<Dialled>) {
    if request.method() != Method::GET || request.uri().path() != "/connect" {
        return (text(StatusCode::NOT_FOUND, "there is GET /connect?channelId=ID"), None);
    }
    let Some(channel) = channel(request.uri()) else {
        return (text(StatusCode::BAD_REQUEST, "which channel? GET /connect?channelId=ID"), None);
    };
    let target = format!("ws://{proxy}/chat/connect?channelId={channel}");
    match dial(proxy, &target).await {
        Ok(socket) => {
            let answer = text(StatusCode::OK, &format!("the backend dialled {target}"));
            (answer, Some(Dialled { channel: channel.to_owned(), socket }))
        }
        Err(why) => {
            tracing::warn!(target, why, "the demo's backend could not dial in");
            (text(StatusCode::BAD_GATEWAY, &format!("the backend could not dial {target}: {why}")), None)
        }
    }
}

/// The first channel id of the query, still percent-encoded: it goes into another query.
fn channel(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("channelId=")).filter(|id| !id.is_empty())
}

async fn dial(proxy: SocketAddr, target: &str) -> Result<WebSocketStream<TcpStream>, String> {
    let connect = async {
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        client_async_with_config(target, stream, Some(bounds())).await
    };
    match timeout(HANDSHAKE_WITHIN, connect).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(answer))) => {
            let cause = answer.headers().get("x-cordboard-error").and_then(|cause| cause.to_str().ok());
            Err(format!("the proxy answered {} {}", answer.status(), cause.unwrap_or_default()).trim_end().to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the proxy did not answer in time".to_owned()),
    }
}

async fn chat(channel: &str, mut socket: WebSocketStream<TcpStream>) -> Result<(), tungstenite::Error> {
    let greeting = format!("backend: you reached me on channel {channel}; say bye to end this");
    socket.send(Message::text(greeting)).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(said) if said.trim() == "bye" => {
                let frame = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
                // The loop goes on until the other side has answered it.
                socket.close(Some(frame)).await?;
            }
            Message::Text(said) => socket.send(Message::text(format!("backend: you said {said}"))).await?,
            message @ Message::Binary(_) => socket.send(message).await?,
            // Pings and Closes are answered while we read.
            _ => {}
        }
    }
    Ok(())
}

fn text(status: StatusCode, line: &str) -> Response<String> {
    let mut response = Response::new(format!("{line}\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // So that a page of another origin, such as a browser's console, may read the answer.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_taken_as_it_stands_in_the_query() {
        for (uri, expected) in [
            ("/connect?channelId=a%20b", Some("a%20b")),
            ("/connect?x=1&channelId=2&channelId=3", Some("2")),
            ("/connect?channelId=", None),
            ("/connect?xchannelId=1", None),
            ("/connect", None),
        ] {
            assert_eq!(channel(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
