//! The process: its command line, its exit codes, its admin address. How it stops is in `drain.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use support::{
    CHAT, Proxy, Setup, binary,
    dial::{converse, dial},
    http, status,
};

fn output(arguments: &[&str]) -> (i32, String, String) {
    ended(binary().args(arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it was not killed"), text(output.stdout), text(output.stderr))
}

/// Runs it with this configuration as it stands; it must end on its own.
fn run(yaml: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cordboard.yaml");
    std::fs::write(&path, yaml).unwrap();
    output(&["run", "--config", path.to_str().unwrap()])
}

#[test]
fn the_version_is_that_of_the_package() {
    let (code, out, _) = output(&["--version"]);
    assert_eq!((code, out), (0, format!("cordboard {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn help_names_every_command() {
    let (code, out, _) = output(&["--help"]);
    assert_eq!(code, 0);
    for command in ["run", "check", "schema", "demo", "--version"] {
        assert!(out.contains(command), "{command} is missing in\n{out}");
    }
    let (code, out, _) = output(&["run", "--help"]);
    assert!(code == 0 && out.contains("--config"), "{out}");
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [&[][..], &["fly"], &["run"], &["run", "--confg", "x"], &["check"]] {
        let (code, out, error) = output(arguments);
        assert!(code == 2 && out.is_empty() && error.contains("Usage"), "{arguments:?}: {code}\n{out}\n{error}");
    }
}

#[test]
fn a_bad_configuration_is_78_and_every_problem_stands_with_its_place() {
    let yaml = "listeners: [{name: main, address: here}]\nlog:\n  level: loud\ndrain: {grace: never}\n";
    let (code, out, error) = run(yaml);
    assert_eq!(code, 78, "{out}\n{error}");
    for place in ["cordboard.yaml:1:", "cordboard.yaml:3:", "cordboard.yaml:4:"] {
        assert!(error.contains(place), "{place} {error}");
    }
    assert!(!out.contains("listening"), "{out}");
}

#[test]
fn a_configuration_that_is_not_there_is_78_and_named() {
    for command in [&["run", "--config", "/nowhere/cordboard.yaml"][..], &["check", "/nowhere/cordboard.yaml"]] {
        let (code, _, error) = output(command);
        assert!(code == 78 && error.contains("/nowhere/cordboard.yaml: No such file"), "{code}: {error}");
    }
}

#[test]
fn a_policy_that_cannot_be_loaded_is_78_and_named() {
    let setup = Setup::new(&CHAT.replace("'builtin:rendezvous'", "policy.wasm"));
    setup.put("policy.wasm", b"not a component");
    for command in [&["run", "--config"][..], &["check"]] {
        let (code, _, error) = ended(binary().args(command).arg(setup.path()).output().unwrap());
        assert!(code == 78 && error.contains("policy.wasm") && error.contains("rendezvous"), "{code}: {error}");
    }
}

#[test]
fn a_taken_address_is_69_and_named_with_its_key() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let free = "127.0.0.1:0";
    let taken = address.to_string();
    for (listener, admin, key, place) in [
        (taken.as_str(), free, "`main`", "cordboard.yaml:1:35: listeners[0].address: cannot listen on"),
        (free, taken.as_str(), "`admin.address`", "cordboard.yaml:2:18: admin.address: cannot listen on"),
    ] {
        let ends = format!("listeners: [{{name: main, address: '{listener}'}}]\nadmin: {{address: '{admin}'}}\n");
        let (code, out, error) = run(&format!("{ends}{CHAT}"));
        assert_eq!(code, 69, "{error}");
        assert!(error.contains(&address.to_string()) && error.contains(key) && error.contains(place), "{error}");
        assert!(error.trim_end().ends_with('^'), "with its line: {error}");
        assert!(!out.contains("listening"), "nothing is accepted before every address is held: {out}");
    }
}

#[test]
fn what_is_neither_the_command_line_nor_the_configuration_nor_an_address_is_1() {
    let setup = Setup::new(CHAT);
    // Enough to read the configuration, and not for a runtime.
    let (code, _, error) = ended(limited("ulimit -n 4", &setup).output().unwrap());
    assert!(code == 1 && error.contains("could not be started: Too many open files"), "{code}: {error}");
}

/// The binary under a limit of the shell's.
fn limited(limit: &str, setup: &Setup) -> Command {
    let mut command = Command::new("sh");
    let plain = binary();
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["-c", &format!("{limit}; exec \"$0\" run --config \"$1\"")]);
    command.arg(plain.get_program()).arg(setup.path());
    command
}

#[test]
fn check_says_what_is_configured_and_listens_nowhere() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("good.yaml");
    let address = taken.local_addr().unwrap();
    std::fs::write(&path, format!("listeners: [{{name: main, address: '{address}'}}]\n{CHAT}")).unwrap();
    let (code, out, error) = output(&["check", path.to_str().unwrap()]);
    assert_eq!(code, 0, "{error}");
    let (summary, hash) = out.trim_end().split_once("; sha256 ").unwrap();
    assert_eq!(summary, format!("{}: ok: 1 listener, 1 route, 1 plugin, 0 services", path.display()));
    assert!(hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{out}");
}

#[test]
fn check_of_a_bad_file_is_78_with_file_line_and_column_of_each_problem() {
    let setup = Setup::new(&format!("{CHAT}    rendezvous: {{hold: many}}\n    limits: {{idle: often}}\n"));
    let (code, out, error) = ended(binary().arg("check").arg(setup.path()).output().unwrap());
    assert_eq!((code, out.as_str()), (78, ""), "{error}");
    let text = std::fs::read_to_string(setup.path()).unwrap();
    for word in ["hold", "idle"] {
        let line = text.lines().position(|line| line.contains(word)).unwrap() + 1;
        let place = format!("{}:{line}:", setup.path().display());
        assert!(error.lines().any(|problem| problem.starts_with(&place) && problem.contains(word)), "{place} {error}");
    }
}

#[test]
fn the_descriptor_limit_is_raised_and_said() {
    let setup = Setup::new(CHAT);
    let mut child = limited("ulimit -S -n 128; ulimit -H -n 4000", &setup)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "descriptor limit: 4000 (was 128)\n");
}

#[test]
fn the_admin_address_says_live_and_ready_and_what_else_there_is() {
    let proxy = Proxy::with(CHAT);
    assert_eq!((proxy.get("/livez").as_str(), proxy.get("/readyz").as_str()), ("live\n", "ready\n"));
    assert!(proxy.get("/metrics").ends_with("# EOF\n"));
    let get = |request: &str| status(&http(proxy.admin, &format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n")).0);
    assert_eq!((get("GET /nowhere"), get("POST /metrics")), (404, 405));
}

#[tokio::test]
async fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let proxy = Proxy::with(&format!("reload: {{watch: off}}\n{CHAT}"));
    let mut waiting = dial(&proxy, "/chat?channelId=1").await;
    proxy.setup.write(&format!("reload: {{watch: off}}\n{CHAT}    limits: {{message: 1KiB}}\n"));
    assert_eq!(proxy.generation(), 1);
    proxy.signal("HUP");
    proxy.reloaded(1);
    proxy.logged(&["the files were read again", "applied"]);
    let mut backend = dial(&proxy, "/chat/connect?channelId=1").await;
    converse(&mut waiting, &mut backend, "still here").await;
}
