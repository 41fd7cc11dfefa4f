//! How a pair ends: what each leg hears, and with which code.

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        CHAT, Proxy,
        dial::within,
        wire::{CLOSE, TEXT, Wire, bare, close},
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
async fn a_waiting_leg_that_breaks_the_protocol_is_told_at_once() {
    let proxy = Proxy::with(CHAT);
    let mut client = Wire::open(proxy.address, CLIENT).await;
    client.write(&bare(TEXT, b"x")).await;
    assert_eq!(client.expect_close().await.map(|(code, _)| code), Some(1002));
    proxy.metric_becomes("cordboard_channels", 0.0);
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
