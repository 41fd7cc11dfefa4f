use http::{HeaderValue, Request};

use super::*;

fn split(path: &str) -> Vec<String> {
    segments(path).unwrap_or_else(|refusal| panic!("{path}: {}", refusal.reason))
}

#[test]
fn a_path_is_split_into_decoded_segments() {
    for (path, expected) in [
        ("/", &[""][..]),
        ("/chat", &["chat"]),
        ("/chat/", &["chat", ""]),
        ("/chat//x", &["chat", "", "x"]),
        ("//", &["", ""]),
        ("/a%20b/c%2Bd+e", &["a b", "c+d+e"]),
        ("/gr%C3%B6%c3%9fe", &["größe"]),
        ("/%2525", &["%25"]),
        ("/.../..a/a../.hidden", &["...", "..a", "a..", ".hidden"]),
        ("/%252e%252e", &["%2e%2e"]),
        ("/a:b;c=d,e@f", &["a:b;c=d,e@f"]),
    ] {
        assert_eq!(split(path), expected, "{path}");
    }
}

#[test]
fn a_path_that_two_programs_could_read_differently_is_refused() {
    for path in [
        "",
        "*",
        "chat",
        "/.",
        "/..",
        "/a/./b",
        "/a/../b",
        "/a/..",
        "/%2e",
        "/%2E%2e",
        "/.%2e/x",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/%0a",
        "/%7F",
        "/%C2%85",
        "/größe",
        "/%",
        "/%2",
        "/%zz",
        "/%2/",
        "/a%f",
        "/%ff",
        "/%c3",
        "/%C0%AF",
        "/%ED%A0%80",
        "/%+1",
    ] {
        let refusal = segments(path).expect_err(path);
        assert_eq!(refusal.cause, Cause::BadPath, "{path}");
    }
}

#[test]
fn query_values_are_decoded_and_a_plus_stays_a_plus() {
    for (raw, name, expected) in [
        ("channelId=a%20b", "channelId", Some("a b")),
        ("channelId=a+b", "channelId", Some("a+b")),
        ("x=1&channelId=first&channelId=second", "channelId", Some("first")),
        ("channelIds=1", "channelId", None),
        ("channelId", "channelId", Some("")),
        ("channelId=", "channelId", Some("")),
        ("channelId=a=b", "channelId", Some("a=b")),
        ("a=1?channelId=2", "channelId", None),
        ("a=1?channelId=2", "a", Some("1?channelId=2")),
        ("%63hannelId=x", "channelId", Some("x")),
        ("&&a=1&", "a", Some("1")),
        ("&&a=1&", "", None),
        ("", "", None),
        ("a=%zz", "a", Some("%zz")),
        ("a=%41%ff", "a", Some("%41%ff")),
        ("a=%2", "a", Some("%2")),
        ("a=%C3%A9", "a", Some("é")),
        ("a=é", "a", Some("é")),
    ] {
        assert_eq!(query_param(raw, name).as_deref(), expected, "{raw} {name}");
    }
    assert_eq!(query_params("b=1&a=%32&b"), [("b", "1"), ("a", "2"), ("b", "")].map(|(n, v)| (n.into(), v.into())));
}

#[test]
fn a_cookie_is_found_by_its_whole_name_in_any_line() {
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_static("xid=0; id=1;token=\"a b\" ; id=2"));
    headers.append(header::COOKIE, HeaderValue::from_static("late=l=3; empty=; bare"));
    for (name, expected) in [
        ("id", Some("1")),
        ("xid", Some("0")),
        ("token", Some("\"a b\"")),
        ("late", Some("l=3")),
        ("empty", Some("")),
        ("bare", None),
        ("ID", None),
    ] {
        assert_eq!(cookie(&headers, name), expected, "{name}");
    }
}

fn head(version: Version, uri: &str, fields: &[(&'static str, &[u8])]) -> Parts {
    let mut request = Request::builder().version(version).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn the_authority_is_the_targets_or_the_host_field() {
    for (version, uri, hosts, expected) in [
        (Version::HTTP_11, "/x", &["example.com"][..], "example.com"),
        (Version::HTTP_11, "/x", &["Example.com:8080"], "Example.com:8080"),
        (Version::HTTP_11, "/x", &["[::1]:80"], "[::1]:80"),
        (Version::HTTP_11, "/x", &["a_b.internal:"], "a_b.internal:"),
        (Version::HTTP_11, "http://a.example/x", &["A.example:80"], "a.example"),
        (Version::HTTP_11, "https://a.example/x", &["a.example:443"], "a.example"),
        (Version::HTTP_10, "/x", &[], ""),
        (Version::HTTP_10, "http://a/x", &[], "a"),
    ] {
        let fields: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
        let head = head(version, uri, &fields);
        assert_eq!(check_head(&head).map_err(|refusal| refusal.reason), Ok(expected.to_owned()), "{uri} {hosts:?}");
    }
}

#[test]
fn a_head_with_an_unclear_authority_is_refused() {
    for (uri, hosts) in [
        ("/x", &[][..]),
        ("/x", &["a", "a"]),
        ("/x", &["a", "b"]),
        ("/x", &[""]),
        ("/x", &["user@a"]),
        ("/x", &["a:b"]),
        ("/x", &["a:65536"]),
        ("/x", &["a:+80"]),
        ("/x", &["a b"]),
        ("/x", &["a/b"]),
        ("/x", &["a,b"]),
        ("/x", &["a\";proto=https"]),
        ("/x", &["::1"]),
        ("/x", &["[::1"]),
        ("/x", &["[nonsense]"]),
        ("http://a/x", &["b"]),
        ("http://a/x", &["a:81"]),
        ("http://user@a/x", &["a"]),
        ("http://a/x", &[]),
    ] {
        let fields: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
        let refusal = check_head(&head(Version::HTTP_11, uri, &fields)).expect_err(&format!("{uri} {hosts:?}"));
        assert_eq!(refusal.cause, Cause::BadHeader, "{uri} {hosts:?}");
    }
}

#[test]
fn a_value_that_is_not_utf8_is_refused_and_named() {
    let fine = head(Version::HTTP_11, "/", &[("host", b"a"), ("x-name", "größe".as_bytes())]);
    assert!(check_head(&fine).is_ok());
    let refusal = check_head(&head(Version::HTTP_11, "/", &[("host", b"a"), ("x-name", b"gr\xf6\xdfe")])).unwrap_err();
    assert_eq!(refusal.cause, Cause::BadHeader);
    assert!(refusal.reason.contains("x-name"), "{}", refusal.reason);
}

proptest::proptest! {
    #[test]
    fn decoding_never_panics_and_a_segment_holds_no_separator(path in "/[ -~é]{0,40}") {
        if let Ok(segments) = segments(&path) {
            for segment in segments {
                proptest::prop_assert!(!segment.contains(['/', '\\']) && segment != "." && segment != "..");
            }
        }
    }

    #[test]
    fn any_text_survives_being_escaped_into_a_query(value in ".{0,40}") {
        let escaped = percent_encoding::percent_encode(value.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        proptest::prop_assert_eq!(query_param(&format!("a=1&id={escaped}&b"), "id"), Some(value));
    }

    #[test]
    fn a_raw_query_never_panics(raw in ".{0,60}") {
        let _ = query_params(&raw);
    }
}
