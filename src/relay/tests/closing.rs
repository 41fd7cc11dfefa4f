//! How a session ends: which leg gets which Close, when FIN is sent, when the sockets are closed.

use std::time::Duration;

use super::rig::*;
use crate::{error::Cause, relay::session::Next};

const SECOND: Duration = Duration::from_secs(1);

/// How a peer writes a final frame.
type Writes = fn(u8, &[u8]) -> Vec<u8>;

/// Both kinds of pair, each with how its backend writes frames.
fn pairs() -> [(Rig, Writes); 2] {
    [(Rig::routed(&quiet()), plain), (Rig::rendezvous(&quiet()), masked)]
}

#[test]
fn a_close_passes_with_code_and_reason_and_so_does_its_answer() {
    for (mut rig, from_backend) in pairs() {
        rig.client.says(&masked(TEXT, b"last words")).says(&masked(CLOSE, &code(4321, "größe")));
        rig.run();
        assert!(rig.is_ending(), "announced with the first Close");
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), &frames[1].payload), (2, &code(4321, "größe")));
        assert!(!rig.backend.got_fin() && !rig.client.got_fin());

        rig.backend.says(&from_backend(TEXT, b"still")).says(&from_backend(CLOSE, &code(1000, "ok")));
        rig.run();
        assert_eq!(rig.client.frames(), [Seen::plain(TEXT, b"still"), Seen::plain(CLOSE, &code(1000, "ok"))]);
        assert!(rig.client.got_fin(), "we are its server and end TCP first");
        rig.client.ends();
        rig.backend.ends();
        assert!(rig.is_over());
        let report = rig.report();
        assert_eq!((report.cause, report.ended_by, report.joined), (Cause::Closed, Some(CLIENT), true));
        let (client, backend) = rig.legs();
        assert_eq!((client.close_received, client.close_sent), (Some(4321), Some(1000)));
        assert_eq!((backend.close_received, backend.close_sent), (Some(1000), Some(4321)));
    }
}

#[test]
fn an_upstream_ends_tcp_first_and_a_dialled_in_backend_does_not() {
    for ((mut rig, from_backend), upstream) in pairs().into_iter().zip([true, false]) {
        rig.client.says(&masked(CLOSE, &code(1000, "")));
        rig.run();
        rig.backend.says(&from_backend(CLOSE, &code(1000, "")));
        rig.run();
        assert_eq!(rig.backend.got_fin(), !upstream);
        rig.after(6 * SECOND);
        assert!(rig.backend.got_fin(), "one that does not is not waited for longer than `close`");
        assert!(rig.backend.is_closed());
    }
}

#[test]
fn a_close_without_code_stays_without() {
    for (mut rig, _) in pairs() {
        rig.client.says(&masked(CLOSE, b""));
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames[0].opcode, frames[0].payload.len()), (CLOSE, 0));
        assert_eq!(rig.report().legs[0].close_received, Some(1005));
    }
}

#[test]
fn codes_that_may_be_sent_pass_and_others_are_violations() {
    for (value, wanted) in
        [(999, None), (1000, Some(1000)), (1004, None), (1005, None), (1006, None), (1007, Some(1007))]
            .into_iter()
            .chain([
                (1014, Some(1014)),
                (1015, None),
                (2999, None),
                (3000, Some(3000)),
                (4999, Some(4999)),
                (5000, None),
            ])
    {
        for (mut rig, _) in pairs() {
            rig.client.says(&masked(CLOSE, &code(value, "why")));
            rig.run();
            assert_eq!(code_of(&rig.backend.frames()), Some(wanted.unwrap_or(1001)), "{value} to the other");
            assert_eq!(code_of(&rig.client.frames()), wanted.map_or(Some(1002), |_| None), "{value} to the sender");
        }
    }
}

#[test]
fn bad_utf8_in_a_reason_is_1007_and_a_payload_of_one_byte_1002() {
    for (payload, wanted) in [(&b"\x03\xe8\xff\xfe"[..], 1007), (b"\x03", 1002)] {
        for (mut rig, _) in pairs() {
            rig.client.says(&masked(CLOSE, payload));
            rig.run();
            assert_eq!(code_of(&rig.client.frames()), Some(wanted));
            assert_eq!(code_of(&rig.backend.frames()), Some(1001));
        }
    }
}

/// Frames of a client that break RFC 6455 §5, by name.
fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let key = Some([1, 2, 3, 4]);
    let mut reserved = masked(TEXT, b"x");
    reserved[0] |= 0x20;
    let mut opcode = masked(TEXT, b"x");
    opcode[0] = 0x83;
    let mut control = masked(PING, b"");
    control[0] = 0x8b;
    vec![
        ("reserved bit", reserved),
        ("reserved opcode", opcode),
        ("reserved control opcode", control),
        ("unmasked", plain(TEXT, b"x")),
        ("fragmented control frame", frame(false, PING, b"x", key)),
        ("long control frame", masked(PING, &[0; 126])),
        ("continuation of nothing", frame(true, CONT, b"x", key)),
        ("message in a message", [frame(false, TEXT, b"", key), masked(TEXT, b"")].concat()),
        ("16 bits for 125", vec![0x82, 0xfe, 0, 125, 1, 2, 3, 4]),
        ("64 bits for 65,535", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]),
        ("top bit of the length", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]),
    ]
}

