//! Our own Pings: how silence is told from death, and that nobody else hears of them.

use crate::{
    BACKEND, CLIENT, chat,
    support::wire::{PING, PONG, TEXT, Wire},
};

#[tokio::test]
async fn an_idle_leg_is_pinged_waiting_or_joined_and_its_pong_goes_no_further() {
    let proxy = chat("", "ping_every: 100ms, pong_within: 10s");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    let ping = client.frame().await.unwrap();
    assert_eq!(ping.first, PING);
    client.send(PONG, &ping.payload).await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    for _ in 0..3 {
        let ping = client.frame().await.unwrap();
        assert_eq!(ping.first, PING);
        client.send(PONG, &ping.payload).await;
    }
    client.send(TEXT, b"data").await;
    // What the backend hears are Pings of ours and the data, no Pong.
    let heard = loop {
        let frame = backend.frame().await.unwrap();
        match frame.first {
            PING => backend.send(PONG, &frame.payload).await,
            _ => break frame,
        }
    };
    assert_eq!((heard.first, &*heard.payload), (TEXT, &b"data"[..]));
}

#[tokio::test]
async fn a_waiting_leg_that_does_not_answer_our_ping_is_cut() {
    let proxy = chat("", "ping_every: 100ms, pong_within: 200ms");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    assert_eq!(client.frame().await.map(|frame| frame.first), Some(PING));
    client.expect_end().await;
    proxy.metric_becomes("cordboard_channels", 0.0);
}
