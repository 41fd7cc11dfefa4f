use cordboard_plugin_sdk::{
    Direction, Payload,
    testing::{TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys},
};

use super::*;

fn actions(config: &str, message: &TestMessage) -> Vec<Action> {
    Redact::init(config).unwrap().on_message(message, &TestConnection::new(), &TestInterest::new())
}

/// What goes on of a text message; none where it goes on as it came.
fn passed(config: &str, text: &str) -> Option<String> {
    match actions(config, &TestMessage::text(Direction::ToBackend, text)).as_slice() {
        [Action::Forward] => None,
        [Action::Emit(Payload::Text(text))] => Some(text.clone()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn values_at_pointers_are_replaced_and_all_else_stays_as_it_was_written() {
    let config = r#"{"pointers": ["/user/password", "/cards/*/number", "/~0a/0"], "replacement": "***"}"#;
    for (text, after) in [
        (r#"{"user": {"name": "ada", "password": "x"}}"#, Some(r#"{"user":{"name":"ada","password":"***"}}"#)),
        (r#"{"user":{"password":{"old":1,"new":[2]}}}"#, Some(r#"{"user":{"password":"***"}}"#)),
        (r#"{"user":{"password":1,"password":2}}"#, Some(r#"{"user":{"password":"***","password":"***"}}"#)),
        (r#"{"user":{"p\u0061ssword":"x"}}"#, Some(r#"{"user":{"p\u0061ssword":"***"}}"#)),
        (
            r#"{"n":12345678901234567890.10,"s":"\u00e9\/","cards":[{"number":1},{},3,{"number":null}]}"#,
            Some(r#"{"n":12345678901234567890.10,"s":"\u00e9\/","cards":[{"number":"***"},{},3,{"number":"***"}]}"#),
        ),
        (r#"{"cards":{"a":{"number":"1"}}}"#, Some(r#"{"cards":{"a":{"number":"***"}}}"#)),
        (r#"{"~a":[1,2]}"#, Some(r#"{"~a":["***",2]}"#)),
        (r#"{ "user": { "name": "ada" } }"#, None),
        (r#"{"user":"password"}"#, None),
        ("[]", None),
        ("", None),
        ("{\"user\":{\"password\":\"x\"", None),
    ] {
        assert_eq!(passed(config, text).as_deref(), after, "{text}");
    }
    assert_eq!(passed(r#"{"pointers": [""], "replacement": "a\"b"}"#, "7").as_deref(), Some(r#""a\"b""#));
}

#[test]
fn matches_are_replaced_in_strings_numbers_names_and_other_text() {
    let config = r##"{"patterns": ["\\b\\d{13,16}\\b", "[a-z.]+@[a-z.]+", "ö+"], "replacement": "#"}"##;
    for (text, after) in [
        (r#"{"a": "card 4111111111111111, ada@example.org"}"#, Some(r#"{"a":"card #, #"}"#)),
        (r#"{"a":4111111111111111,"b":411}"#, Some(r##"{"a":"#","b":411}"##)),
        (r#"{"ada@example.org":[true,"x"]}"#, Some(r##"{"#":[true,"x"]}"##)),
        (r#""\u0061da\u0040example.org""#, Some(r##""#""##)),
        (r#""zw\u00f6lf b\u00f6\u00f6gen""#, Some(r#""zw#lf b#gen""#)),
        (r#""say \"hi\" to a@b\n""#, Some(r#""say \"hi\" to #\n""#)),
        ("not json: 4111111111111111 {", Some("not json: # {")),
        (r#"{"a":"b"}"#, None),
        ("true", None),
        ("", None),
    ] {
        assert_eq!(passed(config, text).as_deref(), after, "{text}");
    }
    assert_eq!(passed(r#"{"patterns": ["x*", "$1"], "replacement": "$0"}"#, "axxb").as_deref(), Some("a$0b"));
}

#[test]
fn later_patterns_see_what_earlier_ones_left() {
    assert_eq!(passed(r#"{"patterns": ["a", "b"], "replacement": "bb"}"#, "a").as_deref(), Some("bbbb"));
}

#[test]
fn text_that_is_no_json_closes_where_the_configuration_says_so() {
    let config = r#"{"pointers": ["/a"], "onInvalid": "close"}"#;
    let not_json = TestMessage::text(Direction::ToBackend, "{'a': 1}");
    let told = "the message is no JSON: a member's name is missing at byte 1";
    assert_eq!(actions(config, &not_json), [Action::close(1007, told)]);
    let deep = TestMessage::text(Direction::ToBackend, "[".repeat(60_000));
    assert!(matches!(actions(config, &deep).as_slice(), [Action::Close(frame)] if frame.code == 1007));
}

#[test]
fn binary_messages_and_the_other_direction_are_not_asked_for() {
    let binary = TestMessage::binary(Direction::ToBackend, b"{\"a\":1}".to_vec());
    assert_eq!(actions(r#"{"pointers": ["/a"]}"#, &binary), [Action::Forward]);

    let interest = TestInterest::new();
    let redact = Redact::init(r#"{"pointers": ["/a"], "direction": "to-client"}"#).unwrap();
    redact.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
    assert_eq!(interest.wanted().len(), 1);
    assert!(interest.wants(Direction::ToClient, MessageKind::Text));
}

#[test]
fn a_bad_configuration_is_told() {
    for (config, told) in [
        ("{}", "neither pointers nor patterns: there is nothing to redact"),
        (r#"{"pointers": ["a"]}"#, "pointers: \"a\" is no JSON Pointer: it does not begin with \"/\""),
        (r#"{"pointers": "/a"}"#, "pointers: a text is no list"),
        (r#"{"patterns": ["(a"]}"#, "patterns: \"(a\": "),
        (r#"{"pointers": ["/a"], "onInvalid": "drop"}"#, "onInvalid: \"drop\" is none of pass, close"),
        (
            r#"{"pointer": "/a"}"#,
            "unknown key \"pointer\"; the keys are direction, pointers, patterns, replacement, onInvalid, maxBytes, oversize",
        ),
    ] {
        let error = Redact::init(config).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<Redact>(include_str!("schema.json"));
}
