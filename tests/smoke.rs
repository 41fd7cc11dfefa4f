//! The thinnest line through everything.
#![allow(clippy::unwrap_used)]

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use support::{CHAT, Proxy};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_client_and_a_backend_meet_on_a_channel_and_talk() {
    let proxy = Proxy::with(CHAT);
    let (mut client, _) = dial(&proxy, "/chat?channelId=1").await;
    client.send(Message::text("before the backend came")).await.unwrap();
    let (mut backend, _) = dial(&proxy, "/chat/connect?channelId=1").await;
    assert_eq!(backend.next().await.unwrap().unwrap(), Message::text("before the backend came"));
    backend.send(Message::binary(vec![7; 70_000])).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().into_data().len(), 70_000);
    client.close(None).await.unwrap();
    assert!(matches!(backend.next().await.unwrap().unwrap(), Message::Close(None)));
    proxy.logged(&["session ended", "outcome=\"paired\""]);
}

async fn dial(
    proxy: &Proxy,
    path: &str,
) -> (
    tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>,
    tokio_tungstenite::tungstenite::handshake::client::Response,
) {
    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    tokio_tungstenite::client_async(proxy.ws(path), stream).await.unwrap()
}
