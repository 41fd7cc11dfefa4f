//! Who sits where: roles, ids, orders, namespaces, waiting and its end.

use std::time::{Duration, Instant};

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        CHAT, PATIENCE, Proxy,
        dial::{converse, dial, dial_with, hear_close, hear_text, not_before, part, say, within},
        http, status, upgrade,
        wire::{CLOSE, TEXT, Wire, close},
    },
};

#[tokio::test]
async fn they_meet_in_either_order() {
    let proxy = Proxy::with(CHAT);
    for n in 0..20 {
        let (client, backend) = (format!("/chat?channelId={n}"), format!("/chat/connect?channelId={n}"));
        let (mut client, mut backend) = match n % 3 {
            0 => {
                let client = dial(&proxy, &client).await;
                (client, dial(&proxy, &backend).await)
            }
            1 => {
                let backend = dial(&proxy, &backend).await;
                (dial(&proxy, &client).await, backend)
            }
            _ => tokio::join!(dial(&proxy, &client), dial(&proxy, &backend)),
        };
        converse(&mut client, &mut backend, "either way").await;
    }
}

#[tokio::test]
async fn a_backend_that_may_not_come_first_is_refused_until_its_client_waits() {
    let proxy = chat("backend_first: reject", "");
    let (head, body) = http(proxy.address, &upgrade(BACKEND, ""));
    assert_eq!(status(&head), 409, "{head}");
    assert!(head.contains("x-cordboard-error: backend-first") && body.contains("no client waits"), "{head}\n{body}");
    let mut client = dial(&proxy, CLIENT).await;
    let mut backend = dial(&proxy, BACKEND).await;
    converse(&mut client, &mut backend, "now").await;
}

// Regression: a role was found in the query, so that `?x=/connect` made a client a backend.
#[tokio::test]
async fn the_role_comes_from_whole_path_segments_and_never_from_the_query() {
    let proxy = Proxy::with(CHAT);
    let clients = [
        "/chat?x=/connect&channelId=",
        "/chat?/connect&channelId=",
        "/chat/connection?channelId=",
        "/chat/reconnect?channelId=",
        "/chat/Connect?channelId=",
    ];
    let backends = ["/chat/connect?channelId=", "/chat/connect/eu?channelId=", "/chat/a/%63onnect?x=1&channelId="];
    for (n, client) in clients.iter().enumerate() {
        let backend = backends[n % backends.len()];
        let mut client = dial(&proxy, &format!("{client}{n}")).await;
        let mut backend = dial(&proxy, &format!("{backend}{n}")).await;
        converse(&mut client, &mut backend, "met").await;
    }
}

// Regression: ids were compared as they stood in the query, so that `a%2Db` and `a-b` never met.
#[tokio::test]
async fn ids_are_percent_decoded_and_a_plus_stays_a_plus() {
    let proxy = Proxy::with(CHAT);
    for (one, other) in [("a%2Db", "a-b"), ("%c3%bc", "%C3%BC"), ("1+1", "1%2B1"), ("%26%3d", "%26%3D")] {
        let mut client = dial(&proxy, &format!("/chat?channelId={one}")).await;
        let mut backend = dial(&proxy, &format!("/chat/connect?channelId={other}")).await;
        converse(&mut client, &mut backend, one).await;
    }
}

#[tokio::test]
async fn the_header_goes_before_the_query() {
    let proxy = Proxy::with(CHAT);
    for header in ["x-group-id", "channel-group-id"] {
        let (mut client, answer) = dial_with(&proxy, "/chat?channelId=query", &[(header, "header")]).await;
        assert_eq!(answer.headers()["x-channel-id"], "header");
        let mut backend = dial(&proxy, "/chat/connect?channelId=header").await;
        converse(&mut client, &mut backend, header).await;
        part(client, backend).await;
    }
}

#[tokio::test]
async fn equal_ids_meet_only_within_one_namespace() {
    let route = |name: &str, namespace: &str| {
        format!(
            "  - {{name: {name}, match: {{path: /{name}}}, mode: rendezvous, plugins: [rendezvous], \
             rendezvous: {{{namespace}}}}}\n"
        )
    };
    let routes = [route("a", ""), route("b", ""), route("c", "namespace: a")].concat();
    let proxy =
        Proxy::with(&format!("plugins: {{rendezvous: {{component: 'builtin:rendezvous'}}}}\nroutes:\n{routes}"));
    let mut on_a = dial(&proxy, "/a?channelId=1").await;
    let mut on_b = dial(&proxy, "/b?channelId=1").await;
    let mut from_c = dial(&proxy, "/c/connect?channelId=1").await;
    converse(&mut on_a, &mut from_c, "one namespace").await;
    let mut from_b = dial(&proxy, "/b/connect?channelId=1").await;
    converse(&mut on_b, &mut from_b, "another").await;
}

