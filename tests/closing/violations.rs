//! Whoever breaks RFC 6455 is told 1002 or 1007 and which rule it was, and is closed; the other leg hears that its partner
//! is gone or broken, and nothing of what broke the rule.

use crate::support::{
    board::{Account, Board, Leg, codes, everywhere},
    peers::{Offence, bad_closer, mismasker, oversizer, reserver},
    wire::{End, TEXT},
};

async fn is_told(offences: fn(&Leg) -> Vec<Offence>, code: u16, cause: &str) {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut number = 0;
        loop {
            let mut call = board.call(place).await;
            let Some((name, bytes, reason)) = offences(&call.rude).into_iter().nth(number) else {
                break call.ends_well().await;
            };
            let bytes = [call.rude.frame_of(TEXT, b"good"), bytes, call.rude.frame_of(TEXT, b"ignored")].concat();
            call.rude.write(&bytes).await;
            assert_eq!(call.rude.hears_close().await, Some((code, reason.to_owned())), "{name}, {place:?}");
            call.other.hears(TEXT, b"good").await;
            if name == "a text in a text" {
                call.other.hears(0x01, b"").await;
            }
            let told = place.1.broken();
            assert_eq!(call.other.hears_code().await, Some(told), "{name}, {place:?}");
            call.record.its_seat_is_free().await;
            // A connection that has failed is ended at once, whoever dialled it.
            assert_eq!(call.rude.end().await, (vec![], End::Fin), "{name}, {place:?}");
            call.other.leaves(told).await;
            call.ends(&Account {
                cause,
                detail: Some(reason),
                by_rude: Some(true),
                rude: codes(None, code),
                other: codes(told, told),
            })
            .await;
            number += 1;
        }
        assert!(number > 2, "{number} offences");
    })
    .await;
    board.is_at_rest();
}

#[tokio::test]
async fn reserved_bits_and_opcodes_and_frames_out_of_place_are_1002() {
    is_told(reserver::frames, 1002, "protocol-error").await;
}

#[tokio::test]
async fn a_length_that_is_not_in_its_shortest_form_is_1002() {
    is_told(oversizer::frames, 1002, "protocol-error").await;
}

#[tokio::test]
async fn frames_of_a_client_without_a_mask_and_of_a_service_with_one_are_1002() {
    is_told(mismasker::frames, 1002, "protocol-error").await;
}

#[tokio::test]
async fn a_close_of_one_byte_or_with_a_code_that_is_never_sent_is_1002() {
    is_told(bad_closer::closes, 1002, "protocol-error").await;
}

#[tokio::test]
async fn a_reason_that_is_not_utf8_is_1007() {
    is_told(bad_closer::unreadable, 1007, "invalid-utf8").await;
}

/// A violator that reads nothing and never ends its side gets no longer than `close`.
#[tokio::test]
async fn a_violator_that_does_not_end_its_side_is_let_go_after_close() {
    let board = Board::with("close: 2s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        call.rude.say(0x83, b"x").await;
        let told = place.1.broken();
        assert_eq!(call.other.hears_code().await, Some(told));
        call.other.leaves(told).await;
        // The session is over while the violator's own side is still open.
        call.record
            .shows(&Account {
                cause: "protocol-error",
                detail: Some("reserved opcode"),
                by_rude: Some(true),
                rude: codes(None, 1002),
                other: codes(told, told),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}
