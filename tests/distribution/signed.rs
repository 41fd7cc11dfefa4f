//! Signatures: whose count, where they are, and that a component without one is refused where one is wanted.

use super::{support::files::Answer, *};

fn trust(keys: &[(&str, &str)], require: &str) -> String {
    let keys: Vec<_> = keys.iter().map(|(name, key)| format!("{name}: '{key}'")).collect();
    format!("trust: {{keys: {{{}}}, require: {require}}}\n", keys.join(", "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_component_of_a_web_server_serves_also_without_a_network() {
    let place = Place::new();
    let server = Files::plain().await;
    let (key, public) = place.key("release");
    let signature = place.signature(GIVES_ROLES, &key);
    server.serve(&[("/own.wasm", GIVES_ROLES), ("/own.wasm.sig", &signature)]);
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let yaml = place.chat(&plugin, "timeout: 5s", &trust(&[("release", &public)], "remote"));
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    drop(proxy);
    drop(server);
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&["the cached copy serves"]);
    drop(proxy);
    // The copy counts for no more than its signature does.
    let (_, other) = place.key("other");
    let (code, text) = place.refused(&place.chat(&plugin, "timeout: 5s", &trust(&[("other", &other)], "remote")));
    assert!(code == 78 && text.contains("no connection"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_by_whom_it_should_be_is_refused_and_not_kept() {
    let place = Place::new();
    let server = Files::plain().await;
    let ((release, public), (stranger, _)) = (place.key("release"), place.key("stranger"));
    let good = place.signature(GIVES_ROLES, &release);
    let strangers = place.signature(GIVES_ROLES, &stranger);
    let others = place.signature(GIVES_NO_ROLES, &release);
    // What was signed for one component, said to be of another.
    let moved = String::from_utf8(others.clone()).unwrap().replace(&sha256(GIVES_NO_ROLES), &sha256(GIVES_ROLES));
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let yaml = place.chat(&plugin, "", &trust(&[("release", &public)], "unpinned"));
    for (signature, expected) in [
        (None, "its signature http://"),
        (Some(strangers.as_slice()), "which is none of those that may sign it: release ("),
        (Some(&others), "the signature is of a component that hashes to"),
        (Some(moved.as_bytes()), "the signature that claims to be of the key `release` is wrong"),
        (Some(b"hello"), "this is no signature"),
    ] {
        let signed: Vec<_> = signature.map(|signature| ("/own.wasm.sig", signature)).into_iter().collect();
        server.serve(&[&[("/own.wasm", GIVES_ROLES)], &signed[..]].concat());
        let (code, text) = place.refused(&yaml);
        assert!(code == 78 && text.contains(expected), "{expected}\n{text}");
        assert!(!place.cached(GIVES_ROLES).exists());
    }
    server.serve(&[("/own.wasm", GIVES_ROLES), ("/own.wasm.sig", &good)]);
    assert_eq!(handshake(&place.start(&yaml)), 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_is_enough_by_default_and_not_where_signatures_are_required() {
    let place = Place::new();
    let server = Files::plain().await;
    let (key, public) = place.key("release");
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let plugin = pinned(&server.url("/own.wasm"), GIVES_ROLES);
    let yaml = |plugin: &str, require: &str| place.chat(plugin, "", &trust(&[("release", &public)], require));
    assert_eq!(handshake(&place.start(&yaml(&plugin, "unpinned"))), 101);
    assert_eq!(server.asked().len(), 1);
    for required in [yaml(&plugin, "remote"), yaml(&format!("{plugin}, signed_by: [release]"), "never")] {
        let (code, text) = place.refused(&required);
        assert!(code == 78 && text.contains("its signature") && text.contains("404"), "{text}");
    }
    // From anywhere else, too.
    fs::write(place.path("own.sig"), place.signature(GIVES_ROLES, &key)).unwrap();
    let elsewhere = format!("{plugin}, signature: '{}'", place.path("own.sig").display());
    assert_eq!(handshake(&place.start(&yaml(&elsewhere, "remote"))), 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_no_longer_trusted_is_noticed_at_the_next_reload_which_is_refused() {
    let place = Place::new();
    let server = Files::plain().await;
    let ((key, public), (_, other)) = (place.key("release"), place.key("other"));
    let signature = place.signature(GIVES_ROLES, &key);
    server.serve(&[("/own.wasm", GIVES_ROLES), ("/own.wasm.sig", &signature)]);
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let yaml = |keys: &[(&str, &str)]| place.chat(&plugin, "", &trust(keys, "remote"));
    let proxy = place.start(&yaml(&[("release", &public), ("other", &other)]));
    proxy.setup.write(&yaml(&[("other", &other)]));
    proxy.logged(&["ERROR", "refused", "none of those that may sign it"]);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_need_signatures_where_all_do_and_are_waited_for_where_one_comes_first() {
    let place = Place::new();
    let (key, public) = place.key("release");
    let yaml = chat("component: own.wasm", &trust(&[("release", &public)], "always"));
    let setup = Place::setup(&yaml);
    setup.put("own.wasm", GIVES_ROLES);
    let run = |setup: &Setup| {
        let mut command = binary();
        command.args(["run", "--config", &shown(&setup.path())]);
        ends(command)
    };
    let (code, text) = run(&setup);
    assert!(
        code == 78 && text.contains("plugins.rendezvous.signature") && text.contains("own.wasm.sig: No such file"),
        "{text}"
    );
    setup.put("own.wasm.sig", &place.signature(GIVES_NO_ROLES, &key));
    let (code, text) = run(&setup);
    assert!(code == 78 && text.contains("the signature is of a component that hashes to"), "{text}");
    setup.put("own.wasm.sig", &place.signature(GIVES_ROLES, &key));
    let proxy = setup.start();
    assert_eq!(handshake(&proxy), 101);
    // The component first, its signature later: neither is refused meanwhile.
    proxy.setup.put("own.wasm", GIVES_NO_ROLES);
    proxy
        .logged(&["WARN", "a reload waits for components that are not yet what `sha256` pins or their signatures say"]);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    proxy.setup.put("own.wasm.sig", &place.signature(GIVES_NO_ROLES, &key));
    assert_eq!(proxy.reloaded(1), 2);
    assert_eq!(handshake(&proxy), 403);
    assert!(!proxy.log().iter().any(|line| line.contains("was refused")), "{:?}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_is_demanded_later_is_fetched_once_and_kept() {
    let place = Place::new();
    let server = Files::plain().await;
    let (key, public) = place.key("release");
    let signature = place.signature(GIVES_ROLES, &key);
    server.serve(&[("/own.wasm", GIVES_ROLES), ("/own.wasm.sig", &signature)]);
    let plugin = pinned(&server.url("/own.wasm"), GIVES_ROLES);
    let yaml = |plugin: &str| place.chat(plugin, "timeout: 5s", &trust(&[("release", &public)], "unpinned"));
    drop(place.start(&yaml(&plugin)));
    let signed = yaml(&format!("{plugin}, signed_by: [release]"));
    // Who cannot be reached at first is asked again for it, too.
    let tries = std::sync::atomic::AtomicUsize::new(0);
    server.say(move |asked| match (&*asked.target, tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst)) {
        ("/own.wasm.sig", 0) => Answer::status(503),
        ("/own.wasm.sig", _) => Answer::ok(&signature),
        _ => Answer::status(404),
    });
    drop(place.start(&signed));
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(asked, ["/own.wasm", "/own.wasm.sig", "/own.wasm.sig"]);
    drop(server);
    assert_eq!(handshake(&place.start(&signed)), 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_says_no_counts_by_its_status_however_long_its_page_is() {
    let place = Place::new();
    let server = Files::plain().await;
    let (_, public) = place.key("release");
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let yaml = place.chat(&plugin, "timeout: 10s", &trust(&[("release", &public)], "unpinned"));
    for (status, expected) in [(404, "answers 404 Not Found"), (503, "answers 503 Service Unavailable")] {
        server.say(move |asked| match &*asked.target {
            "/own.wasm" => Answer::ok(GIVES_ROLES),
            _ => Answer::Whole(status, Vec::new(), vec![b'x'; 100_000]),
        });
        let before = server.asked().len();
        let (code, text) = place.refused(&yaml);
        assert!(code == 78 && text.contains(expected) && text.len() < 2000, "{text}");
        // A server that fails is asked again, and one that says no is not.
        let signatures = server.asked()[before..].iter().filter(|asked| asked.target == "/own.wasm.sig").count();
        assert_eq!(signatures, if status == 503 { 3 } else { 1 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_in_a_file_of_a_fetched_component_is_waited_for_and_watched() {
    let place = Place::new();
    let server = Files::plain().await;
    let (key, public) = place.key("release");
    server.serve(&[("/own.wasm", GIVES_ROLES), ("/other.wasm", GIVES_NO_ROLES)]);
    let yaml = |path: &str| {
        let plugin = format!("component: '{}', signature: own.sig", server.url(path));
        place.chat(&plugin, "", &trust(&[("release", &public)], "unpinned"))
    };
    let (code, text) = place.refused(&yaml("/own.wasm"));
    assert!(code == 78 && text.contains("plugins.rendezvous.signature") && text.contains("own.sig"), "{text}");
    let setup = Place::setup(&yaml("/own.wasm"));
    setup.put("own.sig", &place.signature(GIVES_ROLES, &key));
    let cache = shown(&place.path("cache"));
    let proxy = Proxy::run(setup, &[], &["--code-cache", &cache]);
    assert_eq!(handshake(&proxy), 101);
    proxy.setup.write(&yaml("/other.wasm"));
    proxy.logged(&["WARN", "a reload waits for components"]);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    proxy.setup.put("own.sig", &place.signature(GIVES_NO_ROLES, &key));
    assert_eq!(proxy.reloaded(1), 2);
    assert_eq!(handshake(&proxy), 403);
    // What is signed by nobody any more is noticed by the file alone.
    proxy.setup.put("own.sig", b"hello");
    proxy.logged(&["WARN", "a reload waits for components", "this is no signature"]);
}
