//! What is not loaded, with the reason an operator reads; a refused version changes nothing of what serves.

use std::time::{Duration, Instant};

use cordboard::{
    config::{Grants, OnFailure, PluginLimits},
    policy::{PluginSpec, PolicyHost},
};

use super::{
    guests::{Guest, ROLES, SILENT, crammed, detect_role, puppet},
    is_well, setup,
    support::{binary, eventually},
    with_puppet, yaml,
};

/// Loads a component with this configuration.
async fn load(wasm: &[u8], config: &str) -> Result<(), String> {
    let host = PolicyHost::start(None).unwrap();
    let limits = PluginLimits { init: Duration::from_millis(300), ..PluginLimits::default() };
    let spec = PluginSpec {
        name: "bad".into(),
        origin: "bad.wasm".to_owned(),
        wasm: wasm.into(),
        config: config.to_owned(),
        grants: Grants::default(),
        limits,
        on_failure: OnFailure::Closed,
    };
    host.load(spec).await.map(drop).map_err(|error| error.to_string())
}

async fn refused(wasm: &[u8], config: &str, reason: &str) {
    let error = load(wasm, config).await.expect_err(reason);
    assert!(error.starts_with("plugin `bad` (bad.wasm): "), "{error}");
    assert!(error.contains(reason), "{reason:?} does not stand in {error:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test]
async fn what_is_no_component_is_named_for_what_it_is() {
    refused(b"", "{}", "the file is empty").await;
    refused(b"(component)", "{}", "this is not a WebAssembly component (its first bytes are not `\\0asm`)").await;
    refused(&wat::parse_str("(module)").unwrap(), "{}", "this is a core WebAssembly module, not a component").await;
    refused(&puppet()[..puppet().len() / 2], "{}", "cannot be compiled: ").await;
}

#[tokio::test]
async fn a_component_without_its_duties_is_refused() {
    let roles = "export cordboard:plugin/role-detection@0.1.0;";
    let silent = format!("(module {SILENT} {})", detect_role(""));
    let without_meta = silent.replace("cordboard:plugin/meta@0.1.0#", "");
    refused(&Guest::of(roles).build(&without_meta), "{}", "does not export `cordboard:plugin/meta@0.1.0`").await;
    let meta = Guest::of("export cordboard:plugin/meta@0.1.0;").build(&format!("(module {SILENT})"));
    refused(&meta, "{}", "exports no decision: at least one of `cordboard:plugin/role-detection@0.1.0`").await;
}

#[tokio::test]
async fn another_version_of_the_contract_is_refused() {
    let changes = [("package cordboard:plugin@0.1.0", "package cordboard:plugin@0.2.0")];
    let items = ROLES.replace("0.1.0", "0.2.0");
    let module = format!("(module {SILENT} {})", detect_role("")).replace("0.1.0", "0.2.0");
    let guest = Guest { changes: &changes, ..Guest::of(&items) };
    refused(&guest.build(&module), "{}", "but this host speaks version 0.1.0 of the contract").await;

    let changes = [
        ("cordboard:host@0.1.0", "cordboard:host@0.2.0"),
        ("cordboard:host/log@0.1.0", "cordboard:host/log@0.2.0"),
        ("cordboard:host/clock@0.1.0", "cordboard:host/clock@0.2.0"),
    ];
    let items = format!("import cordboard:host/clock@0.2.0; {ROLES}");
    let module = format!(
        r#"(module (import "cordboard:host/clock@0.2.0" "now-ms" (func $now (result i64))) {SILENT} {})"#,
        detect_role("(drop (call $now))")
    );
    let guest = Guest { changes: &changes, ..Guest::of(&items) };
    refused(&guest.build(&module), "{}", "imports `cordboard:host/clock@0.2.0`, but this host speaks version 0.1.0")
        .await;
}

#[tokio::test]
async fn types_that_differ_from_the_contract_are_refused_at_the_load() {
    let module = format!("(module {SILENT} {})", detect_role(""));
    let changes = [("    other(string),\n", "")];
    let guest = Guest { changes: &changes, ..Guest::of(ROLES) };
    refused(
        &guest.build(&module),
        "{}",
        "its export `cordboard:plugin/role-detection` has other types than the contract's",
    )
    .await;
    let changes = [(
        "record info { name: string, version: string, description: string }",
        "record info { name: string, version: u32, description: string }",
    )];
    let guest = Guest { changes: &changes, ..Guest::of(ROLES) };
    refused(&guest.build(&module), "{}", "its export `cordboard:plugin/meta` has other types than the contract's")
        .await;
}

#[tokio::test]
async fn exports_of_others_are_ignored_and_unknown_ones_of_ours_are_not() {
    let other = "package test:other; interface extra { answer: func() -> u32; }";
    let extra = r#"(func (export "test:other/extra#answer") (result i32) (i32.const 42))"#;
    let items = format!("{ROLES} export test:other/extra;");
    let guest = Guest { packages: &[other], ..Guest::of(&items) };
    assert_eq!(load(&guest.build(&format!("(module {SILENT} {extra} {})", detect_role(""))), "{}").await, Ok(()));

    let changes =
        [("interface role-detection {", "interface auditing { audit: func() -> bool; }\ninterface role-detection {")];
    let items = format!("{ROLES} export cordboard:plugin/auditing@0.1.0;");
    let guest = Guest { changes: &changes, ..Guest::of(&items) };
    let audit = r#"(func (export "cordboard:plugin/auditing@0.1.0#audit") (result i32) (i32.const 1))"#;
    let wasm = guest.build(&format!("(module {SILENT} {audit} {})", detect_role("")));
    refused(&wasm, "{}", "exports `cordboard:plugin/auditing@0.1.0`, which this version does not know").await;
}

#[tokio::test]
async fn an_import_that_is_not_granted_or_not_known_is_named() {
    let importing = |interface: &str| {
        let import = format!(r#"(import "{interface}" "get" (func $get (result i32)))"#);
        format!("(module {import} {SILENT} {})", detect_role("(drop (call $get))"))
    };
    let changes = [("interface clock {", "interface secrets { get: func() -> u32; }\ninterface clock {")];
    let items = format!("import cordboard:host/secrets@0.1.0; {ROLES}");
    let guest = Guest { changes: &changes, ..Guest::of(&items) };
    let wasm = guest.build(&importing("cordboard:host/secrets@0.1.0"));
    refused(&wasm, "{}", "imports `cordboard:host/secrets@0.1.0`, which this version does not know; what can be").await;

    let items = format!("import foo:bar/baz; {ROLES}");
    let guest = Guest { packages: &["package foo:bar; interface baz { get: func() -> u32; }"], ..Guest::of(&items) };
    refused(&guest.build(&importing("foo:bar/baz")), "{}", "imports `foo:bar/baz`, which is not part of the contract")
        .await;

    let items = format!("import wasi:nonsense/baz@0.2.0; {ROLES}");
    let packages = ["package wasi:nonsense@0.2.0; interface baz { get: func() -> u32; }"];
    let guest = Guest { packages: &packages, ..Guest::of(&items) };
    refused(&guest.build(&importing("wasi:nonsense/baz@0.2.0")), "{}", "wasi:nonsense/baz@0.2.0").await;
}

#[tokio::test]
async fn what_goes_wrong_in_init_refuses_the_load() {
    refused(puppet(), r#"{"do":"R"}"#, "`init` refused the configuration: refused\\nby its \\u{1b}[31mown text").await;
    refused(puppet(), r#"{"do":"T"}"#, "could not be instantiated: wasm trap: wasm `unreachable` instruction").await;
    refused(puppet(), r#"{"do":"P"}"#, "; it said: refused\\nby its \\u{1b}[31mown text").await;
    let outside = "cordboard:plugin/request#query was called outside of a call about a request";
    refused(puppet(), r#"{"do":"Q"}"#, outside).await;
    assert_eq!(load(puppet(), r#"{"do":"F"}"#).await, Ok(()));
}

#[tokio::test]
async fn what_does_not_end_refuses_the_load_in_time() {
    let begun = Instant::now();
    refused(puppet(), r#"{"do":"L"}"#, "`init` did not answer within 300ms (limits.init)").await;
    refused(puppet(), r#"{"do":"D"}"#, "`describe` did not answer within 300ms (limits.init)").await;
    let start = format!("(module {SILENT} (func $hang (loop $again (br $again))) (start $hang) {})", detect_role(""));
    refused(&Guest::of(ROLES).build(&start), "{}", "`init` did not answer within 300ms (limits.init)").await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn memory_and_tables_are_counted_over_all_modules_of_a_component() {
    let silent = Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role("")));
    let with = |module: &str, times| crammed(&silent, module, times);
    assert_eq!(load(&with("(module (memory 100))", 2), "{}").await, Ok(()));
    refused(&with("(module (memory 300))", 1), "{}", "bytes of memory; limits.memory is 16777216").await;
    refused(&with("(module (memory 100))", 3), "{}", "wants 19726336 bytes of memory; limits.memory is 16777216").await;
    assert_eq!(load(&with("(module (table 90000 funcref))", 4), "{}").await, Ok(()));
    refused(&with("(module (table 90000 funcref))", 5), "{}", "wants tables of 450000 elements together").await;
}

#[test]
fn a_refused_plugin_stops_the_start_with_its_own_words() {
    let setup = setup(puppet(), ", config: {do: R}", "");
    let output = binary().args(["run", "--config"]).arg(setup.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("plugin `puppet`") && said.contains("`init` refused the configuration: refused\\nby its"),
        "{said}"
    );
}

#[test]
fn a_refused_plugin_changes_nothing_of_what_serves_and_is_shown() {
    let proxy = with_puppet("", "");
    let shown = |reason: &str| {
        eventually(reason, || {
            let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
            page["refused"]["problems"].to_string().contains(reason).then(|| page["generation"].as_u64())
        })
    };
    proxy.setup.write(&yaml(", config: {do: R}", ""));
    assert_eq!(shown("`init` refused the configuration: refused"), Some(1));
    proxy.setup.write(&yaml(", config: {do: L}, limits: {init: 200ms}", ""));
    assert_eq!(shown("`init` did not answer within 200ms"), Some(1));
    is_well(&proxy);
    proxy.setup.put("puppet.wasm", &puppet()[..100]);
    assert_eq!(shown("cannot be compiled"), Some(1));
    is_well(&proxy);
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}
