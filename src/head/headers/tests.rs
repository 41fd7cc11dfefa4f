use std::net::SocketAddr;

use super::*;
use crate::model::{Client, ConnId};

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn list(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap())).collect()
}

fn handshake(uri: &str, fields: &[(&str, &str)]) -> Handshake {
    let peer: SocketAddr = "192.0.2.7:1234".parse().unwrap();
    Handshake {
        id: ConnId::from_raw(1),
        method: Method::GET,
        version: Version::HTTP_11,
        uri: uri.parse().unwrap(),
        authority: "example.com".to_owned(),
        segments: Vec::new(),
        headers: map(fields),
        subprotocols: Vec::new(),
        peer,
        client: Client { remote: peer.ip(), tls: false, trusted: false },
        listener: "main".into(),
        route: "sockets".into(),
    }
}

fn set(name: &str, value: &str) -> Edit {
    Edit::Set(name.to_owned(), value.to_owned())
}

fn append(name: &str, value: &str) -> Edit {
    Edit::Append(name.to_owned(), value.to_owned())
}

fn remove(name: &str) -> Edit {
    Edit::Remove(name.to_owned())
}

#[test]
fn a_list_is_split_at_commas_outside_of_quotes_over_all_lines() {
    let headers = map(&[("sec-websocket-extensions", "a; x=\"1,\\\"2\" ,, b"), ("sec-websocket-extensions", "\tc,")]);
    let found: Vec<_> = elements(&headers, &header::SEC_WEBSOCKET_EXTENSIONS).collect();
    assert_eq!(found, ["a; x=\"1,\\\"2\"", "b", "c"]);
    let headers = map(&[("connection", "keep-alive, UPGRADE")]);
    assert!(has_token(&headers, &header::CONNECTION, "upgrade"));
    assert!(!has_token(&headers, &header::CONNECTION, "up"));
}

#[test]
fn tokens_are_those_of_rfc_9110() {
    for (text, expected) in
        [("chat", true), ("v1.json!#$%&'*+-^_`|~", true), ("", false), ("a b", false), ("a/b", false), ("ä", false)]
    {
        assert_eq!(is_token(text), expected, "{text}");
    }
}

