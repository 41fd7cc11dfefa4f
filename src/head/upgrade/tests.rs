use http::Request;
use http_body_util::BodyExt;

use super::*;

/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const GOOD: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

fn head(method: Method, version: Version, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).version(version).uri("/x");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn get(fields: &[(&str, &str)]) -> Parts {
    head(Method::GET, Version::HTTP_11, fields)
}

/// The good request with one field replaced, or removed for an empty list, and others added.
fn with(name: &str, values: &[&'static str]) -> Parts {
    let mut head = get(&GOOD);
    let name = name.parse::<HeaderName>().unwrap();
    head.headers.remove(&name);
    for value in values {
        head.headers.append(&name, HeaderValue::from_static(value));
    }
    head
}

fn cause(head: &Parts) -> Option<Cause> {
    inspect(head).err().map(|refusal| refusal.cause)
}

fn offers(lines: &[&'static str]) -> Vec<String> {
    match inspect(&with("sec-websocket-protocol", lines)) {
        Ok(Asked::Upgrade(request)) => request.subprotocols,
        other => panic!("{other:?}"),
    }
}

fn fields(response: &Response<Full<Bytes>>) -> Vec<(&str, &str)> {
    response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

/// The body, whose bytes are all there: its future is ready at once.
fn body(response: Response<Full<Bytes>>) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_valid_upgrade_is_taken_with_its_offers() {
    let mut head = get(&GOOD);
    head.headers.append("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate; a=\",\", x"));
    head.headers.append("sec-websocket-extensions", HeaderValue::from_static("y"));
    let Ok(Asked::Upgrade(request)) = inspect(&head) else { panic!("{:?}", inspect(&head)) };
    assert_eq!(request.key, KEY);
    assert_eq!(request.subprotocols, [""; 0]);
    assert_eq!(request.extensions, ["permessage-deflate; a=\",\", x", "y"]);
}

#[test]
fn subprotocols_of_all_fields_are_joined_in_order_each_once() {
    assert_eq!(offers(&["b, a", "c ,b", " d"]), ["b", "a", "c", "d"]);
    assert_eq!(offers(&["Chat,chat"]), ["Chat", "chat"]);
    assert_eq!(offers(&["a,,b,"]), ["a", "b"]);
    for bad in ["a b", "a/b", "\"a,b\"", "a;q=1"] {
        assert_eq!(cause(&with("sec-websocket-protocol", &[bad])), Some(Cause::BadUpgrade), "{bad}");
    }
}

#[test]
fn a_request_that_does_not_ask_for_a_websocket_is_plain() {
    for fields in [
        &[][..],
        &[("connection", "upgrade")],
        &[("connection", "upgrade"), ("upgrade", "h2c")],
        &[("upgrade", "websocketx")],
        &[("connection", "upgrade"), ("sec-websocket-key", KEY)],
    ] {
        assert_eq!(inspect(&get(fields)).unwrap(), Asked::Plain, "{fields:?}");
    }
    assert_eq!(inspect(&head(Method::POST, Version::HTTP_10, &[("content-length", "4")])).unwrap(), Asked::Plain);
}

#[test]
fn an_upgrade_that_breaks_rfc_6455_is_refused_with_400() {
    assert_eq!(cause(&head(Method::POST, Version::HTTP_11, &GOOD)), Some(Cause::BadUpgrade));
    assert_eq!(cause(&head(Method::HEAD, Version::HTTP_11, &GOOD)), Some(Cause::BadUpgrade));
    assert_eq!(cause(&head(Method::GET, Version::HTTP_10, &GOOD)), Some(Cause::BadUpgrade));
    for (name, values) in [
        ("connection", &[][..]),
        ("connection", &["close"]),
        ("connection", &["upgraded"]),
        ("content-length", &["1"]),
        ("content-length", &["0", "5"]),
        ("content-length", &[""]),
        ("transfer-encoding", &["chunked"]),
        ("transfer-encoding", &["identity"]),
        ("sec-websocket-version", &["13", "13"]),
        ("sec-websocket-key", &[]),
        ("sec-websocket-key", &[""]),
        ("sec-websocket-key", &[KEY, KEY]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ"]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ="]),
        ("sec-websocket-key", &["c2hvcnQx"]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZR=="]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZTF="]),
        ("sec-websocket-key", &["QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ==AAAA"]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZ_=="]),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25=ZQ=="]),
    ] {
        assert_eq!(cause(&with(name, values)), Some(Cause::BadUpgrade), "{name} {values:?}");
    }
    assert_eq!(cause(&with("content-length", &["0"])), None);
    assert_eq!(cause(&with("sec-websocket-key", &[" AAAAAAAAAAAAAAAAAAAAAA== "])), None);
    // 13 bytes, in the line with `curl` that handshakes are often tested with; 15 and 17.
    for key in ["SGVsbG8sIHdvcmxkIQ==", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZTE="] {
        assert_eq!(cause(&with("sec-websocket-key", &[key])), None, "{key}");
    }
    assert_eq!(cause(&with("upgrade", &["h2c, websocket"])), None);
}

#[test]
fn any_version_but_13_is_refused_with_426() {
    for values in [&[][..], &["8"], &["7, 13"], &["13.0"], &[""]] {
        assert_eq!(cause(&with("sec-websocket-version", values)), Some(Cause::BadVersion), "{values:?}");
    }
}

