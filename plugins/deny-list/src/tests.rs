use cordboard_plugin_sdk::testing::{
    TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys,
};

use super::*;

fn actions(config: &str, text: &str) -> Vec<Action> {
    let message = TestMessage::text(Direction::ToBackend, text);
    DenyList::init(config).unwrap().on_message(&message, &TestConnection::new(), &TestInterest::new())
}

fn refused() -> Vec<Action> {
    vec![Action::close(1008, "the message is refused")]
}

#[test]
fn the_first_rule_that_matches_decides() {
    let config = r#"{"rules": [
        {"id": "script", "regex": "(?i)<script[\\s>]"},
        {"id": "eval", "literal": "eval(", "action": "reply", "reply": "{\"error\":\"no\"}"},
        {"id": "long", "longerThan": 20, "action": "drop"},
        {"id": "umlaut", "literal": "größe"}]}"#;
    for (text, expected) in [
        ("<SCRIPT >", refused()),
        ("eval(1) <script>", refused()),
        ("x eval(1) and so on and so on", vec![Action::reply_text("{\"error\":\"no\"}")]),
        ("123456789012345678901", vec![]),
        ("1234567890123456789é", vec![]),
        ("12345678901234567890", vec![Action::Forward]),
        ("die größe", refused()),
        ("die Größe", vec![Action::Forward]),
        ("<scripture>", vec![Action::Forward]),
        ("", vec![Action::Forward]),
    ] {
        assert_eq!(actions(config, text), expected, "{text}");
    }
}

#[test]
fn json_s_escapes_are_no_way_around_a_rule() {
    let config = r#"{"rules": [{"id": "script", "literal": "<script"}, {"id": "raw", "literal": "\\u0041"}]}"#;
    for (text, expected) in [
        (r#"{"a":"\u003cscript"}"#, refused()),
        (r#"{"a":"\u003C\u0073cript"}"#, refused()),
        (r#"{"a":"\u0041"}"#, refused()),
        (r#"{"a":"\\u003cscript"}"#, vec![Action::Forward]),
        (r#"{"a":"A"}"#, vec![Action::Forward]),
        (r"no json \u003cscript", refused()),
        ("\\", vec![Action::Forward]),
        (r"\u00", vec![Action::Forward]),
        (r"\ué\ud800", vec![Action::Forward]),
    ] {
        assert_eq!(actions(config, text), expected, "{text}");
    }
}

#[test]
fn binary_messages_and_the_other_direction_are_not_asked_for() {
    let config = r#"{"rules": [{"id": "a", "literal": "a"}], "direction": "to-backend", "maxBytes": 100}"#;
    let (deny, interest) = (DenyList::init(config).unwrap(), TestInterest::new());
    deny.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
    assert_eq!(interest.wanted().len(), 1);
    assert!(interest.wants(Direction::ToBackend, MessageKind::Text));
    let binary = TestMessage::binary(Direction::ToBackend, *b"a");
    assert_eq!(deny.on_message(&binary, &TestConnection::new(), &interest), [Action::Forward]);
}

#[test]
fn a_bad_configuration_is_told() {
    for (rules, told) in [
        ("", "rules: there is none, so nothing would be denied"),
        (r#"{"literal": "a"}"#, "rules[0]: id: it is missing; the log names the rule by it"),
        (r#"{"id": "a"}"#, "rules[0]: exactly one of literal, regex and longerThan is needed"),
        (r#"{"id": "a", "literal": "x", "regex": "x"}"#, "rules[0]: exactly one of literal, regex and longerThan"),
        (r#"{"id": "a", "literal": ""}"#, "rules[0]: literal: every text holds the empty one"),
        (r#"{"id": "a", "literal": "x"}, {"id": "a", "literal": "y"}"#, "rules[1]: id: rules[0] has the same, \"a\""),
        (r#"{"id": "a", "regex": "(?=x)"}"#, "rules[0]: regex: "),
        (r#"{"id": "a", "longerThan": 65536}"#, "rules[0]: longerThan: 65536 is not less than maxBytes (65536), "),
        (r#"{"id": "a", "longerThan": -1}"#, "rules[0]: longerThan: -1 is no whole number from 0 to 4294967295"),
        (r#"{"id": "a", "literal": "x", "action": "log"}"#, "rules[0]: action: \"log\" is none of close, drop, reply"),
        (
            r#"{"id": "a", "literal": "x", "action": "reply"}"#,
            "rules[0]: reply: it is missing; action \"reply\" sends it",
        ),
        (r#"{"id": "a", "literal": "x", "reply": "y"}"#, "rules[0]: reply: only action \"reply\" sends it"),
        (
            r#"{"id": "a", "pattern": "x"}"#,
            "rules[0]: unknown key \"pattern\"; the keys are id, literal, regex, longerThan, action, reply",
        ),
    ] {
        let error = DenyList::init(&format!(r#"{{"rules": [{rules}]}}"#)).unwrap_err();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<DenyList>(include_str!("schema.json"));
}

#[test]
fn binary_messages_are_searched_where_that_is_asked_for() {
    let config = r#"{"rules": [{"id": "a", "literal": "<script"}], "binary": "search", "direction": "to-backend"}"#;
    let (deny, interest) = (DenyList::init(config).unwrap(), TestInterest::new());
    deny.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
    let kinds: Vec<_> = interest.wanted().iter().map(|wanted| wanted.kind).collect();
    assert_eq!(kinds, [MessageKind::Text, MessageKind::Binary]);
    for (bytes, expected) in [
        (&b"a <script>"[..], refused()),
        (b"\xff\x00<script\xfe", refused()),
        (b"\xff\xfe", vec![Action::Forward]),
        (b"", vec![Action::Forward]),
    ] {
        let message = TestMessage::binary(Direction::ToBackend, bytes);
        assert_eq!(deny.on_message(&message, &TestConnection::new(), &interest), expected, "{bytes:?}");
    }
}
