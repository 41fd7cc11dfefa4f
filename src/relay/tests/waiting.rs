//! A leg that waits for its partner, and the join.

use std::time::Duration;

use tokio::sync::oneshot;

use super::rig::*;
use crate::{error::Cause, model::Limits, relay::session::Next};

const SECOND: Duration = Duration::from_secs(1);
const HOLD: usize = 4096;

fn waiting() -> Rig {
    Rig::waiting(&quiet(), HOLD, 30 * SECOND)
}

#[test]
fn what_was_held_goes_first_and_in_order() {
    let mut rig = waiting();
    rig.client.says(&masked(TEXT, b"one")).says(&masked(TEXT, b"two"));
    rig.run();
    rig.client.says(&masked(TEXT, b"three"));
    assert!(rig.join(&quiet(), &masked(TEXT, b"early")));
    rig.client.says(&masked(TEXT, b"four"));
    rig.run();
    let texts: Vec<_> = rig.backend.frames().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b"three", b"four"]);
    assert_eq!(rig.client.frames(), [Seen::plain(TEXT, b"early")]);
    let (client, backend) = rig.legs();
    assert_eq!((client.messages_in, backend.messages_out), (4, 4));
    assert!(rig.report().joined);
}

#[test]
fn a_waiting_leg_is_read_up_to_the_hold_and_no_further() {
    let mut rig = waiting();
    let bytes = [masked(BINARY, &[1; 1000]), masked(BINARY, &vec![2; 10_000])].concat();
    rig.client.dribbles(700);
    rig.client.says(&bytes);
    let wants = rig.wants();
    assert_eq!(wants.read, [false, false]);
    let read = bytes.len() - rig.client.unread();
    assert!((HOLD..=HOLD + 12).contains(&read), "the hold, and the masks that were taken off: {read}");
    assert!(rig.report().legs[0].hold_filled);
    assert!(rig.join(&quiet(), b""));
    let frames = rig.backend.frames();
    assert_eq!(frames.len(), 2, "a frame that was held by half goes on");
    assert_eq!((&frames[0].payload[..], &frames[1].payload[..]), (&[1; 1000][..], &vec![2; 10_000][..]));
    assert_eq!(rig.wants().read, [true, true]);
    assert!(rig.session.sides[0].flow.pending.is_empty(), "and nothing is kept of it");
}

#[test]
fn early_bytes_are_read_first_and_held_like_others() {
    let (client, client_io) = Peer::new();
    let early = masked(TEXT, b"in the segment of the request");
    let traits = crate::relay::side::Traits {
        early: early.clone().into(),
        ..traits(crate::relay::Party::Client, crate::relay::End::Server, &quiet())
    };
    let now = crate::moment::Moment::now();
    let mut session = crate::relay::session::Session::waiting(
        (client_io, traits),
        HOLD,
        now + SECOND,
        crate::relay::owner::Owned::default(),
        now,
    );
    client.says(&masked(TEXT, b"behind it"));
    assert!(matches!(session.step(now), Next::Wait(_)), "what the socket has is for the next step");
    session.step(now);
    let (backend, backend_io) = Peer::new();
    let newcomer = super::rig::traits(crate::relay::Party::Backend, crate::relay::End::Server, &quiet());
    session.join((backend_io, newcomer), now);
    session.step(now);
    let texts: Vec<_> = backend.frames().into_iter().map(|frame| frame.payload).collect();
    assert_eq!(texts, [&b"in the segment of the request"[..], b"behind it"]);
    assert_eq!(session.report(now).legs[0].bytes_in, early.len() as u64 + 15);
}

#[test]
fn early_bytes_longer_than_a_buffer_are_read_to_the_end() {
    let mut rig = waiting();
    let early = masked(BINARY, &vec![4; 300_000]);
    assert!(rig.join(&quiet(), &early));
    assert_eq!(rig.client.frames(), [Seen::plain(BINARY, &vec![4; 300_000])]);
}

#[test]
fn its_pings_are_answered_and_its_pongs_dropped() {
    let mut rig = waiting();
    rig.client.says(&masked(PING, b"anyone?")).says(&masked(PONG, b"unasked"));
    rig.run();
    assert_eq!(rig.client.frames(), [Seen::plain(PONG, b"anyone?")]);
    assert!(rig.join(&quiet(), b""));
    assert_eq!(rig.backend.frames(), []);
    rig.client.says(&masked(PING, b"you?"));
    rig.run();
    assert_eq!(rig.backend.frames(), [Seen::plain(PING, b"you?")], "from the join on they pass");
    assert_eq!(rig.client.frames(), []);
}

#[test]
fn no_partner_in_time_is_4408() {
    let mut rig = waiting();
    rig.client.says(&masked(TEXT, b"hello?"));
    rig.after(29 * SECOND);
    assert_eq!((rig.is_ending(), rig.client.frames()), (false, vec![]));
    rig.after(SECOND);
    assert_eq!(rig.client.frames(), [Seen::plain(CLOSE, &code(4408, "no partner"))]);
    assert!(!rig.join(&quiet(), b""), "a partner that comes now is refused");
    rig.client.says(&masked(TEXT, &vec![1; 20_000])).says(&masked(CLOSE, &code(4408, ""))).ends();
    assert!(rig.is_over());
    assert_eq!((rig.report().cause, rig.report().joined), (Cause::NoPartner, false));
}

