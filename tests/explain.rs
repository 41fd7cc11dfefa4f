//! `cordboard explain`: what would be done with a request and why, of a file and of a running proxy; and the decision
//! log, which says the same of those that were made.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "policy/guests.rs"]
#[allow(dead_code)] // most of them are for the tests of policies
mod guests;

use std::{collections::BTreeSet, process::Output};

use serde_json::{Value, json};
use support::{Proxy, Setup, binary, http, status, upgrade, upstream::Upstream};
use tokio::io::AsyncWriteExt as _;

/// Four routes: by host, a rendezvous, a router with rewriting, and plain requests.
const BOARD: &str = "
plugins:
  chat: {component: 'builtin:rendezvous', config: {channelQuery: [room]}}
  dial: {component: 'builtin:router', config: {pathPrefixService: {/api/users: {serviceId: users, envTag: dev}}}}
routes:
  - {name: other, match: {path: /chat, host: other.example}, mode: router, service: up}
  - {name: chat, match: {path: /chat}, mode: rendezvous, plugins: [dial, chat]}
  - name: api
    match: {path_regex: '^/api/(?<what>.*)$', method: GET, headers: {x-version: '2'}}
    mode: router
    plugins: [dial]
    service: up
    rewrite: [{path: '^/api/(.*)$', to: '/v2/$1'}, {header: {set: {x-what: $what}}}]
  - {name: web, match: {path: /}, mode: http, service: up}
services:
  up: {endpoints: ['ws://10.0.0.1:8001', 'ws://10.0.0.2:8002']}
  users: {endpoints: [{url: 'ws://10.0.0.3:8003', env_tag: dev}, 'ws://10.0.0.4:8004']}
";

fn explain(setup: &Setup, words: &[&str]) -> Output {
    binary().arg("explain").arg("--config").arg(setup.path()).args(words).output().unwrap()
}

