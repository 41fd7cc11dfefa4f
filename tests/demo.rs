//! `cordboard demo`, as somebody meets it who has just built it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "demo/page.rs"]
mod page;
mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Stdio,
};

use support::{
    PATIENCE, binary,
    demo::{DEFAULT_PORTS, Demo},
    dial::{Ws, hang_up, hear, hear_close, hear_text, next, say, within},
    http,
    shell::{bash, output},
    soon, status, upgrade,
};
use tokio_tungstenite::tungstenite::{Error, Message, handshake::derive_accept_key};

async fn dial(address: SocketAddr, path: &str) -> Result<Ws, Error> {
    within("an answer to an upgrade", async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        Ok(tokio_tungstenite::client_async(format!("ws://{address}{path}"), stream).await?.0)
    })
    .await
}

/// What a client hears that says `said`.
async fn answered(client: &mut Ws, said: &str) -> String {
    say(client, said).await;
    hear_text(client).await
}

fn trigger(demo: &Demo, query: &str) -> (u16, String) {
    let request = format!("GET /connect{query} HTTP/1.1\r\nHost: demo\r\n\r\n");
    // Through the proxy, which forwards it to the backend.
    let (head, body) = http(demo.proxy, &request);
    (status(&head), body)
}

#[test]
fn it_takes_free_ports_where_its_own_are_taken_and_says_so() {
    let demo = Demo::start();
    for port in DEFAULT_PORTS {
        assert!(demo.text.contains(&format!("port {port} is taken")), "{port}:\n{}", demo.text);
    }
    for address in [demo.proxy, demo.admin, demo.echo, demo.backend, demo.page] {
        assert!(address.ip().is_loopback() && !DEFAULT_PORTS.contains(&address.port()), "{address}");
    }
    let written = fs::read_to_string(&demo.config).unwrap();
    for address in [demo.proxy, demo.admin, demo.echo, demo.backend, demo.page] {
        assert!(written.contains(&address.to_string()), "{address}:\n{written}");
    }
}

#[test]
fn the_printed_handshake_is_answered_with_101() {
    let demo = Demo::start();
    // Curl gives up after its second, because nobody says anything: that is exit code 28.
    let curl = demo.lines_to_paste("HANDSHAKE");
    let answer = output(bash(&format!("{{ {curl}\n}} || [ $? = 28 ]")));
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols"), "{answer}");
    let accept = derive_accept_key(b"SGVsbG8sIHdvcmxkIQ==");
    assert!(answer.contains(&format!("sec-websocket-accept: {accept}")), "{answer}");
    assert!(answer.contains("x-channel-id: "), "{answer}");
}

#[tokio::test]
async fn a_trigger_lets_the_backend_dial_in_and_it_chats_until_bye() {
    let demo = Demo::start();
    let mut client = dial(demo.proxy, "/chat?channelId=a%20room").await.unwrap();
    let (status, body) = trigger(&demo, "?channelId=a%20room");
    assert_eq!((status, body.trim_end().ends_with("/chat/connect?channelId=a%20room")), (200, true), "{body}");
    assert!(hear_text(&mut client).await.contains("on channel a%20room"));
    assert_eq!(answered(&mut client, "hello").await, "backend: you said hello");
    say(&mut client, vec![7; 100_000]).await;
    assert_eq!(hear(&mut client).await, Message::binary(vec![7; 100_000]));
    say(&mut client, "bye").await;
    assert_eq!(hear_close(&mut client).await, Some((1000, "bye".to_owned())));
}

#[test]
fn a_trigger_that_cannot_be_followed_says_why() {
    let demo = Demo::start();
    assert_eq!(trigger(&demo, "").0, 400);
    assert_eq!(http(demo.backend, "GET / HTTP/1.1\r\nHost: demo\r\n\r\n").0.split(' ').nth(1), Some("404"));
    let (status, body) = trigger(&demo, "?channelId=%00");
    assert_eq!(status, 502);
    assert!(body.contains("the proxy answered 400 Bad Request rejected"), "{body}");
    // Nobody waits on it yet; the second one finds the seat of the first.
    assert_eq!(trigger(&demo, "?channelId=1").0, 200);
    let (status, body) = trigger(&demo, "?channelId=1");
    assert_eq!(status, 502);
    assert!(body.contains("409 Conflict seat-taken"), "{body}");
}

