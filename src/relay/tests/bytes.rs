//! What passes, and how: verbatim, unmasked, in pieces, in order, within bounds.

use super::rig::*;
use crate::{
    model::{Limits, PingMode},
    relay::buffer::SIZE,
};

#[test]
fn a_routed_pair_passes_every_byte_as_it_is() {
    let mut rig = Rig::routed(&quiet());
    let up = [masked(TEXT, b"hello"), masked(BINARY, &vec![7; 70_000]), masked(PING, b"p"), masked(TEXT, b"")].concat();
    let down =
        [plain(TEXT, b"world"), plain(PONG, b"p"), frame(false, TEXT, b"fra", None), plain(CONT, b"gment")].concat();
    rig.client.says(&up);
    rig.backend.says(&down);
    rig.run();
    assert_eq!(rig.backend.hears(), up);
    assert_eq!(rig.client.hears(), down);
    let (client, backend) = rig.legs();
    assert_eq!((client.messages_in, client.messages_out), (3, 2));
    assert_eq!((backend.messages_in, backend.messages_out), (2, 3));
    assert_eq!((client.bytes_in, backend.bytes_out), (up.len() as u64, up.len() as u64));
}

#[test]
fn a_rendezvous_pair_gets_unmasked_what_was_masked() {
    let mut rig = Rig::rendezvous(&quiet());
    let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000];
    for size in sizes {
        let payload: Vec<u8> = (0..size).map(|n: usize| n.to_le_bytes()[0]).collect();
        rig.client.says(&masked(BINARY, &payload));
        rig.run();
        assert_eq!(rig.backend.frames(), [Seen::plain(BINARY, &payload)], "{size} bytes");
    }
}

#[test]
fn control_frames_inside_a_fragmented_message_keep_their_place() {
    let key = Some([1, 2, 3, 4]);
    for mut rig in [Rig::routed(&quiet()), Rig::rendezvous(&quiet())] {
        rig.client.dribbles(3);
        rig.client
            .says(&frame(false, TEXT, b"one", key))
            .says(&frame(true, PING, b"ping", key))
            .says(&frame(false, CONT, b"", key))
            .says(&frame(true, PONG, b"pong", key))
            .says(&frame(true, CONT, b"two", key));
        rig.run();
        let seen: Vec<_> = rig.backend.frames().into_iter().map(|f| (f.fin, f.opcode, f.payload)).collect();
        let wanted: [(bool, u8, &[u8]); 5] = [
            (false, TEXT, b"one"),
            (true, PING, b"ping"),
            (false, CONT, b""),
            (true, PONG, b"pong"),
            (true, CONT, b"two"),
        ];
        assert_eq!(seen, wanted.map(|(fin, opcode, payload)| (fin, opcode, payload.to_vec())));
    }
}

#[test]
fn a_header_goes_out_before_its_payload_has_come() {
    for mut rig in [Rig::routed(&quiet()), Rig::rendezvous(&quiet())] {
        let bytes = masked(BINARY, &[1; 1000]);
        rig.client.says(&bytes[..8]);
        rig.run();
        assert!(rig.backend.hears().len() >= 4, "the header is out");
        rig.client.says(&bytes[8..500]);
        rig.run();
        assert_eq!(rig.backend.hears().len(), 492, "the payload passes as it comes");
    }
}

#[test]
fn half_a_header_and_half_a_control_frame_are_held_back() {
    for mut rig in [Rig::routed(&quiet()), Rig::rendezvous(&quiet())] {
        let ping = masked(PING, &[9; 125]);
        for cut in 1..ping.len() {
            rig.client.says(&ping[..cut]);
            rig.run();
            assert_eq!(rig.backend.hears(), b"", "{cut} bytes");
            rig.client.says(&ping[cut..]);
            rig.run();
            assert_eq!(rig.backend.frames().len(), 1);
        }
        let data = masked(BINARY, &vec![9; 70_000]);
        for cut in 1..14 {
            rig.client.says(&data[..cut]);
            rig.run();
            assert_eq!(rig.backend.hears(), b"", "{cut} bytes");
            rig.client.says(&data[cut..]);
            rig.run();
            assert_eq!(rig.backend.frames().len(), 1);
        }
    }
}

#[test]
fn a_leg_is_not_read_while_the_other_takes_nothing() {
    let mut rig = Rig::routed(&quiet());
    let bytes = masked(BINARY, &vec![3; 1 << 20]);
    rig.backend.takes(1000);
    rig.client.says(&bytes);
    let wants = rig.wants();
    assert_eq!((wants.read, wants.write), ([false, true], [false, true]));
    assert!(bytes.len() - rig.client.unread() <= SIZE, "one buffer at most");
    let reads = rig.client.reads();
    rig.wants();
    assert_eq!(rig.client.reads(), reads, "not even tried");
    rig.backend.takes(usize::MAX);
    rig.run();
    assert_eq!(rig.backend.hears(), bytes);
    assert_eq!(rig.wants().read, [true, true]);
}

#[test]
fn a_bulk_transfer_lets_others_run() {
    let mut rig = Rig::routed(&quiet());
    rig.client.says(&masked(BINARY, &vec![3; 1 << 20]));
    assert_eq!(rig.session.step(rig.now), crate::relay::session::Next::Again);
    assert!(rig.backend.hears().len() <= 4 * SIZE);
}

#[test]
fn an_idle_session_holds_nothing() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.client.says(&masked(TEXT, b"hello")).says(&masked(PING, b"")[..3]);
    rig.run();
    assert!(rig.session.sides.iter().all(|side| side.flow.pending.is_empty()));
    assert!(size_of::<crate::relay::side::Side<Fake>>() < 512, "{}", size_of::<crate::relay::side::Side<Fake>>());
}