/// What it prints, without what differs from run to run: versions and times.
fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| {
            let Some((plugin, rest)) = line.split_once('@').filter(|_| line.ends_with(" us)")) else {
                return line.to_owned();
            };
            let (version, answer) = rest.split_once(' ').unwrap();
            assert!(version.len() == 12 && version.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}");
            let (answer, took) = answer.rsplit_once(" (").unwrap();
            assert!(took.trim_end_matches(" us)").parse::<u64>().unwrap() > 0, "{line}");
            format!("{plugin} {answer}")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_file_is_asked_route_by_route_and_plugin_by_plugin() {
    let setup = Setup::new(BOARD);
    let table: &[(&[&str], &str)] = &[
        (
            &["GET", "/chat?room=7"],
            "route other (router): does not match: host
route chat (rendezvous): matches
  chat role: client
  dial channel: no opinion
  chat channel: 7
plan: a seat as client on channel 7 of chat",
        ),
        (
            &["/chat"],
            "route other (router): does not match: host
route chat (rendezvous): matches
  chat role: client
  dial channel: no opinion
  chat channel: no opinion
refused: 400 no-channel: a channel id is needed and none was given",
        ),
        (
            &["--plain", "/chat?room=7"],
            "route other (router): does not match: host
route chat (rendezvous): matches
refused: 426 not-an-upgrade: this path speaks WebSocket only",
        ),
        (
            &[
                "curl",
                "-siN",
                "--http1.1",
                "-H",
                "Upgrade: websocket",
                "-H",
                "Connection: Upgrade",
                "http://h/chat?room=1",
            ],
            "route other (router): does not match: host
route chat (rendezvous): matches
refused: 426 bad-version: only WebSocket version 13 is spoken here",
        ),
        (
            &["--peer", "192.0.2.7", "ws://api.example/api/orders?x=1", "-H", "X-Version: 2"],
            "route other (router): does not match: path
route chat (rendezvous): does not match: path
route api (router): matches
  dial channel: no opinion
  dial service: no opinion
  dial rewrite: removes service-id, removes service_id, removes serviceid
plan: dial up (endpoints: 10.0.0.1:8001, 10.0.0.2:8002)
  GET /v2/orders?x=1
  x-version: 2
  host: api.example
  x-forwarded-for: 192.0.2.7
  forwarded: for=192.0.2.7;host=api.example;proto=http
  x-forwarded-proto: http
  x-forwarded-host: api.example
  x-forwarded-port: 80
  x-what: orders
  connection: Upgrade
  upgrade: websocket
  sec-websocket-version: 13
  sec-websocket-key: <a new one for each attempt>",
        ),
        (
            &["POST", "/api/orders"],
            "route other (router): does not match: path
route chat (rendezvous): does not match: path
route api (router): does not match: method
route web (http): matches
plan: forward up (endpoints: 10.0.0.1:8001, 10.0.0.2:8002)
  POST /api/orders
  host: localhost
  x-forwarded-for: 127.0.0.1
  forwarded: for=127.0.0.1;host=localhost;proto=http
  x-forwarded-proto: http
  x-forwarded-host: localhost
  x-forwarded-port: 80
  content-length: 0
  via: 1.1 cordboard",
        ),
        (&["/a/../b"], "refused: 400 bad-path: the path holds a dot segment"),
    ];
    for (words, wanted) in table {
        let said = told(&explain(&setup, words));
        assert_eq!(said, *wanted, "{words:?}:\n{said}");
    }
    // A policy's own choice of a service, with a tag.
    let users = told(&explain(&setup, &["ws://h/api/users/5", "-H", "x-version: 2"]));
    assert!(users.contains("\n  dial service: users (scheme http, tag dev)"), "{users}");
    assert!(users.contains("\nplan: dial users (endpoints: 10.0.0.3:8003)\n"), "{users}");
}

#[test]
fn a_running_proxy_is_asked_about_what_serves_and_nothing_is_done() {
    let proxy = Proxy::with(BOARD);
    let admin = proxy.admin.to_string();
    let ask = |words: &[&str]| binary().args(["explain", "--admin", &admin]).args(words).output().unwrap();
    let said = told(&ask(&["/chat?room=7"]));
    assert!(said.ends_with("plan: a seat as client on channel 7 of chat"), "{said}");
    let json = ask(&["--json", "/chat?room=7"]);
    let told_as_json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told_as_json["generation"], 1);
    assert_eq!(told_as_json["routes"][0], json!({"route": "other", "mode": "router", "misses": "host"}));
    assert_eq!(told_as_json["routes"][1]["opinions"][0]["answer"], "client");
    assert_eq!(told_as_json["plan"], json!({"action": "pair", "namespace": "chat", "channel": "7", "role": "client"}));
    assert!(told_as_json["refusal"].is_null());
    // No seat was taken, and the real one is free.
    proxy.metric_becomes("cordboard_seats_reserved", 0.0);
    assert_eq!(status(&http(proxy.address, &upgrade("/chat?room=7", "")).0), 101);

    proxy.setup.write(&BOARD.replace("channelQuery: [room]", "channelQuery: [hall]"));
    proxy.reloaded(1);
    let said = told(&ask(&["/chat?room=7"]));
    assert!(said.contains("refused: 400 no-channel"), "{said}");
    let unknown = ask(&["--listener", "none", "/x"]);
    let why = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(2) && why.contains("there are main"), "{:?} {why}", unknown.status);
}

/// What a service gets: a request and its fields, without those whose values are made for each attempt.
fn fields(lines: &str) -> BTreeSet<String> {
    let fields = lines.lines().map(|line| line.trim().to_ascii_lowercase()).filter(|line| !line.is_empty());
    fields.filter(|line| !line.starts_with("sec-websocket-key: ")).collect()
}

#[tokio::test]
async fn what_would_be_sent_is_what_is_sent() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "routes:
  - {{name: sockets, match: {{path: /ws}}, mode: router, service: up, host: endpoint}}
  - {{name: theirs, match: {{path: /theirs}}, mode: http, service: up, host: endpoint}}
  - {{name: web, match: {{path: /}}, mode: http, service: up, http: {{body: 8B}}}}
