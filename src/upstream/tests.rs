use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;

mod answers;

const PATIENCE: Duration = Duration::from_secs(10);

/// What a scripted upstream does with one connection, once it has read the request's head.
enum Script {
    /// Writes this, `{accept}` replaced by the right value, and keeps the connection open until we end it.
    Answer(String),
    /// Writes this and ends the connection.
    AnswerAndEnd(String),
    /// Ends the connection without a word.
    End,
    /// Ends the connection with a reset.
    Reset,
}

struct Upstream {
    endpoint: Endpoint,
    address: SocketAddr,
    /// The head it received and, after we ended the connection, all that followed.
    server: JoinHandle<(String, Vec<u8>)>,
}

impl Upstream {
    async fn new(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(listener);
            let head = read_head(&mut stream).await;
            let accept = derive_accept_key(field(&head, "sec-websocket-key").unwrap_or_default().as_bytes());
            let mut rest = Vec::new();
            match script {
                Script::Answer(answer) => {
                    stream.write_all(answer.replace("{accept}", &accept).as_bytes()).await.unwrap();
                    let _ = stream.read_to_end(&mut rest).await;
                }
                Script::AnswerAndEnd(answer) => {
                    stream.write_all(answer.replace("{accept}", &accept).as_bytes()).await.unwrap();
                }
                Script::End => {}
                Script::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
            }
            (head, rest)
        });
        Self { endpoint: endpoint(address), address, server }
    }

    async fn answering(answer: &str) -> Self {
        Self::new(Script::Answer(answer.to_owned())).await
    }

    /// What it received; it is done once our side of the connection is closed.
    async fn received(self) -> (String, Vec<u8>) {
        timeout(PATIENCE, self.server).await.expect("the connection was left open").unwrap()
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { address: address.to_string().into() }
}

