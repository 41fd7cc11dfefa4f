//! A message filter has a new version while its sessions live: they stay, move, or are closed, as the configuration says.

use serde_json::Value;

use super::guests::{filter, migrating_filter};
use crate::support::{
    Proxy, Setup,
    dial::{Ws, dial, hear_close, hear_text, say},
    echo::Echo,
};

fn yaml(echo: &Echo, reload: &str, version: &str) -> String {
    format!(
        "plugins: {{filter: {{component: filter.wasm, config: {{do: {version}}}}}}}
routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [filter], service: echo}}]
services: {{echo: {{endpoints: ['ws://{}']}}}}
reload: {{quiet: 10ms{reload}}}
drain: {{spread: 50ms, grace: 5s}}
",
        echo.address
    )
}

fn start(component: &[u8], echo: &Echo, reload: &str) -> Proxy {
    let setup = Setup::new(&yaml(echo, reload, "A"));
    setup.put("filter.wasm", component);
    setup.start()
}

/// A configuration with another version of the filter serves.
fn swap(proxy: &Proxy, echo: &Echo, reload: &str, version: &str) -> u64 {
    let before = proxy.generation();
    proxy.setup.write(&yaml(echo, reload, version));
    proxy.reloaded(before)
}

async fn routed(proxy: &Proxy) -> Ws {
    let mut client = dial(proxy, "/ws").await;
    assert_eq!(hear_text(&mut client).await, "name");
    client
}

/// Keeps something of the connection, and hears what was kept before.
async fn keeps(client: &mut Ws, what: &str) -> String {
    say(client, format!("k{what}")).await;
    hear_text(client).await
}

/// The version of its filter, and the generation that it counts for, of each leg.
fn versions(proxy: &Proxy) -> Vec<(String, u64)> {
    let page: Value = serde_json::from_str(&proxy.get("/sessions")).unwrap();
    let shown =
        |leg: &Value| (leg["filters"][0].as_str().unwrap().to_owned(), leg["filters_generation"].as_u64().unwrap());
    page["shown"].as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn a_pinned_session_keeps_its_version_and_an_unchanged_filter_no_generation() {
    let echo = Echo::start("name");
    let proxy = start(filter(), &echo, "");
    let mut old = routed(&proxy).await;
    assert_eq!(keeps(&mut old, "old").await, "");
    swap(&proxy, &echo, "", "B");
    let mut new = routed(&proxy).await;
    assert_eq!((keeps(&mut old, "older").await, keeps(&mut new, "new").await), ("old".to_owned(), String::new()));
    let now = versions(&proxy);
    assert_eq!(now.iter().map(|(_, generation)| *generation).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(now[0].0, now[1].0);
    proxy.metric_becomes("cordboard_generations_alive", 2.0);
    // Its own instance waits for the old one, as long as it is there.
    proxy.metric_becomes("cordboard_plugin_connections{plugin=\"filter\"}", 2.0);
    // What does not concern the filter moves whoever is on the version that still serves.
    swap(&proxy, &echo, ", history: 9", "B");
    proxy.metric_becomes("cordboard_generations_alive", 2.0);
    assert_eq!(versions(&proxy).iter().map(|(_, generation)| *generation).collect::<Vec<_>>(), [1, 3]);
    drop(old);
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
    proxy.metric_becomes("cordboard_plugin_connections{plugin=\"filter\"}", 1.0);
}

#[tokio::test]
async fn a_session_moves_where_the_new_version_agrees_and_its_messages_go_on() {
    let echo = Echo::start("name");
    let proxy = start(migrating_filter(), &echo, ", sessions: migrate");
    let mut client = routed(&proxy).await;
    assert_eq!(keeps(&mut client, "first").await, "");
    let before = versions(&proxy);
    // It puts the name of the version before in the place of what that has kept.
    swap(&proxy, &echo, ", sessions: migrate", "B");
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
    assert_eq!(keeps(&mut client, "second").await, before[0].0);
    let moved = versions(&proxy);
    assert_eq!(moved[0].1, 2);
    assert_ne!(moved[0].0, before[0].0);
    // `N` refuses to take over, `X` traps: it stays where it is, with what was kept.
    for version in ["N", "X"] {
        swap(&proxy, &echo, ", sessions: migrate", version);
        proxy.logged(&["legs with plugins of an older version", "stayed=1"]);
        assert_eq!(versions(&proxy), moved);
    }
    assert_eq!(keeps(&mut client, "third").await, "second");
    let line = proxy.logged(&["legs with plugins", "refused: not me (1)"]);
    assert!(line.contains("moved=0"), "{line}");
    proxy.metric_becomes("cordboard_swept_legs_total{result=\"moved\"}", 1.0);
    proxy.metric_becomes("cordboard_swept_legs_total{result=\"stayed\"}", 2.0);
}

#[tokio::test]
async fn without_a_migration_only_a_connection_of_which_nothing_is_kept_moves() {
    let echo = Echo::start("name");
    let proxy = start(filter(), &echo, ", sessions: migrate");
    let (mut empty, mut full) = (routed(&proxy).await, routed(&proxy).await);
    assert_eq!(keeps(&mut full, "something").await, "");
    swap(&proxy, &echo, ", sessions: migrate", "B");
    proxy.logged(&["legs with plugins", "moved=1", "stayed=1", "exports no `filter-migration`"]);
    assert_eq!(versions(&proxy).iter().map(|(_, generation)| *generation).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(keeps(&mut full, "").await, "something");
    assert_eq!(keeps(&mut empty, "").await, "");
}

#[tokio::test]
async fn drained_sessions_are_closed_with_the_code_of_the_drain_and_only_those_that_changed() {
    let echo = Echo::start("name");
    let proxy = start(filter(), &echo, ", sessions: drain");
    let mut client = routed(&proxy).await;
    swap(&proxy, &echo, ", sessions: drain, history: 9", "A");
    say(&mut client, "forward").await;
    assert_eq!(hear_text(&mut client).await, "forward");
    swap(&proxy, &echo, ", sessions: drain", "B");
    assert_eq!(hear_close(&mut client).await, Some((1012, "its policies have changed".to_owned())));
    let line = proxy.logged(&["session ended", "cause=outdated"]);
    assert!(line.contains("outcome=drained"), "{line}");
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}

#[tokio::test]
async fn a_reload_beyond_the_generations_makes_room_as_it_is_told() {
    let echo = Echo::start("name");
    for how in ["wait", "migrate", "close"] {
        let rules = format!(", generations: 2, oldest: {how}");
        let proxy = start(filter(), &echo, &rules);
        let mut client = routed(&proxy).await;
        swap(&proxy, &echo, &rules, "B");
        // Two are there, of which the first is held by the client.
        proxy.setup.write(&yaml(&echo, &rules, "C"));
        match how {
            "wait" => {
                proxy.logged(&["a reload waits", "let go"]);
                say(&mut client, "forward").await;
                assert_eq!(hear_text(&mut client).await, "forward");
                assert_eq!(proxy.generation(), 2);
                drop(client);
            }
            "close" => assert_eq!(hear_close(&mut client).await.map(|(code, _)| code), Some(1012)),
            _ => {
                proxy.reloaded(2);
                say(&mut client, "forward").await;
                assert_eq!(hear_text(&mut client).await, "forward");
                assert_eq!(versions(&proxy)[0].1, 2, "it has moved to what served then");
                continue;
            }
        }
        proxy.reloaded(2);
    }
}