services: {{up: {{endpoints: ['http://{}']}}}}
",
        upstream.address
    ));
    let admin = proxy.admin.to_string();
    let host = "a.example.org";
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let form = "Content-Length: 3\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let cases: [(&[&str], &str, String); 4] = [
        (&["ws://a.example.org/ws/x?a=1"], "a Host of its own", format!("GET /ws/x?a=1 HTTP/1.1\r\n{handshake}")),
        (&["http://a.example.org/theirs"], "the same", "GET /theirs HTTP/1.1\r\n".to_owned()),
        (&["--ws", "http://a.example.org/any"], "a tunnel", format!("GET /any HTTP/1.1\r\n{handshake}")),
        (&["curl", "-d", "a=b", "http://a.example.org/"], "a body", format!("POST / HTTP/1.1\r\n{form}")),
    ];
    for (words, what, head) in cases {
        let output = binary().args(["explain", "--admin", &admin]).args(words).output().unwrap();
        let said = told(&output);
        let (_, said) = said.split_once("\nplan: ").unwrap();
        let said = said.split_once('\n').unwrap().1.to_owned();
        let request = format!("{head}Host: {host}\r\n\r\n{}", if what == "a body" { "a=b" } else { "" });
        let mut client = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let dialled = upstream.accept().await;
        let sent = dialled.head.replacen(" HTTP/1.1", "", 1);
        assert_eq!(fields(&said), fields(&sent), "{what}:\n{said}");
    }
    let large = binary().args(["explain", "--admin", &admin, "curl", "-d", "123456789", "/"]).output().unwrap();
    assert!(told(&large).ends_with(
        "refused: 413 body-too-big: the body of the request is too big (9 bytes are more than 8 \
                                    (http.body))"
    ));
}

#[test]
fn a_policy_that_rejects_or_fails_is_told_with_its_reason() {
    let yaml = "
plugins: {slow: {component: slow.wasm, limits: {decision: 20ms}}}
routes: [{name: chat, match: {path: /chat}, mode: rendezvous, plugins: [slow]}]
";
    let setup = Setup::new(yaml);
    let thinks = guests::detect_role("(loop (br 0))");
    setup.put("slow.wasm", &guests::Guest::of(guests::ROLES).build(&format!("(module {} {thinks})", guests::SILENT)));
    let said = told(&explain(&setup, &["/chat"]));
    assert!(said.contains("\n  slow role: failed: did not answer within 20ms (limits.decision)"), "{said}");
    assert!(said.ends_with("refused: 503 plugin-deadline: a policy did not answer in time"), "{said}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let setup = Setup::new(BOARD);
    for (words, code, why) in [
        (&["GET"][..], 2, "a URL or a path is missing"),
        (&["/a b"], 2, "`/a b` is not a URL"),
        (&["example.org/chat"], 2, "`example.org/chat` is not a URL"),
        (&["example.org"], 2, "`example.org` has no scheme: it is a path"),
        (&["ftp://h/x"], 2, "the scheme must be ws, wss, http or https, not `ftp`"),
        (&["/x", "-H", "a b: c"], 2, "`a b` is not the name of a header field"),
        (&["/x", "--json"], 2, "options of `explain` stand before the request"),
        (&["--peer", "nobody", "/x"], 2, "`nobody` is not an IP address"),
        (&["--listener", "none", "/x"], 2, "there is no listener `none`; there are main"),
        (&["curl -H 'A: b' http://h/x"], 2, "came as one word: leave off the quotes around the whole of it"),
        (&["POST /x"], 2, "came as one word"),
        (&["curl", "-d", "@nowhere", "/x"], 2, "`nowhere` cannot be read"),
    ] {
        let output = explain(&setup, words);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && text.contains(why), "{words:?}: {:?} {text}", output.status);
    }
    let broken = Setup::new("routes: nonsense\n");
    let output = explain(&broken, &["/x"]);
    assert_eq!(output.status.code(), Some(78));
    let output = binary().args(["explain", "--admin", "127.0.0.1:1", "/x"]).output().unwrap();
    assert!(
        output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("is the proxy running")
    );
}

