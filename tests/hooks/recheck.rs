//! Sessions are asked about again: by order, on an interval, and when another version serves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    HEADER, WRITE,
    authorize::authorizer,
    chat, guest, knock, setup,
    support::{
        self, Proxy,
        dial::{Ws, converse, dial, dial_with, hear_close, not_before},
        http, upgrade,
        upstream::Upstream,
        wire::Wire,
    },
    yaml,
};

const BACKEND: &str = "/chat/connect?channelId=1";
const SAID_SO: Option<(u16, &str)> = Some((4001, "said so"));
const TAKEN_BACK: Option<(u16, &str)> = Some((4401, "the permission was taken back"));

pub fn rechecker() -> Vec<u8> {
    let imports = [HEADER, WRITE, ("plugin/connection", "identity", "i32")];
    guest(&imports, &["session-authorization"], include_str!("rechecker.wat"))
}

/// A rendezvous whose sessions are asked about by a plugin of these settings, the first of which says what it answers.
fn proxy(does: &str, settings: &str, rendezvous: &str) -> Proxy {
    let settings = format!(", config: {{do: {does}}}{settings}");
    let plugins: [(&str, &[u8], &str); 2] = [("who", &authorizer(), ""), ("again", &rechecker(), &settings)];
    setup(&plugins, &chat("who, again", rendezvous)).start()
}

/// The same with another answer, while it runs.
fn change(proxy: &Proxy, does: &str, settings: &str, rendezvous: &str) {
    let before = proxy.generation();
    let settings = format!(", config: {{do: {does}}}{settings}");
    let plugins: [(&str, &[u8], &str); 2] = [("who", b"", ""), ("again", b"", &settings)];
    proxy.setup.write(&yaml(&plugins, &chat("who, again", rendezvous)));
    proxy.reloaded(before);
}

async fn who(proxy: &Proxy, channel: &str, subject: &str, key: &str) -> Ws {
    let fields = [("x-who", subject), ("x-key", key)];
    dial_with(proxy, &format!("/chat?channelId={channel}"), &fields).await.0
}

async fn closed(leg: &mut Ws) -> Option<(u16, String)> {
    hear_close(leg).await
}

fn told(close: Option<&(u16, String)>) -> Option<(u16, &str)> {
    close.map(|(code, reason)| (*code, reason.as_str()))
}

