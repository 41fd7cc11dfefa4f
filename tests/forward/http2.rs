//! HTTP/2 from the client, by prior knowledge, on the same address; services are spoken to in HTTP/1.1.

use std::{
    pin::Pin,
    process::Command,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::mpsc, task::JoinHandle};

use super::{answered, at_rest, at_rest_without_connections, to};
use crate::support::{CHAT, Proxy, Setup, dial::within, upstream::Upstream, wire::Wire};

type Pieces = mpsc::UnboundedReceiver<Result<Frame<Bytes>, std::io::Error>>;

/// A body that is sent frame by frame, or none at all.
struct Sent(Option<Pieces>);

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |pieces| pieces.poll_recv(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

struct Client {
    sender: SendRequest<Sent>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client {
    async fn dial(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = within("the handshake", handshake).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends a request whose body the test sends by the channel.
    fn ask(
        &mut self,
        request: http::request::Builder,
    ) -> (mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>, JoinHandle<hyper::Result<Response<Incoming>>>)
    {
        let (body, pieces) = mpsc::unbounded_channel();
        let answer = self.sender.send_request(request.body(Sent(Some(pieces))).unwrap());
        (body, tokio::spawn(answer))
    }

    /// The same without a body.
    fn get(&mut self, path: &str) -> JoinHandle<hyper::Result<Response<Incoming>>> {
        let request = Request::get(format!("http://example.com{path}")).body(Sent(None)).unwrap();
        tokio::spawn(self.sender.send_request(request))
    }
}

async fn head(answer: JoinHandle<hyper::Result<Response<Incoming>>>) -> hyper::Result<Response<Incoming>> {
    within("an answer", answer).await.unwrap()
}

/// Status and cause of a refusal.
fn said(answer: &Response<Incoming>) -> (u16, &str) {
    (answer.status().as_u16(), answer.headers().get("x-cordboard-error").unwrap().to_str().unwrap())
}

fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, std::io::Error> {
    Ok(Frame::data(Bytes::from_static(bytes)))
}

#[tokio::test]
async fn curl_speaks_both_versions_on_one_address() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let url = format!("http://{}/by/curl?x=1", proxy.address);
        let curl = tokio::task::spawn_blocking(move || {
            Command::new("curl")
                .args(["--silent", "--show-error", "--max-time", "20", "--data", "sent by curl"])
                .args(["--write-out", " in HTTP/%{http_version}", version, &url])
                .output()
                .unwrap()
        });
        let mut service = upstream.accept().await;
        assert!(service.head.starts_with("POST /by/curl?x=1 HTTP/1.1\r\n"), "{}", service.head);
        assert_eq!(service.field("host"), Some(proxy.address.to_string().as_str()));
        assert_eq!(service.field("content-length"), Some("12"));
        assert_eq!(service.take_body(12).await, b"sent by curl");
        service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nanswered").await;
        let output = curl.await.unwrap();
        let version = if version == "--http1.1" { "1.1" } else { "2" };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("answered in HTTP/{version}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    at_rest(&proxy);
}

#[tokio::test]
async fn a_preface_in_pieces_is_one_and_a_request_that_begins_like_it_is_none() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Wire::knock(proxy.address, "P", b"").await;
    for piece in ["RI * HT", "TP/2.0\r\n\r\nS", "M\r\n\r\n"] {
        // Long enough to arrive by itself; where it does not, the others still do.
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.write(piece.as_bytes()).await;
    }
    client.write(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    let settings = client.take_body(9).await;
    assert_eq!(settings[3], 4, "a frame SETTINGS: {settings:?}");

    let mut client = Wire::knock(proxy.address, "PR", b"").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.write(b"OPFIND /x HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    let mut service = upstream.accept().await;
    assert!(service.head.starts_with("PROPFIND /x "), "{}", service.head);
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    answered(&mut client, 204).await;
}

#[tokio::test]
async fn streams_of_one_connection_pass_side_by_side_both_ways() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    let (first_body, first) = client.ask(Request::post("http://example.com/first"));
    first_body.send(data(b"one ")).unwrap();
    let mut one = upstream.accept().await;
    assert_eq!((one.target(), one.field("transfer-encoding")), ("/first", Some("chunked")));
    let second = client.get("/second");
    let mut other = upstream.accept().await;
    assert_eq!(
        (other.target(), other.field("transfer-encoding"), other.field("host")),
        ("/second", None, Some("example.com"))
    );
    // The later one is answered first.
    other.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nearly\r\n").await;
    let second = head(second).await.unwrap();
    assert_eq!((second.status(), second.headers().get("connection")), (http::StatusCode::OK, None));
    let mut second = second.into_body();
    assert_eq!(within("data", second.frame()).await.unwrap().unwrap().into_data().unwrap(), "early");
    assert_eq!(one.take_chunks(4).await, b"one ");
    first_body.send(data(b"two")).unwrap();
    assert_eq!(one.take_chunks(3).await, b"two");
    drop(first_body);
    assert!(one.last_chunk().await.is_empty());
    one.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(head(first).await.unwrap().status(), 201);
    other.write(b"0\r\n\r\n").await;
    assert!(within("the end", second.collect()).await.unwrap().to_bytes().is_empty());
    at_rest(&proxy);
}

#[tokio::test]
async fn cookies_in_crumbs_are_one_field_for_the_service() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    let asked =
        Request::get("http://example.com/").header("cookie", "a=1").header("cookie", "b=2").header("cookie", "c=3");
    let (_, answer) = client.ask(asked);
    let mut service = upstream.accept().await;
    assert_eq!(service.field("cookie"), Some("a=1; b=2; c=3"));
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(head(answer).await.unwrap().status(), 204);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    let (body, answer) =
        client.ask(Request::post("http://example.com/").header("te", "trailers").header("trailer", "x-sum"));
    body.send(data(b"abc")).unwrap();
    body.send(Ok(Frame::trailers([("x-sum".parse().unwrap(), "6".parse().unwrap())].into_iter().collect()))).unwrap();
    drop(body);
    let mut service = upstream.accept().await;
    assert_eq!(service.field("te"), Some("trailers"));
    assert_eq!(service.take_chunks(3).await, b"abc");
    assert_eq!(service.last_chunk().await, ["x-sum: 6"]);
    service.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n").await;
    let answer = head(answer).await.unwrap();
    let all = within("the body", answer.into_body().collect()).await.unwrap();
    assert_eq!(all.trailers().and_then(|trailers| trailers.get("grpc-status")).unwrap(), "0", "announced or not");
    assert_eq!(all.to_bytes(), "ok");
}

#[tokio::test]
async fn a_stream_that_the_client_resets_takes_the_request_with_it_and_no_other() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    let staying = client.get("/staying");
    let mut stays = upstream.accept().await;
    for part in [false, true] {
        let answer = client.get("/leaving");
        let mut leaves = upstream.accept().await;
        if part {
            leaves.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
            let mut body = head(answer).await.unwrap().into_body();
            within("data", body.frame()).await;
        } else {
            answer.abort();
        }
        assert_eq!(leaves.take_rest().await.0, b"");
    }
    stays.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(head(staying).await.unwrap().status(), 204);
    proxy.logged(&["request refused", "cause=client-gone", "path=/leaving"]);
    proxy.logged(&["request forwarded", "cause=client-gone", "path=/leaving"]);
    at_rest(&proxy);
}

#[tokio::test]
async fn a_service_that_breaks_within_its_answer_resets_the_stream() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let asked = client.get("/");
        let mut service = upstream.accept().await;
        service.write(answer.as_bytes()).await;
        let body = head(asked).await.unwrap().into_body();
        drop(service);
        let all = within("the body", body.collect()).await;
        assert!(all.is_err(), "{all:?}");
    }
    at_rest_without_connections(&proxy);
}

