//! What the upstream is told: everything the client said but for what ended at this hop, and what is ours to say.

use crate::{
    joined,
    support::{Proxy, upgrade, upstream::Upstream, wire::Wire},
    to,
};

/// The request that an upstream gets for a client's, through the router policy.
async fn forwarded(target: &str, more: &str) -> Wire {
    let upstream = Upstream::bind().await;
    let proxy = Proxy::with(&format!(
        "plugins: {{router: {{component: 'builtin:router', config: {{pathPrefixService: {{/ws: chat}}}}}}}}\n\
         routes: [{{name: ws, match: {{path: /ws}}, mode: router, plugins: [router]}}]\n\
         services: {{chat: {{endpoints: ['ws://{}']}}}}\n",
        upstream.address
    ));
    let (client, dialled) = tokio::join!(Wire::open_with(proxy.address, target, more, b""), async {
        let mut dialled = upstream.accept().await;
        dialled.switch("", b"").await;
        dialled
    });
    assert_eq!(client.status(), 101, "{}", client.head);
    dialled
}

// Regression: the outgoing handshake was made anew with a chosen few of the client's headers.
#[tokio::test]
async fn all_headers_of_the_client_are_forwarded_in_order_but_hop_by_hop_ones() {
    let more = "Authorization: Bearer abc\r\nCookie: a=1\r\nX-One: 1\r\nX-Two: first\r\nOrigin: https://example.org\r\n\
                X-Two: second\r\nUser-Agent: test\r\nAccept-Language: de\r\n";
    let ended = "Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\
                 Connection: X-Listed\r\nX-Listed: ends here\r\n";
    let request = forwarded("/ws/a", &format!("{more}{ended}")).await;
    for line in more.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        assert!(request.fields(name).contains(&value), "{line} is missing in {}", request.head);
    }
    assert_eq!(request.fields("x-two"), ["first", "second"]);
    for name in ["keep-alive", "te", "proxy-authorization", "proxy-connection", "x-listed"] {
        assert_eq!(request.fields(name), [""; 0], "{}", request.head);
    }
    assert_eq!((request.field("connection"), request.field("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!((request.field("host"), request.field("sec-websocket-version")), (Some("test"), Some("13")));
    let key = request.field("sec-websocket-key").unwrap();
    assert_ne!(key, "dGhlIHNhbXBsZSBub25jZQ==", "each leg has a key of its own");
}

#[tokio::test]
async fn forwarded_fields_are_ours_whatever_the_client_says() {
    let lies = "X-Forwarded-For: 10.9.8.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
                X-Forwarded-Port: 1\r\nX-Forwarded-User: root\r\nForwarded: for=10.9.8.7\r\n";
    let request = forwarded("/ws", lies).await;
    assert_eq!(request.fields("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(request.fields("x-forwarded-proto"), ["http"]);
    assert_eq!(request.fields("x-forwarded-host"), ["test"]);
    assert_eq!(request.fields("x-forwarded-port"), ["80"]);
    assert_eq!(request.fields("x-forwarded-user"), [""; 0]);
    assert_eq!(request.fields("forwarded"), ["for=127.0.0.1;host=test;proto=http"]);
}

#[tokio::test]
async fn the_routers_own_parameters_and_headers_go_no_further_and_the_rest_is_untouched() {
    let target = "/ws/%7euser//x?a=1&service_id=chat&b=%zz&protocol=ws&&c=+%20&env_tag=&serviceId=x&d&envTag=e&=f;g";
    let request = forwarded(target, "Service-Id: chat\r\nserviceId: chat\r\nX-Kept: 1\r\n").await;
    assert_eq!(request.target(), "/ws/%7euser//x?a=1&b=%zz&&c=+%20&d&=f;g");
    assert_eq!((request.fields("service-id"), request.fields("serviceid")), (vec![], vec![]));
    assert_eq!(request.field("x-kept"), Some("1"));
}

#[tokio::test]
async fn a_query_without_router_parameters_is_byte_identical_and_an_emptied_one_leaves_no_question_mark() {
    let target = "/ws?%61=%2F&b=a%20b+c&&&==&?x=/connect&\u{e4}";
    assert_eq!(forwarded(target, "").await.target(), target);
    assert_eq!(forwarded("/ws?", "").await.target(), "/ws?");
    assert_eq!(forwarded("/ws?service_id=chat", "").await.target(), "/ws");
}

#[tokio::test]
async fn fields_of_the_upstreams_101_reach_the_client_but_hop_by_hop_ones_and_its_handshake() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "");
    let chosen = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Served-By: node 7\r\nKeep-Alive: timeout=5\r\n";
    let (client, dialled) = joined(&proxy, &upstream, "", chosen).await;
    assert_eq!(client.fields("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(client.field("x-served-by"), Some("node 7"));
    assert_eq!(client.field("keep-alive"), None);
    // RFC 6455 §1.3: the answer to the key in `upgrade`.
    assert!(upgrade("/", "").contains("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(client.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", dialled.head);
}