#[test]
fn a_violation_is_1002_to_the_sender_and_nothing_of_it_passes() {
    for (name, bytes) in violations() {
        for chunk in [1, usize::MAX] {
            for (mut rig, _) in pairs() {
                rig.client.dribbles(chunk);
                rig.client.says(&masked(TEXT, b"good")).says(&bytes).says(&masked(TEXT, b"ignored"));
                rig.run();
                let frames = rig.backend.frames();
                let good = frames.iter().filter(|frame| frame.payload == b"good").count();
                let first_half = usize::from(name == "message in a message");
                assert_eq!((good, frames.len()), (1, 2 + first_half), "{name}: {frames:?}");
                assert_eq!(code_of(&frames), Some(1001), "{name}");
                assert_eq!(code_of(&rig.client.frames()), Some(1002), "{name}");
                assert!(rig.client.got_fin(), "{name}: failed connections are ended at once");
                assert!(
                    !rig.client.is_closed() && rig.client.unread() == 0,
                    "{name}: what it still sends is discarded"
                );
                let report = rig.report();
                assert_eq!((report.cause, report.ended_by), (Cause::Protocol, Some(CLIENT)), "{name}");
                assert!(report.detail.is_some());
            }
        }
    }
}

#[test]
fn a_backend_that_breaks_the_rules_is_1011_to_the_client() {
    for (mut rig, from_backend) in pairs() {
        let mut bytes = from_backend(TEXT, b"x");
        bytes[0] |= 0x40;
        rig.backend.says(&bytes);
        rig.run();
        assert_eq!(code_of(&rig.client.frames()), Some(1011));
        assert_eq!(code_of(&rig.backend.frames()), Some(1002));
    }
    let mut rig = Rig::routed(&quiet());
    rig.backend.says(&masked(TEXT, b"an upstream must not mask"));
    rig.run();
    assert_eq!(code_of(&rig.backend.frames()), Some(1002));
}

#[test]
fn what_follows_a_close_is_discarded_unread() {
    for (mut rig, _) in pairs() {
        rig.client.says(&masked(CLOSE, &code(1000, ""))).says(b"\xff\xff\xff garbage").says(&masked(TEXT, b"x"));
        rig.run();
        assert_eq!(rig.backend.frames().len(), 1);
        assert_eq!((rig.client.unread(), code_of(&rig.client.frames())), (0, None));
    }
}

#[test]
fn closes_that_cross_answer_each_other() {
    for (mut rig, from_backend) in pairs() {
        rig.client.says(&masked(CLOSE, &code(1000, "a")));
        rig.backend.says(&from_backend(CLOSE, &code(1001, "b")));
        rig.run();
        assert_eq!(rig.backend.frames().len(), 1);
        assert_eq!(rig.client.frames(), [Seen::plain(CLOSE, &code(1001, "b"))]);
        rig.client.ends();
        rig.backend.ends();
        assert!(rig.is_over());
    }
}

#[test]
fn an_unanswered_close_is_echoed_after_a_while() {
    for (mut rig, from_backend) in pairs() {
        rig.client.says(&masked(CLOSE, &code(4000, "bye")));
        rig.run();
        rig.backend.says(&from_backend(TEXT, b"busy"));
        rig.after(4 * SECOND);
        assert_eq!(rig.client.frames(), [Seen::plain(TEXT, b"busy")]);
        rig.after(SECOND);
        assert_eq!(rig.client.frames(), [Seen::plain(CLOSE, &code(4000, ""))]);
        assert!(rig.client.got_fin() && rig.backend.got_fin() && rig.backend.is_closed());
        assert!(!rig.client.is_closed(), "its FIN is waited for");
        assert_eq!(rig.after(5 * SECOND), Next::Done);
        assert_eq!(rig.report().cause, Cause::Closed);
    }
}