#[tokio::test]
async fn a_stream_that_stalls_is_reset_after_idle_and_the_others_go_on() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {idle: 400ms, answer: 20s}", "");
    let mut client = Client::dial(&proxy).await;
    let waiting = client.get("/waiting");
    let mut patient = upstream.accept().await;
    // The service stops.
    let asked = client.get("/stops");
    let mut stops = upstream.accept().await;
    stops.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    let body = head(asked).await.unwrap().into_body();
    assert!(within("the reset", body.collect()).await.is_err());
    stops.take_rest().await;
    // The client takes nothing.
    let asked = client.get("/full");
    let mut full = upstream.accept().await;
    full.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let untaken = head(asked).await.unwrap().into_body();
    within("the service to be cut", async { while full.stream.write_all(&[0; 65_536]).await.is_ok() {} }).await;
    patient.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(head(waiting).await.unwrap().status(), 204);
    proxy.metric_becomes("cordboard_causes_total{cause=\"body-stalled\"}", 2.0);
    drop(untaken);
    at_rest(&proxy);
}

#[tokio::test]
async fn refusals_and_their_labels_are_the_same() {
    let proxy = Proxy::with(CHAT);
    let mut client = Client::dial(&proxy).await;
    for (path, status, cause) in [("/nowhere", 404, "no-route"), ("/chat?channelId=1", 426, "not-an-upgrade")] {
        let answer = head(client.get(path)).await.unwrap();
        assert_eq!(said(&answer), (status, cause));
    }
}

