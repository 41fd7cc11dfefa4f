//! Every wait and every size has a bound, and each is told by its cause.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{answered, at_rest, at_rest_without_connections, exchange, refused, request, to};
use crate::support::{
    Setup,
    dial::{not_before, within},
    upstream::Upstream,
    wire::Wire,
};

const IDLE: Duration = Duration::from_millis(400);

fn count(cause: &str) -> String {
    format!("cordboard_causes_total{{cause=\"{cause}\"}}")
}

#[tokio::test]
async fn a_body_as_large_as_it_may_be_passes_and_a_larger_one_is_413() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {body: 8B}", "");
    let (mut client, mut service) =
        exchange(&proxy, &upstream, &(request("POST /", "Content-Length: 8\r\n") + "just fit")).await;
    assert_eq!(service.take_body(8).await, b"just fit");
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    // One that says its length is refused before anybody is asked, and what is sent of it all the same is thrown away.
    client.write((request("POST /", "Content-Length: 9\r\n") + "one more!").as_bytes()).await;
    refused(&mut client, 413, "body-too-big").await;
    let length = client.field("content-length").unwrap().parse().unwrap();
    client.take_body(length).await;
    // So is one whose length is seen as it comes.
    client
        .write(
            (request("POST /", "Transfer-Encoding: chunked\r\n") + "8\r\njust fit\r\n1\r\n!\r\n0\r\n\r\n").as_bytes(),
        )
        .await;
    refused(&mut client, 413, "body-too-big").await;
    proxy.metric_becomes(&count("body-too-big"), 2.0);
    for detail in ["9 bytes are more than 8 (http.body)", "more than 8 bytes (http.body)"] {
        proxy.logged(&["request refused", "cause=body-too-big", "status=413", &format!("detail=\"{detail}\"")]);
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn chunks_that_just_fit_pass() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {body: 8B}", "");
    let sent = request("POST /", "Transfer-Encoding: chunked\r\n") + "8\r\njust fit\r\n0\r\n\r\n";
    let (_client, mut service) = exchange(&proxy, &upstream, &sent).await;
    assert_eq!(service.take_chunks(8).await, b"just fit");
    assert!(service.last_chunk().await.is_empty());
}

#[tokio::test]
async fn a_client_that_stops_sending_its_body_is_408_after_idle() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    let begun = Instant::now();
    let (mut client, mut service) =
        exchange(&proxy, &upstream, &(request("POST /", "Content-Length: 8\r\n") + "half")).await;
    refused(&mut client, 408, "body-stalled").await;
    not_before(begun, IDLE);
    assert_eq!(service.take_rest().await.0, b"half");
    proxy.metric_becomes(&count("body-stalled"), 1.0);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_no_stalled_one() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 1s, answer: 100ms}", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("POST /", "Content-Length: 6\r\n")).await;
    let begun = Instant::now();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.write(b"x").await;
        service.take_body(1).await;
    }
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
    not_before(begun, Duration::from_millis(1_500));
}

#[tokio::test]
async fn a_service_that_stops_taking_the_body_is_504_after_idle() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    let head = request("POST /", "Content-Length: 1000000000\r\n");
    let (mut client, service) = exchange(&proxy, &upstream, &head).await;
    let (mut reads, mut writes) = client.stream.split();
    let mut answer = Vec::new();
    within("an answer", async {
        tokio::select! {
            () = async { while writes.write_all(&[0; 65_536]).await.is_ok() {} } => panic!("the whole body was taken"),
            () = async { while !answer.ends_with(b"in time\n") { reads.read_buf(&mut answer).await.unwrap(); } } => {}
        }
    })
    .await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("upstream-timeout"), "{answer}");
    drop(service);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_service_that_stops_within_its_answer_is_cut_after_idle_and_so_is_the_client() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    let begun = Instant::now();
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    answered(&mut client, 200).await;
    assert_eq!(client.take_rest().await, (b"half".to_vec(), false), "a reset, and not an end");
    not_before(begun, IDLE);
    service.take_rest().await;
    proxy.logged(&["request forwarded", "cause=body-stalled", "outcome=error", "status=200", "bytes_out=4"]);
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_after_idle_and_the_service_with_it() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    answered(&mut client, 200).await;
    within("the service to be cut", async { while service.stream.write_all(&[0; 65_536]).await.is_ok() {} }).await;
    proxy.metric_becomes(&count("body-stalled"), 1.0);
    at_rest_without_connections(&proxy);
    proxy.metric_becomes("cordboard_connections", 0.0);
    drop(client);
}

#[tokio::test]
async fn a_client_that_does_not_read_the_end_of_its_answer_is_cut_too() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms}", "");
    // More than what the client's side of the kernel takes, and less than the rest that is kept for it: so all of it is
    // taken from the service, and the request is over but for the client.
    let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(4096).unwrap();
    client.connect(&proxy.address.into()).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut client = tokio::net::TcpStream::from_std(client.into()).unwrap();
    client.write_all(request("GET /", "").as_bytes()).await.unwrap();
    let mut service = upstream.accept().await;
    let length = 3 << 20;
    service.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await;
    let _ = within("the answer to be taken, or cut", service.stream.write_all(&vec![0; length])).await;
    proxy.metric_becomes("cordboard_connections", 0.0);
    at_rest(&proxy);
}

#[tokio::test]
async fn a_slow_answer_is_no_stalled_one() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 1s}", "");
    let (mut client, mut service) = exchange(&proxy, &upstream, &request("GET /", "")).await;
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await;
    answered(&mut client, 200).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.write(b"x").await;
        client.take_body(1).await;
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn the_rest_of_a_request_that_is_answered_already_is_thrown_away_for_linger() {
    let upstream = Upstream::bind().await;
    let setup = Setup::new("");
    let yaml = |linger: &str| {
        format!(
            "listeners: [{{name: main, address: '127.0.0.1:0', linger: {linger}}}]\nadmin: {{address: '127.0.0.1:0'}}\n\
             routes: [{{name: rest, match: {{path: /}}, mode: http, service: web, http: {{body: 4B}}}}]\n\
             services: {{web: {{endpoints: ['http://{}']}}}}\n",
            upstream.address
        )
    };
    setup.put("cordboard.yaml", yaml("400ms").as_bytes());
    let proxy = setup.start();
    let mut client = Wire::knock(proxy.address, &request("POST /", "Content-Length: 1000000000\r\n"), b"").await;
    refused(&mut client, 413, "body-too-big").await;
    let begun = Instant::now();
    within("the cut", async { while client.stream.write_all(&[0; 65_536]).await.is_ok() {} }).await;
    not_before(begun, Duration::from_millis(200));
    proxy.metric_becomes("cordboard_connections", 0.0);
}
