//! `cordboard import light4j`: the documented examples and a whole gateway become configurations that `check` takes and
//! that behave, run for real, as the replaced system did; what is broken is refused with its place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "import/broken.rs"]
mod broken;
#[path = "import/running.rs"]
mod running;
#[path = "import/table.rs"]
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::binary;
use tempfile::TempDir;

/// Exit code, standard output and standard error.
struct Ended {
    code: i32,
    out: String,
    error: String,
}

fn import(files: &[PathBuf], more: &[&str]) -> Ended {
    let output = binary().args(["import", "light4j"]).args(files).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), out: text(output.stdout), error: text(output.stderr) }
}

/// All that it ends with, but for a wrong command line and our own mistakes.
fn exit_codes() -> [u8; 4] {
    use cordboard::cli::exit;
    [exit::OK, exit::PARTLY, exit::DATA, exit::CANNOT_CREATE]
}

/// Files of the examples beside this.
fn example(names: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/light4j");
    names.iter().map(|name| folder.join(name)).collect()
}

const RENDEZVOUS: &[&str] = &["rendezvous/values.yml"];
const ROUTER: &[&str] = &["router/websocket-router.yml", "router/handler.yml", "router/values.yml"];
const GATEWAY: &[&str] =
    &["gateway/handler.yml", "gateway/values.yml", "gateway/websocket-rendezvous.yml", "gateway/websocket-router.yml"];

/// Files of a test's own, by name.
struct Files {
    dir: TempDir,
    paths: Vec<PathBuf>,
}

impl Files {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = files.iter().map(|(name, text)| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        Self { paths: paths.collect(), dir }
    }
}

/// `cordboard check` takes it.
fn passes_check(yaml: &str) {
    let files = Files::with(&[("cordboard.yaml", yaml)]);
    let output = binary().arg("check").arg(&files.paths[0]).output().unwrap();
    assert!(output.status.success(), "{}\n{yaml}", String::from_utf8_lossy(&output.stderr));
}

/// What stands behind the key of a line, without its comment.
fn value<'a>(yaml: &'a str, line: &str) -> &'a str {
    let found = yaml.lines().find_map(|text| text.trim_start().strip_prefix(line)?.strip_prefix(':'));
    let found = found.unwrap_or_else(|| panic!("no {line} in\n{yaml}"));
    found.split(" #").next().unwrap().trim()
}

#[test]
fn the_documented_examples_pass_check_and_say_from_where_each_line_comes() {
    for (files, plugins, told) in [
        (RENDEZVOUS, 1, &["values.yml:2", "values.yml:3", "values.yml:9", "values.yml:13"][..]),
        (ROUTER, 1, &["values.yml:2", "values.yml:3", "chain `default`"]),
        (
            GATEWAY,
            2,
            &["values.yml:3", "values.yml:12", "values.yml:15", "values.yml:16", "values.yml:20", "values.yml:23"],
        ),
    ] {
        let Ended { out, error, .. } = import(&example(files), &[]);
        passes_check(&out);
        assert_eq!(out.matches("component: builtin:").count(), plugins, "{out}");
        for place in told {
            assert!(out.contains(place), "{place} is not in\n{out}{error}");
        }
    }
}

#[test]
fn the_order_of_the_files_and_their_names_do_not_matter() {
    let there = import(&example(GATEWAY), &[]).out;
    let back: Vec<_> = GATEWAY.iter().rev().copied().collect();
    // The first line names the files in the order in which they were given.
    let body = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(&import(&example(&back), &[]).out), body(&there));

    let texts: Vec<_> = example(GATEWAY).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let named = ["one", "two", "three", "four"].map(|name| format!("{name}.yaml"));
    let files: Vec<_> = named.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let mut renamed = import(&Files::with(&files).paths, &[]).out;
    for (name, path) in named.iter().zip(GATEWAY) {
        renamed = renamed.replace(name, path.rsplit('/').next().unwrap());
    }
    // But for the columns, in which the longer names stand elsewhere.
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&body(&renamed)), words(&body(&there)));
}

