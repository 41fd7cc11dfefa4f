//! Reload: a change on disk decides the next handshake and touches no conversation; a bad one changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "policy/guests.rs"]
#[allow(dead_code)] // most of them are for the tests of policies
mod guests;
#[path = "reload/history.rs"]
mod history;
#[path = "reload/listeners.rs"]
mod listeners;
#[path = "reload/orders.rs"]
mod orders;
#[path = "reload/waits.rs"]
mod waits;

use std::{
    fs,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use support::{
    CHAT, Proxy, Setup,
    dial::{Ws, converse, dial, hear_text},
    echo::Echo,
    eventually, http, status, upgrade,
    upstream::Upstream,
    wire::{BINARY, CLOSE, TEXT, Wire, bare, close, masked},
};

/// Components as files: they differ in what they decide with an empty configuration.
const GIVES_ROLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rendezvous.wasm"));
const GIVES_NO_ROLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/router.wasm"));

/// The chat, whose ids are read from this query parameter.
fn chat_by(parameter: &str) -> String {
    CHAT.replace("'builtin:rendezvous'", &format!("'builtin:rendezvous', config: {{channelQuery: [{parameter}]}}"))
}

/// The chat, whose policy is the file `policy.wasm`; both components are known, so that neither has to be compiled.
fn chat_by_file(plugin: &str) -> String {
    CHAT.replace("component: 'builtin:rendezvous'", plugin)
        .replace("plugins: {", "plugins: {a: {component: 'builtin:router'}, b: {component: 'builtin:rendezvous'}, ")
}

fn handshake(proxy: &Proxy, target: &str) -> u16 {
    status(&http(proxy.address, &upgrade(target, "")).0)
}

#[tokio::test]
async fn a_changed_configuration_decides_the_next_handshake() {
    let proxy = Proxy::with(&chat_by("room"));
    assert_eq!((handshake(&proxy, "/chat?room=1"), handshake(&proxy, "/chat?hall=1")), (101, 400));
    let before = proxy.generation();
    proxy.setup.write(&chat_by("hall"));
    assert_eq!(proxy.reloaded(before), before + 1);
    assert_eq!((handshake(&proxy, "/chat?room=2"), handshake(&proxy, "/chat?hall=2")), (400, 101));
    proxy.logged(&["a new generation serves", "generation=2", "rendezvous@"]);
    proxy.metric_becomes("cordboard_reloads_total{result=\"applied\"}", 1.0);
    proxy.metric_becomes("cordboard_generation", 2.0);
}

#[tokio::test]
async fn legs_that_wait_survive_a_swap_and_are_joined_by_arrivals_of_the_next_generation() {
    let proxy = Proxy::with(&chat_by("room"));
    let mut client: Ws = dial(&proxy, "/chat?room=1").await;
    let mut backend: Ws = dial(&proxy, "/chat/connect?room=2").await;
    support::dial::say(&mut client, "said before the swap").await;
    let before = proxy.generation();
    proxy.setup.write(&chat_by("hall"));
    proxy.reloaded(before);
    let mut partner = dial(&proxy, "/chat/connect?hall=1").await;
    assert_eq!(hear_text(&mut partner).await, "said before the swap");
    converse(&mut client, &mut partner, "one").await;
    let mut partner = dial(&proxy, "/chat?hall=2").await;
    converse(&mut backend, &mut partner, "two").await;
    // Nobody needs the first generation any more, though its legs live on.
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}

#[tokio::test]
async fn a_conversation_in_the_middle_of_a_frame_and_of_a_message_goes_on() {
    let upstream = Upstream::bind().await;
    let routed = |host: &str| {
        format!(
            "{}  - {{name: ws, match: {{path: /{host}}}, mode: router, service: up}}\n\
             services: {{up: {{endpoints: ['ws://{}']}}}}\n",
            chat_by(host),
            upstream.address
        )
    };
    let proxy = Proxy::with(&routed("one"));
    let mut client = Wire::open(proxy.address, "/chat?one=1").await;
    let mut backend = Wire::open(proxy.address, "/chat/connect?one=1").await;
    let (mut caller, mut dialled) = tokio::join!(Wire::open(proxy.address, "/one"), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        dialled
    });

    let halves = |frame: Vec<u8>| {
        let (first, second) = frame.split_at(frame.len() / 2);
        (first.to_vec(), second.to_vec())
    };
    let fragment = [masked(0x01, b"first half, "), masked(0x80, b"second half")].concat();
    let (chat_begin, chat_rest) = halves([fragment, masked(BINARY, &vec![3; 100_000])].concat());
    let (up_begin, up_rest) = halves(bare(BINARY, &vec![4; 100_000]));
    client.write(&chat_begin).await;
    dialled.write(&up_begin).await;
    for (n, name) in ["two", "three", "four"].iter().enumerate() {
        proxy.setup.write(&routed(name));
        proxy.reloaded(n as u64 + 1);
    }
    assert_eq!(handshake(&proxy, "/one"), 404, "the swap happened");
    client.write(&chat_rest).await;
    dialled.write(&up_rest).await;
    backend.expect(0x01, b"first half, ").await;
    backend.expect(0x80, b"second half").await;
    backend.expect(BINARY, &vec![3; 100_000]).await;
    caller.expect(BINARY, &vec![4; 100_000]).await;
    caller.send(CLOSE, &close(4001, "as ever")).await;
    assert_eq!(dialled.expect_close().await, Some((4001, "as ever".to_owned())));
}

