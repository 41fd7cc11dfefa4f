//! What one leg says is what the other hears.

use std::time::Duration;

use futures_util::{
    SinkExt as _, StreamExt as _,
    future::join_all,
    stream::{self, SplitSink, SplitStream},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        CHAT, Proxy,
        dial::{Ws, converse, dial, dial_with, part, within},
        wire::{BINARY, CLOSE, PING, PONG, TEXT, Wire, close, masked},
    },
};

/// A small generator of our own, so that a failure can be repeated (Marsaglia, xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).unwrap()
    }

    /// Mostly short, some empty, some around the lengths at which a frame header or a buffer grows.
    fn length(&mut self) -> usize {
        let edges = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 100_000];
        match self.below(20) {
            0 => edges[self.below(edges.len() as u64)],
            _ => self.below(2_000),
        }
    }

    fn message(&mut self) -> Message {
        let length = self.length();
        if self.next().is_multiple_of(2) {
            Message::text((0..length).map(|_| ['a', 'ü', '€', '𝄞'][self.below(4)]).collect::<String>())
        } else {
            Message::binary((0..length).map(|_| self.next().to_le_bytes()[0]).collect::<Vec<_>>())
        }
    }

    fn messages(seed: u64, count: usize) -> Vec<Message> {
        let mut random = Self(seed);
        (0..count).map(|_| random.message()).collect()
    }
}

/// Sends all, every third one in fragments, some of them empty, with a Ping between them.
async fn send_all(sink: &mut SplitSink<Ws, Message>, messages: &[Message], seed: u64) {
    let mut random = Random(seed);
    for (n, message) in messages.iter().enumerate() {
        if n % 3 != 0 {
            sink.send(message.clone()).await.unwrap();
            continue;
        }
        let kind = if message.is_text() { Data::Text } else { Data::Binary };
        let mut rest = message.clone().into_data();
        let mut opcode = OpCode::Data(kind);
        for _ in 0..random.below(4) {
            let part = rest.split_to(random.below(rest.len() as u64 + 1));
            sink.send(Message::Frame(Frame::message(part, opcode, false))).await.unwrap();
            sink.send(Message::Ping("between fragments".into())).await.unwrap();
            opcode = OpCode::Data(Data::Continue);
        }
        sink.send(Message::Frame(Frame::message(rest, opcode, true))).await.unwrap();
    }
}

async fn receive_all(stream: &mut SplitStream<Ws>, expected: &[Message]) {
    for (n, expected) in expected.iter().enumerate() {
        let heard = loop {
            match stream.next().await.expect("a message and not the end").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => break message,
            }
        };
        assert!(heard == *expected, "message {n} differs");
    }
}

#[tokio::test]
async fn a_thousand_random_messages_each_way_arrive_equal_and_in_order() {
    let proxy = Proxy::with(CHAT);
    let (to_backend, to_client) = (Random::messages(0x5eed, 1000), Random::messages(0xfeed, 1000));
    let (mut client_sink, mut client) = dial(&proxy, CLIENT).await.split();
    let (mut backend_sink, mut backend) = dial(&proxy, BACKEND).await.split();
    within("a thousand messages each way", async {
        tokio::join!(
            send_all(&mut client_sink, &to_backend, 3),
            send_all(&mut backend_sink, &to_client, 4),
            receive_all(&mut client, &to_client),
            receive_all(&mut backend, &to_backend),
        )
    })
    .await;
    part(client.reunite(client_sink).unwrap(), backend.reunite(backend_sink).unwrap()).await;
    proxy.logged(&["session ended", "messages_in=1000", "partner_messages_in=1000"]);
}

#[tokio::test]
async fn five_hundred_pairs_at_once_never_hear_each_other() {
    let proxy = Proxy::with(CHAT);
    let pairs = stream::iter(0..500)
        .map(|n| {
            let proxy = &proxy;
            async move {
                let (client, backend) = (format!("/chat?channelId={n}"), format!("/chat/connect?channelId={n}"));
                if n % 2 == 0 {
                    let client = dial(proxy, &client).await;
                    (n, client, dial(proxy, &backend).await)
                } else {
                    let backend = dial(proxy, &backend).await;
                    (n, dial(proxy, &client).await, backend)
                }
            }
        })
        .buffer_unordered(32)
        .collect::<Vec<_>>();
    let mut pairs = within("500 pairs", pairs).await;
    proxy.metric_becomes("cordboard_pairs", 500.0);
    let talks = pairs.iter_mut().map(|(n, client, backend)| async move {
        for round in 0..10 {
            converse(client, backend, &format!("pair {n} round {round}")).await;
        }
    });
    join_all(talks).await;
    assert!((proxy.metric("cordboard_sessions{mode=\"rendezvous\"}") - 1000.0).abs() < 0.5);
    drop(pairs);
    proxy.metric_becomes("cordboard_sessions{mode=\"rendezvous\"}", 0.0);
    proxy.metric_becomes("cordboard_channels", 0.0);
}

