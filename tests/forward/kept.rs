//! Connections are kept for the next request: the client's, and those to services within their bounds.

use std::time::{Duration, Instant};

use super::{KEPT, UPSTREAM_CONNECTIONS, answered, at_rest_without_connections, exchange, refused, request, to};
use crate::support::{dial::not_before, upstream::Upstream, wire::Wire};

const NOTHING: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn many_requests_of_a_client_go_over_one_connection_to_the_service() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /0", "")).await;
    for n in 1..50 {
        service.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{n:02}").as_bytes()).await;
        answered(&mut client, 200).await;
        assert_eq!(client.take_body(2).await, format!("{n:02}").as_bytes());
        proxy.metric_becomes(KEPT, 1.0);
        let sent = request(&format!("POST /{n}"), "Content-Length: 4\r\n") + "body";
        client.write(sent.as_bytes()).await;
        service.read_head().await;
        assert_eq!(service.target(), format!("/{n}"));
        assert_eq!(service.take_body(4).await, b"body");
    }
    assert!(upstream.is_left_alone().await, "one connection is enough");
    proxy.metric_becomes(UPSTREAM_CONNECTIONS, 1.0);
}

#[tokio::test]
async fn another_client_takes_the_connection_over() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /first", "Connection: close\r\n")).await;
    service.write(NOTHING).await;
    answered(&mut client, 204).await;
    assert_eq!(client.field("connection"), Some("close"));
    assert_eq!(client.take_rest().await, (vec![], true));
    proxy.metric_becomes(KEPT, 1.0);
    let mut other = Wire::knock(proxy.address, &request("GET /second", ""), b"").await;
    service.read_head().await;
    assert_eq!(service.target(), "/second");
    service.write(NOTHING).await;
    answered(&mut other, 204).await;
}

#[tokio::test]
async fn no_more_are_kept_than_the_service_says() {
    let upstream = Upstream::bind().await;
    for (idle, kept) in [("0", 0), ("1", 1), ("2", 2)] {
        let proxy = to(&[upstream.address], "", &format!(", pool: {{idle: {idle}}}"));
        let (mut one, mut first) = exchange(&proxy, &upstream, &request("GET /", "")).await;
        let (mut other, mut second) = exchange(&proxy, &upstream, &request("GET /", "")).await;
        proxy.metric_becomes(UPSTREAM_CONNECTIONS, 2.0);
        for (client, service) in [(&mut one, &mut first), (&mut other, &mut second)] {
            service.write(NOTHING).await;
            answered(client, 204).await;
        }
        proxy.metric_becomes(UPSTREAM_CONNECTIONS, f64::from(kept));
        // Those that are not kept are closed, the older one first.
        for service in [&mut first, &mut second].into_iter().take(2 - usize::try_from(kept).unwrap()) {
            assert_eq!(service.take_rest().await, (vec![], true));
        }
    }
}

#[tokio::test]
async fn none_is_kept_longer_than_the_service_says() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", ", pool: {idle_timeout: 300ms}");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let begun = Instant::now();
    service.write(NOTHING).await;
    answered(&mut client, 204).await;
    assert_eq!(service.take_rest().await, (vec![], true));
    not_before(begun, Duration::from_millis(300));
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_service_that_closes_its_connections_costs_no_request() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Wire::knock(proxy.address, "", b"").await;
    for n in 0..20 {
        client.write((request(&format!("POST /{n}"), "Content-Length: 4\r\n") + "body").as_bytes()).await;
        let mut service = upstream.accept().await;
        assert_eq!(service.take_body(4).await, b"body");
        let close = if n % 2 == 0 { "Connection: close\r\n" } else { "" };
        service.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{close}\r\n").as_bytes()).await;
        answered(&mut client, 200).await;
        assert_eq!(client.field("connection"), None, "the client's own goes on");
        drop(service);
        // Seen before the next request: what is closed meanwhile can only be told by the answer that fails to come.
        proxy.metric_becomes(UPSTREAM_CONNECTIONS, 0.0);
    }
}

#[tokio::test]
async fn what_has_no_effect_is_asked_again_where_a_kept_connection_had_been_closed() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for method in ["GET", "HEAD", "OPTIONS"] {
        let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
        service.write(NOTHING).await;
        answered(&mut client, 204).await;
        proxy.metric_becomes(KEPT, 1.0);
        client.write(request(&format!("{method} /again"), "").as_bytes()).await;
        // It reads the request and closes all the same, as one does that had decided to before.
        service.read_head().await;
        drop(service);
        let mut fresh = upstream.accept().await;
        assert_eq!(fresh.target(), "/again");
        fresh.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        answered(&mut client, 204).await;
    }
}

#[tokio::test]
async fn what_may_have_had_an_effect_is_not_sent_twice() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(NOTHING).await;
    answered(&mut client, 204).await;
    proxy.metric_becomes(KEPT, 1.0);
    client.write(request("POST /once", "Content-Length: 0\r\n").as_bytes()).await;
    service.read_head().await;
    drop(service);
    refused(&mut client, 502, "upstream-protocol").await;
    assert!(upstream.is_left_alone().await);
    // Nor is anything on a new connection, whatever it is.
    let (mut client, service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    drop(service);
    refused(&mut client, 502, "upstream-protocol").await;
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn a_kept_connection_that_says_something_unasked_is_not_used_again() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(&[NOTHING, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"].concat()).await;
    answered(&mut client, 204).await;
    let (mut other, mut fresh) = exchange(&proxy, &upstream, &request("GET /other", "")).await;
    fresh.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal").await;
    answered(&mut other, 200).await;
    assert_eq!(other.take_body(4).await, b"real");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let all = request("GET /1", "") + &request("GET /2", "") + &request("GET /3", "");
    let mut client = Wire::knock(proxy.address, &all, b"").await;
    for n in ["1", "2", "3"] {
        let mut service = upstream.accept().await;
        assert_eq!(service.target(), format!("/{n}"));
        assert!(upstream.is_left_alone().await, "one after the other");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{n}");
        service.write(answer.as_bytes()).await;
        answered(&mut client, 200).await;
        assert_eq!(client.take_body(1).await, n.as_bytes());
    }
}
