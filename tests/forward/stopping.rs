//! While we stop, what has begun is finished, and nothing new begins on old connections.

use super::{answered, exchange, request, to};
use crate::support::{dial::within, upstream::Upstream, wire::Wire};

#[tokio::test]
async fn a_request_in_flight_is_answered_and_told_that_its_connection_ends() {
    let upstream = Upstream::bind().await;
    let mut proxy = to(&[upstream.address], "", "");
    // A connection to the service that is kept must not hold us up.
    let (mut idle, mut kept) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("POST /", "Content-Length: 8\r\n")).await;
    let (mut begun, mut half) = exchange(&proxy, &upstream, &request("GET /half", "")).await;
    kept.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut idle, 204).await;
    half.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    answered(&mut begun, 200).await;
    proxy.signal("TERM");
    proxy.metric_becomes("cordboard_draining", 1.0);
    assert_eq!(kept.take_rest().await, (vec![], true));
    assert_eq!(idle.take_rest().await, (vec![], true));
    client.write(b"all this").await;
    assert_eq!(service.take_body(8).await, b"all this");
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    answered(&mut client, 200).await;
    assert_eq!(client.field("connection"), Some("close"));
    assert_eq!(client.take_rest().await, (b"ok".to_vec(), true));
    half.write(b"rest").await;
    assert_eq!(begun.take_rest().await, (b"halfrest".to_vec(), true));
    let status = tokio::task::spawn_blocking(move || proxy.ended()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn what_has_not_ended_is_cut_at_grace() {
    let upstream = Upstream::bind().await;
    let mut proxy = crate::support::Proxy::with(&format!(
        "drain: {{grace: 300ms}}\nroutes: [{{name: rest, match: {{path: /}}, mode: http, service: web}}]\n\
         services: {{web: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    ));
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    proxy.signal("TERM");
    within("the cut", async {
        assert_eq!(client.take_rest().await.0, b"");
        assert_eq!(service.take_rest().await.0, b"");
    })
    .await;
    tokio::task::spawn_blocking(move || proxy.ended()).await.unwrap();
}

#[tokio::test]
async fn a_reload_that_takes_a_service_away_cuts_no_request() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    let other = Upstream::bind().await;
    let generation = proxy.generation();
    proxy.setup.write(&format!(
        "routes: [{{name: rest, match: {{path: /}}, mode: http, service: other}}]\n\
         services: {{other: {{endpoints: ['http://{}']}}}}\n",
        other.address
    ));
    proxy.reloaded(generation);
    let mut next = Wire::knock(proxy.address, &request("GET /", ""), b"").await;
    let mut new = other.accept().await;
    new.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut next, 204).await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_body(2).await, b"ok");
    proxy.metric_becomes("cordboard_generations_alive", 1.0);
}