#[test]
fn every_key_has_its_value() {
    let out = import(&example(GATEWAY), &[]).out;
    for (line, expected) in [
        ("address", "\"0.0.0.0:8080\""),
        ("backendPath", "/agent"),
        ("enabled", "true"),
        ("defaultProtocol", "http"),
        ("idle", "0"),
        ("/ws/chat", "chat-service"),
        ("/ws/notification", "{ serviceId: notification-service, protocol: http, envTag: dev }"),
    ] {
        assert_eq!(value(&out, line), expected, "{line}\n{out}");
    }
    assert!(out.contains("      idle: 1m "), "{out}");
    for endpoint in [
        "- \"http://127.0.0.1:9001\"",
        "- { url: \"http://127.0.0.1:9002\", env_tag: dev }",
        "- { url: \"http://127.0.0.1:9003\", env_tag: dev }",
    ] {
        assert!(out.contains(endpoint), "{endpoint}\n{out}");
    }
}

#[test]
fn defaults_of_the_router_are_carried_over_and_a_tag_without_endpoint_is_told() {
    let router = "defaultProtocol: WS\ndefaultEnvTag: ' dev '\nidleTimeoutMs: 0\npathPrefixService: /a=one\n";
    let urls = "directUrls: one=http://127.0.0.1:1&one|test=http://127.0.0.1:2\n";
    let files = Files::with(&[("websocket-router.yml", router), ("direct-registry.yml", urls)]);
    let Ended { out, error, .. } = import(&files.paths, &[]);
    passes_check(&out);
    for (line, expected) in [("defaultProtocol", "ws"), ("defaultEnvTag", "dev"), ("idle", "0")] {
        assert_eq!(value(&out, line), expected, "{line}\n{out}");
    }
    assert!(error.contains("websocket-router.yml:4: the service `one` has no endpoint with tag `dev`"), "{error}");
}

#[test]
fn the_four_forms_of_prefixes_mean_the_same() {
    let forms = [
        "pathPrefixService: {/a: one, /b: {serviceId: two, protocol: HTTP, envTag: dev}}",
        r#"pathPrefixService: '{"/a": "one", "/b": {"serviceId": "two", "protocol": "http", "envTag": "dev"}}'"#,
    ];
    for form in forms {
        let out = import(&Files::with(&[("websocket-router.yml", form)]).paths, &[]).out;
        assert_eq!(value(&out, "/a"), "one");
        assert_eq!(value(&out, "/b"), "{ serviceId: two, protocol: http, envTag: dev }");
        passes_check(&out);
    }
    let legacy = "pathPrefixService: /a=one & /b=two";
    let out = import(&Files::with(&[("websocket-router.yml", legacy)]).paths, &[]).out;
    assert_eq!((value(&out, "/a"), value(&out, "/b")), ("one", "two"));
    passes_check(&out);
}

#[test]
fn what_has_no_counterpart_is_said_in_the_summary_and_in_the_file_and_by_the_exit_code() {
    let ended = import(&example(ROUTER), &[]);
    assert_eq!(ended.code, 3, "{}", ended.error);
    for lost in [
        "handler.yml:10: handler `header` has no counterpart; see `rewrite` of a route",
        "the endpoints of the service `chat-service` are not in these files: put them in",
        "the endpoints of the service `notification-service` are not in these files: put them in",
        "no server.yml says where to listen; 127.0.0.1:8080 was taken",
    ] {
        assert!(ended.error.contains(&format!("- {lost}\n")), "{lost}\n{}", ended.error);
        assert!(ended.out.contains(&format!("# - {lost}\n")), "{lost}\n{}", ended.out);
    }
    assert!(ended.out.contains("# - handler `exception` (handler.yml:6): every refusal"), "{}", ended.out);

    let everything = import(&example(GATEWAY), &[]);
    assert_eq!((everything.code, everything.error.lines().count()), (0, 1), "{}", everything.error);
}

