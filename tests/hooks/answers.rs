//! The header of an answer goes through the plugins of its route before it goes out: of every 101, and of what a service
//! answers to a plain request.

use tokio::io::AsyncWriteExt as _;

use super::{
    HEADER, chat, guest, knock, refused, setup,
    support::{
        self, Proxy,
        dial::dial,
        http,
        upstream::Upstream,
        wire::{CLOSE, Wire, bare},
    },
};

const EXPORTS: &[&str] = &["response-rewriting"];

fn answerer() -> Vec<u8> {
    guest(&[HEADER], EXPORTS, include_str!("answerer.wat"))
}

/// Names another header, and does as another field says.
fn last() -> Vec<u8> {
    guest(&[HEADER], EXPORTS, &include_str!("answerer.wat").replace("x-answer", "x-laster").replace("x-was", "x-end"))
}

fn proxy(upstream: &Upstream, settings: &str) -> Proxy {
    let plugins: [(&str, &[u8], &str); 2] = [("edits", &answerer(), settings), ("last", &last(), settings)];
    let more = format!(
        "{}  - {{name: ws, match: {{path: /ws}}, mode: router, plugins: [edits, last], service: up}}
  - {{name: plain, match: {{path: /plain}}, mode: http, plugins: [edits, last], service: up}}
services: {{up: {{endpoints: ['ws://{}']}}}}
",
        chat("edits, last", ""),
        upstream.address
    );
    let more = format!("log: {{decisions: true}}\n{more}");
    setup(&plugins, &more).start()
}

const BROKEN: [(&str, &str); 3] = [("c", "x-channel-id"), ("w", "sec-websocket-accept"), ("l", "content-length")];

#[tokio::test]
async fn the_101_of_a_rendezvous_is_edited_or_its_seat_is_given_up() {
    let proxy = proxy(&Upstream::bind().await, "");
    let client = "/chat?channelId=1";
    for (order, field) in BROKEN {
        assert_eq!(refused(&proxy, client, &[("x-answer", order)]).await, (503, "plugin-failed".to_owned()));
        proxy.logged(&["a policy failed", "failure=contract", &format!("the header {field} is the proxy's own")]);
    }
    assert_eq!(refused(&proxy, client, &[("x-answer", "x")]).await, (418, "rejected".to_owned()));
    proxy.logged(&["handshake refused", "status=418", "policy=edits@", "channel=1 "]);
    proxy.metric_becomes("cordboard_channels", 0.0);
    let answer = knock(&proxy, client, &[("x-answer", "s")]).await;
    assert_eq!((answer.status(), answer.field("x-was"), answer.field("x-seen")), (101, Some("101"), Some("none")));
    let line = proxy.logged(&["decided later", "route=chat status=101", "edits@", " response: sets x-was"]);
    assert!(line.contains("; last@") && line.contains(" response: no opinion ("), "{line}");
    assert_eq!(answer.field("x-channel-id"), Some("1"));
    // Without an order nothing is edited, and the other leg has its own.
    let answer = knock(&proxy, "/chat/connect?channelId=1", &[]).await;
    assert_eq!((answer.status(), answer.field("x-was")), (101, None));
}

/// A handshake with further fields, which a service takes.
async fn routed(proxy: &Proxy, upstream: &Upstream, path: &str, more: &[(&str, &str)]) -> (Wire, Wire) {
    tokio::join!(knock(proxy, path, more), async {
        let mut service = upstream.accept().await;
        service.switch("x-from: service\r\n", b"").await;
        service
    })
}

