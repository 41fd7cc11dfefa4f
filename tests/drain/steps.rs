//! The order of the steps, and what becomes of a connection that is in the middle of something.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;

use crate::{
    board, guests, lines, pair, readiness, refuses, routed, sessions, stopped,
    support::{
        CHAT, Proxy, Setup,
        dial::{converse, dial, hear_close, not_before, within},
        eventually, kill, upgrade,
        upstream::Upstream,
        wire::{CLOSE, Wire, bare, close, masked},
    },
};

/// Reads the 503 of a proxy that drains, and the end of the connection.
async fn is_turned_away(wire: &mut Wire) {
    wire.read_head().await;
    assert_eq!((wire.status(), wire.field("x-cordboard-error")), (503, Some("draining")), "{}", wire.head);
    assert_eq!(wire.field("connection"), Some("close"), "{}", wire.head);
    assert_eq!(wire.take_body(21).await, b"the service restarts\n");
    wire.expect_end().await;
}

#[tokio::test]
async fn either_signal_ends_readiness_then_accepting_then_the_sessions_and_the_process_with_0() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::bind().await;
        let mut proxy = board("delay: 500ms, spread: 1s, grace: 20s", "", &upstream);
        let mut waiting = Wire::open(proxy.address, "/chat?channelId=waiting").await;
        let (mut client, mut backend) = pair(&proxy, "1").await;
        let (mut caller, mut dialled) = routed(&proxy, &upstream).await;
        assert_eq!(readiness(&proxy), (200, "ready\n".to_owned()));
        let signalled = Instant::now();
        proxy.signal(signal);
        assert_eq!(
            eventually("an end of readiness", || Some(readiness(&proxy)).filter(|said| said.0 != 200)),
            (503, "draining\n".to_owned())
        );
        assert_eq!(waiting.expect_close().await, Some((1012, "the service restarts".to_owned())));
        not_before(signalled, Duration::from_millis(500));
        waiting.send(CLOSE, &close(1012, "")).await;
        waiting.expect_end().await;
        refuses(&proxy);
        for (near, far) in [(&mut client, &mut backend), (&mut caller, &mut dialled)] {
            assert_eq!(near.expect_close().await.map(|(code, _)| code), Some(1012));
            assert_eq!(far.expect_close().await.map(|(code, _)| code), Some(1012));
            // While it goes on, whoever looks can see why.
            assert_eq!(readiness(&proxy).0, 503);
            near.send(CLOSE, &close(1012, "")).await;
        }
        backend.send(CLOSE, &close(1012, "")).await;
        dialled.write(&bare(CLOSE, &close(1012, ""))).await;
        drop((client, backend, caller, dialled));
        assert_eq!(stopped(&mut proxy), Some(0), "{signal}");
        let said: Vec<_> = lines(&proxy).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
        let steps = ["draining; a second signal ends at once", "no more connections are accepted", "stopped"];
        assert_eq!(said.iter().filter(|line| steps.contains(&line.as_str())).collect::<Vec<_>>(), steps);
        let ended = sessions(&proxy);
        assert_eq!(ended.len(), 3, "{ended:#?}");
        assert!(ended.iter().all(|line| line["outcome"] == "drained" && line["level"] == "INFO"), "{ended:#?}");
        let last = &lines(&proxy)[said.len() - 1];
        assert_eq!((last["clean"].as_bool(), last.get("cut")), (Some(true), None), "{last:#}");
    }
}

