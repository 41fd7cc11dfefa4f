//! Servers and networks that misbehave: each is told by what is wrong with it.

use std::net::TcpListener;

use super::{
    support::files::{Answer, Files},
    *,
};

/// What is said of a component at this URL, which is not pinned, with further keys of `fetch`.
fn why(place: &Place, url: &str, fetch: &str) -> String {
    let yaml = place.chat(&format!("component: '{url}'"), fetch, "trust: {require: never}\n");
    let (code, text) = place.refused(&yaml);
    assert_eq!(code, 78, "{text}");
    assert!(text.contains(url), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_that_is_no_component_says_what_it_is() {
    let place = Place::new();
    let server = place.server().await;
    let url = server.url("/own.wasm");
    for (answer, expected) in [
        (Answer::status(404), "answers 404 Not Found; there is no such thing there, or not for us"),
        (Answer::status(401), "answers 401 Unauthorized; give a user and password for it in `fetch.hosts`"),
        (Answer::status(403), "answers 403 Forbidden; give a user and password"),
        (Answer::status(410), "answers 410 Gone"),
        (Answer::ok(b"<html>").with("Content-Type", "text/html"), "is no WebAssembly; the server calls it text/html"),
        (Answer::ok(b""), "is no WebAssembly"),
        (
            Answer::Whole(500, Vec::new(), b"out of\x1b[31m order".to_vec()),
            "answers 500 Internal Server Error (out of [31m order)",
        ),
        (Answer::CutOff(GIVES_ROLES.to_vec()), "broke off after"),
        (Answer::Endless, "and at most 134217728 are taken"),
    ] {
        let shown = format!("{answer:.60?}");
        server.say(move |_| answer.clone());
        let text = why(&place, &url, "timeout: 10s");
        assert!(text.contains(expected), "{expected}\n{text}");
        assert!(!place.cached(GIVES_ROLES).exists(), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_given_up() {
    let place = Place::new();
    let server = place.server().await;
    server.say(|_| Answer::Silent);
    let text = why(&place, &server.url("/own.wasm"), "timeout: 300ms");
    assert!(text.contains("not done within 300ms (`fetch.timeout`)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_reached_is_named_with_the_reason() {
    let place = Place::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = why(&place, &format!("https://{nobody}/own.wasm"), "timeout: 20s");
    assert!(text.contains(&format!("no connection to {nobody}")) && text.contains("refused"), "{text}");
    let text = why(&place, "https://cordboard.invalid/own.wasm", "timeout: 20s");
    assert!(text.contains("`cordboard.invalid` has no address"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_to_be_believed_is_told_by_what_is_wrong_with_it() {
    let place = Place::new();
    let other = Authority::new();
    for (identity, expected) in [
        (
            other.server(&["127.0.0.1"]),
            "nobody who is believed has signed its certificate; `fetch.ca_file` can name who has",
        ),
        (place.authority.server(&["other.example"]), "its certificate is for another name"),
        (place.authority.server_until(&["127.0.0.1"], 2020), "its certificate has expired"),
    ] {
        let server = Files::with(identity).await;
        server.serve(&[("/own.wasm", GIVES_ROLES)]);
        let text = why(&place, &server.url("/own.wasm"), "timeout: 20s");
        assert!(text.contains(expected), "{expected}\n{text}");
        assert_eq!(server.asked().len(), 0);
    }
    let plain = Files::plain().await;
    let text = why(&place, &plain.url("/own.wasm").replace("http:", "https:"), "timeout: 20s");
    assert!(text.contains("it does not speak TLS"), "{text}");
    let yaml = chat("component: 'https://127.0.0.1:1/x'", "fetch: {ca_file: none.pem}\ntrust: {require: never}\n");
    // Nobody listens there; the file is read when somebody does.
    assert!(place.refused(&yaml).1.contains("no connection"));
    // It is not waited for, either.
    let pipe = place.path("pipe.pem");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let fetch = format!("fetch: {{ca_file: '{}', timeout: 10s}}\ntrust: {{require: never}}\n", pipe.display());
    let text = place.refused(&chat(&format!("component: '{}'", plain.url("/x").replace("http:", "https:")), &fetch)).1;
    assert!(text.contains("`fetch.ca_file`") && text.contains("this is a pipe or a device"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_without_telling_others_who_we_are_and_never_away_from_tls() {
    let place = Place::new();
    let (server, store) = (place.server().await, place.server().await);
    store.serve(&[("/blob", GIVES_ROLES)]);
    let to = store.url("/blob");
    server.say(move |asked| match &*asked.target {
        "/own.wasm" => Answer::status(302).with("Location", "there"),
        "/there" => Answer::status(307).with("Location", &to),
        "/round" => Answer::status(301).with("Location", "/round"),
        _ => Answer::status(404),
    });
    let host = server.url("").replace("https://", "");
    let hosts = format!("hosts: {{'{host}': {{username: me, password: secret}}}}");
    let proxy = place.start(&place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), &hosts, ""));
    assert_eq!(handshake(&proxy), 101);
    let told =
        |server: &Files| -> Vec<_> { server.asked().iter().map(|a| a.headers.get("authorization").cloned()).collect() };
    let basic = Some("Basic bWU6c2VjcmV0".to_owned());
    assert_eq!((told(&server), told(&store)), (vec![basic.clone(), basic], vec![None]));

    assert!(why(&place, &server.url("/round"), "").contains("redirects more than 5 times"));
    let plain = Files::plain().await;
    let to = plain.url("/blob");
    server.say(move |_| Answer::status(302).with("Location", &to));
    assert!(why(&place, &server.url("/own.wasm"), "").contains("away from TLS"));
    assert_eq!(plain.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_reached_at_first_is_asked_again() {
    let place = Place::new();
    let server = place.server().await;
    let tries = std::sync::atomic::AtomicUsize::new(0);
    server.say(move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Answer::status(503),
        _ => Answer::ok(GIVES_ROLES),
    });
    let proxy = place.start(&place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "", ""));
    assert_eq!((handshake(&proxy), server.asked().len()), (101, 2));
}
