//! A seat is taken: the newcomer's plugins say who is joined with whom, and see the one that holds it.

use super::{
    HEADER, WRITE,
    authorize::authorizer,
    chat, guest, knock, refused, setup,
    support::{
        Proxy, binary,
        dial::{Ws, alive, converse, dial, dial_with, hear_close},
        upgrade,
        wire::Wire,
    },
};

const CLIENT: &str = "/chat?channelId=1";
const BACKEND: &str = "/chat/connect?channelId=1";
const PAIR: &str = "x-pair";

fn pairer() -> Vec<u8> {
    let connection = "plugin/connection";
    let imports = [
        HEADER,
        WRITE,
        (connection, "id", "i32"),
        (connection, "identity", "i32"),
        (connection, "attachment", "i32"),
        (connection, "set-attachment", "i32 i32 i32"),
        (connection, "peer-id", "i32"),
    ];
    guest(&imports, &["pairing"], include_str!("pairer.wat"))
}

fn proxy(settings: &str, rendezvous: &str) -> Proxy {
    let plugins: [(&str, &[u8], &str); 2] = [("who", &authorizer(), ""), ("pairs", &pairer(), settings)];
    setup(&plugins, &chat("who, pairs", rendezvous)).start()
}

/// A newcomer in the holder's role is answered like this, and the holder stays.
async fn stays(proxy: &Proxy, holder: &mut Ws, pair: &str, answer: (u16, &str)) {
    let (status, cause) = alive(holder, refused(proxy, CLIENT, &[(PAIR, pair)])).await;
    assert_eq!((status, cause.as_str()), answer, "{pair}");
}

#[tokio::test]
async fn a_newcomer_in_the_same_role_takes_the_seat_if_a_plugin_says_so() {
    let proxy = proxy("", "second_client: reject");
    let (mut old, _) = dial_with(&proxy, CLIENT, &[("x-who", "alice")]).await;
    // The route's own rule, a rejection, a failure, and what makes no sense.
    stays(&proxy, &mut old, "-", (409, "seat-taken")).await;
    proxy.logged(&["asked about ", "alice", "plugin=pairs"]);
    stays(&proxy, &mut old, "x", (423, "rejected")).await;
    stays(&proxy, &mut old, "t", (503, "plugin-failed")).await;
    stays(&proxy, &mut old, "j", (503, "plugin-failed")).await;
    proxy.logged(&["a policy failed", "plugin=pairs", "failure=contract", "two of the same role"]);
    // Another subject, too: it is the plugin's decision.
    let fields = [(PAIR, "r"), ("x-who", "bob")];
    let (new, to_old) = tokio::join!(dial_with(&proxy, CLIENT, &fields), hear_close(&mut old));
    assert_eq!(to_old, Some((4409, "replaced by a newer connection".to_owned())));
    let (mut new, mut backend) = (new.0, dial(&proxy, BACKEND).await);
    converse(&mut new, &mut backend, "the newer one").await;
    // One of a pair is replaced as well, and the other is told.
    let (newest, to_new, to_backend) =
        tokio::join!(dial_with(&proxy, CLIENT, &[(PAIR, "r")]), hear_close(&mut new), hear_close(&mut backend));
    assert_eq!((to_new.unwrap().0, to_backend.unwrap().0), (4409, 1001));
    let holder = proxy.logged(&["asked about ", "bob", "kk"]);
    let peer = holder.rsplit("peer=").next().unwrap();
    assert!(peer.len() > 16, "the holder is joined with somebody: {holder}");
    let (mut newest, mut backend) = (newest.0, dial(&proxy, BACKEND).await);
    converse(&mut newest, &mut backend, "the newest one").await;
}

#[tokio::test]
async fn complementary_ones_are_joined_unless_a_plugin_rejects_the_newcomer() {
    let proxy = proxy("", "");
    let (mut client, _) = dial_with(&proxy, CLIENT, &[("x-who", "alice")]).await;
    let rejected = alive(&mut client, refused(&proxy, BACKEND, &[(PAIR, "x")])).await;
    assert_eq!(rejected, (423, "rejected".to_owned()));
    proxy.logged(&["handshake refused", "status=423", "policy=pairs@", "role=backend"]);
    let broken = alive(&mut client, refused(&proxy, BACKEND, &[(PAIR, "r")])).await;
    assert_eq!(broken, (503, "plugin-failed".to_owned()));
    proxy.logged(&["a policy failed", "failure=contract", "replace the holder of another role"]);
    let (mut backend, _) = dial_with(&proxy, BACKEND, &[(PAIR, "j")]).await;
    converse(&mut client, &mut backend, "joined").await;
    // What it keeps of the holder has grown with each question that it answered.
    proxy.logged(&["asked about ", "kk"]);
    let (mut client, _) = dial_with(&proxy, "/chat?channelId=2", &[]).await;
    let (mut backend, _) = dial_with(&proxy, "/chat/connect?channelId=2", &[]).await;
    converse(&mut client, &mut backend, "without an opinion").await;
}

