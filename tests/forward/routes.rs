//! Which route a plain request takes, and what it leaves behind: one log line, one count.

use super::{answered, exchange, refused, request, to};
use crate::support::{Proxy, upstream::Upstream, wire::Wire};

fn many(upstream: &Upstream) -> Proxy {
    Proxy::with(&format!(
        "plugins:
  rendezvous: {{component: 'builtin:rendezvous'}}
  'off': {{component: 'builtin:router', config: {{enabled: false}}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: web}}
  - {{name: none, match: {{path: /fall}}, mode: http, plugins: ['off']}}
  - {{name: rest, match: {{path: /fall/through}}, mode: http, service: web}}
services: {{web: {{endpoints: ['http://{}']}}}}
",
        upstream.address
    ))
}

#[tokio::test]
async fn a_plain_request_on_a_route_for_websockets_is_426() {
    let upstream = Upstream::bind().await;
    let proxy = many(&upstream);
    let mut client = Wire::knock(proxy.address, "", b"").await;
    for path in ["/chat?channelId=1", "/ws"] {
        client.write((request(&format!("POST {path}"), "Content-Length: 4\r\n") + "body").as_bytes()).await;
        refused(&mut client, 426, "not-an-upgrade").await;
        assert_eq!((client.field("upgrade"), client.field("sec-websocket-version")), (Some("websocket"), Some("13")));
        let length = client.field("content-length").unwrap().parse().unwrap();
        client.take_body(length).await;
    }
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn without_an_opinion_and_a_service_the_next_route_is_tried_and_without_one_it_is_404() {
    let upstream = Upstream::bind().await;
    let proxy = many(&upstream);
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /fall/through", "")).await;
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    proxy.logged(&["request forwarded", "route=rest"]);
    for (path, cause) in [("/fall", "no-service"), ("/nowhere", "no-route")] {
        client.write(request(&format!("GET {path}"), "").as_bytes()).await;
        refused(&mut client, 404, cause).await;
        let length = client.field("content-length").unwrap().parse().unwrap();
        client.take_body(length).await;
    }
}

#[tokio::test]
async fn each_request_leaves_one_line_and_is_counted_once() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {body: 100B}", "");
    let sent = request("POST /where?secret=1", "Content-Length: 5\r\n") + "asked";
    let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
    let in_flight = proxy.metric("cordboard_requests_in_flight");
    assert!((in_flight - 1.0).abs() < 0.5, "{in_flight}");
    service.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnot here").await;
    answered(&mut client, 404).await;
    assert_eq!(client.take_body(8).await, b"not here");
    let line = proxy.logged(&["request forwarded", "outcome=forwarded", "cause=closed", "route=rest"]);
    let upstream = format!("upstream=\"web {}\"", upstream.address);
    for part in
        ["INFO", "method=POST", "path=/where ", &upstream, "status=404", "bytes_in=5", "bytes_out=8", "duration_ms="]
    {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
    client.write(request("POST /", "Content-Length: 101\r\n").as_bytes()).await;
    refused(&mut client, 413, "body-too-big").await;
    proxy.metric_becomes("cordboard_requests_total{route=\"rest\",class=\"4xx\"}", 2.0);
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"http\",outcome=\"forwarded\"}", 1.0);
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"http\",outcome=\"refused\"}", 1.0);
    super::at_rest(&proxy);
    let lines = proxy.log().iter().filter(|line| line.contains("cordboard::session")).count();
    assert_eq!(lines, 2);
}

#[tokio::test]
async fn no_line_is_written_where_none_is_wanted() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "log: {{sessions: false}}\nroutes: [{{name: rest, match: {{path: /}}, mode: http, service: web}}]\n\
         services: {{web: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    ));
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    proxy.metric_becomes("cordboard_requests_total{route=\"rest\",class=\"2xx\"}", 1.0);
    assert!(!proxy.log().iter().any(|line| line.contains("request forwarded")));
}

#[tokio::test]
async fn a_route_has_as_many_requests_at_once_as_it_may() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", limits: {connections: 1}", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let mut second = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    refused(&mut second, 503, "too-many-connections").await;
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    proxy.metric_becomes(super::KEPT, 1.0);
    let mut third = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    service.read_head().await;
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut third, 204).await;
}

#[tokio::test]
async fn upgrades_are_counted_whatever_they_are_to_and_plain_requests_are_not() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", limits: {upgrades_per_second: 1}", "");
    let asks = request("GET /", "Connection: Upgrade\r\nUpgrade: chess/2\r\n");
    let (_first, _service) = exchange(&proxy, &upstream, &asks).await;
    let mut second = Wire::knock(proxy.address, &asks, b"").await;
    refused(&mut second, 429, "too-many-upgrades").await;
    for _ in 0..3 {
        exchange(&proxy, &upstream, &request("GET /", "")).await;
    }
}
