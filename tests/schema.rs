//! `cordboard schema` beside the proxy's own reader, with a JSON Schema validator that is not ours.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cordboard::config::{self, Source};
use serde_json::{Value, json};
use support::{binary, shell::python};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Reads the schema and documents, and prints for each whether it is valid.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
Draft202012Validator.check_schema(given['schema'])
validator = Draft202012Validator(given['schema'])
json.dump([validator.is_valid(document) for document in given['documents']], sys.stdout)
";

fn schema() -> Value {
    let output = binary().arg("schema").output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether each document is valid.
fn valid(documents: &[Value]) -> Vec<bool> {
    let given = json!({ "schema": schema(), "documents": documents }).to_string();
    let mut child = Command::new(python())
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python of the tests; see `make test-tools`");
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator failed; see `make test-tools`");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// Whether the proxy takes it.
fn accepted(document: &Value) -> bool {
    config::parse(&Source { name: "test".to_owned(), dir: PathBuf::new(), text: document.to_string() }).is_ok()
}

fn files_in(directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(ROOT).join(directory)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// The configurations of the README.
fn examples() -> Vec<(String, String)> {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let blocks = readme.split("<!-- file: ").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once(" -->\n```yaml\n")?;
        // What lies in a folder is a plugin author's.
        let name = Some(name).filter(|name| !name.contains('/'))?;
        Some((name.to_owned(), rest.split_once("```")?.0.to_owned()))
    });
    blocks.collect()
}

#[test]
fn every_valid_file_and_every_example_is_valid_by_the_schema() {
    let examples = examples();
    assert!(examples.len() >= 3, "{examples:?}");
    let files: Vec<_> = ["config", "tests/config/valid"].into_iter().flat_map(files_in).chain(examples).collect();
    let documents: Vec<_> =
        files.iter().map(|(name, text)| yaml(text).unwrap_or_else(|why| panic!("{name}: {why}"))).collect();
    let wrong: Vec<_> =
        files.iter().zip(valid(&documents)).filter(|(_, valid)| !valid).map(|((name, _), _)| name).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn what_has_an_unknown_key_or_the_wrong_form_is_refused_by_the_schema() {
    let files = files_in("tests/config/invalid");
    let structural = files.into_iter().filter(|(_, text)| {
        let mut expected = text.lines().filter(|line| line.starts_with("# expect: "));
        expected.any(|line| line.contains("unknown key") || line.contains("belongs here"))
    });
    let (names, documents): (Vec<_>, Vec<_>) =
        structural.filter_map(|(name, text)| Some((name, yaml(&text).ok()?))).unzip();
    assert!(names.len() >= 10, "{names:?}");
    let passed: Vec<_> = names.iter().zip(valid(&documents)).filter(|(_, valid)| *valid).collect();
    assert!(passed.is_empty(), "{passed:?}");
}

/// Every way to the values of a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| places(item, &format!("{at}/{n}"), found)),
        Value::Object(entries) => {
            for (key, value) in entries {
                places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

/// Each value of the reference is replaced by others, and each map gets a key that nobody knows.
#[test]
fn the_schema_refuses_unknown_keys_and_nothing_that_the_proxy_accepts() {
    let reference = yaml(&fs::read_to_string(Path::new(ROOT).join("config/reference.yaml")).unwrap()).unwrap();
    let mut at = Vec::new();
    places(&reference, "", &mut at);
    let mut documents = Vec::new();
    let mut told = Vec::new();
    for place in &at {
        for other in [
            json!(null),
            json!(0),
            json!("5"),
            json!(1012),
            json!("5s"),
            json!("a"),
            json!([]),
            json!({}),
            json!("${X:true}"),
        ] {
            let mut document = reference.clone();
            *document.pointer_mut(place).unwrap() = other.clone();
            documents.push(document);
            told.push(format!("{place} = {other}"));
        }
        if reference.pointer(place).unwrap().is_object() {
            let mut document = reference.clone();
            document.pointer_mut(place).unwrap()["surprise"] = json!([1]);
            documents.push(document);
            told.push(format!("{place} with a surprise"));
        }
    }
    assert!(documents.len() > 1500, "{}", documents.len());
    let mut wrong = Vec::new();
    for ((document, valid), told) in documents.iter().zip(valid(&documents)).zip(told) {
        let accepted = accepted(document);
        if accepted && !valid || told.ends_with("surprise") && valid != accepted {
            wrong.push(format!("{told}: accepted {accepted}, valid {valid}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
