//! What does not end by itself: cut at the end of the grace or by a second signal, and named, one line each.

use serde_json::Value;

use crate::{
    board, lines, pair, refuses, routed, sessions, stopped,
    support::{
        upgrade,
        upstream::Upstream,
        wire::{CLOSE, Wire, close},
    },
};

/// The line of a session as this leg would tell it. Which of a pair came first is not the test's to say.
#[track_caller]
fn line(sessions: &[Value], leg: &Wire) -> Value {
    let peer = leg.stream.local_addr().unwrap().to_string();
    let mut found = sessions.iter().filter(|line| line["peer"] == *peer || line["partner_peer"] == *peer);
    let line = found.next().unwrap_or_else(|| panic!("no line of {peer} in {sessions:#?}")).clone();
    assert_eq!(found.next(), None, "it is said twice");
    if line["peer"] == *peer { line } else { turned(&line) }
}

/// The same with what is said of both legs turned round.
fn turned(line: &Value) -> Value {
    let fields = line.as_object().unwrap();
    let other = |name: &String| match name.strip_prefix("partner_") {
        Some(name) => name.to_owned(),
        None => match format!("partner_{name}") {
            partner if fields.contains_key(&partner) => partner,
            _ => name.clone(),
        },
    };
    fields.iter().map(|(name, value)| (other(name), value.clone())).collect()
}

#[track_caller]
fn holds(line: &Value, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(line.get(field), Some(value), "{field} in {line:#}");
    }
}

/// The last line of a proxy that had to cut these legs.
fn says_at_the_end(log: &[Value], legs: u64) {
    let last = log.last().unwrap();
    holds(
        last,
        &[("message", "stopped".into()), ("level", "WARN".into()), ("clean", false.into()), ("cut", legs.into())],
    );
}

#[tokio::test]
async fn at_the_end_of_the_grace_what_does_not_close_is_cut_and_each_session_said_with_all_that_is_known() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("grace: 2s, spread: 0", "close: 1m", &upstream);
    // None of them answers the Close that it gets, but for the last two.
    let waiting = Wire::open(proxy.address, "/chat?channelId=waiting").await;
    let (client, backend) = pair(&proxy, "rude").await;
    let (caller, service) = routed(&proxy, &upstream).await;
    let (mut polite, mut other) = pair(&proxy, "polite").await;
    proxy.signal("TERM");
    for leg in [&mut polite, &mut other] {
        leg.expect_close().await;
        leg.send(CLOSE, &close(1012, "")).await;
    }
    for leg in [&mut polite, &mut other] {
        leg.expect_end().await;
    }
    assert_eq!(stopped(&mut proxy), Some(0));
    let sessions = sessions(&proxy);
    assert_eq!(sessions.len(), 4, "{sessions:#?}");
    let cut = [
        ("level", "WARN".into()),
        ("outcome", "drained".into()),
        ("cause", "draining".into()),
        ("detail", "cut: it was still there at the end of drain.grace".into()),
        ("generation", 1.into()),
        ("close_sent", 1012.into()),
    ];
    let there = (6 + 5).into();
    for leg in [&waiting, &client, &caller] {
        let line = line(&sessions, leg);
        holds(&line, &cut);
        assert!(line.get("close_received").is_none() && line.get("ended_by").is_none(), "{line:#}");
        assert!(line["duration_ms"].as_u64().unwrap() >= 2000, "{line:#}");
    }
    let line_of_pair = line(&sessions, &client);
    holds(
        &line_of_pair,
        &[
            ("route", "chat".into()),
            ("partner_route", "chat".into()),
            ("partner_peer", backend.stream.local_addr().unwrap().to_string().into()),
            ("partner_close_sent", 1012.into()),
            ("partner_generation", 1.into()),
            ("messages_in", 1.into()),
            ("bytes_in", there),
            ("partner_messages_in", 1.into()),
            ("partner_bytes_in", (6 + 4).into()),
        ],
    );
    assert!(line_of_pair["policy"].as_str().unwrap().starts_with("clerk@"), "{line_of_pair:#}");
    holds(
        &line(&sessions, &caller),
        &[
            ("route", "ws".into()),
            ("upstream", format!("up {}", upstream.address).into()),
            ("partner_close_sent", 1012.into()),
            ("partner_bytes_in", (2 + 4).into()),
        ],
    );
    assert_eq!(line(&sessions, &waiting).get("partner"), None);
    let line_of_the_polite = line(&sessions, &polite);
    holds(&line_of_the_polite, &[("level", "INFO".into()), ("outcome", "drained".into())]);
    assert_eq!(line_of_the_polite.get("detail"), None);
    says_at_the_end(&lines(&proxy), 4);
    drop((waiting, client, backend, caller, service));
}

#[tokio::test]
async fn a_second_signal_ends_at_once_what_has_not_been_told_yet() {
    let upstream = Upstream::bind().await;
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let mut proxy = board("grace: 1h, spread: 1h", "", &upstream);
        let (mut client, mut backend) = pair(&proxy, "1").await;
        let (mut caller, mut service) = routed(&proxy, &upstream).await;
        // Neither answered nor silent: it has sent half of its head.
        let mut asking = Wire::knock(proxy.address, &upgrade("/chat", "")[..40], b"").await;
        proxy.metric_becomes("cordboard_connections", 1.0);
        proxy.signal(first);
        refuses(&proxy);
        proxy.signal(second);
        assert_eq!(stopped(&mut proxy), Some(0), "{first}, then {second}");
        for leg in [&mut client, &mut backend, &mut caller, &mut service, &mut asking] {
            leg.expect_end().await;
        }
        let sessions = sessions(&proxy);
        assert_eq!(sessions.len(), 2, "{sessions:#?}");
        for leg in [&client, &caller] {
            let line = line(&sessions, leg);
            holds(
                &line,
                &[
                    ("outcome", "drained".into()),
                    ("detail", "cut: a second signal ended the drain".into()),
                    ("level", "WARN".into()),
                ],
            );
            assert_eq!((line.get("close_sent"), line.get("partner_close_sent")), (None, None), "{line:#}");
        }
        let said = lines(&proxy);
        assert!(said.iter().any(|line| line["message"] == "a second signal: ending at once"), "{said:#?}");
        says_at_the_end(&said, 3);
    }
}

#[tokio::test]
async fn without_a_grace_everything_is_cut_at_once_and_said() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("grace: 0", "close: 1m", &upstream);
    let (client, _backend) = pair(&proxy, "1").await;
    proxy.signal("TERM");
    assert_eq!(stopped(&mut proxy), Some(0));
    holds(&line(&sessions(&proxy), &client), &[("outcome", "drained".into()), ("level", "WARN".into())]);
}