#[test]
fn nothing_of_the_files_is_dropped_silently() {
    let files = Files::with(&[
        (
            "websocket-router.yml",
            "enabled: true\nmaxThings: 7\nidleTimeoutMs: 1\npathPrefixService: {/a: '', /b: {serviceId: x, colour: red}, \
             /c: y, /c/: z, /d: {serviceId: w, protocol: ftp}}\n",
        ),
        (
            "handler.yml",
            "handlers: [a.b.WebSocketRouterHandler@ws, a.b.HealthHandler@health, c.d.WebSocketRendezvousHandler@pair]\n\
             paths:\n  - {path: /x, method: GET, exec: [ws]}\n  - {path: /y, method: POST, exec: [ws]}\n  \
             - {path: /z, exec: [health]}\n  - {source: com.example.Endpoints}\nauditOnError: true\n",
        ),
        (
            "values.yml",
            "websocket-router.enabled: false\nconsul.consulUrl: http://consul:8500\n\
             direct-registry.directUrls: {y: 'https://a:1,http://b:2/path,http://c:3'}\n",
        ),
    ]);
    let ended = import(&files.paths, &[]);
    passes_check(&ended.out);
    for lost in [
        "websocket-router.yml:2: `maxThings` has no counterpart",
        "websocket-router.yml:3: idleTimeoutMs: 1 is out of range here; 100 was taken",
        "entry `/a` of pathPrefixService: the service id is empty",
        "entry `/b` of pathPrefixService: `colour` has no counterpart",
        "entry `/c/` of pathPrefixService: its path is there already",
        "entry `/d` of pathPrefixService: the protocol `ftp` is none of http, https, ws, wss",
        "handler.yml:1: no path leads to WebSocketRendezvousHandler",
        "handler.yml:4: path POST /y leads to a WebSocket handler",
        "handler.yml:5: path GET /z leads to no WebSocket handler",
        "handler.yml:6: `source` of a path has no counterpart",
        "handler.yml:7: `auditOnError` has no counterpart",
        "values.yml:1: websocket-router.enabled has no effect: websocket-router.yml has no placeholder for it",
        "values.yml:2: `consul.consulUrl` has no counterpart; discovery is not in this version",
        "values.yml:3: entry `y` of directUrls: `https://a:1` needs TLS to the service",
        "values.yml:3: entry `y` of directUrls: `http://b:2/path` has a path",
    ] {
        assert!(ended.error.contains(lost), "{lost}\n{}", ended.error);
    }
    assert!(ended.out.contains("- \"http://c:3\""), "{}", ended.out);
    assert_eq!((ended.code, value(&ended.out, "enabled")), (3, "true"));
}

#[test]
fn a_template_becomes_an_expression_and_longer_paths_come_first() {
    let handler = "handlers: [a.WebSocketRendezvousHandler@pair, a.WebSocketRouterHandler@ws]\npaths:\n  \
                   - {path: /chat, exec: [pair]}\n  - {path: '/chat/{room}/v1.0', exec: [ws]}\n  \
                   - {path: /chat/admin/*, exec: [ws]}\n";
    let out = import(&Files::with(&[("handler.yml", handler)]).paths, &[]).out;
    passes_check(&out);
    let matches: Vec<_> = out.lines().filter_map(|line| line.trim_start().strip_prefix("match: ")).collect();
    let expression = r#"{ path_regex: "^/chat/[^/]+/v1\\.0(/|$)" }"#;
    assert_eq!(matches, [expression, "{ path: /chat/admin }", "{ path: /chat }"]);
}

#[test]
fn what_is_lost_is_said_in_the_order_of_the_file_and_so_is_a_prefix_to_which_no_path_leads() {
    let handler = "handlers: [a.WebSocketRouterHandler@ws]\npaths:\n  - path: /ws/chat\n    exec:\n      \
                   - zebra\n      - audit\n      - ws\n      - zebra\n";
    let router = "pathPrefixService: {/ws/chat/room: rooms, /ws: all, /ws/notification: notes, /ws/cha: none}\n";
    let ended = import(&Files::with(&[("handler.yml", handler), ("websocket-router.yml", router)]).paths, &[]);
    passes_check(&ended.out);
    let line = |needle: &str| ended.error.lines().position(|line| line.contains(needle));
    assert!(line("zebra").unwrap() < line("audit").unwrap(), "{}", ended.error);
    let nobody: Vec<_> = ended.error.lines().filter(|line| line.contains("nobody asks for it")).collect();
    assert!(
        nobody.len() == 2 && nobody[0].contains("/ws/notification") && nobody[1].contains("/ws/cha`"),
        "{nobody:?}"
    );
}

#[test]
fn an_output_is_written_once_and_never_over_a_file() {
    let files = Files::with(&[]);
    let path = files.dir.path().join("cordboard.yaml");
    let output = path.to_str().unwrap();
    let ended = import(&example(GATEWAY), &["--output", output]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{}", ended.error);
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, import(&example(GATEWAY), &[]).out);

    fs::write(&path, "mine").unwrap();
    let ended = import(&example(GATEWAY), &["--output", output]);
    assert!(ended.code == 73 && ended.error.contains(&format!("{output}: this file exists")), "{}", ended.error);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}
