//! Which endpoint of which service.

use crate::{
    joined,
    support::{
        Proxy,
        dial::{Ws, dial, dial_with, hear_text},
        echo::Echo,
        upstream::Upstream,
    },
    to,
};

/// The name of the service that was reached.
async fn reached(proxy: &Proxy, path: &str) -> String {
    hear_text(&mut dial(proxy, path).await).await
}

#[tokio::test]
async fn handshakes_go_round_the_endpoints() {
    let echoes = ["a", "b", "c"].map(Echo::start);
    let proxy = to(&echoes.each_ref().map(|echo| echo.address), "");
    let mut order = String::new();
    for _ in 0..9 {
        order += &reached(&proxy, "/ws").await;
    }
    assert_eq!(order, "abcabcabc");
}

/// A proxy with the router policy: an untagged and a tagged pair of endpoints, and another service.
struct Town {
    proxy: Proxy,
    echoes: [Echo; 5],
}

fn town(config: &str) -> Town {
    let echoes = ["a", "b", "dev-a", "dev-b", "mail"].map(Echo::start);
    let [a, b, dev_a, dev_b, mail] = echoes.each_ref().map(|echo| echo.address);
    let proxy = Proxy::with(&format!(
        "plugins: {{router: {{component: 'builtin:router', config: {{{config}}}}}}}
routes: [{{name: ws, match: {{path: /}}, mode: router, plugins: [router]}}]
services:
  chat:
    endpoints:
      - ws://{a}
      - {{url: 'ws://{dev_a}', env_tag: dev}}
      - ws://{b}
      - {{url: 'ws://{dev_b}', env_tag: dev}}
  mail: {{endpoints: ['ws://{mail}']}}
"
    ));
    Town { proxy, echoes }
}

#[tokio::test]
async fn each_environment_tag_goes_round_its_own_endpoints() {
    let town = town("allowOverrides: [envTag]");
    let (mut untagged, mut tagged) = (String::new(), String::new());
    for _ in 0..4 {
        untagged += &reached(&town.proxy, "/ws?service_id=chat").await;
        tagged += &reached(&town.proxy, "/ws?service_id=chat&env_tag=dev").await;
    }
    assert_eq!((untagged.as_str(), tagged.as_str()), ("abab", "dev-adev-bdev-adev-b"));
    let none =
        crate::support::http(town.proxy.address, &crate::support::upgrade("/ws?service_id=chat&env_tag=nowhere", ""));
    assert!(none.0.starts_with("HTTP/1.1 502") && none.0.contains("x-cordboard-error: no-endpoint"), "{}", none.0);
}

#[tokio::test]
async fn an_override_that_is_not_allowed_counts_for_nothing() {
    let town = town("");
    assert_eq!(reached(&town.proxy, "/ws?service_id=chat&env_tag=dev&protocol=nonsense").await, "a");
}

#[tokio::test]
async fn an_invalid_override_that_is_allowed_is_400() {
    let town = town("allowOverrides: [protocol, envTag]");
    for query in ["protocol=gopher", "env_tag=%00"] {
        let target = format!("/ws?service_id=chat&{query}");
        let (head, _) = crate::support::http(town.proxy.address, &crate::support::upgrade(&target, ""));
        assert!(head.starts_with("HTTP/1.1 400"), "{query}: {head}");
    }
}

#[tokio::test]
async fn the_service_is_named_by_header_then_query_then_the_longest_prefix_of_whole_segments() {
    let town = town("pathPrefixService: {/ws: chat, /ws/mail: mail}");
    assert_eq!(reached(&town.proxy, "/ws").await, "a");
    assert_eq!(reached(&town.proxy, "/ws/mail/inbox").await, "mail");
    assert_eq!(reached(&town.proxy, "/ws/mailbox").await, "b", "a prefix ends at a segment's end");
    assert_eq!(reached(&town.proxy, "/ws?serviceId=mail").await, "mail");
    for header in ["Service-Id", "service_id", "serviceId"] {
        let mut by_header: Ws = dial_with(&town.proxy, "/ws?serviceId=chat", &[(header, "mail")]).await.0;
        assert_eq!(hear_text(&mut by_header).await, "mail", "{header}");
    }
}

#[tokio::test]
async fn a_routed_client_is_told_its_channel_and_gets_a_fresh_one_if_it_named_none() {
    let town = town("pathPrefixService: {/ws: chat}");
    let (_one, first) = dial_with(&town.proxy, "/ws", &[]).await;
    let (_other, second) = dial_with(&town.proxy, "/ws", &[]).await;
    let ids = [&first, &second].map(|answer| answer.headers()["x-channel-id"].to_str().unwrap().to_owned());
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'), "{ids:?}");
    let (_named, third) = dial_with(&town.proxy, "/ws", &[("x-group-id", "mine")]).await;
    assert_eq!(third.headers()["x-channel-id"], "mine");
}

#[tokio::test]
async fn the_routes_own_service_is_used_where_no_plugin_names_one() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let (_client, dialled) = joined(&proxy, &upstream, "", "").await;
    assert_eq!(dialled.target(), "/ws");
}

#[tokio::test]
async fn sessions_end_on_both_sides_when_the_client_goes() {
    let town = town("pathPrefixService: {/ws: chat}");
    let clients = [reached_and_kept(&town.proxy).await, reached_and_kept(&town.proxy).await];
    town.proxy.metric_becomes("cordboard_sessions{mode=\"router\"}", 2.0);
    drop(clients);
    town.proxy.metric_becomes("cordboard_sessions{mode=\"router\"}", 0.0);
    crate::support::eventually("the services' ends", || {
        (town.echoes.iter().all(|echo| echo.open() == 0)).then_some(())
    });
}

async fn reached_and_kept(proxy: &Proxy) -> Ws {
    let mut ws = dial(proxy, "/ws").await;
    hear_text(&mut ws).await;
    ws
}
