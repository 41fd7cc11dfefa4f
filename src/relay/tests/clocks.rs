//! What time does: keep-alive, probes, stalls, idleness, age.

use std::time::Duration;

use tokio::sync::oneshot;

use super::rig::*;
use crate::{error::Cause, model::Limits, relay::session::Next};

const SECOND: Duration = Duration::from_secs(1);

fn lively() -> Limits {
    Limits { ping_every: 25 * SECOND, pong_within: 10 * SECOND, ..quiet() }
}

fn pongs(peer: &Peer) -> Vec<u8> {
    peer.frames().iter().filter(|frame| frame.opcode == PING).flat_map(|ping| masked(PONG, &ping.payload)).collect()
}

#[test]
fn a_silent_leg_is_pinged_and_its_pong_goes_no_further() {
    let mut rig = Rig::rendezvous(&lively());
    rig.after(24 * SECOND);
    assert_eq!(rig.client.frames(), []);
    for round in 0..10 {
        rig.after(SECOND);
        for peer in [&rig.client, &rig.backend] {
            let answer = pongs(peer);
            assert!(!answer.is_empty(), "round {round}");
            peer.says(&answer);
        }
        rig.run();
        assert_eq!((rig.client.frames(), rig.backend.frames()), (vec![], vec![]), "swallowed");
        rig.after(24 * SECOND);
    }
    assert!(!rig.is_ending());
}

#[test]
fn pings_to_an_upstream_are_masked() {
    let mut rig = Rig::routed(&lively());
    rig.after(25 * SECOND);
    let frames = rig.backend.frames();
    assert!(frames.len() == 1 && frames[0].opcode == PING && frames[0].masked);
    assert!(!rig.client.frames()[0].masked);
}

#[test]
fn a_leg_that_does_not_answer_is_cut_and_the_other_told() {
    let mut rig = Rig::rendezvous(&lively());
    rig.after(25 * SECOND);
    rig.client.says(&pongs(&rig.client));
    rig.after(9 * SECOND);
    assert!(!rig.is_ending());
    rig.after(SECOND);
    assert!(rig.backend.is_cut());
    assert_eq!(code_of(&rig.client.frames()), Some(1011));
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::KeepAlive, Some(BACKEND)));
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut rig = Rig::rendezvous(&lively());
    let bytes = masked(BINARY, &[1; 200]);
    for byte in &bytes {
        rig.client.says(&[*byte]);
        rig.backend.says(&masked(PONG, b""));
        rig.after(20 * SECOND);
    }
    assert!(!rig.is_ending());
    assert!(rig.client.frames().iter().all(|frame| frame.opcode == PONG));
}

#[test]
fn the_clock_stops_while_a_leg_is_not_read() {
    let mut rig = Rig::rendezvous(&Limits { stall: Duration::ZERO, ..lively() });
    rig.backend.takes(0);
    rig.client.says(&masked(BINARY, &vec![1; 200_000]));
    for _ in 0..30 {
        rig.after(9 * SECOND);
        rig.backend.says(&masked(PONG, b"alive"));
    }
    assert!(!rig.is_ending(), "a slow consumer does not kill its producer");
    rig.backend.takes(usize::MAX);
    rig.run();
    rig.backend.says(&masked(PONG, b"alive"));
    rig.after(24 * SECOND);
    assert!(rig.client.frames().iter().all(|frame| frame.opcode == PONG), "and it starts anew");
    rig.after(SECOND);
    assert_eq!(rig.client.frames().last().map(|frame| frame.opcode), Some(PING));
}

#[test]
fn a_leg_that_is_read_again_is_not_pinged_for_the_time_before() {
    let mut rig = Rig::rendezvous(&lively());
    rig.backend.takes(0);
    rig.client.says(&masked(TEXT, b"all it has to say"));
    rig.run();
    rig.after(24 * SECOND);
    rig.backend.says(&masked(PONG, b"alive"));
    rig.after(24 * SECOND);
    rig.backend.takes(usize::MAX);
    rig.run();
    rig.backend.says(&masked(PONG, b"alive"));
    rig.after(24 * SECOND);
    assert!(rig.client.frames().iter().all(|frame| frame.opcode == PONG));
    rig.after(SECOND);
    assert_eq!(rig.client.frames().last().map(|frame| frame.opcode), Some(PING));
}

