//! The schema of a plugin's configuration is asked before the plugin is.

use super::{
    guests::puppet,
    setup,
    support::{binary, eventually},
    yaml,
};

const SCHEMA: &str = r#"{ "additionalProperties": false, "properties": { "do": { "enum": ["R", "Q"] } } }"#;

/// The puppet with its schema in it.
fn with_schema(schema: &str) -> Vec<u8> {
    let name = "cordboard:config-schema";
    let mut component = puppet().to_vec();
    let length = 1 + name.len() + schema.len();
    let digits = [u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()];
    component.push(0);
    component.extend(digits);
    component.push(u8::try_from(name.len()).unwrap());
    component.extend(name.as_bytes());
    component.extend(schema.as_bytes());
    component
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_before_the_component_says_anything() {
    for in_component in [false, true] {
        let wasm = if in_component { with_schema(SCHEMA) } else { puppet().to_vec() };
        let setup = setup(&wasm, ", config: {do: T, dew: R}", "");
        if !in_component {
            setup.put("puppet.schema.json", SCHEMA.as_bytes());
        }
        let output = binary().arg("check").arg(setup.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        for part in [
            "cordboard.yaml:5:49: plugins.puppet.config.do: value must be one of 'R', 'Q'",
            "cordboard.yaml:5:52: plugins.puppet.config.dew: unknown key `dew`",
            "= known keys here are `do`",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        assert!(!said.contains("init"), "{said}");
    }
}

#[test]
fn a_schema_that_comes_later_and_one_that_is_broken_are_noticed() {
    let proxy = setup(puppet(), ", config: {dew: x}", "").start();
    let refused = |reason: &str| {
        eventually(reason, || {
            let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
            page["refused"]["problems"].to_string().contains(reason).then_some(())
        });
    };
    proxy.setup.put("puppet.schema.json", SCHEMA.as_bytes());
    refused("unknown key `dew`");
    proxy.setup.put("puppet.schema.json", b"{");
    refused("puppet.schema.json is not a JSON Schema");
    assert_eq!(proxy.generation(), 1);
    proxy.setup.put("puppet.schema.json", SCHEMA.as_bytes());
    proxy.setup.write(&yaml("", ""));
    assert_eq!(proxy.reloaded(1), 2);
}
