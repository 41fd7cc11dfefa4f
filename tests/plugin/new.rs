//! `cordboard plugin new`: what is written, and that nothing is written over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::plugin;

const LANGUAGES: [&[&str]; 8] = [
    &["rust"],
    &["javascript"],
    &["javascript", "--engine", "starlingmonkey"],
    &["typescript"],
    &["typescript", "--engine", "starlingmonkey"],
    &["python"],
    &["c"],
    &["go"],
];
const KINDS: [&str; 8] =
    ["rendezvous", "router", "authorizer", "filter", "rechecker", "pairer", "rewriter", "observer"];

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_language_has_every_kind() {
    let dir = tempfile::tempdir().unwrap();
    for (number, language) in LANGUAGES.iter().enumerate() {
        for kind in KINDS {
            let name = format!("my-{kind}-{number}");
            plugin(dir.path(), &[&["new", &name, "--kind", kind, "--lang"], *language].concat()).ends(0).says(&name);
            let project = dir.path().join(&name);
            for file in ["plugin.yaml", "cases.yaml", "proxy.yaml", "README.md", ".gitignore"] {
                assert!(project.join(file).is_file(), "{language:?} {kind} has no {file}");
            }
            for file in files(&project) {
                assert!(!file.to_string_lossy().contains("{{"), "{}", file.display());
                if let Ok(text) = fs::read_to_string(&file) {
                    assert!(!text.contains("{{name") && !text.contains("{{limits"), "{}", file.display());
                }
            }
            // The manifest and the cases are right; what is missing is the component.
            plugin(&project, &["test"]).ends(1).warns("is not there yet");
            // So is the configuration.
            let check = super::binary().arg("check").arg("proxy.yaml").current_dir(&project).output().unwrap();
            let told = String::from_utf8_lossy(&check.stderr);
            assert_eq!(told.matches("proxy.yaml:").count(), 1, "{told}");
            assert!(told.contains(".wasm: No such file"), "{told}");
        }
    }
}

#[test]
fn nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("mine")).unwrap();
    plugin(dir.path(), &["new", "mine", "--lang", "c"]).ends(0);
    plugin(dir.path(), &["new", "mine", "--lang", "go"])
        .ends(73)
        .warns("mine is there already, and nothing is written over");
    plugin(dir.path(), &["new", "mine", "--lang", "go", "--dir", "other"]).ends(0);
    assert!(fs::read_to_string(dir.path().join("other/plugin.yaml")).unwrap().contains("name: mine"));
}

#[test]
fn names_are_names_in_every_language() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["My-policy", "7up", "-a", "a_b", "a--b", "a-", "a/b", "", &"a".repeat(65)] {
        plugin(dir.path(), &["new", name, "--lang", "c"]).ends(2);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    plugin(dir.path(), &["new", "a", "--lang", "c", "--engine", "quickjs"])
        .ends(2)
        .warns("`--engine` is for JavaScript");
    plugin(dir.path(), &["new", "a", "--lang", "cobol"]).ends(2).warns("possible values: rust, javascript");
}