#[tokio::test]
async fn a_waiting_leg_is_no_longer_read_once_its_hold_is_full() {
    let proxy = chat("hold: 64KiB", "");
    let before = proxy.metric("cordboard_resident_memory_bytes");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    let message = masked(BINARY, &vec![7; 65_536]);
    let (mut sent, mut offset) = (0, 0);
    // The kernel takes some megabytes on either side; what it does not take within a second stands still.
    while tokio::time::timeout(Duration::from_secs(1), client.stream.writable()).await.is_ok() {
        match client.stream.try_write(&message[offset..]) {
            Ok(written) => offset += written,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        if offset == message.len() {
            (sent, offset) = (sent + 1, 0);
        }
        assert!(sent < 1_000, "64 MB were taken from a leg whose hold is 64 KiB");
    }
    let after = proxy.metric("cordboard_resident_memory_bytes");
    assert!(after - before < 8e6, "memory grew from {before} to {after}");
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    for _ in 0..sent {
        backend.expect(BINARY, &vec![7; 65_536]).await;
    }
    client.write(&message[offset..]).await;
    backend.expect(BINARY, &vec![7; 65_536]).await;
}

#[tokio::test]
async fn frames_in_the_same_segment_as_the_request_are_not_lost() {
    let proxy = Proxy::with(CHAT);
    let early = [masked(TEXT, b"first"), masked(BINARY, &vec![1; 70_000])].concat();
    for (first, second) in [(CLIENT, BACKEND), (BACKEND, CLIENT)] {
        let mut one = Wire::open_with(proxy.address, first, "", &early).await;
        let mut other = Wire::open_with(proxy.address, second, "", &early).await;
        for leg in [&mut one, &mut other] {
            leg.expect(TEXT, b"first").await;
            leg.expect(BINARY, &vec![1; 70_000]).await;
        }
        one.send(CLOSE, &close(1000, "")).await;
        other.expect_close().await;
    }
}

#[tokio::test]
async fn a_frame_passes_before_it_has_all_come() {
    let proxy = chat("", "message: 0");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    let frame = masked(BINARY, &vec![9; 1_000_000]);
    client.write(&frame[..500_000]).await;
    let mut seen = vec![0; 400_000];
    within("the first part of a frame", tokio::io::AsyncReadExt::read_exact(&mut backend.stream, &mut seen))
        .await
        .unwrap();
    assert_eq!(seen[..10], [BINARY, 127, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40]);
    assert!(seen[10..].iter().all(|byte| *byte == 9));
}

#[tokio::test]
async fn both_legs_are_told_the_channel_and_neither_the_headers_of_the_other() {
    let proxy = Proxy::with(CHAT);
    let (mut client, to_client) = dial_with(
        &proxy,
        "/chat?token=secret-in-query",
        &[("x-group-id", "room 7"), ("authorization", "Bearer secret-in-header"), ("cookie", "secret-in-cookie")],
    )
    .await;
    let path = "/chat/connect?channelId=room%207&backend=hidden-in-query";
    let (mut backend, to_backend) = dial_with(&proxy, path, &[("x-backend", "hidden-in-header")]).await;
    for (answer, foreign) in [(&to_client, "hidden-in"), (&to_backend, "secret-in")] {
        assert_eq!(answer.headers()["x-channel-id"], "room 7");
        assert!(!format!("{:?}", answer.headers()).contains(foreign), "{:?}", answer.headers());
    }
    converse(&mut client, &mut backend, "nothing before").await;
}

#[tokio::test]
async fn pings_pass_end_to_end_and_get_one_pong() {
    let proxy = Proxy::with(CHAT);
    let mut client = Wire::open(proxy.address, CLIENT).await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    client.send(TEXT, b"joined").await;
    backend.expect(TEXT, b"joined").await;
    client.send(PING, b"are you there").await;
    backend.expect(PING, b"are you there").await;
    backend.send(PONG, b"are you there").await;
    client.expect(PONG, b"are you there").await;
    backend.send(TEXT, b"nothing between").await;
    client.expect(TEXT, b"nothing between").await;
}

#[tokio::test]
async fn with_terminate_each_leg_gets_its_pongs_from_us() {
    let proxy = chat("", "ping: terminate");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    client.send(TEXT, b"joined").await;
    backend.expect(TEXT, b"joined").await;
    client.send(PING, b"for the proxy").await;
    client.expect(PONG, b"for the proxy").await;
    client.send(TEXT, b"for the backend").await;
    backend.expect(TEXT, b"for the backend").await;
}

#[tokio::test]
async fn a_waiting_leg_gets_its_pongs_from_us() {
    let proxy = Proxy::with(CHAT);
    let mut client = Wire::open(proxy.address, CLIENT).await;
    client.send(PING, b"while waiting").await;
    client.expect(PONG, b"while waiting").await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    client.send(TEXT, b"the ping was not kept").await;
    backend.expect(TEXT, b"the ping was not kept").await;
}
