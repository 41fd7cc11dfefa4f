//! What is not there yet is waited for, and the wait holds up nobody.

use std::process::{Child, Stdio};

use crate::{
    GIVES_NO_ROLES, GIVES_ROLES, chat_by, chat_by_file, handshake,
    history::{ask, page, said, save},
    sha256,
    support::{Proxy, Setup, binary, eventually},
};

fn waits_for(proxy: &Proxy) -> Option<String> {
    page(proxy, "/generation")["waits_for"].as_str().map(ToOwned::to_owned)
}

/// An order to reload what hashes to this, under way.
fn ordered(proxy: &Proxy, hash: &str) -> Child {
    let order = binary()
        .args(["reload", "--hash", hash, "--admin", &proxy.admin.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    proxy.logged(&["WARN", "a reload waits for files that do not have the hash yet that was announced", hash]);
    order
}

fn pinned(wasm: &[u8]) -> String {
    chat_by_file(&format!("component: policy.wasm, sha256: '{}'", sha256(wasm)))
}

/// Serves the second of two generations, and waits for a component that does not come.
fn waiting_for_a_component() -> Proxy {
    let setup = Setup::new(&pinned(GIVES_ROLES));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    save(&proxy, &format!("{}    limits: {{idle: 3s}}\n", pinned(GIVES_ROLES)));
    proxy.setup.write(&pinned(GIVES_NO_ROLES));
    eventually("the wait", || waits_for(&proxy).filter(|what| what.contains("`sha256` pins")));
    proxy
}

#[test]
fn a_rollback_and_a_resume_overtake_a_wait_for_a_component() {
    let proxy = waiting_for_a_component();
    assert_eq!(ask(&proxy, &["rollback"]).status.code(), Some(0));
    assert!(waits_for(&proxy).is_some(), "it was not waited to the end");
    let (code, text) = said(&ask(&proxy, &["resume"]));
    assert!(code == Some(1) && text.contains("`sha256` pins"), "{code:?} {text}");
    assert!(text.contains("the pin of the rollback is taken away; generation 3 serves on"), "{text}");
    assert!(waits_for(&proxy).is_some(), "it was not waited to the end");
    let shown = page(&proxy, "/generation");
    assert_eq!((&shown["generation"], &shown["pinned"]), (&3.into(), &false.into()), "{shown:#}");
    // What is waited for serves as it comes.
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.reloaded(3);
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 403);
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 0.0);
}

#[test]
fn a_save_takes_the_place_of_what_is_waited_for() {
    let proxy = waiting_for_a_component();
    save(&proxy, &format!("{}    limits: {{idle: 4s}}\n", pinned(GIVES_ROLES)));
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 101);
    assert_eq!(waits_for(&proxy), None);
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 0.0);
}

#[test]
fn a_wait_is_said_once_and_again_when_it_is_for_something_else() {
    let proxy = waiting_for_a_component();
    let looks = || proxy.metric("cordboard_reloads_total{result=\"refused\"}");
    proxy.logged(&[
        "WARN",
        "a reload waits for components that are not yet what `sha256` pins or their signatures say",
        &sha256(GIVES_ROLES),
    ]);
    proxy.setup.put("policy.wasm", b"the first piece");
    proxy.logged(&["WARN", "a reload waits for components", &sha256(b"the first piece")]);
    eventually("the end of the wait", || (looks() > 0.5).then_some(()));
    let lines = proxy.log().into_iter().filter(|line| line.contains("a reload waits for")).count();
    assert_eq!(lines, 2, "{:#?}", proxy.log());
    // That is known now: another event in the folder is no reason to wait again.
    let unchanged = proxy.metric("cordboard_reloads_total{result=\"unchanged\"}");
    proxy.setup.put("neighbour.txt", b"1");
    eventually("another look", || {
        (proxy.metric("cordboard_reloads_total{result=\"unchanged\"}") > unchanged).then_some(())
    });
    let lines = proxy.log().into_iter().filter(|line| line.contains("a reload waits for")).count();
    assert_eq!(lines, 2, "{:#?}", proxy.log());
}

#[test]
fn an_announced_hash_keeps_neither_a_save_nor_a_rollback_from_serving() {
    let proxy = Proxy::with(&chat_by("one"));
    let hash = |proxy: &Proxy| page(proxy, "/generation")["hash"].as_str().unwrap().to_owned();
    let first = hash(&proxy);
    save(&proxy, &chat_by("two"));
    let mut order = ordered(&proxy, &"0".repeat(64));
    save(&proxy, &chat_by("three"));
    assert_eq!(handshake(&proxy, "/chat?three=1"), 101);
    assert_eq!(ask(&proxy, &["rollback"]).status.code(), Some(0));
    assert_eq!(handshake(&proxy, "/chat?two=1"), 101);
    assert!(order.try_wait().unwrap().is_none(), "the order waits on");
    order.kill().unwrap();
    order.wait().unwrap();

    // What is announced and comes serves, whoever takes it up first.
    assert_eq!(ask(&proxy, &["resume"]).status.code(), Some(0));
    let order = ordered(&proxy, &first);
    proxy.setup.write(&chat_by("one"));
    let (code, text) = said(&order.wait_with_output().unwrap());
    assert_eq!((code, text), (Some(0), "generation 6 serves\n".to_owned()));
    assert_eq!(hash(&proxy), first);
}

#[test]
fn half_a_file_is_not_what_was_announced_and_its_other_half_is_waited_for() {
    let proxy = Proxy::with(&format!("{}reload: {{watch: off}}\n", chat_by("one")));
    let first = page(&proxy, "/generation")["hash"].as_str().unwrap().to_owned();
    let text = std::fs::read(proxy.setup.path()).unwrap();
    proxy.setup.write(&format!("{}reload: {{watch: off}}\n", chat_by("two")));
    assert_eq!(ask(&proxy, &["reload"]).status.code(), Some(0));
    let order = ordered(&proxy, &first);
    proxy.setup.put("cordboard.yaml", b"routes: [");
    proxy.logged(&["WARN", "a reload waits for files", "cordboard.yaml:1:"]);
    proxy.setup.put("cordboard.yaml", &text);
    assert_eq!(said(&order.wait_with_output().unwrap()), (Some(0), "generation 3 serves\n".to_owned()));
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 0.0);
}
