//! Without a network, and with a cache that somebody has been at.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use super::{
    support::{
        eventually,
        files::{Answer, Files},
    },
    *,
};

/// A proxy whose component is at this server, not pinned.
fn mutable(place: &Place, server: &Files) -> String {
    place.chat(&format!("component: '{}'", server.url("/own.wasm")), "timeout: 5s", "trust: {require: never}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_once_serves_again_without_a_network_and_that_is_said() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = mutable(&place, &server);
    drop(place.start(&yaml));
    let address = server.url("/own.wasm");
    drop(server);
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&[
        "WARN",
        "a component could not be looked at; the cached copy serves",
        &address,
        "copy_of=",
        "GMT",
        "no connection",
    ]);
    proxy.logged(&["WARN", "plugins.rendezvous.component", "the copy of", "GMT serves"]);
    proxy.metric_becomes("cordboard_component_copies", 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_counts_no_more_where_its_component_is_pinned() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = mutable(&place, &server);
    drop(place.start(&yaml));
    let pinned = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "timeout: 5s", "");
    drop(server);
    let proxy = place.start(&yaml);
    proxy.metric_becomes("cordboard_component_copies", 1.0);
    proxy.setup.write(&pinned);
    proxy.reloaded(1);
    proxy.metric_becomes("cordboard_component_copies", 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_repeats_what_a_placeholder_of_a_reference_stands_for() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/sesame-open/own.wasm", GIVES_ROLES)]);
    let plugin = format!("component: '{}/${{FOLDER}}/own.wasm'", server.url(""));
    let yaml = place.chat(&plugin, "timeout: 5s", "trust: {require: never}\n");
    let cache = shown(&place.path("cache"));
    let start = || Proxy::run(Place::setup(&yaml), &[("FOLDER", "sesame-open")], &["--code-cache", &cache]);
    let clean = |proxy: &Proxy| {
        assert_eq!(handshake(proxy), 101);
        let said = proxy.log().join("\n") + &proxy.get("/generation");
        assert!(!said.contains("sesame-open"), "{said}");
    };
    let proxy = start();
    proxy.logged(&["INFO", "a component was fetched", "${FOLDER}"]);
    clean(&proxy);
    drop((proxy, server));
    let proxy = start();
    proxy.logged(&["WARN", "the cached copy serves", "${FOLDER}"]);
    clean(&proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_is_believed_and_no_copy_covers_it_up() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = mutable(&place, &server);
    let proxy = place.start(&yaml);
    // A server that fails says nothing about what there is.
    server.say(|_| Answer::status(503));
    reload(&proxy);
    proxy.metric_becomes("cordboard_component_copies", 1.0);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    // One that has nothing any more does.
    server.say(|_| Answer::status(404));
    let text = reload(&proxy);
    assert!(text.contains("404"), "{text}");
    proxy.logged(&["ERROR", "refused", "answers 404"]);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    let (code, text) = place.refused(&yaml);
    assert!(code == 78 && text.contains("answers 404"), "{text}");
    // And it is back.
    server.serve(&[("/own.wasm", GIVES_NO_ROLES)]);
    reload(&proxy);
    assert_eq!((proxy.generation(), handshake(&proxy)), (2, 403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_fails_at_a_reload_leaves_what_serves_and_holds_up_no_rollback() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "timeout: 10m", "");
    let proxy = place.start(&yaml);
    proxy.setup.write(&(yaml.clone() + "log: {sessions: false}\n"));
    let now = proxy.reloaded(1);
    // What is to serve next does not come.
    server.say(|_| Answer::Silent);
    proxy.setup.write(&place.chat(&pinned(&server.url("/other.wasm"), GIVES_NO_ROLES), "timeout: 10m", ""));
    support::eventually("the fetch", || server.asked().iter().find(|asked| asked.target == "/other.wasm").cloned());
    let (code, text) = run(&["rollback", "--admin", &proxy.admin.to_string()]);
    assert_eq!(code, 0, "{text}");
    assert_eq!((proxy.generation(), handshake(&proxy)), (now + 1, 101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_component_that_was_exchanged_is_noticed_and_fetched_anew() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "timeout: 5s", "");
    drop(place.start(&yaml));
    fs::write(place.cached(GIVES_ROLES), GIVES_NO_ROLES).unwrap();
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&["WARN", "a cached component is damaged; it is fetched anew"]);
    drop(proxy);
    assert_eq!(server.asked().len(), 2);
    assert_eq!(fs::read(place.cached(GIVES_ROLES)).unwrap(), GIVES_ROLES);
    // Where nobody can be asked it is not used either.
    fs::write(place.cached(GIVES_ROLES), GIVES_NO_ROLES).unwrap();
    drop(server);
    let (code, text) = place.refused(&yaml);
    assert!(code == 78 && text.contains("no connection"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cache_everything_is_fetched_at_each_start() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "", "");
    fs::write(place.path("cache"), "a file where the folder should be").unwrap();
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&["WARN", "fetched components are not cached"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fetches_what_it_checks() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let setup = Place::setup(&place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "", ""));
    let check = || {
        said(&binary().args(["check", &shown(&setup.path())]).env("XDG_CACHE_HOME", place.path("")).output().unwrap())
    };
    let (code, text) = check();
    assert!(code == 0 && text.contains("1 plugin"), "{text}");
    drop(server);
    let (code, text) = check();
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_takes_long_does_not_bring_back_what_was_replaced_meanwhile() {
    let place = Place::new();
    let server = place.server().await;
    let new = Arc::new(AtomicBool::new(false));
    let gate = Arc::new(Notify::new());
    server.say({
        let (new, gate) = (Arc::clone(&new), Arc::clone(&gate));
        move |asked| match asked.target.as_str() {
            "/slow.wasm" => Answer::Held(Arc::clone(&gate), Box::new(Answer::ok(GIVES_ROLES))),
            _ if new.load(Ordering::SeqCst) => Answer::ok(GIVES_NO_ROLES),
            _ => Answer::ok(GIVES_ROLES),
        }
    });
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let yaml = place.chat(&plugin, "timeout: 20s", "trust: {require: never}\n");
    let proxy = place.start(&yaml);
    // Saved, and taken back while what it wants is on its way.
    let slow = format!("plugins: {{slow: {{component: '{}'}}, ", server.url("/slow.wasm"));
    proxy.setup.write(&yaml.replacen("plugins: {", &slow, 1));
    eventually("the question", || server.asked().iter().any(|asked| asked.target == "/slow.wasm").then_some(()));
    proxy.setup.write(&yaml);
    new.store(true, Ordering::SeqCst);
    reload(&proxy);
    assert_eq!((proxy.generation(), handshake(&proxy)), (2, 403));
    gate.notify_one();
    proxy.metric_becomes("cordboard_reloads_total{result=\"unchanged\"}", 1.0);
    assert_eq!((proxy.generation(), handshake(&proxy)), (2, 403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_is_mended_for_a_newer_component_serves_with_that_at_the_save() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let at = |config: &str| {
        let plugin = format!("component: '{}'{config}", server.url("/own.wasm"));
        place.chat(&plugin, "timeout: 5s", "trust: {require: never}\n")
    };
    let proxy = place.start(&at(", config: {channelQuery: [channelId]}"));
    server.serve(&[("/own.wasm", GIVES_NO_ROLES)]);
    let said = reload(&proxy);
    assert!(said.contains("channelQuery"), "{said}");
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    let asked = server.asked().len();
    proxy.setup.write(&at(""));
    proxy.reloaded(1);
    assert_eq!((handshake(&proxy), server.asked().len()), (403, asked));
}
