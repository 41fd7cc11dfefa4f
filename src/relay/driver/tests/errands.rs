//! What leads to a session, on the thread that has it then.

use std::{
    future::{pending, poll_fn},
    net::{SocketAddr, TcpStream as Bare},
    pin::pin,
    task::Poll,
    thread,
};

use socket2::SockRef;

use super::*;
use crate::{
    alarm::Alarm,
    drain::{Drain, Orders},
};

/// A socket that was accepted and nobody watches, and its peer's.
async fn accepted() -> (Bare, TcpStream) {
    let (leg, peer) = dial(Party::Client, End::Server, &limits()).await;
    (leg.stream.into_std().unwrap(), peer)
}

fn here() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Computes for too long.
fn toil() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

/// Runs an errand to its end and gives what it gives.
async fn run<T: Send + 'static, F>(relay: &Relay, socket: Bare, errand: impl FnOnce(Stream) -> F + Send + 'static) -> T
where
    F: Future<Output = T> + Send + 'static,
{
    let (done, result) = oneshot::channel();
    relay
        .run_errand(socket, move |stream| {
            let errand = errand(stream);
            async move {
                let _ = done.send(errand.await);
            }
        })
        .unwrap();
    within(result).await.expect("it came to its end")
}

#[tokio::test]
async fn an_errand_that_waits_for_a_time_is_woken_by_its_lane_and_elsewhere_by_the_runtime() {
    let relay = Relay::start(1).unwrap();
    let waits = |moves: bool, most: u64| {
        move |_stream: Stream| async move {
            let end = Instant::now() + Duration::from_millis(most);
            let (mut alarm, mut later) = (Alarm::default(), Alarm::default());
            // The later one is asked first: the lane has one timer for both.
            let mut never = pin!(pending::<()>());
            let mut late = pin!(later.within(end + Duration::from_hours(1), never.as_mut()));
            let toiling = poll_fn(|cx| {
                if moves && here().starts_with("relay-") {
                    toil();
                    cx.waker().wake_by_ref();
                }
                late.as_mut().poll(cx).map(drop)
            });
            assert!(alarm.within(end, pin!(toiling)).await.is_none());
            assert!(Instant::now() >= end);
            here()
        }
    };
    let (socket, _peer) = accepted().await;
    assert!(run(&relay, socket, waits(false, 30)).await.starts_with("relay-"));
    let (socket, _peer) = accepted().await;
    assert!(!run(&relay, socket, waits(true, 1000)).await.starts_with("relay-"));
}

#[tokio::test]
async fn errands_that_wait_for_a_step_are_told_of_it() {
    let (relay, drain) = (Relay::start(2).unwrap(), Drain::default());
    drain.ring(relay.ring_errands());
    let waiting = Arc::new(AtomicUsize::new(0));
    let errands = (0..4).map(|_| async {
        let (socket, _peer) = accepted().await;
        let (ours, waiting) = (drain.clone(), Arc::clone(&waiting));
        let errand = |_stream| async move {
            tokio::select! {
                biased;
                // A step that does not come.
                _ = ours.cut_off() => panic!("it was not cut"),
                () = ours.begun() => here(),
                () = poll_fn(|_| {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    Poll::Pending
                }) => unreachable!(),
            }
        };
        run(&relay, socket, errand).await
    });
    let (ran, ()) = tokio::join!(futures_util::future::join_all(errands), async {
        while waiting.load(Ordering::SeqCst) < 4 {
            tokio::task::yield_now().await;
        }
        drain.begin(Orders { spread: Duration::ZERO, close_code: 1001 });
    });
    assert!(ran.iter().all(|name| name.starts_with("relay-")), "{ran:?}");
}

#[tokio::test]
async fn an_errand_reads_dials_and_writes_and_the_session_goes_on_with_its_sockets() {
    let relay = Arc::new(Relay::start(1).unwrap());
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The places of the first one's sockets are taken by those of the next ones.
    for _ in 0..3 {
        goes_on(&relay, &service).await;
        let ((socket, _peer), lane) = (accepted().await, Arc::clone(&relay.lanes[0]));
        let count = |stream| async move { (lane.watched(), stream).0 };
        assert_eq!(run(&relay, socket, count).await, 1, "its own");
    }
}

