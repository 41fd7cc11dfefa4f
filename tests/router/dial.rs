//! The dial: it comes before the client's 101, so that each of its failures is an HTTP status.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    joined,
    support::{
        Proxy,
        dial::not_before,
        upgrade,
        upstream::{Hasty, Mute, Refusing, Upstream},
        wire::{CLOSE, TEXT, Wire, bare, close},
    },
    to,
};

async fn refused(proxy: &Proxy, status: u16, cause: &str) -> Wire {
    let answer = Wire::open_with(proxy.address, "/ws", "", b"").await;
    assert_eq!((answer.status(), answer.field("x-cordboard-error")), (status, Some(cause)), "{}", answer.head);
    answer
}

#[tokio::test]
async fn the_client_gets_its_101_only_after_the_upstream_gave_one() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let mut client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
    let mut dialled = upstream.accept().await;
    let nothing = client.stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "an answer came before the upstream's");
    assert!((proxy.metric("cordboard_sessions{mode=\"router\",state=\"open\"}")).abs() < 0.5);
    dialled.switch("", b"").await;
    client.read_head().await;
    assert_eq!(client.status(), 101, "{}", client.head);
}

#[tokio::test]
async fn an_upstreams_refusal_is_passed_on_with_its_body() {
    let upstream = Upstream::bind().await;
    let other = Upstream::bind().await;
    let proxy = to(&[upstream.address, other.address], "");
    for (n, (status, body)) in
        [(401, "who are you"), (403, "not you"), (404, ""), (503, "later"), (302, "elsewhere")].into_iter().enumerate()
    {
        let (asked, spared) = if n % 2 == 0 { (&upstream, &other) } else { (&other, &upstream) };
        let answer = format!(
            "HTTP/1.1 {status} Because\r\nContent-Length: {}\r\nX-Reason: stated\r\nSet-Cookie: a=1\r\n\
             Connection: close, X-Hop\r\nX-Hop: ends here\r\n\r\n{body}",
            body.len()
        );
        let (mut client, _) = tokio::join!(Wire::open_with(proxy.address, "/ws", "", b""), async {
            let mut dialled = asked.accept().await;
            dialled.write(answer.as_bytes()).await;
            dialled
        });
        assert_eq!(client.status(), status, "{}", client.head);
        assert_eq!(client.field("x-cordboard-error"), Some("upstream-refused"));
        assert_eq!((client.field("x-reason"), client.field("set-cookie")), (Some("stated"), Some("a=1")));
        assert_eq!(client.field("x-hop"), None, "{}", client.head);
        assert_eq!(client.field("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(client.take_body(body.len()).await, body.as_bytes());
        assert!(spared.is_left_alone().await, "who was answered asks nobody else");
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_the_connection_gives_way_to_the_next() {
    let (refusing, upstream) = (Refusing::bind(), Upstream::bind().await);
    let proxy = to(&[refusing.address, upstream.address], "");
    for _ in 0..4 {
        let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
        client.send(TEXT, b"found").await;
        dialled.expect(TEXT, b"found").await;
    }
}

#[tokio::test]
async fn an_endpoint_that_breaks_before_it_answers_gives_way_to_the_next() {
    let (breaking, upstream) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = to(&[breaking.address, upstream.address], "");
    let (client, (), _dialled) =
        tokio::join!(Wire::open_with(proxy.address, "/ws", "", b""), async { drop(breaking.accept().await) }, async {
            let mut dialled = upstream.accept().await;
            dialled.switch("", b"").await;
            dialled
        });
    assert_eq!(client.status(), 101, "{}", client.head);
}

#[tokio::test]
async fn a_service_whose_endpoints_all_refuse_is_502() {
    let (one, other) = (Refusing::bind(), Refusing::bind());
    let proxy = to(&[one.address, other.address], "");
    refused(&proxy, 502, "no-endpoint").await;
    let line =
        proxy.logged(&["handshake refused", "cause=no-endpoint", &format!("upstream=\"chat {}\"", other.address)]);
    let detail = line.split_once("detail=").unwrap().1;
    for endpoint in [one.address, other.address] {
        assert_eq!(detail.matches(&endpoint.to_string()).count(), 1, "{endpoint} once: {line}");
    }
}

#[tokio::test]
async fn the_log_names_the_policy_that_named_a_service_that_there_is_not() {
    let proxy = Proxy::with(
        "plugins: {dial: {component: 'builtin:router', config: {pathPrefixService: {/ws: nowhere}}}}
routes: [{name: ws, match: {path: /ws}, mode: router, plugins: [dial]}]
",
    );
    refused(&proxy, 404, "unknown-service").await;
    proxy.logged(&["handshake refused", "cause=unknown-service", "policy=dial@", "detail=\"service `nowhere`\""]);
}

#[tokio::test]
async fn a_service_that_never_answers_is_504() {
    let mute = Mute::bind();
    let proxy = to(&[mute.address], ", connect_timeout: 300ms");
    let begun = Instant::now();
    refused(&proxy, 504, "upstream-timeout").await;
    not_before(begun, Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(5), "connect_timeout covers the handshake: {:?}", begun.elapsed());
}

#[tokio::test]
async fn an_endpoint_that_never_answers_costs_its_connect_timeout_and_gives_way_to_the_next() {
    let (mute, upstream) = (Mute::bind(), Upstream::bind().await);
    let proxy = to(&[mute.address, upstream.address], ", connect_timeout: 300ms");
    let begun = Instant::now();
    let (mut client, mut dialled) = joined(&proxy, &upstream, "", "").await;
    not_before(begun, Duration::from_millis(300));
    client.send(TEXT, b"found").await;
    dialled.expect(TEXT, b"found").await;
}

#[tokio::test]
async fn the_whole_handshake_ends_with_establish() {
    let mute = Mute::bind();
    let proxy = crate::support::Setup::new("");
    let yaml = format!(
        "listeners: [{{name: main, address: '127.0.0.1:0', establish: 300ms}}]\nadmin: {{address: '127.0.0.1:0'}}\n\
         routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: chat}}]\n\
         services: {{chat: {{endpoints: ['ws://{}']}}}}\n",
        mute.address
    );
    proxy.put("cordboard.yaml", yaml.as_bytes());
    let proxy = proxy.start();
    refused(&proxy, 504, "upstream-timeout").await;
}

#[tokio::test]
async fn what_is_no_answer_to_an_upgrade_is_502() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let wrong = [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ];
    for answer in wrong {
        let (_, mut dialled) = tokio::join!(refused(&proxy, 502, "upstream-protocol"), async {
            let mut dialled = upstream.accept().await;
            dialled.write(answer.as_bytes()).await;
            dialled
        });
        dialled.expect_end().await;
    }
}

// Regression: a client that left while the service was being dialled left an orphan, an upstream socket open for ever.
#[tokio::test]
async fn a_client_that_leaves_during_the_dial_takes_the_upstream_socket_with_it() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let idle = proxy.metric("cordboard_tasks");
    for _ in 0..20 {
        let client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
        let mut dialled = upstream.accept().await;
        drop(client);
        dialled.expect_end().await;
    }
    proxy.metric_becomes("cordboard_tasks", idle);
    proxy.logged(&["handshake refused", "cause=client-gone"]);
}

#[tokio::test]
async fn an_upstreams_first_frame_behind_its_101_reaches_the_client_and_the_clients_early_one_the_upstream() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let early = crate::support::wire::masked(TEXT, b"before the answer");
    let (mut client, mut dialled) = tokio::join!(Wire::open_with(proxy.address, "/ws", "", &early), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", &[bare(TEXT, b"greeting"), bare(TEXT, b"again")].concat()).await;
        dialled
    });
    client.expect(TEXT, b"greeting").await;
    client.expect(TEXT, b"again").await;
    dialled.expect(TEXT, b"before the answer").await;
    client.send(CLOSE, &close(1000, "")).await;
    assert_eq!(dialled.expect_close().await, Some((1000, String::new())));
}