#[test]
fn what_ends_at_this_hop_does_not_pass_and_the_rest_keeps_its_order_and_duplicates() {
    let headers = map(&[
        ("z-first", "1"),
        ("connection", "keep-alive, X-Hop"),
        ("connection", "upgrade, host, sec-websocket-protocol"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "secret"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("x-hop", "1"),
        ("cookie", "a=1"),
        ("host", "example.com"),
        ("cookie", "b=2"),
        ("sec-websocket-protocol", "chat"),
        ("a-last", "größe"),
    ]);
    assert_eq!(
        list(&end_to_end(&headers)),
        [
            ("z-first", "1"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("host", "example.com"),
            ("sec-websocket-protocol", "chat"),
            ("a-last", "größe")
        ]
    );
    let answer =
        map(&[("content-length", "3"), ("sec-websocket-accept", "x"), ("set-cookie", "a"), ("set-cookie", "b")]);
    assert_eq!(list(&end_to_end_answer(&answer)), [("set-cookie", "a"), ("set-cookie", "b")]);
}

#[test]
fn edits_add_up_in_order_and_keep_the_order_of_the_rest() {
    let mut headers = map(&[("a", "1"), ("b", "1"), ("b", "2"), ("c", "1"), ("d", "1"), ("host", "x")]);
    let edits = [
        set("B", "3"),
        append("b", "4"),
        remove("a"),
        set("e", "größe"),
        remove("absent"),
        set("d", "9"),
        set("d", "2"),
        set("host", "y:81"),
    ];
    apply_edits(&mut headers, &check_edits(&edits).unwrap());
    assert_eq!(list(&headers), [("b", "3"), ("b", "4"), ("c", "1"), ("d", "2"), ("host", "y:81"), ("e", "größe")]);
}

#[test]
fn an_edit_of_what_is_the_proxys_own_is_refused_by_name() {
    for (edit, named) in [
        (set("Connection", "close"), "connection"),
        (append("Upgrade", "h2c"), "upgrade"),
        (remove("Sec-WebSocket-Protocol"), "sec-websocket-protocol"),
        (set("sec-websocket-key", "x"), "sec-websocket-key"),
        (set("transfer-encoding", "chunked"), "transfer-encoding"),
        (set("proxy-authorization", "x"), "proxy-authorization"),
        (set("content-length", "1"), "content-length"),
        (append("host", "b"), "host"),
        (remove("host"), "host"),
        (set("host", "a b"), "host"),
        (set("host", ""), "host"),
        (set("x y", "1"), "x y"),
        (set("", "1"), "\"\""),
        (set("x-split", "a\r\nb: c"), "x-split"),
        (set("x-nul", "a\0"), "x-nul"),
    ] {
        let message = check_edits(&[set("x-first", "1"), edit.clone()]).expect_err(named);
        assert!(message.contains(named), "{edit:?}: {message}");
    }
}

#[test]
fn the_upstream_request_is_what_the_client_sent_but_for_this_hop() {
    let handshake = handshake(
        "http://example.com/a%20b//c?x=%zz&y=1+2&&z",
        &[
            ("cookie", "a=1"),
            ("host", "example.com"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("connection", "Upgrade, x-hop"),
            ("upgrade", "websocket"),
            ("x-hop", "1"),
            ("sec-websocket-protocol", "b, a"),
            ("authorization", "Bearer t"),
            ("sec-websocket-protocol", "c"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ("sec-websocket-accept", "x"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-anything", "1"),
            ("forwarded", "for=10.0.0.1"),
            ("content-length", "0"),
            ("origin", "https://app.example"),
        ],
    );
    let edits = check_edits(&[set("x-user", "7"), remove("cookie")]).unwrap();
    let request = upstream_request(&handshake, &Changes { edits: &edits, ..Changes::default() }).unwrap();
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert_eq!(request.uri(), "/a%20b//c?x=%zz&y=1+2&&z");
    assert_eq!(
        list(request.headers()),
        [
            ("host", "example.com"),
            ("sec-websocket-protocol", "b, a"),
            ("sec-websocket-protocol", "c"),
            ("authorization", "Bearer t"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ("origin", "https://app.example"),
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7;host=example.com;proto=http"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "example.com"),
            ("x-forwarded-port", "80"),
            ("x-user", "7"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
        ]
    );
}

#[test]
fn the_path_to_dial_can_be_overridden_by_a_valid_one_only() {
    let handshake = handshake("/a?b", &[("host", "x")]);
    let with = |path_and_query| {
        let changes = Changes { path_and_query: Some(path_and_query), ..Changes::default() };
        upstream_request(&handshake, &changes).map(|request| request.uri().to_string())
    };
    assert_eq!(with("/other?c=%20").unwrap(), "/other?c=%20");
    for bad in ["", "other", "?a", "http://b/", "/a b", "/a\r\nx: y", "/a#f"] {
        assert!(with(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_host_missing_beside_an_absolute_target_is_taken_from_it() {
    let request = upstream_request(&handshake("http://example.com/", &[]), &Changes::default()).unwrap();
    assert_eq!(request.headers()["host"], "example.com");
}

proptest::proptest! {
    #[test]
    fn path_and_query_are_forwarded_byte_for_byte(
        path in "/[a-zA-Z0-9/%._~:@!$&'()*+,;=-]{0,30}", query in "[a-zA-Z0-9%._~:/?@!$&'()*+,;={}|^-]{0,60}"
    ) {
        let target = format!("{path}?{query}");
        let request = upstream_request(&handshake(&format!("http://h{target}"), &[]), &Changes::default());
        proptest::prop_assert_eq!(request.unwrap().uri().to_string(), target.clone());
        // An origin form that starts with two slashes is a path too, not an authority.
        let target = PathAndQuery::try_from(target.as_str()).unwrap();
        let mut handshake = handshake("/", &[]);
        handshake.uri = Uri::from(target.clone());
        let request = upstream_request(&handshake, &Changes::default()).unwrap();
        proptest::prop_assert_eq!(request.uri().path_and_query(), Some(&target));
    }
}
