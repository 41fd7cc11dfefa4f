//! Big frames over real sockets: they stay in the kernel, and every byte arrives.

use socket2::SockRef;

use super::*;

/// A routed session and both peers, bare.
async fn routed(limits: &Limits) -> (Ended, TcpStream, TcpStream) {
    let (client, client_peer) = dial(Party::Client, End::Server, limits).await;
    let (backend, backend_peer) = dial(Party::Backend, End::Client, limits).await;
    let (_handle, mailbox) = mailbox();
    (pair(&RELAY, client, backend, mailbox, |_| {}), client_peer, backend_peer)
}

/// Reads exactly that.
async fn hears(peer: &mut TcpStream, wanted: &[u8]) {
    let mut heard = vec![0; wanted.len()];
    within(peer.read_exact(&mut heard)).await.expect("all of it");
    assert!(heard == wanted, "it is not what was sent");
}

/// What can be read until FIN or RST.
async fn rest(peer: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = within(peer.read_to_end(&mut heard)).await;
    heard
}

/// Frames of many sizes, in one piece and in several, with control frames between them.
fn frames(key: Option<[u8; 4]>) -> (Vec<u8>, u64) {
    let mut bytes = Vec::new();
    let mut messages = 0;
    let sizes = [65_535, 65_536, 65_537, 1 << 20, 100, 40_000, 32_767, 32_768, 1 << 20, 0, (3 << 20) + 1, 65_536];
    for (seed, size) in (1..).zip(sizes) {
        let payload = noise(size, seed);
        bytes.extend(rig::frame(true, rig::BINARY, &payload, key));
        bytes.extend(rig::frame(true, rig::PONG, b"between", key));
        for (at, part) in payload.chunks(150_000).enumerate() {
            bytes.extend(rig::frame(false, if at == 0 { rig::BINARY } else { rig::CONT }, part, key));
            bytes.extend(rig::frame(true, rig::PING, b"inside", key));
        }
        bytes.extend(rig::frame(true, if size == 0 { rig::BINARY } else { rig::CONT }, b"end", key));
        messages += 2;
    }
    (bytes, messages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_all_sizes_pass_both_ways_in_whatever_pieces_they_come() {
    for piece in [usize::MAX, 1 << 20, 65_536, 7001] {
        let (session, client, backend) = routed(&limits()).await;
        let ((up, sent), (down, answered)) = (frames(Some([7, 6, 5, 4])), frames(None));
        let (mut client_in, mut client_out) = client.into_split();
        let (mut backend_in, mut backend_out) = backend.into_split();
        let mut heard = (vec![0; up.len()], vec![0; down.len()]);
        within(async {
            let write = async |out: &mut tokio::net::tcp::OwnedWriteHalf, bytes: &[u8]| {
                for part in bytes.chunks(piece) {
                    out.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let ((), (), up_read, down_read) = tokio::join!(
                write(&mut client_out, &up),
                write(&mut backend_out, &down),
                backend_in.read_exact(&mut heard.0),
                client_in.read_exact(&mut heard.1),
            );
            assert_eq!((up_read.unwrap(), down_read.unwrap()), (up.len(), down.len()));
        })
        .await;
        assert!(heard == (up, down), "verbatim, in pieces of {piece}");
        client_out.write_all(&rig::masked(rig::CLOSE, b"")).await.unwrap();
        backend_out.write_all(&rig::plain(rig::CLOSE, b"")).await.unwrap();
        drop((client_out, client_in, backend_out, backend_in));
        let report = within(session).await;
        let counts: Vec<_> = report.legs.iter().map(|leg| (leg.messages_in, leg.messages_out)).collect();
        assert_eq!((report.cause, counts), (Cause::Closed, vec![(sent, answered), (answered, sent)]));
        let wanted = [(heard.0.len() + 6, heard.1.len() + 2), (heard.1.len() + 2, heard.0.len() + 6)];
        let bytes = report.legs.iter().map(|leg| (leg.bytes_in, leg.bytes_out));
        assert_eq!(bytes.collect::<Vec<_>>(), wanted.map(|(read, written)| (read as u64, written as u64)));
    }
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_many_big_frames() {
    let (session, mut client, mut backend) = routed(&limits()).await;
    let bytes: Vec<u8> = (1..9).flat_map(|seed| rig::plain(rig::BINARY, &noise(1 << 20, seed))).collect();
    let reading = async {
        let mut heard = Vec::new();
        let mut piece = vec![0; 3000];
        while heard.len() < bytes.len() {
            let length = client.read(&mut piece).await.unwrap();
            assert!(length > 0, "cut at {}", heard.len());
            heard.extend_from_slice(&piece[..length]);
            tokio::task::yield_now().await;
        }
        assert!(heard == bytes, "verbatim");
    };
    within(async { tokio::join!(backend.write_all(&bytes), reading) }).await.0.unwrap();
    drop((client, backend));
    let report = within(session).await;
    assert_eq!((report.legs[1].messages_in, report.legs[0].bytes_out), (8, bytes.len() as u64));
}

#[tokio::test]
async fn one_that_breaks_inside_a_big_frame_leaves_what_it_sent() {
    let (session, mut client, mut backend) = routed(&limits()).await;
    let frame = rig::masked(rig::BINARY, &noise(1 << 20, 3));
    client.write_all(&frame).await.unwrap();
    hears(&mut backend, &frame).await;
    client.write_all(&frame[..100_000]).await.unwrap();
    client.shutdown().await.unwrap();
    assert!(rest(&mut backend).await == frame[..100_000], "and no Close, which would be payload");
    drop(backend);
    assert_eq!(within(session).await.cause, Cause::ClientBroken);
}

#[tokio::test]
async fn one_that_goes_while_a_big_frame_comes_to_it_ends_the_session() {
    let (session, mut client, mut backend) = routed(&limits()).await;
    let frame = rig::masked(rig::BINARY, &noise(1 << 20, 4));
    client.write_all(&frame).await.unwrap();
    hears(&mut backend, &frame).await;
    let gone = async {
        hears(&mut backend, &frame[..70_000]).await;
        backend.set_zero_linger().unwrap();
        drop(backend);
    };
    let writing = async { while client.write_all(&frame).await.is_ok() {} };
    within(async { tokio::join!(gone, writing) }).await;
    drop(client);
    assert_eq!(within(session).await.cause, Cause::BackendBroken);
}

#[tokio::test]
async fn a_close_comes_behind_a_big_frame() {
    let (session, mut client, mut backend) = routed(&limits()).await;
    let frame = rig::plain(rig::BINARY, &noise(1 << 20, 5));
    let close = rig::plain(rig::CLOSE, &rig::code(1000, "bye"));
    let bytes = [&frame[..], &frame, &close].concat();
    within(async { tokio::join!(backend.write_all(&bytes), hears(&mut client, &bytes)) }).await.0.unwrap();
    client.write_all(&rig::masked(rig::CLOSE, &rig::code(1000, "bye"))).await.unwrap();
    assert_eq!(rig::code_of(&rig::read_frames(&rest_of(&mut backend).await)), Some(1000));
    drop(backend);
    assert_eq!(rest(&mut client).await, b"");
    drop(client);
    assert_eq!(within(session).await.cause, Cause::Closed);
}

/// One Close of a client with a code and `bye`.
async fn rest_of(backend: &mut TcpStream) -> Vec<u8> {
    let mut heard = vec![0; 2 + 4 + 5];
    within(backend.read_exact(&mut heard)).await.unwrap();
    heard
}

#[tokio::test]
async fn our_ping_stands_between_two_big_frames() {
    let limits = Limits { ping_every: Duration::from_millis(50), pong_within: BOUND, ..limits() };
    let (session, mut client, mut backend) = routed(&limits).await;
    let payload = noise(200_000, 6);
    let frame = rig::plain(rig::BINARY, &payload);
    let mut heard = vec![0; 3 * frame.len() + 2 + 8];
    let speaking = async {
        backend.write_all(&frame).await.unwrap();
        backend.write_all(&frame[..150_000]).await.unwrap();
        // Its own Ping shows that time has passed: the client's is due as well, for that says nothing either.
        backend.read_exact(&mut [0; 2 + 4 + 8]).await.unwrap();
        backend.write_all(&frame[150_000..]).await.unwrap();
        backend.write_all(&frame).await.unwrap();
    };
    within(async { tokio::join!(speaking, client.read_exact(&mut heard)) }).await.1.unwrap();
    let (pings, frames): (Vec<_>, Vec<_>) =
        rig::read_frames(&heard).into_iter().partition(|frame| frame.opcode == rig::PING);
    assert_eq!(pings.len(), 1, "another comes when it was answered");
    assert!(frames == vec![rig::Seen::plain(rig::BINARY, &payload); 3]);
    drop((client, backend));
    within(session).await;
}

#[tokio::test]
async fn an_urgent_byte_inside_a_big_frame_stops_nothing() {
    let (session, mut client, mut backend) = routed(&limits()).await;
    let frame = rig::plain(rig::BINARY, &noise(400_000, 7));
    backend.write_all(&frame).await.unwrap();
    hears(&mut client, &frame).await;
    backend.write_all(&frame[..100_000]).await.unwrap();
    hears(&mut client, &frame[..100_000]).await;
    // It is no part of the stream, and a splice does not get past it by itself.
    SockRef::from(&backend).send_out_of_band(b"!").unwrap();
    backend.write_all(&frame[100_000..]).await.unwrap();
    hears(&mut client, &frame[100_000..]).await;
    drop((client, backend));
    within(session).await;
}
