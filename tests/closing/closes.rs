//! Closes that are answered late or never, that stand in the middle of something, or that are not the last word.

use std::time::{Duration, Instant};

use crate::support::{
    board::{Account, Board, Mode, Who, codes, everywhere},
    dial::not_before,
    peers::{babbler, interrupter, slow_closer},
    wire::{BINARY, CLOSE, End, TEXT, close},
};

#[tokio::test]
async fn a_close_that_is_answered_late_is_answered_by_the_peer_itself() {
    let board = Board::with("close: 20s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        call.other.say(CLOSE, &close(4000, "bye")).await;
        assert_eq!(call.rude.hears_close().await, Some((4000, "bye".to_owned())));
        call.record.its_seat_is_free().await;
        slow_closer::goes_on(&mut call.rude).await;
        for text in ["one", "more", "thing"] {
            call.other.hears(TEXT, text.as_bytes()).await;
        }
        slow_closer::answers(&mut call.rude, 3001).await;
        assert_eq!(call.other.hears_close().await, Some((3001, "at last".to_owned())), "{place:?}");
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(false),
            rude: codes(3001, 4000),
            other: codes(4000, 3001),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn a_close_that_is_never_answered_is_answered_by_us_after_close() {
    const CLOSE_WITHIN: Duration = Duration::from_millis(700);
    let board = Board::with("close: 700ms").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let begun = Instant::now();
        call.other.say(CLOSE, &close(4000, "bye")).await;
        assert_eq!(call.rude.hears_close().await, Some((4000, "bye".to_owned())));
        assert_eq!(call.other.hears_close().await, Some((4000, String::new())), "its own code, {place:?}");
        not_before(begun, CLOSE_WITHIN);
        assert_eq!(call.rude.end().await, (vec![], End::Fin));
        // Its answer comes too late to be of any consequence.
        slow_closer::answers(&mut call.rude, 3001).await;
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(false),
            rude: codes(None, 4000),
            other: codes(4000, 4000),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

/// RFC 6455 §7.1.1: the server ends TCP first. Towards a service that we dialled we are the client.
#[tokio::test]
async fn we_end_tcp_first_but_towards_a_service_that_we_dialled_and_there_after_close() {
    const CLOSE_WITHIN: Duration = Duration::from_secs(2);
    let board = Board::with("close: 2s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let begun = Instant::now();
        call.other.say(CLOSE, &close(1000, "")).await;
        call.rude.hears_close().await;
        slow_closer::answers(&mut call.rude, 1000).await;
        call.other.hears_close().await;
        // Neither ends its side.
        for leg in [&mut call.rude, &mut call.other] {
            assert_eq!(leg.end().await, (vec![], End::Fin));
            if (leg.mode, leg.who) == (Mode::Router, Who::Backend) {
                not_before(begun, CLOSE_WITHIN);
            }
        }
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
async fn a_close_in_the_middle_of_a_fragmented_message_passes_where_it_stands() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        interrupter::close_between_fragments(&mut call.rude, 4001, "never mind").await;
        call.other.hears(0x01, b"I was about to ").await;
        call.other.hears(0x00, b"").await;
        assert_eq!(call.other.hears_close().await, Some((4001, "never mind".to_owned())), "{place:?}");
        call.record.its_seat_is_free().await;
        call.other.say(CLOSE, &close(1000, "fine")).await;
        assert_eq!(call.rude.hears_close().await, Some((1000, "fine".to_owned())));
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(true),
            rude: codes(4001, 1000),
            other: codes(1000, 4001),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

/// A Close of ours has no place within a frame: one that is never finished is waited for no longer than `close`.
#[tokio::test]
async fn a_frame_that_is_never_finished_leaves_its_receiver_without_a_close() {
    const LEAST: Duration = Duration::from_millis(3_700);
    let board = Board::with("close: 700ms, lifetime: 3s").await;
    everywhere(async |place| {
        let begun = Instant::now();
        let mut call = board.call(place).await;
        let payload = interrupter::stop_within_a_frame(&mut call.rude).await;
        assert_eq!(call.rude.hears_code().await, Some(1001));
        let (rest, end) = call.other.end().await;
        assert!(rest.len() > payload && rest.len() <= payload + 8, "{} bytes", rest.len());
        assert_eq!(end, End::Fin, "{place:?}");
        not_before(begun, LEAST);
        call.ends(&Account {
            cause: "lifetime",
            detail: None,
            by_rude: None,
            rude: codes(None, 1001),
            other: codes(None, None),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn a_frame_that_is_finished_in_time_is_followed_by_our_close() {
    let board = Board::with("close: 20s, lifetime: 3s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let frame = call.rude.frame_of(BINARY, &[5; 1000]);
        call.rude.write(&frame[..500]).await;
        assert_eq!(call.rude.hears_code().await, Some(1001));
        call.rude.write(&frame[500..]).await;
        call.other.hears(BINARY, &[5; 1000]).await;
        assert_eq!(call.other.hears_code().await, Some(1001), "{place:?}");
        for leg in [&mut call.other, &mut call.rude] {
            leg.leaves(1001).await;
        }
        call.ends(&Account {
            cause: "lifetime",
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

#[tokio::test]
async fn what_is_said_behind_a_close_is_not_heard_and_the_other_may_go_on() {
    let board = Board::with("close: 20s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        babbler::close_and_babble(&mut call.rude, 4002).await;
        assert_eq!(call.other.hears_close().await, Some((4002, String::new())));
        babbler::babble_on(&mut call.rude).await;
        call.other.say(TEXT, b"I see").await;
        call.rude.hears(TEXT, b"I see").await;
        babbler::babble_on(&mut call.rude).await;
        call.record.its_seat_is_free().await;
        call.other.say(CLOSE, &close(4002, "")).await;
        assert_eq!(call.rude.hears_code().await, Some(4002), "{place:?}");
        call.other.parts().await;
        let line = call
            .ends(&Account {
                cause: "closed",
                detail: None,
                by_rude: Some(true),
                rude: codes(4002, 4002),
                other: codes(4002, 4002),
            })
            .await;
        let messages = [&line["messages_in"], &line["partner_messages_in"]].map(|count| count.as_u64().unwrap());
        assert_eq!(messages.iter().sum::<u64>(), 3, "two when they met, and one: {line:#}");
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn one_that_never_stops_talking_behind_its_close_is_let_go_after_close() {
    const CLOSE_WITHIN: Duration = Duration::from_secs(2);
    let board = Board::with("close: 2s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let begun = Instant::now();
        babbler::close_and_babble(&mut call.rude, 1000).await;
        assert_eq!(call.other.hears_code().await, Some(1000));
        call.other.leaves(1000).await;
        babbler::babble_to_the_end(&mut call.rude).await;
        not_before(begun, CLOSE_WITHIN);
        call.ends(&Account {
            cause: "closed",
            detail: None,
            by_rude: Some(true),
            rude: codes(1000, 1000),
            other: codes(1000, 1000),
        })
        .await;
    })
    .await;
    board.is_at_rest();
}

/// Whoever takes the seat of a leg that is in the middle of a message is not joined into that message.
#[tokio::test]
async fn one_that_replaces_a_leg_within_a_message_waits_for_a_partner_of_its_own() {
    let board = Board::with_rendezvous("second_client: replace, second_backend: replace", "").await;
    for (rude, other) in [(Who::Client, Who::Backend), (Who::Backend, Who::Client)] {
        let mut call = board.call((Mode::Rendezvous, rude)).await;
        call.rude.say(0x01, b"I was about to ").await;
        call.other.hears(0x01, b"I was about to ").await;
        // It is asked whether it lives, and answers.
        let (mut newcomer, code) = tokio::join!(board.dials_in(rude, call.record.id()), call.rude.hears_code());
        assert_eq!(code, Some(4409));
        assert_eq!(call.other.hears_code().await, Some(1001), "{rude:?}");
        newcomer.say(TEXT, b"I say").await;
        let mut partner = board.dials_in(other, call.record.id()).await;
        partner.hears(TEXT, b"I say").await;
        partner.say(CLOSE, &close(1000, "")).await;
        assert_eq!(newcomer.hears_code().await, Some(1000));
        newcomer.leaves(1000).await;
        assert_eq!(partner.hears_code().await, Some(1000));
        partner.parts().await;
        board.expect_end("closed");
        call.rude.leaves(4409).await;
        call.other.leaves(1001).await;
        call.ends(&Account {
            cause: "replaced",
            detail: None,
            by_rude: Some(true),
            rude: codes(4409, 4409),
            other: codes(1001, 1001),
        })
        .await;
    }
    board.is_at_rest();
}
