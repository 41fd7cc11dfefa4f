//! Whole files: a sound one that is damaged, or any text.

use std::{ffi::OsString, path::PathBuf};

use super::super::{
    MAX_BYTES, Source, Values, ValuesFile, read,
    tree::{Node, Shape},
    yaml,
};
use crate::fuzzing::Input;

/// Sound files, as the ground that damages start from.
const SEEDS: [&str; 5] = [
    "",
    include_str!("../../../config/reference.yaml"),
    include_str!("../../../config/demo.yaml"),
    include_str!("../../../tests/config/valid/off-values.yaml"),
    include_str!("../../../tests/config/valid/anchors.yaml"),
];

/// A configuration, with a values file and an environment.
pub fn config(data: &[u8]) {
    let mut input = Input::new(data);
    let mut text = SEEDS[usize::from(input.byte()) % SEEDS.len()].to_owned();
    let values = String::from_utf8_lossy(input.text()).into_owned();
    let variable = String::from_utf8_lossy(input.text()).into_owned();
    if text.is_empty() {
        text = String::from_utf8_lossy(input.rest()).into_owned();
    }
    while !input.is_empty() {
        damage(&mut text, &mut input);
    }
    let source = Source { name: "fuzz.yaml".to_owned(), dir: PathBuf::from("/etc"), text };
    let values = (!values.is_empty()).then(|| ValuesFile { name: "values.yaml".to_owned(), text: values });
    let environment = |_: &str| (!variable.is_empty()).then(|| OsString::from(&variable));
    let given = Values { file: values.as_ref(), environment: &environment };
    match read(&source, &given) {
        Err(problems) => {
            super::are_fit_to_be_shown(&problems);
            assert_eq!(read(&source, &given).err(), Some(problems), "the same texts give the same answer");
        }
        Ok(reading) => {
            assert!(source.text.len() <= MAX_BYTES);
            if !reading.warnings.is_empty() {
                super::are_fit_to_be_shown(&reading.warnings);
            }
            // JSON is YAML: without aliases, merges and comments it means the same.
            let tree = yaml::read(&source.text).expect("it was read before");
            if is_spelled_as_json(&tree) {
                let source = Source { text: tree.json().to_string(), ..source };
                let again = read(&source, &given).unwrap_or_else(|problems| panic!("{}\n{problems:?}", source.text));
                assert_eq!(again.config, reading.config, "{}", source.text);
            }
        }
    }
}

/// Whether every number looks as it would in JSON: where a text is what counts, `0x10` is not 16.
fn is_spelled_as_json(node: &Node) -> bool {
    match &node.shape {
        Shape::Scalar(scalar) => {
            scalar.is_text()
                || scalar.is_null()
                || scalar.value.as_ref().is_some_and(|value| format!("{value}") == scalar.text)
        }
        Shape::List(items) => items.iter().all(is_spelled_as_json),
        Shape::Map(entries) => entries.values().all(|entry| is_spelled_as_json(&entry.node)),
    }
}

/// Changes a text in one place.
fn damage(text: &mut String, input: &mut Input<'_>) {
    let (what, at) = (input.byte(), usize::from(input.word()));
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let line = at % lines.len().max(1);
    match what % 5 {
        0 if !lines.is_empty() => drop(lines.remove(line)),
        1 if !lines.is_empty() => lines.insert(line, lines[line].clone()),
        2 if !lines.is_empty() => lines[line].insert(0, ' '),
        3 => lines.insert(line.min(lines.len()), String::from_utf8_lossy(input.text()).into_owned() + "\n"),
        _ => {
            let mut whole = lines.concat();
            let place = at % (whole.len() + 1);
            let start = whole.floor_char_boundary(place);
            let end = whole.floor_char_boundary((start + usize::from(input.byte() % 8)).min(whole.len()));
            whole.replace_range(start..end.max(start), &String::from_utf8_lossy(input.text()));
            lines = vec![whole];
        }
    }
    *text = lines.concat();
}
