//! Every template in every language: begun, built with the lines of its manifest, checked, and tried with the cases that
//! are the same for all of them. Those in Rust are part of `make test`; the others want compilers and packages of their own
//! and are run by `make languages`.
//!
//! What a project's own lines install is kept for the next project of the language, and for the next run.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::binary;

/// Of every language.
const KINDS: [&str; 8] =
    ["rendezvous", "router", "authorizer", "filter", "rechecker", "pairer", "rewriter", "observer"];
/// What lines of manifests install into a project, and what compilers keep there.
const KEPT: [&str; 3] = ["node_modules", ".venv", "target"];

#[test]
fn policies_in_rust() {
    all("rust", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_javascript_on_quickjs() {
    all("javascript", &["--engine", "quickjs"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_javascript_on_starlingmonkey() {
    all("javascript", &["--engine", "starlingmonkey"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_typescript_on_quickjs() {
    all("typescript", &["--engine", "quickjs"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_typescript_on_starlingmonkey() {
    all("typescript", &["--engine", "starlingmonkey"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_python() {
    all("python", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_c() {
    all("c", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_go() {
    all("go", &[]);
}

fn all(language: &str, more: &[&str]) {
    for kind in KINDS {
        project(language, more, kind);
    }
}

/// Begins a project, builds it, checks it and runs its cases.
fn project(language: &str, more: &[&str], kind: &str) {
    let begun = tempfile::tempdir().unwrap();
    let name = format!("{kind}-in-{language}");
    let plugin = |dir: &Path, arguments: &[&str]| {
        let mut command = binary();
        if language == "rust" {
            // Without a network, and as on a machine that never had one.
            command.env("CARGO_NET_OFFLINE", "true").env("CARGO_HOME", empty("cargo-home"));
        }
        let output = command.arg("plugin").args(arguments).current_dir(dir).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{name}: plugin {arguments:?}: {}\n{out}{err}", output.status);
        out
    };
    plugin(begun.path(), &[&["new", &name, "--lang", language, "--kind", kind], more].concat());
    let begun = begun.path().join(&name);
    let cases = fs::read_to_string(begun.join("cases.yaml")).unwrap();
    let same = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plugins/templates/cases/{kind}.yaml"));
    assert_eq!(cases, fs::read_to_string(same).unwrap(), "the cases are the same in all languages");

    let language = [language, &more.concat()].concat();
    let dir = workshop(&begun, &language);
    plugin(&dir, &["build", "--install"]);
    plugin(&dir, &["check"]);
    let tried = plugin(&dir, &["test"]);
    let (count, wanted) = (tried.matches("ok      ").count(), cases.matches("- name: ").count());
    assert!(count == wanted && count > 3, "{name}: {count} of {wanted} cases were run:\n{tried}");
    if let Some(table) = env::var_os("CORDBOARD_LANGUAGES_TABLE") {
        row(&PathBuf::from(table), &language, kind, &plugin(&dir, &["bench", "--json"]));
    }
}

/// A folder in which nothing is; of the same path each time, which is among the compiler's flags.
fn empty(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Adds what `plugin bench` measured to a file, a line of JSON for each project.
fn row(table: &Path, language: &str, kind: &str, bench: &str) {
    let now: Value = serde_json::from_str::<Value>(bench).unwrap()["now"].clone();
    let line = json!({ "language": language, "kind": kind, "bench": now });
    let before = fs::read_to_string(table).unwrap_or_default();
    fs::write(table, format!("{before}{line}\n")).unwrap();
}

/// The folder of a language, with what was installed there, and nothing else but this project: tools know their own paths,
/// so that they cannot be moved to it.
fn workshop(begun: &Path, language: &str) -> PathBuf {
    let mut hash = Sha256::new();
    // Other lines may want other tools. The project's name is no reason to install anything anew.
    for file in ["plugin.yaml", "package.json"] {
        let text = fs::read_to_string(begun.join(file)).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.contains("name") && !line.contains("component:"));
        lines.for_each(|line| hash.update(line));
    }
    let digest = u64::from_be_bytes(hash.finalize()[..8].try_into().unwrap());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages").join(format!("{language}-{digest:016x}"));
    fs::create_dir_all(&dir).unwrap();
    for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if KEPT.iter().any(|kept| entry.file_name() == *kept) || begun.join(entry.file_name()).is_file() {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    copy(begun, &dir);
    dir
}

/// Copies what is not there as it is: what a compiler has seen keeps its time.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else if fs::read(&source).unwrap() != fs::read(&target).unwrap_or_default() {
            fs::copy(&source, &target).unwrap();
        }
    }
}
