use cordboard_plugin_sdk::testing::TestRequest;

use super::*;

fn policy(config: &str) -> Router {
    Router::init(config).expect("the configuration is good")
}

/// Scheme, service, tag and what is asked for upstream (none: as received).
type Answer = (String, Option<String>);

fn answer(policy: &Router, request: &TestRequest) -> Result<Option<Answer>, (u16, String)> {
    match policy.resolve(request) {
        Ok(None) => Ok(None),
        Ok(Some(Resolution { target: Target::Service(service), path_and_query, .. })) => {
            let tag = service.env_tag.map(|tag| format!("|{tag}")).unwrap_or_default();
            Ok(Some((format!("{}:{}{tag}", service.scheme.unwrap_or_default(), service.service_id), path_and_query)))
        }
        Ok(Some(other)) => panic!("not a service: {other:?}"),
        Err(rejection) => Err((rejection.status, rejection.code)),
    }
}

fn request(target: &str, headers: &[(&str, &str)]) -> TestRequest {
    headers.iter().fold(TestRequest::upgrade(target), |request, (name, value)| request.with_header(name, value))
}

const PREFIXES: &str = r#"{"pathPrefixService": {
    "/ws": "general",
    "/ws/chat": "chat",
    "/ws/notification": {"serviceId": "notification", "protocol": "wss", "envTag": "dev"},
    "/caf%C3%A9/in here": "coffee"
}}"#;

#[test]
fn a_header_wins_over_the_query_and_the_query_over_the_longest_prefix() {
    let policy = policy(PREFIXES);
    for (target, headers, service) in [
        ("/ws/chat?service_id=q", &[("Service-Id", "h")][..], Some("http:h")),
        ("/ws/chat", &[("service_id", "h2"), ("serviceId", "h3")], Some("http:h2")),
        ("/ws/chat", &[("serviceId", "h3"), ("Service-Id", "h1"), ("service_id", "h2")], Some("http:h1")),
        ("/ws/chat", &[("serviceId", "h3")], Some("http:h3")),
        ("/ws/chat?service_id=q", &[("Service-Id", " "), ("service_id", "")], Some("http:q")),
        ("/ws/chat", &[("Service-Id", ""), ("serviceId", "h3")], Some("http:h3")),
        ("/ws/chat?serviceId=q2&service_id=q1", &[], Some("http:q1")),
        ("/ws/chat?serviceId=q2&service_id=%20", &[], Some("http:q2")),
        ("/ws/chat?service_id=&service_id=q1", &[], Some("http:q1")),
        ("/ws/chat?service_id", &[], Some("http:chat")),
        ("/ws/chat?service%5Fid=a%20b", &[], Some("http:a b")),
        ("/ws/chat", &[], Some("http:chat")),
        ("/ws/chat/", &[], Some("http:chat")),
        ("/ws/chat/room/1?x=1", &[], Some("http:chat")),
        ("/ws/chatter", &[], Some("http:general")),
        ("/ws", &[], Some("http:general")),
        ("/ws/notification", &[], Some("wss:notification|dev")),
        ("/ws/notification", &[("Service-Id", "h")], Some("http:h")),
        ("/caf%c3%a9/in%20here/now", &[], Some("http:coffee")),
        ("/wsx", &[], None),
        ("/", &[], None),
        ("/x/ws/chat", &[], None),
        ("/x?path=/ws/chat", &[], None),
    ] {
        let got = answer(&policy, &request(target, headers)).unwrap().map(|(service, _)| service);
        assert_eq!(got.as_deref(), service, "{target} {headers:?}");
    }
}

#[test]
fn a_bad_service_id_is_refused_with_400() {
    let over = "x".repeat(129);
    let (in_query, refused) = (format!("/?service_id={over}"), Err((400, "bad-service-id".to_owned())));
    for (target, headers) in [
        (in_query.as_str(), vec![]),
        ("/", vec![("service-id", over.as_str())]),
        ("/?service_id=a%00b", vec![]),
        ("/?service_id=%ff&serviceId=good", vec![]),
    ] {
        assert_eq!(answer(&policy("{}"), &request(target, &headers)), refused, "{target} {headers:?}");
    }
    let full = "x".repeat(128);
    assert_eq!(
        answer(&policy("{}"), &request("/", &[("service-id", &full)])),
        Ok(Some((format!("http:{full}"), None)))
    );
}

