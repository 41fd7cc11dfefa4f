//! Plain requests and tunnels: what a service has been asked is answered, and then the connection ends.

use serde_json::Value;

use crate::{
    board, lines, refuses, stopped,
    support::{Proxy, upstream::Upstream, wire::Wire},
};

const ASK: &str = "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client that has asked, and the service that has heard it.
async fn asked(proxy: &Proxy, upstream: &Upstream, request: &str) -> (Wire, Wire) {
    let client = Wire::knock(proxy.address, request, b"").await;
    (client, upstream.accept().await)
}

/// The lines of plain requests.
fn forwarded(proxy: &Proxy) -> Vec<Value> {
    lines(proxy).into_iter().filter(|line| line["message"] == "request forwarded").collect()
}

#[tokio::test]
async fn requests_that_a_service_was_asked_are_answered_to_the_end_and_their_connections_end() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("", "", &upstream);
    let (mut early, mut answering) = asked(&proxy, &upstream, ASK).await;
    answering.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    early.read_head().await;
    assert_eq!((early.status(), early.field("connection")), (200, None), "{}", early.head);
    let (mut late, mut thinking) = asked(&proxy, &upstream, ASK).await;
    proxy.signal("TERM");
    refuses(&proxy);
    answering.write(b" way").await;
    assert_eq!(early.take_body(8).await, b"half way");
    early.expect_end().await;
    thinking.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    late.read_head().await;
    assert_eq!((late.status(), late.field("connection")), (200, Some("close")), "{}", late.head);
    assert_eq!(late.take_body(4).await, b"done");
    late.expect_end().await;
    assert_eq!(stopped(&mut proxy), Some(0));
    let lines = forwarded(&proxy);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line["outcome"] == "forwarded"), "{lines:#?}");
}

#[tokio::test]
async fn at_the_end_of_the_grace_a_request_is_cut_and_said() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("grace: 1s, spread: 0", "", &upstream);
    let (mut half, mut answering) = asked(&proxy, &upstream, ASK).await;
    answering.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    half.read_head().await;
    let (mut none, _thinking) = asked(&proxy, &upstream, ASK).await;
    proxy.signal("TERM");
    assert_eq!(stopped(&mut proxy), Some(0));
    assert_eq!(half.end().await.0, b"half");
    assert_eq!(none.end().await.0, b"");
    let cut = "cut: it was still there at the end of drain.grace";
    let lines = lines(&proxy);
    assert_eq!((&lines.last().unwrap()["clean"], &lines.last().unwrap()["cut"]), (&false.into(), &2.into()));
    let lines: Vec<_> = lines.into_iter().filter(|line| line["target"] == "cordboard::session").collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    let (answered, unanswered) = (line("request forwarded"), line("request refused"));
    for line in [answered, unanswered] {
        assert_eq!((&line["cause"], &line["detail"]), (&"draining".into(), &cut.into()), "{line:#}");
        assert_eq!(line["route"], "plain", "{line:#}");
    }
    assert_eq!((&answered["outcome"], &answered["level"]), (&"drained".into(), &"WARN".into()), "{answered:#}");
    assert_eq!((&answered["bytes_out"], unanswered.get("status")), (&4.into(), None), "{answered:#} {unanswered:#}");
}

#[tokio::test]
async fn a_tunnel_is_ended_in_its_turn() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("spread: 100ms", "", &upstream);
    let request = "GET /plain HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: cords\r\n\r\n";
    let (mut client, mut service) = asked(&proxy, &upstream, request).await;
    service.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cords\r\n\r\nhello").await;
    client.read_head().await;
    assert_eq!((client.status(), client.take_body(5).await.as_slice()), (101, &b"hello"[..]), "{}", client.head);
    proxy.signal("TERM");
    assert_eq!((client.end().await.0, service.end().await.0), (Vec::new(), Vec::new()));
    assert_eq!(stopped(&mut proxy), Some(0));
    let lines = forwarded(&proxy);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!((&lines[0]["outcome"], &lines[0]["cause"]), (&"drained".into(), &"draining".into()), "{:#}", lines[0]);
    assert_eq!(lines[0].get("detail"), None, "it was not cut for want of time");
}