#[tokio::test]
async fn a_leg_without_a_partner_is_closed_with_4408() {
    let proxy = chat("pairing_timeout: 300ms", "");
    for path in [CLIENT, BACKEND] {
        let begun = Instant::now();
        let mut lonely = dial(&proxy, path).await;
        assert_eq!(hear_close(&mut lonely).await, Some((4408, "no partner".to_owned())));
        not_before(begun, Duration::from_millis(300));
    }
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"rendezvous\",outcome=\"timeout\"}", 2.0);
}

#[tokio::test]
async fn when_paired_answers_504_instead_of_4408() {
    let proxy = chat("accept: when_paired, pairing_timeout: 300ms", "");
    let begun = Instant::now();
    let (head, body) = http(proxy.address, &upgrade(CLIENT, ""));
    not_before(begun, Duration::from_millis(300));
    assert_eq!(status(&head), 504, "{head}");
    assert!(head.contains("x-cordboard-error: no-partner") && body == "no partner\n", "{head}\n{body}");
    proxy.metric_becomes("cordboard_channels", 0.0);
}

#[tokio::test]
async fn when_paired_both_are_answered_once_both_are_there() {
    let proxy = chat("accept: when_paired", "");
    let mut client = Wire::knock(proxy.address, &upgrade(CLIENT, ""), b"").await;
    proxy.metric_becomes("cordboard_seats_reserved", 1.0);
    let nothing = client.stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "an answer came before the partner");
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    client.read_head().await;
    assert_eq!(client.status(), 101, "{}", client.head);
    client.send(TEXT, b"both").await;
    backend.expect(TEXT, b"both").await;
}

#[tokio::test]
async fn what_a_lonely_leg_said_is_never_handed_to_the_next_one() {
    let proxy = Proxy::with(CHAT);
    let mut lonely = Wire::open(proxy.address, CLIENT).await;
    lonely.send(TEXT, b"for nobody").await;
    lonely.send(CLOSE, &close(1000, "gave up")).await;
    assert_eq!(lonely.expect_close().await.unwrap().0, 1000);
    lonely.expect_end().await;
    let mut client = dial(&proxy, CLIENT).await;
    let mut backend = dial(&proxy, BACKEND).await;
    converse(&mut client, &mut backend, "fresh").await;
    proxy.logged(&["session ended", "outcome=lonely", "close_received=1000"]);
}

#[tokio::test]
async fn a_client_that_gives_up_before_its_answer_leaves_no_seat() {
    let proxy = chat("accept: when_paired", "");
    let client = Wire::knock(proxy.address, &upgrade(CLIENT, ""), b"").await;
    proxy.metric_becomes("cordboard_seats_reserved", 1.0);
    drop(client);
    proxy.metric_becomes("cordboard_seats_reserved", 0.0);
    proxy.metric_becomes("cordboard_channels", 0.0);
    proxy.logged(&["handshake refused", "cause=client-gone"]);
}

// Regression: the pair stayed in the map until its last leg ended, so that its id could not be used meanwhile.
#[tokio::test]
async fn an_id_can_be_used_again_at_once_two_hundred_times() {
    let proxy = Proxy::with(CHAT);
    for cycle in 0..200 {
        let mut client = Wire::open(proxy.address, CLIENT).await;
        let mut backend = dial(&proxy, BACKEND).await;
        client.send(TEXT, format!("cycle {cycle}").as_bytes()).await;
        assert_eq!(hear_text(&mut backend).await, format!("cycle {cycle}"));
        if cycle % 2 == 0 {
            client.send(CLOSE, &close(1000, "next")).await;
        } else {
            drop(client);
        }
        // The backend has heard of the end; its own connection still lives when the next two come.
        let begun = Instant::now();
        let heard = within("the end of a cycle", futures_util::StreamExt::next(&mut backend)).await;
        assert!(heard.unwrap().unwrap().is_close());
        assert!(begun.elapsed() < PATIENCE / 20, "the end took {:?}", begun.elapsed());
        let mut again = dial(&proxy, BACKEND).await;
        say(&mut again, "mine now").await;
        let mut next = dial(&proxy, CLIENT).await;
        assert_eq!(hear_text(&mut next).await, "mine now");
        part(next, again).await;
    }
    proxy.metric_becomes("cordboard_channels", 0.0);
    proxy.metric_becomes("cordboard_pairs", 0.0);
    proxy.metric_becomes("cordboard_sessions{mode=\"rendezvous\"}", 0.0);
}
