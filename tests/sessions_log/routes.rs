//! Where legs are on their way, route by route, and what is left of a route that was taken away.

use crate::{
    leg, lines,
    series::Page,
    support::{
        CHAT, Proxy, eventually, upgrade,
        upstream::Upstream,
        wire::{CLOSE, TEXT, Wire, bare, close, masked},
    },
};

/// Waits until so many legs are on their way on this route, by state in their order.
fn legs_become(proxy: &Proxy, route: &str, expected: [u32; 5]) {
    let states = ["deciding", "waiting", "dialing", "open", "closing"];
    for (state, count) in states.into_iter().zip(expected) {
        let name = format!("cordboard_sessions{{route=\"{route}\",state=\"{state}\"}}");
        proxy.metric_becomes(&name, f64::from(count));
    }
}

#[tokio::test]
async fn a_rendezvous_leg_is_deciding_then_waiting_then_open_then_closing() {
    let proxy = Proxy::with(&format!(
        "{CHAT}    rendezvous: {{probe: 10s, second_client: reject}}\n    limits: {{close: 1m}}\n"
    ));
    legs_become(&proxy, "chat", [0; 5]);
    let mut client = leg(&proxy, "/chat?channelId=1").await;
    legs_become(&proxy, "chat", [0, 1, 0, 0, 0]);
    // Its Ping is not answered, so whoever wants its seat is not decided upon.
    let second = Wire::knock(proxy.address, &upgrade("/chat?channelId=1", ""), b"").await;
    legs_become(&proxy, "chat", [1, 1, 0, 0, 0]);
    drop(second);
    legs_become(&proxy, "chat", [0, 1, 0, 0, 0]);
    client.frame().await.expect("the Ping");
    let mut backend = leg(&proxy, "/chat/connect?channelId=1").await;
    legs_become(&proxy, "chat", [0, 0, 0, 2, 0]);
    client.send(CLOSE, &close(1000, "")).await;
    assert_eq!(backend.expect_close().await.map(|(code, _)| code), Some(1000));
    legs_become(&proxy, "chat", [0, 0, 0, 0, 2]);
    backend.send(CLOSE, &close(1000, "")).await;
    client.expect_close().await;
    client.expect_end().await;
    backend.expect_end().await;
    legs_become(&proxy, "chat", [0; 5]);
}

#[tokio::test]
async fn a_routed_leg_is_dialing_then_open_then_closing() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: up, limits: {{close: 1m}}}}]\n\
         services: {{up: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    ));
    let mut client = Wire::knock(proxy.address, &upgrade("/ws", ""), b"").await;
    let mut dialled = upstream.accept().await;
    legs_become(&proxy, "ws", [0, 0, 1, 0, 0]);
    dialled.switch("", b"").await;
    client.read_head().await;
    legs_become(&proxy, "ws", [0, 0, 0, 1, 0]);
    client.send(CLOSE, &close(1000, "")).await;
    dialled.expect_close().await;
    legs_become(&proxy, "ws", [0, 0, 0, 0, 1]);
    dialled.write(&bare(CLOSE, &close(1000, ""))).await;
    client.expect_close().await;
    drop((client, dialled));
    legs_become(&proxy, "ws", [0; 5]);
}

#[tokio::test]
async fn a_plain_request_is_dialing_until_its_answer_passes() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "routes: [{{name: plain, match: {{path: /}}, mode: http, service: up}}]\n\
         services: {{up: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    ));
    let mut client = Wire::knock(proxy.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"").await;
    let mut asked = upstream.accept().await;
    legs_become(&proxy, "plain", [0, 0, 1, 0, 0]);
    asked.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    client.read_head().await;
    legs_become(&proxy, "plain", [0, 0, 0, 1, 0]);
    asked.write(b"k").await;
    assert_eq!(client.take_body(2).await, b"ok");
    legs_become(&proxy, "plain", [0; 5]);
}

#[tokio::test]
async fn the_two_of_a_pair_are_counted_each_on_its_own_route_and_their_session_on_that_of_the_first() {
    let proxy = Proxy::with(
        "log: {format: json}
plugins:
  clients: {component: 'builtin:rendezvous', config: {channelQuery: [room]}}
  backends: {component: 'builtin:rendezvous', config: {channelQuery: [hall]}}
routes:
  - {name: out, match: {path: /out}, mode: rendezvous, plugins: [clients], rendezvous: {namespace: both}}
  - {name: in, match: {path: /in}, mode: rendezvous, plugins: [backends], rendezvous: {namespace: both}}
",
    );
    let mut backend = leg(&proxy, "/in/connect?hall=1").await;
    legs_become(&proxy, "in", [0, 1, 0, 0, 0]);
    let mut client = leg(&proxy, "/out?room=1").await;
    legs_become(&proxy, "in", [0, 0, 0, 1, 0]);
    legs_become(&proxy, "out", [0, 0, 0, 1, 0]);
    client.send(CLOSE, b"").await;
    backend.expect_close().await;
    backend.send(CLOSE, b"").await;
    client.expect_close().await;
    client.expect_end().await;
    backend.expect_end().await;
    proxy.metric_becomes("cordboard_sessions_ended_total{route=\"in\",outcome=\"paired\"}", 1.0);
    assert!(proxy.metric("cordboard_sessions_ended_total{route=\"out\"}") < 0.5);
    let line = eventually("the session's line", || lines(&proxy).pop());
    let of = |field: &str| line[field].as_str().unwrap().to_owned();
    assert_eq!((of("route"), of("partner_route"), of("role")), ("in".into(), "out".into(), "backend".into()));
    assert!(of("policy").starts_with("backends@") && of("partner_policy").starts_with("clients@"), "{line:#}");
}

#[tokio::test]
async fn the_series_of_a_route_that_was_taken_away_go_with_its_last_session_and_the_total_stays() {
    let upstream = Upstream::bind().await;
    let services = format!("services: {{up: {{endpoints: ['ws://{}']}}}}\n", upstream.address);
    let routed = |route: &str| {
        format!("{CHAT}  - {{name: {route}, match: {{path: /{route}}}, mode: router, service: up}}\n{services}")
    };
    let proxy = Proxy::with(&routed("old"));
    let series = |route: &str| Page::of(&proxy).with(&[&format!("{{route=\"{route}\",")]).len();
    let all = series("old");
    assert!(all > 5, "{all}");
    let (mut client, mut dialled) = tokio::join!(leg(&proxy, "/old"), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        dialled
    });
    proxy.setup.write(&routed("new"));
    proxy.reloaded(1);
    assert_eq!((series("old"), series("new")), (all, all));
    legs_become(&proxy, "old", [0, 0, 0, 1, 0]);
    client.write(&masked(TEXT, b"still there")).await;
    dialled.expect(TEXT, b"still there").await;
    client.send(CLOSE, &close(1000, "")).await;
    dialled.expect_close().await;
    dialled.write(&bare(CLOSE, &close(1000, ""))).await;
    client.expect_close().await;
    drop((client, dialled));
    eventually("the end of the old route's series", || (series("old") == 0).then_some(()));
    assert_eq!(series("new"), all);
    proxy.metric_becomes("cordboard_outcomes_total{mode=\"router\",outcome=\"routed\"}", 1.0);
}
