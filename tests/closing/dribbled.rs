//! A conversation in single bytes: every header, mask, payload and control frame is split everywhere.

use crate::support::{
    board::{Account, Board, Leg, codes, everywhere},
    peers::dribbler::dribble,
    wire::{BINARY, CLOSE, PING, PONG, TEXT, close},
};

/// First byte and payload of each frame: all forms of lengths, fragments with control frames between, empty ones.
fn conversation() -> Vec<(u8, Vec<u8>)> {
    vec![
        (TEXT, b"hello".to_vec()),
        (BINARY, vec![]),
        (BINARY, vec![1; 125]),
        (BINARY, vec![2; 126]),
        (BINARY, vec![3; 65_535]),
        (BINARY, vec![4; 65_536]),
        (0x01, b"in ".to_vec()),
        (PING, b"between".to_vec()),
        (0x00, vec![]),
        (PONG, vec![9; 125]),
        (0x80, b"pieces".to_vec()),
    ]
}

async fn says_all(leg: &mut Leg) {
    for (first, payload) in conversation() {
        let frame = leg.frame_of(first, &payload);
        dribble(leg, &frame).await;
    }
}

async fn hears_all(leg: &mut Leg) {
    for (first, payload) in conversation() {
        let frame = leg.frame().await.expect("a frame and not the end");
        assert!(frame.first == first && frame.payload == payload, "{:#x} for {first:#x}", frame.first);
    }
}

#[tokio::test]
async fn what_is_said_byte_by_byte_is_heard_and_so_is_the_answer() {
    let board = Board::with("").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        tokio::join!(says_all(&mut call.rude), hears_all(&mut call.other));
        tokio::join!(says_all(&mut call.other), hears_all(&mut call.rude));
        let frame = call.rude.frame_of(CLOSE, &close(4003, "byte by byte"));
        dribble(&mut call.rude, &frame).await;
        assert_eq!(call.other.hears_close().await, Some((4003, "byte by byte".to_owned())), "{place:?}");
        let frame = call.other.frame_of(CLOSE, &close(1000, "so be it"));
        dribble(&mut call.other, &frame).await;
        assert_eq!(call.rude.hears_close().await, Some((1000, "so be it".to_owned())));
        let line = call
            .ends(&Account {
                cause: "closed",
                detail: None,
                by_rude: Some(true),
                rude: codes(4003, 1000),
                other: codes(1000, 4003),
            })
            .await;
        for messages in ["messages_in", "partner_messages_in"] {
            assert_eq!(line[messages], 8, "seven in it, and one when they met: {line:#}");
        }
    })
    .await;
    board.is_at_rest();
}
