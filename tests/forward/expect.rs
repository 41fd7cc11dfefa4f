//! `Expect: 100-continue`: the client keeps its body until the service wants it.

use std::time::{Duration, Instant};

use super::{KEPT, answered, at_rest, exchange, refused, request, to};
use crate::support::{dial::not_before, upstream::Upstream};

const EXPECTS: &str = "Content-Length: 4\r\nExpect: 100-continue\r\n";
/// So long that a test ends before.
const PATIENT: &str = ", http: {expect: 1m}";

#[tokio::test]
async fn the_body_is_asked_for_when_the_service_says_100() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], PATIENT, "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("PUT /", EXPECTS)).await;
    assert_eq!(service.field("expect"), Some("100-continue"));
    service.write(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    answered(&mut client, 100).await;
    client.write(b"body").await;
    assert_eq!(service.take_body(4).await, b"body");
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    answered(&mut client, 200).await;
    // Both connections are in step and go on.
    proxy.metric_becomes(KEPT, 1.0);
    client.write(request("GET /next", "").as_bytes()).await;
    service.read_head().await;
    assert_eq!(service.target(), "/next");
}

#[tokio::test]
async fn a_service_that_says_nothing_gets_the_body_after_expect() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {expect: 300ms}", "");
    let begun = Instant::now();
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("PUT /", EXPECTS)).await;
    answered(&mut client, 100).await;
    not_before(begun, Duration::from_millis(300));
    client.write(b"body").await;
    assert_eq!(service.take_body(4).await, b"body");
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    answered(&mut client, 200).await;
}

#[tokio::test]
async fn an_answer_before_100_means_that_the_body_is_never_asked_for() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], PATIENT, "");
    for (said, status) in [("401 Unauthorized", 401), ("413 Content Too Large", 413), ("200 OK", 200)] {
        let (mut client, mut service) = exchange(&proxy, &upstream, &request("PUT /", EXPECTS)).await;
        let answer = format!("HTTP/1.1 {said}\r\nContent-Length: 9\r\n\r\nread this");
        service.write(answer.as_bytes()).await;
        answered(&mut client, status).await;
        assert_eq!(client.take_body(9).await, b"read this");
        // Whether the body follows or not nobody can know, so nothing else may.
        assert_eq!(client.field("connection"), Some("close"));
        assert_eq!(client.take_rest().await.0, b"");
        assert_eq!(service.take_rest().await, (vec![], true), "not a byte of the body, and no next request");
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn a_refusal_of_ours_does_not_ask_for_the_body_either() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {body: 3B, expect: 1m}", "");
    let mut client = crate::support::wire::Wire::knock(proxy.address, &request("PUT /", EXPECTS), b"").await;
    refused(&mut client, 413, "body-too-big").await;
    assert_eq!(client.field("connection"), Some("close"));
    assert!(upstream.is_left_alone().await);
    let rest = String::from_utf8(client.take_rest().await.0).unwrap();
    assert!(!rest.contains("100 Continue"), "{rest}");
}

#[tokio::test]
async fn without_a_body_and_in_http_1_0_there_is_no_expectation() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], PATIENT, "");
    let (_client, service) = exchange(&proxy, &upstream, &request("GET /", "Expect: 100-continue\r\n")).await;
    assert_eq!(service.field("expect"), None);
    let old = format!("PUT / HTTP/1.0\r\nHost: example.com\r\n{EXPECTS}\r\nbody");
    let (_client, mut service) = exchange(&proxy, &upstream, &old).await;
    assert_eq!(service.field("expect"), None);
    assert_eq!(service.take_body(4).await, b"body");
}
