//! An upgrade on a route for plain requests: a tunnel if the service switches, and its answer if it does not.

use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;

use super::{IN_FLIGHT, answered, at_rest_without_connections, exchange, refused, request, to};
use crate::support::{
    dial::{dial, hang_up, hear_close, hear_text, not_before, say},
    echo::Echo,
    upgrade,
    upstream::{Hasty, Refusing, Upstream},
    wire::Wire,
};

const ASKS: &str = "Connection: Upgrade\r\nUpgrade: chess/2\r\nX-Board: 64\r\n";
const SWITCHES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chess/2\r\nX-Color: white\r\n\r\n";

/// A client and a service that speak chess.
async fn tunnel(proxy: &crate::support::Proxy, upstream: &Upstream) -> (Wire, Wire) {
    let (mut client, mut service) = exchange(proxy, upstream, &request("GET /game", ASKS)).await;
    service.write(SWITCHES.as_bytes()).await;
    answered(&mut client, 101).await;
    (client, service)
}

#[tokio::test]
async fn a_websocket_passes_through_to_a_service_that_speaks_it() {
    let echo = Echo::start("echo");
    let proxy = to(&[echo.address], "", "");
    let mut client = dial(&proxy, "/any/path").await;
    assert_eq!(hear_text(&mut client).await, "echo");
    say(&mut client, "through").await;
    assert_eq!(hear_text(&mut client).await, "through");
    hang_up(&mut client, 4001, "enough").await;
    assert_eq!(hear_close(&mut client).await, Some((4001, "enough".to_owned())));
    drop(client);
    proxy.logged(&["request forwarded", "status=101", "outcome=forwarded", "path=/any/path"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn whatever_protocol_it_is_heads_pass_and_so_does_every_byte() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    // The client's first move comes with its request, the service's with its answer.
    let sent = request("GET /game", ASKS);
    let (mut client, mut service) = tokio::join!(Wire::knock(proxy.address, &sent, b"e2e4\0"), upstream.accept());
    assert_eq!((service.field("upgrade"), service.field("connection")), (Some("chess/2"), Some("Upgrade")));
    assert_eq!(service.field("x-board"), Some("64"));
    service.write(&[SWITCHES.as_bytes(), b"\xff\0e7e5"].concat()).await;
    answered(&mut client, 101).await;
    assert_eq!((client.field("upgrade"), client.field("x-color")), (Some("chess/2"), Some("white")));
    assert_eq!(client.take_body(6).await, b"\xff\0e7e5");
    assert_eq!(service.take_body(5).await, b"e2e4\0");
    let sessions = proxy.metric("cordboard_sessions{mode=\"http\"}");
    assert!((sessions - 1.0).abs() < 0.5 && (proxy.metric(IN_FLIGHT) - 1.0).abs() < 0.5, "{sessions}");
    drop((client, service));
    proxy.logged(&["request forwarded", "status=101", "bytes_in=5", "bytes_out=6"]);
    proxy.metric_becomes("cordboard_sessions{mode=\"http\"}", 0.0);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = tunnel(&proxy, &upstream).await;
    client.write(b"last words").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(service.take_rest().await, (b"last words".to_vec(), true));
    service.write(b"an answer all the same").await;
    assert_eq!(client.take_body(22).await, b"an answer all the same");
    drop(service);
    assert_eq!(client.take_rest().await, (vec![], true));
    proxy.logged(&["status=101", "cause=closed", "outcome=forwarded", "bytes_in=10", "bytes_out=22"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_break_is_passed_on_as_one() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (client, mut service) = tunnel(&proxy, &upstream).await;
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert!(!service.take_rest().await.1, "a reset");
    proxy.logged(&["status=101", "cause=client-broken", "outcome=error"]);
    let (mut client, service) = tunnel(&proxy, &upstream).await;
    SockRef::from(&service.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(service);
    assert!(!client.take_rest().await.1, "a reset");
    proxy.logged(&["status=101", "cause=backend-broken", "outcome=error"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_passes_ends_after_idle() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    let (mut client, mut service) = tunnel(&proxy, &upstream).await;
    let begun = Instant::now();
    assert_eq!(client.take_rest().await.0, b"");
    assert_eq!(service.take_rest().await.0, b"");
    not_before(begun, Duration::from_millis(350));
    proxy.logged(&["status=101", "cause=idle", "outcome=forwarded"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn any_other_answer_is_passed_on_and_ends_the_connection() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let answers = [
        ("426 Upgrade Required\r\nUpgrade: chess/3\r\nConnection: Upgrade", 426, Some("chess/3")),
        ("200 OK\r\nUpgrade: chess/3\r\nConnection: Upgrade", 200, None),
        ("401 Unauthorized\r\nSec-WebSocket-Version: 13", 401, None),
    ];
    for (head, status, upgrade) in answers {
        // What stands behind the request could be meant for the other protocol, so nothing is made of it.
        let behind = request("GET /admin", "");
        let mut client = Wire::knock(proxy.address, &request("GET /game", ASKS), behind.as_bytes()).await;
        let mut service = upstream.accept().await;
        service.write(format!("HTTP/1.1 {head}\r\nContent-Length: 4\r\n\r\nbody").as_bytes()).await;
        answered(&mut client, status).await;
        assert_eq!((client.field("upgrade"), client.field("x-cordboard-error")), (upgrade, None), "{}", client.head);
        assert!(client.fields("connection").join(",").contains("close"), "{}", client.head);
        assert_eq!(client.take_body(4).await, b"body");
        client.expect_end().await;
        assert!(upstream.is_left_alone().await);
        // It was opened for this request, and carries no other.
        assert_eq!(service.take_rest().await, (vec![], true));
    }
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_malformed_websocket_upgrade_is_the_services_to_judge() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let sent = upgrade("/ws", "").replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8");
    let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
    assert_eq!((service.field("sec-websocket-version"), service.field("upgrade")), (Some("8"), Some("websocket")));
    assert_eq!(service.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    service.write(b"HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n").await;
    answered(&mut client, 400).await;
    assert_eq!(client.field("sec-websocket-version"), Some("13"));
}

// A tunnel in which HTTP goes on would go around the routes.
#[tokio::test]
async fn an_upgrade_to_http_2_is_not_passed_on() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let asks =
        |what: &str| format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {what}\r\nHTTP2-Settings: AAMAAABk\r\n");
    let (_client, service) = exchange(&proxy, &upstream, &request("GET /", &asks("h2c"))).await;
    assert_eq!((service.field("upgrade"), service.field("http2-settings")), (None, None));
    let (_client, service) = exchange(&proxy, &upstream, &request("GET /", &asks("H2C, chess/2"))).await;
    assert_eq!((service.field("upgrade"), service.field("http2-settings")), (Some("chess/2"), None));
}

#[tokio::test]
async fn nobody_there_is_502_before_anything_is_switched() {
    let nobody = Refusing::bind();
    let proxy = to(&[nobody.address], "", "");
    let mut client = Wire::knock(proxy.address, &request("GET /game", ASKS), b"").await;
    refused(&mut client, 502, "no-endpoint").await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_switch_takes_the_services_socket_with_it() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for _ in 0..10 {
        let (client, mut service) = exchange(&proxy, &upstream, &request("GET /game", ASKS)).await;
        drop(client);
        assert_eq!(service.take_rest().await.0, b"");
    }
    at_rest_without_connections(&proxy);
}

// Regression, of others: an answer that is there when the request has just been written is taken for one to nothing.
#[tokio::test]
async fn a_switch_in_the_very_moment_in_which_the_head_is_seen_is_never_lost() {
    let upstream = Hasty::start(|_| [SWITCHES.as_bytes(), b"moved"].concat());
    let proxy = to(&[upstream.address], "", "");
    for n in 0..3_000 {
        let mut client = Wire::knock(proxy.address, &request("GET /game", ASKS), b"").await;
        answered(&mut client, 101).await;
        assert_eq!(client.take_body(5).await, b"moved", "{n}");
    }
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_tunnel_ends_over_the_spread_while_we_stop() {
    let upstream = Upstream::bind().await;
    let mut proxy = crate::support::Proxy::with(&format!(
        "drain: {{grace: 20s, spread: 100ms}}\nroutes: [{{name: rest, match: {{path: /}}, mode: http, service: web}}]\n\
         services: {{web: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    ));
    let (mut client, mut service) = tunnel(&proxy, &upstream).await;
    proxy.signal("TERM");
    assert_eq!(client.take_rest().await.0, b"");
    assert_eq!(service.take_rest().await.0, b"");
    let (status, log) = tokio::task::spawn_blocking(move || (proxy.ended(), proxy.log())).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(log.iter().any(|line| line.contains("status=101") && line.contains("outcome=drained")), "{log:?}");
}
