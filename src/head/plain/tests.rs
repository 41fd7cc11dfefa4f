use super::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .collect()
}

fn list(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap())).collect()
}

#[test]
fn cookies_in_crumbs_become_one_field_and_others_stay() {
    let mut headers = map(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2; c=3"), ("x", "2")]);
    join_cookies(&mut headers);
    assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    assert_eq!(headers.get_all("x").iter().count(), 2);
    let mut one = map(&[("cookie", "a=1; b=2")]);
    join_cookies(&mut one);
    assert_eq!(list(&one), [("cookie", "a=1; b=2")]);
}

#[test]
fn a_length_beside_chunks_and_two_equal_ones_are_told_once_or_not_at_all() {
    let kept = |fields: &[(&str, &str)]| {
        answer(StatusCode::OK, &map(fields)).map(|headers| {
            headers.get_all("content-length").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(kept(&[("content-length", "5")]), Ok(vec!["5".to_owned()]));
    assert_eq!(kept(&[("content-length", "5"), ("content-length", "5")]), Ok(vec!["5".to_owned()]));
    assert_eq!(kept(&[("content-length", "5, 5")]), Ok(vec!["5".to_owned()]));
    assert_eq!(kept(&[("content-length", "5"), ("transfer-encoding", "Chunked")]), Ok(vec![]));
    assert!(kept(&[("content-length", "5, 6")]).is_err());
    for coding in ["gzip, chunked", "gzip", "chunked, chunked", ""] {
        assert!(kept(&[("transfer-encoding", coding)]).is_err(), "{coding}");
    }
}

#[test]
fn of_an_answer_hop_by_hop_fields_go_and_the_rest_stays_in_order() {
    let received = [
        ("date", "today"),
        ("connection", "close, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("set-cookie", "a=1"),
        ("trailer", "x-sum"),
        ("set-cookie", "b=2"),
        ("upgrade", "h2c"),
        ("sec-websocket-version", "13"),
    ];
    let plain = answer(StatusCode::OK, &map(&received)).unwrap();
    let left = [
        ("date", "today"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("sec-websocket-version", "13"),
        ("trailer", "x-sum"),
    ];
    assert_eq!(list(&plain), left);
    let upgrade = answer(StatusCode::UPGRADE_REQUIRED, &map(&received)).unwrap();
    assert_eq!(upgrade.get("upgrade").unwrap(), "h2c", "a 426 says what to upgrade to");
}

#[test]
fn nothing_trails_a_body_that_frames_routes_or_vouches_for_it() {
    for name in [
        "content-length",
        "transfer-encoding",
        "host",
        "trailer",
        "te",
        "x-forwarded-for",
        "forwarded",
        "authorization",
    ] {
        assert!(!may_trail(&name.parse().unwrap()), "{name}");
    }
    assert!(may_trail(&"x-checksum".parse().unwrap()) && may_trail(&"grpc-status".parse().unwrap()));
}
