//! `connections` and `upgrades_per_second`: how many a route lets in.

use crate::support::{
    Proxy, eventually, http, status, upgrade,
    upstream::Upstream,
    wire::{CLOSE, TEXT, Wire, close},
};

const CHAT: &str = "plugins: {rendezvous: {component: 'builtin:rendezvous'}}\n";

fn chat(limits: &str) -> String {
    format!(
        "{CHAT}routes: [{{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous], limits: {{{limits}}}}}]\n"
    )
}

/// Status, cause and `Retry-After` of an upgrade that is not let in.
fn turned_away(proxy: &Proxy, target: &str) -> (u16, String, Option<u64>) {
    let (head, _) = http(proxy.address, &upgrade(target, ""));
    let field = |name: &str| {
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(|value| value.trim().to_owned()))
    };
    let after = field("retry-after:").and_then(|seconds| seconds.parse().ok());
    (status(&head), field("x-cordboard-error:").unwrap_or_default(), after)
}

#[tokio::test]
async fn exactly_as_many_connections_as_a_route_may_have_are_let_in_and_each_that_ends_makes_room() {
    let proxy = Proxy::with(&chat("connections: 3"));
    let mut first = Wire::open(proxy.address, "/chat?channelId=1").await;
    let _second = Wire::open(proxy.address, "/chat/connect?channelId=1").await;
    let _third = Wire::open(proxy.address, "/chat?channelId=2").await;
    let expected = (503, "too-many-connections".to_owned(), Some(1));
    assert_eq!(turned_away(&proxy, "/chat?channelId=3"), expected);
    assert_eq!(turned_away(&proxy, "/chat?channelId=3"), expected, "who is turned away takes no place");
    assert!((proxy.metric("cordboard_causes_total{cause=\"too-many-connections\"}") - 2.0).abs() < 0.1);
    let detail = "detail=\"3 are here (limits.connections)\"";
    proxy.logged(&["handshake refused", "cause=too-many-connections", "route=chat", "status=503", detail]);

    first.send(CLOSE, &close(1000, "")).await;
    first.expect_close().await;
    // The two legs of the pair leave; both places are free again.
    let mut back = Vec::new();
    for id in ["3", "4"] {
        let target = format!("/chat?channelId={id}");
        let free = || (status(&http(proxy.address, &upgrade(&target, "")).0) != 503).then_some(());
        eventually("a free place", free);
        back.push(id);
    }
    assert_eq!(back.len(), 2);
}

#[tokio::test]
async fn a_dial_counts_as_a_connection_from_its_beginning_and_a_refused_one_leaves_no_trace() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: s, limits: {{connections: 1}}}}]\n\
         services: {{s: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    ));
    for _ in 0..3 {
        let client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
        let mut dialled = upstream.accept().await;
        assert_eq!(turned_away(&proxy, "/ws").1, "too-many-connections", "one is being dialled");
        dialled.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
        let mut client = client;
        client.read_head().await;
        assert_eq!(client.status(), 403);
    }
    let (mut client, mut dialled) = tokio::join!(Wire::open(proxy.address, "/ws"), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        dialled
    });
    assert_eq!(turned_away(&proxy, "/ws").1, "too-many-connections");
    client.send(TEXT, b"undisturbed").await;
    dialled.expect(TEXT, b"undisturbed").await;
}

#[tokio::test]
async fn a_limit_counts_across_reloads_and_a_new_one_holds_from_the_next_connection_on() {
    let proxy = Proxy::with(&chat("connections: 2"));
    let _first = Wire::open(proxy.address, "/chat?channelId=1").await;
    let _second = Wire::open(proxy.address, "/chat?channelId=2").await;
    for (limits, expected) in [("connections: 1", 503), ("connections: 3", 101), ("connections: 3", 503)] {
        let before = proxy.generation();
        proxy.setup.write(&format!("# {limits} {expected}\n{}", chat(limits)));
        proxy.reloaded(before);
        let third = Wire::open_with(proxy.address, "/chat?channelId=3", "", b"").await;
        assert_eq!(third.status(), expected, "{limits}");
        if expected == 101 {
            // It stays: the next round finds the route full.
            std::mem::forget(third);
        }
    }
}

#[tokio::test]
async fn a_burst_beyond_the_upgrades_of_a_second_is_429_and_the_rest_is_let_in() {
    // Slow enough that the bucket gives nothing back while a slow machine runs this test.
    let proxy = Proxy::with(&chat("upgrades_per_second: 5"));
    let mut statuses = Vec::new();
    for number in 0..40 {
        statuses.push(turned_away(&proxy, &format!("/chat?channelId={number}")).0);
    }
    assert_eq!(statuses[..5], [101; 5], "as many as a second has, at once");
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused > 0 && statuses.iter().all(|status| matches!(status, 101 | 429)), "{statuses:?}");
    let answer = (0..40).map(|n| turned_away(&proxy, &format!("/chat?channelId=x{n}"))).find(|answer| answer.0 == 429);
    assert_eq!(answer, Some((429, "too-many-upgrades".to_owned(), Some(1))));
    assert!(proxy.metric("cordboard_causes_total{cause=\"too-many-upgrades\"}") >= refused as f64);
    let detail = "detail=\"more than 5 within a second (limits.upgrades_per_second)\"";
    proxy.logged(&["handshake refused", "cause=too-many-upgrades", "status=429", detail]);
    // Time gives it back.
    eventually("a new token", || (turned_away(&proxy, "/chat?channelId=later").0 != 429).then_some(()));
}
