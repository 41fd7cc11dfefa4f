//! The alerts and the guide for those who operate.

use std::{collections::BTreeSet, fs, path::Path};

use cordboard::{cli::exit, error::Cause, model::Outcome};
use serde_json::Value;

use super::file;
use crate::support::{CHAT, Proxy, http, status, upgrade};

fn rules() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&file("deploy/alerts.yaml")).unwrap();
    file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Names of series and of labels of a page of metrics.
fn there() -> (BTreeSet<String>, BTreeSet<String>) {
    let proxy = Proxy::with(CHAT);
    // Some series appear with the first thing they count.
    assert_eq!(status(&http(proxy.address, &upgrade("/chat?channelId=1", "")).0), 101);
    assert_eq!(status(&http(proxy.address, &upgrade("/nowhere", "")).0), 404);
    let page = proxy.get("/metrics");
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let (mut names, mut labels) = (BTreeSet::new(), BTreeSet::new());
    // Of what happens seldom there is only the description.
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        names.insert(if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
    }
    for line in series {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        names.insert(name.to_owned());
        labels.extend(
            rest.split('"')
                .step_by(2)
                .filter_map(|part| part.trim_start_matches(',').strip_suffix('='))
                .map(ToOwned::to_owned),
        );
    }
    (names, labels)
}

/// Words of an expression that begin so.
fn words<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(move |word| word.starts_with(prefix))
}

#[test]
fn alerts_and_guide_name_series_labels_and_values_that_there_are() {
    let (names, _) = there();
    let causes: Vec<_> = Cause::ALL.iter().map(|cause| cause.row().label).collect();
    let outcomes: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.label()).collect();
    let mut compared = 0;
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        for name in words(expression, "cordboard_") {
            assert!(names.contains(name), "{name} of {} is not in {names:?}", rule["alert"]);
        }
        assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{expression}");
        for (label, known) in [("cause", &causes), ("outcome", &outcomes), ("result", &vec!["refused"])] {
            for rest in expression.split(&format!("{{{label}=")).skip(1) {
                let values = rest.split('"').nth(1).unwrap();
                for value in values.split('|') {
                    assert!(known.contains(&value), "{value} is no {label}");
                    compared += 1;
                }
            }
        }
        assert!(rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string());
    }
    assert!(compared > 5, "the alerts name causes");
    for name in words(&file("operations.md"), "cordboard_") {
        assert!(names.contains(name), "{name} of docs/operations.md is not in {names:?}");
    }
}

#[test]
fn every_label_by_which_an_alert_sums_is_one_of_a_series() {
    let (_, labels) = there();
    // The first two are Prometheus' own; failures of a policy did not occur.
    let known = ["instance", "le", "plugin", "failure"];
    for rule in rules() {
        let expression = rule["expr"].as_str().unwrap();
        for by in expression.split("by (").skip(1) {
            for label in by.split(')').next().unwrap().split(", ") {
                assert!(labels.contains(label) || known.contains(&label), "{label} of {}", rule["alert"]);
            }
        }
    }
    for label in ["cause", "outcome"] {
        assert!(labels.contains(label), "{label} is not in {labels:?}");
    }
}

#[test]
fn the_guide_has_every_alert_every_exit_code_and_no_line_of_the_log_that_is_never_written() {
    let guide = file("operations.md");
    for rule in rules() {
        assert!(guide.contains(&format!("| `{}` |", rule["alert"].as_str().unwrap())), "{}", rule["alert"]);
    }
    for code in exit::ALL {
        assert!(guide.contains(&format!("\n| {code} | ")), "{code}");
    }
    let (_, table) = guide.split_once("| line | level |").unwrap();
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut count = 0;
    for line in lines {
        let written = line.split('`').nth(1).unwrap();
        let written = written.split('…').next().unwrap();
        assert!(code.contains(&format!("\"{written}")), "{written} is nowhere in the code");
        count += 1;
    }
    assert!(count > 15, "{count}");
}

#[test]
fn links_of_the_guides_lead_somewhere() {
    for name in ["operations.md", "deploy/README.md"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        for link in file(name).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let path = folder.parent().unwrap().join(path);
            assert!(path.exists(), "{link} of {name}");
            if let Some(heading) = heading {
                let text = fs::read_to_string(path).unwrap();
                assert!(text.lines().any(|line| anchor(line).as_deref() == Some(heading)), "{link} of {name}");
            }
        }
    }
}

/// How links name a heading.
fn anchor(line: &str) -> Option<String> {
    let text = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    Some(kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect())
}

/// All code, in one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.fold(String::new(), |text, path| {
        if path.is_dir() { text + &sources(&path) } else { text + &fs::read_to_string(&path).unwrap_or_default() }
    })
}
