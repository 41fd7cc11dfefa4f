//! What stands in every line, however a session or a handshake ended.

use std::{io::Write as _, process::Stdio};

use serde_json::Value;

use crate::{
    leg, lines,
    support::{
        CHAT, Proxy, eventually, http, status, upgrade,
        wire::{CLOSE, PONG, Wire, close, masked},
    },
};

#[tokio::test]
async fn who_finds_a_seat_taken_is_told_nothing_and_the_operator_by_whom() {
    let proxy = Proxy::with(&format!("log: {{format: json}}\n{CHAT}"));
    let mut holder = leg(&proxy, "/chat?channelId=1").await;
    // A seat whose leg is not known to wait yet counts as alive without being asked.
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let mut second = Wire::knock(proxy.address, &upgrade("/chat?channelId=1", ""), b"").await;
    let ping = holder.frame().await.expect("the Ping");
    holder.write(&masked(PONG, &ping.payload)).await;
    second.read_head().await;
    assert_eq!((second.status(), second.field("x-cordboard-error")), (409, Some("seat-taken")), "{}", second.head);
    holder.send(CLOSE, &close(1000, "")).await;
    holder.expect_close().await;
    holder.expect_end().await;
    let both = eventually("both lines", || Some(lines(&proxy)).filter(|lines| lines.len() == 2));
    let line = |message: &str| both.iter().find(|line| line["message"] == message).unwrap();
    let (refused, ended) = (line("handshake refused"), line("session ended"));
    let held = format!("held by {}, from {}", ended["conn"].as_str().unwrap(), holder.stream.local_addr().unwrap());
    assert_eq!(refused["detail"], held, "{refused:#}");
    let peer = holder.stream.local_addr().unwrap().to_string();
    assert!(!second.head.contains(&peer), "{}", second.head);
}

#[tokio::test]
async fn whenever_one_leaves_its_line_has_all_that_is_known() {
    const MANY: usize = 300;
    let proxy = Proxy::with(&format!("log: {{format: json}}\n{CHAT}"));
    // Reset right behind the request: before it was looked at, while it was decided upon, before or after the 101.
    for n in 0..MANY {
        let wire = Wire::knock(proxy.address, &upgrade(&format!("/chat?channelId={n}"), ""), b"").await;
        if n % 3 > 0 {
            proxy.get(if n % 3 == 1 { "/livez" } else { "/metrics" });
        }
        wire.stream.set_zero_linger().unwrap();
    }
    proxy.metric_becomes("cordboard_connections", 0.0);
    proxy.metric_becomes("cordboard_sessions", 0.0);
    // Those lines are complete that are written now: the log is read behind this one.
    assert_eq!(status(&http(proxy.address, &upgrade("/nowhere", "")).0), 404);
    eventually("the last line", || lines(&proxy).into_iter().find(|line| line["cause"] == "no-route"));
    let lines = lines(&proxy);
    let counted = proxy.metric("cordboard_sessions_ended_total") as usize;
    assert_eq!(lines.len(), counted, "one line each");
    for line in lines.iter().filter(|line| line["cause"] != "no-route") {
        let fields: &[&str] = match line["message"].as_str().unwrap() {
            "session ended" => &["role", "channel", "policy", "generation", "bytes_in", "messages_in"],
            "handshake refused" => &["path", "status", "reason"],
            other => panic!("{other}"),
        };
        let always = ["outcome", "cause", "conn", "peer", "route", "duration_ms"];
        for field in always.iter().chain(fields) {
            assert!(line.get(field).is_some_and(|value| *value != Value::Null), "{field} is missing in {line:#}");
        }
        assert!(line.get("ended_by").is_some() || line["outcome"] == "refused", "{line:#}");
    }
}

/// What a command that the guide for operators has finds in the log of a proxy.
fn found(proxy: &Proxy, command: &str) -> Vec<String> {
    let mut grep = shell_of(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    grep.stdin.take().unwrap().write_all(proxy.log().join("\n").as_bytes()).unwrap();
    let found = grep.wait_with_output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

fn shell_of(command: &str) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(command);
    shell
}

#[tokio::test]
async fn what_the_guide_has_one_search_for_is_found_in_either_format() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    for (format, cause, conn) in [
        ("text", "grep cause=no-endpoint", "grep conn=775cf6d600000003"),
        ("json", "grep '\"cause\":\"no-endpoint\"'", "grep '\"conn\":\"775cf6d600000003\"'"),
    ] {
        for search in [cause, conn] {
            assert!(guide.contains(&format!("{search}`")), "the guide has no `{search}`");
        }
        let proxy = Proxy::with(&format!(
            "log: {{format: {format}, decisions: true}}
{CHAT}
  - {{name: down, match: {{path: /down}}, mode: router, service: down}}
services: {{down: {{endpoints: ['ws://127.0.0.1:1']}}}}
"
        ));
        assert_eq!(status(&http(proxy.address, &upgrade("/down", "")).0), 502);
        let mut client = leg(&proxy, "/chat?channelId=two%20words").await;
        client.send(CLOSE, &close(1000, "")).await;
        client.expect_close().await;
        client.expect_end().await;
        let ended = proxy.logged(&["session ended", "two words"]);
        assert_eq!(found(&proxy, cause).len(), 1, "{:#?}", proxy.log());
        let at = ended.find("conn").unwrap() + "conn".len();
        let id: String = ended[at..].chars().skip_while(|char| !char.is_alphanumeric()).take(16).collect();
        let lines = found(&proxy, &conn.replace("775cf6d600000003", &id));
        let both = ["decided", "session ended"].map(|message| lines.iter().any(|line| line.contains(message)));
        assert_eq!((lines.len(), both), (2, [true, true]), "{lines:#?}");
        if format == "text" {
            assert!(ended.contains(" channel=\"two words\" ") && ended.contains(" role=client "), "{ended}");
        }
    }
}
