//! Several plugins on a route, and what a failure or silence of one means for the next.

use super::{
    failures,
    guests::{Guest, ROLES, SILENT, detect_role, puppet},
    handshake, is_well, setup,
    support::{Proxy, upstream::Upstream, wire::Wire},
};

/// Sets one header to one value.
fn rewriter(name: &str, value: &str) -> Vec<u8> {
    let meta = "export cordboard:plugin/meta@0.1.0; export cordboard:plugin/request-rewriting@0.1.0;";
    let (n, v) = (name.len(), value.len());
    Guest::of(meta).build(&format!(
        r#"(module {SILENT}
            (data (i32.const 256) "{name}") (data (i32.const 320) "{value}")
            (func (export "cordboard:plugin/request-rewriting@0.1.0#rewrite-request") (result i32)
                (i32.store (i32.const 516) (i32.const 528)) (i32.store (i32.const 520) (i32.const 1))
                (i32.store (i32.const 532) (i32.const 256)) (i32.store (i32.const 536) (i32.const {n}))
                (i32.store (i32.const 540) (i32.const 320)) (i32.store (i32.const 544) (i32.const {v}))
                (i32.const 512)))"#
    ))
}

fn silent() -> Vec<u8> {
    Guest::of(ROLES).build(&format!("(module {SILENT} {})", detect_role("")))
}

/// A proxy whose first route, at `path`, asks these plugins.
fn chain(path: &str, plugins: &str, settings: &str) -> Proxy {
    let route = format!("{{name: first, match: {{path: {path}}}, mode: rendezvous, plugins: [{plugins}]}}");
    let yaml = super::yaml(settings, "").replace("routes:\n", &format!("routes:\n  - {route}\n"));
    let yaml = yaml.replace("plugins:\n", "plugins:\n  silent: {component: silent.wasm}\n");
    let setup = setup(puppet(), settings, "");
    setup.put("silent.wasm", &silent());
    setup.write(&yaml);
    setup.start()
}

#[test]
fn the_first_opinion_wins_and_silence_passes_the_question_on() {
    let proxy = chain("/both", "silent, puppet, rendezvous", "");
    // By the path the built-in policy would say `client`.
    assert_eq!(handshake(&proxy, "/both?b-1").status, 101);
    proxy.logged(&["session ended", "role=backend", "policy=puppet@"]);
    assert_eq!(handshake(&proxy, "/both?n&channelId=2").status, 101);
    proxy.logged(&["session ended", "role=client", "policy=rendezvous@"]);
}

#[test]
fn a_rejection_ends_the_search() {
    let proxy = chain("/both", "silent, puppet, rendezvous", "");
    let answer = handshake(&proxy, "/both?q&channelId=2");
    assert_eq!((answer.status, answer.cause(), &*answer.body), (403, "rejected", "q&channelId=2"));
}

#[test]
fn without_an_opinion_the_next_matching_route_is_tried() {
    let proxy = chain("/chat", "silent, puppet", "");
    let answer = handshake(&proxy, "/chat?n&channelId=2");
    assert_eq!((answer.status, answer.field("x-channel-id")), (101, Some("2")));
    let answer = handshake(&proxy, "/chat?k&channelId=2");
    assert_eq!((answer.status, answer.cause()), (403, "rejected"));
    assert_eq!(handshake(&proxy, "/told?n").cause(), "no-role");
}

#[test]
fn a_failing_plugin_that_may_fail_open_has_no_opinion() {
    let proxy = chain("/open", "puppet, rendezvous", ", on_failure: open");
    for (target, failure) in [("/open?T&channelId=2", "trap"), ("/open?L&channelId=2", "deadline")] {
        assert_eq!(handshake(&proxy, target).status, 101, "{target}");
        assert!((failures(&proxy, failure) - 1.0).abs() < 0.5, "{target}");
        proxy.logged(&["a policy failed", "plugin=puppet", "route=first", &format!("failure={failure}")]);
    }
    // An answer that breaks the contract is a failure, too: nothing of it counts.
    let answer = handshake(&proxy, "/open?ca&channelId=2");
    assert_eq!((answer.status, answer.field("x-channel-id")), (101, Some("2")));
    proxy.logged(&["a policy failed", "plugin=puppet", "route=first", "failure=contract"]);
    is_well(&proxy);
}

#[tokio::test]
async fn edits_add_up_and_later_ones_win() {
    let upstream = Upstream::bind().await;
    let setup = setup(puppet(), "", "");
    let yaml = super::yaml(", on_failure: open", "")
        .replace("plugins:\n", "plugins:\n  more: {component: more.wasm}\n  last: {component: last.wasm}\n")
        .replace("mode: router, plugins: [puppet]", "mode: router, plugins: [puppet, more, last]")
        .replace("127.0.0.1:1", &upstream.address.to_string());
    setup.put("more.wasm", &rewriter("x-more", "1"));
    setup.put("last.wasm", &rewriter("x-order", "last"));
    setup.write(&yaml);
    let proxy = setup.start();
    for (target, x_order) in [("/dial?rz", "last"), ("/dial?rC", "last")] {
        let (client, dialled) = tokio::join!(Wire::open(proxy.address, target), async {
            let mut dialled = upstream.accept().await;
            dialled.switch("", b"").await;
            dialled
        });
        assert_eq!(client.status(), 101, "{}", client.head);
        assert_eq!((dialled.fields("x-more"), dialled.fields("x-order")), (vec!["1"], vec![x_order]));
    }
    proxy.logged(&["a policy failed", "plugin=puppet", "route=dial", "the header connection is the proxy's own"]);
}
