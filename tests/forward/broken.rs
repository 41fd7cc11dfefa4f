//! Who breaks breaks visibly: half an answer is never taken for a whole one, and nothing is left of a request whose
//! client has gone.

use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;

use super::{answered, at_rest, at_rest_without_connections, exchange, request, to};
use crate::support::{dial::within, upstream::Upstream, wire::Wire};

/// Ends a connection with a reset.
fn reset(wire: Wire) {
    SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_takes_the_request_with_it() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for _ in 0..10 {
        let (client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
        drop(client);
        assert_eq!(service.take_rest().await.0, b"");
    }
    proxy.logged(&["request refused", "cause=client-gone", "path=/"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_client_that_leaves_within_its_answer_takes_the_request_with_it() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for _ in 0..10 {
        let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
        service.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n").await;
        answered(&mut client, 200).await;
        client.take_chunks(4).await;
        drop(client);
        // It need not send anything to learn of it.
        assert_eq!(service.take_rest().await.0, b"");
    }
    let detail = "detail=\"it left before all of the answer was through\"";
    proxy.logged(&["request forwarded", "cause=client-gone", "outcome=error", "status=200", "bytes_out=4", detail]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_stream_of_events_ends_well_when_its_client_leaves() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    service.write(head).await;
    service.write(b"9\r\ndata: 1\n\n\r\n").await;
    answered(&mut client, 200).await;
    client.take_chunks(9).await;
    drop(client);
    assert_eq!(service.take_rest().await.0, b"");
    let line = proxy.logged(&["request forwarded", "cause=closed", "outcome=forwarded", "bytes_out=9"]);
    assert!(line.contains(" INFO ") && line.contains("the client left; a stream of events has no end"), "{line}");
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_client_that_leaves_within_its_request_breaks_it_visibly() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let chunked = request("POST /", "Transfer-Encoding: chunked\r\n") + "4\r\nhalf\r\n";
    let sized = request("POST /", "Content-Length: 8\r\n") + "half";
    for (sent, got) in [(chunked, "4\r\nhalf\r\n"), (sized, "half")] {
        let (client, mut service) = exchange(&proxy, &upstream, &sent).await;
        let mut bytes = service.take_body(got.len()).await;
        drop(client);
        bytes.extend(service.take_rest().await.0);
        assert_eq!(String::from_utf8(bytes).unwrap(), got, "no end that looks like one");
    }
    proxy.logged(&["cause=client-gone", "status=499"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_service_that_breaks_within_its_answer_breaks_the_clients() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for by_reset in [false, true] {
        for (framing, part) in [("Content-Length: 8", "half"), ("Transfer-Encoding: chunked", "4\r\nhalf\r\n")] {
            let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
            service.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{part}").as_bytes()).await;
            answered(&mut client, 200).await;
            let mut bytes = client.take_body(part.len()).await;
            if by_reset {
                reset(service);
            } else {
                drop(service);
            }
            bytes.extend(client.take_rest().await.0);
            assert_eq!(String::from_utf8(bytes).unwrap(), part, "no end that looks like one");
        }
    }
    proxy.logged(&["request forwarded", "cause=backend-broken", "outcome=error", "status=200", "WARN"]);
    at_rest_without_connections(&proxy);
}

// An answer of HTTP/1.0 without a length ends with its connection, so only a reset tells half of it from the whole.
#[tokio::test]
async fn half_an_answer_is_no_whole_one_for_a_client_of_http_1_0_either() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for (whole, framing) in [(false, "Transfer-Encoding: chunked"), (true, "Transfer-Encoding: chunked")] {
        let sent = "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n";
        let (mut client, mut service) = exchange(&proxy, &upstream, sent).await;
        service.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n4\r\nhalf\r\n").as_bytes()).await;
        answered(&mut client, 200).await;
        assert_eq!(client.take_body(4).await, b"half");
        if whole {
            service.write(b"0\r\n\r\n").await;
        }
        drop(service);
        assert_eq!(client.take_rest().await, (vec![], whole));
    }
}

#[tokio::test]
async fn an_answer_that_only_its_connection_ends_is_broken_by_a_reset() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 200 OK\r\n\r\nhalf").await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_chunks(4).await, b"half");
    reset(service);
    assert_eq!(client.take_rest().await.0, b"", "no last chunk");
}

/// A service that has enough of a request answers and closes. What is still sent to it makes its kernel answer with a
/// reset, and what it said before must arrive all the same.
#[tokio::test]
async fn an_early_answer_arrives_though_the_service_takes_no_more_of_the_request() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for _ in 0..50 {
        let (mut client, mut service) =
            exchange(&proxy, &upstream, &request("POST /", "Content-Length: 100000000\r\n")).await;
        let (mut reads, mut writes) = client.stream.split();
        let sending = async { while writes.write_all(&[0; 65_536]).await.is_ok() {} };
        let answering = async {
            service.take_body(100_000).await;
            let body = "x".repeat(20_000);
            let answer =
                format!("HTTP/1.1 413 Content Too Large\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n{body}");
            service.write(answer.as_bytes()).await;
            drop(service);
        };
        let reading = async {
            let mut answer = Vec::new();
            while !answer.ends_with(&[b'x'; 20_000]) {
                let read = tokio::io::AsyncReadExt::read_buf(&mut reads, &mut answer).await;
                let so_far = String::from_utf8_lossy(&answer);
                assert!(read.is_ok_and(|read| read > 0), "the end came after {} bytes: {so_far:.200}", answer.len());
            }
            answer
        };
        let answer = within("an early answer", async {
            tokio::select! {
                (answer, ()) = async { tokio::join!(reading, answering) } => answer,
                () = sending => panic!("the client was cut before it had its answer"),
            }
        })
        .await;
        assert!(answer.starts_with(b"HTTP/1.1 413 "));
    }
    at_rest(&proxy);
}
