//! `hold`: what is taken from a leg that waits, to the byte, and what that costs.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use socket2::SockRef;

use crate::support::{
    board::{Board, Leg, Who},
    dial::{not_before, within},
    peers::half_closer,
    wire::{BINARY, CLOSE, TEXT, close},
};

/// A message that takes so many bytes of a hold: its header without the mask, and its payload.
fn taking(bytes: usize) -> Vec<u8> {
    vec![7; bytes - 4]
}

/// At the bound nothing more is read; below it by one byte everything is.
#[tokio::test]
async fn a_leg_is_read_until_its_hold_is_full_to_the_byte() {
    let board = Board::with_rendezvous("hold: 1KiB", "").await;
    for (first, second) in [(Who::Client, Who::Backend), (Who::Backend, Who::Client)] {
        // One byte is left: the Close is read, so the leg has left and its seat is free.
        let id = board.fresh_id();
        let mut leg = board.dials_in(first, &id).await;
        leg.say(BINARY, &taking(1023)).await;
        leg.say(CLOSE, &close(1000, "")).await;
        assert_eq!(leg.hears_code().await, Some(1000));
        leg.parts().await;
        board.expect_end("closed");
        board.proxy.metric_becomes("cordboard_channels", 0.0);

        // None is left: the Close is not seen before somebody has taken what stands in front of it.
        let mut leg = board.dials_in(first, &id).await;
        leg.say(BINARY, &taking(1024)).await;
        leg.say(CLOSE, &close(1000, "behind it")).await;
        board.proxy.metric_becomes("cordboard_legs_waiting", 1.0);
        let mut partner = board.dials_in(second, &id).await;
        partner.hears(BINARY, &taking(1024)).await;
        assert_eq!(partner.hears_close().await, Some((1000, "behind it".to_owned())));
        partner.leaves(1000).await;
        assert_eq!(leg.hears_code().await, Some(1000));
        leg.parts().await;
        board.expect_end("closed");
    }
    board.is_at_rest();
    board.proxy.metric_becomes("cordboard_holds_filled_total", 2.0);
}

#[tokio::test]
async fn a_leg_that_left_behind_a_full_hold_is_noticed_when_its_partner_comes() {
    let board = Board::with_rendezvous("hold: 1KiB", "").await;
    let id = board.fresh_id();
    let mut gone = board.dials_in(Who::Client, &id).await;
    gone.say(BINARY, &taking(1024)).await;
    gone.say(TEXT, b"not read").await;
    board.proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    half_closer::half_close(&mut gone).await;
    let peer = gone.stream.local_addr().unwrap().to_string();
    let mut backend = board.dials_in(Who::Backend, &id).await;
    let line = board.line_of(&peer).await;
    assert_eq!((&line["cause"], &line["outcome"]), (&"client-broken".into(), &"lonely".into()), "{line:#}");
    board.expect_end("client-broken");
    // The partner waits for another, and hears nothing of what was held.
    let mut client = board.dials_in(Who::Client, &id).await;
    client.say(TEXT, b"alive").await;
    backend.hears(TEXT, b"alive").await;
    backend.say(CLOSE, &close(1000, "")).await;
    assert_eq!(client.hears_code().await, Some(1000));
    client.leaves(1000).await;
    assert_eq!(backend.hears_code().await, Some(1000));
    backend.parts().await;
    board.expect_end("closed");
    board.is_at_rest();
}

#[tokio::test]
async fn a_leg_that_left_behind_a_full_hold_is_noticed_at_its_deadline() {
    let board = Board::with_rendezvous("hold: 1KiB, pairing_timeout: 1s", "").await;
    let id = board.fresh_id();
    let begun = Instant::now();
    let mut gone = board.dials_in(Who::Client, &id).await;
    gone.say(BINARY, &taking(1024)).await;
    gone.say(TEXT, b"not read").await;
    half_closer::half_close(&mut gone).await;
    let peer = gone.stream.local_addr().unwrap().to_string();
    assert_eq!(gone.hears_code().await, Some(4408));
    gone.expect_end().await;
    not_before(begun, Duration::from_secs(1));
    let line = board.line_of(&peer).await;
    assert_eq!((&line["cause"], &line["outcome"]), (&"no-partner".into(), &"timeout".into()), "{line:#}");
    board.expect_end("no-partner");
    board.is_at_rest();
}

const MESSAGES: usize = 10_000;

/// Message number `n`; all are of one length.
fn message(n: usize) -> Vec<u8> {
    format!("{n:0>256}").into_bytes()
}

async fn says_all(mut leg: Leg) -> Leg {
    // So that its own kernel takes little off it.
    SockRef::from(&leg.wire.stream).set_send_buffer_size(64 << 10).unwrap();
    for n in 0..MESSAGES {
        let frame = leg.frame_of(TEXT, &message(n));
        // It stands still while nobody takes what it says.
        within("a message to be taken", leg.write(&frame)).await;
    }
    leg
}

#[tokio::test]
async fn ten_thousand_messages_of_each_leg_before_its_partner_comes_arrive_in_order_and_cost_its_hold() {
    const LEGS: usize = 20;
    /// Twice the hold, because it grows as it is filled, and what a session needs beside.
    const MOST_BYTES: f64 = ((2 * 64 + 64) << 10) as f64;
    let board = Board::with_rendezvous("hold: 64KiB, pairing_timeout: 5m", "ping_every: 0").await;
    let mut places = Vec::new();
    let mut legs = Vec::new();
    for n in 0..LEGS {
        let (first, second) = if n % 2 == 0 { (Who::Client, Who::Backend) } else { (Who::Backend, Who::Client) };
        let id = board.fresh_id();
        legs.push(board.dials_in(first, &id).await);
        places.push((second, id));
    }
    board.proxy.metric_becomes("cordboard_legs_waiting", LEGS as f64);
    let before = board.proxy.metric("cordboard_resident_memory_bytes");
    // All of them say what they have to say, as far as it is taken.
    let mut saying = pin!(join_all(legs.into_iter().map(says_all)));
    let held = async {
        // 50 MB do not fit anywhere: each leg comes to stand still. No time tells when; a second without a change does.
        let mut last = 0.0;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = board.proxy.metric("cordboard_resident_memory_bytes");
            if (now - last).abs() < 1.0 {
                break now;
            }
            last = now;
        }
    };
    let held = tokio::select! {
        held = held => held,
        _ = &mut saying => panic!("everything was taken while nobody was there"),
    };
    let each = (held - before) / LEGS as f64;
    assert!(each <= MOST_BYTES, "{each} bytes a leg");
    let hearing = join_all(places.iter().map(async |(who, id)| {
        let mut leg = board.dials_in(*who, id).await;
        for n in 0..MESSAGES {
            leg.hears(TEXT, &message(n)).await;
        }
        leg
    }));
    let (said, heard) = tokio::join!(saying, hearing);
    for (mut one, mut other) in said.into_iter().zip(heard) {
        one.say(CLOSE, &close(1000, "")).await;
        assert_eq!(other.hears_code().await, Some(1000));
        other.leaves(1000).await;
        assert_eq!(one.hears_code().await, Some(1000));
        one.parts().await;
        board.expect_end("closed");
    }
    board.is_at_rest();
    board.proxy.metric_becomes("cordboard_holds_filled_total", LEGS as f64);
}
