//! One direction, as properties: however a stream is cut into reads, the same comes out, and it is right by the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::relay::{
    buffer::{Buffer, HEADROOM},
    tests::rig::{BINARY, CLOSE, CONT, PING, PONG, Seen, TEXT, frame, read_frames},
};

const RELAY: Orders = Orders { answer: false, pings: 0, fragments: 0, message: 0, big: u64::MAX };

/// A message: its fragments' sizes, a control frame in between or not, the key.
#[derive(Clone, Debug)]
struct Message {
    fragments: Vec<usize>,
    control: Option<(u8, Vec<u8>)>,
    key: [u8; 4],
    fill: u8,
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..300_usize, 1 => prop_oneof![Just(125), Just(126), Just(65_535), Just(65_536)]]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let control =
        proptest::option::of((prop_oneof![Just(PING), Just(PONG)], proptest::collection::vec(any::<u8>(), 0..126)));
    let message = (proptest::collection::vec(sizes(), 1..4), control, any::<[u8; 4]>(), any::<u8>())
        .prop_map(|(fragments, control, key, fill)| Message { fragments, control, key, fill });
    proptest::collection::vec(message, 1..5)
}

/// The stream of these messages, with a Close at its end.
fn stream(messages: &[Message], masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        let key = masked.then_some(message.key);
        for (at, size) in message.fragments.iter().enumerate() {
            let payload: Vec<u8> = (0..*size).map(|n| n.to_le_bytes()[0].wrapping_mul(31) ^ message.fill).collect();
            let opcode = if at == 0 { BINARY } else { CONT };
            out.extend(frame(at + 1 == message.fragments.len(), opcode, &payload, key));
            if let Some((opcode, payload)) = message.control.as_ref().filter(|_| at == 0) {
                out.extend(frame(true, *opcode, payload, key));
            }
        }
    }
    out.extend(frame(true, CLOSE, b"\x03\xe8bye", masked.then_some([7; 4])));
    out
}

/// Feeds `input` in reads of the given sizes, over and over.
fn feed(pump: &mut Pump, input: &[u8], reads: &[usize], orders: Orders) -> (Vec<u8>, Vec<Digest>) {
    let (mut at, mut out, mut digests) = (0, Vec::new(), Vec::new());
    for read in reads.iter().cycle() {
        if at == input.len() {
            break;
        }
        let mut buffer = Buffer::take();
        let length = (*read).min(input.len() - at).min(buffer.len() - HEADROOM);
        buffer[HEADROOM..HEADROOM + length].copy_from_slice(&input[at..at + length]);
        let begin = pump.restore(&mut buffer, HEADROOM);
        let digest = pump.process(&mut buffer, begin..HEADROOM + length, orders);
        out.extend_from_slice(&buffer[digest.out.clone()]);
        at += length;
        digests.push(digest);
    }
    (out, digests)
}

fn reads() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![3 => 1..20_usize, 1 => 1..70_000_usize], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verbatim_is_verbatim_however_it_is_cut(messages in messages(), reads in reads(), masked in any::<bool>()) {
        let input = stream(&messages, masked);
        let mut pump = Pump::new(masked, false, false);
        let (out, digests) = feed(&mut pump, &input, &reads, RELAY);
        prop_assert!(out == input);
        prop_assert_eq!(digests.iter().map(|digest| digest.messages).sum::<u64>(), messages.len() as u64);
        prop_assert_eq!(digests.last().unwrap().stop, Some(Stop::Close(1000)));
        prop_assert!(pump.at_boundary());
    }

    #[test]
    fn unmasked_frames_are_those_that_were_masked(messages in messages(), reads in reads()) {
        let input = stream(&messages, true);
        let mut pump = Pump::new(true, true, false);
        let (out, _) = feed(&mut pump, &input, &reads, RELAY);
        let wanted: Vec<Seen> = read_frames(&input).into_iter().map(|seen| Seen { masked: false, ..seen }).collect();
        prop_assert!(read_frames(&out) == wanted);
    }

    /// At a boundary whole frames lie before it and, where there are more, a frame begins behind it.
    #[test]
    fn a_frame_of_ours_fits_at_every_boundary(messages in messages(), reads in reads(), strip in any::<bool>()) {
        let input = stream(&messages, true);
        let mut pump = Pump::new(true, strip, false);
        let (out, digests) = feed(&mut pump, &input, &reads, RELAY);
        let ours = frame(true, PING, b"ours", None);
        let (mut mixed, mut at, mut put) = (Vec::new(), 0, 0);
        for digest in &digests {
            let end = at + digest.out.len();
            if let Some(boundary) = digest.boundary {
                let boundary = at + boundary - digest.out.start;
                prop_assert!((at..=end).contains(&boundary));
                mixed.extend_from_slice(&out[at..boundary]);
                mixed.extend_from_slice(&ours);
                at = boundary;
                put += 1;
            }
            mixed.extend_from_slice(&out[at..end]);
            at = end;
        }
        let seen = read_frames(&mixed);
        prop_assert_eq!(seen.iter().filter(|frame| frame.payload == b"ours").count(), put);
        prop_assert_eq!(seen.last().map(|frame| frame.opcode), Some(CLOSE), "nothing behind a Close");
    }

    #[test]
    fn answered_control_frames_leave_no_hole(messages in messages(), reads in reads(), strip in any::<bool>()) {
        let input = stream(&messages, true);
        let mut pump = Pump::new(true, strip, false);
        let (out, digests) = feed(&mut pump, &input, &reads, Orders { answer: true, ..RELAY });
        let wanted: Vec<_> =
            read_frames(&input).into_iter().filter(|frame| frame.opcode < 9).map(|frame| frame.payload).collect();
        prop_assert!(read_frames(&out).into_iter().map(|frame| frame.payload).collect::<Vec<_>>() == wanted);
        let pings = read_frames(&input).into_iter().rfind(|frame| frame.opcode == PING).map(|frame| frame.payload);
        prop_assert_eq!(digests.into_iter().rev().find_map(|digest| digest.ping), pings);
    }

    #[test]
    fn big_frames_that_pass_elsewhere_are_counted_as_if_they_had_come(
        messages in messages(),
        reads in reads(),
        skips in proptest::collection::vec(any::<(bool, u16)>(), 1..9),
        masked in any::<bool>(),
    ) {
        let input = stream(&messages, masked);
        let pump = || Pump::new(masked, false, false);
        let (_, digests) = feed(&mut pump(), &input, &reads, RELAY);
        let wanted: u64 = digests.iter().map(|digest| digest.messages).sum();

        let orders = Orders { big: 100, ..RELAY };
        let (mut pump, mut at, mut counted, mut stopped) = (pump(), 0, 0, false);
        for (read, (skip, most)) in reads.iter().cycle().zip(skips.iter().cycle()) {
            if at == input.len() {
                break;
            }
            if *skip && pump.is_bulk() {
                if pump.at_boundary() && let Some(header) = pump.foresee(&input[at..], orders) {
                    pump.begin(&header);
                }
                let there = usize::try_from(pump.remaining()).unwrap().min(usize::from(*most).max(1));
                if there > 0 {
                    counted += pump.skip(there);
                    at += there;
                    continue;
                }
            }
            let length = (*read).min(input.len() - at);
            let (_, digests) = feed(&mut pump, &input[at..at + length], &[length], orders);
            counted += digests.iter().map(|digest| digest.messages).sum::<u64>();
            stopped |= digests.iter().any(|digest| digest.stop == Some(Stop::Close(1000)));
            at += length;
        }
        prop_assert_eq!((counted, stopped), (wanted, true));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(input in proptest::collection::vec(any::<u8>(), 1..400), reads in reads()) {
        for strip in [false, true] {
            let mut pump = Pump::new(true, strip, true);
            feed_until_stop(&mut pump, &input, &reads);
        }
    }
}

