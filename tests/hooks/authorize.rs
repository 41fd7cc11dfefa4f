//! Who a connection is: asked after its role and before its channel, of every plugin that can say so.

use std::{
    process::Output,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    HEADER, chat, guest, knock, refused, setup,
    support::{
        self, Proxy,
        dial::{converse, dial, dial_with, hear_close},
    },
};

const EXPORTS: &[&str] = &["authorization"];
const ALICE: (&str, &str) = ("x-who", "alice");
const CLIENT: &str = "/chat?channelId=1";
const BACKEND: &str = "/chat/connect?channelId=1";

/// Takes who it is from `x-who`.
pub fn authorizer() -> Vec<u8> {
    guest(&[HEADER], EXPORTS, include_str!("authorizer.wat"))
}

/// Takes it from `x-two`.
fn second() -> Vec<u8> {
    guest(&[HEADER], EXPORTS, &include_str!("authorizer.wat").replace("x-who", "x-two"))
}

/// Milliseconds since 1970, so many from now.
pub fn in_ms(more: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    (i64::try_from(now).unwrap() + more).to_string()
}

fn two(rendezvous: &str) -> Proxy {
    let plugins: [(&str, &[u8], &str); 2] = [("one", &authorizer(), ""), ("two", &second(), "")];
    setup(&plugins, &format!("log: {{decisions: true}}\n{}", chat("one, two", rendezvous))).start()
}

#[tokio::test]
async fn every_authorizer_is_asked_any_rejection_refuses_and_the_first_identity_counts() {
    let proxy = two("");
    let rejected = (401, "rejected".to_owned());
    assert_eq!(refused(&proxy, CLIENT, &[("x-who", "!"), ("x-two", "bob")]).await, rejected);
    assert_eq!(refused(&proxy, CLIENT, &[ALICE, ("x-two", "!")]).await, rejected);
    assert_eq!(refused(&proxy, CLIENT, &[("x-two", "!")]).await, rejected);
    proxy.logged(&["handshake refused", "cause=rejected", "status=401", "policy=two@"]);

    let client = knock(&proxy, CLIENT, &[ALICE, ("x-two", "bob")]).await;
    assert_eq!(client.status(), 101, "{}", client.head);
    drop(client);
    proxy.logged(&["session ended", "subject=alice"]);
    let decided = proxy.logged(&["cordboard::decision", "subject=alice", "authorize: alice"]);
    assert!(decided.contains("authorize: bob"), "both were asked: {decided}");
    let order = ["role: client", "authorize: ", "channel: 1"].map(|part| decided.find(part).unwrap());
    assert!(order.is_sorted(), "{decided}");

    let client = knock(&proxy, "/chat?channelId=2", &[("x-two", "bob")]).await;
    assert_eq!(client.status(), 101);
    drop(client);
    proxy.logged(&["session ended", "channel=2 ", "subject=bob"]);
    // Nobody has said who it is, and nobody objects.
    let client = knock(&proxy, "/chat?channelId=3", &[]).await;
    assert_eq!(client.status(), 101);
    drop(client);
    let line = proxy.logged(&["session ended", "channel=3 "]);
    assert!(!line.contains("subject"), "{line}");
}

#[tokio::test]
async fn an_authorizer_that_fails_or_says_too_much_lets_nobody_in() {
    let proxy = two("");
    let failed = (503, "plugin-failed".to_owned());
    assert_eq!(refused(&proxy, CLIENT, &[("x-who", "#"), ("x-two", "bob")]).await, failed);
    proxy.logged(&["a policy failed", "plugin=one", "failure=trap"]);
    let long = "x".repeat(257);
    assert_eq!(refused(&proxy, CLIENT, &[("x-who", &long)]).await, failed);
    // What would not count is looked at as well.
    assert_eq!(refused(&proxy, CLIENT, &[ALICE, ("x-two", &long)]).await, failed);
    proxy.logged(&["a policy failed", "plugin=two", "failure=contract", "a subject of more than 256 bytes"]);
    assert_eq!(refused(&proxy, CLIENT, &[("x-who", "~")]).await, failed);
    proxy.logged(&["a policy failed", "plugin=one", "failure=contract", "one of more than 4096 bytes"]);
    assert_eq!(knock(&proxy, CLIENT, &[ALICE]).await.status(), 101);
}

#[test]
fn an_authorizer_must_fail_closed() {
    let setup = setup(&[("one", &authorizer(), ", on_failure: open")], &chat("one", ""));
    let Output { status, stderr, .. } = support::binary().arg("check").arg(setup.path()).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("plugins.one.on_failure") && said.contains("exports `authorization`"), "{said}");
    assert!(said.contains("cordboard.yaml:6:"), "it has a place: {said}");
}

#[tokio::test]
async fn only_the_same_subject_takes_a_seat() {
    let proxy = two("second_client: replace");
    let (mut old, _) = dial_with(&proxy, CLIENT, &[ALICE]).await;
    for other in [&[("x-who", "bob")][..], &[]] {
        let answer = super::support::dial::alive(&mut old, refused(&proxy, CLIENT, other)).await;
        assert_eq!(answer, (409, "seat-taken".to_owned()), "{other:?}");
    }
    let (new, to_old) = tokio::join!(dial_with(&proxy, CLIENT, &[ALICE]), hear_close(&mut old));
    assert_eq!(to_old.map(|(code, _)| code), Some(4409));
    let (mut new, mut backend) = (new.0, dial(&proxy, BACKEND).await);
    converse(&mut new, &mut backend, "the newer one").await;
}

#[tokio::test]
async fn an_identity_that_has_ended_gets_401() {
    let proxy = two("");
    let expired = (401, "expired".to_owned());
    assert_eq!(refused(&proxy, CLIENT, &[ALICE, ("x-end", &in_ms(-1))]).await, expired);
    assert_eq!(refused(&proxy, CLIENT, &[ALICE, ("x-end", "0")]).await, expired);
    assert_eq!(knock(&proxy, CLIENT, &[ALICE, ("x-end", &in_ms(60_000))]).await.status(), 101);
}

#[tokio::test]
async fn a_plain_request_is_authorized_too() {
    let upstream = support::upstream::Upstream::bind().await;
    let more = format!(
        "routes: [{{name: plain, match: {{path: /}}, mode: http, plugins: [one], service: up}}]\n\
         services: {{up: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    );
    let proxy = setup(&[("one", &authorizer(), "")], &more).start();
    let address = proxy.address;
    let ask = move |who: &'static str| async move {
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\nx-who: {who}\r\nConnection: close\r\n\r\n");
        tokio::task::spawn_blocking(move || support::http(address, &request).0).await.unwrap()
    };
    assert_eq!(support::status(&ask("!").await), 401);
    assert!(upstream.is_left_alone().await);
    let (head, ()) = tokio::join!(ask("alice"), async {
        upstream.accept().await.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    });
    assert_eq!(support::status(&head), 200);
    proxy.logged(&["request forwarded", "subject=alice"]);
}

#[tokio::test]
async fn explain_says_whom_it_takes_a_client_for() {
    let proxy = two("");
    let explain = |arguments: &[&str]| {
        let mut command = support::binary();
        command.args(["explain", "--admin", &proxy.admin.to_string()]).args(arguments).arg(CLIENT);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let told = explain(&["-H", "x-two: bob"]);
    assert!(told.contains("authorize: no opinion") && told.contains("authorize: bob"), "{told}");
    assert!(told.contains("subject: bob"), "{told}");
    let told = explain(&["-H", "x-who: alice", "-H", "x-end: 1"]);
    assert!(told.contains("refused: 401 expired: the identity has expired"), "{told}");
}
