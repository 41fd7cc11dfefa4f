use std::{convert::Infallible, sync::Arc, sync::Mutex};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

const BOUNDS: Bounds = Bounds { head: 512, fields: 8, chunk_extensions: 16, http2: true };
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a connection comes to.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    passed: Vec<u8>,
    heads: u64,
    place: Place,
    violation: Option<Violation>,
}

/// Judges bytes that come in pieces of these lengths, then the rest in one.
fn judge(bytes: &[u8], pieces: &[usize], bounds: Bounds) -> Verdict {
    let mut scanner = Scanner::new(bounds);
    let (mut held, mut passed, mut rest) = (Vec::new(), Vec::new(), bytes);
    for length in pieces.iter().copied().chain([usize::MAX]) {
        let (piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        held.extend_from_slice(piece);
        let scan = scanner.scan(&held);
        passed.extend(held.drain(..scan.passed));
        if scan.violation.is_some() {
            assert_eq!(scanner.place(), Place::Refused);
            return Verdict { passed, heads: scanner.heads(), place: Place::Refused, violation: scan.violation };
        }
    }
    Verdict { passed, heads: scanner.heads(), place: scanner.place(), violation: None }
}

fn whole(text: &str) -> Verdict {
    judge(text.as_bytes(), &[], BOUNDS)
}

#[track_caller]
fn passes(text: &str, heads: u64, place: Place) {
    let verdict = whole(text);
    let all = text.as_bytes().to_vec();
    assert_eq!(verdict, Verdict { passed: all, heads, place, violation: None }, "{text:?}");
}

#[track_caller]
fn refused(text: &str, cause: Cause) -> Violation {
    let verdict = whole(text);
    let violation = verdict.violation.unwrap_or_else(|| panic!("{text:?} is {:?}", verdict.place));
    assert_eq!(violation.cause, cause, "{text:?}: {violation}");
    violation
}

/// The same, and nothing was passed on before it.
#[track_caller]
fn refused_whole(text: &str, cause: Cause) {
    refused(text, cause);
    assert_eq!(whole(text).passed, b"", "{text:?}");
}

#[test]
fn a_request_is_followed_to_its_end_and_the_next_one_is_judged() {
    passes(GET, 1, Place::Between);
    passes(&GET.repeat(3), 3, Place::Between);
    passes(&format!("\r\n{GET}\r\n{GET}"), 2, Place::Between);
    let post = "POST /a?b=c HTTP/1.1\r\nhost:a\r\nContent-Length:\t5 \r\n\r\nhello";
    passes(post, 1, Place::Between);
    passes(&format!("{post}{GET}{post}"), 3, Place::Between);
    passes(&post[..post.len() - 1], 1, Place::Body);
    let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
    passes(&format!("{chunked}5\r\nhello\r\n0000A;a=\"b\"\r\n0123456789\r\n0\r\n\r\n{GET}"), 2, Place::Between);
    passes(&format!("{chunked}0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n{GET}"), 2, Place::Between);
    passes(&format!("{chunked}5\r\nhel"), 1, Place::Body);
    passes("GET / HTTP/1.0\r\n\r\n", 1, Place::Between);
    passes("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1, Place::Between);
    passes("GET http://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n", 1, Place::Between);
    passes("get /%zz/\u{e4}?\u{f6}`{}| HTTP/1.1\r\nHost: a\r\nX: \u{fc}\t.\r\nEmpty:\r\n\r\n", 1, Place::Between);
}

#[test]
fn everything_behind_an_upgrade_request_passes_and_behind_other_requests_nothing_does() {
    let upgrade = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\x01\x02 garbage\n\n");
    for fields in [
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "upgrade: h2c, WebSocket\r\nconnection: keep-alive, upgrade\r\ncontent-length: 0\r\n",
        "Upgrade: foo/2\r\nConnection: upgrade\r\n",
    ] {
        passes(&upgrade(fields), 1, Place::Through);
    }
    for fields in [
        "Connection: Upgrade\r\n",
        "Upgrade: foo\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
        "Upgrade:\r\nConnection: Upgrade\r\n",
    ] {
        refused(&upgrade(fields), Cause::BadHead);
    }
    refused("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x01", Cause::BadHead);
}

#[test]
fn http2_passes_where_it_is_spoken_and_at_the_beginning_only() {
    let preface = std::str::from_utf8(HTTP2_PREFACE).unwrap();
    passes(&format!("{preface}\0\0\0"), 0, Place::Through);
    let without = judge(preface.as_bytes(), &[], Bounds { http2: false, ..BOUNDS });
    assert_eq!(without.violation.unwrap().cause, Cause::HttpVersion);
    refused(&format!("{GET}{preface}"), Cause::HttpVersion);
    refused(&format!("\r\n{preface}"), Cause::HttpVersion);
    refused("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Cause::HttpVersion);
    passes("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 1, Place::Between);
}

#[test]
fn a_head_that_two_readers_could_read_in_two_ways_is_refused_whole() {
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{GET}");
    let (te, cl) = ("Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n");
    for fields in [
        format!("{te}{cl}"),
        format!("{cl}{te}"),
        cl.repeat(2),
        te.repeat(2),
        format!("{cl}Content-Length: 6\r\n"),
        "Content-Length: 5, 5\r\n".into(),
        "Content-Length: +5\r\n".into(),
        "Content-Length: -5\r\n".into(),
        "Content-Length: 0x5\r\n".into(),
        "Content-Length: 5 5\r\n".into(),
        "Content-Length:\r\n".into(),
        "Content-Length: 9223372036854775808\r\n".into(),
        "Content-Length : 5\r\n".into(),
        "Content-Length\t: 5\r\n".into(),
        "Transfer-Encoding\u{b}: chunked\r\n".into(),
        "Content-Length: 5\n".into(),
        "Content-Length: 5\r\r\n".into(),
        "X: a\rTransfer-Encoding: chunked\r\n".into(),
        "X: a\n\n".into(),
        "X: a\0b\r\n".into(),
        "X: a\u{7f}\r\n".into(),
        "X: a\r\n folded\r\n".into(),
        "X: a\r\n\tfolded\r\n".into(),
        "no colon\r\n".into(),
        ": no name\r\n".into(),
        "N@me: x\r\n".into(),
        "\u{e4}: x\r\n".into(),
    ] {
        refused_whole(&head(&fields), Cause::BadHead);
    }
    for coding in
        ["gzip", "gzip, chunked", "chunked, chunked", "chunked, identity", "xchunked", "chunked;a=b", "\"chunked\"", ""]
    {
        refused_whole(&head(&format!("Transfer-Encoding: {coding}\r\n")), Cause::TransferCoding);
    }
    refused_whole(&head("Host: a\r\n"), Cause::BadHeader);
    refused_whole(&head(&format!("Upgrade: websocket\r\n{cl}")), Cause::BadUpgrade);
    refused_whole(&head(&format!("Upgrade: websocket\r\n{te}")), Cause::BadUpgrade);
    refused_whole(&head(&format!("Upgrade: x\r\nConnection: upgrade\r\n{cl}")), Cause::BadUpgrade);
    refused_whole("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Cause::BadHead);
    refused_whole("GET / HTTP/1.1\r\n\r\n", Cause::BadHeader);
    refused_whole("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Cause::BadHead);
    refused_whole("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", Cause::BadHead);
}

#[test]
fn a_request_line_is_a_method_a_target_and_a_version_and_nothing_else() {
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1\r",
        "GET / HTTP/11",
        "GET / HTTP/1.01",
        "G(T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a`b HTTP/1.1",
        "GET /<a> HTTP/1.1",
        "GET /?a=\"b\" HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "OPTIONS *x HTTP/1.1",
        "CONNECT a:80 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT http://a/ HTTP/1.1",
        "\u{b}GET / HTTP/1.1",
        " GET / HTTP/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        refused_whole(&format!("{line}\r\nHost: a\r\n\r\n{GET}"), Cause::BadHead);
    }
    for line in ["GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "PRI * HTTP/2.0"] {
        refused_whole(&format!("{line}\r\nHost: a\r\n\r\n{GET}"), Cause::HttpVersion);
    }
    for line in [
        "GET http://b/",
        "GET http://a:81/",
        "GET http://u@a/",
        "GET http:///",
        "GET http://a\\b/",
        "GET https://a:80/",
    ] {
        refused_whole(&format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n{GET}"), Cause::BadHeader);
    }
    for before in ["\r\n\r\n", "\n", "\r", "\r\n\n", "\r\r\n"] {
        refused(&format!("{before}{GET}"), Cause::BadHead);
    }
}

#[test]
fn chunks_are_digits_bounded_extensions_and_data_of_that_length() {
    let body = |chunks: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    for chunks in [
        "\r\n",
        "x\r\n",
        "+5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5\nhello\r\n",
        "5\r\r\nhello\r\n",
        "5 ;a\r\nhello\r\n",
        "5;a\u{1}\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;0123456789abcdef\r\nhello\r\n",
        "1;01234567\r\na\r\n1;0123456\r\na\r\n1;\r\n",
        "1;01234\r\na\r\n1;01234\r\na\r\n1;01234\r\na\r\n",
        "5\r\nhello",
        "5\r\nhello0\r\n",
        "5\r\nhello\n",
        "5\r\nhello \n0\r\n\r\n",
        "5\r\nhell\r\n\r\n",
        "8000000000000000\r\n",
        "00000000000000005\r\n",
        "0\r\n\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nname : x\r\n\r\n",
    ] {
        let text = body(chunks);
        if chunks == "5\r\nhello" {
            passes(&text, 1, Place::Body);
            continue;
        }
        let violation = refused(&text, Cause::BadBody);
        assert_eq!(violation.line, None, "{violation}");
    }
    refused(&body(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(9))), Cause::BadBody);
    refused(&body(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(512))), Cause::BadBody);
    passes(&body("1;0123456\r\na\r\n1;0123456\r\na\r\n0\r\n\r\n"), 1, Place::Between);
    passes(&body(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(8))), 1, Place::Between);
}

#[test]
fn a_head_at_its_bounds_passes_and_one_beyond_does_not() {
    let sized = |size: usize| {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        head.replace("X: ", &format!("X: {}", "x".repeat(size - head.len())))
    };
    passes(&format!("{}{}", sized(512), sized(512)), 2, Place::Between);
    let violation = refused(&sized(513), Cause::HeadTooLarge);
    assert_eq!(violation.to_string(), "more than 512 bytes stand before the empty line");
    // It is known before the end.
    refused(&sized(513)[..512], Cause::HeadTooLarge);
    assert_eq!(whole(&sized(600)[..511]).place, Place::Head);
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    passes(&fields(8), 1, Place::Between);
    refused(&fields(9), Cause::HeadTooLarge);
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    let wide = Bounds { head: 1 << 20, ..BOUNDS };
    assert_eq!(judge(target(MAX_TARGET).as_bytes(), &[], wide).violation, None);
    let over = judge(target(MAX_TARGET + 1).as_bytes(), &[], wide).violation.unwrap();
    assert_eq!(over.cause, Cause::HeadTooLarge);
}

#[test]
fn a_violation_says_where_and_what_and_no_secret() {
    let say = |text: &str| whole(text).violation.unwrap().to_string();
    let head = "GET /a?token=s3cret HTTP/1.1\r\nHost: a\r\n";
    assert_eq!(
        say(&format!("{head}Content-Length : 5\r\n\r\n")),
        "line 3 of the request: the name \"Content-Length \" holds a space"
    );
    assert_eq!(
        say(&format!("{head}Cookie: s3cret\x01\r\n\r\n")),
        "line 3 of the request: the value of Cookie holds the byte 0x01"
    );
    assert_eq!(say(&format!("{head}X: y\n")), "line 3 of the request: it ends with LF without CR");
    assert_eq!(
        say(&format!("{head}X: y\r\n s3cret\r\n")),
        "line 4 of the request: it begins with white space: a folded line, or one before the first field"
    );
    assert_eq!(say("\x16\x03\x01"), "this looks like TLS, and plain HTTP is spoken here");
    let long = "x".repeat(99);
    assert!(say(&format!("{head}{long}\x1b: y\r\n")).contains(&format!("\"{}...\"", "x".repeat(40))));
    let violation = whole(&format!("{head}\x1b[31m: y\r\n\r\n")).violation.unwrap();
    assert!(violation.what.contains("\\x1b[31m"), "{violation}");
    assert_eq!(violation.path, "/a");
}

/// Requests, whole and broken, and what may stand between them.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "GET /\u{e4} HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "Host: a\r\n",
        "Host: a\r\n",
        "Host: a\r\n\r\n",
        "Connection: keep-alive, upgrade\r\n",
        "Connection: close\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: 3\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "X: \u{fc} \t\r\n",
        "X:",
        " ",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "a",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
    prop::collection::vec(pieces, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Whole requests in a row, of which one byte may be changed.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec!["GET /", "POST /a?b=c", "HEAD /x/{y}", "DELETE http://a/", "PUT http://a?b"]);
    let fields = prop::collection::vec(
        prop::sample::select(vec![
            "X: y\r\n",
            "Accept:\r\n",
            "Connection: keep-alive\r\n",
            "TE: trailers\r\n",
            "Upgrade: h2c\r\n",
        ]),
        0..4,
    );
    let body = prop::sample::select(vec![
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "content-length: 4\r\n\r\nGET ",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: CHUNKED\r\n\r\na;b=c\r\n0123456789\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n",
    ]);
    let one = (line, fields, body).prop_map(|(line, fields, body)| {
        format!("{line} HTTP/1.1\r\nHost: a\r\n{}{body}", fields.concat()).into_bytes()
    });
    (prop::collection::vec(one, 1..4), prop::option::of((any::<prop::sample::Index>(), any::<u8>()))).prop_map(
        |(requests, change)| {
            let mut bytes = requests.concat();
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

/// What hyper makes of bytes: for each request that it hands over, the length of its body, or none if that is broken;
/// and what it answers.
fn hyper_reads(bytes: &[u8]) -> (Vec<Option<usize>>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = service_fn(|request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let body = request.into_body().collect().await;
                seen.lock().unwrap().push(body.ok().map(|body| body.to_bytes().len()));
                Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
            }
        });
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        drop(http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service).await);
        let mut answers = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client, &mut answers).await.unwrap();
        let seen = seen.lock().unwrap().clone();
        (seen, String::from_utf8_lossy(&answers).into_owned())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_verdict_does_not_depend_on_the_pieces(
        bytes in prop_oneof![fragments(), requests()],
        pieces in prop::collection::vec(0_usize..40, 0..12),
        head in 20_usize..200,
    ) {
        let bounds = Bounds { head, fields: 3, chunk_extensions: 2, http2: true };
        let expected = judge(&bytes, &[], bounds);
        prop_assert_eq!(&judge(&bytes, &pieces, bounds), &expected);
        prop_assert_eq!(&judge(&bytes, &vec![1; bytes.len()], bounds), &expected);
    }

    #[test]
    fn hyper_sees_the_requests_that_passed_and_reads_them_to_the_same_ends(
        bytes in prop_oneof![fragments(), requests()],
    ) {
        let bounds = Bounds { http2: false, ..BOUNDS };
        let verdict = judge(&bytes, &[], bounds);
        let (seen, answers) = hyper_reads(&verdict.passed);
        // It refuses nothing of its own accord, so that every refusal is ours. Behind a request for an upgrade no request
        // follows: the connection ends with its answer.
        let refuses = answers.contains("HTTP/1.1 4") || answers.contains("HTTP/1.0 4");
        prop_assert!(!refuses || verdict.place == Place::Through, "{}", answers);
        // What closes a connection, or is not judged any further, hides the rest from hyper.
        let text = String::from_utf8_lossy(&verdict.passed);
        let closes = ["close", "HTTP/1.0", "websocket"].iter().any(|word| text.contains(word));
        if !closes {
            prop_assert_eq!(seen.len() as u64, verdict.heads, "{:?}", text);
            let whole = seen.iter().all(Option::is_some);
            prop_assert!(whole || verdict.place == Place::Body || verdict.place == Place::Refused, "{:?}", text);
        }
    }
}
