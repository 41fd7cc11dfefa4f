//! How a session ends when we stop: nothing that was said before is lost, and nobody is waited for without end.

use std::time::Duration;

use super::rig::*;
use crate::{error::Cause, relay::close::CloseFrame};

const SECOND: Duration = Duration::from_secs(1);

/// How a peer writes a final frame.
type Writes = fn(u8, &[u8]) -> Vec<u8>;

/// Both kinds of pair, each with how its backend writes frames.
fn pairs() -> [(Rig, Writes); 2] {
    [(Rig::routed(&quiet()), plain), (Rig::rendezvous(&quiet()), masked)]
}

fn farewell() -> CloseFrame {
    CloseFrame { code: 1012, reason: "".into() }
}

#[test]
fn at_a_farewell_what_was_sent_before_comes_before_the_close() {
    for (mut rig, from_backend) in pairs() {
        rig.client.takes(0);
        for n in 0..100 {
            rig.backend.says(&from_backend(BINARY, &[n; 2000]));
        }
        rig.run();
        assert!(rig.backend.unread() > 0, "not all of it is read while nobody takes it");
        rig.session.take_leave(farewell(), Cause::Draining, rig.now);
        rig.run();
        assert_eq!(code_of(&rig.backend.frames()), Some(1012), "the client had said nothing");
        rig.client.takes(usize::MAX);
        rig.run();
        let frames = rig.client.frames();
        assert_eq!(frames.len(), 101);
        for (n, frame) in frames[..100].iter().enumerate() {
            assert_eq!(frame.payload, [u8::try_from(n).unwrap(); 2000]);
        }
        assert_eq!(code_of(&frames), Some(1012));
        rig.client.says(&masked(CLOSE, &code(1012, ""))).ends();
        rig.backend.says(&from_backend(CLOSE, &code(1012, ""))).ends();
        assert!(rig.is_over());
        let report = rig.report();
        assert_eq!((report.cause, report.ended_by), (Cause::Draining, None));
    }
}

#[test]
fn at_a_farewell_one_that_has_nothing_to_say_hears_the_others_last_words() {
    for (mut rig, from_backend) in pairs() {
        rig.client.takes(0);
        rig.backend.says(&from_backend(BINARY, &[1; 2000]));
        rig.run();
        rig.session.take_leave(farewell(), Cause::Draining, rig.now);
        rig.run();
        assert_eq!(code_of(&rig.backend.frames()), Some(1012));
        // It answers before the client has taken what it said: that answer is the client's Close.
        rig.backend.says(&from_backend(TEXT, b"and this")).says(&from_backend(CLOSE, &code(1012, "")));
        rig.client.takes(usize::MAX);
        rig.run();
        let frames = rig.client.frames();
        let payloads: Vec<_> = frames.iter().map(|frame| frame.payload.len()).collect();
        assert_eq!((payloads, code_of(&frames)), (vec![2000, 8, 2], Some(1012)));
    }
}

#[test]
fn at_a_farewell_neither_a_sender_without_a_pause_nor_one_that_takes_nothing_is_waited_for_longer_than_close() {
    for (mut rig, from_backend) in pairs() {
        rig.backend.takes(0);
        rig.client.takes(10);
        rig.client.says(&masked(BINARY, &vec![1; 100_000]));
        rig.backend.says(&from_backend(BINARY, &[2; 1000])).says(&from_backend(BINARY, &[3; 1000]));
        rig.run();
        rig.session.take_leave(farewell(), Cause::Draining, rig.now);
        rig.after(4 * SECOND);
        assert!(!rig.client.is_closed() && !rig.backend.is_closed());
        // Then each is told at the next boundary, and has `close` once more to take it.
        rig.after(2 * SECOND);
        rig.client.takes(usize::MAX);
        rig.run();
        assert_eq!(code_of(&rig.client.frames()), Some(1012));
        rig.after(5 * SECOND);
        assert!(rig.client.is_closed() && rig.backend.is_closed());
        assert_eq!(rig.report().cause, Cause::Draining);
    }
}

#[test]
fn at_a_farewell_a_leg_that_waits_is_told_at_once_and_what_it_said_is_dropped() {
    let mut rig = Rig::waiting(&quiet(), 1000, 60 * SECOND);
    rig.client.says(&masked(TEXT, b"held"));
    rig.run();
    rig.session.take_leave(farewell(), Cause::Draining, rig.now);
    rig.run();
    assert_eq!(code_of(&rig.client.frames()), Some(1012));
    rig.client.says(&masked(CLOSE, &code(1012, ""))).ends();
    assert!(rig.is_over());
    assert_eq!((rig.report().cause, rig.report().joined), (Cause::Draining, false));
}

#[test]
fn what_is_dropped_is_over_at_once_and_keeps_the_first_reason() {
    for (mut rig, _) in pairs() {
        rig.session.drop_all(Cause::Draining);
        assert!(rig.is_over() && rig.client.is_closed() && rig.backend.is_closed() && !rig.client.is_cut());
        assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Draining, None));
    }
    for (mut rig, _) in pairs() {
        rig.client.says(&masked(CLOSE, &code(1000, "")));
        rig.run();
        rig.session.drop_all(Cause::Draining);
        assert!(rig.is_over());
        assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Closed, Some(CLIENT)));
    }
}
