//! What the command line offers to those who operate: probes, completions, manual pages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    io::Write as _,
    net::TcpListener,
    process::{Command, Stdio},
};

use support::{CHAT, Proxy, binary, dial::dial, eventually};

/// Exit code and standard output.
fn run(arguments: &[&str]) -> (i32, String) {
    let output = binary().args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Standard output of a program that is given this.
fn through(program: &mut Command, input: &str) -> String {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.is_empty(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let proxy = Proxy::with(CHAT);
    let (config, admin) = (proxy.setup.path(), proxy.admin.to_string());
    let config = config.to_str().unwrap();
    for arguments in [
        &["schema"][..],
        &["man"],
        &["completions", "bash"],
        &["check", config],
        &["check", "--json", config],
        &["explain", "--config", config, "/chat?channelId=1"],
        &["explain", "--json", "--admin", &admin, "/chat?channelId=1"],
        &["generations", "--admin", &admin],
        &["generations", "--json", "--admin", &admin],
        &["reload", "--admin", &admin],
        &["health", "--admin", &admin],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = binary().args(arguments).stdout(writer).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !error.contains("panicked"), "{arguments:?}: {:?} {error}", output.status);
    }
}

#[tokio::test]
async fn health_tells_ready_from_draining_and_from_dead() {
    let mut proxy = Proxy::with(&format!("drain: {{delay: 1h}}\n{CHAT}"));
    let admin = proxy.admin.to_string();
    let health = |more: &[&str]| run(&[&["health", "--admin", &admin], more].concat());
    assert_eq!(health(&[]), (0, "ready\n".to_owned()));
    assert_eq!(health(&["--live"]), (0, "live\n".to_owned()));
    let _waiting = dial(&proxy, "/chat?channelId=1").await;
    proxy.signal("TERM");
    let draining = eventually("what drains, says so", || Some(health(&[])).filter(|(code, _)| *code != 0));
    assert_eq!(draining, (1, "draining\n".to_owned()));
    assert_eq!(health(&["--live"]), (0, "live\n".to_owned()));
    proxy.signal("TERM");
    proxy.ended();
    assert_eq!(health(&[]).0, 1);
    assert_eq!(health(&["--live"]).0, 1);
}

#[test]
fn health_does_not_wait_for_one_that_never_answers() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = mute.local_addr().unwrap().to_string();
    let begun = std::time::Instant::now();
    assert_eq!(run(&["health", "--admin", &admin]).0, 1);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    assert_eq!(run(&["health", "--admin", "somewhere"]).0, 2);
}

#[test]
fn completions_complete_in_the_shell_that_they_are_for() {
    let (code, script) = run(&["completions", "bash"]);
    assert_eq!(code, 0);
    let ask = "\nCOMP_WORDS=(cordboard im); COMP_CWORD=1; _cordboard cordboard im cordboard; echo \"${COMPREPLY[@]}\"\n\
               COMP_WORDS=(cordboard run --co); COMP_CWORD=2; _cordboard cordboard --co run; echo \"${COMPREPLY[@]}\"\n";
    let answer = through(Command::new("bash").arg("--norc"), &format!("{script}{ask}"));
    assert_eq!(answer, "import\n--config --code-cache\n");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (code, script) = run(&["completions", shell]);
        assert!(code == 0 && script.contains("code-cache") && script.contains("light4j"), "{shell}: {script}");
    }
    assert_eq!(run(&["completions", "cmd.exe"]).0, 2);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    use cordboard::cli::exit;
    let (code, page) = run(&["man"]);
    assert_eq!(code, 0);
    for code in exit::ALL {
        assert!(page.contains(&format!("\n\\fB{code}\\fR\n")), "{code}");
    }
    let (_, help) = run(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let mut count = 0;
    for name in names.filter(|name| *name != "help") {
        let (code, inner) = run(&["man", name]);
        let title = format!("CORDBOARD-{} 1  \"cordboard {}\"", name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        assert!(code == 0 && inner.contains(&title), "{name}: {inner}");
        assert!(page.contains(&format!("cordboard\\-{name}")), "{name} is not in\n{page}");
        count += 1;
    }
    assert!(count >= 8, "{help}");
    let (code, page) = run(&["man", "import", "light4j"]);
    assert!(code == 0 && page.contains("\\-\\-output"), "{page}");
    assert_eq!(run(&["man", "fly"]).0, 2);
}

#[test]
fn the_manual_can_be_typeset_where_there_is_a_typesetter() {
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("no groff: not tried");
        return;
    }
    for command in [&["man"][..], &["man", "run"], &["man", "import", "light4j"]] {
        let (_, page) = run(command);
        // Warnings go to standard error, where there may be nothing.
        let text = through(Command::new("groff").args(["-man", "-Tascii", "-ww", "-P-cbou"]), &page);
        assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}");
    }
}