#[test]
fn our_ping_waits_for_the_end_of_the_frame() {
    let mut rig = Rig::routed(&lively());
    let long = plain(BINARY, &[5; 1000]);
    rig.backend.says(&long[..600]);
    rig.after(26 * SECOND);
    assert_eq!(rig.client.hears(), long[..600]);
    rig.backend.says(&long[600..]);
    rig.run();
    let heard = rig.client.hears();
    assert_eq!(heard[..404], long[600..]);
    assert_eq!(read_frames(&heard[404..])[0].opcode, PING);
    rig.after(9 * SECOND);
    assert!(!rig.is_ending(), "the time for the Pong runs from the Ping");
}

#[test]
fn a_ping_that_cannot_be_written_is_not_asked_for_again() {
    let mut rig = Rig::rendezvous(&lively());
    rig.client.takes(3);
    rig.after(25 * SECOND);
    rig.backend.says(&pongs(&rig.backend));
    let wants = rig.wants();
    assert_eq!(wants.write, [true, false]);
    assert!(wants.deadline.is_some_and(|deadline| deadline > rig.now), "nothing is due for ever");
    rig.after(20 * SECOND);
    rig.client.takes(usize::MAX);
    rig.run();
    assert_eq!(rig.client.frames().len(), 1, "one Ping");
    rig.after(9 * SECOND);
    assert!(!rig.is_ending(), "the time for the Pong runs from when it is written");
}

#[test]
fn a_pong_with_another_payload_passes() {
    let mut rig = Rig::rendezvous(&lively());
    rig.after(25 * SECOND);
    let ping = rig.client.frames().remove(0).payload;
    let mut other = ping.clone();
    other[7] ^= 0x40;
    rig.backend.frames();
    rig.client.says(&masked(PONG, &ping)).says(&masked(PONG, &other)).says(&masked(PONG, &ping[..7]));
    rig.run();
    assert_eq!(rig.backend.frames(), [Seen::plain(PONG, &other), Seen::plain(PONG, &ping[..7])]);
}

#[test]
fn a_leg_that_takes_nothing_is_cut() {
    let mut rig = Rig::rendezvous(&Limits { stall: 60 * SECOND, ..quiet() });
    rig.backend.takes(10);
    rig.client.says(&masked(BINARY, &[1; 1000]));
    rig.after(59 * SECOND);
    rig.backend.takes(1);
    rig.after(59 * SECOND);
    assert!(!rig.is_ending(), "a byte is progress");
    rig.after(SECOND);
    assert!(rig.backend.is_cut());
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Stalled, Some(BACKEND)));
    assert_eq!(code_of(&rig.client.frames()), Some(1011));
}

// Regression: a socket with a long queue counts as full until a third of it is free, and a slow reader was cut meanwhile.
#[test]
fn a_leg_that_takes_a_byte_now_and_then_is_not_stalled_though_its_socket_counts_as_full() {
    let mut rig = Rig::rendezvous(&Limits { stall: 60 * SECOND, ..quiet() });
    rig.backend.counts_as_full_below(500);
    rig.backend.takes(600);
    rig.client.says(&masked(BINARY, &[1; 1000]));
    rig.backend.takes(0);
    for _ in 0..10 {
        rig.after(59 * SECOND);
        rig.backend.takes(1);
        rig.after(SECOND);
        assert!(!rig.is_ending());
    }
    rig.after(74 * SECOND);
    assert!(rig.backend.is_cut());
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Stalled, Some(BACKEND)));
}

// Regression: our Ping stood behind what a slow reader had still to read, and it was cut for not answering it.
#[test]
fn a_leg_that_still_takes_bytes_has_not_come_to_our_ping_yet() {
    let mut rig = Rig::rendezvous(&lively());
    rig.after(25 * SECOND);
    rig.client.says(&pongs(&rig.client));
    assert!(!pongs(&rig.backend).is_empty(), "the backend has its Ping");
    rig.backend.counts_as_full_below(500);
    rig.backend.takes(600);
    rig.client.says(&masked(BINARY, &[1; 1000]));
    for _ in 0..10 {
        rig.after(9 * SECOND);
        rig.backend.takes(1);
        rig.after(SECOND);
        assert!(!rig.is_ending());
        rig.client.says(&pongs(&rig.client));
    }
    rig.after(9 * SECOND);
    assert!(!rig.is_ending());
    rig.after(SECOND);
    assert!(rig.backend.is_cut());
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::KeepAlive, Some(BACKEND)));
}

