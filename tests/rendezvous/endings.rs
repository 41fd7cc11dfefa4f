//! How a pair ends: what each leg hears, and with which code.

use tokio::io::AsyncWriteExt as _;

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        CHAT, Proxy,
        dial::within,
        wire::{BINARY, CLOSE, TEXT, Wire, bare, close, masked},
    },
};

/// Two that are joined for certain, the client having come first: a leg that has its 101 may still be on its way.
async fn pair(proxy: &Proxy) -> (Wire, Wire) {
    let mut client = Wire::open(proxy.address, CLIENT).await;
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    client.send(TEXT, b"joined").await;
    backend.expect(TEXT, b"joined").await;
    (client, backend)
}

// Regression: a Close was swallowed, and the other leg saw its TCP connection end, or nothing at all.
#[tokio::test]
async fn code_and_reason_of_a_close_reach_the_other_leg_both_ways() {
    let proxy = Proxy::with(CHAT);
    let cases: [(u16, &str); 8] = [
        (1000, "done"),
        (1001, ""),
        (1003, "no binary"),
        (1008, "policy"),
        (1011, "grün"),
        (1013, "later"),
        (3000, "registered"),
        (4999, "private"),
    ];
    for (code, reason) in cases {
        for client_closes in [true, false] {
            let (mut client, mut backend) = pair(&proxy).await;
            let (closing, told) = if client_closes { (&mut client, &mut backend) } else { (&mut backend, &mut client) };
            closing.send(CLOSE, &close(code, reason)).await;
            assert_eq!(told.expect_close().await, Some((code, reason.to_owned())));
            told.send(CLOSE, &close(code, "")).await;
            assert_eq!(closing.expect_close().await.map(|(code, _)| code), Some(code));
            told.expect_end().await;
            closing.expect_end().await;
        }
    }
}

#[tokio::test]
async fn an_empty_close_stays_without_a_code() {
    let proxy = Proxy::with(CHAT);
    for client_closes in [true, false] {
        let (mut client, mut backend) = pair(&proxy).await;
        let (closing, told) = if client_closes { (&mut client, &mut backend) } else { (&mut backend, &mut client) };
        closing.send(CLOSE, b"").await;
        assert_eq!(told.expect_close().await, None);
        told.send(CLOSE, b"").await;
        assert_eq!(closing.expect_close().await, None);
    }
}

#[tokio::test]
async fn a_client_that_ends_without_a_close_is_1001_to_the_backend_behind_what_it_said() {
    let proxy = Proxy::with(CHAT);
    let (mut client, mut backend) = pair(&proxy).await;
    client.send(BINARY, &vec![5; 100_000]).await;
    client.send(TEXT, b"last words").await;
    client.stream.shutdown().await.unwrap();
    backend.expect(BINARY, &vec![5; 100_000]).await;
    backend.expect(TEXT, b"last words").await;
    assert_eq!(backend.expect_close().await.map(|(code, _)| code), Some(1001));
    drop(backend);
    proxy.logged(&["session ended", "cause=\"client-broken\"", "partner_close_sent=1001"]);
}

#[tokio::test]
async fn a_backend_that_ends_without_a_close_is_1011_to_the_client_behind_what_it_said() {
    let proxy = Proxy::with(CHAT);
    let (mut client, mut backend) = pair(&proxy).await;
    backend.send(TEXT, b"last words").await;
    drop(backend);
    client.expect(TEXT, b"last words").await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1011));
    drop(client);
    proxy.logged(&["session ended", "cause=\"backend-broken\"", "close_sent=1011"]);
}

#[tokio::test]
async fn a_leg_cut_within_a_frame_cuts_its_partner_too() {
    let proxy = chat("", "close: 100ms");
    let (mut client, mut backend) = pair(&proxy).await;
    client.write(&masked(BINARY, &[5; 1000])[..500]).await;
    client.stream.shutdown().await.unwrap();
    let mut seen = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut backend.stream, &mut seen);
    // The frame can never be whole, so no Close can follow it: only the end of TCP tells.
    let _ = within("the end of the connection", read).await;
    assert!(seen.len() < 1000, "{} bytes", seen.len());
}

