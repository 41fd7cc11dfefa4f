use cordboard_plugin_sdk::{
    Direction, Identity, Payload,
    testing::{TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys},
};

use super::*;

/// What goes on of a text message; none where it goes on as it came.
fn passed(config: &str, connection: &TestConnection, text: &str) -> Option<String> {
    let message = TestMessage::text(Direction::ToBackend, text);
    match Json::init(config).unwrap().on_message(&message, connection, &TestInterest::new()).as_slice() {
        [Action::Forward] => None,
        [Action::Emit(Payload::Text(text))] => Some(text.clone()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn members_are_removed_and_set_and_the_rest_stays_as_it_was_written() {
    let config = r#"{"remove": ["/debug", "/items/*/internal"], "set": {"/via": {"name": "ü", "hops": 1}}}"#;
    for (text, after) in [
        ("{}", Some(r#"{"via":{"name":"ü","hops":1}}"#)),
        (r#"{"debug": true, "via": 1, "n": 1.10e400}"#, Some(r#"{"via":{"name":"ü","hops":1},"n":1.10e400}"#)),
        (
            r#"{"items":[{"internal":1,"a":"\u00fc"},2],"via":0,"via":1}"#,
            Some(r#"{"items":[{"a":"\u00fc"},2],"via":{"name":"ü","hops":1},"via":{"name":"ü","hops":1}}"#),
        ),
        ("[1,2]", None),
        ("\"text\"", None),
        ("", None),
        ("{not json}", None),
    ] {
        assert_eq!(passed(config, &TestConnection::new(), text).as_deref(), after, "{text}");
    }
    let nested = r#"{"set": {"/a/b/c": null, "/list/0": "first", "/list/-": 12345678901234567890123}}"#;
    assert_eq!(
        passed(nested, &TestConnection::new(), r#"{"list":[1,2]}"#).as_deref(),
        Some(r#"{"list":["first",2,12345678901234567890123],"a":{"b":{"c":null}}}"#)
    );
    assert_eq!(passed(r#"{"set": {"/a/b": 1}}"#, &TestConnection::new(), r#"{"a":"x"}"#), None);
}

#[test]
fn facts_are_filled_in_and_what_is_unknown_cannot_be_forged() {
    let config = r#"{"enrich": {"/user": "subject", "/m/roles": "roles", "/m/id": "connection-id",
        "/m/country": "attribute:geo/country"}}"#;
    let ada = TestConnection::new()
        .with_id("c1")
        .with_identity(Identity::named("a\"da").with_roles(["x", "y"]))
        .with_attribute("geo/country", "se");
    // In the configuration's order.
    assert_eq!(
        passed(config, &ada, r#"{"user":"eve"}"#).as_deref(),
        Some(r#"{"user":"a\"da","m":{"roles":["x","y"],"id":"c1","country":"se"}}"#)
    );
    let forged = r#"{"user":"root","m":{"roles":["admin"],"id":"other","country":"xx"},"user":"root"}"#;
    let nobody = TestConnection::new().with_id("c2");
    assert_eq!(passed(config, &nobody, forged).as_deref(), Some(r#"{"m":{"id":"c2"}}"#));
    let anonymous = TestConnection::new().with_id("c3").with_identity(Identity::anonymous());
    assert_eq!(passed(config, &anonymous, forged).as_deref(), Some(r#"{"m":{"roles":[],"id":"c3"}}"#));
}

#[test]
fn a_trace_id_is_one_for_all_of_a_message_and_new_for_the_next() {
    let trace = || {
        let text = passed(r#"{"enrich": {"/a": "trace-id", "/b": "trace-id"}}"#, &TestConnection::new(), "{}").unwrap();
        let value = json::parse(&text).unwrap();
        let [a, b] = ["a", "b"].map(|name| value.members(name).next().unwrap().as_string().unwrap().into_owned());
        assert_eq!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|digit| digit.is_ascii_hexdigit()), "{a}");
        a
    };
    assert_ne!(trace(), trace());
}

#[test]
fn only_text_of_the_configured_direction_is_asked_for_and_no_json_closes_where_that_is_said() {
    let json = Json::init(r#"{"set": {"/a": 1}, "direction": "to-backend", "onInvalid": "close"}"#).unwrap();
    let (connection, interest) = (TestConnection::new(), TestInterest::new());
    json.open(&TestRequest::upgrade("/"), &connection, &interest);
    assert_eq!(interest.wanted().len(), 1);
    assert!(interest.wants(Direction::ToBackend, MessageKind::Text));

    let binary = TestMessage::binary(Direction::ToBackend, b"{}".to_vec());
    assert_eq!(json.on_message(&binary, &connection, &interest), [Action::Forward]);
    let not_json = TestMessage::text(Direction::ToBackend, "[1,]");
    let told = "the message is no JSON: a value is missing at byte 3";
    assert_eq!(json.on_message(&not_json, &connection, &interest), [Action::close(1007, told)]);
}

#[test]
fn a_bad_configuration_is_told() {
    for (config, told) in [
        ("{}", "neither remove nor set nor enrich: there is nothing to do"),
        (r#"{"remove": ["a"]}"#, "remove: \"a\" is no JSON Pointer: it does not begin with \"/\""),
        (r#"{"remove": [""]}"#, "remove: the empty pointer is the whole message; "),
        (r#"{"set": {"": 1}}"#, "set: the empty pointer is the whole message; "),
        (r#"{"set": {"/a~": 1}}"#, "set: \"/a~\" is no JSON Pointer: "),
        (r#"{"set": ["/a"]}"#, "set: a list is no map"),
        (
            r#"{"enrich": {"/a": "user"}}"#,
            "enrich: /a: \"user\" is none of subject, roles, connection-id, trace-id, attribute:NAME",
        ),
        (r#"{"enrich": {"/a": "attribute:"}}"#, "enrich: /a: \"attribute:\" is none of "),
        (r#"{"enrich": {"/a": 7}}"#, "enrich: /a: 7 is none of "),
        (
            r#"{"add": {}}"#,
            "unknown key \"add\"; the keys are direction, remove, set, enrich, onInvalid, maxBytes, oversize",
        ),
    ] {
        let error = Json::init(config).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<Json>(include_str!("schema.json"));
}