#[tokio::test]
async fn handshakes_beside_a_storm_of_swaps_all_succeed() {
    let echo = Echo::start("up");
    let config = |n: usize| {
        format!(
            "{CHAT}    limits: {{message: {}MiB}}\n  - {{name: ws, match: {{path: /ws}}, mode: router, service: up}}\n\
             services: {{up: {{endpoints: ['ws://{}']}}}}\n",
            n % 5 + 1,
            echo.address
        )
    };
    let proxy = Proxy::with(&config(0));
    let (mut swaps, mut handshakes) = (0, 0);
    while swaps < 20 {
        if proxy.generation() > swaps {
            swaps += 1;
            proxy.setup.write(&config(usize::try_from(swaps).unwrap()));
        }
        let (client, backend) =
            (format!("/chat?channelId={handshakes}"), format!("/chat/connect?channelId={handshakes}"));
        let (mut client, mut backend, mut routed) =
            tokio::join!(dial(&proxy, &client), dial(&proxy, &backend), dial(&proxy, "/ws"));
        converse(&mut client, &mut backend, "joined").await;
        assert_eq!(hear_text(&mut routed).await, "up");
        handshakes += 1;
    }
    assert!(handshakes >= 20, "{handshakes}");
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 0.0);
}

#[tokio::test]
async fn a_broken_configuration_is_refused_with_its_reasons_and_the_old_one_serves() {
    let proxy = Proxy::with(CHAT);
    let mut waiting = dial(&proxy, "/chat?channelId=1").await;
    proxy.setup.write(&format!("{CHAT}    rendezvous: {{hold: many}}\n    limits: {{idle: often}}\n"));
    let line = proxy.logged(&["the changed configuration was refused", "generation 1 serves on"]);
    assert!(line.contains("ERROR"), "{line}");
    proxy.logged(&["refused: ", "cordboard.yaml:11:24: routes[0].rendezvous.hold: `many` is not a size", "64KiB"]);
    proxy.logged(&["refused: ", "cordboard.yaml:12:20: routes[0].limits.idle: `often` is not a duration", "250ms"]);
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 1.0);
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    assert_eq!(page["generation"], 1);
    let problems = page["refused"]["problems"].as_array().unwrap();
    for problem in ["cordboard.yaml:11:24: routes[0].rendezvous.hold", "cordboard.yaml:12:20: routes[0].limits.idle"] {
        assert!(problems.iter().any(|known| known.as_str().unwrap().contains(problem)), "{problem} in {problems:#?}");
    }
    let mut backend = dial(&proxy, "/chat/connect?channelId=1").await;
    converse(&mut waiting, &mut backend, "undisturbed").await;

    proxy.setup.write(&chat_by("room"));
    proxy.reloaded(1);
    eventually("the record of the refusal to be gone, as a later one was applied", || {
        let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
        page["refused"].is_null().then_some(())
    });
}