#[test]
fn a_broken_client_is_1001_and_a_broken_backend_1011_after_what_they_sent() {
    type Breaks = fn(&Peer) -> &Peer;
    for breaks in [Peer::ends as Breaks, Peer::resets] {
        for (mut rig, _) in pairs() {
            rig.backend.takes(3);
            rig.client.says(&masked(TEXT, b"first")).says(&masked(TEXT, b"second"));
            breaks(&rig.client);
            rig.run();
            assert!(!rig.is_ending(), "its end is behind what cannot be delivered yet");
            rig.backend.takes(usize::MAX);
            rig.run();
            let frames = rig.backend.frames();
            assert_eq!((frames.len(), code_of(&frames)), (3, Some(1001)));
            assert!(rig.client.is_closed());
            assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::ClientBroken, Some(CLIENT)));
        }
        for (mut rig, from_backend) in pairs() {
            rig.backend.says(&from_backend(TEXT, b"first"));
            breaks(&rig.backend);
            rig.run();
            let frames = rig.client.frames();
            assert_eq!((frames.len(), code_of(&frames)), (2, Some(1011)));
            assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::BackendBroken, Some(BACKEND)));
            rig.client.says(&masked(CLOSE, &code(1011, ""))).ends();
            assert!(rig.is_over());
        }
    }
}

#[test]
fn a_leg_that_breaks_inside_a_frame_leaves_no_room_for_a_close() {
    for (mut rig, _) in pairs() {
        rig.client.says(&masked(BINARY, &[1; 1000])[..600]).ends();
        rig.run();
        let heard = rig.backend.hears();
        assert!(heard.len() >= 596 && heard.len() <= 600, "all of what came and nothing else: {}", heard.len());
        assert!(rig.backend.got_fin(), "the stream ends there");
        rig.backend.ends();
        assert!(rig.is_over());
    }
}

#[test]
fn half_a_header_of_a_broken_leg_is_dropped_and_the_close_fits() {
    for (mut rig, _) in pairs() {
        rig.client.says(&masked(BINARY, &[1; 1000])[..5]).ends();
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (1, Some(1001)));
    }
}

#[test]
fn what_a_leg_sent_before_its_reset_is_delivered_though_writing_to_it_failed_first() {
    for (mut rig, from_backend) in pairs() {
        rig.backend.takes(0);
        rig.client.says(&masked(TEXT, b"first"));
        rig.run();
        rig.client.says(&masked(TEXT, b"second")).resets();
        rig.backend.says(&from_backend(TEXT, b"too late"));
        rig.run();
        assert!(rig.is_ending(), "an error was seen");
        assert!(rig.session.sides[1].flow.pending.is_empty(), "what it can no longer get is not kept");
        rig.backend.takes(usize::MAX);
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (3, Some(1001)));
    }
}

#[test]
fn a_leg_whose_writes_fail_is_not_waited_for_longer_than_close() {
    for (mut rig, from_backend) in pairs() {
        rig.backend.takes(0);
        rig.client.says(&masked(TEXT, b"first"));
        rig.run();
        rig.client.says(&masked(TEXT, b"second")).resets();
        rig.backend.says(&from_backend(TEXT, b"too late"));
        rig.after(4 * SECOND);
        assert!(!rig.client.is_closed());
        rig.after(SECOND);
        assert!(rig.client.is_closed());
        rig.backend.takes(usize::MAX);
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (2, Some(1001)));
    }
}

#[test]
fn a_peer_that_closes_and_is_gone_at_once_has_closed() {
    for (mut rig, from_backend) in pairs() {
        rig.client.says(&masked(CLOSE, &code(1000, ""))).resets();
        rig.run();
        assert_eq!(code_of(&rig.backend.frames()), Some(1000));
        rig.backend.says(&from_backend(CLOSE, &code(1000, ""))).ends();
        assert!(rig.is_over());
        assert_eq!(rig.report().cause, Cause::Closed);
    }
}

#[test]
fn draining_closes_both_legs_between_frames() {
    for (mut rig, from_backend) in pairs() {
        let long = from_backend(BINARY, &[5; 1000]);
        rig.backend.says(&long[..600]);
        rig.run();
        rig.session.close(None, Cause::Draining, rig.now);
        rig.session.close(None, Cause::Idle, rig.now);
        rig.run();
        assert_eq!(code_of(&rig.backend.frames()), Some(1012));
        let begun = rig.client.hears();
        rig.backend
            .says(&long[600..])
            .says(&from_backend(TEXT, b"no more"))
            .says(&from_backend(CLOSE, &code(1012, "")));
        rig.run();
        let frames = read_frames(&[begun, rig.client.hears()].concat());
        assert_eq!(frames[0].payload, [5; 1000], "the frame is finished");
        assert_eq!(code_of(&frames), Some(1012));
        assert_eq!(frames.iter().filter(|frame| frame.opcode == CLOSE).count(), 1, "one Close, ours");
        rig.client.says(&masked(CLOSE, &code(1012, ""))).ends();
        rig.backend.ends();
        assert!(rig.is_over());
        let report = rig.report();
        assert_eq!((report.cause, report.ended_by), (Cause::Draining, None));
        assert_eq!(report.legs.iter().map(|leg| leg.close_received).collect::<Vec<_>>(), [Some(1012); 2]);
    }
}

