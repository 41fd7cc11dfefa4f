//! Big frames pass by a pipe: the same bytes in the same order, the same accounts, ours only between theirs.

use std::time::Duration;

use super::rig::*;
use crate::{
    error::Cause,
    model::{Limits, PingMode},
    relay::{buffer, pipe},
};

/// From here on frames are big.
const BIG: usize = 1000;

/// A routed pair whose frames are spliced, each leg having sent a big one already.
fn bulk(limits: &Limits) -> Rig {
    let mut rig = Rig::routed(limits);
    rig.client.splices(BIG as u64).says(&masked(BINARY, &[0; BIG]));
    rig.backend.splices(BIG as u64).says(&plain(BINARY, &[0; BIG]));
    rig.run();
    assert_eq!((rig.backend.frames().len(), rig.client.frames().len()), (1, 1));
    assert_eq!((rig.client.piped(), rig.backend.piped()), (0, 0), "what came with its header is copied");
    rig
}

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect()
}

#[test]
fn big_frames_pass_by_a_pipe_with_their_headers_and_are_accounted_for() {
    let mut rig = bulk(&quiet());
    let up = [masked(BINARY, &noise(BIG)), masked(TEXT, &noise(70_000)), masked(BINARY, &noise(1 << 20))].concat();
    let down = [plain(BINARY, &noise(1 << 20)), plain(TEXT, &noise(65_535)), plain(TEXT, &noise(65_536))].concat();
    rig.client.says(&up);
    rig.backend.says(&down);
    rig.run();
    assert!(rig.backend.hears() == up && rig.client.hears() == down, "verbatim");
    assert_eq!((rig.client.piped(), rig.backend.piped()), (up.len(), down.len()));
    let (client, backend) = rig.legs();
    assert_eq!((client.messages_in, client.messages_out), (4, 4));
    assert_eq!((backend.messages_in, backend.messages_out), (4, 4));
    let before = masked(BINARY, &[0; BIG]).len();
    assert_eq!((client.bytes_in, backend.bytes_out), ((before + up.len()) as u64, (before + up.len()) as u64));
}

#[test]
fn the_rest_of_a_frame_that_was_read_in_part_passes_by_a_pipe() {
    let mut rig = Rig::routed(&quiet());
    rig.client.splices(BIG as u64);
    let bytes = masked(BINARY, &noise(200_000));
    rig.client.says(&bytes);
    rig.run();
    assert!(rig.backend.hears() == bytes);
    assert_eq!(rig.client.piped(), bytes.len() - (buffer::SIZE - buffer::HEADROOM));
    assert_eq!(rig.legs().0.messages_in, 1);
}

#[test]
fn a_small_frame_ends_it_and_a_control_frame_does_not() {
    let mut rig = bulk(&quiet());
    let big = masked(BINARY, &noise(2000));
    let mut piped = 0;
    let mut says = |bytes: &[u8], by_pipe: bool| {
        rig.client.says(bytes);
        rig.run();
        assert!(rig.backend.hears() == bytes);
        piped += if by_pipe { bytes.len() } else { 0 };
        assert_eq!(rig.client.piped(), piped);
    };
    says(&big, true);
    says(&masked(PING, b"?"), false);
    says(&big, true);
    says(&masked(TEXT, b"small"), false);
    says(&big, false);
    says(&big, true);
    says(&masked(TEXT, &[1; BIG - 1]), false);
    says(&big, false);
}

#[test]
fn a_pair_that_dialled_in_is_unmasked_and_never_spliced() {
    let mut rig = Rig::rendezvous(&quiet());
    rig.client.splices(1);
    for _ in 0..3 {
        rig.client.says(&masked(BINARY, &noise(70_000)));
        rig.run();
        assert_eq!(rig.backend.frames(), [Seen::plain(BINARY, &noise(70_000))]);
    }
    assert_eq!(rig.client.piped(), 0);
}

#[test]
fn fragments_pass_and_are_one_message() {
    let mut rig = bulk(&quiet());
    let parts =
        [frame(false, BINARY, &noise(3000), None), frame(true, PING, b"?", None), frame(false, CONT, &[], None)];
    let bytes = [parts.concat(), frame(false, CONT, &noise(4000), None), plain(CONT, &noise(5000))].concat();
    rig.backend.dribbles(700);
    rig.backend.says(&bytes);
    rig.run();
    assert!(rig.client.hears() == bytes);
    assert!(rig.backend.piped() > 0);
    assert_eq!(rig.legs().1.messages_in, 2);
}

