//! An identity ends: the leg is closed then, wherever it is.

use std::time::{Duration, Instant};

use super::{
    authorize::{authorizer, in_ms},
    chat, knock,
    recheck::{asked_about, revoke},
    setup,
    support::{
        Proxy,
        dial::{dial, dial_with, hear_close, not_before, within},
        upstream::Upstream,
        wire::{CLOSE, Wire, bare, close, masked},
    },
};

const EXPIRED: Option<(u16, &str)> = Some((4401, "the identity has expired"));
const GONE: Option<(u16, &str)> = Some((1001, "the other side is gone"));
/// Long enough for the connection to be there by then.
const LIFE: u64 = 400;

fn said(close: Option<&(u16, String)>) -> Option<(u16, &str)> {
    close.map(|(code, reason)| (*code, reason.as_str()))
}

fn proxy(upstream: &Upstream) -> Proxy {
    let more = format!(
        "{}  - {{name: ws, match: {{path: /ws}}, mode: router, plugins: [one], service: up}}
  - {{name: plain, match: {{path: /plain}}, mode: http, plugins: [one], service: up}}
services: {{up: {{endpoints: ['ws://{}']}}}}
",
        chat("one", ""),
        upstream.address
    );
    setup(&[("one", &authorizer(), "")], &more).start()
}

fn ending() -> [(&'static str, String); 2] {
    [("x-who", "alice".to_owned()), ("x-end", in_ms(LIFE.try_into().unwrap()))]
}

#[tokio::test]
async fn a_leg_that_waits_is_closed_with_4401_when_its_identity_ends() {
    let proxy = proxy(&Upstream::bind().await);
    // One that ends much later is there first.
    let late = in_ms(3_600_000);
    let (_later, _) = dial_with(&proxy, "/chat?channelId=later", &[("x-who", "bob"), ("x-end", &late)]).await;
    let since = Instant::now();
    let fields = ending();
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (mut client, _) = dial_with(&proxy, "/chat?channelId=1", &fields).await;
    assert_eq!(said(hear_close(&mut client).await.as_ref()), EXPIRED);
    not_before(since, Duration::from_millis(LIFE - 10));
    drop(client);
    let line = proxy.logged(&["session ended", "cause=expired", "subject=alice", "outcome=lonely"]);
    assert!(line.contains("close_sent=4401"), "{line}");
    // Its seat is free.
    let _next = dial(&proxy, "/chat?channelId=1").await;
}

#[tokio::test]
async fn of_a_pair_the_one_whose_identity_ends_is_told_so_and_the_other_that_it_is_gone() {
    let proxy = proxy(&Upstream::bind().await);
    for (ends_first, paths) in [
        (true, ["/chat?channelId=1", "/chat/connect?channelId=1"]),
        (false, ["/chat?channelId=2", "/chat/connect?channelId=2"]),
    ] {
        let fields = ending();
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let (first, second) = if ends_first { (&fields[..], &[][..]) } else { (&[][..], &fields[..]) };
        let (mut host, _) = dial_with(&proxy, paths[0], first).await;
        let (mut guest, _) = dial_with(&proxy, paths[1], second).await;
        let (to_host, to_guest) = tokio::join!(hear_close(&mut host), hear_close(&mut guest));
        let expected = if ends_first { (EXPIRED, GONE) } else { (GONE, EXPIRED) };
        assert_eq!((said(to_host.as_ref()), said(to_guest.as_ref())), expected);
        let channel = if ends_first { "channel=1 " } else { "channel=2 " };
        drop((host, guest));
        proxy.logged(&["session ended", "cause=expired", channel, "outcome=paired"]);
    }
}

/// Between its own session and its partner's a leg is in neither.
#[tokio::test]
async fn a_leg_that_is_just_being_joined_is_not_forgotten() {
    let proxy = proxy(&Upstream::bind().await);
    // Where the machine is busy, the first ends are too early for all.
    for round in 0..8 {
        let guests = (0..60).map(|n| {
            let proxy = &proxy;
            async move {
                let _host = dial(proxy, &format!("/chat?channelId=j{round}-{n}")).await;
                // From before its 101 to after it is joined.
                let end = in_ms((n / 6) << round);
                let path = format!("/chat/connect?channelId=j{round}-{n}");
                let mut guest = knock(proxy, &path, &[("x-who", "alice"), ("x-end", &end)]).await;
                if guest.status() == 401 {
                    return false;
                }
                assert_eq!(guest.status(), 101, "{}", guest.head);
                let close = guest.expect_close().await;
                assert_eq!(said(close.as_ref()), EXPIRED, "{n}");
                true
            }
        });
        let closed = within("all of them to be closed", futures_util::future::join_all(guests)).await;
        if closed.contains(&true) {
            return;
        }
    }
    panic!("none came in time");
}

#[tokio::test]
async fn a_routed_leg_and_a_tunnel_end_too() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream);
    let fields = ending();
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (mut client, mut service) = tokio::join!(knock(&proxy, "/ws", &fields), async {
        let mut service = upstream.accept().await;
        service.switch("", b"").await;
        service
    });
    assert_eq!(client.status(), 101);
    assert_eq!(said(client.expect_close().await.as_ref()), EXPIRED);
    assert_eq!(said(service.expect_close().await.as_ref()), GONE);
    client.write(&masked(CLOSE, &close(4401, ""))).await;
    service.write(&bare(CLOSE, &close(1001, ""))).await;
    drop((client, service));
    proxy.logged(&["session ended", "cause=expired", "outcome=routed", "subject=alice"]);

    let fields = ending();
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (mut client, mut service): (Wire, Wire) = tokio::join!(knock(&proxy, "/plain", &fields), async {
        let mut service = upstream.accept().await;
        service.switch("", b"").await;
        service
    });
    assert_eq!(client.status(), 101);
    // Nothing is known of what is spoken there, so there is no Close.
    let _ = tokio::join!(client.end(), service.end());
    proxy.logged(&["request forwarded", "cause=expired", "subject=alice"]);
}

