use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

fn policy(config: &str) -> Rendezvous {
    Rendezvous::init(config).expect("the configuration is good")
}

fn role(config: &str, target: &str) -> Option<Role> {
    policy(config).detect_role(&TestRequest::upgrade(target)).expect("no refusal")
}

fn request(target: &str, headers: &[(&str, &str)]) -> TestRequest {
    headers.iter().fold(TestRequest::upgrade(target), |request, (name, value)| request.with_header(name, value))
}

/// The id, none for no opinion, or the refusal's status and code.
fn channel_of(policy: &Rendezvous, request: &TestRequest) -> Result<Option<String>, (u16, String)> {
    match policy.extract_channel(request) {
        Ok(channel) => Ok(channel.map(|channel| channel.id)),
        Err(rejection) => Err((rejection.status, rejection.code)),
    }
}

#[test]
fn the_role_is_backend_where_whole_segments_match_and_client_elsewhere() {
    for target in [
        "/connect",
        "/chat/connect",
        "/connect/chat",
        "/a/connect/b?c=d",
        "/chat/connect/",
        "/chat/%63onnect",
        "//connect",
    ] {
        assert_eq!(role("{}", target), Some(Role::Backend), "{target}");
    }
    for target in
        ["/", "/chat", "/connection", "/reconnect", "/chat/reconnect", "/connect.", "/Connect", "/chat/connect%2F1"]
    {
        assert_eq!(role("{}", target), Some(Role::Client), "{target}");
    }
}

#[test]
fn the_query_never_makes_a_backend() {
    for target in
        ["/chat?x=/connect", "/chat?next=/connect&channelId=1", "/chat?/connect", "/chat??/connect", "/?connect"]
    {
        assert_eq!(role("{}", target), Some(Role::Client), "{target}");
    }
}

#[test]
fn a_backend_path_of_several_segments_must_stand_in_a_row() {
    let config = r#"{"backendPath": "/agent/in%20here/"}"#;
    for target in ["/agent/in%20here", "/x/agent/in%20here/y", "/agent/agent/in%20here"] {
        assert_eq!(role(config, target), Some(Role::Backend), "{target}");
    }
    for target in ["/agent", "/agent/x/in%20here", "/in%20here/agent", "/agent/in", "/"] {
        assert_eq!(role(config, target), Some(Role::Client), "{target}");
    }
}

#[test]
fn the_channel_comes_from_the_first_header_present_then_from_the_query() {
    let (id, bad) = (|text: &str| Ok(Some(text.to_owned())), || Err((400, "bad-channel-id".to_owned())));
    let full = "x".repeat(128);
    let (in_query, over_query) = (format!("/chat?channelId={full}"), format!("/chat?channelId={full}y"));
    let over = format!("{full}y");
    let table = [
        ("/chat", vec![("x-group-id", "a")], id("a")),
        ("/chat", vec![("X-Group-Id", "a")], id("a")),
        ("/chat", vec![("channel-group-id", "b")], id("b")),
        ("/chat", vec![("channel-group-id", "b"), ("x-group-id", "a")], id("a")),
        ("/chat?channelId=c", vec![("x-group-id", "a")], id("a")),
        ("/chat?channelId=c", vec![("channel-group-id", "b")], id("b")),
        ("/chat?channelId=c", vec![("x-other", "a")], id("c")),
        ("/chat", vec![("x-group-id", "a"), ("x-group-id", "z")], id("a")),
        ("/chat", vec![("x-group-id", "a%20b")], id("a%20b")),
        ("/chat?channelId=a%20b+c", vec![], id("a b+c")),
        ("/chat?channelId=%C3%A9&channelId=z", vec![], id("é")),
        ("/chat?x=1&channel%49d=c", vec![], id("c")),
        (in_query.as_str(), vec![], id(&full)),
        ("/chat", vec![], Ok(None)),
        ("/chat?channelid=c&xchannelId=d&channelIdx=e", vec![], Ok(None)),
        ("/chat?channelId=", vec![], bad()),
        ("/chat?channelId", vec![], bad()),
        ("/chat?channelId=c", vec![("x-group-id", "")], bad()),
        ("/chat?channelId=%00", vec![], bad()),
        ("/chat?channelId=a%0Ab", vec![], bad()),
        ("/chat?channelId=%ff", vec![], bad()),
        (over_query.as_str(), vec![], bad()),
        ("/chat", vec![("x-group-id", over.as_str())], bad()),
    ];
    let policy = policy("{}");
    for (target, headers, expected) in table {
        assert_eq!(channel_of(&policy, &request(target, &headers)), expected, "{target} {headers:?}");
    }
}