#[test]
fn half_a_header_is_held_back() {
    let mut rig = bulk(&quiet());
    let bytes = masked(BINARY, &noise(70_000));
    for cut in 1..14 {
        rig.client.says(&bytes[..cut]);
        rig.run();
        assert_eq!(rig.backend.hears(), b"", "{cut} bytes");
        rig.client.says(&bytes[cut..]);
        rig.run();
        assert!(rig.backend.hears() == bytes);
    }
}

#[test]
fn limits_are_kept_and_nothing_of_a_frame_over_them_passes() {
    let key = Some([1, 2, 3, 4]);
    let first = frame(false, BINARY, &noise(2000), key);
    let limits = [(Limits { message: 4000, ..quiet() }, 1009), (Limits { fragments: 1, ..quiet() }, 1008)];
    for (limits, expected) in limits {
        let mut rig = bulk(&limits);
        rig.client.says(&first);
        rig.run();
        assert!(rig.backend.hears() == first);
        rig.client.says(&frame(true, CONT, &noise(2001), key));
        rig.run();
        let frames = rig.backend.frames();
        assert_eq!((frames.len(), code_of(&frames)), (1, Some(1001)));
        assert_eq!(code_of(&rig.client.frames()), Some(expected));
        assert_eq!(rig.client.piped(), first.len());
    }
}

#[test]
fn a_leg_is_not_read_while_the_other_takes_nothing() {
    let mut rig = bulk(&quiet());
    let bytes = masked(BINARY, &noise(1 << 20));
    rig.backend.takes(1000);
    rig.client.says(&bytes);
    let wants = rig.wants();
    assert_eq!((wants.read, wants.write), ([false, true], [false, true]));
    assert_eq!(bytes.len() - rig.client.unread(), pipe::piece(bytes.len() as u64), "one pipe");
    let reads = rig.client.reads();
    rig.wants();
    assert_eq!(rig.client.reads(), reads, "not even tried");
    rig.backend.takes(usize::MAX);
    rig.run();
    assert!(rig.backend.hears() == bytes);
    assert_eq!(rig.wants().read, [true, true]);
    assert!(rig.session.sides.iter().all(|side| side.flow.pending.is_empty()), "an idle session holds no pipe");
}

#[test]
fn a_bulk_transfer_lets_others_run() {
    let mut rig = bulk(&quiet());
    rig.client.says(&masked(BINARY, &noise(4 << 20)));
    assert_eq!(rig.session.step(rig.now), crate::relay::session::Next::Again);
    assert!(rig.backend.hears().len() <= 4 * pipe::SIZE);
}

#[test]
fn a_frame_of_ours_stands_before_a_frame_or_behind_it() {
    let long = plain(BINARY, &noise(5000));
    for taken in [0, 1, 3000] {
        let mut rig = bulk(&Limits { ping: PingMode::Terminate, ..quiet() });
        rig.client.takes(taken);
        rig.backend.says(&long);
        rig.run();
        assert_eq!((rig.backend.unread(), rig.backend.piped()), (0, long.len()), "it is in the pipe");
        rig.client.says(&masked(PING, b"now?"));
        rig.run();
        rig.client.takes(usize::MAX);
        rig.run();
        let (pong, heard) = (plain(PONG, b"now?"), rig.client.hears());
        let wanted = if taken == 0 { [pong, long.clone()] } else { [long.clone(), pong] }.concat();
        assert!(heard == wanted, "{taken} bytes were taken");
    }
}

#[test]
fn our_ping_waits_for_the_end_of_a_frame_in_parts() {
    let limits = Limits { ping_every: Duration::from_secs(5), pong_within: Duration::from_mins(1), ..quiet() };
    let mut rig = bulk(&limits);
    let long = plain(BINARY, &noise(5000));
    rig.backend.says(&long[..2000]);
    rig.after(Duration::from_secs(6));
    assert!(rig.client.hears() == long[..2000], "the Ping to the client waits");
    rig.backend.says(&long[2000..]);
    rig.run();
    let heard = rig.client.hears();
    assert!(heard.starts_with(&long[2000..]));
    assert_eq!(read_frames(&heard[long.len() - 2000..]).iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [PING]);
}

