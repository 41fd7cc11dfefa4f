//! Heads pass with what does not end at this hop, and say who asked.

use super::{answered, exchange, refused, request, to};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn what_ends_at_this_hop_is_not_passed_on_and_the_rest_is() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let more = "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: secret\r\n\
                TE: gzip\r\nUpgrade: h2c\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nCookie: a=1\r\n\
                Authorization: Basic eDp5\r\nX-Kept: one\r\nX-Kept: two\r\nVia: 1.0 other\r\n";
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", more)).await;
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authorization", "te", "upgrade"] {
        assert_eq!(service.field(gone), None, "{}", service.head);
    }
    assert_eq!(service.field("host"), Some("example.com"));
    assert_eq!(service.fields("x-kept"), ["one", "two"]);
    assert_eq!(service.fields("via"), ["1.0 other", "1.1 cordboard"]);
    assert_eq!((service.field("cookie"), service.field("authorization")), (Some("a=1"), Some("Basic eDp5")));
    assert_eq!(
        (service.field("x-forwarded-for"), service.field("x-forwarded-host")),
        (Some("127.0.0.1"), Some("example.com"))
    );
    assert_eq!(service.field("forwarded"), Some("for=127.0.0.1;host=example.com;proto=http"));

    let answer = "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                  Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: somebody\r\nDate: then\r\n\r\n";
    service.write(answer.as_bytes()).await;
    answered(&mut client, 200).await;
    for gone in ["connection", "x-hop", "keep-alive", "x-cordboard-error"] {
        assert_eq!(client.field(gone), None, "{}", client.head);
    }
    assert_eq!(client.fields("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((client.field("server"), client.field("date")), (Some("somebody"), Some("then")));
}

#[tokio::test]
async fn the_service_may_be_told_its_own_host() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", host: endpoint", "");
    let (_client, service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    assert_eq!(service.field("host"), Some(upstream.address.to_string().as_str()));
    assert_eq!(service.field("x-forwarded-host"), Some("example.com"));
}

#[tokio::test]
async fn a_routes_rewriting_changes_path_query_and_fields() {
    let upstream = Upstream::bind().await;
    let rewrite =
        ", rewrite: [{path: '^/old/(.*)$', to: '/new/$1', query: {set: {v: '2'}}, header: {set: {x-rest: $1}}}]";
    let proxy = to(&[upstream.address], rewrite, "");
    let (_client, service) = exchange(&proxy, &upstream, &request("GET /old/a?b=c", "")).await;
    assert_eq!((service.target(), service.field("x-rest")), ("/new/a?b=c&v=2", Some("a")));
}

#[tokio::test]
async fn an_answer_that_is_none_is_502_and_its_connection_is_not_used_again() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        // It ends within its head, and before it.
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
    ] {
        let (mut client, mut service) = exchange(&proxy, &upstream, &request("POST /", "Content-Length: 0\r\n")).await;
        service.write(answer.as_bytes()).await;
        if !answer.ends_with("\r\n\r\n") {
            drop(service);
        }
        refused(&mut client, 502, "upstream-protocol").await;
    }
    proxy.logged(&["request refused", "cause=upstream-protocol", "route=rest", "status=502"]);
}

#[tokio::test]
async fn a_length_beside_chunks_is_not_believed() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    service.write(answer.as_bytes()).await;
    answered(&mut client, 200).await;
    assert_eq!(client.field("content-length"), None);
    assert_eq!(client.take_chunks(5).await, b"hello");
    assert!(client.last_chunk().await.is_empty());
}

#[tokio::test]
async fn other_informational_answers_are_not_taken_for_the_answer() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_body(2).await, b"ok");
}
