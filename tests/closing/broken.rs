//! Legs that break without a Close: what they said is delivered, then the other leg hears 1001 of a client and 1011 of a
//! backend.

use std::time::{Duration, Instant};

use crate::support::{
    board::{Account, Board, codes, everywhere},
    dial::not_before,
    peers::{half_closer, interrupter, pongless, resetter, silent::Silent},
    wire::{BINARY, CLOSE, End, PING, TEXT, close},
};

/// How often we ping and how long we wait, where that is what ends a session. A living leg has time enough to answer.
const ALIVE: &str = "ping_every: 200ms, pong_within: 4s";
const LEAST: Duration = Duration::from_millis(4_200);

#[tokio::test]
async fn one_that_vanishes_without_a_fin_is_pinged_and_then_cut() {
    let board = Board::with(ALIVE).await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        call.rude.say(TEXT, b"last words").await;
        let begun = Instant::now();
        let mut silent = Silent::falls(call.rude);
        call.other.hears(TEXT, b"last words").await;
        let told = place.1.broken();
        assert_eq!(call.other.hears_code().await, Some(told), "{place:?}");
        not_before(begun, LEAST);
        let (frames, end) = silent.was_told().await;
        assert!(frames.iter().any(|frame| frame.first == PING), "it was asked: {frames:?}");
        assert!(frames.iter().all(|frame| frame.first == PING), "no Close is written to the dead: {frames:?}");
        assert_eq!(end, End::Reset);
        call.other.leaves(told).await;
        call.record
            .shows(&Account {
                cause: "keep-alive",
                detail: None,
                by_rude: Some(true),
                rude: codes(None, None),
                other: codes(told, told),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn one_that_reads_but_answers_no_ping_is_cut_too_and_its_seat_is_free() {
    let board = Board::with(ALIVE).await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let told = place.1.broken();
        let ((frames, end), code) = tokio::join!(pongless::hears_to_the_end(&mut call.rude), call.other.hears_code());
        assert_eq!((code, end), (Some(told), End::Reset), "{place:?}");
        assert!(!frames.is_empty() && frames.iter().all(|frame| frame.first == PING), "{frames:?}");
        call.record.its_seat_is_free().await;
        call.other.leaves(told).await;
        call.ends(&Account {
            cause: "keep-alive",
            detail: None,
            by_rude: Some(true),
            rude: codes(None, None),
            other: codes(told, told),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

/// RFC 6455 knows no duty to answer one Ping of many: what counts is any byte.
#[tokio::test]
async fn one_that_answers_no_ping_but_sends_something_lives() {
    let board = Board::with(ALIVE).await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let begun = Instant::now();
        // One byte of a frame for each Ping of ours, and no Pong.
        let frame = call.rude.frame_of(BINARY, &[7; 120]);
        let dribble = async {
            let mut said = 0;
            while begun.elapsed() < 2 * LEAST {
                let ping = call.rude.frame().await.expect("a Ping and not the end");
                assert_eq!(ping.first, PING);
                call.rude.write(&frame[said..=said]).await;
                said += 1;
            }
            assert!(said > 2, "{said} Pings");
            call.rude.write(&frame[said..]).await;
        };
        tokio::join!(dribble, call.other.hears(BINARY, &[7; 120]));
        call.other.say(CLOSE, &close(1000, "")).await;
        assert_eq!(call.rude.hears_code().await, Some(1000));
        call.rude.leaves(1000).await;
        assert_eq!(call.other.hears_code().await, Some(1000));
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(false),
            rude: codes(1000, 1000),
            other: codes(1000, 1000),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn one_that_resets_is_gone_at_once_and_what_it_said_is_delivered() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let last = [call.rude.frame_of(BINARY, &[5; 5_000]), call.rude.frame_of(TEXT, b"last words")].concat();
        call.rude.write(&last).await;
        call.other.hears(BINARY, &[5; 5_000]).await;
        call.other.hears(TEXT, b"last words").await;
        resetter::reset(call.rude);
        let told = place.1.broken();
        assert_eq!(call.other.hears_code().await, Some(told), "{place:?}");
        call.record.its_seat_is_free().await;
        call.other.leaves(told).await;
        call.record
            .shows(&Account {
                cause: place.1.broken_cause(),
                detail: None,
                by_rude: Some(true),
                rude: codes(None, None),
                other: codes(told, told),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn one_that_half_closes_has_broken_though_it_reads_on() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        call.other.say(TEXT, b"for one that reads on").await;
        call.rude.hears(TEXT, b"for one that reads on").await;
        call.rude.say(BINARY, &vec![5; 100_000]).await;
        call.rude.say(TEXT, b"last words").await;
        half_closer::half_close(&mut call.rude).await;
        call.other.hears(BINARY, &vec![5; 100_000]).await;
        call.other.hears(TEXT, b"last words").await;
        let told = place.1.broken();
        assert_eq!(call.other.hears_code().await, Some(told), "{place:?}");
        call.record.its_seat_is_free().await;
        assert_eq!(call.rude.end().await, (vec![], End::Fin));
        call.other.leaves(told).await;
        call.ends(&Account {
            cause: place.1.broken_cause(),
            detail: None,
            by_rude: Some(true),
            rude: codes(None, None),
            other: codes(told, told),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

/// The same behind a Close is how a connection should end.
#[tokio::test]
async fn one_that_half_closes_behind_its_close_still_hears_the_rest_and_the_answer() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        call.rude.say(CLOSE, &close(1001, "going")).await;
        half_closer::half_close(&mut call.rude).await;
        assert_eq!(call.other.hears_close().await, Some((1001, "going".to_owned())));
        call.record.its_seat_is_free().await;
        call.other.say(TEXT, b"the rest").await;
        call.rude.hears(TEXT, b"the rest").await;
        call.other.say(CLOSE, &close(1000, "")).await;
        assert_eq!(call.rude.hears_code().await, Some(1000), "{place:?}");
        assert_eq!(call.rude.end().await, (vec![], End::Fin));
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(true),
            rude: codes(1001, 1000),
            other: codes(1000, 1001),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn one_that_ends_within_a_frame_ends_the_other_without_a_close() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let payload = interrupter::stop_within_a_frame(&mut call.rude).await;
        half_closer::half_close(&mut call.rude).await;
        // The frame can never be whole, so nothing can follow it.
        let (rest, end) = call.other.end().await;
        assert!(rest.len() > payload && rest.len() <= payload + 8, "{} bytes", rest.len());
        assert_eq!(end, End::Fin, "{place:?}");
        call.record.its_seat_is_free().await;
        call.ends(&Account {
            cause: place.1.broken_cause(),
            detail: None,
            by_rude: Some(true),
            rude: codes(None, None),
            other: codes(None, None),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}
