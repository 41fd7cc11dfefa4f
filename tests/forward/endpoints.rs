//! Which endpoint is asked, and what is said when none answers.

use std::time::{Duration, Instant};

use super::{answered, at_rest_without_connections, exchange, refused, request, to};
use crate::support::{
    Proxy, Setup,
    dial::not_before,
    upstream::{Mute, Refusing, Upstream},
    wire::Wire,
};

const NOTHING: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

#[tokio::test]
async fn an_endpoint_that_refuses_gives_way_to_the_next_and_the_body_goes_there() {
    let (nobody, upstream) = (Refusing::bind(), Upstream::bind().await);
    let proxy = to(&[nobody.address, upstream.address], "", "");
    for _ in 0..4 {
        let sent = request("POST /", "Content-Length: 4\r\nConnection: close\r\n") + "body";
        let (mut client, mut service) = exchange(&proxy, &upstream, &sent).await;
        assert_eq!(service.take_body(4).await, b"body");
        service.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        answered(&mut client, 204).await;
    }
}

#[tokio::test]
async fn all_endpoints_refusing_is_502() {
    let (one, other) = (Refusing::bind(), Refusing::bind());
    let proxy = to(&[one.address, other.address], "", "");
    let mut client = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    refused(&mut client, 502, "no-endpoint").await;
    let port = format!(":{}", other.address.port());
    proxy.logged(&["request refused", "cause=no-endpoint", "path=/", &port]);
    at_rest_without_connections(&proxy);
}

/// Somebody forgot that the service is reached by the very address that forwards to it.
#[tokio::test]
async fn a_request_that_goes_in_a_circle_is_508_and_costs_no_more_than_a_few_connections() {
    let setup = Setup::new("");
    let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let yaml = format!(
        "listeners: [{{name: main, address: '{here}'}}]\nadmin: {{address: '127.0.0.1:0'}}\n\
         routes: [{{name: rest, match: {{path: /}}, mode: http, service: self}}]\n\
         services: {{self: {{endpoints: ['http://{here}']}}}}\n"
    );
    setup.put("cordboard.yaml", yaml.as_bytes());
    let proxy = setup.start();
    let mut client = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    refused(&mut client, 508, "loop").await;
    proxy.metric_becomes("cordboard_requests_total{route=\"rest\",class=\"5xx\"}", 9.0);
}

#[tokio::test]
async fn endpoints_take_turns() {
    let (one, other) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = to(&[one.address, other.address], "", "");
    let mut client = Wire::knock(proxy.address, "", b"").await;
    for upstream in [&one, &other] {
        client.write(request("GET /", "").as_bytes()).await;
        let mut service = upstream.accept().await;
        service.write(NOTHING).await;
        answered(&mut client, 204).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_no_connection_in_time_is_504() {
    // The kernel takes one connection more than the backlog, and leaves the others unanswered.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let _taken = tokio::net::TcpStream::connect(address).await.unwrap();
    let proxy = to(&[address], "", ", connect_timeout: 300ms");
    let begun = Instant::now();
    let mut client = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    refused(&mut client, 504, "upstream-timeout").await;
    not_before(begun, Duration::from_millis(300));
}

#[tokio::test]
async fn a_service_that_is_silent_is_504_after_answer_and_nobody_else_is_asked() {
    let (mute, upstream) = (Mute::bind(), Upstream::bind().await);
    let proxy = to(&[mute.address, upstream.address], ", http: {answer: 300ms}", "");
    let begun = Instant::now();
    let sent = request("POST /", "Content-Length: 4\r\n") + "body";
    let mut client = Wire::knock(proxy.address, &sent, b"").await;
    refused(&mut client, 504, "upstream-timeout").await;
    not_before(begun, Duration::from_millis(300));
    assert!(upstream.is_left_alone().await);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_policy_chooses_service_tag_and_path() {
    let (plain, tagged) = (Upstream::bind().await, Upstream::bind().await);
    let proxy = Proxy::with(&format!(
        "plugins:
  router:
    component: 'builtin:router'
    config: {{pathPrefixService: {{/api: {{serviceId: web, envTag: dev}}, /plain: web}}}}
routes: [{{name: rest, match: {{path: /}}, mode: http, plugins: [router]}}]
services: {{web: {{endpoints: ['http://{}', {{url: 'http://{}', env_tag: dev}}]}}}}
",
        plain.address, tagged.address
    ));
    for (path, upstream) in [("/api/x", &tagged), ("/plain/x", &plain)] {
        let (mut client, mut service) = exchange(&proxy, upstream, &request(&format!("GET {path}"), "")).await;
        service.write(NOTHING).await;
        answered(&mut client, 204).await;
        proxy.logged(&["request forwarded", &format!("path={path}"), "policy=router@", "upstream=\"web "]);
    }
}
