//! Accounts: each session leaves one log line and moves the counters once; together they are the script of the test.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counters are small and whole

mod support;

#[path = "sessions_log/lines.rs"]
mod lines_of_all;
#[path = "sessions_log/routes.rs"]
mod routes;
#[path = "sessions_log/series.rs"]
mod series;
#[path = "sessions_log/unread.rs"]
mod unread;

use serde_json::Value;
use series::{Page, Script};
use support::{
    Proxy, eventually, http, status, upgrade,
    upstream::Upstream,
    wire::{BINARY, CLOSE, TEXT, Wire, bare, close, masked},
};

fn proxy(upstream: &Upstream) -> Proxy {
    Proxy::with(&format!(
        "log: {{format: json}}
plugins: {{clerk: {{component: 'builtin:rendezvous'}}}}
routes:
  - name: chat
    match: {{path: /chat}}
    mode: rendezvous
    plugins: [clerk]
    rendezvous: {{pairing_timeout: 2s, probe: 200ms, second_client: replace}}
    limits: {{message: 1KiB}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: echo}}
  - {{name: plain, match: {{path: /plain}}, mode: http, service: echo}}
services: {{echo: {{endpoints: ['ws://{}']}}}}
",
        upstream.address
    ))
}

/// The lines of sessions and refusals so far.
fn lines(proxy: &Proxy) -> Vec<Value> {
    let lines = proxy.log().into_iter().map(|line| serde_json::from_str::<Value>(&line).expect("a line of JSON"));
    lines.filter(|line| line["target"] == "cordboard::session").collect()
}

/// Waits for the line of this channel.
fn line(proxy: &Proxy, channel: &str) -> Value {
    eventually(&format!("the line of the channel {channel}"), || {
        lines(proxy).into_iter().find(|line| line["channel"] == channel)
    })
}

#[track_caller]
fn holds(line: &Value, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(line.get(field), Some(value), "{field} in {line:#}");
    }
}

async fn leg(proxy: &Proxy, target: &str) -> Wire {
    Wire::open(proxy.address, target).await
}

fn peer(wire: &Wire) -> Value {
    wire.stream.local_addr().unwrap().to_string().into()
}

#[tokio::test]
async fn the_log_and_every_series_are_the_script_of_what_happened() {
    let upstream = Upstream::bind().await;
    let proxy = proxy(&upstream);
    // After its start the proxy looks at its files once more.
    proxy.metric_becomes("cordboard_reloads_total{result=\"unchanged\"}", 1.0);
    let before = Page::of(&proxy);
    let mut script = Script::default();

    paired(&proxy, &mut script).await;
    lonely(&proxy, &mut script).await;
    replaced(&proxy, &mut script).await;
    error(&proxy, &mut script).await;
    broken(&proxy, &mut script).await;
    refused(&proxy, &mut script);
    timeout(&proxy, &mut script).await;
    routed(&proxy, &upstream, &mut script).await;
    unreachable(&proxy, &upstream, &mut script).await;
    forwarded(&proxy, &upstream, &mut script).await;

    script.accounts_for_all_since(&before, &proxy);
    assert_eq!(lines(&proxy).len(), 11, "{:#?}", lines(&proxy));
}

async fn paired(proxy: &Proxy, script: &mut Script) {
    let mut client = leg(proxy, "/chat?channelId=paired").await;
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let mut backend = leg(proxy, "/chat/connect?channelId=paired").await;
    script.say(&mut client, masked(TEXT, b"hello")).await;
    script.say(&mut client, masked(BINARY, &[0; 200])).await;
    script.say(&mut backend, masked(TEXT, b"hi")).await;
    backend.expect(TEXT, b"hello").await;
    backend.expect(BINARY, &[0; 200]).await;
    client.expect(TEXT, b"hi").await;
    script.say(&mut client, masked(CLOSE, &close(4000, "done"))).await;
    backend.expect_close().await;
    script.say(&mut backend, masked(CLOSE, &close(4000, ""))).await;
    client.expect_close().await;
    client.expect_end().await;
    backend.expect_end().await;
    let line = line(proxy, "paired");
    holds(
        &line,
        &[
            ("level", "INFO".into()),
            ("message", "session ended".into()),
            ("outcome", "paired".into()),
            ("cause", "closed".into()),
            ("route", "chat".into()),
            ("role", "client".into()),
            ("partner_role", "backend".into()),
            ("peer", peer(&client)),
            ("partner_peer", peer(&backend)),
            ("generation", 1.into()),
            ("close_received", 4000.into()),
            ("partner_close_sent", 4000.into()),
            ("partner_close_received", 4000.into()),
            ("close_sent", 4000.into()),
            ("messages_in", 2.into()),
            ("bytes_in", ((6 + 5) + (8 + 200) + (6 + 6)).into()),
            ("partner_messages_in", 1.into()),
            ("partner_bytes_in", ((6 + 2) + (6 + 2)).into()),
            ("ended_by", line["conn"].clone()),
        ],
    );
    for policy in ["policy", "partner_policy"] {
        let identity = line[policy].as_str().unwrap().strip_prefix("clerk@").expect("the policy that decided");
        assert!(identity.len() >= 12 && identity.bytes().all(|digit| digit.is_ascii_hexdigit()), "{identity}");
    }
    assert_ne!(line["conn"], line["partner"]);
    assert!(line["duration_ms"].is_u64());
    script.session("chat", "rendezvous", "paired", "closed", 2);
}

