//! Placeholders: where their values come from, what they become, and what is never said of them.

use std::ffi::OsString;

use super::*;

/// Reads a file with a values file and an environment.
fn filled(text: &str, values: &str, environment: &[(&str, &str)]) -> Result<Reading, Vec<Problem>> {
    let file = ValuesFile { name: "values.yaml".to_owned(), text: values.to_owned() };
    let look =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    super::super::read(&source("test.yaml", text), &Values { file: Some(&file), environment: &look })
}

/// The configuration of a plugin, as JSON, when it is this.
fn plugin_config(config: &str, values: &str, environment: &[(&str, &str)]) -> String {
    let text = format!("{LISTENER}plugins:\n  p:\n    component: builtin:p\n    config:\n      x: {config}\n");
    let reading = filled(&text, values, environment).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    reading.config.plugins["p"].config.as_json().to_string()
}

#[test]
fn a_name_is_looked_up_in_the_values_file_then_the_environment_then_it_is_the_default() {
    let environment = [("A_B_C", "from the environment")];
    let both = plugin_config("${a.b-c:default}", "a.b-c: from the file", &environment);
    assert_eq!(both, r#"{"x":"from the file"}"#);
    assert_eq!(plugin_config("${a.b-c:default}", "", &environment), r#"{"x":"from the environment"}"#);
    assert_eq!(plugin_config("${a.b-c:default}", "a: { b-c: no }", &[]), r#"{"x":"default"}"#);
    assert_eq!(plugin_config("${a.b-c:de:fau:lt}", "", &[]), r#"{"x":"de:fau:lt"}"#);
}

#[test]
fn a_value_that_is_a_placeholder_alone_takes_the_type_of_what_it_stands_for() {
    for (text, json) in [
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("", "null"),
        ("8080", "8080"),
        ("-1.5e3", "-1500.0"),
        ("010", "\"010\""),
        ("1_000", "\"1_000\""),
        ("0x10", "\"0x10\""),
        ("yes", "\"yes\""),
        ("[1,\"a\"]", "[1,\"a\"]"),
        ("{\"b\":{\"c\":null},\"a\":1}", "{\"b\":{\"c\":null},\"a\":1}"),
        ("{not json}", "\"{not json}\""),
        ("a: b # c", "\"a: b # c\""),
    ] {
        let expected = format!("{{\"x\":{json}}}");
        assert_eq!(plugin_config("\"${NAME}\"", "", &[("NAME", text)]), expected, "{text:?} from the environment");
        if !text.contains(['"', '#']) {
            assert_eq!(plugin_config(&format!("\"${{NAME:{text}}}\""), "", &[]), expected, "{text:?} as a default");
        }
    }
    // In the values file the type is YAML's.
    for (yaml, json) in [("5", "5"), ("'5'", "\"5\""), ("{a: [b, 1]}", "{\"a\":[\"b\",1]}"), ("~", "null")] {
        assert_eq!(plugin_config("${NAME}", &format!("NAME: {yaml}"), &[]), format!("{{\"x\":{json}}}"), "{yaml}");
    }
}

#[test]
fn within_a_text_a_placeholder_is_text_and_a_list_or_a_map_is_json() {
    let environment = [("HOST", "example.org"), ("PORT", "0443")];
    assert_eq!(plugin_config("${HOST}:${PORT}", "", &environment), r#"{"x":"example.org:0443"}"#);
    assert_eq!(plugin_config("1${ZERO:0}", "", &[]), r#"{"x":"10"}"#);
    assert_eq!(plugin_config("is ${MAP}", "MAP: {b: 1, a: [true]}", &[]), r#"{"x":"is {\"b\":1,\"a\":[true]}"}"#);
    assert_eq!(plugin_config("<${NONE:}>", "", &[]), r#"{"x":"<>"}"#);
    assert_eq!(plugin_config("\"${JSON:{\\\"a\\\":{}}}\"", "", &[]), r#"{"x":{"a":{}}}"#);
}

#[test]
fn a_doubled_dollar_is_no_placeholder() {
    assert_eq!(plugin_config("a $${b} c", "", &[]), r#"{"x":"a ${b} c"}"#);
    assert_eq!(plugin_config("$${b}${C:d}", "", &[]), r#"{"x":"${b}d"}"#);
    assert_eq!(plugin_config("$$$ $ $1 }", "", &[]), r#"{"x":"$$$ $ $1 }"}"#);
    assert_eq!(plugin_config("{ \"$${k}\": 1 }", "", &[]), r#"{"x":{"${k}":1}}"#);
    // What a placeholder stands for is not looked into.
    assert_eq!(plugin_config("${A}", "A: '${B} $${C}'", &[]), r#"{"x":"${B} $${C}"}"#);
}

#[test]
fn a_value_cannot_change_the_structure_around_it() {
    let text = format!("{LISTENER}log:\n  level: ${{LEVEL}}\n");
    let problems = filled(&text, "", &[("LEVEL", "info\nworkers: 5")]).unwrap_err();
    assert!(
        shown(&problems).starts_with("test.yaml:3:10: log.level: `${LEVEL}` is not one of"),
        "{}",
        shown(&problems)
    );
}

#[test]
fn every_key_takes_what_a_placeholder_stands_for() {
    let text = "listeners: ${LISTENERS}\nadmin: { address: \"${admin:null}\" }\nworkers: ${WORKERS:2}\n\
        log: { sessions: \"${SESSIONS:false}\" }\nroutes:\n  - name: ${NAME}\n    match: { path: /, headers: { a: \"${NUMBER:5}\" }, method: \"${METHOD:GET}\" }\n    \
        mode: router\n    service: s\n    limits: { idle: \"${IDLE}\" }\n\
        services: { s: { endpoints: [ \"${URL}\" ] } }\n";
    let listeners = r#"[{"name":"main","address":"127.0.0.1:0"}]"#;
    let environment = [("LISTENERS", listeners), ("URL", "ws://127.0.0.1:9001"), ("NAME", "r")];
    let reading = filled(text, "IDLE: 5m", &environment).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let config = reading.config;
    assert_eq!((config.listeners.len(), config.admin, config.workers, config.log.sessions), (1, None, 2, false));
    assert_eq!((&*config.routes[0].name, config.routes[0].limits.idle), ("r", Duration::from_mins(5)));
}

#[test]
fn a_name_without_a_value_says_where_it_was_looked_for() {
    let text = format!("{LISTENER}workers: ${{workers.count}}\nlog: {{ level: \"${{LEVEL}}\" }}\n");
    let problems = shown(&filled(&text, "", &[]).unwrap_err());
    for expected in [
        "test.yaml:2:10: workers: `${workers.count}` stands for nothing: values.yaml does not have it, nor is there an \
         environment variable `WORKERS_COUNT`, and it has no default",
        "= `${workers.count:default}` gives it one",
        "test.yaml:3:15: log.level: `${LEVEL}` stands for nothing",
    ] {
        assert!(problems.contains(expected), "{expected}\nis not in\n{problems}");
    }
}

#[test]
fn what_is_no_placeholder_is_refused_with_its_place() {
    for (text, why) in [
        ("${", "a placeholder without its `}`"),
        ("a ${b", "a placeholder without its `}`"),
        ("${a:{}", "a placeholder without its `}`"),
        ("${}", "a placeholder whose name"),
        ("${:x}", "a placeholder whose name"),
        ("${a b}", "a placeholder whose name"),
        ("${ä}", "a placeholder whose name"),
        ("${a:${b}}", "a placeholder in the default of another"),
    ] {
        let file = format!("{LISTENER}plugins: {{ p: {{ component: \"{text}\" }} }}\n");
        let problems = filled(&file, "", &[]).unwrap_err();
        let expected = format!("test.yaml:2:28: plugins.p.component: {why}");
        assert!(problems.len() == 1 && shown(&problems).starts_with(&expected), "{text}: {}", shown(&problems));
    }
    let file = format!("{LISTENER}workers: \"${{X}}\"\n");
    let environment = |_: &str| Some(std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]));
    let problems = super::super::read(&source("t", &file), &Values { file: None, environment: &environment });
    assert!(shown(&problems.unwrap_err()).contains("the environment variable `X` is not UTF-8"));
}

#[test]
fn placeholders_may_add_up_to_so_much_and_no_more() {
    // Each is as long as its text.
    let value = "x".repeat(1 << 20);
    let times = |count| {
        let list = vec!["\"${X}\""; count].join(",");
        let file = format!("{LISTENER}plugins: {{ p: {{ component: \"builtin:p\", config: {{ x: [{list}] }} }} }}\n");
        filled(&file, &format!("X: {value}"), &[])
    };
    assert!(times(8).is_ok());
    let problems = times(9).unwrap_err();
    let expected = "plugins.p.config.x[8]: from here on the placeholders add up to more than 8 MiB";
    assert!(shown(&problems).contains(expected), "{}", shown(&problems));
}

/// A value that is wrong in each place, as the environment or the values file may hold it.
#[test]
fn what_came_from_outside_is_never_repeated() {
    let router = |key: &str| {
        format!(
            "routes: [ {{ name: a, match: {{ path: / }}, mode: router, service: s, {key} }} ]\n\
             services: {{ s: {{ endpoints: [\"ws://127.0.0.1:9001\"] }} }}\n"
        )
    };
    let matched = |key: &str| {
        format!(
            "routes: [ {{ name: a, match: {{ path: /, {key} }}, mode: router, service: s }} ]\n\
             services: {{ s: {{ endpoints: [\"ws://127.0.0.1:9001\"] }} }}\n"
        )
    };
    let service = |endpoint: &str| format!("services: {{ s: {{ endpoints: [ {endpoint} ] }} }}\n");
    let cases = [
        ("workers: \"${S}\"\n".to_owned(), "hunter2"),
        ("workers: \"${S}\"\n".to_owned(), "7654321"),
        ("workers: \"1${S}\"\n".to_owned(), "hunter2"),
        ("log: { level: \"${S}\" }\n".to_owned(), "hunter2"),
        ("drain: { grace: \"${S}\" }\n".to_owned(), "hunter2"),
        ("drain: { grace: 1s, spread: \"${S}\" }\n".to_owned(), "59000ms"),
        ("drain: { grace: \"${S}\", spread: 1m }\n".to_owned(), "59000ms"),
        ("drain: { close_code: \"${S}\" }\n".to_owned(), "7654321"),
        ("admin: { address: \"${S}\" }\n".to_owned(), "192.0.2.77:8123"),
        ("admin: { address: \"${S}\" }\n".to_owned(), "hunter2"),
        ("plugins: { p: { component: \"builtin:${S}\" } }\n".to_owned(), "hunter2/"),
        ("plugins: { p: { component: \"builtin:p\", sha256: \"${S}\" } }\n".to_owned(), "hunter2"),
        ("plugins: { p: { component: \"${S}\" } }\n".to_owned(), "oci://hunter2"),
        (router("plugins: [\"${S}\"]"), "hunter2"),
        (router("host: \"${S}\""), "hunter2"),
        (router("limits: { message: \"${S}\" }"), "7654321"),
        (router("rewrite: [ { path: \"${S}\", to: / } ]"), "hunter2(hunter3"),
        (router("rewrite: [ { path: /a, to: \"${S}\" } ]"), "$hunter2"),
        (router("rewrite: [ { header: { set: { a: \"${S}\" } } } ]"), "$hunter2"),
        (router("rewrite: [ { header: { remove: [\"${S}\"] } } ]"), "hunter2 hunter3"),
        (matched("host: \"${S}\""), "hunter2:x/"),
        (matched("method: \"${S}\""), "hunter2"),
        (matched("headers: { a: { regex: \"${S}\" } }"), "hunter2["),
        (service("\"${S}\""), "hunter2"),
        (service("\"${S}\""), "wss://hunter2"),
        (service("\"${S}\""), "ws://user:hunter2@host"),
        (service("\"${S}\""), "ws://hunter2:99999"),
        (service("\"ws://hunter2:80\", \"${S}\""), "ws://hunter2"),
        (service("{ url: \"ws://a\", env_tag: \"${S}\" }"), "hunter2\u{7}"),
    ];
    for (text, secret) in cases {
        let text = format!("{LISTENER}{text}");
        let environment = [("S", secret)];
        for reading in [filled(&text, "", &environment), filled(&text, &format!("S: {}", json(secret)), &[])] {
            let Err(problems) = reading else { panic!("{text} with {secret} is accepted") };
            let said = shown(&problems);
            for part in secret.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| part.len() > 4) {
                // The file itself may hold it, as the endpoint that stands twice does.
                let said: String = said.lines().filter(|line| !line.contains(" | ")).collect();
                assert!(!said.contains(part), "{secret:?} in\n{text}is repeated:\n{said}");
            }
            assert!(said.contains("${S}"), "{text} with {secret}\n{said}");
        }
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn a_listener_that_is_not_to_be_named_is_not_named_by_another() {
    let text = "listeners:\n  - { name: a, address: \"${S}\" }\n  - { name: b, address: \"127.0.0.1:8123\" }\n";
    let said = shown(&filled(text, "S: 0.0.0.0:8123", &[]).unwrap_err());
    assert!(said.contains("is taken by the listener at `${S}` in line 2") && !said.contains("0.0.0.0"), "{said}");
}

#[test]
fn what_is_wrong_with_a_values_file_is_said_without_its_values() {
    for (values, expected) in [
        ("a: [hunter2\n", "values.yaml:1:4: "),
        ("a: 1\na: hunter2\n", "values.yaml:2:1: duplicate mapping key `a`"),
        ("- hunter2\n", "values.yaml:1:1: a map from names to values belongs here"),
        ("hunter2\n", "values.yaml:1:1: a map from names to values belongs here"),
        ("a: *hunter2\n", "values.yaml:1:4: "),
        ("a: !hunter2 5\n", "values.yaml:1:13: this cannot be read as YAML"),
        ("a b: hunter2\n", "values.yaml:1:1: `a b` is not a name"),
    ] {
        let said = shown(&filled(LISTENER, values, &[]).unwrap_err());
        assert!(said.starts_with(expected) && !said.contains("hunter2"), "{values}: {said}");
    }
    // And what is wrong elsewhere is said as well, apart from what a value would tell.
    let both = format!("{LISTENER}workers: \"${{X}}\"\nlog: {{ level: loud }}\n");
    let said = shown(&filled(&both, "X: [", &[("X", "many")]).unwrap_err());
    assert!(said.contains("values.yaml:1:4: ") && said.contains("test.yaml:3:15: log.level: `loud`"), "{said}");
    assert!(!said.contains("workers"), "{said}");
    let large = format!("a: {}", "x".repeat(yaml::MAX_BYTES));
    assert!(shown(&filled(LISTENER, &large, &[]).unwrap_err()).contains("the values file is larger than 8 MiB"));
    assert!(filled(LISTENER, "", &[]).is_ok() && filled(LISTENER, "# nothing\n", &[]).is_ok());
}

#[test]
fn a_placeholder_where_a_list_or_a_map_belongs_says_how_it_is_written() {
    let text = format!("{LISTENER}plugins: {{ p: {{ component: \"builtin:p\", config: \"${{C}}\" }} }}\n");
    let said = shown(&filled(&text, "", &[("C", "{a: 1}")]).unwrap_err());
    assert!(said.contains("plugins.p.config: a map of keys and values belongs here"), "{said}");
    assert!(said.contains("a list or a map that `${C}` stands for is written as JSON"), "{said}");
}