#[test]
fn the_decision_log_says_what_each_plugin_said_and_can_be_switched_while_running() {
    let with = |decisions: bool| format!("log: {{format: json, decisions: {decisions}}}\n{BOARD}");
    let proxy = Proxy::with(&with(true));
    assert_eq!(status(&http(proxy.address, &upgrade("/chat?room=7", "")).0), 101);
    let line: Value = serde_json::from_str(&proxy.logged(&["\"decided\""])).unwrap();
    assert_eq!((&line["target"], &line["route"]), (&"cordboard::decision".into(), &"chat".into()), "{line:#}");
    let opinions: Vec<_> = line["opinions"].as_str().unwrap().split("; ").collect();
    assert_eq!(opinions.len(), 3, "{line:#}");
    assert!(opinions[0].starts_with("chat@") && opinions[0].contains(" role: client ("), "{line:#}");
    assert!(opinions[2].contains(" channel: 7 (") && opinions[2].ends_with(" us)"), "{line:#}");
    // The line of its session has the same id.
    let session = proxy.logged(&["session ended", line["conn"].as_str().unwrap()]);
    assert!(session.contains("\"channel\":\"7\""), "{session}");

    proxy.setup.write(&with(false));
    proxy.reloaded(1);
    assert_eq!(status(&http(proxy.address, &upgrade("/chat?room=8", "")).0), 101);
    proxy.logged(&["session ended", "\"channel\":\"8\""]);
    assert_eq!(proxy.log().iter().filter(|line| line.contains("\"decided\"")).count(), 1);
}

#[test]
fn the_decision_log_has_a_line_of_each_request_with_what_was_tried_and_what_missed() {
    let proxy = Proxy::with(
        "log: {format: json, decisions: true}
plugins: {chat: {component: 'builtin:rendezvous'}}
routes:
  - {name: other, match: {path: /chat, host: other.example}, mode: router, service: up}
  - {name: agents, match: {path: /chat/agents}, mode: router, plugins: [chat]}
  - {name: chat, match: {path: /chat}, mode: rendezvous, plugins: [chat]}
  - {name: late, match: {path: /chat}, mode: router, service: up}
services: {up: {endpoints: ['ws://127.0.0.1:1']}}
",
    );
    let decided = |target: &str, status_wanted: u16| {
        assert_eq!(status(&http(proxy.address, &upgrade(target, "")).0), status_wanted, "{target}");
        let path = target.split('?').next().unwrap();
        serde_json::from_str::<Value>(&proxy.logged(&["\"decided\"", &format!("\"path\":\"{path}\"")])).unwrap()
    };
    let nowhere = decided("/nowhere?s3cret", 404);
    let misses = "other: path; agents: path; chat: path; late: path";
    assert_eq!((&nowhere["cause"], &nowhere["misses"]), (&"no-route".into(), &misses.into()), "{nowhere:#}");
    assert_eq!((nowhere.get("route"), nowhere.get("tried")), (None, None), "{nowhere:#}");
    assert!(!nowhere.to_string().contains("s3cret"), "{nowhere:#}");
    let refusal = proxy.logged(&["handshake refused", nowhere["conn"].as_str().unwrap()]);
    assert!(refusal.contains("no-route"), "{refusal}");
    let taken = decided("/chat?channelId=1", 101);
    let expected = [("route", "chat"), ("tried", "chat"), ("misses", "other: host; agents: path"), ("method", "GET")];
    for (field, value) in expected {
        assert_eq!(taken[field], value, "{field} in {taken:#}");
    }
    assert!(taken.get("cause").is_none(), "{taken:#}");
    let refused = decided("/chat/", 400);
    assert_eq!((&refused["cause"], &refused["tried"]), (&"no-channel".into(), &"chat".into()), "{refused:#}");
    assert_eq!(proxy.log().iter().filter(|line| line.contains("\"decided\"")).count(), 3, "{:#?}", proxy.log());
}