#[tokio::test]
async fn a_body_that_is_too_big_is_413_and_the_connection_goes_on() {
    let upstream = Upstream::bind().await;
    let proxy = to(&[upstream.address], ", http: {body: 4B}", "");
    let mut client = Client::dial(&proxy).await;
    let (body, answer) = client.ask(Request::post("http://example.com/"));
    body.send(data(b"too ")).unwrap();
    let mut service = upstream.accept().await;
    assert_eq!(service.take_chunks(4).await, b"too ");
    body.send(data(b"big")).unwrap();
    let answer = head(answer).await.unwrap();
    assert_eq!(said(&answer), (413, "body-too-big"));
    assert_eq!(service.take_rest().await.0, b"", "no end that looks like one");
    let asked = client.get("/next");
    let mut service = upstream.accept().await;
    service.write(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(head(asked).await.unwrap().status(), 204);
    at_rest(&proxy);
}

#[tokio::test]
async fn no_more_streams_are_open_at_once_than_the_listener_says_and_idle_connections_end() {
    let upstream = Upstream::bind().await;
    let setup = Setup::new("");
    let yaml = format!(
        "listeners: [{{name: main, address: '127.0.0.1:0', http2: {{streams: 2, idle: 400ms}}}}]\n\
         admin: {{address: '127.0.0.1:0'}}\nroutes: [{{name: rest, match: {{path: /}}, mode: http, service: web}}]\n\
         services: {{web: {{endpoints: ['http://{}']}}}}\n",
        upstream.address
    );
    setup.put("cordboard.yaml", yaml.as_bytes());
    let proxy = setup.start();
    let mut client = Client::dial(&proxy).await;
    // The first answer tells the client how many there may be.
    let first = client.get("/first");
    let mut service = upstream.accept().await;
    service.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    head(first).await.unwrap();
    let asked: Vec<_> = (0..3).map(|_| client.get("/")).collect();
    let (mut one, _two) = (upstream.accept().await, upstream.accept().await);
    assert!(upstream.is_left_alone().await);
    proxy.metric_becomes(super::IN_FLIGHT, 2.0);
    one.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let _three = upstream.accept().await;
    for answer in asked {
        answer.abort();
    }
    within("the end of the connection", client.connection).await.unwrap().unwrap();
    at_rest_without_connections(&proxy);
    proxy.metric_becomes("cordboard_connections", 0.0);
}

#[tokio::test]
async fn while_we_stop_open_streams_are_finished_and_no_new_ones_begin() {
    let upstream = Upstream::bind().await;
    let mut proxy = to(&[upstream.address], "", "");
    let mut client = Client::dial(&proxy).await;
    let asked = client.get("/");
    let mut service = upstream.accept().await;
    proxy.signal("TERM");
    proxy.metric_becomes("cordboard_draining", 1.0);
    service.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let all = within("the body", head(asked).await.unwrap().into_body().collect()).await.unwrap();
    assert_eq!(all.to_bytes(), "done");
    within("the end of the connection", client.connection).await.unwrap().unwrap();
    let status = tokio::task::spawn_blocking(move || proxy.ended()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