#[test]
fn a_leg_that_closes_alone_is_answered_and_forgotten() {
    let mut rig = waiting();
    rig.client.says(&masked(TEXT, b"never mind")).says(&masked(CLOSE, &code(1000, "bye")));
    rig.run();
    assert_eq!(rig.client.frames(), [Seen::plain(CLOSE, &code(1000, ""))]);
    assert!(rig.client.got_fin());
    assert!(!rig.join(&quiet(), b""));
    rig.client.ends();
    assert!(rig.is_over());
    let report = rig.report();
    assert_eq!((report.cause, report.joined, report.legs.len()), (Cause::Closed, false, 1));
    assert_eq!(report.legs[0].close_received, Some(1000));
}

#[test]
fn a_leg_that_breaks_alone_is_forgotten() {
    let mut rig = waiting();
    rig.client.says(&masked(TEXT, b"never mind")).ends();
    assert!(!rig.join(&quiet(), b""));
    assert!(rig.is_over());
    assert_eq!((rig.report().cause, rig.report().joined), (Cause::ClientBroken, false));
}

#[test]
fn a_leg_that_left_behind_a_full_hold_is_not_handed_on() {
    let mut rig = waiting();
    rig.client.says(&masked(BINARY, &vec![1; 10_000])).ends();
    rig.run();
    assert!(!rig.is_ending(), "its end is not read");
    assert!(!rig.join(&quiet(), b""), "but seen at the join");
    assert!(rig.is_over());
}

#[test]
fn a_waiting_leg_is_held_to_the_rules() {
    for (limits, bytes, wanted) in [
        (quiet(), plain(TEXT, b"unmasked"), 1002),
        (quiet(), masked(CLOSE, b"\x03\xe8\xff"), 1007),
        (Limits { message: 10, ..quiet() }, masked(TEXT, &[1; 11])[..6].to_vec(), 1009),
    ] {
        let mut rig = Rig::waiting(&limits, HOLD, 30 * SECOND);
        rig.client.says(&masked(TEXT, b"good")).says(&bytes);
        rig.run();
        assert_eq!(code_of(&rig.client.frames()), Some(wanted));
        assert!(!rig.join(&quiet(), b""));
        assert_eq!(rig.after(5 * SECOND), Next::Done);
    }
}

#[test]
fn a_waiting_leg_is_kept_alive_while_it_is_read() {
    let limits = Limits { ping_every: 5 * SECOND, pong_within: 2 * SECOND, ..quiet() };
    let mut rig = Rig::waiting(&limits, HOLD, 30 * SECOND);
    rig.after(5 * SECOND);
    assert_eq!(rig.client.frames()[0].opcode, PING);
    rig.after(2 * SECOND);
    assert!(rig.is_over() && rig.client.is_cut());
    assert_eq!(rig.report().cause, Cause::KeepAlive);

    let mut full = Rig::waiting(&limits, HOLD, 30 * SECOND);
    full.client.says(&masked(BINARY, &vec![1; 10_000]));
    full.after(29 * SECOND);
    assert_eq!((full.is_ending(), full.client.frames()), (false, vec![]));
}

#[test]
fn a_waiting_leg_can_be_probed_and_a_full_one_counts_as_alive() {
    let mut rig = waiting();
    let (reply, mut answer) = oneshot::channel();
    rig.session.probe(CLIENT, reply);
    rig.run();
    let ping = rig.client.frames().remove(0);
    assert!(answer.try_recv().is_err());
    assert!(rig.join(&quiet(), b""), "the Pong comes after the join");
    rig.client.says(&masked(PONG, &ping.payload));
    rig.run();
    assert_eq!((answer.try_recv(), rig.backend.frames()), (Ok(true), vec![]));

    let mut full = waiting();
    full.client.says(&masked(BINARY, &vec![1; 10_000]));
    full.run();
    let (reply, mut answer) = oneshot::channel();
    full.session.probe(CLIENT, reply);
    assert_eq!(answer.try_recv(), Ok(true));
}

#[test]
fn a_waiting_leg_that_is_replaced_gets_4409() {
    let mut rig = waiting();
    rig.client.says(&masked(TEXT, b"held"));
    rig.run();
    rig.session.close(Some(CLIENT), Cause::Replaced, rig.now);
    rig.run();
    assert_eq!(code_of(&rig.client.frames()), Some(4409));
    assert!(rig.session.sides[0].flow.pending.is_empty(), "what it held is dropped");
}

#[test]
fn a_leg_that_closed_right_before_the_join_is_not_joined() {
    let mut rig = waiting();
    rig.run();
    rig.client.says(&masked(CLOSE, &code(1000, "")));
    assert!(!rig.join(&quiet(), b""));
}

#[test]
fn a_backend_may_wait_as_well() {
    let (backend, backend_io) = Peer::new();
    let now = crate::moment::Moment::now();
    let traits = traits(crate::relay::Party::Backend, crate::relay::End::Server, &quiet());
    let mut session = crate::relay::session::Session::waiting(
        (backend_io, traits),
        HOLD,
        now + SECOND,
        crate::relay::owner::Owned::default(),
        now,
    );
    session.step(now);
    let (client, client_io) = Peer::new();
    let traits = super::rig::traits(crate::relay::Party::Client, crate::relay::End::Server, &quiet());
    session.join((client_io, traits), now);
    backend.ends();
    session.step(now);
    assert_eq!(code_of(&client.frames()), Some(1011));
    assert_eq!(session.report(now).cause, Cause::BackendBroken);
}