/// A stream of events, of which the first has come.
async fn events(proxy: &Proxy, upstream: &Upstream, fields: &[(&str, &str)]) -> (Wire, Wire) {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("GET /plain HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    let (mut client, service) = tokio::join!(
        async {
            let mut client = Wire::knock(proxy.address, &request, b"").await;
            client.read_head().await;
            client
        },
        async {
            let mut service = upstream.accept().await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            service.write(head.as_bytes()).await;
            service.write(b"9\r\ndata: 1\n\n\r\n").await;
            service
        }
    );
    assert_eq!(client.status(), 200, "{}", client.head);
    assert_eq!(client.take_chunks(9).await, b"data: 1\n\n");
    (client, service)
}

#[tokio::test]
async fn a_stream_of_events_is_cut_off_when_the_identity_ends() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream);
    let since = Instant::now();
    let fields = ending();
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (mut client, mut service) = events(&proxy, &upstream, &fields).await;
    // Without its last chunk, so that nobody takes it for all there is.
    let (rest, _) = client.end().await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
    not_before(since, Duration::from_millis(LIFE - 10));
    service.end().await;
    proxy.logged(&["request forwarded", "cause=expired", "subject=alice", "status=200"]);
}

#[tokio::test]
async fn a_stream_of_events_is_cut_off_when_the_permission_is_taken_back() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream);
    let (mut alice, mut to_alice) = events(&proxy, &upstream, &[("x-who", "alice")]).await;
    let (mut bob, mut to_bob) = events(&proxy, &upstream, &[("x-who", "bob")]).await;
    let (said, (rest, _), _) = tokio::join!(revoke(&proxy, &["--subject", "alice"]), alice.end(), to_alice.end());
    assert_eq!((said, String::from_utf8_lossy(&rest).as_ref()), (asked_about(1, 1), ""));
    proxy.logged(&["an answer was cut off", "route=plain", "an order"]);
    proxy.logged(&["request forwarded", "cause=revoked", "subject=alice"]);
    // The other one goes on, to its end, and is known no more then.
    to_bob.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    assert_eq!(bob.take_chunks(9).await, b"data: 2\n\n");
    bob.last_chunk().await;
    proxy.logged(&["request forwarded", "cause=closed", "subject=bob"]);
    assert_eq!(revoke(&proxy, &["--subject", "bob"]).await, asked_about(0, 0));
}
