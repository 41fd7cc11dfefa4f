//! What was expected beside what came: of a map only the keys that are expected, of a list all items.

use serde_json::{Value, json};

/// What differs, with its place; nothing if all is as expected.
pub(super) fn mismatch(key: &str, expected: &Value, actual: &Value) -> Option<String> {
    let expected = spelled_out(key, expected);
    differs(key, &expected, actual)
}

/// The same of what became of a message, whose actions may be written short.
pub(super) fn actions(place: &str, expected: &Value, actual: &Value) -> Option<String> {
    let expected = match expected {
        Value::String(word) if word == "unseen" => expected.clone(),
        Value::Array(list) => Value::Array(in_order(list)),
        one => json!([one]),
    };
    differs(place, &expected, actual)
}

/// What goes on, what is answered, the end: between these three the order means nothing, for they go different ways.
fn in_order(list: &[Value]) -> Vec<Value> {
    let rank = |action: &Value| match action {
        Value::Object(map) if map.contains_key("reply") => 1,
        Value::Object(map) if map.contains_key("close") => 2,
        _ => 0,
    };
    let mut list = list.to_vec();
    list.sort_by_key(rank);
    list
}

/// Short forms: a service by its id, an identity by its subject, a rejection by its status or its code.
fn spelled_out(key: &str, expected: &Value) -> Value {
    match (key, expected) {
        ("service", Value::String(id)) => json!({ "id": id }),
        ("identity", Value::String(subject)) => json!({ "subject": subject }),
        ("rejected", Value::Number(status)) => json!({ "status": status }),
        ("rejected", Value::String(code)) => json!({ "code": code }),
        (_, other) => other.clone(),
    }
}

/// Whether keys below this are somebody's own names.
fn is_open(place: &str) -> bool {
    let parent = place.rsplit_once('.').map_or("", |(parent, _)| parent);
    parent.ends_with("headers") || parent.ends_with("attributes")
}

fn differs(place: &str, expected: &Value, actual: &Value) -> Option<String> {
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(there)) => wanted.iter().find_map(|(key, wanted)| {
            let place = format!("{place}.{key}");
            match there.get(key) {
                Some(there) => differs(&place, wanted, there),
                // Of what has names of its own: a header field that is not there, for example.
                None if wanted.is_null() && is_open(&place) => None,
                None => {
                    let known: Vec<_> = there.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                    Some(format!("{place}: expected {wanted}, but there is {known}"))
                }
            }
        }),
        (Value::Array(wanted), Value::Array(there)) if wanted.len() == there.len() => {
            let pairs = wanted.iter().zip(there).enumerate();
            let mut found = pairs.map(|(index, (wanted, there))| differs(&format!("{place}[{index}]"), wanted, there));
            // The whole list says more than a place in it.
            found.any(|found| found.is_some()).then(|| format!("{place}: expected {expected}, was {actual}"))
        }
        _ if expected == actual => None,
        _ => Some(format!("{place}: expected {expected}, was {actual}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_map_only_what_is_expected_counts() {
        let actual = json!({ "id": "echo", "scheme": null });
        assert_eq!(mismatch("service", &json!("echo"), &actual), None);
        assert_eq!(mismatch("service", &json!({ "scheme": null }), &actual), None);
        assert_eq!(
            mismatch("service", &json!("other"), &actual).unwrap_or_default(),
            r#"service.id: expected "other", was "echo""#
        );
        assert_eq!(
            mismatch("service", &json!({ "idd": "echo" }), &actual).unwrap_or_default(),
            r#"service.idd: expected "echo", but there is id, scheme"#
        );
        assert!(mismatch("service", &Value::Null, &actual).is_some());
        assert!(mismatch("service", &json!({ "idd": null }), &actual).is_some());
        let headers = json!({ "headers": { "a": "b" } });
        assert_eq!(mismatch("answer", &json!({ "headers": { "x": null } }), &headers), None);
    }

    #[test]
    fn of_a_list_all_counts_and_its_order_where_it_means_something() {
        let actual = json!(["forward", { "emit": "b" }, { "reply": "a" }]);
        assert_eq!(actions("m", &json!([{ "reply": "a" }, "forward", { "emit": "b" }]), &actual), None);
        assert!(actions("m", &json!([{ "emit": "b" }, "forward", { "reply": "a" }]), &actual).is_some());
        assert!(actions("m", &json!(["forward"]), &actual).is_some());
        assert_eq!(actions("m", &json!("forward"), &json!(["forward"])), None);
        assert_eq!(actions("m", &json!("unseen"), &json!("unseen")), None);
        assert!(actions("m", &json!("unseen"), &json!(["forward"])).is_some());
    }
}
