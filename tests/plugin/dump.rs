//! A call that fails in the proxy is written down as a test case, which fails with the component that failed and passes with
//! one that is mended.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{
    Said,
    guests::{FILTERING, Guest, ROLES, SILENT, detect_role, migrating_filter},
    plugin,
    support::{
        Proxy, Setup, binary,
        dial::{Ws, dial, hear_close, hear_text, say},
        eventually, http, status, upgrade,
    },
};

/// The filter of the tests, of which `T` traps where something is kept of the connection, or is mended.
fn filter(broken: bool) -> &'static [u8] {
    static FILTERS: [OnceLock<Vec<u8>>; 2] = [OnceLock::new(), OnceLock::new()];
    const TRAP: &str =
        "(i32.const 'T')) (then (call $a_filter_that_traps)))\n      (if (i32.eq (local.get $do) (i32.const 'L'))";
    FILTERS[usize::from(broken)].get_or_init(|| {
        let kept =
            "(call $attachment (i32.const 1040)) (if (i32.load (i32.const 1044)) (then (call $a_filter_that_traps)))";
        let then = if broken { kept } else { "nop" };
        let text = include_str!("../policy/filter.wat");
        assert_eq!(text.matches(TRAP).count(), 1);
        let traps = TRAP.replace("(call $a_filter_that_traps)", then);
        Guest::of(FILTERING).build(&text.replace(TRAP, &traps))
    })
}

/// Who asks for roles and panics at the header `x-token` of some requests, or is mended.
fn role(broken: bool) -> Vec<u8> {
    let end = if broken { "unreachable" } else { "" };
    let body = format!(
        "(call $header (i32.const 200) (i32.const 7) (i32.const 300))
         (if (i32.load8_u (i32.const 300)) (then
           (call $write (i32.const 4) (i32.const 220) (i32.const 16) (i32.const 0) (i32.const 0)) {end}))"
    );
    let module = format!(
        r#"(module
        (import "cordboard:plugin/request@0.1.0" "header" (func $header (param i32 i32 i32)))
        (import "cordboard:host/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
        (data (i32.const 200) "x-token") (data (i32.const 220) "unexpected token") {SILENT} {})"#,
        detect_role(&body)
    );
    let items = format!("import cordboard:plugin/request@0.1.0; import cordboard:host/log@0.1.0; {ROLES}");
    Guest::of(&items).build(&module)
}

/// A rendezvous at `/chat` with the filter, and one at `/who` whose roles are asked of the other.
fn setup(dump: &str) -> Setup {
    let setup = Setup::new(&yaml(dump));
    setup.put("filter.wasm", filter(true));
    setup.put("role.wasm", &role(true));
    setup
}

fn yaml(dump: &str) -> String {
    format!(
        "plugins:
  rendezvous: {{component: 'builtin:rendezvous'}}
  filter: {{component: filter.wasm, config: {{do: '-'}}{dump}}}
  role: {{component: role.wasm, limits: {{memory: 1MiB}}{dump}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous, filter]}}
  - {{name: who, match: {{path: /who}}, mode: rendezvous, plugins: [role, rendezvous]}}
"
    )
}

async fn pair(proxy: &Proxy, channel: &str) -> (Ws, Ws) {
    let client = dial(proxy, &format!("/chat?channelId={channel}")).await;
    (client, dial(proxy, &format!("/chat/connect?channelId={channel}")).await)
}

/// A session in which something is kept, and then fails at this message.
async fn fail_at(proxy: &Proxy, channel: &str, message: &str) {
    let (mut client, _backend) = pair(proxy, channel).await;
    say(&mut client, "kept").await;
    assert_eq!(hear_text(&mut client).await, "");
    say(&mut client, message).await;
    assert_eq!(hear_close(&mut client).await, Some((1011, "a policy failed".to_owned())));
}

/// A handshake at which the decision fails.
fn refused(proxy: &Proxy) {
    let asked = upgrade("/who?channelId=1", "X-Token: secret-1\r\nX-Many: one\r\nX-Many: two\r\nCookie: a=b\r\n");
    assert_eq!(status(&http(proxy.address, &asked).0), 503);
}

