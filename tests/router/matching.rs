//! Which route a request takes, and what its rewriting makes of it on the way.

use std::net::SocketAddr;

use crate::support::{
    Proxy, Setup, http, status, upgrade,
    upstream::Upstream,
    wire::{TEXT, Wire},
};

/// One upstream for every route, which tells them apart by a header that each sets.
fn routes(upstream: &Upstream, routes: &[&str]) -> String {
    let service = format!("services: {{s: {{endpoints: ['ws://{}']}}}}\n", upstream.address);
    let route = |(number, route): (usize, &&str)| {
        let (condition, more) = route.split_once(" | ").unwrap_or((route, ""));
        let rewrite = "rewrite: [{header: {set: {x-route: ".to_owned() + &format!("r{number}") + "}}}]";
        let more = if more.is_empty() { rewrite } else { more.to_owned() };
        format!("  - {{name: r{number}, match: {{{condition}}}, mode: router, service: s, {more}}}\n")
    };
    format!("{service}routes:\n{}", routes.iter().enumerate().map(route).collect::<String>())
}

/// The request that the upstream gets.
async fn forwarded(address: SocketAddr, upstream: &Upstream, request: &str) -> Wire {
    let (client, dialled) = tokio::join!(
        async {
            let mut client = Wire::knock(address, request, b"").await;
            client.read_head().await;
            client
        },
        async {
            let mut dialled = upstream.accept().await;
            dialled.switch("", b"").await;
            dialled
        }
    );
    assert_eq!(client.status(), 101, "{}", client.head);
    dialled
}

#[tokio::test]
async fn the_first_route_whose_conditions_all_hold_is_taken_and_none_is_404() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&routes(
        &upstream,
        &[
            "path: /, host: [chat.example, '*.chat.example']",
            "path: /, method: POST",
            "path: /, headers: {x-version: '2', x-debug: {present: false}}",
            "path: /, query: {version: {prefix: '3'}}",
            "path: /, cookie: {beta: {regex: '^(on|yes)$'}}",
            "exact_path: /exact/path",
            "path_regex: '^/users/[0-9]+/(inbox|outbox)$'",
            "path: /prefix",
        ],
    ));
    for (target, more, expected) in [
        ("/x", "Host: chat.example", "r0"),
        ("/x", "Host: A.B.Chat.Example:8080", "r0"),
        ("/x", "Host: other\r\nX-Version: 1\r\nX-Version: 2", "r2"),
        ("/x?a&version=31", "Host: other", "r3"),
        ("/x?%76ersion=3", "Host: other\r\nX-Version: 3", "r3"),
        ("/x", "Host: other\r\nCookie: a=b; beta=yes", "r4"),
        ("/exact/%70ath", "Host: other", "r5"),
        ("/users/7/inbox", "Host: other", "r6"),
        ("/users/7/in%62ox", "Host: other", "r6"),
        ("/prefix/x", "Host: other", "r7"),
        ("/prefix", "Host: other\r\nX-Version: 2\r\nX-Debug: 1", "r7"),
    ] {
        let request = upgrade(target, &format!("{more}\r\n")).replacen("Host: test\r\n", "", 1);
        let dialled = forwarded(proxy.address, &upstream, &request).await;
        assert_eq!(dialled.field("x-route"), Some(expected), "{target} {more}");
    }
    for target in ["/exact/path/", "/users/x/inbox", "/users/7/inbox/", "/prefixes", "/?version=2"] {
        let (head, _) = http(proxy.address, &upgrade(target, ""));
        assert_eq!(status(&head), 404, "{target}: {head}");
        assert!(head.contains("x-cordboard-error: no-route"), "{head}");
    }
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn path_query_and_headers_are_rewritten_with_what_was_captured() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&routes(
        &upstream,
        &[
            "path: /ws | rewrite: [{path: '^/ws(/.*)?$', to: '$1'}, {header: {remove: [x-debug], set: {x-via: cordboard}}}]",
            "path_regex: '^/t/(?<tenant>[^/]+)' | rewrite: [{header: {set: {x-tenant: '$tenant'}}, query: {set: {t: '$tenant'}}}, \
             {path: '^/t/[^/]+/(v[0-9]+)', to: '/api', header: {append: {x-list: '$1'}}}]",
            "path: /q | rewrite: [{query: {remove: [token], replace: {mail: {regex: '@.*$', to: ''}}, append: {from: cordboard}}, \
             header: {replace: {authorization: {regex: '^Bearer (.*)$', to: 'Token $1'}}}}]",
        ],
    ));
    let cases = [
        ("/ws/a%20b?x=1&y", "X-Debug: 1\r\n", "/a%20b?x=1&y", vec![("x-via", "cordboard")]),
        ("/ws", "", "/", vec![]),
        ("/%77s//a", "", "//a", vec![]),
        ("/t/acme%20inc/v2/x", "", "/api/x?t=acme%20inc", vec![("x-tenant", "acme inc"), ("x-list", "v2")]),
        ("/t/acme/x?t=spoofed&a=%41", "X-Tenant: spoofed\r\n", "/t/acme/x?t=acme&a=%41", vec![("x-tenant", "acme")]),
        (
            "/q?token=secret&mail=bob%40x.y&a=+",
            "Authorization: Bearer abc\r\n",
            "/q?mail=bob&a=+&from=cordboard",
            vec![("authorization", "Token abc")],
        ),
    ];
    for (target, more, expected, fields) in cases {
        let dialled = forwarded(proxy.address, &upstream, &upgrade(target, more)).await;
        assert_eq!(dialled.target(), expected, "{target}");
        assert_eq!(dialled.field("x-debug"), None, "{target}");
        for (name, value) in fields {
            assert_eq!(dialled.fields(name), [value], "{target}");
        }
    }
}

