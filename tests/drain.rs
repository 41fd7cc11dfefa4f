//! Stopping, as seen from outside: readiness ends, then accepting, then the sessions, each told in its turn; what does
//! not end by itself is cut and named.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "drain/cut.rs"]
mod cut;
#[path = "policy/guests.rs"]
#[allow(dead_code)] // most of them are for the tests of policies
mod guests;
#[path = "drain/plain.rs"]
mod plain;
#[path = "drain/spread.rs"]
mod spread;
#[path = "drain/steps.rs"]
mod steps;
#[path = "drain/traffic.rs"]
mod traffic;

use std::net::TcpStream;

use serde_json::Value;
use support::{
    Proxy, eventually, http, status,
    upstream::Upstream,
    wire::{TEXT, Wire, bare, masked},
};

/// A proxy with a rendezvous at `/chat` and an upstream at `/ws` and `/plain`, whose log is JSON. `drain` is the inside of that key,
/// `limits` that of the routes'.
fn board(drain: &str, limits: &str, upstream: &Upstream) -> Proxy {
    Proxy::with(&format!(
        "log: {{format: json}}
drain: {{{drain}}}
plugins: {{clerk: {{component: 'builtin:rendezvous'}}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [clerk], limits: &limits {{{limits}}}}}
  - {{name: ws, match: {{path: /ws}}, mode: router, service: up, limits: *limits}}
  - {{name: plain, match: {{path: /plain}}, mode: http, service: up}}
services: {{up: {{endpoints: ['ws://{}']}}}}
",
        upstream.address
    ))
}

/// Two that dialled in and have met for certain.
async fn pair(proxy: &Proxy, channel: &str) -> (Wire, Wire) {
    let mut client = Wire::open(proxy.address, &format!("/chat?channelId={channel}")).await;
    let mut backend = Wire::open(proxy.address, &format!("/chat/connect?channelId={channel}")).await;
    client.send(TEXT, b"there").await;
    backend.expect(TEXT, b"there").await;
    backend.send(TEXT, b"back").await;
    client.expect(TEXT, b"back").await;
    (client, backend)
}

/// One that dialled in and the upstream it was joined with.
async fn routed(proxy: &Proxy, upstream: &Upstream) -> (Wire, Wire) {
    let (mut client, mut dialled) = tokio::join!(Wire::open(proxy.address, "/ws"), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        dialled
    });
    client.write(&masked(TEXT, b"there")).await;
    dialled.expect(TEXT, b"there").await;
    dialled.write(&bare(TEXT, b"back")).await;
    client.expect(TEXT, b"back").await;
    (client, dialled)
}

/// What `/readyz` says.
fn readiness(proxy: &Proxy) -> (u16, String) {
    let (head, body) = http(proxy.admin, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    (status(&head), body)
}

/// Waits until the kernel refuses connections.
fn refuses(proxy: &Proxy) {
    eventually("an end of accepting", || TcpStream::connect(proxy.address).is_err().then_some(()));
}

/// Waits for the process to end and for its last line; the exit code.
fn stopped(proxy: &mut Proxy) -> Option<i32> {
    let code = proxy.ended().code();
    proxy.logged(&["stopped"]);
    assert!(!proxy.log().iter().any(|line| line.contains("some tasks have not ended")), "{:#?}", proxy.log());
    code
}

/// The log, as far as it is JSON.
fn lines(proxy: &Proxy) -> Vec<Value> {
    proxy.log().iter().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The lines of sessions that have ended.
fn sessions(proxy: &Proxy) -> Vec<Value> {
    lines(proxy).into_iter().filter(|line| line["message"] == "session ended").collect()
}
