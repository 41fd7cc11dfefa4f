//! Message filters: each action both ways, their bounds, what a hostile one comes to, and what is left untouched.

use tokio_tungstenite::tungstenite::Message;

use super::guests::filter;
use crate::support::{
    Proxy, Setup,
    dial::{Ws, dial, dial_with, hang_up, hear, hear_close, hear_text, say},
    echo::Echo,
    upstream::Upstream,
    wire::Wire,
};

/// A proxy with the filter on `/ws` (router, to an echo) and on `/chat` (rendezvous, both sides).
fn with_filter(settings: &str, echo: &Echo) -> Proxy {
    let setup = Setup::new(&format!(
        "plugins:
  filter: {{component: filter.wasm{settings}}}
  rendezvous: {{component: 'builtin:rendezvous'}}
routes:
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous, filter]}}
  - {{name: ws, match: {{path: /ws}}, mode: router, plugins: [filter], service: echo}}
services: {{echo: {{endpoints: ['ws://{}']}}}}
",
        echo.address
    ));
    setup.put("filter.wasm", filter());
    setup.start()
}

/// A routed client behind the name that the echo begins with.
async fn routed(proxy: &Proxy) -> Ws {
    let mut client = dial(proxy, "/ws").await;
    assert_eq!(hear_text(&mut client).await, "name");
    client
}

async fn pair(proxy: &Proxy) -> (Ws, Ws) {
    let client = dial(proxy, "/chat?channelId=1").await;
    (client, dial(proxy, "/chat/connect?channelId=1").await)
}

#[tokio::test]
async fn what_a_filter_says_is_done_both_ways_and_once_a_message() {
    let echo = Echo::start("name");
    let proxy = with_filter("", &echo);
    // A pair on one route: each message is shown once, however many legs the filter stands on.
    let (mut client, mut backend) = pair(&proxy).await;
    for swap in [false, true] {
        let (sender, other) = if swap { (&mut backend, &mut client) } else { (&mut client, &mut backend) };
        for text in ["forward", "dropped", "emitted", "replied", "both", ""] {
            say(sender, text).await;
        }
        say(sender, Message::binary(&b"raw"[..])).await;
        for expected in ["forward", "mitted", "both", "oth", ""] {
            assert_eq!(hear_text(other).await, expected);
        }
        assert_eq!(hear(other).await, Message::binary(&b"raw"[..]));
        assert_eq!(hear_text(sender).await, "eplied");
    }
    proxy.metric_becomes("cordboard_plugin_calls_total{plugin=\"filter\"}", 16.0);

    // Routed: the message is shown on its way there, and its echo on its way back.
    let mut client = routed(&proxy).await;
    say(&mut client, "ee-then-forward").await;
    assert_eq!(hear_text(&mut client).await, "-then-forward");
    say(&mut client, "c my last").await;
    assert_eq!(hear_text(&mut client).await, " my last");
    assert_eq!(hear_close(&mut client).await, Some((4000, "enough".to_owned())));
    let line = proxy.logged(&["session ended", "cause=filtered"]);
    assert!(line.contains("filters=filter@") && line.contains("close_sent=4000"), "{line}");
    let line = proxy.logged(&["closed by a message filter"]);
    assert!(line.contains("plugin=filter") && line.contains("code=4000") && line.contains("reason=enough"), "{line}");
}

#[tokio::test]
async fn what_a_filter_keeps_of_a_connection_lasts_and_is_bounded_and_a_failed_call_changes_nothing() {
    let echo = Echo::start("name");
    let proxy = with_filter(", on_failure: open, limits: {attachment: 8B}", &echo);
    let mut client = routed(&proxy).await;
    let mut other = routed(&proxy).await;
    for (kept, before) in [("one", ""), ("8 bytes!", "one")] {
        say(&mut client, format!("k{kept}")).await;
        assert_eq!(hear_text(&mut client).await, before);
    }
    say(&mut client, "k9 bytes..").await;
    assert_eq!(hear_text(&mut client).await, "8 bytes!");
    assert_eq!(hear_text(&mut client).await, "9 bytes are too many; limits.attachment is 8");
    say(&mut other, "k").await;
    assert_eq!(hear_text(&mut other).await, "", "each connection has its own");
    // The trap is no reason to stop the message: `on_failure: open`. It comes back, and traps again.
    say(&mut client, "Klost").await;
    assert_eq!(hear_text(&mut client).await, "Klost");
    say(&mut client, "k").await;
    assert_eq!(hear_text(&mut client).await, "8 bytes!");
}

#[tokio::test]
async fn a_filter_that_fails_or_breaks_a_bound_ends_that_session_alone() {
    let echo = Echo::start("name");
    let proxy = with_filter(", limits: {message: 20ms}", &echo);
    let mut bystander = routed(&proxy).await;
    let long = "x".repeat(999);
    for (said, why) in [
        ("T".to_owned(), "a_filter_that_traps"),
        ("L".to_owned(), "did not answer within 20ms (limits.message)"),
        ("M".to_owned(), "took 17 actions on one message; limits.actions is 16"),
        (format!("O{long}"), "made 69537 bytes of 1000; limits.output allows 69536"),
        ("x".to_owned(), "closes with 1005, which may not be sent"),
        ("P".to_owned(), "request#path was called outside of a call about a request"),
        ("R".to_owned(), "cannot leave component instance"),
    ] {
        let mut client = routed(&proxy).await;
        say(&mut client, said.clone()).await;
        assert_eq!(hear_close(&mut client).await, Some((1011, "a policy failed".to_owned())), "{said}");
        let line = proxy.logged(&["a policy failed", why]);
        assert!(line.contains("plugin=filter") && line.contains("conn=") && line.contains("route=ws"), "{line}");
        say(&mut bystander, "forward").await;
        assert_eq!(hear_text(&mut bystander).await, "forward");
    }
    // At the bound itself all is well.
    say(&mut bystander, format!("o{long}")).await;
    assert_eq!(hear_text(&mut bystander).await.len(), 69536);
    say(&mut bystander, "md").await;
    say(&mut bystander, "forward").await;
    assert_eq!(hear_text(&mut bystander).await, "forward", "sixteen times `d`, all dropped on their way back");
    proxy.metric_becomes("cordboard_causes_total{cause=\"filter-failed\"}", 7.0);
    proxy.metric_becomes("cordboard_plugin_failures_total{plugin=\"filter\",failure=\"contract\"}", 3.0);
    proxy.metric_becomes("cordboard_plugin_failures_total{plugin=\"filter\",failure=\"deadline\"}", 1.0);
}

