//! The published contract stays what it was.
//!
//! `tests/wit/v0.1.0` is the text of `wit/v0.1` as it was published. Plugins compiled against it must load for ever, so
//! the contract may grow only where growth breaks none of them, and each growth raises the version of its package. After
//! a release that published a growth, its text replaces the snapshot; the old one is deleted, for the new one holds it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "wit/bindings.rs"]
mod bindings;
#[path = "wit/contract.rs"]
mod contract;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use contract::{BREAKING, Breach, CHANGED, Contract, EXPORTED, LOST, VERSION, WORLD};

const CONTRACT: &str = "wit/v0.1";
const BINDINGS: &str = "plugins/sdk/src/bindings/generated";
const PUBLISHED: &str = "tests/wit/v0.1.0";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn listed(breaches: &[Breach]) -> String {
    breaches.iter().map(|breach| format!("- {breach}")).collect::<Vec<_>>().join("\n")
}

/// Files under `dir`, without what tools build.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_file() {
            found.push(path);
        } else if !path.ends_with("target") && !path.ends_with("node_modules") {
            files(&path, found);
        }
    }
}

/// The breaches of the published text after its replacements, each `(file, from, to)`.
fn after(replacements: &[(&str, &str, &str)]) -> Vec<Breach> {
    let dir = tempfile::tempdir().unwrap();
    let published = root(PUBLISHED);
    let mut all = Vec::new();
    files(&published, &mut all);
    for source in all {
        let relative = source.strip_prefix(&published).unwrap();
        let mut text = fs::read_to_string(&source).unwrap();
        for (_, from, to) in replacements.iter().filter(|(file, ..)| relative.ends_with(file)) {
            assert!(text.contains(from), "{from:?} does not stand in {}", source.display());
            text = text.replace(from, to);
        }
        let target = dir.path().join(relative);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, text).unwrap();
    }
    Contract::read(&published).breaches(&Contract::read(dir.path()))
}

/// Asserts that one replacement in the published `plugin.wit` is refused once, naming `what`, because of `why`.
#[track_caller]
fn refused(from: &str, to: &str, what: &str, why: &str) {
    let breaches = after(&[("plugin.wit", from, to)]);
    assert_eq!(breaches.len(), 1, "{}", listed(&breaches));
    assert!(breaches[0].change.contains(what), "{}", breaches[0]);
    assert_eq!(breaches[0].why, why, "{}", breaches[0]);
}

const PACKAGE: &str = "package cordboard:plugin@0.1.0";
const NEXT: (&str, &str, &str) = ("plugin.wit", PACKAGE, "package cordboard:plugin@0.1.1");

#[test]
fn what_was_published_is_still_what_the_contract_says() {
    let breaches = Contract::read(&root(PUBLISHED)).breaches(&Contract::read(&root(CONTRACT)));
    assert!(breaches.is_empty(), "{CONTRACT} breaks compiled plugins:\n{}", listed(&breaches));
}

#[test]
fn a_record_field_cannot_be_added_removed_renamed_or_moved() {
    let field = "env-tag: option<string>,\n";
    refused(field, "env-tag: option<string>, zone: option<string>,\n", "type service-ref", CHANGED);
    refused(field, "", "type service-ref", CHANGED);
    refused(field, "tag: option<string>,\n", "type service-ref", CHANGED);
    refused("id: string, attributes: list<attribute>", "attributes: list<attribute>, id: string", "channel", CHANGED);
}

#[test]
fn a_case_cannot_be_added_to_a_variant_or_an_enum() {
    refused("other(string),", "other(string), observer,", "type role", CHANGED);
    let breaches = after(&[("host.wit", "warn, error }", "warn, error, fatal }")]);
    assert!(breaches.len() == 1 && breaches[0].why == CHANGED, "{}", listed(&breaches));
}

#[test]
fn a_signature_cannot_be_changed() {
    refused("query-param: func(name: string)", "query-param: func(name: string, index: u32)", "query-param", CHANGED);
    refused("header: func(name: string)", "header: func(field: string)", "function header", CHANGED);
    refused("-> result<option<channel>, rejection>", "-> option<channel>", "extract-channel", CHANGED);
    refused("init: func(config: string)", "init: async func(config: string)", "init", CHANGED);
}

#[test]
fn a_function_cannot_be_added_to_an_interface_that_plugins_export() {
    let breaches = after(&[("plugin.wit", "describe: func()", "stop: func();\n  describe: func()"), NEXT]);
    assert!(breaches.len() == 1 && breaches[0].why == EXPORTED, "{}", listed(&breaches));
}