#[test]
fn a_refusal_is_said_once_however_often_the_folder_changes() {
    let proxy = Proxy::with(CHAT);
    let unchanged = || proxy.metric("cordboard_reloads_total{result=\"unchanged\"}");
    eventually("the first look at the file", || (unchanged() > 0.5).then_some(()));
    proxy.setup.write("routes: nonsense\n");
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 1.0);
    for round in 0..3 {
        let before = unchanged();
        proxy.setup.put("neighbour.txt", round.to_string().as_bytes());
        eventually("another look at the file", || (unchanged() > before).then_some(()));
    }
    proxy.metric_becomes("cordboard_reloads_total{result=\"refused\"}", 1.0);
    let said = proxy.log().iter().filter(|line| line.contains("the changed configuration was refused")).count();
    assert_eq!(said, 1, "{:#?}", proxy.log());
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_and_says_so() {
    let proxy = Proxy::with(CHAT);
    proxy.setup.write(&format!("workers: 3\n{CHAT}"));
    // Its own lines come after two of the setup's and that of `reload`.
    proxy.logged(&["cordboard.yaml:4:10: workers: a change of `workers` needs a restart"]);
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    let problem = page["refused"]["problems"][0].as_str().unwrap();
    assert!(problem.ends_with("\n4 | workers: 3\n  |          ^"), "{problem}");
}

#[tokio::test]
async fn the_same_configuration_again_is_no_new_generation() {
    let proxy = Proxy::with(CHAT);
    let looks = || proxy.metric("cordboard_reloads_total{result=\"unchanged\"}");
    // The first look is when the watch begins.
    eventually("the first look at the file", || (looks() > 0.5).then_some(()));
    let before = looks();
    proxy.setup.write(CHAT);
    eventually("another look at the file", || (looks() > before).then_some(()));
    assert_eq!(proxy.generation(), 1);
}

/// Replaces the policy again and again in one way; the quickest swap must have taken less than a second, whatever else
/// this machine had to do meanwhile.
fn swapped_within_a_second(proxy: &Proxy, mut replace: impl FnMut(&[u8])) {
    let mut quickest = Duration::MAX;
    for round in 0..4 {
        let (component, decision) = if round % 2 == 0 { (GIVES_NO_ROLES, 403) } else { (GIVES_ROLES, 101) };
        let saved = Instant::now();
        replace(component);
        eventually("the next decision", || {
            (handshake(proxy, &format!("/chat?channelId={round}")) == decision).then_some(())
        });
        quickest = quickest.min(saved.elapsed());
    }
    assert!(quickest < Duration::from_secs(1), "the quickest swap took {quickest:?}");
}

// Regression: what was called a reload read the file again and went on with the old classes.
#[test]
fn a_component_replaced_by_rename_decides_the_next_handshake_within_a_second() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    swapped_within_a_second(&proxy, |component| proxy.setup.put("policy.wasm", component));
}

#[test]
fn a_component_truncated_and_written_decides_the_next_handshake_within_a_second() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    // Should truncating and writing lie further apart than the quiet period, the piece is refused and the whole taken.
    swapped_within_a_second(&proxy, |component| fs::write(proxy.setup.file("policy.wasm"), component).unwrap());
}

#[test]
fn a_component_behind_a_swapped_symbolic_link_decides_the_next_handshake_within_a_second() {
    // As Kubernetes does it: policy.wasm -> ..data/policy.wasm, and `..data` is a link that is renamed over.
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    for (dir, component) in [("v1", GIVES_ROLES), ("v2", GIVES_NO_ROLES)] {
        fs::create_dir(setup.file(dir)).unwrap();
        fs::write(setup.file(dir).join("policy.wasm"), component).unwrap();
    }
    let link = |from: &str, to: std::path::PathBuf| std::os::unix::fs::symlink(from, to).unwrap();
    link("v1", setup.file("..data"));
    link("..data/policy.wasm", setup.file("policy.wasm"));
    let proxy = setup.start();
    swapped_within_a_second(&proxy, |component| {
        let dir = if component == GIVES_ROLES { "v1" } else { "v2" };
        link(dir, proxy.setup.file("..new"));
        fs::rename(proxy.setup.file("..new"), proxy.setup.file("..data")).unwrap();
    });
}

#[test]
fn a_component_written_in_pieces_is_taken_once_it_is_whole() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    proxy.setup.put("policy.wasm", &GIVES_NO_ROLES[..GIVES_NO_ROLES.len() / 2]);
    proxy.logged(&["the changed configuration was refused"]);
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/chat?channelId=1"), 403);
}