/// An endpoint where nobody listens.
async fn nobody() -> Endpoint {
    endpoint(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole request head"));
    }
    String::from_utf8(head).unwrap()
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn request(offers: &[(&'static str, &'static str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder()
        .uri("/chat%20room?x=1")
        .header("host", "example.com")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13");
    for (name, value) in offers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

fn dial(request: &Request<Empty<Bytes>>) -> Dial<'_> {
    Dial { request, host: HostHeader::Preserve, connect_timeout: PATIENCE, deadline: Instant::now() + PATIENCE }
}

async fn connect_to(endpoints: Vec<Endpoint>, offers: &[(&'static str, &'static str)]) -> Result<Connected, DialError> {
    connect(endpoints, &dial(&request(offers))).await
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\
                      sec-websocket-accept: {accept}\r\n";

fn switch(more: &str, early: &str) -> String {
    format!("{SWITCH}{more}\r\n{early}")
}

fn is_open(stream: &mut Stream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn a_verified_101_gives_the_bare_socket_and_its_fields() {
    let more = "set-cookie: a=1\r\nset-cookie: b=2\r\nkeep-alive: timeout=5\r\nsec-websocket-protocol: b\r\n\
                Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    let upstream = Upstream::answering(&switch(more, "")).await;
    let offers = [
        ("sec-websocket-protocol", "a, b"),
        ("sec-websocket-extensions", "x, permessage-deflate; client_max_window_bits"),
    ];
    let mut connected = connect_to(vec![upstream.endpoint.clone()], &offers).await.unwrap();
    assert_eq!(connected.subprotocol.as_deref(), Some("b"));
    assert_eq!(connected.extensions, ["permessage-deflate; server_no_context_takeover"]);
    assert_eq!(connected.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(connected.headers.len(), 2, "{:?}", connected.headers);
    assert_eq!((connected.early.len(), &connected.endpoint), (0, &upstream.endpoint));
    assert!(SockRef::from(&connected.stream).tcp_nodelay().unwrap());
    assert!(is_open(&mut connected.stream));

    connected.stream.write_all(b"frame").await.unwrap();
    drop(connected);
    let (head, rest) = upstream.received().await;
    assert!(head.starts_with("GET /chat%20room?x=1 HTTP/1.1\r\n"), "{head}");
    for (name, value) in [("host", "example.com"), ("connection", "Upgrade"), ("upgrade", "websocket")] {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    assert_eq!(field(&head, "sec-websocket-key").map(str::len), Some(24), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(rest, b"frame");
}

#[tokio::test]
async fn frames_in_the_segment_of_the_101_are_not_lost_and_later_ones_stay_in_the_socket() {
    let upstream = Upstream::new(Script::AnswerAndEnd(switch("", "\u{1}early frame"))).await;
    let mut connected = connect_to(vec![upstream.endpoint.clone()], &[]).await.unwrap();
    let mut all = connected.early.to_vec();
    timeout(PATIENCE, connected.stream.read_to_end(&mut all)).await.unwrap().unwrap();
    assert_eq!(all, b"\x01early frame");
    assert!(!connected.early.is_empty(), "written in one piece, so read in one");
    upstream.received().await;
}

#[tokio::test]
async fn interim_answers_before_the_101_are_skipped() {
    let answer = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{}", switch("", "e"));
    let upstream = Upstream::answering(&answer).await;
    let connected = connect_to(vec![upstream.endpoint.clone()], &[]).await.unwrap();
    assert_eq!(connected.early, "e");
    assert!(connected.headers.is_empty(), "{:?}", connected.headers);
}

#[tokio::test]
async fn an_upstream_may_ignore_the_offers() {
    let upstream = Upstream::answering(&switch("", "")).await;
    let offers = [("sec-websocket-protocol", "a"), ("sec-websocket-extensions", "x")];
    let connected = connect_to(vec![upstream.endpoint.clone()], &offers).await.unwrap();
    assert_eq!((connected.subprotocol, connected.extensions.len()), (None, 0));
}

#[tokio::test]
async fn endpoints_that_refuse_or_break_before_an_answer_are_followed_by_the_next() {
    let ended = Upstream::new(Script::End).await;
    let reset = Upstream::new(Script::Reset).await;
    let half = Upstream::new(Script::AnswerAndEnd("HTTP/1.1 101 Switch".to_owned())).await;
    let good = Upstream::answering(&switch("", "")).await;
    let unknown = Endpoint { address: "no-port".into() };
    let endpoints = [&ended.endpoint, &reset.endpoint, &half.endpoint, &good.endpoint].map(Clone::clone);
    let endpoints = [nobody().await, unknown].into_iter().chain(endpoints);
    let connected = connect(endpoints, &dial(&request(&[]))).await.unwrap();
    assert_eq!(SockRef::from(&connected.stream).peer_addr().unwrap().as_socket().unwrap(), good.address);
    drop(connected);
    let mut keys = Vec::new();
    for upstream in [ended, reset, half, good] {
        keys.push(field(&upstream.received().await.0, "sec-websocket-key").unwrap().to_owned());
    }
    keys.dedup();
    assert_eq!(keys.len(), 4, "each attempt has its own key");
}

#[tokio::test]
async fn without_any_endpoint_that_answers_there_is_none() {
    for endpoints in [vec![], vec![nobody().await, nobody().await], vec![Upstream::new(Script::End).await.endpoint]] {
        let error = connect_to(endpoints, &[]).await.unwrap_err();
        assert_eq!((error.cause(), error.cause().row().status), (Cause::NoEndpoint, 502), "{error}");
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_timeout_and_is_let_go() {
    let silent = Upstream::answering("").await;
    let request = request(&[]);
    let dial = Dial { deadline: Instant::now() + Duration::from_millis(100), ..dial(&request) };
    let error = connect([silent.endpoint.clone()], &dial).await.unwrap_err();
    assert_eq!((error.cause(), error.cause().row().status), (Cause::UpstreamTimeout, 504), "{error}");
    silent.received().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_does_not_take_the_connection_costs_the_connect_timeout_only() {
    // A full backlog: the kernel drops further SYNs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let full = socket.local_addr().unwrap().as_socket().unwrap();
    let _filler = TcpStream::connect(full).await.unwrap();
    let good = Upstream::answering(&switch("", "")).await;
    let request = request(&[]);
    let dial = Dial { connect_timeout: Duration::from_millis(100), ..dial(&request) };
    let connected = connect([endpoint(full), good.endpoint.clone()], &dial).await.unwrap();
    assert_eq!(connected.endpoint, good.endpoint);
    let error = connect([endpoint(full), nobody().await], &dial).await.unwrap_err();
    assert_eq!(error.cause(), Cause::UpstreamTimeout, "one was late, so it was about time: {error}");
}

#[tokio::test]
async fn a_dial_dropped_half_way_leaves_nothing_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = endpoint(listener.local_addr().unwrap());
    let dialing = tokio::spawn(async move { connect_to(vec![there], &[]).await.map(drop) });
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    timeout(PATIENCE, read_head(&mut stream)).await.unwrap();
    stream.write_all(b"HTTP/1.1 101 Swi").await.unwrap();
    dialing.abort();
    assert!(dialing.await.unwrap_err().is_cancelled());
    let end = timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("the connection was left open");
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn the_host_can_be_the_endpoints() {
    let upstream = Upstream::answering(&switch("", "")).await;
    let request = request(&[]);
    let dial = Dial { host: HostHeader::Endpoint, ..dial(&request) };
    drop(connect([upstream.endpoint.clone()], &dial).await.unwrap());
    let address = upstream.address.to_string();
    assert_eq!(field(&upstream.received().await.0, "host"), Some(address.as_str()));
}

#[tokio::test]
async fn a_name_is_resolved_and_all_its_addresses_are_tried() {
    let upstream = Upstream::answering(&switch("", "")).await;
    let there = Endpoint { address: format!("localhost:{}", upstream.address.port()).into() };
    let connected = connect_to(vec![there], &[]).await.unwrap();
    assert_eq!(SockRef::from(&connected.stream).peer_addr().unwrap().as_socket().unwrap(), upstream.address);
}
