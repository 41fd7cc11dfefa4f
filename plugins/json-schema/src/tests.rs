use cordboard_plugin_sdk::testing::{
    TestConnection, TestInterest, TestMessage, TestRequest, assert_schema_names_the_keys,
};

use super::*;

fn schema(text: &str) -> Schema {
    Schema::compile(&json::parse(text).unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Where and how the message breaks the schema; nothing where it fits.
fn told(schema_text: &str, message: &str) -> String {
    let checked = schema(schema_text).check(&json::parse(message).unwrap());
    checked.err().map(|violation| violation.to_string()).unwrap_or_default()
}

#[test]
fn each_keyword_holds_for_what_it_is_made_for_and_for_nothing_else() {
    for (schema, good, bad) in [
        ("true", &["1", "{}"][..], &[][..]),
        ("false", &[], &["1", "{}"]),
        (r#"{"type":"integer"}"#, &["1", "1.0", "-3e2", "1e400"], &["1.5", "\"1\"", "null", "1e-1"]),
        (r#"{"type":["null","boolean"]}"#, &["null", "true", "false"], &["0", "\"\"", "[]", "{}"]),
        (
            r#"{"enum":[1,"a",{"x":[1.0]},null]}"#,
            &["1.0", "\"\\u0061\"", r#"{"x":[10e-1]}"#, "null"],
            &["2", "[]", "\"A\""],
        ),
        (r#"{"const":{"a":1,"b":2}}"#, &[r#"{"b":2,"a":1}"#], &[r#"{"a":1}"#, "1"]),
        (r#"{"minimum":9007199254740993}"#, &["9007199254740993", "1e400", "\"\""], &["9007199254740992", "-1"]),
        (r#"{"exclusiveMinimum":0,"maximum":1}"#, &["0.1", "1.0"], &["0", "1.0000000000000000000001"]),
        (r#"{"exclusiveMaximum":1}"#, &["0.99999999999999999999"], &["1"]),
        (r#"{"multipleOf":0.01}"#, &["1.1", "0.07", "19.99", "0", "\"x\""], &["0.075"]),
        (r#"{"minLength":2,"maxLength":3}"#, &["\"ab\"", "\"\\u00e4öü\"", "\"😀😀\"", "1"], &["\"a\"", "\"abcd\""]),
        (r#"{"pattern":"^a+$"}"#, &["\"aa\"", "7"], &["\"ab\"", "\"\""]),
        (
            r#"{"prefixItems":[{"type":"string"}],"items":{"type":"number"}}"#,
            &["[]", "[\"a\",1]", "{}"],
            &["[1]", "[\"a\",\"b\"]"],
        ),
        (r#"{"contains":{"const":1},"maxContains":2}"#, &["[1]", "[2,1,1]", "{}"], &["[]", "[2]", "[1,1,1]"]),
        (r#"{"contains":{"const":1},"minContains":0}"#, &["[]", "[1]"], &[]),
        (
            r#"{"minItems":1,"maxItems":2,"uniqueItems":true}"#,
            &["[1]", "[1,\"1\"]"],
            &["[]", "[1,2,3]", "[1,1.0]", r#"[{"a":1,"b":2},{"b":2,"a":1}]"#],
        ),
        (
            r#"{"properties":{"a":{"type":"string"}},"patternProperties":{"^n":{"type":"number"}},"additionalProperties":false}"#,
            &["{}", r#"{"a":"x","n1":1}"#, "[]"],
            &[r#"{"a":1}"#, r#"{"n":"x"}"#, r#"{"b":1}"#, r#"{"a":"x","a":1}"#, r#"{"\u0061":1}"#],
        ),
        (r#"{"minProperties":1,"maxProperties":2}"#, &[r#"{"a":1}"#], &["{}", r#"{"a":1,"b":2,"c":3}"#]),
        (r#"{"propertyNames":{"maxLength":2}}"#, &[r#"{"ab":1}"#], &[r#"{"abc":1}"#]),
        (
            r#"{"required":["a"],"dependentRequired":{"b":["c"]}}"#,
            &[r#"{"a":1}"#, r#"{"a":1,"b":1,"c":1}"#, "1"],
            &["{}", r#"{"a":1,"b":2}"#],
        ),
        (r#"{"dependentSchemas":{"a":{"required":["b"]}}}"#, &["{}", r#"{"a":1,"b":1}"#], &[r#"{"a":1}"#]),
        (r#"{"allOf":[{"minimum":1},{"maximum":2}]}"#, &["1"], &["0", "3"]),
        (r#"{"anyOf":[{"type":"string"},{"minimum":2}]}"#, &["\"\"", "2"], &["1"]),
        (r#"{"oneOf":[{"minimum":1},{"maximum":2}]}"#, &["0", "3"], &["1", "2"]),
        (r#"{"not":{"type":"null"}}"#, &["1"], &["null"]),
        (
            r#"{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}"#,
            &[r#"{"a":1,"b":1}"#, r#"{"c":1}"#],
            &[r#"{"a":1}"#, "{}"],
        ),
        (
            r##"{"type":"object","properties":{"left":{"$ref":"#"},"right":{"$ref":"#/$defs/a~1%62"}},"$defs":{"a/b":{"type":"null"}}}"##,
            &[r#"{"left":{"left":{"right":null}}}"#],
            &[r#"{"left":{"left":{"right":1}}}"#, r#"{"left":1}"#],
        ),
        (r#"{"format":"date","contentEncoding":"base64","title":1,"x-own":[]}"#, &["\"no date\""], &[]),
    ] {
        for message in good {
            assert_eq!(told(schema, message), "", "{schema} {message}");
        }
        for message in bad {
            assert_ne!(told(schema, message), "", "{schema} {message}");
        }
    }
}

#[test]
fn a_violation_is_told_by_its_place_and_without_the_message_s_values() {
    let schema = r#"{"required":["op"],"properties":{
        "op":{"enum":["join","say"]},
        "users":{"items":{"properties":{"a/ge":{"type":["integer","null"],"maximum":150}}},"maxItems":2}},
        "propertyNames":{"pattern":"^[a-z]+$"}}"#;
    for (message, expected) in [
        ("{}", "the message lacks the member \"op\""),
        (r#"{"op":"secret"}"#, "/op is none of the values allowed"),
        (r#"{"op":"say","users":[{},{"a/ge":"secret"}]}"#, "/users/1/a~1ge is not of type integer or null"),
        (r#"{"op":"say","users":[{"a/ge":151}]}"#, "/users/0/a~1ge is too great"),
        (r#"{"op":"say","users":[1,2,3]}"#, "/users has 3 elements, more than 2"),
        (r#"{"op":"say","X":1}"#, "the message has a name that does not match ^[a-z]+$"),
    ] {
        assert_eq!(told(schema, message), expected);
    }
}

#[test]
fn what_would_go_unchecked_is_refused() {
    for (schema, why) in [
        ("[]", ": a schema is an object, true or false"),
        (r#"{"properties":{"a/b":1}}"#, "/properties/a~1b: a schema is an object, true or false"),
        (r#"{"$defs":{"a":{"type":"text"}}}"#, "/$defs/a/type: it is one or some of null, boolean, object, "),
        (r#"{"not":{"unevaluatedProperties":false}}"#, "/not/unevaluatedProperties: is not supported"),
        (r##"{"$dynamicRef":"#a"}"##, "/$dynamicRef: is not supported; only $ref is"),
        (r#"{"$schema":"http://json-schema.org/draft-07/schema#"}"#, "/$schema: only draft 2020-12 is supported, "),
        (r#"{"items":[{}]}"#, "/items: a schema is an object, true or false"),
        (r#"{"items":{"$id":"x"}}"#, "/items/$id: it is supported at the whole schema only"),
        (r#"{"$ref":"other.json"}"#, "/$ref: \"other.json\" is not supported; only # and a JSON Pointer is"),
        (r##"{"$ref":"#/$defs/a"}"##, "/$ref: \"#/$defs/a\" is nowhere in the schema"),
        (r##"{"$ref":"#name"}"##, "/$ref: \"#name\" is nowhere in the schema"),
        (r##"{"anyOf":[{"not":{"$ref":"#"}}]}"##, ": it refers to itself without going deeper into the message"),
        (r#"{"pattern":"(?=a)"}"#, "/pattern: \"(?=a)\": "),
        (r#"{"multipleOf":0}"#, "/multipleOf: it is not above 0, or has more than 19 digits"),
        (r#"{"exclusiveMinimum":true}"#, "/exclusiveMinimum: it is no number"),
        (r#"{"maxLength":-1}"#, "/maxLength: it is no whole number, from 0"),
        (r#"{"required":"a"}"#, "/required: it is no list of names"),
        (r#"{"allOf":[]}"#, "/allOf: it is no array of schemas, of one at least"),
        (r#"{"uniqueItems":1}"#, "/uniqueItems: it is neither true nor false"),
    ] {
        let error = Schema::compile(&json::parse(schema).unwrap()).unwrap_err();
        assert!(error.starts_with(why), "{schema}: {error}");
    }
}

#[test]
fn depth_of_a_message_is_no_danger_to_a_schema_that_refers_to_itself() {
    let schema = schema(r##"{"anyOf":[{"type":"null"},{"items":{"$ref":"#"},"type":"array"}]}"##);
    let nested = "[".repeat(json::MAX_DEPTH) + &"]".repeat(json::MAX_DEPTH);
    assert_eq!(schema.check(&json::parse(&nested).unwrap()), Ok(()));
}

const CONFIG: &str = r#"{"toBackend": {"type": "object", "properties": {"a": {"maximum": 1}}}"#;

fn actions(more: &str, message: &TestMessage) -> Vec<Action> {
    let policy = JsonSchema::init(&format!("{CONFIG}{more}}}")).unwrap();
    policy.on_message(message, &TestConnection::new(), &TestInterest::new())
}

#[test]
fn what_breaks_the_schema_closes_or_is_answered_and_the_rest_passes_as_it_came() {
    let text = |text: &str| TestMessage::text(Direction::ToBackend, text);
    let reply = r#"{"error":"schema-violation","at":"/a","message":"is too great"}"#;
    for (more, message, expected) in [
        ("", text("{ \"a\": 1 }"), Action::Forward),
        ("", text(r#"{"a":2}"#), Action::close(1008, "/a is too great")),
        (r#", "onViolation": "reply""#, text(r#"{"a":2}"#), Action::reply_text(reply)),
        ("", text("7"), Action::close(1008, "the message is not of type object")),
        ("", text(""), Action::close(1007, "the message is no JSON: a value is missing at byte 0")),
        (r#", "onInvalid": "pass""#, text("no json"), Action::Forward),
        ("", TestMessage::binary(Direction::ToBackend, *b"{}"), Action::close(1003, "only JSON text is accepted")),
        (r#", "onBinary": "pass""#, TestMessage::binary(Direction::ToBackend, *b"{}"), Action::Forward),
        ("", TestMessage::text(Direction::ToClient, "no json"), Action::Forward),
    ] {
        assert_eq!(actions(more, &message), [expected], "{more} {message:?}");
    }
}

#[test]
fn numbers_of_the_configuration_keep_their_digits() {
    let policy = JsonSchema::init(r#"{"toClient": {"const": 12345678901234567890123}}"#).unwrap();
    let act = |text: &str| {
        let message = TestMessage::text(Direction::ToClient, text);
        policy.on_message(&message, &TestConnection::new(), &TestInterest::new())
    };
    assert_eq!(act("12345678901234567890123.0"), [Action::Forward]);
    assert_ne!(act("12345678901234567890124"), [Action::Forward]);
}

#[test]
fn only_directions_with_a_schema_are_asked_for() {
    for (more, wanted) in [("", 2), (r#", "onBinary": "pass""#, 1), (r#", "toClient": true"#, 4)] {
        let interest = TestInterest::new();
        let policy = JsonSchema::init(&format!("{CONFIG}{more}}}")).unwrap();
        policy.open(&TestRequest::upgrade("/"), &TestConnection::new(), &interest);
        assert_eq!(interest.wanted().len(), wanted, "{more}");
        assert!(interest.wants(Direction::ToBackend, MessageKind::Text));
    }
}

#[test]
fn a_bad_configuration_is_told() {
    for (config, told) in [
        ("{}", "toBackend, toClient: neither has a schema, so nothing would be checked"),
        (r#"{"toClient": {"properties": {"a": 7}}}"#, "toClient/properties/a: a schema is an object, true or false"),
        (r#"{"toBackend": "schema.json"}"#, "toBackend: a schema is an object, true or false"),
        (r#"{"onViolation": "drop"}"#, "onViolation: \"drop\" is none of close, reply"),
        (
            r#"{"schema": {}}"#,
            "unknown key \"schema\"; the keys are toBackend, toClient, onViolation, onInvalid, onBinary, maxBytes, oversize",
        ),
    ] {
        assert_eq!(JsonSchema::init(config).unwrap_err(), told);
    }
}

#[test]
fn the_schema_names_the_keys_that_there_are() {
    assert_schema_names_the_keys::<JsonSchema>(include_str!("schema.json"));
}
