//! Bodies stream: nothing waits for the end of what it belongs to, and lengths, chunks and trailers come out as they
//! went in.

use super::{KEPT, answered, at_rest, exchange, request, to};
use crate::support::{upstream::Upstream, wire::Wire};

#[tokio::test]
async fn an_answer_passes_as_it_comes() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /a/b?c=d", "")).await;
    assert!(service.head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{}", service.head);
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-Of: service\r\n\r\nhello ").await;
    answered(&mut client, 200).await;
    assert_eq!((client.field("content-length"), client.field("x-of")), (Some("11"), Some("service")));
    assert_eq!(client.take_body(6).await, b"hello ", "the rest has not come yet");
    service.write(b"world").await;
    assert_eq!(client.take_body(5).await, b"world");
}

#[tokio::test]
async fn a_request_passes_as_it_comes() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let sent = request("POST /in", "Content-Length: 11\r\n") + "hello ";
    let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
    assert_eq!(service.field("content-length"), Some("11"));
    assert_eq!(service.take_body(6).await, b"hello ", "the rest has not come yet");
    client.write(b"world").await;
    assert_eq!(service.take_body(5).await, b"world");
    service.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    answered(&mut client, 201).await;
}

#[tokio::test]
async fn chunks_pass_both_ways_whatever_the_method() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for method in ["POST", "GET", "DELETE", "BREW"] {
        let sent = request(&format!("{method} /"), "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n";
        let mut client = Wire::knock(proxy.address, &sent, b"").await;
        let mut service = upstream.accept().await;
        assert_eq!((service.field("transfer-encoding"), service.field("content-length")), (Some("chunked"), None));
        assert_eq!(service.take_chunks(5).await, b"hello");
        client.write(b"0\r\n\r\n").await;
        assert!(service.last_chunk().await.is_empty(), "{method}");
        service.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n").await;
        answered(&mut client, 200).await;
        assert_eq!((client.field("transfer-encoding"), client.field("content-length")), (Some("chunked"), None));
        assert_eq!(client.take_chunks(3).await, b"abc");
        service.write(b"0\r\n\r\n").await;
        assert!(client.last_chunk().await.is_empty());
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn an_answer_to_head_a_204_and_a_304_have_a_length_and_no_body() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Wire::knock(proxy.address, &request("HEAD /", ""), b"").await;
    let mut service = upstream.accept().await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await;
    answered(&mut client, 200).await;
    assert_eq!(client.field("content-length"), Some("1234"));
    // What follows is the next answer, and not taken for a body.
    for (method, said, status) in [
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", 200),
        ("GET", "204 No Content\r\nContent-Length: 7", 204),
        ("GET", "304 Not Modified\r\nContent-Length: 7", 304),
        ("GET", "200 OK\r\nContent-Length: 0", 200),
    ] {
        proxy.metric_becomes(KEPT, 1.0);
        client.write(request(&format!("{method} /"), "").as_bytes()).await;
        service.read_head().await;
        service.write(format!("HTTP/1.1 {said}\r\n\r\n").as_bytes()).await;
        answered(&mut client, status).await;
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn an_empty_body_is_said_where_one_is_usual() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for (method, length) in [("POST", Some("0")), ("PUT", Some("0")), ("GET", None), ("DELETE", None)] {
        let sent = request(&format!("{method} /"), "Content-Length: 0\r\n");
        let (_client, service) = exchange(&proxy, &upstream, &sent).await;
        assert_eq!((service.field("content-length"), service.field("transfer-encoding")), (length, None), "{method}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_passes_in_chunks() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    answered(&mut client, 200).await;
    assert!(client.head.starts_with("HTTP/1.1 "), "{}", client.head);
    assert_eq!(client.take_chunks(13).await, b"until the end");
    drop(service);
    assert!(client.last_chunk().await.is_empty());
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_a_length_or_the_end_of_the_connection() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(service.head.starts_with("GET /old HTTP/1.1\r\n"), "{}", service.head);
    assert_eq!(service.field("host"), Some(upstream.address.to_string().as_str()), "a service is always told a host");
    service.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    answered(&mut client, 200).await;
    assert_eq!(client.field("transfer-encoding"), None);
    assert_eq!(client.take_rest().await, (b"abc".to_vec(), true));
}

#[tokio::test]
async fn trailers_that_are_announced_pass_both_ways() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let sent = request(
        "POST /",
        "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Forwarded-For\r\nTE: trailers, gzip\r\nConnection: TE\r\n",
    ) + "3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n";
    let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
    assert_eq!((service.field("te"), service.field("connection")), (Some("trailers"), Some("TE")));
    assert_eq!(service.field("trailer"), Some("X-Sum, X-Forwarded-For"));
    assert_eq!(service.take_chunks(3).await, b"abc");
    assert_eq!(service.last_chunk().await, ["x-sum: 6"], "and not who the client was");
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-took\r\n\r\n2\r\nok\r\n0\r\nX-Took: 1ms\r\n\r\n";
    service.write(answer.as_bytes()).await;
    answered(&mut client, 200).await;
    assert_eq!(client.field("trailer"), Some("x-took"));
    assert_eq!(client.take_chunks(2).await, b"ok");
    assert_eq!(client.last_chunk().await, ["x-took: 1ms"]);
    // Both connections are in step and go on.
    proxy.metric_becomes(KEPT, 1.0);
    client.write(request("GET /next", "").as_bytes()).await;
    service.read_head().await;
    assert_eq!(service.target(), "/next");
}

#[tokio::test]
async fn a_client_that_takes_no_trailers_gets_none() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    assert_eq!(service.field("te"), None);
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-took\r\n\r\n2\r\nok\r\n0\r\nX-Took: 1ms\r\n\r\n";
    service.write(answer.as_bytes()).await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_chunks(2).await, b"ok");
    assert!(client.last_chunk().await.is_empty());
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended_and_both_go_on() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let sent = request("POST /", "Content-Length: 8\r\n") + "half";
    let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
    assert_eq!(service.take_body(4).await, b"half");
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_body(5).await, b"early");
    client.write(b"rest").await;
    assert_eq!(service.take_body(4).await, b"rest");
    // Both connections are in step and go on.
    proxy.metric_becomes(KEPT, 1.0);
    client.write(request("GET /next", "").as_bytes()).await;
    service.read_head().await;
    assert_eq!(service.target(), "/next");
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    at_rest(&proxy);
}
