//! Files that cannot be imported: nothing is written, and the message has file and line and says what would be right.

use super::{Ended, Files, import};

#[track_caller]
fn refused(files: &[(&str, &str)], expected: &[&str]) {
    let files = Files::with(files);
    let Ended { code, out, error } = import(&files.paths, &[]);
    assert_eq!((code, out.as_str()), (65, ""), "{error}");
    for part in expected {
        assert!(error.contains(part), "{part} is not in\n{error}");
    }
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    let router = "websocket-router.yml";
    let rendezvous = "websocket-rendezvous.yml";
    let handler = "handler.yml";
    let table: [(&str, &str, &[&str]); 22] = [
        (router, "enabled: true\n  oops: [\n", &[":2:"]),
        (router, "enabled: true\nenabled: false\n", &[":2:1: ", "duplicate"]),
        (router, "- a\n- b\n", &[":1:1: a map of keys and values belongs here"]),
        (router, "enabled: maybe\n", &[":1:10: `maybe` is neither true nor false"]),
        (router, "enabled: [true]\n", &[":1:10: a single value belongs here"]),
        (router, "\nidleTimeoutMs: 1h\n", &[":2:16: `1h` is no number of milliseconds", "a whole number"]),
        (router, "idleTimeoutMs: -1\n", &[":1:16: `-1` is no number of milliseconds"]),
        (router, "defaultProtocol: ftp\n", &[":1:18: the protocol `ftp` is none of http, https, ws, wss"]),
        (router, "pathPrefixService: [/a]\n", &[":1:20: a list stands here"]),
        (router, "pathPrefixService: '{\"/a\": '\n", &[":1:20: the JSON text cannot be read"]),
        (router, "enabled: ${a.b\n", &[":1:10: a placeholder has no end"]),
        (router, "enabled: ${:x}\n", &[":1:10: a placeholder has no name"]),
        (router, "enabled: ${a.b}\n", &[":1:10: `a.b` has neither a value nor a default", "values.yml"]),
        (router, "enabled: '${a.b:?say whether}'\n", &[":1:10: `a.b` has no value: `say whether`"]),
        (router, "defaultEnvTag: ${a.b:$}\n", &[":1:16: the placeholder of `a.b` is escaped"]),
        (rendezvous, "backendPath: /\n", &[":1:14: `/` is no path by which a backend could be known"]),
        (rendezvous, "backendPath: /a?b\n", &[":1:14: `/a?b` is no path"]),
        (handler, "handlers: {a: b}\n", &[":1:11: a list belongs here"]),
        (handler, "handlers: [a.A@x, b.B@x]\n", &[":1:19: the alias `x` is that of `a.A` already"]),
        (handler, "chains: {a: [b], b: [a]}\ndefaultHandlers: [a]\n", &["the chain `", "leads back to itself"]),
        (handler, "paths: [{path: chat, exec: [x]}]\n", &[":1:16: `chat` does not start with a slash"]),
        (handler, "paths: [{path: /a}]\n", &[":1:9: a path needs `path` and `exec`"]),
    ];
    for (name, text, expected) in table {
        let place: Vec<_> = expected.iter().copied().chain([name]).collect();
        refused(&[(name, text)], &place);
    }
}

#[test]
fn what_belongs_together_is_compared() {
    let one = "websocket-router.enabled: true\n";
    refused(
        &[("values.yml", one), ("more-values.yml", "# more\nwebsocket-router.enabled: false\n")],
        &["more-values.yml:2:1: `websocket-router.enabled` has another value in values.yml:1"],
    );
    refused(
        &[("websocket-router.yml", "enabled: true\n"), ("other.yml", "idleTimeoutMs: 1000\n")],
        &["other.yml:1:1: this is a second websocket-router.yml; the first is websocket-router.yml:1"],
    );
    refused(
        &[("values.yml", "a.b: ${c.d}\nc.d: ${a.b}\n"), ("websocket-router.yml", "enabled: ${a.b}\n")],
        &["refers to itself"],
    );
    refused(
        &[("values.yml", "a.b: [x]\n"), ("websocket-router.yml", "defaultEnvTag: pre${a.b}\n")],
        &["websocket-router.yml:1:16: `a.b` is a list or a map and stands within text"],
    );
}

#[test]
fn files_that_are_of_no_use_are_refused() {
    refused(
        &[("notes.yml", "colour: red\n")],
        &["notes.yml:1:1", "is none of the files that are known here", "handler.yml"],
    );
    refused(&[("mixed.yml", "backendPath: /x\nhandlers: []\n")], &["could be more than one"]);
    refused(&[("values.yml", "server.ip: 127.0.0.1\n")], &["nothing in these files sets up a WebSocket handler"]);
    refused(&[("values.yml", "")], &["nothing in these files"]);
    refused(
        &[("handler.yml", "enabled: false\nhandlers: [a.WebSocketRouterHandler@r]\ndefaultHandlers: [r]\n")],
        &["handler.yml:1:10: the handlers are switched off"],
    );
    let Ended { code, error, .. } = import(&["/nowhere/values.yml".into()], &[]);
    assert!(code == 65 && error.contains("/nowhere/values.yml: No such file"), "{error}");
}

#[test]
fn hostile_text_steers_neither_the_terminal_nor_the_configuration() {
    let router =
        "pathPrefixService:\n  \"/a\\e[2J\": one\n  \"/b: {x}\\n  evil: 1\": \"two # three\\u0085\\\"\"\n  /c: 'no'\n";
    let Ended { out, error, .. } = import(&Files::with(&[("websocket-router.yml", router)]).paths, &[]);
    assert!(!out.contains('\u{1b}') && !error.contains('\u{1b}'), "{out}\n{error}");
    super::passes_check(&out);
    assert!(!out.lines().any(|line| line.trim_start().starts_with("evil")), "{out}");
    assert!(out.contains("/c: \"no\""), "{out}");
}
