//! Subprotocols and extensions are negotiated end to end.

use crate::{
    joined,
    support::{Proxy, upstream::Upstream, wire::Wire},
    to,
};

// Regression: the client got its 101, with a subprotocol of the proxy's choice, before the service had chosen.
#[tokio::test]
async fn the_upstreams_choice_of_a_subprotocol_is_the_clients() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let offers = "Sec-WebSocket-Protocol: chat.v1, chat.v2\r\nSec-WebSocket-Protocol: chat.v3\r\n";
    for chosen in ["chat.v1", "chat.v2", "chat.v3"] {
        let choice = format!("Sec-WebSocket-Protocol: {chosen}\r\n");
        let (client, dialled) = joined(&proxy, &upstream, offers, &choice).await;
        assert_eq!(client.field("sec-websocket-protocol"), Some(chosen));
        assert_eq!(dialled.fields("sec-websocket-protocol"), ["chat.v1, chat.v2", "chat.v3"]);
    }
    let (client, _dialled) = joined(&proxy, &upstream, offers, "").await;
    assert_eq!(client.field("sec-websocket-protocol"), None, "an upstream may choose none");
}

/// What a client with these offers gets from an upstream that answers with this choice.
async fn answered(offers: &str, choice: &str) -> (u16, String) {
    let upstream = Upstream::bind().await;
    let proxy: Proxy = to(&[upstream.address], "");
    let (client, mut dialled) = tokio::join!(Wire::open_with(proxy.address, "/ws", offers, b""), async {
        let mut dialled = upstream.accept().await;
        dialled.switch(choice, b"").await;
        dialled
    });
    dialled.expect_end().await;
    (client.status(), client.field("x-cordboard-error").unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_subprotocol_that_was_not_offered_is_502() {
    let expected = (502, "upstream-protocol".to_owned());
    assert_eq!(answered("", "Sec-WebSocket-Protocol: chat\r\n").await, expected);
    assert_eq!(answered("Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Protocol: A\r\n").await, expected);
    assert_eq!(answered("Sec-WebSocket-Protocol: a, b\r\n", "Sec-WebSocket-Protocol: a, b\r\n").await, expected);
}

#[tokio::test]
async fn an_extension_that_was_not_offered_is_502() {
    let expected = (502, "upstream-protocol".to_owned());
    assert_eq!(answered("", "Sec-WebSocket-Extensions: permessage-deflate\r\n").await, expected);
    let offered = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert_eq!(answered(offered, "Sec-WebSocket-Extensions: permessage-deflate, x-mux\r\n").await, expected);
}

#[tokio::test]
async fn an_extension_is_between_the_two_ends_parameters_and_all() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let offered = "permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate";
    let chosen = "permessage-deflate; server_max_window_bits=10";
    let (client, dialled) = joined(
        &proxy,
        &upstream,
        &format!("Sec-WebSocket-Extensions: {offered}\r\n"),
        &format!("Sec-WebSocket-Extensions: {chosen}\r\n"),
    )
    .await;
    assert_eq!(dialled.fields("sec-websocket-extensions"), [offered]);
    assert_eq!(client.fields("sec-websocket-extensions"), [chosen]);
}