async fn goes_on(relay: &Arc<Relay>, service: &TcpListener) {
    let address = service.local_addr().unwrap();
    let (socket, mut client) = accepted().await;
    let (owner, report) = witness(|_| {});
    let (there, board) = (oneshot::channel(), Arc::clone(relay));
    let errand = move |mut stream: Stream| async move {
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        let mut dialled = Stream::connect(address).await.unwrap();
        assert!(stream.is_on_lane() && dialled.is_on_lane(), "both are where their session will be");
        assert!(SockRef::from(&dialled).tcp_nodelay().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(SockRef::from(&dialled).tcp_notsent_lowat().unwrap(), 128 << 10);
        dialled.write_all(&said).await.unwrap();
        dialled.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        let leg = |stream, party, end| Leg {
            id: ConnId::next(),
            stream,
            early: Bytes::new(),
            end,
            party,
            limits: Arc::new(limits()),
            extensions: false,
            screen: None,
        };
        let (client, service) = (leg(stream, Party::Client, End::Server), leg(dialled, Party::Backend, End::Client));
        board.run_pair(client, service, mailbox().1, owner);
        there.0.send(here()).unwrap();
    };
    let ran = tokio::spawn({
        let relay = Arc::clone(relay);
        async move { run(&relay, socket, errand).await }
    });
    // In pieces, so that it has to wait.
    client.write_all(b"he").await.unwrap();
    tokio::task::yield_now().await;
    client.write_all(b"llo").await.unwrap();
    let mut dialled = within(service.accept()).await.unwrap().0;
    let mut said = [0; 5];
    within(dialled.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"hello");
    dialled.write_all(b"world").await.unwrap();
    within(client.read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"world");
    within(ran).await.unwrap();
    assert!(within(there.1).await.unwrap().starts_with("relay-"));
    let (mut client, mut dialled) = (speak(client, Role::Client).await, speak(dialled, Role::Server).await);
    client.send(Message::text("there")).await.unwrap();
    assert_eq!(next(&mut dialled).await, Message::text("there"));
    dialled.send(Message::text("back")).await.unwrap();
    assert_eq!(next(&mut client).await, Message::text("back"));
    dialled.close(None).await.unwrap();
    assert_eq!(next_code(&mut client).await, None);
    assert_eq!(within(report).await.cause, Cause::Closed);
}

#[tokio::test]
async fn what_was_read_and_its_end_come_in_order_and_an_end_stays_one() {
    let (socket, mut peer) = accepted().await;
    peer.write_all(&[7; 10_000]).await.unwrap();
    peer.shutdown().await.unwrap();
    let read = run(&RELAY, socket, |mut stream| async move {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        (read, stream.read(&mut [0; 8]).await.unwrap(), stream)
    });
    let (read, again, _stream) = read.await;
    assert_eq!((read, again), (vec![7; 10_000], 0));
}

#[tokio::test]
async fn a_socket_of_a_lane_is_written_as_fast_as_its_peer_takes_it() {
    const LENGTH: usize = 8 << 20;
    let (socket, mut peer) = accepted().await;
    let written = run(&RELAY, socket, |mut stream| async move {
        stream.write_all(&vec![3; LENGTH]).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut read = Vec::new();
    let ((), all) = tokio::join!(written, within(peer.read_to_end(&mut read)));
    assert_eq!(all.unwrap(), LENGTH);
    assert!(read.iter().all(|byte| *byte == 3));
}

#[tokio::test]
async fn a_socket_of_a_lane_may_be_used_elsewhere_and_be_watched_by_others() {
    let (socket, mut peer) = accepted().await;
    let mut stream = run(&RELAY, socket, |stream| async move { stream }).await;
    assert!(stream.is_on_lane());
    let mut said = [0; 2];
    let (read, _) = tokio::join!(within(stream.read_exact(&mut said)), peer.write_all(b"ab"));
    read.unwrap();
    let mut stream = stream.into_runtime().unwrap();
    let (read, _) = tokio::join!(within(stream.read_exact(&mut said)), peer.write_all(b"cd"));
    read.unwrap();
    assert_eq!(&said, b"cd");
    // A session takes one that another lane watches, too.
    let lanes = [Relay::start(1).unwrap(), Relay::start(1).unwrap()];
    let (socket, peer) = accepted().await;
    let stream = run(&lanes[0], socket, |stream| async move { stream }).await;
    let (mut client, client_peer) = dial(Party::Client, End::Server, &limits()).await;
    let (mut backend, _) = dial(Party::Backend, End::Server, &limits()).await;
    backend.stream = stream;
    client.stream = Stream::Runtime(client.stream.into_runtime().unwrap());
    let (handle, mailbox) = mailbox();
    let ended = pair(&lanes[1], client, backend, mailbox, |_| {});
    let (mut client, mut backend) = (speak(client_peer, Role::Client).await, speak(peer, Role::Client).await);
    client.send(Message::text("across")).await.unwrap();
    assert_eq!(next(&mut backend).await, Message::text("across"));
    handle.cut(Cause::Draining);
    within(ended).await;
}

#[tokio::test]
async fn nobody_there_is_an_error_of_dialling() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let (socket, _peer) = accepted().await;
    let dialled = run(&RELAY, socket, move |_| async move { Stream::connect(address).await.map(|_| ()) }).await;
    assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_errand_that_panics_or_waits_for_ever_holds_nobody_up() {
    let relay = Relay::start(1).unwrap();
    let (socket, _kept) = accepted().await;
    relay.run_errand(socket, |stream| async move { drop((std::future::pending::<()>().await, stream)) }).unwrap();
    let (socket, mut peer) = accepted().await;
    relay.run_errand(socket, |stream| async move { panic!("a mistake of ours, with {stream:?}") }).unwrap();
    assert_eq!(within(peer.read(&mut [0; 8])).await.unwrap(), 0, "its socket is closed");
    let (socket, _peer) = accepted().await;
    assert_eq!(run(&relay, socket, |_| async { here() }).await, "relay-0");
}

#[tokio::test]
async fn errands_of_a_relay_that_is_dropped_are_dropped() {
    let relay = Relay::start(1).unwrap();
    let (socket, mut peer) = accepted().await;
    relay.run_errand(socket, |stream| async move { drop((std::future::pending::<()>().await, stream)) }).unwrap();
    drop(relay);
    assert_eq!(within(peer.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn where_errands_take_long_they_go_on_elsewhere_and_later_ones_begin_there() {
    let relay = Relay::start(1).unwrap();
    let (socket, _peer) = accepted().await;
    let (first, last) = run(&relay, socket, |_| async {
        let first = here();
        for _ in 0..100 {
            toil();
            tokio::task::yield_now().await;
        }
        (first, here())
    })
    .await;
    assert_eq!(first, "relay-0");
    assert_ne!(last, "relay-0");
    assert_eq!(relay.errands_elsewhere(), 1);
    let (socket, mut peer) = accepted().await;
    peer.write_all(b"x").await.unwrap();
    let read = run(&relay, socket, |mut stream| async move {
        assert!(!stream.is_on_lane());
        (stream.read(&mut [0; 8]).await.unwrap(), here())
    });
    let (read, there) = read.await;
    assert_eq!(read, 1);
    assert_ne!(there, "relay-0");
    assert_eq!(relay.errands_elsewhere(), 2);
}

#[tokio::test]
async fn a_listening_socket_of_a_lane_is_accepted_from() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = RELAY.watch_listener(listener.into_std().unwrap()).unwrap();
    let (tell, told) = oneshot::channel();
    listener.run(|listener| async move {
        let mut peers = Vec::new();
        while peers.len() < 3 {
            peers.push(listener.accept().await.unwrap().1);
        }
        let _ = tell.send((peers, listener.into_std().unwrap()));
    });
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(within(TcpStream::connect(address)).await.unwrap());
    }
    let (mut peers, listener) = within(told).await.unwrap();
    let mut expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
    peers.sort();
    expected.sort();
    assert_eq!(peers, expected);
    // It is watched by somebody else now.
    let listener = TcpListener::from_std(listener).unwrap();
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), within(listener.accept()));
    assert_eq!(dialled.unwrap().local_addr().unwrap(), accepted.unwrap().1);
}