#[test]
fn all_four_forms_of_path_prefix_service_parse_equal() {
    let parse = |form: &str| Config::parse(&format!(r#"{{"pathPrefixService": {form}}}"#)).unwrap();
    let written = parse(r#"{"/ws/chat": "svc1", "/ws": "svc2"}"#);
    assert_eq!(
        answer(&Router { config: parse(r#""/ws=svc2""#) }, &request("/ws", &[])).unwrap().unwrap().0,
        "http:svc2"
    );
    for form in [
        r#"{"/ws": {"serviceId": "svc2"}, "/ws/chat": {"serviceId": "svc1", "protocol": null}}"#,
        r#""{\"/ws\": \"svc2\", \"/ws/chat\": {\"serviceId\": \"svc1\"}}""#,
        r#""/ws/chat=svc1 & /ws=svc2""#,
        r#"" ws/chat/ =svc1&/ws/= svc2 ""#,
    ] {
        assert_eq!(parse(form), written, "{form}");
    }
    for none in ["null", "{}", r#""""#, r#"" ""#, r#""{}""#] {
        assert_eq!(parse(none), Config::parse("{}").unwrap(), "{none}");
    }
}

#[test]
fn a_bad_or_duplicate_entry_refuses_the_configuration_and_is_named() {
    for (form, told) in [
        (r#"{"/a": "x", "/b": ""}"#, r#"entry "/b": the service id is empty"#),
        (r#"{"/b": {"protocol": "ws"}}"#, r#"entry "/b": the service id is empty"#),
        (r#"{"/b": 7}"#, r#"entry "/b": 7 is neither a service id nor {serviceId, protocol?, envTag?}"#),
        (
            r#"{"/b": {"serviceId": "x", "protocol": "tcp"}}"#,
            r#"entry "/b": protocol: "tcp" is none of http, https, ws, wss"#,
        ),
        (
            r#"{"/b": {"serviceid": "x"}}"#,
            r#"entry "/b": unknown key "serviceid"; the keys are serviceId, protocol, envTag"#,
        ),
        (r#"{"/b": {"serviceId": "x", "envTag": "a\nb"}}"#, r#"entry "/b": envTag: the tag holds a control character"#),
        (r#"{"": "x"}"#, r#"entry "": the prefix is empty; write "/" for every path"#),
        (r#"{"/a//b": "x"}"#, r#"entry "/a//b": the prefix has an empty or a dot segment"#),
        (r#"{"/a?b=c": "x"}"#, r#"entry "/a?b=c": a prefix is a path without a query"#),
        (r#"{"/%ff": "x"}"#, r#"entry "/%ff": the prefix is not UTF-8"#),
        (
            r#"{"/a": "x", "/a/": "x"}"#,
            r#"entry "/a/": the path is that of entry "/a"; each path may stand there once"#,
        ),
        (r#""{\"/a\": \"x\", \"/a\": \"y\"}""#, r#"entry "/a": the path is that of entry "/a""#),
        (r#""/a=x & /%61=y""#, r#"entry "/%61": the path is that of entry "/a""#),
        (r#""/a=x & /b""#, r#"entry "/b": no "="; write /prefix=service, with " & " between entries"#),
        (r#""/a=x & ""#, r#"entry "": no "=""#),
        (r#""/a= & /b=x""#, r#"entry "/a": the service id is empty"#),
        (r#""{\"/a\": ""#, "not a JSON object: "),
        (r#"["/a"]"#, r#"["/a"] is neither a map nor a string"#),
    ] {
        let error = Router::init(&format!(r#"{{"pathPrefixService": {form}}}"#)).expect_err(form);
        assert!(error.starts_with(&format!("pathPrefixService: {told}")), "{form}: {error}");
    }
}

#[test]
fn a_bad_key_refuses_the_configuration_and_is_named() {
    for (config, told) in [
        (r#"{"defaultprotocol": "ws"}"#, "unknown key \"defaultprotocol\"; the keys are enabled, defaultProtocol, "),
        (r#"{"defaultProtocol": "tcp"}"#, "defaultProtocol: \"tcp\" is none of http, https, ws, wss"),
        (r#"{"defaultProtocol": 1}"#, "defaultProtocol: 1 is no text"),
        (r#"{"defaultEnvTag": "a\u0000"}"#, "defaultEnvTag: the tag holds a control character"),
        (
            r#"{"allowOverrides": ["env_tag"]}"#,
            "allowOverrides: \"env_tag\" cannot be overridden; only \"protocol\" and \"envTag\" can",
        ),
        (r#"{"allowOverrides": true}"#, "allowOverrides: true is no list"),
    ] {
        let error = Router::init(config).expect_err(config);
        assert!(error.starts_with(told), "{config}: {error}");
    }
}

#[test]
fn a_root_prefix_catches_what_no_longer_one_does() {
    let policy = policy(r#"{"pathPrefixService": "/=all & /a=one"}"#);
    for (target, service) in [("/", "http:all"), ("/b", "http:all"), ("/a/b", "http:one"), ("/ab", "http:all")] {
        assert_eq!(answer(&policy, &request(target, &[])).unwrap().unwrap().0, service, "{target}");
    }
}

#[test]
fn an_entrys_own_protocol_and_tag_win_over_the_defaults() {
    let policy = policy(
        r#"{"defaultProtocol": "https", "defaultEnvTag": "prod", "pathPrefixService": {
            "/own": {"serviceId": "s", "protocol": "WS", "envTag": "dev"}, "/none": {"serviceId": "s", "envTag": ""}, "/def": "s"}}"#,
    );
    for (target, service) in
        [("/own", "ws:s|dev"), ("/none", "https:s"), ("/def", "https:s|prod"), ("/?serviceId=s", "https:s|prod")]
    {
        assert_eq!(answer(&policy, &request(target, &[])).unwrap().unwrap().0, service, "{target}");
    }
}

#[test]
fn an_override_counts_only_where_the_configuration_allows_it_and_is_always_taken_out() {
    let target = "/own?protocol=WSS&env_tag=qa&x=1";
    for (allowed, service) in [
        ("[]", "http:s|dev"),
        (r#"["protocol"]"#, "wss:s|dev"),
        (r#"["envTag"]"#, "http:s|qa"),
        (r#"["envTag", "protocol"]"#, "wss:s|qa"),
    ] {
        let config = format!(
            r#"{{"allowOverrides": {allowed}, "pathPrefixService": {{"/own": {{"serviceId": "s", "envTag": "dev"}}}}}}"#
        );
        let expected = (service.to_owned(), Some("/own?x=1".to_owned()));
        assert_eq!(answer(&policy(&config), &request(target, &[])), Ok(Some(expected)), "{allowed}");
    }
}

#[test]
fn an_invalid_override_is_refused_where_allowed_and_ignored_where_not() {
    let allowing = policy(r#"{"allowOverrides": ["protocol", "envTag"]}"#);
    let ignoring = policy("{}");
    let over = "x".repeat(129);
    for (parameter, code) in [
        ("protocol=tcp", "bad-protocol"),
        ("protocol=%ff", "bad-protocol"),
        ("protocol=http%00", "bad-protocol"),
        (&format!("env_tag={over}"), "bad-env-tag"),
        ("envTag=a%0Ab", "bad-env-tag"),
        ("env_tag=&envTag=%ff", "bad-env-tag"),
    ] {
        let request = request(&format!("/?service_id=s&{parameter}"), &[]);
        assert_eq!(answer(&allowing, &request), Err((400, code.to_owned())), "{parameter}");
        assert_eq!(answer(&ignoring, &request), Ok(Some(("http:s".to_owned(), Some("/".to_owned())))), "{parameter}");
    }
    // A blank one counts as absent; without a service there is nothing to override.
    assert_eq!(answer(&allowing, &request("/?service_id=s&protocol=&env_tag", &[])).unwrap().unwrap().0, "http:s");
    assert_eq!(answer(&allowing, &request("/?protocol=tcp", &[])), Ok(None));
}

#[test]
fn upstream_sees_the_path_as_received_and_the_query_without_the_routers_parameters() {
    let policy = policy(PREFIXES);
    for (target, upstream) in [
        ("/ws/%63hat/a%20b?x=%2f&y=+", None),
        ("/ws/%63hat/a%20b?x=%2f&serviceId=&y=+&&z", Some("/ws/%63hat/a%20b?x=%2f&y=+&&z")),
        ("/ws/chat?protocol=ws&service_id=a&serviceId=b&env_tag=c&envTag=d", Some("/ws/chat")),
        ("/ws/chat?%70rotocol=ws", Some("/ws/chat")),
        ("/ws/chat?", None),
        ("/ws/chat?channelId=1&Protocol=x", None),
        ("/ws/chat?a=1?b&protocol=x", Some("/ws/chat?a=1?b")),
    ] {
        let got = answer(&policy, &request(target, &[])).unwrap().unwrap().1;
        assert_eq!(got.as_deref(), upstream, "{target}");
    }
}

#[test]
fn the_routing_headers_do_not_go_upstream() {
    let edits = policy("{}").rewrite_request(&request("/", &[("Service-Id", "a")])).unwrap();
    assert_eq!(edits, SERVICE_HEADERS.map(|name| Edit::Remove(name.to_owned())));
}

#[test]
fn the_channel_comes_from_a_header_and_the_host_makes_one_otherwise() {
    let over = "x".repeat(129);
    let bad = || Err((400, "bad-channel-id".to_owned()));
    for (headers, expected) in [
        (vec![("x-group-id", "a"), ("channel-group-id", "b")], Ok(Some("a".to_owned()))),
        (vec![("channel-group-id", "b")], Ok(Some("b".to_owned()))),
        (vec![], Ok(None)),
        (vec![("x-group-id", "")], bad()),
        (vec![("x-group-id", over.as_str())], bad()),
    ] {
        let got = policy("{}").extract_channel(&request("/?channelId=q", &headers));
        let got = got.map(|channel| channel.map(|channel| channel.id)).map_err(|error| (error.status, error.code));
        assert_eq!(got, expected, "{headers:?}");
    }
}

#[test]
fn a_disabled_policy_has_no_opinion_in_anything() {
    let policy = policy(r#"{"enabled": false, "pathPrefixService": "/=all"}"#);
    let request = request("/?service_id=%ff", &[("service-id", "a"), ("x-group-id", "")]);
    assert_eq!(policy.resolve(&request), Ok(None));
    assert_eq!(policy.extract_channel(&request), Ok(None));
    assert_eq!(policy.rewrite_request(&request), Ok(vec![]));
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let written = r#"{"enabled": true, "defaultProtocol": "http", "defaultEnvTag": "", "allowOverrides": []}"#;
    assert_eq!(Config::parse("{}"), Config::parse(written));
    assert_eq!(Config::parse(r#"{"defaultEnvTag": null}"#), Config::parse(written));
}
