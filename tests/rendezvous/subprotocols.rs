//! Subprotocols between two that never saw each other's offers.

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        Proxy,
        wire::{TEXT, Wire},
    },
};

async fn offer(proxy: &Proxy, path: &str, offers: &str) -> Wire {
    let field = if offers.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {offers}\r\n") };
    Wire::open_with(proxy.address, path, &field, b"").await
}

/// Status and chosen subprotocol of the first leg and of the second, each with its offers.
async fn agreed(rules: &str, first: &str, second: &str) -> [(u16, String); 2] {
    let proxy = chat(rules, "");
    let mut one = offer(&proxy, CLIENT, first).await;
    let mut other = offer(&proxy, BACKEND, second).await;
    if other.status() == 101 {
        one.send(TEXT, b"joined").await;
        other.expect(TEXT, b"joined").await;
    }
    [&one, &other].map(|wire| (wire.status(), wire.field("sec-websocket-protocol").unwrap_or_default().to_owned()))
}

fn both(protocol: &str) -> [(u16, String); 2] {
    [(101, protocol.to_owned()), (101, protocol.to_owned())]
}

fn mismatch(first: &str) -> [(u16, String); 2] {
    [(101, first.to_owned()), (409, String::new())]
}

#[tokio::test]
async fn the_first_legs_first_offer_counts_where_the_route_has_no_list() {
    assert_eq!(agreed("", "chat.v2, chat.v1", "chat.v1, chat.v2").await, both("chat.v2"));
    assert_eq!(agreed("", "", "").await, both(""));
}

#[tokio::test]
async fn the_first_offer_that_the_routes_list_holds_counts() {
    let list = "subprotocols: [chat.v1, chat.v0]";
    assert_eq!(agreed(list, "chat.v2, chat.v0, chat.v1", "chat.v0").await, both("chat.v0"));
    assert_eq!(agreed(list, "chat.v3", "chat.v4").await, both(""), "none in common with the list is no subprotocol");
}

#[tokio::test]
async fn a_second_leg_that_offers_none_is_joined_unless_strict() {
    let first = (101, "chat.v1".to_owned());
    assert_eq!(agreed("", "chat.v1", "").await, [first, (101, String::new())]);
    assert_eq!(agreed("subprotocol: strict", "chat.v1", "").await, mismatch("chat.v1"));
    assert_eq!(agreed("subprotocol: strict", "chat.v1", "x, chat.v1").await, both("chat.v1"));
}

#[tokio::test]
async fn a_second_leg_that_offers_only_others_is_refused_and_the_first_waits_on() {
    assert_eq!(agreed("", "chat.v1", "chat.v2").await, mismatch("chat.v1"));
    let proxy = chat("", "");
    let mut client = offer(&proxy, CLIENT, "chat.v1").await;
    let refused = offer(&proxy, BACKEND, "chat.v2").await;
    assert_eq!(refused.field("x-cordboard-error"), Some("subprotocol-mismatch"), "{}", refused.head);
    let mut backend = offer(&proxy, BACKEND, "chat.v1").await;
    client.send(TEXT, b"after all").await;
    backend.expect(TEXT, b"after all").await;
}

#[tokio::test]
async fn when_paired_both_offers_are_known() {
    let proxy = chat("accept: when_paired, subprotocols: [chat.v1, chat.v2]", "");
    let (client, backend) =
        tokio::join!(offer(&proxy, CLIENT, "chat.v2, chat.v1"), offer(&proxy, BACKEND, "chat.v1, chat.v2"));
    assert_eq!((client.status(), backend.status()), (101, 101));
    let chosen = client.field("sec-websocket-protocol").unwrap();
    assert_eq!(backend.field("sec-websocket-protocol"), Some(chosen), "{}", client.head);
}

#[tokio::test]
async fn extensions_are_not_negotiated_in_a_rendezvous() {
    let proxy = chat("", "");
    for path in [CLIENT, BACKEND] {
        let offered = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        let leg = Wire::open_with(proxy.address, path, offered, b"").await;
        assert_eq!((leg.status(), leg.field("sec-websocket-extensions")), (101, None), "{}", leg.head);
    }
}
