//! The schema says what the checks ask for, and the reference shows it.

use serde_json::{Value, json};

use super::{
    super::{check::Asked, schema, validate},
    *,
};

/// The value at a key such as `routes[0].limits.idle`, or the map that would hold it and the key's last step.
fn holder<'a>(document: &'a mut Value, key: &'a str) -> (&'a mut Value, &'a str) {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = document;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, index) = step.split_once('[').map_or((step, None), |(name, index)| (name, Some(index)));
        at = &mut at[name];
        if let Some(index) = index {
            at = &mut at[index.trim_end_matches(']').parse::<usize>().unwrap()];
        }
    }
    (at, last)
}

#[test]
fn every_key_with_its_default_is_the_same_as_without_it() {
    let tree = yaml::read(&text_of("config/reference.yaml")).unwrap();
    let mut tried = 0;
    // A condition that is left out is none.
    for (key, asked) in validate::asked(&tree).into_iter().filter(|(key, _)| !key.ends_with(".present")) {
        let default = match asked {
            Asked::Quantity { default, .. }
            | Asked::Count([default, ..])
            | Asked::Choice { default: Some(default), .. } => json!(default),
            Asked::Later(off) => off,
            Asked::Choice { default: None, .. } | Asked::Required => continue,
        };
        let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>, &str)| {
            let mut document = tree.json();
            let (map, last) = holder(&mut document, &key);
            // A section that the reference does not show there has its defaults, too.
            if let Value::Object(map) = map {
                change(map, last);
            }
            read(&document.to_string()).unwrap_or_else(|problems| panic!("{key}: {}", shown(&problems)))
        };
        let set = with(&|map, last| drop(map.insert(last.to_owned(), default.clone())));
        let left_out = with(&|map, last| drop(map.remove(last)));
        assert!(set == left_out, "{key}: {default} is not its default");
        tried += 1;
    }
    assert!(tried > 80, "only {tried} keys");
}

#[test]
fn every_key_of_the_schema_has_its_default_and_a_description() {
    let schema = schema();
    let sections = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let properties = sections.filter_map(|section| section["properties"].as_object()).flatten();
    let (mut count, mut without_default, mut without_description) = (0, BTreeSet::new(), BTreeSet::new());
    for (key, property) in properties {
        count += 1;
        let text = property.to_string();
        let structured =
            ["$defs/", "\"object\""].iter().any(|part| text.replace("$defs/placeholder", "").contains(part));
        let later = text.contains("not in this version");
        if property.get("default").is_none() && !structured && !later {
            without_default.insert(key.as_str());
        }
        if property.get("description").is_none() && !structured {
            without_description.insert(key.as_str());
        }
    }
    assert!(count > 120, "only {count} keys");
    // What must be there, what is one of several, and what depends on other keys.
    let expected = [
        "address",
        "allow",
        "ca_file",
        "component",
        "dir",
        "docker_config",
        "env_tag",
        "exact_path",
        "host",
        "method",
        "mode",
        "name",
        "namespace",
        "password",
        "path",
        "path_regex",
        "prefix",
        "regex",
        "service",
        "sha256",
        "signature",
        "to",
        "url",
        "username",
    ];
    assert_eq!(without_default, expected.into_iter().collect());
    assert_eq!(without_description, BTreeSet::new());
}

#[test]
fn the_schema_says_units_ranges_words_and_what_must_be_there() {
    let schema = schema();
    let property = |section: &str, key: &str| schema["$defs"][section]["properties"][key].clone();
    let idle = property("limits", "idle");
    assert_eq!(idle["default"], "1h");
    assert_eq!(idle["anyOf"][0]["pattern"], "^([0-9]+(ms|s|m|h)|0+)$");
    assert_eq!(
        idle["description"],
        "no data frame in either direction → 1001; 100ms to 720h, 0 = none; 100ms to 720h, or 0 for none"
    );
    assert_eq!(property("plugin", "on_failure")["anyOf"][0], json!({ "enum": ["closed", "open"] }));
    assert_eq!(schema["properties"]["workers"]["anyOf"][0]["maximum"], 1024);
    assert_eq!(schema["$defs"]["listener"]["required"], json!(["name", "address"]));
    assert_eq!(schema["required"], json!(["listeners"]));
    assert_eq!(property("listener", "proxy_protocol")["anyOf"][0], json!({ "enum": [false, null] }));
}