#[tokio::test]
async fn a_component_that_refuses_its_configuration_is_refused_in_its_own_words() {
    let proxy = Proxy::with(CHAT);
    proxy
        .setup
        .write(&CHAT.replace("'builtin:rendezvous'", "'builtin:rendezvous', config: {backendPath: '/connect?x'}"));
    proxy.logged(&["plugins.rendezvous.config: ", "backendPath", "the query never counts"]);
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
}

#[test]
fn a_deleted_file_changes_nothing_and_its_return_counts() {
    let setup = Setup::new(&chat_by_file("component: policy.wasm"));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    fs::remove_file(proxy.setup.file("policy.wasm")).unwrap();
    proxy.logged(&["plugins.rendezvous", "policy.wasm", "No such file", "generation=1"]);
    fs::remove_file(proxy.setup.path()).unwrap();
    proxy.logged(&["cordboard.yaml", "No such file"]);
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.setup.write(&chat_by_file("component: policy.wasm"));
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/chat?channelId=2"), 403);
}

fn sha256(wasm: &[u8]) -> String {
    // As sha256sum prints it.
    format!("{:x}", Sha256::digest(wasm))
}

#[test]
fn a_component_that_is_not_the_pinned_one_is_refused_and_both_hashes_are_named() {
    let pinned = |wasm: &[u8]| chat_by_file(&format!("component: policy.wasm, sha256: '{}'", sha256(wasm)));
    let setup = Setup::new(&pinned(GIVES_ROLES));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.logged(&[&sha256(GIVES_ROLES), &sha256(GIVES_NO_ROLES), "policy.wasm"]);
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
    // The pin moves too: now they agree.
    proxy.setup.write(&pinned(GIVES_NO_ROLES));
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/chat?channelId=2"), 403);
}

#[test]
fn a_pin_that_comes_before_its_component_takes_effect_with_it() {
    let pinned = |wasm: &[u8]| chat_by_file(&format!("component: policy.wasm, sha256: '{}'", sha256(wasm)));
    let setup = Setup::new(&pinned(GIVES_ROLES));
    setup.put("policy.wasm", GIVES_ROLES);
    let proxy = setup.start();
    proxy.setup.write(&pinned(GIVES_NO_ROLES));
    assert_eq!((proxy.generation(), handshake(&proxy, "/chat?channelId=1")), (1, 101));
    proxy.setup.put("policy.wasm", GIVES_NO_ROLES);
    proxy.reloaded(1);
    assert_eq!(handshake(&proxy, "/chat?channelId=2"), 403);
}

#[tokio::test]
async fn a_removed_endpoint_is_not_dialled_again_and_keeps_its_sessions() {
    let (old, new) = (Echo::start("old"), Echo::start("new"));
    let to = |echo: &Echo| {
        format!(
            "routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: up}}]\n\
             services: {{up: {{endpoints: ['ws://{}']}}}}\n",
            echo.address
        )
    };
    let proxy = Proxy::with(&to(&old));
    let mut kept = dial(&proxy, "/ws").await;
    assert_eq!(hear_text(&mut kept).await, "old");
    proxy.setup.write(&to(&new));
    proxy.reloaded(1);
    assert_eq!(hear_text(&mut dial(&proxy, "/ws").await).await, "new");
    support::dial::say(&mut kept, "still there").await;
    assert_eq!(hear_text(&mut kept).await, "still there");
}

#[tokio::test]
async fn a_session_keeps_the_limits_it_began_with() {
    let limited = |bytes: u32| format!("{CHAT}    limits: {{message: {bytes}B}}\n");
    let proxy = Proxy::with(&limited(100));
    let mut client = Wire::open(proxy.address, "/chat?channelId=1").await;
    let mut backend = Wire::open(proxy.address, "/chat/connect?channelId=1").await;
    proxy.setup.write(&limited(10));
    proxy.reloaded(1);
    client.send(TEXT, &[b'x'; 50]).await;
    backend.expect(TEXT, &[b'x'; 50]).await;
    let mut next = Wire::open(proxy.address, "/chat?channelId=2").await;
    next.send(TEXT, &[b'x'; 50]).await;
    assert_eq!(next.expect_close().await.map(|(code, _)| code), Some(1009));
}