#[tokio::test]
async fn while_only_readiness_has_ended_everything_is_served_and_kept_connections_are_told_to_go() {
    let mut proxy = Proxy::with(&format!("drain: {{delay: 1h}}\n{CHAT}"));
    let mut before = dial(&proxy, "/chat?channelId=1").await;
    let mut kept = Wire::knock(proxy.address, "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n", b"").await;
    kept.read_head().await;
    assert_eq!((kept.status(), kept.field("connection")), (426, Some("Upgrade")), "{}", kept.head);
    kept.take_body(32).await;
    proxy.signal("TERM");
    eventually("an end of readiness", || (readiness(&proxy).0 == 503).then_some(()));
    proxy.metric_becomes("cordboard_draining", 1.0);
    let mut after = dial(&proxy, "/chat/connect?channelId=1").await;
    converse(&mut before, &mut after, "nothing has changed").await;
    let mut waiting = dial(&proxy, "/chat?channelId=2").await;
    let mut partner = dial(&proxy, "/chat/connect?channelId=2").await;
    converse(&mut waiting, &mut partner, "nor for new ones").await;
    kept.write(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await;
    kept.read_head().await;
    assert_eq!((kept.status(), kept.field("connection")), (404, Some("close")), "{}", kept.head);
    let length = kept.field("content-length").unwrap().parse().unwrap();
    kept.take_body(length).await;
    kept.expect_end().await;
    // A second signal is one, whatever the first has come to: nobody is told anything, and nothing is waited for.
    proxy.signal("TERM");
    assert_eq!(stopped(&mut proxy), Some(0));
    for ws in [&mut before, &mut after, &mut waiting, &mut partner] {
        assert!(!matches!(within("the end", ws.next()).await, Some(Ok(_))));
    }
}

#[tokio::test]
async fn connections_that_the_kernel_took_for_us_are_answered() {
    let mut proxy = Proxy::with(&format!("drain: {{spread: 0}}\n{CHAT}"));
    // It sleeps while they come, and wakes up with both at hand: them and the signal.
    proxy.signal("STOP");
    let mut taken = Vec::new();
    for n in 0..500 {
        taken.push(Wire::knock(proxy.address, &upgrade(&format!("/chat?channelId={n}"), ""), b"").await);
    }
    proxy.signal("TERM");
    proxy.signal("CONT");
    for wire in &mut taken {
        wire.read_head().await;
        match wire.status() {
            503 => assert_eq!(wire.field("x-cordboard-error"), Some("draining")),
            101 => assert_eq!(wire.expect_close().await.map(|(code, _)| code), Some(1012)),
            other => panic!("{other}: {}", wire.head),
        }
    }
    refuses(&proxy);
    drop(taken);
    assert_eq!(stopped(&mut proxy), Some(0));
}

#[tokio::test]
async fn a_connection_that_has_not_asked_yet_is_answered_and_one_that_was_answered_ends() {
    let mut proxy = Proxy::with(CHAT);
    let mut silent = Wire::knock(proxy.address, "", b"").await;
    let request = upgrade("/chat?channelId=1", "");
    let (half, rest) = request.split_at(40);
    let mut talking = Wire::knock(proxy.address, half, b"").await;
    let mut kept = Wire::knock(proxy.address, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", b"").await;
    kept.read_head().await;
    let length = kept.field("content-length").unwrap().parse().unwrap();
    kept.take_body(length).await;
    proxy.metric_becomes("cordboard_connections", 3.0);
    proxy.signal("TERM");
    refuses(&proxy);
    kept.expect_end().await;
    talking.write(rest.as_bytes()).await;
    is_turned_away(&mut talking).await;
    silent.write(b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n").await;
    is_turned_away(&mut silent).await;
    assert_eq!(stopped(&mut proxy), Some(0));
    proxy.logged(&["stopped clean=true"]);
}

#[test]
fn a_second_signal_with_nobody_there_cuts_nobody() {
    let mut proxy = Proxy::with(&format!("drain: {{delay: 1h, spread: 0, grace: 0}}\n{CHAT}"));
    proxy.signal("TERM");
    proxy.logged(&["draining; a second signal ends at once", "signal=SIGTERM", "delay=1h grace=0s"]);
    proxy.signal("INT");
    assert_eq!(stopped(&mut proxy), Some(0));
    proxy.logged(&[" WARN ", "a second signal: ending at once", "signal=SIGINT"]);
    let last = proxy.logged(&["stopped clean=true"]);
    assert!(last.contains(" INFO "), "{last}");
}

#[tokio::test]
async fn a_dial_in_flight_is_given_up_and_its_client_answered() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("spread: 0", "", &upstream);
    let mut client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
    let mut dialled = upstream.accept().await;
    proxy.metric_becomes("cordboard_sessions{route=\"ws\",state=\"dialing\"}", 1.0);
    proxy.signal("TERM");
    is_turned_away(&mut client).await;
    dialled.expect_end().await;
    assert_eq!(stopped(&mut proxy), Some(0));
    let line = lines(&proxy).into_iter().find(|line| line["message"] == "handshake refused").unwrap();
    assert_eq!((&line["cause"], &line["route"], &line["status"]), (&"draining".into(), &"ws".into(), &503.into()));
}

#[tokio::test]
async fn a_leg_whose_101_waits_for_its_partner_is_answered_at_once() {
    let mut proxy = Proxy::with(&format!("{CHAT}    rendezvous: {{accept: when_paired, pairing_timeout: 1h}}\n"));
    let mut client = Wire::knock(proxy.address, &upgrade("/chat?channelId=1", ""), b"").await;
    proxy.metric_becomes("cordboard_sessions{state=\"waiting\"}", 1.0);
    proxy.signal("TERM");
    is_turned_away(&mut client).await;
    assert_eq!(stopped(&mut proxy), Some(0));
}

#[tokio::test]
async fn a_leg_that_a_policy_thinks_about_is_answered_at_once() {
    let setup = Setup::new(
        "plugins: {slow: {component: slow.wasm, limits: {decision: 30s}}}\n\
         routes: [{name: chat, match: {path: /chat}, mode: rendezvous, plugins: [slow]}]\n",
    );
    let thinks = guests::detect_role("(loop (br 0))");
    let slow = guests::Guest::of(guests::ROLES).build(&format!("(module {} {thinks})", guests::SILENT));
    setup.put("slow.wasm", &slow);
    let mut proxy = setup.start();
    let mut client = Wire::knock(proxy.address, &upgrade("/chat?channelId=1", ""), b"").await;
    proxy.metric_becomes("cordboard_sessions{state=\"deciding\"}", 1.0);
    proxy.signal("TERM");
    is_turned_away(&mut client).await;
    assert_eq!(stopped(&mut proxy), Some(0));
    proxy.logged(&["stopped clean=true"]);
}

#[tokio::test]
async fn waiting_legs_are_closed_at_once_however_long_the_spread() {
    let proxy = Proxy::with(&format!("drain: {{grace: 1h, spread: 1h}}\n{CHAT}"));
    let mut waiting = Vec::new();
    for n in 0..10 {
        waiting.push(dial(&proxy, &format!("/chat?channelId={n}")).await);
        waiting.push(dial(&proxy, &format!("/chat/connect?channelId=b{n}")).await);
    }
    proxy.signal("TERM");
    for leg in &mut waiting {
        assert_eq!(hear_close(leg).await.map(|(code, _)| code), Some(1012));
    }
}

#[tokio::test]
async fn the_code_and_the_times_of_the_generation_that_serves_count() {
    let mut proxy = Proxy::with(&format!("drain: {{grace: 1h, spread: 1h}}\n{CHAT}"));
    let (mut client, mut backend) = pair(&proxy, "1").await;
    proxy.setup.write(&format!("drain: {{grace: 20s, spread: 0, close_code: 3333}}\n{CHAT}"));
    proxy.reloaded(1);
    proxy.signal("INT");
    for leg in [&mut client, &mut backend] {
        assert_eq!(leg.expect_close().await.map(|(code, _)| code), Some(3333));
        leg.send(CLOSE, &close(3333, "")).await;
    }
    drop((client, backend));
    assert_eq!(stopped(&mut proxy), Some(0));
}

#[tokio::test]
async fn a_closed_port_is_refused_by_the_kernel_while_sessions_go_on() {
    let mut proxy = Proxy::with(&format!("drain: {{grace: 1h, spread: 1h}}\n{CHAT}"));
    let (mut client, mut backend) = pair(&proxy, "1").await;
    proxy.signal("TERM");
    refuses(&proxy);
    let refused = TcpStream::connect(proxy.address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    client.write(&masked(0x81, b"still")).await;
    within("a message while draining", backend.frame()).await.expect("a frame");
    drop((client, backend));
    kill(proxy.pid(), "TERM");
    assert_eq!(stopped(&mut proxy), Some(0));
}
