//! `idle`, `lifetime`, `ping` and what a session is told when its time is over.

use std::time::{Duration, Instant};

use crate::support::{
    board::{Account, Board, Call, codes, everywhere},
    dial::not_before,
    wire::{CLOSE, Frame, PING, PONG, TEXT},
};

/// Both are told 1001 with this reason; nobody is to blame.
async fn both_are_told(mut call: Call<'_>, cause: &str, reason: &str) {
    for leg in [&mut call.rude, &mut call.other] {
        assert_eq!(leg.hears_close().await, Some((1001, reason.to_owned())));
    }
    call.record.its_seat_is_free().await;
    for leg in [&mut call.rude, &mut call.other] {
        leg.leaves(1001).await;
    }
    let account = Account { cause, detail: None, by_rude: None, rude: codes(1001, 1001), other: codes(1001, 1001) };
    call.ends(&account).await;
}

#[tokio::test]
async fn pings_and_pongs_do_not_keep_an_idle_session_whoever_answers_them() {
    const IDLE: Duration = Duration::from_secs(2);
    for limits in ["idle: 2s", "idle: 2s, ping: terminate"] {
        let board = Board::with(limits).await;
        everywhere(async |place| {
            let mut call = board.call(place).await;
            let begun = Instant::now();
            call.rude.say(TEXT, b"the last word").await;
            call.other.hears(TEXT, b"the last word").await;
            let pinging = async {
                loop {
                    call.rude.say(PING, b"anybody?").await;
                    let frame = call.rude.frame().await.expect("a frame and not the end");
                    if frame.first == CLOSE {
                        break frame;
                    }
                    assert_eq!((frame.first, &*frame.payload), (PONG, &b"anybody?"[..]));
                }
            };
            // The other one answers what reaches it, until it hears its Close.
            let (Frame { payload, .. }, code) = tokio::join!(pinging, call.other.hears_code());
            not_before(begun, IDLE);
            assert_eq!((&payload[..2], code), (&1001_u16.to_be_bytes()[..], Some(1001)), "{place:?}");
            for leg in [&mut call.rude, &mut call.other] {
                leg.leaves(1001).await;
            }
            call.ends(&Account {
                cause: "idle",
                detail: None,
                by_rude: None,
                rude: codes(1001, 1001),
                other: codes(1001, 1001),
            })
            .await;
        })
        .await;
        board.is_at_rest();
    }
}

#[tokio::test]
async fn data_in_one_direction_keeps_a_session_from_being_idle() {
    const IDLE: Duration = Duration::from_secs(3);
    let board = Board::with("idle: 3s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let begun = Instant::now();
        while begun.elapsed() < IDLE + Duration::from_secs(1) {
            call.rude.say(TEXT, b"still here").await;
            call.other.hears(TEXT, b"still here").await;
        }
        let begun = Instant::now();
        let record_of = both_are_told(call, "idle", "idle");
        record_of.await;
        // The last word was said a moment before.
        not_before(begun, IDLE / 2);
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn a_session_ends_after_its_lifetime_even_within_a_message() {
    let board = Board::with("lifetime: 3s").await;
    everywhere(async |place| {
        let begun = Instant::now();
        let mut call = board.call(place).await;
        call.rude.say(0x01, b"to be continued").await;
        call.other.hears(0x01, b"to be continued").await;
        both_are_told(call, "lifetime", "the session reached its longest lifetime").await;
        not_before(begun, Duration::from_secs(3));
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn with_relay_a_ping_is_answered_by_the_partner_and_with_terminate_by_us() {
    for terminate in [false, true] {
        let board = Board::with(if terminate { "ping: terminate" } else { "ping: relay" }).await;
        everywhere(async |place| {
            let mut call = board.call(place).await;
            call.rude.say(PING, b"who answers?").await;
            if !terminate {
                let ping = call.other.frame().await.expect("a Ping and not the end");
                assert_eq!((ping.first, &*ping.payload), (PING, &b"who answers?"[..]), "{place:?}");
                // Not what was asked, so that it shows who answers.
                call.other.say(PONG, b"the partner").await;
            }
            let answer = if terminate { &b"who answers?"[..] } else { b"the partner" };
            call.rude.hears(PONG, answer).await;
            // With `terminate` a Pong that nobody asked for goes no further either.
            call.rude.say(PONG, b"unasked").await;
            call.rude.say(TEXT, b"a word").await;
            if !terminate {
                call.other.hears(PONG, b"unasked").await;
            }
            call.other.hears(TEXT, b"a word").await;
            call.ends_well().await;
        })
        .await;
        board.is_at_rest();
    }
}

/// A session that waits for its last words does so no longer than `close`, which is counted.
#[tokio::test]
async fn a_close_of_ours_that_nobody_answers_ends_after_close() {
    let board = Board::with("lifetime: 2s, close: 1s").await;
    everywhere(async |place| {
        let begun = Instant::now();
        let mut call = board.call(place).await;
        for leg in [&mut call.rude, &mut call.other] {
            assert_eq!(leg.hears_code().await, Some(1001), "{place:?}");
        }
        // Neither answers, neither ends its side.
        call.record
            .shows(&Account {
                cause: "lifetime",
                detail: None,
                by_rude: None,
                rude: codes(None, 1001),
                other: codes(None, 1001),
            })
            .await;
        not_before(begun, Duration::from_secs(3));
    })
    .await;
    board.is_at_rest();
    board.proxy.metric_becomes("cordboard_closes_overdue_total", 8.0);
}
