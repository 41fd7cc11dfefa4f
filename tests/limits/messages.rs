//! `message` and `fragments`: judged by the header of a frame, before a byte of its payload has come.

use crate::support::{
    board::{Account, Board, Call, Who, codes, everywhere},
    peers::announcer::announce,
    wire::{BINARY, End, PING, TEXT},
};

/// Bytes of a message, where nothing else is said.
const DEFAULT: u64 = 1 << 20;

/// The rude one is told `code`, the other that its partner is gone; both are let go.
async fn is_refused(mut call: Call<'_>, code: u16, reason: &str, (cause, detail): (&str, &str)) {
    assert_eq!(call.rude.hears_close().await, Some((code, reason.to_owned())));
    assert_eq!(call.other.hears_code().await, Some(1001));
    call.record.its_seat_is_free().await;
    assert_eq!(call.rude.end().await, (vec![], End::Fin));
    call.other.leaves(1001).await;
    call.ends(&Account {
        cause,
        detail: Some(detail),
        by_rude: Some(true),
        rude: codes(None, code),
        other: codes(1001, 1001),
    })
    .await;
}

async fn is_too_big(call: Call<'_>, most: u64) {
    let detail = format!("a message of more than {most} bytes (limits.message)");
    is_refused(call, 1009, "message too big", ("message-too-big", &detail)).await;
}

#[tokio::test]
async fn a_header_that_announces_a_gibibyte_is_1009_though_nothing_follows_it() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        announce(&mut call.rude, BINARY, 1 << 30).await;
        is_too_big(call, DEFAULT).await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let board = Board::with("message: 70000B").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let most = vec![6; 70_000];
        call.rude.say(BINARY, &most).await;
        call.other.hears(BINARY, &most).await;
        announce(&mut call.rude, BINARY, 70_001).await;
        is_too_big(call, 70_000).await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn fragments_add_up_to_the_limit_and_the_next_message_begins_anew() {
    let board = Board::with("message: 1KiB").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        for _ in 0..2 {
            for (first, length) in [(0x02, 1000_u16), (0x00, 0), (PING, 100), (0x00, 23), (0x80, 1)] {
                let payload = vec![length.to_le_bytes()[0]; usize::from(length)];
                call.rude.say(first, &payload).await;
                let frame = call.other.frame().await.expect("a frame and not the end");
                assert_eq!((frame.first, frame.payload), (first, payload), "{place:?}");
            }
        }
        call.rude.say(0x02, &[1; 1000]).await;
        call.other.hears(0x02, &[1; 1000]).await;
        announce(&mut call.rude, 0x80, 25).await;
        is_too_big(call, 1024).await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn as_many_fragments_as_the_limit_pass_and_one_more_is_1008() {
    let board = Board::with("fragments: 3").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        for _ in 0..2 {
            for (first, payload) in [(0x01, &b"one"[..]), (0x00, b""), (PING, b"is no fragment"), (0x80, b"three")] {
                call.rude.say(first, payload).await;
                let frame = call.other.frame().await.expect("a frame and not the end");
                assert_eq!((frame.first, &*frame.payload), (first, payload), "{place:?}");
            }
        }
        for first in [0x01, 0x00, 0x00] {
            call.rude.say(first, b"more").await;
            call.other.hears(first, b"more").await;
        }
        announce(&mut call.rude, 0x80, 4).await;
        let detail = "a message of more than 3 frames (limits.fragments)";
        is_refused(call, 1008, "too many fragments", ("too-many-fragments", detail)).await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn without_a_limit_any_length_may_be_announced() {
    let board = Board::with("message: 0").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        announce(&mut call.rude, BINARY, (1 << 63) - 1).await;
        call.rude.write(&[0; 100]).await;
        // Header and payload go on as they come.
        let masked = call.other.who == Who::Backend && !call.other.masks();
        let mut seen = vec![0; if masked { 114 } else { 110 }];
        let read = tokio::io::AsyncReadExt::read_exact(&mut call.other.wire.stream, &mut seen);
        crate::support::dial::within("the beginning of a long frame", read).await.unwrap();
        assert_eq!(&seen[..2], &[BINARY, if masked { 0xff } else { 127 }], "{place:?}");
        drop(call.rude);
        assert!(call.other.end().await.0.is_empty());
        call.record
            .shows(&Account {
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

/// A leg that waits is held to its limit as well.
#[tokio::test]
async fn a_waiting_leg_is_told_1009_at_the_header_and_its_seat_is_free() {
    let board = Board::with("message: 1KiB").await;
    for who in [Who::Client, Who::Backend] {
        let id = board.fresh_id();
        let mut leg = board.dials_in(who, &id).await;
        leg.say(TEXT, &[b'x'; 1024]).await;
        announce(&mut leg, TEXT, 1025).await;
        assert_eq!(leg.hears_close().await, Some((1009, "message too big".to_owned())));
        board.proxy.metric_becomes("cordboard_channels", 0.0);
        assert_eq!(leg.end().await, (vec![], End::Fin));
        let peer = leg.stream.local_addr().unwrap().to_string();
        drop(leg);
        let line = board.line_of(&peer).await;
        assert_eq!(
            (&line["cause"], &line["outcome"], &line["close_sent"]),
            (&"message-too-big".into(), &"error".into(), &1009.into())
        );
        assert!(line.get("partner").is_none(), "{line:#}");
        board.expect_end("message-too-big");
    }
    board.is_at_rest();
}