async fn lonely(proxy: &Proxy, script: &mut Script) {
    let mut client = leg(proxy, "/chat?channelId=lonely").await;
    script.say(&mut client, masked(CLOSE, &close(1000, ""))).await;
    client.expect_close().await;
    client.expect_end().await;
    let line = line(proxy, "lonely");
    holds(&line, &[("outcome", "lonely".into()), ("cause", "closed".into()), ("close_received", 1000.into())]);
    assert_eq!(line.get("partner"), None);
    script.session("chat", "rendezvous", "lonely", "closed", 1);
}

async fn replaced(proxy: &Proxy, script: &mut Script) {
    let mut old = leg(proxy, "/chat?channelId=replaced").await;
    script.say(&mut old, masked(TEXT, b"held")).await;
    let mut new = Wire::knock(proxy.address, &upgrade("/chat?channelId=replaced", ""), b"").await;
    // The holder shows life when it is probed.
    let ping = old.frame().await.unwrap();
    script.say(&mut old, masked(0x8a, &ping.payload)).await;
    new.read_head().await;
    assert_eq!(old.expect_close().await.map(|(code, _)| code), Some(4409));
    script.say(&mut old, masked(CLOSE, &close(4409, ""))).await;
    old.expect_end().await;
    holds(&line(proxy, "replaced"), &[("outcome", "replaced".into()), ("close_sent", 4409.into())]);
    script.session("chat", "rendezvous", "replaced", "replaced", 1);
    script.say(&mut new, masked(CLOSE, b"")).await;
    assert_eq!(new.expect_close().await, None);
    new.expect_end().await;
    script.session("chat", "rendezvous", "lonely", "closed", 1);
}

async fn error(proxy: &Proxy, script: &mut Script) {
    let mut client = leg(proxy, "/chat?channelId=error").await;
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let mut backend = leg(proxy, "/chat/connect?channelId=error").await;
    script.say(&mut client, masked(TEXT, b"joined")).await;
    backend.expect(TEXT, b"joined").await;
    // The header alone is too much; only it is sent.
    script.received(8);
    client.write(&masked(BINARY, &[0; 2000])[..8]).await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1009));
    backend.expect_close().await;
    script.say(&mut backend, masked(CLOSE, &close(1001, ""))).await;
    backend.expect_end().await;
    client.stream.set_zero_linger().unwrap();
    drop(client);
    let line = line(proxy, "error");
    holds(
        &line,
        &[
            ("outcome", "error".into()),
            ("cause", "message-too-big".into()),
            ("close_sent", 1009.into()),
            ("partner_close_sent", 1001.into()),
            ("ended_by", line["conn"].clone()),
        ],
    );
    script.session("chat", "rendezvous", "error", "message-too-big", 2);
}

async fn broken(proxy: &Proxy, script: &mut Script) {
    let mut client = leg(proxy, "/chat?channelId=broken").await;
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let mut backend = leg(proxy, "/chat/connect?channelId=broken").await;
    script.say(&mut backend, masked(TEXT, b"last words")).await;
    client.expect(TEXT, b"last words").await;
    backend.stream.set_zero_linger().unwrap();
    drop(backend);
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1011));
    script.say(&mut client, masked(CLOSE, &close(1011, ""))).await;
    client.expect_end().await;
    let line = line(proxy, "broken");
    holds(
        &line,
        &[
            ("level", "WARN".into()),
            ("outcome", "error".into()),
            ("cause", "backend-broken".into()),
            ("ended_by", line["partner"].clone()),
            ("close_sent", 1011.into()),
            ("partner_messages_in", 1.into()),
        ],
    );
    assert_eq!(line.get("partner_close_sent"), None);
    script.session("chat", "rendezvous", "error", "backend-broken", 2);
}

fn refused(proxy: &Proxy, script: &mut Script) {
    let (head, _) = http(proxy.address, &upgrade("/chat", ""));
    assert_eq!(status(&head), 400);
    let line = eventually("the line of the refusal", || {
        lines(proxy).into_iter().find(|line| line["message"] == "handshake refused")
    });
    holds(&line, &[("outcome", "refused".into()), ("cause", "no-channel".into()), ("status", 400.into())]);
    script.refused("chat", "rendezvous", "no-channel");
}