/// Of a guest of whom no plugin has said anything nothing is kept for plugins before one is asked about it.
#[tokio::test]
async fn of_one_that_is_joined_all_is_told_the_first_time_that_it_is_asked_about() {
    let proxy = proxy("", "second_backend: reject");
    let (mut client, _) = dial_with(&proxy, CLIENT, &[("x-who", "alice")]).await;
    let (mut backend, _) = dial_with(&proxy, BACKEND, &[]).await;
    converse(&mut client, &mut backend, "joined").await;
    for (times, pair, answer) in [(1, "-", (409, "seat-taken")), (2, "x", (423, "rejected"))] {
        let (status, cause) = alive(&mut backend, refused(&proxy, BACKEND, &[(PAIR, pair)])).await;
        assert_eq!((status, cause.as_str()), answer);
        let holder = format!("subject=\\\"\\\" kept=\\\"{}\\\"", "k".repeat(times));
        let holder = proxy.logged(&["asked about ", &holder]);
        let peer = holder.rsplit("peer=").next().unwrap();
        assert!(peer.len() > 16, "the holder is joined with somebody: {holder}");
    }
    converse(&mut client, &mut backend, "still joined").await;
}

#[tokio::test]
async fn of_two_at_once_the_second_is_asked_about_the_first() {
    let proxy = proxy("", "");
    let reject = [(PAIR, "x")];
    for n in 0..20 {
        let (client, backend) = (format!("/chat?channelId=r{n}"), format!("/chat/connect?channelId=r{n}"));
        let (client, backend) = tokio::join!(knock(&proxy, &client, &reject), knock(&proxy, &backend, &reject));
        let mut answers = [client.status(), backend.status()];
        answers.sort_unstable();
        assert_eq!(answers, [101, 423], "{n}");
    }
}

#[tokio::test]
async fn one_that_is_before_its_101_holds_its_seat_and_is_asked_about_too() {
    let proxy = proxy("", "accept: when_paired");
    let mut client = Wire::knock(proxy.address, &upgrade(CLIENT, "x-who: alice\r\n"), b"").await;
    proxy.metric_becomes("cordboard_seats_reserved", 1.0);
    assert_eq!(refused(&proxy, BACKEND, &[(PAIR, "x")]).await, (423, "rejected".to_owned()));
    proxy.logged(&["asked about ", "alice"]);
    let backend = knock(&proxy, BACKEND, &[(PAIR, "j")]).await;
    client.read_head().await;
    assert_eq!(client.status(), 101);
    assert_eq!(backend.status(), 101);
}

/// What is said of a request with these fields, by the running proxy.
fn explained(proxy: &Proxy, url: &str, pair: &str) -> String {
    let (admin, field) = (proxy.admin.to_string(), format!("{PAIR}: {pair}"));
    let said = binary().args(["explain", "--admin", &admin, url, "-H", &field]).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test]
async fn what_is_said_of_a_holder_stands_in_the_log_of_decisions_and_is_explained() {
    let plugins: [(&str, &[u8], &str); 1] = [("pairs", &pairer(), "")];
    let proxy =
        setup(&plugins, &format!("log: {{decisions: true}}\n{}", chat("pairs", "second_client: reject"))).start();
    let nobody = explained(&proxy, CLIENT, "r");
    assert!(!nobody.contains(" pair: ") && !nobody.contains("held by"), "{nobody}");
    assert!(nobody.contains("\n  asked later: pairs (pair)"), "{nobody}");

    let (mut client, _) = dial_with(&proxy, CLIENT, &[]).await;
    let holder = conn(&proxy);
    for (pair, said) in [("r", "replace"), ("-", "no opinion")] {
        let told = explained(&proxy, CLIENT, pair);
        assert!(told.contains(&format!(" pair: {said} (")) && told.contains(&format!("is held by {holder}")), "{told}");
    }
    let told = explained(&proxy, CLIENT, "x");
    assert!(told.contains(" pair: rejected with 423 ") && told.contains("\nrefused: 423 rejected"), "{told}");
    let told = explained(&proxy, CLIENT, "j");
    assert!(told.contains(" pair: join (") && told.contains("\nrefused: 503 plugin-failed"), "{told}");
    let told = explained(&proxy, BACKEND, "j");
    assert!(told.contains(" pair: join (") && told.contains(&format!("opposite waits {holder}")), "{told}");
    // Nothing came of all that.
    stays(&proxy, &mut client, "-", (409, "seat-taken")).await;
    proxy.logged(&["decided later", &format!("holder={holder} "), "pairs@", " pair: no opinion ("]);
    let mut backend = dial_with(&proxy, BACKEND, &[(PAIR, "j")]).await.0;
    converse(&mut client, &mut backend, "joined").await;
    let line = proxy.logged(&["decided later", &format!("opposite={holder} "), " pair: join ("]);
    assert!(line.contains("route=chat"), "{line}");
}

/// The only leg on the line.
fn conn(proxy: &Proxy) -> String {
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/sessions")).unwrap();
    page["legs"].as_u64().filter(|legs| *legs == 1).unwrap();
    page["shown"][0]["conn"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_failure_may_leave_it_to_the_route() {
    let proxy = proxy(", on_failure: open", "second_client: replace");
    let mut old = dial(&proxy, CLIENT).await;
    let (_new, to_old) = tokio::join!(dial_with(&proxy, CLIENT, &[(PAIR, "t")]), hear_close(&mut old));
    assert_eq!(to_old.map(|(code, _)| code), Some(4409));
    proxy.logged(&["a policy failed", "plugin=pairs", "failure=trap"]);
}