#[test]
fn nothing_can_be_removed() {
    refused("is-upgrade: func() -> bool;", "", "function is-upgrade was removed", LOST);
    let world = "world request-rewriter  { include decision; export request-rewriting; }";
    refused(world, "", "world cordboard:plugin/request-rewriter was removed", LOST);
    let clock = ("host.wit", "interface clock", "interface time");
    let import = ("plugin.wit", "cordboard:host/clock@0.1.0", "cordboard:host/time@0.1.0");
    let breaches = after(&[clock, import]);
    assert!(listed(&breaches).contains("interface cordboard:host/clock was removed"), "{}", listed(&breaches));
}

#[test]
fn a_world_cannot_be_changed() {
    refused(
        "world role-detector     { include decision;",
        "world role-detector { include base;",
        "world cordboard:plugin/role-detector was changed: import cordboard:plugin/request",
        WORLD,
    );
}

#[test]
fn what_plugins_only_import_may_gain_functions() {
    let request = ("plugin.wit", "is-upgrade: func() -> bool;", "is-upgrade: func() -> bool;\n  port: func() -> u16;");
    let none = after(&[request, NEXT]);
    assert!(none.is_empty(), "{}", listed(&none));
}

#[test]
fn interfaces_and_worlds_may_be_added() {
    let new = "interface weighing { use types.{rejection}; weigh: func() -> result<bool, rejection>; }\n\
               world weigher { include decision; export weighing; }\ninterface meta {";
    let none = after(&[("plugin.wit", "interface meta {", new), NEXT]);
    assert!(none.is_empty(), "{}", listed(&none));
}

#[test]
fn comments_and_the_order_of_declarations_are_free() {
    let moved = (
        "plugin.wit",
        "id: func() -> string;\n  is-upgrade: func() -> bool;",
        "is-upgrade: func() -> bool;\n  id: func() -> string;",
    );
    let none = after(&[("plugin.wit", "/// The socket's IP", "/// The socket's address"), moved]);
    assert!(none.is_empty(), "{}", listed(&none));
}

#[test]
fn an_addition_without_a_new_version_is_refused() {
    refused(
        "method: func() -> string;",
        "method: func() -> string;\n  port: func() -> u16;",
        "port was added",
        VERSION,
    );
}

#[test]
fn a_breaking_version_does_not_replace_the_old_one() {
    refused(PACKAGE, "package cordboard:plugin@0.2.0", "became cordboard:plugin@0.2.0", BREAKING);
}

#[test]
fn every_copy_of_the_contract_is_the_contract() {
    let (mut originals, mut candidates) = (Vec::new(), Vec::new());
    files(&root(CONTRACT), &mut originals);
    files(&root("plugins"), &mut candidates);
    let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let originals: BTreeSet<_> = originals.iter().map(text).collect();
    for copy in candidates.iter().filter(|path| path.extension().is_some_and(|extension| extension == "wit")) {
        // A plugin's own world, in a package of its own, is no copy.
        let is_copy = text(copy).lines().any(|line| line.starts_with("package cordboard:"));
        assert!(!is_copy || originals.contains(&text(copy)), "{} differs from {CONTRACT}", copy.display());
    }
}

#[test]
fn the_bindings_of_the_sdk_are_those_of_the_contract() {
    let dir = root(BINDINGS);
    let mut kept = Vec::new();
    files(&dir, &mut kept);
    let name = |path: &PathBuf| path.strip_prefix(&dir).unwrap().display().to_string();
    let kept: BTreeMap<_, _> = kept.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect();
    let made = bindings::generate(&root(CONTRACT));
    assert!(kept.keys().eq(made.keys()), "there are {:?}", made.keys());
    for (name, text) in made {
        assert!(kept[&name] == text, "run `make bindings`: {BINDINGS}/{name} is not what is made of {CONTRACT}");
    }
}

#[test]
#[ignore = "`make bindings` runs it: it writes"]
fn write_the_bindings_of_the_sdk() {
    for (name, text) in bindings::generate(&root(CONTRACT)) {
        fs::write(root(BINDINGS).join(name), text).unwrap();
    }
}

#[test]
fn the_declarations_for_javascript_are_those_of_the_contract() {
    let output = Command::new("node").arg(root("tests/typings/generate.mjs")).arg("--check").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "run node tests/typings/generate.mjs: {}", String::from_utf8_lossy(&said));
}
