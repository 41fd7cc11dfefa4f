//! Sessions over real sockets of the loopback, with tungstenite at both ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // the runtime of a test owns its tasks

mod bulk;
mod errands;

use std::{
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::*;
use crate::{
    error::Cause,
    model::{ConnId, Limits},
    relay::{End, Handle, Party, Report, mailbox, tests::rig},
};

/// Of all tests. Two threads, so that sessions of one do not always share one.
static RELAY: LazyLock<Relay> = LazyLock::new(|| Relay::start(2).unwrap());

/// Nothing here takes longer unless it hangs.
const BOUND: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(BOUND, future).await.expect("it hangs")
}

fn limits() -> Limits {
    Limits { message: 0, close: Duration::from_secs(2), ..Limits::default() }
}

/// Our end of a new connection, and the peer's.
async fn dial(party: Party, end: End, limits: &Limits) -> (Leg, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (peer, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (stream, peer) = (accepted.unwrap().0, peer.unwrap());
    for socket in [&stream, &peer] {
        socket.set_nodelay(true).unwrap();
    }
    let limits = Arc::new(limits.clone());
    let leg = Leg {
        id: ConnId::next(),
        stream: stream.into(),
        early: Bytes::new(),
        end,
        party,
        limits,
        extensions: false,
        screen: None,
    };
    (leg, peer)
}

/// A session's report.
type Ended = Pin<Box<dyn Future<Output = Report> + Send>>;

/// Calls `hook` when a session begins to end, and gives its report on.
struct Witness<F> {
    hook: Option<F>,
    done: oneshot::Sender<Report>,
}

impl<F: FnOnce(bool) + Send> Owner for Witness<F> {
    fn ending(&mut self, joined: bool) {
        self.hook.take().expect("told once")(joined);
    }

    fn ended(self: Box<Self>, report: Report) {
        assert!(self.hook.is_none(), "told of the ending first");
        let _ = self.done.send(report);
    }
}

fn witness(hook: impl FnOnce(bool) + Send + 'static) -> (Box<dyn Owner>, Ended) {
    let (done, report) = oneshot::channel();
    (Box::new(Witness { hook: Some(hook), done }), Box::pin(async { report.await.expect("told of the end") }))
}

fn pair(relay: &Relay, client: Leg, backend: Leg, mailbox: Mailbox, hook: impl FnOnce(bool) + Send + 'static) -> Ended {
    let (owner, report) = witness(hook);
    relay.run_pair(client, backend, mailbox, owner);
    report
}

fn waiting(
    relay: &Relay,
    leg: Leg,
    mailbox: Mailbox,
    deadline: Instant,
    hold: usize,
    hook: impl FnOnce(bool) + Send + 'static,
) -> Ended {
    let (owner, report) = witness(hook);
    relay.run_waiting(leg, mailbox, deadline, hold, owner);
    report
}

/// Waits until there is something to read.
async fn readable(leg: &Leg) {
    let Stream::Runtime(stream) = &leg.stream else { unreachable!("see `dial`") };
    stream.readable().await.unwrap();
}

async fn speak(peer: TcpStream, role: Role) -> WebSocketStream<TcpStream> {
    let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
    WebSocketStream::from_raw_socket(peer, role, Some(config)).await
}

struct Waiting {
    handle: Handle,
    id: ConnId,
    ends: Arc<AtomicUsize>,
    task: JoinHandle<Report>,
}

/// Starts a waiting client leg.
async fn wait(patience: Duration, limits: &Limits) -> (Waiting, WebSocketStream<TcpStream>) {
    let (leg, peer) = dial(Party::Client, End::Server, limits).await;
    let (handle, mailbox) = mailbox();
    let ends = Arc::new(AtomicUsize::new(0));
    let (id, count) = (leg.id, Arc::clone(&ends));
    let hook = move |_: bool| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    let task = tokio::spawn(waiting(&RELAY, leg, mailbox, Instant::now() + patience, 64 << 10, hook));
    (Waiting { handle, id, ends, task }, speak(peer, Role::Client).await)
}

async fn next(peer: &mut WebSocketStream<TcpStream>) -> Message {
    within(peer.next()).await.expect("the stream ended").expect("the stream broke")
}

async fn next_code(peer: &mut WebSocketStream<TcpStream>) -> Option<u16> {
    match next(peer).await {
        Message::Close(frame) => frame.map(|frame| frame.code.into()),
        other => panic!("not a close: {other:?}"),
    }
}

/// Bytes that compress badly and repeat nowhere near.
fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_mebibytes_pass_both_ways_at_once() {
    for end in [End::Client, End::Server] {
        let (client, client_peer) = dial(Party::Client, End::Server, &limits()).await;
        let (backend, backend_peer) = dial(Party::Backend, end, &limits()).await;
        let (_handle, mailbox) = mailbox();
        let session = tokio::spawn(pair(&RELAY, client, backend, mailbox, |_| {}));
        let role = if end == End::Client { Role::Server } else { Role::Client };
        let (mut client_out, mut client_in) = speak(client_peer, Role::Client).await.split();
        let (mut backend_out, mut backend_in) = speak(backend_peer, role).await.split();
        let (up, down) = (Bytes::from(noise(8 << 20, 1)), Bytes::from(noise(8 << 20, 2)));
        within(async {
            let (sent_up, sent_down, got_up, got_down) = tokio::join!(
                client_out.send(Message::Binary(up.clone())),
                backend_out.send(Message::Binary(down.clone())),
                backend_in.next(),
                client_in.next(),
            );
            sent_up.and(sent_down).unwrap();
            assert!(got_up.unwrap().unwrap().into_data() == up);
            assert!(got_down.unwrap().unwrap().into_data() == down);
            client_out.send(Message::Close(None)).await.unwrap();
            assert_eq!(backend_in.next().await.unwrap().unwrap(), Message::Close(None));
            backend_out.flush().await.ok();
            assert_eq!(client_in.next().await.unwrap().unwrap(), Message::Close(None));
            assert!(client_in.next().await.is_none() && backend_in.next().await.is_none_or(|rest| rest.is_err()));
            drop((client_out, client_in, backend_out, backend_in));
        })
        .await;
        let report = within(session).await.unwrap();
        assert_eq!(report.cause, Cause::Closed);
        assert_eq!(report.legs.iter().map(|leg| (leg.messages_in, leg.messages_out)).collect::<Vec<_>>(), [(1, 1); 2]);
        assert!(report.legs.iter().all(|leg| (leg.close_received, leg.close_sent) == (Some(1005), Some(1005))));
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_sender_and_loses_nothing() {
    let (client, mut client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (backend, mut backend_peer) = dial(Party::Backend, End::Client, &limits()).await;
    let (_handle, mailbox) = mailbox();
    let session = tokio::spawn(pair(&RELAY, client, backend, mailbox, |_| {}));
    let payload = noise(8 << 20, 3);
    let bytes = [rig::masked(rig::BINARY, &payload), rig::masked(rig::CLOSE, b"")].concat();
    let sending = async {
        client_peer.write_all(&bytes).await.unwrap();
        client_peer.shutdown().await.unwrap();
    };
    let reading = async {
        let mut heard = Vec::new();
        let mut piece = vec![0; 5000];
        while heard.len() < bytes.len() {
            let length = backend_peer.read(&mut piece).await.unwrap();
            assert!(length > 0, "cut at {}", heard.len());
            heard.extend_from_slice(&piece[..length]);
            tokio::task::yield_now().await;
        }
        assert!(heard == bytes, "verbatim");
        backend_peer.write_all(&rig::plain(rig::CLOSE, b"")).await.unwrap();
    };
    within(async { tokio::join!(sending, reading) }).await;
    drop(backend_peer);
    let report = within(session).await.unwrap();
    assert_eq!((report.cause, report.legs[1].bytes_out), (Cause::Closed, bytes.len() as u64));
}

#[tokio::test]
async fn a_waiting_leg_is_joined_and_hears_of_its_partners_end() {
    let (waiting, mut client) = wait(BOUND, &limits()).await;
    client.send(Message::text("held")).await.unwrap();
    client.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong(Bytes::from_static(b"?")));
    let (backend, peer) = dial(Party::Backend, End::Server, &limits()).await;
    waiting.handle.join(Box::new(backend)).await.unwrap();
    let mut backend = speak(peer, Role::Client).await;
    assert_eq!(next(&mut backend).await, Message::text("held"));
    backend.send(Message::text("heard")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("heard"));
    assert_eq!(waiting.ends.load(Ordering::SeqCst), 0);

    drop(backend);
    assert_eq!(next_code(&mut client).await, Some(1011));
    assert_eq!(waiting.ends.load(Ordering::SeqCst), 1);
    assert!(within(client.next()).await.is_none());
    drop(client);
    let report = within(waiting.task).await.unwrap();
    assert_eq!((report.cause, report.joined), (Cause::BackendBroken, true));
    assert_eq!(waiting.ends.load(Ordering::SeqCst), 1, "once");
    assert!(waiting.handle.is_closed());
}

#[tokio::test]
async fn a_leg_that_cannot_be_joined_comes_back_whole() {
    let (waiting, client) = wait(BOUND, &limits()).await;
    let (backend, mut peer) = dial(Party::Backend, End::Server, &limits()).await;
    // The client leaves at the very moment.
    drop(client);
    let backend = within(waiting.handle.join(Box::new(backend))).await.expect_err("there is nobody to join");
    let report = within(waiting.task).await.unwrap();
    assert_eq!((report.cause, report.joined), (Cause::ClientBroken, false));
    let backend = within(waiting.handle.join(backend)).await.expect_err("the session is over");
    peer.write_all(b"x").await.unwrap();
    within(readable(&backend)).await;
    assert_eq!(backend.stream.try_read(&mut [0; 8]).unwrap(), 1);
}

#[tokio::test]
async fn a_third_leg_comes_back() {
    let (waiting, _client) = wait(BOUND, &limits()).await;
    let (second, _second_peer) = dial(Party::Backend, End::Server, &limits()).await;
    let (third, _third_peer) = dial(Party::Backend, End::Server, &limits()).await;
    let id = third.id;
    let (joined, refused) = tokio::join!(waiting.handle.join(Box::new(second)), waiting.handle.join(Box::new(third)));
    assert_eq!((joined.is_ok(), refused.map_err(|leg| leg.id).err()), (true, Some(id)));
    waiting.handle.cut(Cause::Draining);
    assert!(within(waiting.task).await.unwrap().cut);
    // The session is over when its mailbox answers no more; "even then" it was announced, and once.
    within(async { while waiting.handle.probe(waiting.id).await {} }).await;
    assert_eq!(waiting.ends.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_comes() {
    let (waiting, mut client) = wait(Duration::from_millis(30), &limits()).await;
    assert_eq!(next_code(&mut client).await, Some(4408));
    assert!(within(client.next()).await.is_none());
    drop(client);
    assert_eq!(within(waiting.task).await.unwrap().cause, Cause::NoPartner);
}

#[tokio::test]
async fn a_command_reaches_an_idle_session() {
    let (waiting, mut client) = wait(BOUND, &limits()).await;
    let lives = within(async {
        tokio::select! {
            lives = waiting.handle.probe(waiting.id) => lives,
            // Reading answers Pings, and the next read sends the answer.
            () = async { while matches!(client.next().await, Some(Ok(Message::Ping(_)))) {} } => false,
        }
    });
    assert!(lives.await);
    waiting.handle.close(None, Cause::Draining);
    assert_eq!(next_code(&mut client).await, Some(1012));
    assert!(within(client.next()).await.is_none());
    drop(client);
    let report = within(waiting.task).await.unwrap();
    assert_eq!((report.cause, report.legs[0].close_received), (Cause::Draining, Some(1012)));
    assert!(!waiting.handle.probe(waiting.id).await);
}

#[tokio::test]
async fn handles_that_are_gone_end_nothing() {
    let (waiting, mut client) = wait(BOUND, &limits()).await;
    drop(waiting.handle);
    client.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong(Bytes::from_static(b"?")));
    client.close(Some(CloseFrame { code: 4000.into(), reason: "enough".into() })).await.unwrap();
    assert_eq!(next_code(&mut client).await, Some(4000));
    drop(client);
    assert_eq!(within(waiting.task).await.unwrap().cause, Cause::Closed);
}

#[tokio::test]
async fn keep_alive_runs_on_the_clock_of_the_runtime() {
    let limits = Limits { ping_every: Duration::from_millis(20), pong_within: Duration::from_millis(200), ..limits() };
    let (waiting, mut client) = wait(BOUND, &limits).await;
    for _ in 0..5 {
        assert!(matches!(next(&mut client).await, Message::Ping(_)));
    }
    // It stops answering.
    let report = within(waiting.task).await.unwrap();
    assert_eq!(report.cause, Cause::KeepAlive);
    assert!(report.duration >= Duration::from_millis(200));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_sockets_of_a_session_that_lasts_tell_when_a_peer_is_gone() {
    use std::os::fd::AsFd as _;

    let limits = Limits { stall: Duration::from_secs(20), ..limits() };
    let (client, client_peer) = dial(Party::Client, End::Server, &limits).await;
    let (service, service_peer) = dial(Party::Backend, End::Client, &limits).await;
    let sockets = [&client, &service].map(|leg| leg.stream.as_fd().try_clone_to_owned().unwrap());
    let report = pair(&RELAY, client, service, mailbox().1, |_| {});
    let settled = async || {
        while !sockets.iter().all(|socket| SockRef::from(socket).tcp_user_timeout().unwrap().is_some()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(settled()).await;
    let [client, service] = [&sockets[0], &sockets[1]].map(SockRef::from);
    for socket in [&client, &service] {
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(40)));
    }
    assert!(service.keepalive().unwrap() && !client.keepalive().unwrap(), "what is accepted has it from its listener");
    assert_eq!(service.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
    drop((client_peer, service_peer));
    within(report).await;
}

#[tokio::test]
async fn a_deadline_that_comes_nearer_is_kept() {
    let limits = Limits { close: Duration::from_millis(100), ..limits() };
    let (waiting, _client) = wait(2 * BOUND, &limits).await;
    assert!(timeout(Duration::from_millis(20), waiting.handle.probe(waiting.id)).await.is_err(), "it is running");
    waiting.handle.close(None, Cause::Draining);
    let report = within(waiting.task).await.unwrap();
    assert_eq!((report.cause, report.legs[0].close_received), (Cause::Draining, None));
}

#[tokio::test]
async fn a_session_sleeps_while_nothing_can_be_done() {
    let limits = Limits { ping_every: Duration::from_millis(50), stall: Duration::from_millis(500), ..limits() };
    let (client, mut client_peer) = dial(Party::Client, End::Server, &limits).await;
    let (backend, _backend_peer) = dial(Party::Backend, End::Client, &limits).await;
    let (_handle, mailbox) = mailbox();
    // Alone on its thread.
    let relay = Relay::start(1).unwrap();
    let session = pair(&relay, client, backend, mailbox, |_| {});
    // The backend takes nothing, so that one direction is blocked and the clocks run.
    let bytes = rig::masked(rig::BINARY, &noise(1 << 20, 7));
    let writing = async { while client_peer.write_all(&bytes).await.is_ok() {} };
    let (report, ()) = within(async { tokio::join!(session, writing) }).await;
    assert_eq!(report.cause, Cause::Stalled);
    let chunks = usize::try_from(report.legs[0].bytes_in).unwrap() / 1000;
    let turns = relay.turns();
    assert!(turns < 200 + chunks as u64, "{turns} turns for {} bytes", report.legs[0].bytes_in);
}

#[tokio::test]
async fn what_a_peer_sent_before_its_reset_arrives() {
    let (client, mut client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (backend, backend_peer) = dial(Party::Backend, End::Client, &limits()).await;
    client_peer.write_all(&rig::masked(rig::TEXT, b"last")).await.unwrap();
    within(readable(&client)).await;
    client_peer.set_zero_linger().unwrap();
    drop(client_peer);
    let (_handle, mailbox) = mailbox();
    let session = tokio::spawn(pair(&RELAY, client, backend, mailbox, |_| {}));
    let mut backend = speak(backend_peer, Role::Server).await;
    assert_eq!(next(&mut backend).await, Message::text("last"));
    assert_eq!(next_code(&mut backend).await, Some(1001));
    drop(backend);
    assert_eq!(within(session).await.unwrap().cause, Cause::ClientBroken);
}

#[tokio::test]
async fn a_close_is_not_destroyed_by_input_that_nobody_read() {
    let (client, mut client_peer) = dial(Party::Client, End::Server, &Limits { message: 10, ..limits() }).await;
    let (backend, backend_peer) = dial(Party::Backend, End::Client, &limits()).await;
    let (_handle, mailbox) = mailbox();
    let session = tokio::spawn(pair(&RELAY, client, backend, mailbox, |_| {}));
    // More than any socket buffer, so that most of it arrives after the Close is written.
    let bytes = rig::masked(rig::BINARY, &noise(16 << 20, 5));
    within(client_peer.write_all(&bytes)).await.expect("it is read to the end");
    let mut heard = Vec::new();
    client_peer.shutdown().await.unwrap();
    within(client_peer.read_to_end(&mut heard)).await.expect("no reset");
    assert_eq!(rig::code_of(&rig::read_frames(&heard)), Some(1009));
    drop(backend_peer);
    let report = within(session).await.unwrap();
    assert_eq!((report.cause, report.detail), (Cause::MessageTooBig, Some("message too big")));
}

#[tokio::test]
async fn a_session_that_is_cut_tells_of_its_ending_and_says_so() {
    let (client, mut client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (backend, _backend_peer) = dial(Party::Backend, End::Client, &limits()).await;
    let (handle, mailbox) = mailbox();
    let (announce, announced) = oneshot::channel();
    let session = pair(&RELAY, client, backend, mailbox, |joined| announce.send(joined).unwrap());
    handle.cut(Cause::Draining);
    assert_eq!(within(announced).await, Ok(true));
    let report = within(session).await;
    assert_eq!((report.cause, report.cut, report.joined), (Cause::Draining, true, true));
    assert!(handle.is_closed());
    assert_eq!(within(client_peer.read(&mut [0; 8])).await.unwrap(), 0, "its sockets are closed");
    assert!(!within(handle.probe(ConnId::next())).await);
}

#[tokio::test]
async fn a_relay_that_is_dropped_cuts_its_sessions_and_says_so() {
    let relay = Relay::start(1).unwrap();
    let (client, mut client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (backend, _backend_peer) = dial(Party::Backend, End::Client, &limits()).await;
    let (_handle, mailbox) = mailbox();
    let (announce, announced) = oneshot::channel();
    let session = pair(&relay, client, backend, mailbox, |joined| announce.send(joined).unwrap());
    drop(relay);
    assert_eq!(within(announced).await, Ok(true));
    assert_eq!(within(session).await.cause, Cause::Internal);
    assert_eq!(within(client_peer.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_session_that_panics_takes_no_other_with_it() {
    let relay = Relay::start(1).unwrap();
    let (handle, mailbox_) = mailbox();
    let (client, client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (backend, backend_peer) = dial(Party::Backend, End::Server, &limits()).await;
    let other = pair(&relay, client, backend, mailbox_, |_| {});
    let (doomed, _doomed_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (doom, mailbox_) = mailbox();
    let session = waiting(&relay, doomed, mailbox_, Instant::now() + BOUND, 100, |_| panic!("a mistake of ours"));
    doom.close(None, Cause::Draining);
    assert_eq!(within(session).await.cause, Cause::Internal);
    let (mut client, mut backend) = (speak(client_peer, Role::Client).await, speak(backend_peer, Role::Client).await);
    client.send(Message::text("goes on")).await.unwrap();
    assert_eq!(next(&mut backend).await, Message::text("goes on"));
    handle.close(None, Cause::Draining);
    assert_eq!(next_code(&mut backend).await, Some(1012));
    drop((client, backend));
    assert_eq!(within(other).await.cause, Cause::Draining);
}