#[test]
fn the_101_has_the_computed_accept_and_only_end_to_end_extras() {
    let mut extra = HeaderMap::new();
    for (name, value) in [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("sec-websocket-accept", "theirs"),
        ("sec-websocket-protocol", "theirs"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("upgrade", "h2c"),
        ("content-length", "0"),
        ("x-channel-id", "c1"),
    ] {
        extra.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let extensions = [HeaderValue::from_static("permessage-deflate"), HeaderValue::from_static("x")];
    let response = switching_protocols(KEY, Some("chat"), &extensions, &extra);
    assert_eq!(response.status(), 101);
    assert_eq!(
        fields(&response),
        [
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("sec-websocket-extensions", "x"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-channel-id", "c1"),
        ]
    );
    assert_eq!(fields(&switching_protocols(KEY, None, &[], &HeaderMap::new())).len(), 3);
}

#[test]
fn a_refusal_has_the_status_the_label_and_one_line() {
    for cause in Cause::ALL {
        let response = refusal(&Refusal::new(*cause));
        let row = cause.row();
        assert_eq!(response.status().as_u16(), if row.status == 0 { 500 } else { row.status }, "{}", row.label);
        assert_eq!(response.headers()["x-cordboard-error"], row.label);
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers().contains_key("retry-after"), matches!(row.status, 429 | 503), "{}", row.label);
        for name in ["upgrade", "connection", "sec-websocket-version"] {
            assert_eq!(response.headers().contains_key(name), row.status == 426, "{} {name}", row.label);
        }
        assert_eq!(body(response), format!("{}\n", row.reason));
    }
    let response = refusal(&Refusal::because(Cause::BadVersion, "two\r\nlines").with_detail("secret"));
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!((&response.headers()["upgrade"], &response.headers()["connection"]), (&WEBSOCKET, &UPGRADE_OPTION));
    assert_eq!(body(response), "two  lines\n");
}

fn rejected(status: u16, body: Option<&str>, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    rejection(&Rejection {
        status,
        code: "code".to_owned(),
        log_reason: "secret".to_owned(),
        body: body.map(str::to_owned),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    })
}

#[test]
fn a_rejection_is_the_plugins_answer_within_bounds() {
    for (status, expected) in
        [(0, 500), (101, 500), (200, 500), (299, 500), (300, 300), (401, 401), (599, 599), (600, 500)]
    {
        assert_eq!(rejected(status, None, &[]).status(), expected, "{status}");
    }
    let given = [
        ("WWW-Authenticate", "Basic"),
        ("www-authenticate", "Bearer"),
        ("content-type", "application/json"),
        ("content-length", "9999"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("sec-websocket-accept", "x"),
        ("x-cordboard-error", "mine"),
        ("bad name", "x"),
        ("x-split", "a\r\nb: c"),
        ("location", "https://login.example/"),
    ];
    let response = rejected(401, Some("{}"), &given);
    assert_eq!(
        fields(&response),
        [
            ("www-authenticate", "Basic"),
            ("www-authenticate", "Bearer"),
            ("content-type", "application/json"),
            ("x-cordboard-error", "rejected"),
            ("location", "https://login.example/"),
        ]
    );
    assert_eq!(body(response), "{}");
    assert_eq!(body(rejected(403, None, &[])), "refused by policy\n");
    assert_eq!(rejected(503, None, &[]).headers()["retry-after"], "1");
    assert_eq!(rejected(503, None, &[("retry-after", "30")]).headers()["retry-after"], "30");
    assert_eq!(rejected(426, None, &[]).headers()["sec-websocket-version"], "13");
}

#[test]
fn an_upstreams_answer_is_passed_on_as_it_came() {
    let mut headers = HeaderMap::new();
    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    headers.append(header::CONNECTION, HeaderValue::from_static("close"));
    headers.append(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
    let response = passed_on(StatusCode::SERVICE_UNAVAILABLE, &headers, Bytes::from_static(b"go away"));
    assert_eq!(response.status(), 503);
    assert_eq!(fields(&response), [("www-authenticate", "Basic"), ("x-cordboard-error", "upstream-refused")]);
    assert_eq!(body(response), "go away");
    let response = passed_on(StatusCode::UPGRADE_REQUIRED, &HeaderMap::new(), Bytes::new());
    assert_eq!(response.headers()["upgrade"], "websocket");
}

proptest::proptest! {
    #[test]
    fn no_header_bytes_make_inspection_panic_and_what_it_takes_is_valid(
        values in proptest::collection::vec((0..6_usize, proptest::collection::vec(0x20..=0xff_u8, 0..30)), 0..6)
    ) {
        const NAMES: [HeaderName; 6] = [
            header::SEC_WEBSOCKET_KEY,
            header::SEC_WEBSOCKET_PROTOCOL,
            header::SEC_WEBSOCKET_EXTENSIONS,
            header::CONTENT_LENGTH,
            header::CONNECTION,
            header::SEC_WEBSOCKET_VERSION,
        ];
        let mut head = get(&GOOD);
        for (at, value) in values {
            // DEL may not stand in a field.
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                if at == 0 { head.headers.insert(&NAMES[at], value); } else { head.headers.append(&NAMES[at], value); }
            }
        }
        if let Ok(Asked::Upgrade(request)) = inspect(&head) {
            proptest::prop_assert!((12..=44).contains(&request.key.len()));
            proptest::prop_assert!(request.subprotocols.iter().all(|offer| is_token(offer)));
        }
    }
}