async fn timeout(proxy: &Proxy, script: &mut Script) {
    let mut client = leg(proxy, "/chat?channelId=timeout").await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(4408));
    script.say(&mut client, masked(CLOSE, &close(4408, ""))).await;
    client.expect_end().await;
    let line = line(proxy, "timeout");
    holds(&line, &[("outcome", "timeout".into()), ("cause", "no-partner".into()), ("close_sent", 4408.into())]);
    script.session("chat", "rendezvous", "timeout", "no-partner", 1);
}

async fn routed(proxy: &Proxy, upstream: &Upstream, script: &mut Script) {
    let (mut client, mut dialled) =
        tokio::join!(Wire::open_with(proxy.address, "/ws", "x-group-id: ignored\r\n", b""), async {
            let mut dialled = upstream.accept().await;
            dialled.switch("", b"").await;
            dialled
        });
    script.say(&mut client, masked(TEXT, b"ask")).await;
    dialled.expect(TEXT, b"ask").await;
    script.say(&mut dialled, bare(CLOSE, &close(1000, "bye"))).await;
    client.expect_close().await;
    script.say(&mut client, masked(CLOSE, &close(1000, ""))).await;
    dialled.expect_close().await;
    drop(dialled);
    client.expect_end().await;
    let channel = client.field("x-channel-id").unwrap().to_owned();
    let line = line(proxy, &channel);
    holds(
        &line,
        &[
            ("outcome", "routed".into()),
            ("cause", "closed".into()),
            ("role", "routed".into()),
            ("route", "ws".into()),
            ("upstream", format!("echo {}", upstream.address).into()),
            ("messages_in", 1.into()),
            ("partner_close_received", 1000.into()),
        ],
    );
    assert!(line.get("policy").is_none(), "no policy decided: {line:#}");
    script.session("ws", "router", "routed", "closed", 1);
}

/// A service that breaks the connection before it has answered.
async fn unreachable(proxy: &Proxy, upstream: &Upstream, script: &mut Script) {
    let mut client = Wire::knock(proxy.address, &upgrade("/ws/broken", ""), b"").await;
    drop(upstream.accept().await);
    client.read_head().await;
    assert_eq!(client.status(), 502, "{}", client.head);
    let line =
        eventually("the line of the refusal", || lines(proxy).into_iter().find(|line| line["path"] == "/ws/broken"));
    holds(&line, &[("outcome", "refused".into()), ("cause", "no-endpoint".into()), ("route", "ws".into())]);
    script.refused("ws", "router", "no-endpoint");
}

async fn forwarded(proxy: &Proxy, upstream: &Upstream, script: &mut Script) {
    let mut client = Wire::knock(proxy.address, "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", b"").await;
    let mut asked = upstream.accept().await;
    asked.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    client.read_head().await;
    assert_eq!((client.status(), client.take_body(2).await.as_slice()), (201, &b"ok"[..]), "{}", client.head);
    let line = eventually("the line of the request", || {
        lines(proxy).into_iter().find(|line| line["message"] == "request forwarded")
    });
    holds(&line, &[("outcome", "forwarded".into()), ("route", "plain".into()), ("status", 201.into())]);
    script.request("plain", "2xx");
}

#[tokio::test]
async fn without_session_lines_the_counters_still_move() {
    let proxy = Proxy::with(&format!("log: {{sessions: false}}\n{}", support::CHAT));
    let mut client = leg(&proxy, "/chat?channelId=1").await;
    client.send(CLOSE, b"").await;
    client.expect_close().await;
    client.expect_end().await;
    http(proxy.address, &upgrade("/nowhere", ""));
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"rendezvous\",outcome=\"lonely\"}", 1.0);
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"none\",outcome=\"refused\"}", 1.0);
    assert!(!proxy.log().iter().any(|line| line.contains("cordboard::session")), "{:?}", proxy.log());
}

#[tokio::test]
async fn an_id_cannot_forge_a_log_line() {
    let proxy = Proxy::with(support::CHAT);
    // U+2028 ends a line for some readers, and U+202E turns its text around.
    let mut client = leg(&proxy, "/chat?channelId=a%22%20outcome%3D%22b%E2%80%A8%E2%80%AE").await;
    client.send(CLOSE, b"").await;
    client.expect_close().await;
    client.expect_end().await;
    let line = proxy.logged(&["session ended"]);
    assert!(line.contains("outcome=lonely") && !line.contains(['\u{2028}', '\u{202e}']), "{line}");
    assert!(!line.contains("a\" outcome=\"b"), "{line}");
}
