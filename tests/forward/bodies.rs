//! Bodies stream: nothing waits for the end of what it belongs to.

use super::{exchange, to};
use crate::support::upstream::Upstream;

#[tokio::test]
async fn an_answer_passes_as_it_comes() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let (mut client, mut service) =
        exchange(&proxy, &upstream, "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(service.head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{}", service.head);
    assert_eq!(service.field("host"), Some("example.com"));
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-Of: service\r\n\r\nhello ").await;
    client.read_head().await;
    assert_eq!(
        (client.status(), client.field("content-length"), client.field("x-of")),
        (200, Some("11"), Some("service"))
    );
    assert_eq!(client.take_body(6).await, b"hello ", "the rest has not come yet");
    service.write(b"world").await;
    assert_eq!(client.take_body(5).await, b"world");
}

#[tokio::test]
async fn a_request_passes_as_it_comes() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let request = "POST /in HTTP/1.1\r\nHost: example.com\r\nContent-Length: 11\r\n\r\nhello ";
    let (mut client, mut service) = exchange(&proxy, &upstream, request).await;
    assert_eq!(service.field("content-length"), Some("11"));
    assert_eq!(service.take_body(6).await, b"hello ", "the rest has not come yet");
    client.write(b"world").await;
    assert_eq!(service.take_body(5).await, b"world");
    service.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    client.read_head().await;
    assert_eq!(client.status(), 201);
}
