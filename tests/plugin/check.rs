//! `cordboard plugin check`, `inspect` and `wit`: what a component is, and what would have to change.

use std::{fs, path::Path};

use serde_json::Value;

use super::{
    Project, builtin,
    guests::{Guest, ROLES, SILENT, detect_role},
    plugin,
};

const CASES: &str = "";

#[test]
fn a_component_that_a_proxy_would_take_is_described() {
    let project = Project::built(builtin("redact"), "config: { pointers: [/card] }\n", CASES);
    let said = project.plugin(&["check"]).ends(0).says("build/tried.wasm: ok\n").says("decides      message-filtering");
    assert!(said.out.contains("redact 0.1.0") && said.out.contains("sha256"), "{}", said.out);
    let json: Value = serde_json::from_str(&project.plugin(&["check", "--json"]).ends(0).out).unwrap();
    assert_eq!(
        (&json["ok"], &json["error"], &json["warnings"]),
        (&true.into(), &Value::Null, &Value::Array(Vec::new()))
    );
    assert!(json["exports"].as_array().unwrap().iter().any(|name| name == "cordboard:plugin/message-filtering@0.1.0"));
}

#[test]
fn what_is_to_be_granted_is_said_and_what_is_granted_in_vain() {
    // Random bytes are what it makes its nonces of.
    let config =
        "config: { pointers: [/a], keys: [ { id: one, key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= } ] }\n";
    let project = Project::built(builtin("field-crypt"), config, CASES);
    project
        .plugin(&["check"])
        .ends(78)
        .warns("`cordboard:host/random@0.1.0`, which is not granted")
        .warns("grants: { random: true }");
    project.plugin(&["inspect"]).ends(0).says("needs        grants: { random: true }").says("not loaded");
    let project = Project::built(builtin("rendezvous"), "grants: { discovery: true }\n", CASES);
    project.plugin(&["check"]).ends(0).says("warning      grants.discovery: the component does not ask for this");
}

#[test]
fn a_configuration_that_does_not_fit_the_schema_is_told() {
    let project = Project::built(builtin("redact"), "config: { pointers: 7 }\n", CASES);
    project.plugin(&["check"]).ends(78).warns("config.pointers");
    project.plugin(&["check", "--config", r#"{"pointers":["/a"]}"#]).ends(0);
    project.plugin(&["check", "--config", "{"]).ends(2).warns("--config is not JSON");
}

#[test]
fn what_is_no_plugin_is_refused_with_what_would_be_right() {
    let check = |wasm: &[u8]| Project::new(wasm, "", CASES).plugin(&["check", "code.wasm"]);
    check(b"#!/bin/sh").ends(78).warns("code.wasm: this is not a WebAssembly component");
    check(&wat::parse_str("(module)").unwrap()).ends(78).warns("wrap it with `cordboard plugin component`");
    check(&wat::parse_str("(component)").unwrap()).ends(78).warns("does not export `cordboard:plugin/meta@0.1.0`");
    let text = format!("(module {SILENT} {})", detect_role(""));
    check(&Guest::of(ROLES).build(&text)).ends(0);
    let changes = [("package cordboard:plugin@0.1.0", "package cordboard:plugin@0.2.0")];
    let (items, text) = (ROLES.replace("0.1.0", "0.2.0"), text.replace("0.1.0", "0.2.0"));
    let newer = Guest { changes: &changes, ..Guest::of(&items) }.build(&text);
    check(&newer).ends(78).warns("this host speaks version 0.1.0 of the contract: build against `wit/v0.1`");
    plugin(Path::new("/"), &["check", "/nowhere.wasm"]).ends(1).warns("/nowhere.wasm");
}

#[test]
fn the_contract_is_printed_and_written_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("wit/v0.1");
    let (own, host) = (
        fs::read_to_string(root.join("plugin.wit")).unwrap(),
        fs::read_to_string(root.join("deps/host/host.wit")).unwrap(),
    );
    let printed = plugin(dir.path(), &["wit"]).ends(0).out;
    assert!(printed.contains(&own) && printed.contains(&host));
    plugin(dir.path(), &["wit", "--output", "wit/deps"]).ends(0);
    assert_eq!(fs::read_to_string(dir.path().join("wit/deps/cordboard-plugin/plugin.wit")).unwrap(), own);
    assert_eq!(fs::read_to_string(dir.path().join("wit/deps/cordboard-host/host.wit")).unwrap(), host);
    plugin(dir.path(), &["wit", "--output", "/proc/none"]).ends(73).warns("/proc/none");
}