/// The names of all files of a folder, sorted; none where it is not there.
fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The file that a line of the log names, once it is written.
fn named(line: &str) -> PathBuf {
    let path = line.split(" dump=").nth(1).unwrap_or_else(|| panic!("no file is named: {line}"));
    let path = PathBuf::from(path.split(' ').next().unwrap());
    eventually("the file", || path.exists().then_some(()));
    path
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Runs a file as it stands with a component alone.
fn run(component: &[u8], file: &Path) -> Said {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tried.wasm"), component).unwrap();
    plugin(dir.path(), &["test", "tried.wasm", "--cases", file.to_str().unwrap()])
}

#[tokio::test]
async fn a_message_that_fails_is_run_again_with_what_was_kept_before_it() {
    let proxy = setup(", dump: failed").start();
    fail_at(&proxy, "7", "Tell nobody: ${x} \u{1f600}").await;
    let line = proxy.logged(&["a policy failed", "plugin=filter", "a_filter_that_traps"]);
    let file = named(&line);
    let dir = proxy.setup.file("failed");
    assert_eq!((file.parent().unwrap(), mode(&dir), mode(&file)), (&*dir, 0o700, 0o600));
    assert!(file.to_str().unwrap().ends_with("-filter-message.yaml"), "{}", file.display());
    let text = fs::read_to_string(&file).unwrap();
    let conn = line.split(" conn=").nth(1).unwrap().split(' ').next().unwrap();
    let version = line.split(" version=").nth(1).unwrap().split(' ').next().unwrap();
    for told in [
        &format!("# plugin: filter, version {version}, component filter 0.0.1"),
        "# hook: message",
        &format!("# connection: {conn}, route: chat"),
        "# failure: trap",
        "a_filter_that_traps",
        "attachment: ept",
        "to_backend: ",
    ] {
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
    }
    run(filter(true), &file).ends(1).says("FAILED").says("a_filter_that_traps");
    run(filter(false), &file).ends(0).says("1 passed");
    // Without what was kept it does not fail: it is part of the input.
    let forgotten = proxy.setup.file("forgotten.yaml");
    fs::write(&forgotten, text.replace("attachment: ept", "subprotocol: x")).unwrap();
    run(filter(true), &forgotten).ends(0);
    proxy.metric_becomes("cordboard_plugin_dumps_total{plugin=\"filter\"}", 1.0);
}

#[test]
fn a_decision_that_fails_is_run_again_with_all_of_its_request() {
    let proxy = setup(", dump: {dir: failed}").start();
    refused(&proxy);
    let file = named(&proxy.logged(&["a policy failed", "plugin=role", "it said: unexpected token"]));
    assert!(file.to_str().unwrap().ends_with("-role-role.yaml"), "{}", file.display());
    let text = fs::read_to_string(&file).unwrap();
    for told in ["x-token: secret-1", "cookie: a=b", "mode: rendezvous", "memory: 1MiB", "route: who", "listener: main"]
    {
        assert!(text.contains(told), "{told:?} is not in:\n{text}");
    }
    run(&role(true), &file).ends(1).says("FAILED").says("unexpected token");
    run(&role(false), &file).ends(0).says("1 passed");
    // And in the folder as a whole.
    run(&role(false), file.parent().unwrap()).ends(0).says("1 passed");
}

#[test]
fn without_the_key_nothing_is_written_and_a_reload_turns_it_on_and_off() {
    let proxy = setup("").start();
    refused(&proxy);
    let line = proxy.logged(&["a policy failed", "plugin=role"]);
    assert!(!line.contains("dump"), "{line}");
    assert!(!proxy.get("/metrics").contains("plugin_dumps_total{"));
    let change = |dump: &str| {
        let before = proxy.generation();
        proxy.setup.write(&yaml(dump));
        proxy.reloaded(before);
    };
    change(", dump: failed");
    assert_eq!(files(&proxy.setup.file("failed")), [""; 0], "what failed before is gone");
    refused(&proxy);
    let file = named(&proxy.logged(&["a policy failed", "plugin=role", "dump="]));
    change("");
    refused(&proxy);
    eventually("three failures", || {
        (proxy.log().iter().filter(|line| line.contains("a policy failed: ")).count() == 3).then_some(())
    });
    assert_eq!(files(file.parent().unwrap()), [file.file_name().unwrap().to_str().unwrap()]);
}

#[tokio::test]
async fn a_session_that_began_before_the_key_was_set_is_written_down_too() {
    let proxy = setup("").start();
    let (mut client, _backend) = pair(&proxy, "1").await;
    say(&mut client, "kept").await;
    assert_eq!(hear_text(&mut client).await, "");
    let before = proxy.generation();
    proxy.setup.write(&yaml(", dump: failed").replace("do: '-'", "do: '+'"));
    proxy.reloaded(before);
    say(&mut client, "T").await;
    let file = named(&proxy.logged(&["a policy failed", "plugin=filter"]));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("do: '-'") || text.contains("do: \"-\""), "the older version's configuration:\n{text}");
    run(filter(true), &file).ends(1).says("a_filter_that_traps");
}

