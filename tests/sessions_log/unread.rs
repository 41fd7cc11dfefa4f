//! A log that nobody reads.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Proxy, Setup, binary, eventually, http, lines, status, upgrade,
    upstream::Upstream,
    wire::{TEXT, Wire, masked},
};

const LOST: &str = "cordboard_log_lines_lost_total";

/// A proxy whose standard error is a pipe, and the end of it that is not read yet.
fn unread(setup: Setup) -> (Proxy, File) {
    let pipe = setup.file("log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // To write as well, so that neither end waits for the other one to be opened.
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let binary = binary();
    let mut command = Command::new("sh");
    command.args(["-c", "pipe=$1; shift; exec \"$0\" \"$@\" 2>\"$pipe\""]).arg(binary.get_program()).arg(&pipe);
    command.args(["run", "--config"]).arg(setup.path()).stdin(Stdio::null());
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    (Proxy::spawn(setup, command), reader)
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nothing_up_and_says_what_it_lost() {
    let upstream = Upstream::bind().await;
    let (mut proxy, reader) = unread(Setup::new(&format!(
        "log: {{format: json, queue: 64KiB}}
routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: s}}]
services: {{s: {{endpoints: ['ws://{}']}}}}
",
        upstream.address
    )));
    let join = async |path: &str| {
        let mut client = Wire::knock(proxy.address, &upgrade(path, ""), b"").await;
        let mut service = upstream.accept().await;
        service.switch("", b"").await;
        client.read_head().await;
        assert_eq!(client.status(), 101, "{}", client.head);
        (client, service)
    };
    let (mut client, mut service) = join("/ws").await;
    // A pipe holds 64 KiB by default.
    let nowhere = upgrade(&format!("/nowhere/{}", "x".repeat(4000)), "");
    let mut refused = 0;
    while proxy.metric(LOST) < 5.0 {
        assert!(refused < 200, "the log is larger than that");
        assert_eq!(status(&http(proxy.address, &nowhere).0), 404);
        refused += 1;
    }
    client.write(&masked(TEXT, b"nobody reads")).await;
    service.expect(TEXT, b"nobody reads").await;
    drop((client, service, join("/ws/later").await));
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"router\"}", 2.0);

    let read = lines(reader);
    let all = || -> Vec<Value> {
        let read = read.lock().unwrap();
        read.iter().map(|line| serde_json::from_str(line).expect("a line of JSON, whole")).collect()
    };
    let told = || {
        let said = |line: &Value| line["message"].as_str().unwrap().starts_with("lines of this log were lost");
        all().into_iter().rfind(said).filter(|line| line["level"] == "ERROR")?["lines"].as_f64()
    };
    eventually("the line of what was lost", || told().filter(|told| (told - proxy.metric(LOST)).abs() < 0.5));
    let (begun, ended) = join("/ws/at-last").await;
    drop((begun, ended));
    proxy.signal("TERM");
    assert!(proxy.ended().success());
    let refusals = all().iter().filter(|line| line["cause"] == "no-route").count();
    let sessions = all().iter().filter(|line| line["message"] == "session ended").count();
    // The second session's line may be one of those that were lost.
    assert!((1..=3).contains(&sessions), "{sessions}");
    // That lines were lost may have been lost, too.
    assert!(refusals + sessions + told().unwrap() as usize >= refused + 3 && refusals < refused);
    eventually("the last line", || all().pop().filter(|line| line["message"] == "stopped"));
}