/// `cordboard revoke`: exit code and what it says.
pub async fn revoke(proxy: &Proxy, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = support::binary();
    command.args(["revoke", "--admin", &proxy.admin.to_string()]).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

pub fn asked_about(sessions: u32, closed: u32) -> (Option<i32>, String) {
    (Some(0), format!("sessions asked about: {sessions}; closed: {closed}\n"))
}

/// The connection of a channel, as the log has it in the end.
fn conn_of(proxy: &Proxy, parts: &[&str]) -> String {
    let line = proxy.logged(parts);
    line.split(" conn=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

/// The only client of the channel was closed as soon as it was on the line: `backend`, whose answer is not read yet, is
/// told so. If that was before the two were joined, it waits instead, even for its 101, and is joined with the next one.
async fn left_alone(proxy: &Proxy, mut backend: Wire) {
    if proxy.logged(&["session ended", "role=client"]).contains("outcome=lonely") {
        let mut next = knock(proxy, "/chat?channelId=1", &[("x-who", "next"), ("x-key", "k-n")]).await;
        backend.read_head().await;
        next.send(0x81, b"joined").await;
        backend.expect(0x81, b"joined").await;
    } else {
        backend.read_head().await;
        assert_eq!(backend.expect_close().await.map(|(code, _)| code), Some(1001));
    }
    assert_eq!(backend.status(), 101);
}

#[tokio::test]
async fn an_order_asks_about_those_it_names_and_closes_those_of_whom_a_plugin_says_no() {
    let proxy = proxy("b", "", "");
    let (mut alice, mut bob) = (who(&proxy, "1", "alice", "k-a").await, who(&proxy, "2", "bob", "k-b").await);
    let mut partner = dial(&proxy, "/chat/connect?channelId=2").await;
    converse(&mut bob, &mut partner, "joined").await;
    assert_eq!(revoke(&proxy, &["--subject", "alice"]).await, asked_about(1, 0));
    assert_eq!(revoke(&proxy, &["--subject", "nobody"]).await, asked_about(0, 0));
    let (order, to_bob, to_partner) =
        tokio::join!(revoke(&proxy, &["--token-id", "k-b"]), closed(&mut bob), closed(&mut partner));
    assert_eq!(order, asked_about(1, 1));
    assert_eq!((told(to_bob.as_ref()), to_partner.map(|(code, _)| code)), (SAID_SO, Some(1001)));
    drop((bob, partner));
    let conn = conn_of(&proxy, &["a session was revoked", "plugin=again", "cause=revoked", "code=4001", "an order"]);
    let line = proxy.logged(&["session ended", "cause=revoked", "outcome=paired", "subject=bob", "close_sent=4001"]);
    assert!(line.contains(&format!(" conn={conn}")), "{line}");
    proxy.metric_becomes("cordboard_rechecks_total{result=\"kept\"}", 1.0);
    proxy.metric_becomes("cordboard_rechecks_total{result=\"closed\"}", 1.0);
    let mut backend = dial(&proxy, BACKEND).await;
    converse(&mut alice, &mut backend, "undisturbed").await;
}

#[tokio::test]
async fn a_connection_that_is_named_is_closed_whatever_its_plugins_say() {
    let proxy = proxy("o", "", "");
    let mut alice = who(&proxy, "1", "alice", "k").await;
    assert_eq!(revoke(&proxy, &["--subject", "alice"]).await, asked_about(1, 0));
    let conn = conn_of(&proxy, &["asked again", "plugin=again"]);
    let named = ["--connection", conn.as_str()];
    let (order, close) = tokio::join!(revoke(&proxy, &named), closed(&mut alice));
    assert_eq!((order, told(close.as_ref())), (asked_about(1, 1), TAKEN_BACK));
    drop(alice);
    proxy.logged(&["session ended", "cause=revoked", "outcome=lonely", "close_sent=4401"]);
    let (code, said) = revoke(&proxy, &["--connection", &conn]).await;
    assert!(code == Some(1) && said.contains("no session with the connection"), "{code:?} {said}");
    let (code, said) = revoke(&proxy, &["--connection", "x"]).await;
    assert!(code == Some(1) && said.contains("16 hexadecimal digits"), "{code:?} {said}");
    assert_eq!(revoke(&proxy, &[]).await.0, Some(2));
    assert_eq!(revoke(&proxy, &["--subject", "a", "--token-id", "b"]).await.0, Some(2));
}

#[tokio::test]
async fn who_is_named_before_the_101_is_asked_about_once_it_is_there() {
    let proxy = proxy("b", "", "accept: when_paired");
    let fields = "x-who: bob\r\nx-key: k-b\r\n";
    let mut bob = Wire::knock(proxy.address, &upgrade("/chat?channelId=1", fields), b"").await;
    proxy.metric_becomes("cordboard_seats_reserved", 1.0);
    assert_eq!(revoke(&proxy, &["--subject", "bob"]).await, asked_about(0, 0));
    let backend = Wire::knock(proxy.address, &upgrade(BACKEND, ""), b"").await;
    bob.read_head().await;
    assert_eq!(bob.status(), 101);
    assert_eq!(told(bob.expect_close().await.as_ref()), SAID_SO);
    drop(bob);
    left_alone(&proxy, backend).await;
    // Whoever comes later was not named.
    let (mut later, mut other) =
        tokio::join!(who(&proxy, "2", "bob", "k-b"), dial(&proxy, "/chat/connect?channelId=2"));
    converse(&mut later, &mut other, "undisturbed").await;
}

#[tokio::test]
async fn where_no_plugin_can_say_anything_the_session_is_closed() {
    let upstream = Upstream::bind().await;
    let more = format!(
        "routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [who], service: up}}]\n\
         services: {{up: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    );
    let proxy = setup(&[("who", &authorizer(), "")], &more).start();
    let fields = [("x-who", "alice"), ("x-key", "k")];
    let (mut client, mut service) = tokio::join!(knock(&proxy, "/ws", &fields), async {
        let mut service = upstream.accept().await;
        service.switch("", b"").await;
        service
    });
    let body = json!({"token_id": "k"}).to_string();
    let order = format!(
        "POST /revoke HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let admin = proxy.admin;
    let (_, body) = tokio::task::spawn_blocking(move || http(admin, &order)).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, json!({"result": "revoked", "sessions": 1, "closed": 1}));
    assert_eq!(told(client.expect_close().await.as_ref()), TAKEN_BACK);
    assert_eq!(service.expect_close().await.map(|(code, _)| code), Some(1001));
}

#[tokio::test]
async fn what_a_plugin_that_fails_means_is_its_configurations_affair() {
    for (does, failure, cause) in [("t", "trap", "plugin-failed"), ("h", "deadline", "plugin-deadline")] {
        let proxy = proxy(does, "", "");
        let mut alice = who(&proxy, "1", "alice", "k").await;
        let (order, close) = tokio::join!(revoke(&proxy, &["--subject", "alice"]), closed(&mut alice));
        assert_eq!((order, close.map(|(code, _)| code)), (asked_about(1, 1), Some(1011)), "{does}");
        drop(alice);
        let conn = conn_of(&proxy, &["a policy failed", "plugin=again", &format!("failure={failure}"), "route=chat"]);
        let line = proxy.logged(&["session ended", &format!("cause={cause}"), "outcome=error"]);
        assert!(line.contains(&format!(" conn={conn}")), "{line}");
    }
    let proxy = proxy("t", ", on_failure: open", "");
    let mut alice = who(&proxy, "1", "alice", "k").await;
    assert_eq!(revoke(&proxy, &["--subject", "alice"]).await, asked_about(1, 0));
    proxy.metric_becomes("cordboard_rechecks_total{result=\"failed\"}", 1.0);
    let mut backend = dial(&proxy, BACKEND).await;
    converse(&mut alice, &mut backend, "undisturbed").await;
}

#[tokio::test]
async fn a_code_that_must_not_be_sent_is_4401() {
    let proxy = proxy("i", "", "");
    let mut alice = who(&proxy, "1", "alice", "k").await;
    let (_, close) = tokio::join!(revoke(&proxy, &["--subject", "alice"]), closed(&mut alice));
    assert_eq!(told(close.as_ref()), Some((4401, "said so")));
}

#[tokio::test]
async fn sessions_are_asked_about_on_their_interval() {
    let asks = proxy("b", ", recheck: 1s", "");
    let since = Instant::now();
    let (mut alice, mut bob) = (who(&asks, "1", "alice", "k").await, who(&asks, "2", "bob", "k").await);
    assert_eq!(told(closed(&mut bob).await.as_ref()), SAID_SO);
    // Not at once, but in the second half of the interval.
    not_before(since, Duration::from_millis(490));
    asks.logged(&["a session was revoked", "its turn"]);
    // Another one is asked about again and again.
    support::soon("a second turn", async || {
        (asks.metric("cordboard_rechecks_total{result=\"kept\"}") > 1.5).then_some(())
    })
    .await;
    not_before(since, Duration::from_millis(1490));
    let mut backend = dial(&asks, BACKEND).await;
    converse(&mut alice, &mut backend, "undisturbed").await;
}

#[tokio::test]
async fn a_new_version_is_asked_about_older_sessions_if_the_configuration_says_so() {
    let swaps = ", recheck_on_swap: true";
    let proxy = proxy("o", "", "");
    let mut alice = who(&proxy, "1", "alice", "k").await;
    // The key is that of what serves, and without it nothing happens.
    change(&proxy, "x", "", "");
    assert_eq!(revoke(&proxy, &["--subject", "alice"]).await, asked_about(1, 0));
    change(&proxy, "o", swaps, "");
    proxy.metric_becomes("cordboard_rechecks_total{result=\"kept\"}", 2.0);
    // An old version that nobody needs any more is gone.
    support::soon("one version", async || {
        let page = proxy.get("/metrics");
        let calls = page.lines().filter(|line| line.starts_with("cordboard_plugin_calls_total{plugin=\"again\""));
        (calls.count() == 1).then_some(())
    })
    .await;
    // Asked about alone: her partner would be asked about as well.
    change(&proxy, "x", swaps, "");
    let close = closed(&mut alice).await;
    assert_eq!(told(close.as_ref()), SAID_SO);
    proxy.logged(&["a session was revoked", "another version of the plugin", "plugin=again"]);
}

#[tokio::test]
async fn who_is_judged_by_the_old_version_and_comes_after_the_swap_is_asked_about_too() {
    let (swaps, held) = (", recheck_on_swap: true", "accept: when_paired");
    let proxy = proxy("o", swaps, held);
    let request = upgrade("/chat?channelId=1", "x-who: alice\r\n");
    let mut alice = Wire::knock(proxy.address, &request, b"").await;
    proxy.metric_becomes("cordboard_seats_reserved", 1.0);
    change(&proxy, "b", swaps, held);
    change(&proxy, "x", swaps, held);
    // Both get their 101 now; only the first was judged before.
    let backend = Wire::knock(proxy.address, &upgrade(BACKEND, ""), b"").await;
    alice.read_head().await;
    assert_eq!(alice.status(), 101);
    assert_eq!(told(alice.expect_close().await.as_ref()), SAID_SO);
    drop(alice);
    left_alone(&proxy, backend).await;
}

#[test]
fn a_plugin_that_cannot_be_asked_again_is_warned_of() {
    let settings = ", recheck: 1m, recheck_on_swap: true";
    let setup = setup(&[("who", &authorizer(), settings)], &chat("who", ""));
    let output = support::binary().arg("check").arg(setup.path()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    for key in ["plugins.who.recheck: ", "plugins.who.recheck_on_swap: "] {
        assert!(said.contains(key) && said.contains("does not export `session-authorization`"), "{said}");
    }
}
