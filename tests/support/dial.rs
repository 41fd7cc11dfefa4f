//! A well-behaved WebSocket client: dials the proxy, says and hears, each within [`PATIENCE`].

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        handshake::client::Response,
        http::{HeaderName, HeaderValue},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{PATIENCE, Proxy};

/// A connection that has its 101.
pub type Ws = WebSocketStream<TcpStream>;

/// Bounds whatever should happen soon; fails with `what` if it does not.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for: {what}"))
}

/// Dials a path; anything but a 101 fails the test.
pub async fn dial(proxy: &Proxy, path: &str) -> Ws {
    dial_with(proxy, path, &[]).await.0
}

/// The same at another of its addresses.
pub async fn dial_at(address: SocketAddr, path: &str) -> Ws {
    within(&format!("the 101 of {path}"), async {
        let stream = TcpStream::connect(address).await.unwrap();
        client_async(format!("ws://{address}{path}"), stream).await.unwrap().0
    })
    .await
}

/// The same with headers of one's own, and with the 101.
pub async fn dial_with(proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> (Ws, Response) {
    let mut request = proxy.ws(path).into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    within(&format!("the 101 of {path}"), async {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        match client_async(request, stream).await {
            Ok(answered) => answered,
            Err(error) => panic!("{path}: {error}; the log is:\n{}", proxy.log().join("\n")),
        }
    })
    .await
}

pub async fn say(ws: &mut Ws, message: impl Into<Message>) {
    within("a message to be sent", ws.send(message.into())).await.unwrap();
}

/// The next message, whatever it is.
pub async fn next(ws: &mut Ws) -> Message {
    within("a message", ws.next()).await.expect("a message and not the end").unwrap()
}

/// The next message that is no Ping and no Pong.
pub async fn hear(ws: &mut Ws) -> Message {
    loop {
        match next(ws).await {
            Message::Ping(_) | Message::Pong(_) => {}
            other => return other,
        }
    }
}

pub async fn hear_text(ws: &mut Ws) -> String {
    match hear(ws).await {
        Message::Text(text) => text.to_string(),
        other => panic!("a text was expected and {other:?} came"),
    }
}

/// Code and reason of the Close that must come next; none if it has no code. Reads on to the end of the connection.
pub async fn hear_close(ws: &mut Ws) -> Option<(u16, String)> {
    let Message::Close(close) = hear(ws).await else { panic!("a Close was expected") };
    within("the end of the connection", async { while let Some(Ok(_)) = ws.next().await {} }).await;
    close.map(|close| (close.code.into(), close.reason.to_string()))
}

/// Sends a Close; an answer is not waited for.
pub async fn hang_up(ws: &mut Ws, code: u16, reason: &str) {
    let close = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
    within("a Close to be sent", ws.send(Message::Close(Some(close)))).await.unwrap();
}

/// One closes with 1000, the other hears it; both are at their end.
pub async fn part(mut one: Ws, mut other: Ws) {
    hang_up(&mut one, 1000, "").await;
    assert_eq!(hear_close(&mut other).await, Some((1000, String::new())));
    assert_eq!(hear_close(&mut one).await, Some((1000, String::new())));
}

/// Awaits `future` while `ws` is read, so that its Pings are answered. What it hears meanwhile must be Pings.
pub async fn alive<T>(ws: &mut Ws, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    within("something that happens beside a living leg", async {
        loop {
            tokio::select! {
                done = &mut future => return done,
                heard = ws.next() => match heard {
                    Some(Ok(Message::Ping(_))) => {}
                    other => panic!("nothing but a Ping was expected and {other:?} came"),
                },
            }
        }
    })
    .await
}

/// Talks once in each direction: the two are joined with each other, and nothing else is on its way.
pub async fn converse(one: &mut Ws, other: &mut Ws, tag: &str) {
    say(one, format!("{tag} there")).await;
    assert_eq!(hear_text(other).await, format!("{tag} there"));
    say(other, format!("{tag} back")).await;
    assert_eq!(hear_text(one).await, format!("{tag} back"));
}

/// For a duration in a configuration to be over, nothing can be looked at but the clock; `least` is what must have
/// passed since `since`.
pub fn not_before(since: std::time::Instant, least: Duration) {
    let passed = since.elapsed();
    assert!(passed >= least, "it took {passed:?}, at least {least:?} was expected");
}