#[tokio::test]
async fn the_101_of_a_router_is_edited_or_the_service_is_told_that_nobody_is_there() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream, "");
    let both = [("x-answer", "s"), ("x-laster", "s")];
    let (client, _service) = routed(&proxy, &upstream, "/ws", &both).await;
    assert_eq!(client.status(), 101, "{}", client.head);
    let seen = ["x-was", "x-end", "x-seen", "x-from"].map(|name| client.field(name));
    assert_eq!(seen, [Some("101"), Some("101"), Some("service"), None], "{}", client.head);
    for (order, status) in [("x", 418), ("t", 503), ("w", 503)] {
        let (client, mut service) = routed(&proxy, &upstream, "/ws", &[("x-answer", order)]).await;
        assert_eq!(client.status(), status);
        let close = service.expect_close().await;
        assert_eq!(close, Some((1001, "the other side is gone".to_owned())), "{order}");
        service.write(&bare(CLOSE, &close.unwrap().0.to_be_bytes())).await;
        // It is the service that ends the connection.
        service.stream.shutdown().await.unwrap();
        service.expect_end().await;
    }
    // The refusals are told from those of a service.
    let (client, _service) = routed(&proxy, &upstream, "/ws", &[("x-answer", "x")]).await;
    assert_eq!(client.field("x-cordboard-error"), Some("rejected"));
}

#[tokio::test]
async fn answers_to_plain_requests_are_edited_or_dropped() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream, "");
    let address = proxy.address;
    let ask = move |order: &'static str| {
        let request = format!("GET /plain HTTP/1.1\r\nHost: test\r\nx-answer: {order}\r\n\r\n");
        tokio::task::spawn_blocking(move || http(address, &request))
    };
    let answer = b"HTTP/1.1 203 Fine\r\nContent-Length: 4\r\nx-from: service\r\nx-raw: a\xffz\r\n\r\nbody";
    let (told, service) = tokio::join!(ask("s"), async {
        let mut service = upstream.accept().await;
        service.write(answer).await;
        service
    });
    drop(service);
    let (head, body) = told.unwrap();
    assert_eq!((support::status(&head), body.as_str()), (203, "body"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("x-was: 203\r\n") && head.contains("x-seen: service\r\n"), "{head}");
    assert!(!head.contains("x-from"), "{head}");
    assert!(head.contains("x-raw: a\u{fffd}z\r\n"), "what is not UTF-8 is left as it is: {head}");
    for (order, status, cause) in [("x", 418, "rejected"), ("l", 503, "plugin-failed"), ("c", 503, "plugin-failed")] {
        let (told, mut service) = tokio::join!(ask(order), async {
            let mut service = upstream.accept().await;
            // More than it will be asked for.
            service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin").await;
            service
        });
        let (head, body) = told.unwrap();
        assert_eq!(support::status(&head), status, "{head}");
        assert!(head.contains(&format!("x-cordboard-error: {cause}")) && !body.contains("begin"), "{head}\n{body}");
        // The service is not listened to any more.
        service.end().await;
        proxy.logged(&["request refused", "route=plain", &format!("status={status}")]);
    }
    // That of an upgrade is one, too.
    let (client, mut service) = routed(&proxy, &upstream, "/plain", &[("x-answer", "s")]).await;
    assert_eq!((client.status(), client.field("x-was")), (101, Some("101")));
    assert_eq!(client.field("upgrade"), Some("websocket"));
    drop(client);
    service.end().await;
    let (client, mut service) = routed(&proxy, &upstream, "/plain", &[("x-answer", "x")]).await;
    assert_eq!(client.status(), 418);
    service.end().await;
}

#[tokio::test]
async fn a_failure_may_leave_an_answer_as_it_is() {
    let proxy = proxy(&Upstream::bind().await, ", on_failure: open");
    let answer = knock(&proxy, "/chat?channelId=1", &[("x-answer", "t"), ("x-laster", "s")]).await;
    assert_eq!((answer.status(), answer.field("x-was"), answer.field("x-end")), (101, None, Some("101")));
    // Nothing of edits counts of which one may not be made.
    let answer = knock(&proxy, "/chat?channelId=2", &[("x-answer", "c")]).await;
    assert_eq!((answer.status(), answer.field("x-channel-id"), answer.field("x-seen")), (101, Some("2"), None));
    drop(dial(&proxy, "/chat?channelId=3").await);
}