#[tokio::test]
async fn a_message_over_the_limit_is_1009_to_its_sender_and_1001_to_the_other() {
    let proxy = chat("", "message: 1KiB");
    for client_sends in [true, false] {
        let (mut client, mut backend) = pair(&proxy).await;
        let (sender, other) = if client_sends { (&mut client, &mut backend) } else { (&mut backend, &mut client) };
        sender.send(BINARY, &[1; 1024]).await;
        other.expect(BINARY, &[1; 1024]).await;
        sender.send(BINARY, &[1; 1025]).await;
        assert_eq!(sender.expect_close().await, Some((1009, "message too big".to_owned())));
        assert_eq!(other.expect_close().await.map(|(code, _)| code), Some(1001));
    }
    proxy.logged(&["session ended", "outcome=\"error\"", "cause=\"message-too-big\""]);
}

#[tokio::test]
async fn fragments_of_a_message_add_up_to_the_limit() {
    let proxy = chat("", "message: 1KiB");
    let (mut client, _backend) = pair(&proxy).await;
    client.send(0x02, &[1; 1000]).await;
    client.send(0x00, &[1; 24]).await;
    client.send(0x80, &[1; 1]).await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1009));
}

#[tokio::test]
async fn too_many_fragments_are_1008() {
    let proxy = chat("", "fragments: 2");
    let (mut client, mut backend) = pair(&proxy).await;
    client.send(0x01, b"a").await;
    client.send(0x80, b"b").await;
    client.send(0x01, b"a").await;
    client.send(0x00, b"b").await;
    client.send(0x80, b"c").await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1008));
    backend.expect(0x01, b"a").await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_told_1002_or_1007_and_the_other_is_told_too() {
    let proxy = Proxy::with(CHAT);
    let wrong: [(&str, Vec<u8>, u16); 10] = [
        ("an unmasked frame", bare(TEXT, b"x"), 1002),
        ("a reserved bit", masked(0xc1, b"x"), 1002),
        ("a reserved opcode", masked(0x83, b"x"), 1002),
        ("a reserved control opcode", masked(0x8b, b"x"), 1002),
        ("a fragmented ping", masked(0x09, b"x"), 1002),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a Close of one byte", masked(CLOSE, b"\x03"), 1002),
        ("a Close with a code that is never sent", masked(CLOSE, &close(1006, "")), 1002),
        ("a reason that is not UTF-8", masked(CLOSE, b"\x03\xe8\xff"), 1007),
    ];
    for (what, bytes, code) in wrong {
        for (client_breaks, told) in [(true, 1001), (false, 1011)] {
            let (client, backend) = pair(&proxy).await;
            let (mut breaker, mut other) = if client_breaks { (client, backend) } else { (backend, client) };
            breaker.write(&bytes).await;
            assert_eq!(breaker.expect_close().await.map(|(code, _)| code), Some(code), "{what}");
            assert_eq!(other.expect_close().await.map(|(code, _)| code), Some(told), "{what}");
        }
    }
}

#[tokio::test]
async fn a_waiting_leg_that_breaks_the_protocol_is_told_at_once() {
    let proxy = Proxy::with(CHAT);
    let mut client = Wire::open(proxy.address, CLIENT).await;
    client.write(&bare(TEXT, b"x")).await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1002));
    proxy.metric_becomes("cordboard_channels", 0.0);
}

#[tokio::test]
async fn a_session_without_data_ends_with_1001_after_idle() {
    let proxy = chat("", "idle: 300ms");
    let (mut client, mut backend) = pair(&proxy).await;
    client.send(TEXT, b"a word").await;
    backend.expect(TEXT, b"a word").await;
    assert_eq!(client.expect_close().await, Some((1001, "idle".to_owned())));
    assert_eq!(backend.expect_close().await.map(|(code, _)| code), Some(1001));
}

#[tokio::test]
async fn a_session_ends_with_1001_after_its_lifetime_however_much_is_said() {
    let proxy = chat("", "lifetime: 300ms");
    let (mut client, mut backend) = pair(&proxy).await;
    let talk = async {
        loop {
            backend.send(TEXT, b"still here").await;
            let frame = client.frame().await.expect("a frame and not the end");
            if frame.first == CLOSE {
                return frame.payload;
            }
        }
    };
    assert_eq!(within("the end of a lifetime", talk).await[..2], 1001_u16.to_be_bytes());
}
