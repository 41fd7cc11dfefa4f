//! Shapes that two programs may read in two ways: each is refused, with everything behind it.

use std::collections::BTreeSet;

use super::{Raw, answers, get, proxy};
use crate::support::{Proxy, eventually, upgrade, upstream::Refusing};

/// Name, bytes, status, label.
pub(crate) type Shape = (&'static str, String, u16, &'static str);

fn post(fields: &str) -> String {
    format!("POST /chat HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

fn ws(fields: &str) -> String {
    upgrade("/ws", fields)
}

pub(crate) fn heads() -> Vec<Shape> {
    let (te, cl) = ("Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n");
    let bad = |name, bytes: String| (name, bytes, 400, "bad-head");
    let host = |name, bytes: String| (name, bytes, 400, "bad-header");
    let coding = |name, value: &str| (name, post(&format!("Transfer-Encoding: {value}\r\n")), 501, "transfer-coding");
    let version = |name, line: &str| (name, format!("{line}\r\nHost: test\r\n\r\n"), 505, "http-version");
    vec![
        // Lengths.
        bad("a length and then a coding", post(&format!("{cl}{te}")) + "0\r\n\r\n"),
        bad("a coding and then a length", post(&format!("{te}{cl}")) + "0\r\n\r\n"),
        bad("two lengths that differ", post("Content-Length: 4\r\nContent-Length: 5\r\n") + "abcd"),
        bad("two lengths that do not", post(&cl.repeat(2)) + "abcd"),
        bad("a list of lengths", post("Content-Length: 4, 4\r\n") + "abcd"),
        bad("a length with a sign", post("Content-Length: +4\r\n") + "abcd"),
        bad("a length below zero", post("Content-Length: -1\r\n")),
        bad("a length in hexadecimal", post("Content-Length: 0x4\r\n") + "abcd"),
        bad("a length that overflows", post("Content-Length: 18446744073709551620\r\n") + "abcd"),
        bad("no digits", post("Content-Length: \r\n")),
        // Codings.
        bad("two codings", post(&te.repeat(2)) + "0\r\n\r\n"),
        coding("chunked is not the last coding", "chunked, identity"),
        coding("another coding before chunked", "gzip, chunked"),
        coding("a list that holds chunked twice", "chunked, chunked"),
        coding("an unknown coding", "xchunked"),
        coding("a coding in quotes", "\"chunked\""),
        coding("no coding", ""),
        bad("a vertical tab before the coding", post("Transfer-Encoding: \u{b}chunked\r\n") + "0\r\n\r\n"),
        bad("a coding in HTTP/1.0", format!("POST /chat HTTP/1.0\r\n{te}\r\n0\r\n\r\n")),
        // Names.
        bad("a space before the colon of a length", post("Content-Length : 4\r\n") + "abcd"),
        bad("a tab before the colon of a coding", post("Transfer-Encoding\t: chunked\r\n") + "0\r\n\r\n"),
        bad("a name with a control character", post("Transfer-Encoding\u{1}: chunked\r\n")),
        bad("a name that is not a token", post("Content[Length]: 4\r\n")),
        bad("a name that is not ASCII", post("L\u{e4}nge: 4\r\n")),
        bad("a field without a colon", post("Content-Length 4\r\n")),
        bad("a field without a name", post(": 4\r\n")),
        // Values and lines.
        bad("NUL in a value", post("X: a\0b\r\n")),
        bad("DEL in a value", post("X: a\u{7f}b\r\n")),
        bad("a CR in a value", post("X: a\rContent-Length: 4\r\n")),
        bad("a CR before CR LF", post("Content-Length: 4\r\r\n")),
        bad("a lone LF behind a field", post("X: a\nContent-Length: 4\r\n")),
        bad("lone LFs only", "GET /chat HTTP/1.1\nHost: test\n\n".into()),
        bad("a lone LF for the empty line", "GET /chat HTTP/1.1\r\nHost: test\r\n\n".into()),
        bad("a folded line", post("X: a\r\n Content-Length: 4\r\n")),
        bad("a line folded with a tab", post("Content-Length: 4\r\n\t0\r\n")),
        bad("white space before the first field", "GET /chat HTTP/1.1\r\n Host: test\r\n\r\n".into()),
        // The request line.
        bad("two spaces", "GET  /chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a tab for a space", "GET\t/chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a space at the end", "GET /chat HTTP/1.1 \r\nHost: test\r\n\r\n".into()),
        bad("a space in the target", "GET /chat x HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a space before the method", " GET /chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a method that is not a token", "G\u{1}T /chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a control character in the target", "GET /chat\u{1} HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a fragment", "GET /chat#x HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("HTTP/0.9", "GET /chat\r\n".into()),
        version("HTTP/0.9 with fields", "GET /chat HTTP/0.9"),
        version("HTTP/1.2", "GET /chat HTTP/1.2"),
        version("HTTP/2.0", "GET /chat HTTP/2.0"),
        version("HTTP/2 with prior knowledge", "PRI * HTTP/2.0"),
        bad("a version in lower case", "GET /chat http/1.1\r\nHost: test\r\n\r\n".into()),
        bad("two empty lines before it", format!("\r\n\r\n{}", get("/chat"))),
        bad("an empty line that is a lone LF", format!("\n{}", get("/chat"))),
        bad("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}".into()),
        // Where it goes.
        host("no host", "GET /chat HTTP/1.1\r\n\r\n".into()),
        host("two hosts", get("/chat").replace("\r\n\r\n", "\r\nHost: other\r\n\r\n")),
        host("the same host twice", get("/chat").replace("\r\n\r\n", "\r\nHost: test\r\n\r\n")),
        host("a target with another host", "GET http://other/chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        host("a target with another port", "GET http://test:81/chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        host("a target with a user", "GET http://u@test/chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("a target with another scheme", "GET file://test/chat HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("an asterisk that is not for OPTIONS", "GET * HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("an authority as the target", "GET test:80 HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        bad("CONNECT", "CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n".into()),
        // Upgrades.
        ("a body on an upgrade", ws(cl) + "abcd", 400, "bad-upgrade"),
        ("chunks on an upgrade", ws(te) + "0\r\n\r\n", 400, "bad-upgrade"),
        (
            "a body on another upgrade",
            post(&format!("Connection: upgrade\r\nUpgrade: x\r\n{cl}")) + "abcd",
            400,
            "bad-upgrade",
        ),
        bad("a length and a coding on an upgrade", ws(&format!("{cl}{te}"))),
    ]
}

/// Chunks that are none.
pub(crate) const BAD_BODIES: &[&str] = &[
    "5 \r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "0\r\nContent-Length: 4\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "0\r\n\n",
    "0\r\nX: y\n\r\n",
];

/// A request with these chunks.
pub(crate) fn chunked(chunks: &str) -> String {
    post("Transfer-Encoding: chunked\r\n") + chunks
}

/// What is smuggled if a shape is read in another way.
pub(crate) fn behind() -> String {
    get("/admin") + &upgrade("/ws/admin", "") + &get("/admin")
}

#[track_caller]
fn nothing_was_smuggled(proxy: &Proxy) {
    let seen: Vec<_> = proxy.log().into_iter().filter(|line| line.contains("/admin")).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn every_shape_is_refused_once_and_nothing_behind_it_is_looked_at() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let names: BTreeSet<_> = heads().iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len(), heads().len(), "names are unique");
    for (name, bytes, status, label) in heads() {
        let mut raw = Raw::dial(&proxy);
        raw.send(bytes + &behind());
        let said = raw.rest();
        assert_eq!(answers(&said), [(status, label.to_owned())], "{name}: {said}");
        assert!(said.contains("connection: close"), "{name}: {said}");
    }
    nothing_was_smuggled(&proxy);
    // Each was counted once, and has one line that says what is wrong.
    let all = heads().len();
    let refused = || {
        proxy
            .log()
            .iter()
            .filter(|line| [" handshake", " request"].iter().any(|what| line.contains(&format!("{what} refused"))))
            .count()
    };
    eventually("a line for each of them", || (refused() >= all).then_some(()));
    assert_eq!(refused(), all);
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"none\",outcome=\"refused\"}", all as f64);
    let of = |wanted: &str| heads().iter().filter(|(.., label)| *label == wanted).count() as f64;
    for label in ["bad-head", "bad-header", "transfer-coding", "http-version", "bad-upgrade"] {
        proxy.metric_becomes(&format!("cordboard_causes_total{{cause=\"{label}\"}}"), of(label));
    }
    proxy.logged(&[
        "request refused",
        "cause=bad-head",
        "path=/chat",
        "line 3 of the request: the name \\\"Content-Length \\\" holds a space",
    ]);
}

#[test]
fn a_shape_behind_good_requests_is_refused_behind_their_answers() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let good = get("/nowhere") + "POST /ws HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nGET" + &get("/chat");
    for (name, bytes, status, label) in heads() {
        let mut raw = Raw::dial(&proxy);
        raw.send(get("/nowhere") + &get("/ws") + &bytes + &behind());
        let expected = [(404, "no-route".to_owned()), (426, "not-an-upgrade".to_owned()), (status, label.to_owned())];
        assert_eq!(answers(&raw.rest()), expected, "{name}");
    }
    // Also behind a body that nobody wants.
    let mut raw = Raw::dial(&proxy);
    raw.send(good + &post("Content-Length: 4\r\nContent-Length: 4\r\n") + &behind());
    let said: Vec<_> = answers(&raw.rest()).into_iter().map(|(status, _)| status).collect();
    assert_eq!(said, [404, 426, 426, 400]);
    nothing_was_smuggled(&proxy);
}

#[test]
fn a_shape_that_comes_in_pieces_is_the_same_shape() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    let chosen = ["a length and then a coding", "a space before the colon of a length", "a lone LF for the empty line"];
    for (name, bytes, status, label) in heads().into_iter().filter(|(name, ..)| chosen.contains(name)) {
        let all = bytes + &behind();
        for at in 1..all.len() {
            let mut raw = Raw::dial(&proxy);
            let (first, second) = all.split_at(at);
            raw.send(first);
            std::thread::yield_now();
            raw.send(second);
            assert_eq!(answers(&raw.rest()), [(status, label.to_owned())], "{name}, cut at {at}");
        }
        let mut raw = Raw::dial(&proxy);
        for byte in all.bytes() {
            raw.send([byte]);
        }
        assert_eq!(answers(&raw.rest()), [(status, label.to_owned())], "{name}, byte by byte");
    }
    nothing_was_smuggled(&proxy);
}

#[test]
fn a_body_that_breaks_the_rules_is_the_last_thing_that_is_read() {
    let nobody = Refusing::bind();
    let proxy = proxy("", nobody.address);
    for body in BAD_BODIES {
        let mut raw = Raw::dial(&proxy);
        raw.send(chunked(body) + &behind());
        let said = answers(&raw.rest());
        assert_eq!(said, [(426, "not-an-upgrade".to_owned())], "{body:?}");
    }
    nothing_was_smuggled(&proxy);
    proxy.metric_becomes("cordboard_connections_cut_total{why=\"bad-body\"}", BAD_BODIES.len() as f64);
}