#[test]
fn a_close_comes_behind_what_is_in_the_pipe() {
    let mut rig = bulk(&quiet());
    let bytes = [masked(BINARY, &noise(100_000)), masked(CLOSE, &code(1000, "bye"))].concat();
    rig.backend.takes(10);
    rig.client.says(&bytes);
    rig.run();
    rig.backend.takes(usize::MAX);
    rig.run();
    assert!(rig.backend.hears() == bytes);
    rig.backend.says(&plain(CLOSE, &code(1000, ""))).ends();
    rig.run();
    rig.client.ends();
    assert!(rig.is_over());
    assert_eq!(rig.report().cause, Cause::Closed);
}

#[test]
fn a_close_of_ours_comes_behind_what_is_in_the_pipe() {
    let mut rig = bulk(&quiet());
    let bytes = masked(BINARY, &noise(100_000));
    rig.backend.takes(10);
    rig.client.says(&bytes);
    rig.run();
    rig.session.close(None, Cause::Draining, rig.now);
    rig.run();
    rig.backend.takes(usize::MAX);
    rig.run();
    let frames = rig.backend.frames();
    assert_eq!((frames.len(), code_of(&frames)), (2, Some(1012)));
    assert!(frames[0].payload == noise(100_000));
}

#[test]
fn a_leg_that_breaks_inside_a_frame_leaves_what_is_in_the_pipe_and_no_close() {
    for reset in [false, true] {
        let mut rig = bulk(&quiet());
        let bytes = masked(BINARY, &noise(100_000));
        rig.backend.takes(10);
        rig.client.says(&bytes[..90_000]);
        rig.run();
        if reset {
            rig.client.resets()
        } else {
            rig.client.ends()
        };
        rig.backend.takes(usize::MAX);
        rig.run();
        assert!(rig.backend.hears() == bytes[..90_000]);
        assert!(rig.backend.got_fin());
        rig.backend.ends();
        assert!(rig.is_over());
        assert_eq!(rig.report().cause, Cause::ClientBroken);
    }
}

#[test]
fn a_pipe_that_is_not_empty_is_not_used_again() {
    for _ in 0..3 {
        let mut rig = bulk(&quiet());
        rig.backend.takes(10);
        rig.client.says(&masked(BINARY, &noise(100_000)));
        rig.run();
        rig.backend.resets();
        rig.run();
        assert!(rig.backend.is_closed());
        // The stage looks at each pipe that something is put into.
        let mut other = bulk(&quiet());
        other.client.says(&masked(BINARY, &noise(5000)));
        other.run();
        assert!(other.backend.hears() == masked(BINARY, &noise(5000)));
        assert!(other.client.piped() > 0);
    }
}

#[test]
fn a_leg_that_takes_nothing_of_a_pipe_is_cut_as_stalled() {
    let mut rig = bulk(&Limits { stall: Duration::from_secs(4), ..quiet() });
    rig.backend.takes(10);
    rig.client.says(&masked(BINARY, &noise(100_000)));
    rig.after(Duration::from_secs(3));
    assert!(!rig.is_ending());
    rig.backend.takes(10);
    rig.after(Duration::from_secs(3));
    assert!(!rig.is_ending(), "it has taken some meanwhile");
    rig.after(Duration::from_secs(2));
    assert_eq!(rig.report().cause, Cause::Stalled);
    assert!(rig.backend.is_cut());
}

#[test]
fn a_full_socket_that_takes_bytes_when_asked_gets_them() {
    let mut rig = bulk(&Limits { stall: Duration::from_secs(4), ..quiet() });
    rig.backend.counts_as_full_below(500);
    rig.backend.takes(100);
    rig.client.says(&masked(BINARY, &noise(2000)));
    rig.run();
    assert_eq!(rig.backend.hears(), b"");
    rig.after(Duration::from_secs(1));
    assert_eq!(rig.backend.hears().len(), 100);
}

#[test]
fn without_pipes_frames_are_copied() {
    let mut rig = bulk(&quiet());
    let others: Vec<_> = std::iter::from_fn(pipe::Pipe::take).collect();
    let bytes = masked(BINARY, &noise(200_000));
    rig.client.says(&bytes).says(&bytes);
    rig.run();
    assert!(rig.backend.hears() == [&bytes[..], &bytes].concat());
    assert_eq!((rig.client.piped(), rig.legs().0.messages_in), (0, 3));
    drop(others);
    rig.client.says(&bytes);
    rig.run();
    assert!(rig.backend.hears() == bytes);
    assert!(rig.client.piped() > 0, "they are spliced again");
}