#[tokio::test]
async fn there_are_no_more_files_than_allowed_and_they_come_no_faster() {
    let proxy = setup(", dump: {dir: failed, files: 2, per_minute: 3, message: 8B}").start();
    let dir = proxy.setup.file("failed");
    fs::create_dir(&dir).unwrap();
    // Of others, whatever they are.
    let others = ["0000000000000001-role-message.txt", "0000000000000002-other-role.yaml", "notes.yaml"];
    for other in others {
        fs::write(dir.join(other), "").unwrap();
    }
    fs::write(dir.join("0000000000000003-role-role.yaml"), "an old one").unwrap();
    fail_at(&proxy, "0", "T2345678").await;
    fail_at(&proxy, "1", "T23456789").await;
    let long = proxy.logged(&["a policy failed", "plugin=filter", "undumped=size"]);
    assert!(!long.contains(" dump="), "{long}");
    for failed in 1..=5 {
        refused(&proxy);
        eventually("its line", || {
            let lines = proxy.log();
            (lines.iter().filter(|line| line.contains("plugin=role")).count() >= failed).then_some(())
        });
    }
    proxy.logged(&["a policy failed", "plugin=role", "undumped=rate"]);
    proxy.metric_becomes("cordboard_plugin_dumps_total{plugin=\"role\"}", 3.0);
    proxy.metric_becomes("cordboard_plugin_dumps_total{plugin=\"filter\"}", 1.0);
    proxy.metric_becomes("cordboard_plugin_dumps_dropped_total{plugin=\"role\",reason=\"rate\"}", 2.0);
    proxy.metric_becomes("cordboard_plugin_dumps_dropped_total{plugin=\"filter\",reason=\"size\"}", 1.0);
    let named: Vec<_> = proxy.log().iter().filter(|line| line.contains("plugin=role")).cloned().collect();
    let latest: Vec<_> = named
        .iter()
        .filter_map(|line| line.split("/failed/").nth(1)?.split(' ').next().map(ToOwned::to_owned))
        .collect();
    let own: Vec<_> = files(&dir).into_iter().filter(|name| name.ends_with("-role-role.yaml")).collect();
    let own: Vec<_> = own.into_iter().filter(|name| !name.contains("-other-")).collect();
    assert_eq!(own, latest[1..3], "the latest of those that were written");
    for other in others {
        assert!(dir.join(other).exists(), "{other}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_warned_of_and_costs_nobody_an_answer() {
    let setup = setup(", dump: file/failed");
    setup.put("file", b"no folder");
    let checked = binary().arg("check").arg(setup.path()).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("plugins.filter.dump") && said.contains("/file is not a directory"), "{said}");
    let proxy = setup.start();
    proxy.logged(&["WARN", "plugins.role.dump", "is not a directory"]);
    for _ in 0..3 {
        refused(&proxy);
    }
    proxy.metric_becomes("cordboard_plugin_dumps_dropped_total{plugin=\"role\",reason=\"disk\"}", 3.0);
    let warned = proxy.log().into_iter().filter(|line| line.contains("could not be written down"));
    assert_eq!(warned.count(), 1);
    assert_eq!(fs::read_to_string(proxy.setup.file("file")).unwrap(), "no folder");
}

/// A plugin that is asked one thing, and traps or has nothing to say.
fn asked(interface: &str, function: &str, parameters: &str, result: &str, broken: bool) -> Vec<u8> {
    let items = format!("export cordboard:plugin/meta@0.1.0; export cordboard:plugin/{interface}@0.1.0;");
    let end = if broken { "unreachable" } else { "" };
    let value = if result.is_empty() { "" } else { "(i32.const 64)" };
    // A filter is asked two things; the other one wants nothing.
    let other = match function {
        "open" => {
            r#"(func (export "cordboard:plugin/message-filtering@0.1.0#on-message") (result i32) (i32.const 64))"#
        }
        _ => "",
    };
    let name = format!("cordboard:plugin/{interface}@0.1.0#{function}");
    let function = format!(r#"(func (export "{name}") {parameters} {result} {end} {value})"#);
    Guest::of(&items).build(&format!("(module {SILENT} {other} {function})"))
}

#[tokio::test]
async fn whatever_is_asked_and_fails_is_run_again() {
    const ID: &str = "(result i32)";
    for (hook, interface, function, parameters, result, on) in [
        ("authorize", "authorization", "authorize", "", ID, "chat"),
        ("channel", "channel-extraction", "extract-channel", "", ID, "chat"),
        ("service", "service-resolution", "resolve", "", ID, "ws"),
        ("rewrite", "request-rewriting", "rewrite-request", "", ID, "ws"),
        ("pair", "pairing", "decide", "", ID, "chat"),
        ("response", "response-rewriting", "rewrite-response", "(param i32 i32 i32)", ID, "chat"),
        ("open", "message-filtering", "open", "", "", "chat"),
        ("recheck", "session-authorization", "recheck", "", ID, "chat"),
        ("event", "lifecycle", "on-event", "(param i32 i32 i64 i32 i32)", "", "chat"),
    ] {
        let [broken, mended] = [true, false].map(|broken| asked(interface, function, parameters, result, broken));
        let recheck = if hook == "recheck" { ", recheck: 1s" } else { "" };
        let setup = Setup::new(&format!(
            "plugins:
  rendezvous: {{component: 'builtin:rendezvous'}}
  tried: {{component: tried.wasm, dump: failed{recheck}}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [tried, rendezvous]}}
  - {{name: ws, match: {{path: /ws}}, mode: router, plugins: [tried], service: none}}
services: {{none: {{endpoints: ['ws://127.0.0.1:1']}}}}
"
        ));
        setup.put("tried.wasm", &broken);
        let proxy = setup.start();
        let knock = |path: &str| status(&http(proxy.address, &upgrade(path, "Sec-WebSocket-Protocol: a, b\r\n")).0);
        let mut legs = Vec::new();
        match hook {
            "recheck" | "event" => legs.push(dial(&proxy, "/chat?channelId=1").await),
            "pair" => {
                legs.push(dial(&proxy, "/chat?channelId=1").await);
                assert_eq!(knock("/chat/connect?channelId=1"), 503, "{hook}");
            }
            _ => assert_eq!(knock(&format!("/{on}?channelId=1")), 503, "{hook}"),
        }
        let file = named(&proxy.logged(&["a policy failed: ", "plugin=tried"]));
        assert!(file.to_str().unwrap().ends_with(&format!("-tried-{hook}.yaml")), "{}", file.display());
        run(&broken, &file).ends(1).says("FAILED").says("unreachable");
        run(&mended, &file).ends(0).says("1 passed");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_taken_over_is_run_again() {
    let yaml = |does: &str| {
        format!(
            "reload: {{quiet: 20ms, sessions: migrate}}
plugins:
  rendezvous: {{component: 'builtin:rendezvous'}}
  filter: {{component: filter.wasm, config: {{do: '{does}'}}, dump: failed}}
routes: [ {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous, filter]}} ]
"
        )
    };
    let setup = Setup::new(&yaml("-"));
    setup.put("filter.wasm", migrating_filter());
    let proxy = setup.start();
    let (mut client, _backend) = pair(&proxy, "1").await;
    say(&mut client, "kept").await;
    assert_eq!(hear_text(&mut client).await, "");
    let before = proxy.generation();
    proxy.setup.write(&yaml("X"));
    proxy.reloaded(before);
    // Both legs are asked about; of one something is kept.
    let (file, text) = eventually("the leg that sent something", || {
        let dir = proxy.setup.file("failed");
        let yaml = files(&dir).into_iter().filter(|name| name.ends_with("-filter-migrate.yaml"));
        let read = yaml.map(|name| dir.join(name)).map(|file| (fs::read_to_string(&file).unwrap(), file));
        read.map(|(text, file)| (file, text)).find(|(_, text)| text.contains("attachment: ept"))
    });
    assert!(text.contains("migrate: filter@"), "{text}");
    run(migrating_filter(), &file).ends(1).says("unreachable");
    // It does what its configuration says.
    fs::write(&file, text.replace("do: X", "do: B")).unwrap();
    run(migrating_filter(), &file).ends(0);
}

#[test]
fn the_last_failure_before_the_end_is_written_too() {
    let mut proxy = setup(", dump: failed").start();
    refused(&proxy);
    proxy.signal("TERM");
    assert!(proxy.ended().success());
    assert_eq!(files(&proxy.setup.file("failed")).len(), 1);
}