#[tokio::test]
async fn a_rewrite_that_would_make_a_dot_segment_is_400_and_nobody_is_dialled() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&routes(&upstream, &["path: / | rewrite: [{path: '^/files/x(.*)$', to: '/files/$1'}]"]));
    let (head, body) = http(proxy.address, &upgrade("/files/x../etc", ""));
    assert_eq!(status(&head), 400, "{head}");
    assert!(head.contains("x-cordboard-error: bad-path") && body.contains("once it is rewritten"), "{head}\n{body}");
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn the_host_of_the_request_is_the_callers_or_the_endpoints() {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&routes(&upstream, &["path: /kept", "path: /own | host: endpoint"]));
    let dialled = forwarded(proxy.address, &upstream, &upgrade("/kept", "")).await;
    assert_eq!(dialled.fields("host"), ["test"]);
    let dialled = forwarded(proxy.address, &upstream, &upgrade("/own", "")).await;
    assert_eq!(dialled.fields("host"), [upstream.address.to_string()]);
    assert_eq!(dialled.fields("x-forwarded-host"), ["test"]);
}

#[tokio::test]
async fn a_trusted_proxys_word_on_the_client_is_believed_and_passed_on_and_a_strangers_is_not() {
    let upstream = Upstream::bind().await;
    let start = |trusted: &str| {
        let setup = Setup::new("");
        let yaml = format!(
            "listeners: [{{name: main, address: '127.0.0.1:0', trusted_proxies: [{trusted}]}}]\n\
             admin: {{address: '127.0.0.1:0'}}\n{}",
            routes(&upstream, &["path: /"])
        );
        setup.put("cordboard.yaml", yaml.as_bytes());
        setup.start()
    };
    let said =
        "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-User: bob\r\n";
    let trusting = start("127.0.0.1, 10.0.0.0/8");
    let dialled = forwarded(trusting.address, &upstream, &upgrade("/", said)).await;
    assert_eq!(dialled.fields("x-forwarded-for"), ["6.6.6.6, 203.0.113.7, 10.1.2.3, 127.0.0.1"]);
    assert_eq!(dialled.fields("x-forwarded-proto"), ["https"]);
    assert_eq!(dialled.fields("x-forwarded-user"), ["bob"]);
    let expected = "for=6.6.6.6, for=203.0.113.7, for=10.1.2.3, for=127.0.0.1;host=test;proto=https";
    assert_eq!(dialled.fields("forwarded"), [expected]);
    drop(dialled);
    trusting.logged(&["session ended", "client=203.0.113.7", "peer=127.0.0.1:"]);

    let wary = start("10.0.0.0/8");
    let dialled = forwarded(wary.address, &upstream, &upgrade("/", said)).await;
    assert_eq!(dialled.fields("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(dialled.fields("x-forwarded-proto"), ["http"]);
    assert_eq!(dialled.fields("x-forwarded-user"), [""; 0]);
}

#[tokio::test]
async fn trusted_proxies_change_with_a_reload_for_connections_that_come_after_it() {
    let upstream = Upstream::bind().await;
    let yaml = |trusted: &str| {
        format!(
            "listeners: [{{name: main, address: '127.0.0.1:0', trusted_proxies: [{trusted}]}}]\n\
             admin: {{address: '127.0.0.1:0'}}\nreload: {{quiet: 20ms}}\n{}",
            routes(&upstream, &["path: /"])
        )
    };
    let setup = Setup::new("");
    setup.put("cordboard.yaml", yaml("").as_bytes());
    let proxy = setup.start();
    let request = upgrade("/", "X-Forwarded-For: 203.0.113.7\r\n");
    let dialled = forwarded(proxy.address, &upstream, &request).await;
    assert_eq!(dialled.fields("x-forwarded-for"), ["127.0.0.1"]);
    let before = proxy.generation();
    proxy.setup.put("cordboard.yaml", yaml("127.0.0.0/8").as_bytes());
    proxy.reloaded(before);
    let mut dialled = forwarded(proxy.address, &upstream, &request).await;
    assert_eq!(dialled.fields("x-forwarded-for"), ["203.0.113.7, 127.0.0.1"]);
    dialled.send(TEXT, b"still a conversation").await;
}
