//! `cordboard check`: all that is wrong at once, with its place and what would be right; what is unlikely; values.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "policy/guests.rs"]
#[allow(dead_code)]
mod guests;

use serde_json::{Value, json};
use support::{CHAT, Proxy, Setup, binary, eventually, http, status, upgrade};

/// Code, standard output and standard error of a check; the folder's name is left out.
fn check(setup: &Setup, arguments: &[&str]) -> (i32, String, String) {
    let output = binary().arg("check").arg(setup.path()).args(arguments).env("KNOWN", "hunter2").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", setup.dir.path().display()), "");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A setup whose configuration is exactly this.
fn exactly(text: &str) -> Setup {
    let setup = Setup::new("");
    setup.put("cordboard.yaml", text.as_bytes());
    setup
}

const LISTENER: &str = "listeners: [{name: main, address: '127.0.0.1:0'}]\n";

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line_a_caret_and_what_would_be_right() {
    let setup = exactly(
        "listeners: [{name: main, adress: '127.0.0.1:0'}]\nworkers: [many]\nroutes:\n  - name: a\n    mode: ruoter\n    \
         match: {path: /}\n    plugins: [p]\n    limits: {idle: 5, ping: maybe}\n",
    );
    let (code, out, error) = check(&setup, &[]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert_eq!(
        error,
        "cordboard.yaml:1:26: listeners[0]: unknown key `adress`
  |
1 | listeners: [{name: main, adress: '127.0.0.1:0'}]
  |                          ^
  = did you mean `address`?
cordboard.yaml:2:10: workers: a single value belongs here
  |
2 | workers: [many]
  |          ^
cordboard.yaml:5:11: routes[0].mode: `ruoter` is not one of `rendezvous`, `router`, `http`
  |
5 |     mode: ruoter
  |           ^
  = did you mean `router`?
cordboard.yaml:7:15: routes[0].plugins[0]: there is no plugin `p`
  |
7 |     plugins: [p]
  |               ^
  = the file has no plugins: add it under `plugins`
cordboard.yaml:8:20: routes[0].limits.idle: `5` has no unit, and a duration needs one
  |
8 |     limits: {idle: 5, ping: maybe}
  |                    ^
  = units are ms, s, m and h: `250ms`, `30s`, `5m`, `1h`
cordboard.yaml:8:29: routes[0].limits.ping: `maybe` is not one of `relay`, `terminate`
  |
8 |     limits: {idle: 5, ping: maybe}
  |                             ^
No policy was loaded: that is for when the configuration is right.
"
    );
}

#[test]
fn every_plugin_that_cannot_be_read_or_loaded_is_named_with_its_place() {
    let setup = exactly(&format!(
        "{LISTENER}plugins:
  absent: {{component: absent.wasm}}
  core: {{component: core.wasm}}
  text: {{component: cordboard.yaml}}
  pinned: {{component: core.wasm, sha256: '{}'}}
  nobody: {{component: 'builtin:nobody'}}
  refusing: {{component: 'builtin:rendezvous', config: {{backendPath: '/a?b'}}}}
  panicking: {{component: puppet.wasm, config: {{do: P}}}}
",
        "0".repeat(64)
    ));
    setup.put("core.wasm", &wat::parse_str("(module)").unwrap());
    setup.put("puppet.wasm", guests::puppet());
    let (code, _, error) = check(&setup, &[]);
    assert_eq!(code, 78, "{error}");
    for (place, parts) in [
        ("3:23: plugins.absent.component: ", &["absent.wasm: No such file or directory"][..]),
        ("4:21: plugins.core.component: ", &["core.wasm", "core WebAssembly module"]),
        ("5:21: plugins.text.component: ", &["cordboard.yaml", "not a WebAssembly component"]),
        ("6:42: plugins.pinned.sha256: ", &["core.wasm hashes to ", "pins 0000"]),
        ("7:23: plugins.nobody.component: ", &["there is no `builtin:nobody`; there are builtin:"]),
        ("8:47: plugins.refusing.config: ", &["`init` refused the configuration", "the query never counts"]),
        // The text that the log has too.
        ("9:26: plugins.panicking.component: ", &["could not be instantiated", "it said: refused\\nby its"]),
    ] {
        let start = format!("cordboard.yaml:{place}");
        let line = error.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("nothing begins with {start}\n{error}"));
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
    }
    assert_eq!(error.matches("\n  |").count(), 2 * 7, "each with its line: {error}");
}

#[test]
fn a_file_as_a_whole_has_no_line() {
    let setup = Setup::new("");
    std::fs::remove_file(setup.path()).unwrap();
    let (code, _, error) = check(&setup, &["--values", "/nowhere/values.yaml"]);
    assert_eq!(code, 78);
    let expected = "cordboard.yaml: No such file or directory (os error 2)\n\
        /nowhere/values.yaml: No such file or directory (os error 2)\n";
    assert_eq!(error, expected);
}

/// Legal, and probably not meant.
const UNLIKELY: &str = "plugins: {router: {component: 'builtin:router'}, other: {component: 'builtin:router'}}
routes:
  - {name: a, match: {path: /}, mode: rendezvous, plugins: [router]}
";

#[test]
fn what_is_unlikely_is_said_and_no_error() {
    let (code, out, error) = check(&exactly(&format!("{LISTENER}{UNLIKELY}")), &[]);
    assert_eq!(code, 0);
    let (summary, hash) = out.trim_end().split_once("; sha256 ").unwrap();
    assert_eq!(summary, "cordboard.yaml: ok: 1 listener, 1 route, 2 plugins, 0 services, 2 warnings");
    assert_eq!(hash.len(), 64);
    assert_eq!(
        error,
        "cordboard.yaml:2:50: warning: plugins.other: no route uses this plugin
  |
2 | plugins: {router: {component: 'builtin:router'}, other: {component: 'builtin:router'}}
  |                                                  ^
  = name it in the `plugins` of a route, or remove it
cordboard.yaml:4:51: warning: routes[0].plugins: none of these plugins exports `role-detection`: without a role nobody is \
         joined
  |
4 |   - {name: a, match: {path: /}, mode: rendezvous, plugins: [router]}
  |                                                   ^
  = add a plugin that does, such as `builtin:rendezvous`
"
    );
}

#[test]
fn what_is_unlikely_is_in_the_log_once_at_the_start_and_once_when_it_is_new() {
    let proxy = Proxy::with(UNLIKELY);
    proxy.logged(&["WARN", "generation=1", "plugins.other: no route uses this plugin; name it in the `plugins`"]);
    let more = UNLIKELY.replace("plugins: {", "plugins: {third: {component: 'builtin:router'}, ");
    proxy.setup.write(&more);
    proxy.reloaded(1);
    proxy.logged(&["WARN", "generation=2", "plugins.third: no route uses this plugin"]);
    let said = |key: &str| proxy.log().iter().filter(|line| line.contains(key) && line.contains("WARN")).count();
    assert_eq!([said("plugins.other: "), said("routes[0].plugins: "), said("plugins.third: ")], [1, 1, 1]);
}

#[test]
fn json_says_the_same_in_a_shape_that_stays() {
    let read = |setup: &Setup| {
        let (code, out, error) = check(setup, &["--json"]);
        assert_eq!(error, "");
        (code, serde_json::from_str::<Value>(&out).unwrap())
    };
    let bad = format!("{LISTENER}log:\n  levl: loud\n");
    let (code, said) = read(&exactly(&bad));
    let problem = |column: usize, key: &str, message: &str, hint: Value| {
        json!({
            "file": "cordboard.yaml", "line": 3, "column": column, "key": key, "message": message, "hint": hint,
            "severity": "error",
        })
    };
    let expected = json!({
        "ok": false, "file": "cordboard.yaml", "hash": null, "error": null, "loaded": false, "warnings": [],
        "counts": null,
        "problems": [
            problem(3, "log", "unknown key `levl`", json!("did you mean `level`?")),
            problem(9, "log.level", "`loud` is not one of `error`, `warn`, `info`, `debug`, `trace`", Value::Null),
        ],
    });
    assert_eq!((code, said), (78, expected));

    let (code, said) = read(&exactly(&format!("{LISTENER}{UNLIKELY}")));
    let counts = json!({"listeners": 1, "routes": 1, "plugins": 2, "services": 0});
    assert_eq!((code, &said["ok"], &said["problems"], &said["counts"]), (0, &json!(true), &json!([]), &counts));
    assert_eq!((said["hash"].as_str().map(str::len), &said["loaded"]), (Some(64), &json!(true)));
    let first = json!({
        "file": "cordboard.yaml", "line": 2, "column": 50, "key": "plugins.other", "severity": "warning",
        "message": "no route uses this plugin", "hint": "name it in the `plugins` of a route, or remove it",
    });
    assert_eq!((said["warnings"].as_array().unwrap().len(), &said["warnings"][0]), (2, &first));

    let setup = Setup::new("");
    std::fs::remove_file(setup.path()).unwrap();
    let (code, said) = read(&setup);
    assert_eq!((code, &said["problems"][0]["line"], &said["problems"][0]["column"]), (78, &Value::Null, &Value::Null));
}

#[test]
fn placeholders_stand_for_values_the_environment_and_defaults() {
    let setup = exactly(
        "listeners: ${listeners}\nlog: {level: '${LEVEL:info}'}\nworkers: ${KNOWN}\nadmin: {address: '${ADMIN}'}\n",
    );
    setup.put("values.yaml", b"listeners: [{name: main, address: '127.0.0.1:0'}]\n");
    let values = setup.file("values.yaml");
    let (code, out, error) = check(&setup, &["--values", values.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (78, ""));
    for part in [
        "cordboard.yaml:3:10: workers: `${KNOWN}` is not a whole number: 0 to 1024\n",
        "cordboard.yaml:4:18: admin.address: `${ADMIN}` stands for nothing: values.yaml does not have it, nor is there an \
         environment variable `ADMIN`, and it has no default\n",
        "4 | admin: {address: '${ADMIN}'}\n",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
    setup.put("cordboard.yaml", b"listeners: ${listeners}\nlog: {level: '${LEVEL:info}'}\n");
    assert_eq!(check(&setup, &["--values", values.to_str().unwrap()]).0, 0);
    let (code, _, error) = check(&setup, &[]);
    assert!(code == 78 && error.contains("there is no values file (`--values FILE`)"), "{error}");
}

#[test]
fn a_policy_that_repeats_its_secret_is_not_repeated() {
    let setup = exactly(&format!(
        "{LISTENER}plugins: {{p: {{component: 'builtin:rendezvous', config: {{backendPath: '/${{KNOWN}}?x'}}}}}}\n"
    ));
    let (code, _, error) = check(&setup, &[]);
    assert!(code == 78 && error.contains("`init` refused the configuration") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_changed_values_file_makes_a_generation_and_a_broken_one_none() {
    let handshake = |proxy: &Proxy, target: &str| status(&http(proxy.address, &upgrade(target, "")).0);
    let setup = Setup::new(&CHAT.replace(
        "'builtin:rendezvous'",
        "'builtin:rendezvous', config: {channelQuery: ['${chat.parameter}'], backendPath: '${BACKEND:/connect}'}",
    ));
    setup.put("values.yaml", b"chat.parameter: room\n");
    let values = setup.file("values.yaml");
    let proxy = Proxy::run(setup, &[], &["--values", values.to_str().unwrap()]);
    assert_eq!((handshake(&proxy, "/chat?room=1"), handshake(&proxy, "/chat?hall=1")), (101, 400));
    let hash = || {
        let page: Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
        page["hash"].as_str().unwrap().to_owned()
    };
    let before = hash();
    proxy.setup.put("values.yaml", b"chat.parameter: hall\n");
    proxy.reloaded(1);
    assert_ne!(hash(), before);
    assert_eq!((handshake(&proxy, "/chat?room=2"), handshake(&proxy, "/chat?hall=2")), (400, 101));
    for (broken, why) in [
        (&b"chat.parameter: [hunter2\n"[..], "values.yaml:1:17: "),
        (b"other: hunter2\n", "`${chat.parameter}` stands for nothing: "),
    ] {
        proxy.setup.put("values.yaml", broken);
        proxy.logged(&["refused: ", why]);
        assert_eq!((proxy.generation(), handshake(&proxy, "/chat?hall=3")), (2, 101));
    }
    // Both files in one save of each: what counts is what they say together.
    proxy
        .setup
        .write(&CHAT.replace("'builtin:rendezvous'", "'builtin:rendezvous', config: {channelQuery: ['${new}']}"));
    proxy.setup.put("values.yaml", b"new: lounge\n");
    eventually("both files", || (handshake(&proxy, "/chat?lounge=1") == 101).then_some(()));
    assert!(!proxy.log().join("\n").contains("hunter2"), "{}", proxy.log().join("\n"));
}