fn feed_until_stop(pump: &mut Pump, input: &[u8], reads: &[usize]) {
    let mut at = 0;
    for read in reads.iter().cycle() {
        let length = (*read).min(input.len() - at);
        if length == 0 {
            return;
        }
        let (_, digests) = feed(pump, &input[at..at + length], &[length], RELAY);
        if digests.iter().any(|digest| digest.stop.is_some()) {
            return;
        }
        at += length;
    }
}

#[test]
fn a_single_frame_is_not_moved() {
    let input = frame(true, TEXT, &[1; 100], Some([1, 2, 3, 4]));
    let mut buffer = Buffer::take();
    buffer[HEADROOM..HEADROOM + input.len()].copy_from_slice(&input);
    let digest = Pump::new(true, true, false).process(&mut buffer, HEADROOM..HEADROOM + input.len(), RELAY);
    assert_eq!(digest.out, HEADROOM + 4..HEADROOM + input.len(), "the header comes to the payload");
}

#[test]
fn only_pongs_to_pings_that_were_sent_are_ours() {
    assert!(is_ours(&ping_payload(1), 1) && is_ours(&ping_payload(3), 7));
    for (payload, count) in [(ping_payload(2), 1), (ping_payload(0), 5), (*b"whatever", 5)] {
        assert!(!is_ours(&payload, count), "{payload:?}");
    }
    assert!(!is_ours(&ping_payload(1)[..7], 1) && !is_ours(b"", 1));
}

/// The short cut must come to what the long way does, whatever the first two bytes are.
#[test]
fn a_whole_small_message_is_judged_as_the_same_bytes_in_two_pieces() {
    for (masked, reserved, continuing) in
        [(true, false, false), (false, false, false), (true, true, false), (true, false, true)]
    {
        for (first, second) in (0..=255_u8).flat_map(|first| [0, 5, 125, 126, 127].map(|second| (first, second))) {
            for flag in [0, 0x80] {
                let length = usize::from(second) + if masked { 6 } else { 2 };
                let bytes: Vec<u8> =
                    [first, second | flag].into_iter().chain(std::iter::repeat(7)).take(length).collect();
                let run = |cuts: &[usize]| {
                    let mut pump = Pump::new(masked, false, reserved);
                    pump.expect.continuing = continuing;
                    let (mut out, mut messages, mut stop, mut data) = (Vec::new(), 0, None, false);
                    let mut from = 0;
                    for to in cuts.iter().copied().chain([bytes.len()]) {
                        let mut buffer = vec![0; HEADROOM];
                        buffer.extend_from_slice(&bytes[from..to]);
                        let begin = pump.restore(&mut buffer, HEADROOM);
                        let end = buffer.len();
                        let digest = pump.process(&mut buffer, begin..end, Orders { message: 100, ..RELAY });
                        out.extend_from_slice(&buffer[digest.out.clone()]);
                        messages += digest.messages;
                        data |= digest.data;
                        stop = stop.or(digest.stop);
                        from = to;
                    }
                    (out, messages, data, stop, pump.at_boundary(), pump.message, pump.expect.continuing)
                };
                if length >= 2 {
                    assert_eq!(run(&[]), run(&[1]), "{first:#x} {:#x} {masked} {continuing}", second | flag);
                }
            }
        }
    }
}