#[test]
fn a_frame_that_is_never_finished_is_not_waited_for_longer_than_close() {
    for (mut rig, from_backend) in pairs() {
        rig.backend.says(&from_backend(BINARY, &[5; 1000])[..600]);
        rig.run();
        rig.session.close(None, Cause::Draining, rig.now);
        assert_ne!(rig.after(4 * SECOND), Next::Done);
        assert!(!rig.client.got_fin());
        rig.after(SECOND);
        assert!(rig.client.got_fin() && rig.client.is_closed());
        assert!(rig.is_over());
    }
}

#[test]
fn a_close_of_ours_does_not_follow_one_that_is_on_its_way() {
    for (mut rig, _) in pairs() {
        rig.backend.takes(0);
        rig.client.says(&masked(CLOSE, &code(4000, "")));
        rig.run();
        rig.session.close(None, Cause::Draining, rig.now);
        rig.backend.takes(usize::MAX);
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (1, Some(4000)));
        assert_eq!(rig.report().cause, Cause::Closed);
    }
}

#[test]
fn a_replaced_leg_gets_4409_and_its_partner_1001() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.session.close(Some(CLIENT), Cause::Replaced, rig.now);
    rig.run();
    assert_eq!(code_of(&rig.client.frames()), Some(4409));
    assert_eq!(code_of(&rig.backend.frames()), Some(1001));
    assert_eq!((rig.report().cause, rig.report().ended_by), (Cause::Replaced, Some(CLIENT)));
}

#[test]
fn a_dead_leg_is_cut_and_its_partner_closed_as_if_it_had_broken() {
    for (conn, wanted) in [(CLIENT, 1001), (BACKEND, 1011)] {
        for (mut rig, _) in pairs() {
            rig.session.close(Some(conn), Cause::Dead, rig.now);
            rig.run();
            let (dead, other) = if conn == CLIENT { (&rig.client, &rig.backend) } else { (&rig.backend, &rig.client) };
            assert!(dead.is_cut() && dead.hears().is_empty());
            assert_eq!(code_of(&other.frames()), Some(wanted));
            assert_eq!(rig.report().cause, Cause::Dead);
        }
    }
}

#[test]
fn a_leg_that_still_sends_is_not_closed_before_it_is_read_empty() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.session.close(None, Cause::Draining, rig.now);
    rig.run();
    for _ in 0..20 {
        rig.client.says(&masked(BINARY, &vec![1; 100_000]));
        rig.run();
        assert!(rig.client.unread() == 0 && !rig.client.is_closed());
    }
    rig.client.says(&masked(CLOSE, &code(1012, ""))).ends();
    rig.backend.says(&masked(CLOSE, &code(1012, ""))).ends();
    assert!(rig.is_over());
}

#[test]
fn a_slow_reader_gets_the_last_words_as_long_as_it_reads() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.backend.takes(0);
    rig.client.says(&masked(BINARY, &vec![1; 50_000])).says(&masked(CLOSE, &code(1000, "")));
    rig.run();
    for _ in 0..12 {
        rig.after(4 * SECOND);
        rig.backend.takes(5_000);
        rig.run();
        assert!(!rig.backend.is_closed());
    }
    let frames = rig.backend.frames();
    assert_eq!((frames.len(), code_of(&frames)), (2, Some(1000)));
}

#[test]
fn a_slow_reader_whose_socket_counts_as_full_gets_the_last_words_too() {
    for (mut rig, _) in pairs() {
        rig.backend.counts_as_full_below(1_000);
        rig.backend.takes(0);
        rig.client.says(&masked(TEXT, &[b'x'; 500])).says(&masked(CLOSE, &code(1000, "")));
        rig.run();
        for _ in 0..12 {
            rig.after(4 * SECOND);
            rig.backend.takes(30);
            rig.after(SECOND);
            assert!(!rig.backend.is_closed());
        }
        rig.backend.takes(usize::MAX);
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (2, Some(1000)));
        assert!(!rig.legs().1.overdue);
    }
}

// Regression: what such a leg had not taken was left to the kernel, which went on offering it.
#[test]
fn a_leg_that_takes_nothing_is_cut_when_its_closing_takes_too_long() {
    for (mut rig, _) in pairs() {
        rig.backend.takes(0);
        rig.client.says(&masked(TEXT, b"unheard")).says(&masked(CLOSE, &code(4000, "")));
        rig.after(4 * SECOND);
        assert!(!rig.backend.is_closed());
        rig.after(SECOND);
        assert!(rig.backend.is_cut());
        assert_eq!(rig.client.frames(), [Seen::plain(CLOSE, &code(4000, ""))]);
        rig.client.ends();
        assert!(rig.is_over());
        let (client, backend) = rig.legs();
        assert_eq!((client.overdue, backend.overdue, backend.close_sent), (false, true, None));
    }
}