#[test]
fn a_message_is_measured_over_its_fragments_and_the_limit_is_inclusive() {
    let limits = Limits { message: 10, ..quiet() };
    let key = Some([1, 2, 3, 4]);
    let mut rig = Rig::routed(&limits);
    rig.client
        .says(&frame(false, TEXT, b"12345", key))
        .says(&frame(true, CONT, b"67890", key))
        .says(&masked(TEXT, b"1234567890"));
    rig.run();
    assert_eq!(rig.backend.frames().len(), 3);
    rig.client
        .says(&frame(false, TEXT, b"12345", key))
        .says(&frame(false, CONT, b"", key))
        .says(&frame(true, CONT, b"678901", key)[..6]);
    rig.run();
    let frames = rig.backend.frames();
    assert_eq!(frames.len(), 3, "judged by the header, which does not pass");
    assert_eq!(code_of(&frames), Some(1001));
    assert_eq!(code_of(&rig.client.frames()), Some(1009));
}

#[test]
fn a_length_near_the_end_of_numbers_is_too_big_and_does_not_wrap() {
    let mut rig = Rig::routed(&Limits { message: 1 << 20, ..quiet() });
    rig.client.says(&frame(false, TEXT, b"12345", Some([1, 2, 3, 4])));
    rig.client.says(&[0x80, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    rig.run();
    assert_eq!(code_of(&rig.client.frames()), Some(1009));
}

#[test]
fn fragments_are_counted() {
    let key = Some([1, 2, 3, 4]);
    let mut rig = Rig::rendezvous(&Limits { fragments: 2, ..quiet() });
    rig.client.says(&frame(false, TEXT, b"1", key)).says(&frame(true, CONT, b"2", key));
    rig.client
        .says(&frame(false, TEXT, b"1", key))
        .says(&frame(false, CONT, b"2", key))
        .says(&frame(true, CONT, b"3", key));
    rig.run();
    let frames = rig.backend.frames();
    assert_eq!((frames.len(), code_of(&frames)), (5, Some(1001)));
    assert_eq!(code_of(&rig.client.frames()), Some(1008));
}

#[test]
fn each_legs_own_limits_judge_it() {
    let (client, client_io) = Peer::new();
    let (backend, backend_io) = Peer::new();
    let now = crate::moment::Moment::now();
    let mut session = crate::relay::session::Session::pair(
        (client_io, traits(crate::relay::Party::Client, crate::relay::End::Server, &Limits { message: 4, ..quiet() })),
        (backend_io, traits(crate::relay::Party::Backend, crate::relay::End::Client, &quiet())),
        crate::relay::owner::Owned::default(),
        now,
    );
    backend.says(&plain(TEXT, b"long enough"));
    session.step(now);
    assert_eq!(client.frames().len(), 1);
    client.says(&masked(TEXT, b"long enough"));
    session.step(now);
    assert_eq!(code_of(&client.frames()), Some(1009));
}

#[test]
fn pings_end_here_where_the_route_says_so() {
    let mut rig = Rig::routed(&Limits { ping: PingMode::Terminate, ..quiet() });
    rig.client.says(&masked(PING, b"one")).says(&masked(PONG, b"two")).says(&masked(TEXT, b"three"));
    rig.backend.says(&plain(PING, b"four")).says(&plain(PING, b"five"));
    rig.run();
    assert_eq!(rig.client.frames(), [Seen::plain(PONG, b"one")]);
    let frames = rig.backend.frames();
    assert!(frames.iter().all(|frame| frame.masked), "ours to an upstream are masked, too");
    let mut payloads: Vec<_> = frames.into_iter().map(|frame| (frame.opcode, frame.payload)).collect();
    payloads.sort();
    assert_eq!(payloads, [(TEXT, b"three".to_vec()), (PONG, b"five".to_vec())], "the newest Ping is answered");
}

#[test]
fn an_answer_to_a_ping_waits_for_the_end_of_the_frame() {
    let mut rig = Rig::routed(&Limits { ping: PingMode::Terminate, ..quiet() });
    let long = plain(BINARY, &[5; 1000]);
    rig.backend.says(&long[..500]);
    rig.run();
    rig.client.says(&masked(PING, b"now?"));
    rig.run();
    assert_eq!(rig.client.hears(), long[..500]);
    rig.backend.says(&long[500..]).says(&plain(TEXT, b"next")[..3]);
    rig.run();
    let heard = rig.client.hears();
    assert_eq!(heard[..504], long[500..], "first the frame");
    assert_eq!(heard[504..510], plain(PONG, b"now?"), "then the Pong");
    assert_eq!(heard[510..], plain(TEXT, b"next")[..3], "then the next frame, though it had come before");
}

#[test]
fn reserved_bits_pass_where_an_extension_was_negotiated() {
    let (client, client_io) = Peer::new();
    let (backend, backend_io) = Peer::new();
    let now = crate::moment::Moment::now();
    let with = |party, end| crate::relay::side::Traits { extensions: true, ..traits(party, end, &quiet()) };
    let mut session = crate::relay::session::Session::pair(
        (client_io, with(crate::relay::Party::Client, crate::relay::End::Server)),
        (backend_io, with(crate::relay::Party::Backend, crate::relay::End::Client)),
        crate::relay::owner::Owned::default(),
        now,
    );
    let mut bytes = masked(TEXT, b"compressed");
    bytes[0] |= 0x40;
    client.says(&bytes);
    session.step(now);
    assert_eq!(backend.hears(), bytes);
}