#[tokio::test]
async fn the_echo_service_is_reached_by_the_router_and_says_everything_back() {
    let demo = Demo::start();
    let mut client = dial(demo.proxy, "/ws/echo").await.unwrap();
    assert_eq!(answered(&mut client, "hello").await, "hello");
    say(&mut client, vec![7; 1 << 20]).await;
    assert_eq!(hear(&mut client).await, Message::binary(vec![7; 1 << 20]));
    say(&mut client, Message::Ping("there?".into())).await;
    assert_eq!(next(&mut client).await, Message::Pong("there?".into()));
    hang_up(&mut client, 4000, "done").await;
    assert_eq!(hear_close(&mut client).await, Some((4000, "done".to_owned())));
}

#[tokio::test]
async fn an_edit_of_the_printed_file_decides_the_next_handshake_and_cuts_no_conversation() {
    let demo = Demo::start();
    let mut old = dial(demo.proxy, "/ws/echo").await.unwrap();
    assert_eq!(answered(&mut old, "before").await, "before");
    output(bash(&demo.lines_to_paste("RELOAD")));
    let mut new = soon("the new path", async || dial(demo.proxy, "/ws/say").await.ok()).await;
    assert_eq!(answered(&mut new, "after").await, "after");
    match dial(demo.proxy, "/ws/echo").await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 404),
        other => panic!("{other:?} instead of 404"),
    }
    assert_eq!(answered(&mut old, "still here").await, "still here");
    let pages = output(bash(&demo.lines_to_paste("WATCH")));
    assert!(pages.contains("\"generation\": 2") && pages.contains("cordboard_generation 2"), "{pages}");
}

#[tokio::test]
async fn an_interrupt_ends_it_at_once_with_0_and_removes_its_file() {
    for signal in ["INT", "TERM"] {
        let mut demo = Demo::start();
        let mut routed = dial(demo.proxy, "/ws/echo").await.unwrap();
        let mut client = dial(demo.proxy, "/chat?channelId=1").await.unwrap();
        assert_eq!(trigger(&demo, "?channelId=1").0, 200);
        hear_text(&mut client).await;
        // This one will not answer the Close.
        let mut silent = TcpStream::connect(demo.proxy).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        silent.write_all(upgrade("/chat?channelId=2", "").as_bytes()).unwrap();
        assert!(silent.read(&mut [0; 12]).unwrap() > 0);
        let conversations = async {
            for client in [&mut routed, &mut client] {
                assert_eq!(hear_close(client).await.map(|(code, _)| code), Some(1012));
            }
        };
        let end = tokio::task::spawn_blocking(move || (demo.ended_by(signal), demo));
        let ((), ended) = tokio::join!(conversations, end);
        let (status, demo) = ended.unwrap();
        assert_eq!(status.code(), Some(0), "{}", demo.log());
        assert_eq!(fs::read_dir(demo.folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn it_leaves_what_its_user_put_beside_the_configuration() {
    let mut demo = Demo::start();
    let policy = demo.config.with_file_name("policy.wasm");
    fs::write(&policy, "somebody's work").unwrap();
    assert_eq!(demo.ended_by("INT").code(), Some(0));
    assert!(policy.exists() && !demo.config.exists());
    assert!(demo.log().contains("stays"), "{}", demo.log());
}

#[test]
fn a_configuration_of_ones_own_is_used_as_it_is_and_stays() {
    let setup = support::Setup::new(support::CHAT);
    let before = fs::read_to_string(setup.path()).unwrap();
    let mut child = binary().args(["demo", "--config"]).arg(setup.path()).stdout(Stdio::piped()).spawn().unwrap();
    let out = support::lines(child.stdout.take().unwrap());
    let text = support::eventually("the lines to try", || {
        let lines = out.lock().unwrap();
        lines.iter().any(|line| line.contains("/metrics")).then(|| lines.join("\n"))
    });
    support::kill(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(text.contains(&setup.path().display().to_string()) && !text.contains("/ws/echo"), "{text}");
    assert_eq!(fs::read_to_string(setup.path()).unwrap(), before);
}

#[test]
fn a_configuration_of_ones_own_that_is_wrong_ends_it_with_78() {
    let setup = support::Setup::new("routs: []\n");
    let ended = binary().args(["demo", "--config"]).arg(setup.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("routes"), "the nearest known key is named");
}