#[tokio::test]
async fn a_slow_filter_holds_up_its_own_direction_and_nobody_else() {
    let echo = Echo::start("name");
    let proxy = with_filter(", on_failure: open, limits: {message: 300ms}", &echo);
    let mut bystander = routed(&proxy).await;
    let (mut client, mut backend) = pair(&proxy).await;
    say(&mut client, "L").await;
    say(&mut client, "far behind").await;
    for n in 0..20 {
        say(&mut bystander, format!("f{n}")).await;
        assert_eq!(hear_text(&mut bystander).await, format!("f{n}"));
    }
    say(&mut backend, "forward").await;
    // It waits for the filter, which looks at one thing at a time of one connection, and comes all the same.
    assert_eq!(hear_text(&mut client).await, "forward");
    assert_eq!(hear_text(&mut backend).await, "L", "after the deadline it passes: `on_failure: open`");
    assert_eq!(hear_text(&mut backend).await, "far behind");
    hang_up(&mut client, 1000, "").await;
    assert_eq!(hear_close(&mut backend).await, Some((1000, String::new())));
}

#[tokio::test]
async fn longer_messages_are_treated_as_the_filter_declared_and_the_other_direction_is_left_alone() {
    let echo = Echo::start("name");
    for (how, expected) in [('p', Some("e longer than ten")), ('d', None), ('c', None)] {
        let proxy = with_filter(&format!(", config: {{do: {how}}}"), &echo);
        let mut client = routed(&proxy).await;
        say(&mut client, "eto ten..!").await;
        assert_eq!(hear_text(&mut client).await, "to ten..!");
        say(&mut client, "e longer than ten").await;
        match (how, expected) {
            ('c', _) => {
                assert_eq!(hear_close(&mut client).await, Some((1009, "message too big".to_owned())));
                continue;
            }
            (_, Some(expected)) => assert_eq!(hear_text(&mut client).await, expected),
            (_, None) => {}
        }
        say(&mut client, "eend").await;
        assert_eq!(hear_text(&mut client).await, "end");
    }
}

#[tokio::test]
async fn compression_is_left_out_where_messages_are_read_and_frames_pass_as_they_came_where_not() {
    for (config, offered) in [("", false), (", config: {do: n}", true)] {
        let upstream = Upstream::bind().await;
        let setup = Setup::new(&format!(
            "plugins: {{filter: {{component: filter.wasm{config}}}}}
routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [filter], service: it}}]
services: {{it: {{endpoints: ['ws://{}']}}}}
",
            upstream.address
        ));
        setup.put("filter.wasm", filter());
        let proxy = setup.start();
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let (mut client, mut dialled) = tokio::join!(Wire::open_with(proxy.address, "/ws", offer, b""), async {
            let mut dialled = upstream.accept().await;
            assert_eq!(dialled.field("sec-websocket-extensions").is_some(), offered);
            dialled.switch("", b"").await;
            dialled
        });
        // In two frames, with a Ping between.
        client.send(0x01, b"for").await;
        client.send(0x89, b"p").await;
        client.send(0x80, b"ward").await;
        if offered {
            dialled.expect(0x01, b"for").await;
            dialled.expect(0x89, b"p").await;
            dialled.expect(0x80, b"ward").await;
            proxy.metric_becomes("cordboard_plugin_calls_total{plugin=\"filter\"}", 1.0);
        } else {
            dialled.expect(0x89, b"p").await;
            dialled.expect(0x81, b"forward").await;
        }
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_opened_refuses_and_one_that_loses_interest_is_not_asked_again() {
    let echo = Echo::start("name");
    let proxy = with_filter(", config: {do: T}", &echo);
    let (head, _) = crate::support::http(proxy.address, &crate::support::upgrade("/ws", ""));
    assert_eq!(crate::support::status(&head), 503);
    assert!(head.contains("x-cordboard-error: plugin-failed"), "{head}");
    drop(proxy);

    let proxy = with_filter("", &echo);
    let mut client = routed(&proxy).await;
    say(&mut client, "i").await;
    assert_eq!(hear_text(&mut client).await, "i");
    say(&mut client, "e").await;
    assert_eq!(hear_text(&mut client).await, "e");
    let (mut client, _) = dial_with(&proxy, "/ws", &[]).await;
    assert_eq!(hear_text(&mut client).await, "name");
}

#[tokio::test]
async fn no_more_is_put_together_than_the_filter_has_memory_for() {
    let echo = Echo::start("name");
    let proxy = with_filter(", config: {do: u}, limits: {memory: 512KiB}", &echo);
    let mut client = routed(&proxy).await;
    for (size, calls) in [((512 << 10) + 1, 1.0), (512 << 10, 2.0)] {
        let message = Message::binary(vec![7; size]);
        say(&mut client, message.clone()).await;
        assert_eq!(hear(&mut client).await, message);
        proxy.metric_becomes("cordboard_plugin_calls_total{plugin=\"filter\"}", calls);
    }
}