#[test]
fn text_after_a_second_question_mark_belongs_to_the_id() {
    assert_eq!(channel_of(&policy("{}"), &request("/chat?channelId=a?b", &[])), Ok(Some("a?b".to_owned())));
}

#[test]
fn the_sources_and_their_order_are_configurable() {
    let policy = policy(r#"{"channelHeaders": ["x-b", "x-a"], "channelQuery": ["room", "channelId"]}"#);
    for (target, headers, id) in [
        ("/", &[("x-a", "1"), ("x-b", "2")][..], Some("2")),
        ("/?channelId=1&room=2", &[], Some("2")),
        ("/?channelId=1", &[("x-group-id", "2")], Some("1")),
        ("/", &[("x-group-id", "2")], None),
    ] {
        assert_eq!(channel_of(&policy, &request(target, headers)).unwrap().as_deref(), id, "{target} {headers:?}");
    }
}

#[test]
fn a_refusal_names_the_source_and_never_repeats_the_id() {
    let rejection = policy("{}").extract_channel(&TestRequest::upgrade("/?channelId=secret%0A")).unwrap_err();
    assert_eq!(
        rejection.body.as_deref(),
        Some("the channel id in query parameter \"channelId\" holds a control character\n")
    );
    assert!(!format!("{rejection:?}").contains("secret"));
}

#[test]
fn a_disabled_policy_has_no_opinion_not_even_on_a_bad_id() {
    assert_eq!(role(r#"{"enabled": false}"#, "/connect"), None);
    let disabled = policy(r#"{"enabled": false}"#);
    assert_eq!(channel_of(&disabled, &request("/?channelId=", &[("x-group-id", "")])), Ok(None));
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let written = r#"{"enabled": true, "backendPath": "/connect", "channelHeaders": ["x-group-id", "channel-group-id"],
                      "channelQuery": ["channelId"]}"#;
    assert_eq!(Config::parse("{}"), Config::parse(written));
    assert_eq!(Config::parse(r#"{"backendPath": "connect/", "enabled": null}"#), Config::parse(written));
}

#[test]
fn a_bad_configuration_is_refused_and_the_key_is_named() {
    for (config, told) in [
        (
            r#"{"backendpath": "/x"}"#,
            "unknown key \"backendpath\"; the keys are enabled, backendPath, channelHeaders, channelQuery",
        ),
        (r#"{"enabled": "yes"}"#, "enabled: a text is neither true nor false"),
        (r#"{"backendPath": 7}"#, "backendPath: 7 is no text"),
        (r#"{"channelHeaders": "x-id"}"#, "channelHeaders: a text is no list"),
        (
            r#"{"backendPath": ""}"#,
            "backendPath: \"\" names no segment, so that every request would be a backend's; write one or more path segments, such as \"/connect\"",
        ),
        (r#"{"backendPath": "/"}"#, "backendPath: \"/\" names no segment"),
        (r#"{"backendPath": "//"}"#, "backendPath: \"//\" names no segment"),
        (r#"{"backendPath": "/a//b"}"#, "backendPath: \"/a//b\" has an empty or a dot segment"),
        (r#"{"backendPath": "/a?b"}"#, "backendPath: \"/a?b\" is more than a path"),
        (r#"{"backendPath": "/%ff"}"#, "backendPath: \"/%ff\" is not UTF-8"),
        (r#"{"channelHeaders": ["x id"]}"#, "channelHeaders: \"x id\" is not a header name"),
        (r#"{"channelQuery": [""]}"#, "channelQuery: an empty name"),
        ("[]", "the configuration must be an object: "),
    ] {
        let error = Rendezvous::init(config).expect_err(config);
        assert!(error.starts_with(told), "{config}: {error}");
    }
}