#[test]
fn only_data_frames_keep_a_session_from_being_idle() {
    let mut rig = Rig::rendezvous(&Limits { idle: 60 * SECOND, ..quiet() });
    rig.after(30 * SECOND);
    rig.backend.says(&masked(TEXT, b"data"));
    rig.after(59 * SECOND);
    rig.client.says(&masked(PING, b"not data"));
    rig.run();
    assert!(!rig.is_ending());
    rig.after(SECOND);
    assert_eq!((code_of(&rig.client.frames()), code_of(&rig.backend.frames())), (Some(1001), Some(1001)));
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Idle, None));
}

#[test]
fn a_session_does_not_outlive_the_shorter_lifetime() {
    let mut rig = Rig::waiting(&Limits { lifetime: 600 * SECOND, ..quiet() }, 1000, 30 * SECOND);
    assert!(rig.join(&Limits { lifetime: 60 * SECOND, ..quiet() }, b""));
    for _ in 0..59 {
        rig.client.says(&masked(TEXT, b"busy"));
        rig.after(SECOND);
    }
    assert!(!rig.is_ending());
    rig.after(SECOND);
    assert_eq!((code_of(&rig.client.frames()), code_of(&rig.backend.frames())), (Some(1001), Some(1001)));
    assert_eq!(rig.report().cause, Cause::Lifetime);
}

#[test]
fn nothing_happens_when_every_clock_is_off() {
    let mut rig = Rig::routed(&quiet());
    assert!(matches!(rig.after(1_000_000 * SECOND), Next::Wait(wants) if wants.deadline.is_none()));
}

#[test]
fn endless_durations_do_not_overflow() {
    let endless = Duration::MAX;
    let limits = Limits {
        idle: endless,
        lifetime: endless,
        ping_every: endless,
        pong_within: endless,
        stall: endless,
        close: endless,
        ..Limits::default()
    };
    let mut rig = Rig::routed(&limits);
    rig.client.says(&masked(CLOSE, b""));
    rig.after(SECOND);
    assert_eq!(code_of(&rig.backend.frames()), Some(1005));
}

#[test]
fn a_close_of_no_length_still_writes_the_close() {
    let mut rig = Rig::rendezvous(&Limits { close: Duration::ZERO, ..quiet() });
    rig.session.close(None, Cause::Draining, rig.now);
    rig.run();
    assert_eq!((code_of(&rig.client.frames()), code_of(&rig.backend.frames())), (Some(1012), Some(1012)));
    assert_eq!(rig.after(SECOND), Next::Done);
}

#[test]
fn a_probe_is_answered_by_the_next_byte() {
    let mut rig = Rig::rendezvous(&quiet());
    for conn in [CLIENT, BACKEND] {
        let (reply, mut answer) = oneshot::channel();
        rig.session.probe(conn, reply);
        rig.run();
        assert!(answer.try_recv().is_err(), "not yet");
        let peer = if conn == CLIENT { rig.client.clone() } else { rig.backend.clone() };
        peer.says(&pongs(&peer));
        rig.run();
        assert_eq!(answer.try_recv(), Ok(true));
    }
    assert_eq!((rig.client.frames(), rig.backend.frames()), (vec![], vec![]), "those Pongs are ours");
}

#[test]
fn a_leg_that_is_not_read_counts_as_alive() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.backend.takes(0);
    rig.client.says(&masked(TEXT, b"data"));
    rig.run();
    let (reply, mut answer) = oneshot::channel();
    rig.session.probe(CLIENT, reply);
    assert_eq!(answer.try_recv(), Ok(true));
}

#[test]
fn a_full_socket_that_drains_is_a_sign_of_life_too() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.backend.takes(100);
    rig.client.says(&masked(BINARY, &[1; 1000]));
    rig.run();
    let (reply, mut answer) = oneshot::channel();
    rig.session.probe(BACKEND, reply);
    rig.run();
    assert!(answer.try_recv().is_err(), "no Ping fits into the frame");
    rig.backend.takes(100);
    rig.run();
    assert_eq!(answer.try_recv(), Ok(true));
}

#[test]
fn a_probe_of_what_is_over_or_unknown_is_answered_no() {
    let mut rig = Rig::rendezvous(&quiet());
    let ask = |rig: &mut Rig, conn| {
        let (reply, mut answer) = oneshot::channel();
        rig.session.probe(conn, reply);
        answer.try_recv()
    };
    assert_eq!(ask(&mut rig, crate::model::ConnId::from_raw(0xdead)), Ok(false));
    rig.client.says(&masked(CLOSE, b""));
    rig.run();
    assert_eq!(ask(&mut rig, CLIENT), Ok(false));
}
