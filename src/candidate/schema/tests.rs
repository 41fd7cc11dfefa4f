//! Every mistake is told at its place in the file, whatever the schema says and however it is broken.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use super::*;
use crate::config::{self, Source, Values};

fn told(schema: &str, config: &str) -> Vec<String> {
    let text = format!(
        "listeners: [ {{ name: main, address: \"127.0.0.1:0\" }} ]\nplugins:\n  p:\n    component: p.wasm\n{config}"
    );
    let source = Source { name: "t.yaml".to_owned(), dir: PathBuf::from("/nowhere"), text };
    let environment = |name: &str| (name == "SECRET").then(|| "hunter2".into());
    let reading = config::read(&source, &Values { file: None, environment: &environment }).unwrap();
    let found = Found { text: schema.as_bytes().into(), origin: "p.schema.json".to_owned() };
    let problems = check(&reading.config.plugins["p"], &found, &reading.places);
    let shown = problems.iter().map(|problem| {
        let lines: Vec<_> = problem.to_string().lines().map(str::trim).map(ToOwned::to_owned).collect();
        let hint = lines.iter().find_map(|line| line.strip_prefix("= ")).unwrap_or_default();
        format!("{} = {hint}", lines[0])
    });
    shown.collect()
}

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["realm"],
    "properties": {
        "realm": { "type": "string", "minLength": 2, "description": "the realm of the tokens" },
        "retries": { "type": "integer", "minimum": 0, "maximum": 5 },
        "mode": { "enum": ["strict", "lenient"] },
        "keys": { "type": "array", "items": { "type": "object", "required": ["id"] } },
        "when": { "anyOf": [{ "type": "string" }, { "type": "integer" }] }
    }
}"#;

#[test]
fn a_configuration_that_fits_is_silent() {
    let config = "    config: { realm: main, retries: 5, mode: strict, keys: [ { id: 1 } ], when: 3 }\n";
    assert_eq!(told(SCHEMA, config), [""; 0]);
    assert_eq!(told("{}", ""), [""; 0]);
    assert_eq!(told("true", config), [""; 0]);
}

#[test]
fn each_mistake_has_its_place_and_what_would_be_right() {
    let config = "    config:
      realms: main
      retries: 9
      mode: loose
      keys:
        - id: 1
        - name: x
      when: []
";
    assert_eq!(
        told(SCHEMA, config),
        [
            "t.yaml:5:5: plugins.p.config: the key `realm` is missing = the realm of the tokens",
            "t.yaml:6:7: plugins.p.config.realms: unknown key `realms` = did you mean `realm`?",
            "t.yaml:7:16: plugins.p.config.retries: must be <=5, but got 9 = ",
            "t.yaml:8:13: plugins.p.config.mode: value must be one of 'strict', 'lenient' = ",
            "t.yaml:11:11: plugins.p.config.keys[1]: the key `id` is missing = ",
            "t.yaml:12:13: plugins.p.config.when: this has none of the forms that are allowed here = \
             this is of type array, and string belongs here; or: this is of type array, and integer belongs here",
        ]
    );
    let missing = "t.yaml:3:3: plugins.p.config: the key `realm` is missing = the realm of the tokens";
    assert_eq!(told(SCHEMA, ""), [missing]);
    let number = "    config: { realm: 5 }\n";
    let wrong = "this is of type number, and string belongs here = the realm of the tokens";
    assert_eq!(told(SCHEMA, number), [format!("t.yaml:5:22: plugins.p.config.realm: {wrong}")]);
}

#[test]
fn what_came_from_outside_is_not_repeated() {
    let schema = r#"{ "properties": { "a": { "pattern": "^[0-9]+$" } } }"#;
    let said = told(schema, "    config: { a: \"${SECRET}\" }\n");
    assert!(said.len() == 1 && !said[0].contains("hunter2") && said[0].contains("SECRET"), "{said:?}");
}

#[test]
fn a_broken_schema_is_told_at_the_component() {
    for (schema, why) in [
        ("", "EOF while parsing"),
        ("{ \"type\": \"text\" }", "/type: "),
        ("{ \"$ref\": \"https://example.org/other.json\" }", "https://example.org/other.json is another document"),
        ("{ \"$ref\": \"file:///etc/passwd\" }", "is another document, and none is fetched"),
        ("{ \"pattern\": \"(\" }", "/pattern"),
        ("[]", "this is of type array, and boolean or object belongs here"),
    ] {
        let said = told(schema, "");
        let begun = "t.yaml:4:16: plugins.p.component: p.schema.json is not a JSON Schema: ";
        assert!(said.len() == 1 && said[0].starts_with(begun) && said[0].contains(why), "{schema}: {said:?}");
    }
}

#[test]
fn a_schema_that_goes_in_circles_ends() {
    let _ = told(r##"{ "$ref": "#" }"##, "    config: { a: 1 }\n");
    let schema = r##"{ "properties": { "a": { "$ref": "#" } }, "maxProperties": 1 }"##;
    let said = told(schema, "    config: { a: { a: { a: 1, b: 2 } } }\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("plugins.p.config.a.a: "), "{said:?}");
}

/// A section of this number.
fn put(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    let mut length = content.len();
    while length >= 0x80 {
        to.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    to.push(u8::try_from(length).unwrap());
    to.extend(content);
}

fn custom(name: &str, content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), content].concat()
}

#[test]
fn a_schema_is_found_at_whatever_depth_and_a_cut_component_does_no_harm() {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    put(&mut module, 0, &custom("name", &[1; 300]));
    put(&mut module, 0, &custom(SECTION, b"{}"));
    let mut inner = b"\0asm\x0d\0\x01\0".to_vec();
    put(&mut inner, 1, &module);
    let mut outer = b"\0asm\x0d\0\x01\0".to_vec();
    put(&mut outer, 7, &[0]);
    put(&mut outer, 4, &inner);
    assert_eq!(section(&outer, DEPTH), Some(&b"{}"[..]));
    assert_eq!(section(&outer, 1), None);
    for end in 0..outer.len() {
        let _ = section(&outer[..end], DEPTH);
    }
    assert_eq!(section(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff", DEPTH), None);
}