// Regression, of others: an answer that is there when the request has just been written is taken for one to nothing.
#[tokio::test]
async fn a_101_in_the_very_moment_in_which_the_head_is_seen_is_never_lost() {
    let upstream = Hasty::start(|head| {
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        [head.as_bytes(), &bare(TEXT, b"at once"), &bare(CLOSE, &close(1000, ""))].concat()
    });
    let proxy = to(&[upstream.address], "");
    for n in 0..3_000 {
        let mut client = Wire::open(proxy.address, "/ws").await;
        client.expect(TEXT, b"at once").await;
        assert_eq!(client.expect_close().await, Some((1000, String::new())), "{n}");
    }
}

#[tokio::test]
async fn an_unknown_service_and_none_at_all_are_404() {
    let upstream: SocketAddr = Refusing::bind().address;
    let proxy = Proxy::with(&format!(
        "plugins: {{router: {{component: 'builtin:router'}}}}\n\
         routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [router]}}]\n\
         services: {{chat: {{endpoints: ['ws://{upstream}']}}}}\n"
    ));
    refused(&proxy, 404, "no-service").await;
    for target in ["/ws?service_id=nowhere", "/ws/deeper?serviceId=nowhere"] {
        let answer = Wire::open_with(proxy.address, target, "", b"").await;
        assert_eq!((answer.status(), answer.field("x-cordboard-error")), (404, Some("unknown-service")));
    }
}
