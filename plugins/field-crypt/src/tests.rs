use cordboard_plugin_sdk::{
    Payload,
    testing::{TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys},
};

use super::*;

/// 32 bytes of 1, and of 2.
const ONE: &str = r#"{"id": "one", "key": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#;
const TWO: &str = r#"{"id": "two", "key": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}"#;

fn policy(keys: &str, more: &str) -> FieldCrypt {
    let config = format!(r#"{{"pointers": ["/secret", "/list/*/s"], "keys": [{keys}]{more}}}"#);
    FieldCrypt::init(&config).map_err(|error| panic!("{error}")).unwrap()
}

fn actions(policy: &FieldCrypt, direction: Direction, text: &str) -> Vec<Action> {
    policy.on_message(&TestMessage::text(direction, text), &TestConnection::new(), &TestInterest::new())
}

/// What goes on of a text message.
fn passed(policy: &FieldCrypt, direction: Direction, text: &str) -> String {
    match actions(policy, direction, text).as_slice() {
        [Action::Forward] => text.to_owned(),
        [Action::Emit(Payload::Text(text))] => text.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn what_was_encrypted_comes_back_exactly_as_it_was_written() {
    let policy = policy(ONE, "");
    for text in [
        r#"{"secret":"4711","n":1}"#,
        r#"{"secret":12345678901234567890.10e400}"#,
        r#"{"secret":{"a":[1,"\u00e9\/",null],"b":{}}}"#,
        r#"{"secret":"","secret":true}"#,
        r#"{"list":[{"s":"größe"},{"t":1},2,{"s":null}],"secret":"\ud800"}"#,
    ] {
        let encrypted = passed(&policy, Direction::ToBackend, text);
        assert!(encrypted.contains("\"cb1.one."), "{encrypted}");
        assert!(!["4711", "1234567890", "größe", "null", "true"].iter().any(|secret| encrypted.contains(secret)));
        assert_eq!(passed(&policy, Direction::ToClient, &encrypted), text);
    }
    for untouched in ["{}", "[]", "7", r#"{"Secret":"x"}"#, r#"{ "list": [] }"#] {
        assert_eq!(actions(&policy, Direction::ToBackend, untouched), [Action::Forward], "{untouched}");
    }
}

#[test]
fn the_same_value_never_looks_the_same() {
    let policy = policy(ONE, "");
    let text = r#"{"secret":"x"}"#;
    assert_ne!(passed(&policy, Direction::ToBackend, text), passed(&policy, Direction::ToBackend, text));

    let many = format!("{{\"list\":[{}]}}", vec![r#"{"s":1}"#; 1000].join(","));
    let encrypted = passed(&policy, Direction::ToBackend, &many);
    let mut nonces: Vec<&str> = encrypted.split("cb1.one.").skip(1).map(|data| &data[..16]).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 1000);
    assert_eq!(passed(&policy, Direction::ToClient, &encrypted), many);
}

#[test]
fn a_value_of_another_implementation_is_decrypted() {
    // Made with OpenSSL 3: key of 32 bytes of 1, nonce of 12 bytes of 7, authenticated "cb1.one", text "4711" with quotes.
    let text = r#"{"secret":"cb1.one.BwcHBwcHBwcHBwcHr8fdlT6MbFLShAlk49-VD9-7bStKRg"}"#;
    assert_eq!(passed(&policy(ONE, ""), Direction::ToClient, text), r#"{"secret":"4711"}"#);
}

#[test]
fn the_first_key_encrypts_and_all_decrypt() {
    let old = passed(&policy(ONE, ""), Direction::ToBackend, r#"{"secret":1}"#);
    let rotated = policy(&format!("{TWO}, {ONE}"), "");
    assert_eq!(passed(&rotated, Direction::ToClient, &old), r#"{"secret":1}"#);
    assert!(passed(&rotated, Direction::ToBackend, r#"{"secret":1}"#).contains("cb1.two."));
    let closed = [Action::close(1008, "an encrypted value cannot be decrypted")];
    assert_eq!(actions(&policy(TWO, ""), Direction::ToClient, &old), closed);
    assert_eq!(actions(&policy(TWO, r#", "onFailure": "pass""#), Direction::ToClient, &old), [Action::Forward]);
}

#[test]
fn what_was_tampered_with_closes_and_what_is_not_encrypted_passes() {
    let policy = policy(&format!("{ONE}, {TWO}"), "");
    let good = passed(&policy, Direction::ToBackend, r#"{"secret":"abc"}"#);
    let tampered = |from: &str, to: &str| good.replacen(from, to, 1);
    let middle = &good[25..26];
    let other = if middle == "A" { "B" } else { "A" };
    for text in [
        tampered("cb1.one", "cb1.two"),
        format!("{}{other}{}", &good[..25], &good[26..]),
        tampered("\"}", "A\"}"),
        r#"{"secret":"cb1.one."}"#.to_owned(),
        r#"{"secret":"cb1.one.AAAA"}"#.to_owned(),
        r#"{"secret":"cb1.one.*"}"#.to_owned(),
        r#"{"secret":"cb1..AAAA"}"#.to_owned(),
        r#"{"secret":"cb1.one.é"}"#.to_owned(),
    ] {
        let closed = [Action::close(1008, "an encrypted value cannot be decrypted")];
        assert_eq!(actions(&policy, Direction::ToClient, &text), closed, "{text}");
    }
    for plain in [r#"{"secret":"cb1"}"#, r#"{"secret":"cb1.one"}"#, r#"{"secret":"cb2.one.AAAA"}"#, r#"{"secret":7}"#] {
        assert_eq!(actions(&policy, Direction::ToClient, plain), [Action::Forward], "{plain}");
    }
}

#[test]
fn the_direction_decides_and_one_that_passes_is_not_asked_for() {
    let policy = policy(ONE, r#", "toBackend": "decrypt", "toClient": "pass", "maxBytes": 9"#);
    let interest = TestInterest::new();
    policy.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
    assert_eq!(interest.wanted().len(), 1);
    assert!(interest.wants(Direction::ToBackend, MessageKind::Text));
    assert_eq!(actions(&policy, Direction::ToClient, r#"{"secret":1}"#), [Action::Forward]);
    assert_eq!(actions(&policy, Direction::ToBackend, r#"{"secret":1}"#), [Action::Forward]);
}

#[test]
fn text_that_is_no_json_closes_unless_it_may_pass_in_clear() {
    let told = "the message is no JSON: a value is missing at byte 0";
    assert_eq!(actions(&policy(ONE, ""), Direction::ToBackend, "secret"), [Action::close(1007, told)]);
    assert_eq!(actions(&policy(ONE, r#", "onInvalid": "pass""#), Direction::ToBackend, "secret"), [Action::Forward]);
    let binary = TestMessage::binary(Direction::ToBackend, *b"{}");
    let passed = policy(ONE, "").on_message(&binary, &TestConnection::new(), &TestInterest::new());
    assert_eq!(passed, [Action::Forward]);
}

#[test]
fn a_bad_configuration_is_told_and_no_secret_with_it() {
    let with_key = |key: &str| format!(r#"{{"pointers": ["/a"], "keys": [{ONE}, {key}]}}"#);
    for (config, told) in [
        ("{}".to_owned(), "pointers: there is none, so nothing would be encrypted"),
        (r#"{"pointers": ["/a"]}"#.to_owned(), "keys: there is none; each has an id and a key of 32 bytes in base64"),
        (
            r#"{"pointers": ["/a"], "toBackend": "pass", "toClient": "pass"}"#.to_owned(),
            "toBackend, toClient: both are \"pass\", so nothing would be encrypted",
        ),
        (r#"{"toBackend": "seal"}"#.to_owned(), "toBackend: \"seal\" is none of encrypt, decrypt, pass"),
        (with_key(r#"{"key": "c2VjcmV0"}"#), "keys[1]: id: \"\" is not made of letters, digits, \"-\" and \"_\""),
        (with_key(r#"{"id": "a.b"}"#), "keys[1]: id: \"a.b\" is not made of letters, digits, \"-\" and \"_\""),
        (with_key(ONE), "keys[1]: id: \"one\" stands there twice"),
        (with_key(r#"{"id": "b", "key": "c2VjcmV0"}"#), "keys[1]: key: it has 6 bytes; AES-256 needs 32"),
        (with_key(r#"{"id": "b", "key": "c2VjcmV0*"}"#), "keys[1]: key: it is no base64 (RFC 4648 §4, with padding)"),
        (with_key(r#"{"id": "b", "secret": "c2VjcmV0"}"#), "keys[1]: unknown key \"secret\"; the keys are id, key"),
    ] {
        let error = FieldCrypt::init(&config).err().unwrap();
        assert_eq!(error, told);
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<FieldCrypt>(include_str!("schema.json"));
}
