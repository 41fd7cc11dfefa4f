//! One direction's transformation against a reference that has the whole stream before it: however the stream is cut into
//! reads, after each of them exactly that is out which the reference says.

use std::ops::RangeInclusive;

use super::{
    endpoint,
    reference::{Reference, Rules},
    script::stream,
};
use crate::{
    fuzzing::Input,
    model::Limits,
    relay::{
        buffer::HEADROOM,
        frame::MAX_CONTROL_FRAME,
        pump::{Orders, Pump, Stop},
    },
};

/// What one stream came to.
#[derive(Debug, PartialEq, Eq)]
struct Result {
    out: Vec<u8>,
    messages: u64,
    stop: Option<Stop>,
}

/// Passes a stream of frames and of what looks like frames, cut into reads as the input says and in other ways.
pub fn pump(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let masked = flags & 1 != 0;
    let strip = masked && flags & 2 != 0;
    let extensions = flags & 4 != 0;
    let limits = Limits {
        message: if flags & 16 != 0 { u64::from(input.word()) } else { 0 },
        fragments: if flags & 32 != 0 { u32::from(input.byte() % 8) } else { 0 },
        ..Limits::default()
    };
    let (answer, pings) = (flags & 8 != 0, u32::from(flags >> 6));
    let orders = Orders { answer, pings, fragments: limits.fragments, message: limits.message, big: u64::MAX };
    let cuts: Vec<usize> = (0..=input.byte() % 6).map(|_| cut(&mut input)).collect();
    let stream = stream(&mut input, masked);

    let rules = Rules { masked, strip, extensions, orders, message: limits.message, fragments: limits.fragments };
    let reference = Reference::of(&stream, &rules);
    let fresh = || Pump::new(masked, strip, extensions);
    let whole = feed(fresh(), &stream, &[usize::MAX], &reference, &rules);
    assert_eq!(feed(fresh(), &stream, &cuts, &reference, &rules), whole);
    if stream.len() < 500 {
        assert_eq!(feed(fresh(), &stream, &[1], &reference, &rules), whole);
    }
    endpoint::compare(&stream, &whole.out, &reference, &rules);
}

/// The length of a read: most are short, some are longer than a buffer.
fn cut(input: &mut Input<'_>) -> usize {
    match usize::from(input.byte()) {
        short @ 0..200 => short + 1,
        long => (long - 199) * 1733,
    }
}

/// Feeds `stream` in reads of the given lengths, over and over, and compares after each with the reference.
fn feed(mut pump: Pump, stream: &[u8], cuts: &[usize], reference: &Reference, rules: &Rules) -> Result {
    let mut result = Result { out: Vec::new(), messages: 0, stop: None };
    // Of a long stream only so many pieces are short, so that a run takes no time.
    let mut cuts =
        cuts.iter().cycle().copied().enumerate().map(|(nth, cut)| if nth < 500 { cut } else { cut.max(3000) });
    let mut read = 0;
    while read < stream.len() && result.stop.is_none() {
        let piece = &stream[read..][..cuts.next().unwrap().min(stream.len() - read)];
        // As large as the piece, so that nothing is read or written behind it.
        let mut buffer = vec![0xee; HEADROOM];
        buffer.extend_from_slice(piece);
        let begin = pump.restore(&mut buffer, HEADROOM);
        assert!(HEADROOM - begin <= MAX_CONTROL_FRAME, "no payload is held back");
        let end = buffer.len();
        let digest = pump.process(&mut buffer, begin..end, rules.orders);

        let (from, to) = (read, read + piece.len());
        let before = result.out.len();
        assert!(digest.out.start >= begin && digest.out.end <= end, "what is out was in");
        result.out.extend_from_slice(&buffer[digest.out.clone()]);
        // What came before is compared already.
        assert!(result.out[before..] == reference.out[before..reference.out_by(to)], "byte {to} of the input");

        let boundary = digest.boundary.map(|at| before + at - digest.out.start);
        assert_eq!(boundary, reference.boundary(before, to), "bytes {from} to {to} of the input");
        assert_eq!(digest.messages, reference.messages(&(from + 1..=to)));
        assert_eq!(digest.data, reference.data(from, to));
        assert_eq!(digest.ping.as_deref(), reference.ping(&(from + 1..=to)));
        assert!(stops_as(digest.stop, reference, &(from + 1..=to)), "{:?} against {:?}", digest.stop, reference.stop);
        if digest.stop.is_none() {
            assert_eq!(pump.at_boundary(), reference.at_boundary(to));
        }

        result.messages += digest.messages;
        result.stop = digest.stop;
        read = to;
    }
    result
}

/// Whether the direction stops in the read that has the byte which decides, and for a reason that the reference knows.
fn stops_as(stop: Option<Stop>, reference: &Reference, read: &RangeInclusive<usize>) -> bool {
    match (stop, &reference.stop) {
        (None, None) => true,
        (None, Some(theirs)) => theirs.decided > *read.end(),
        (Some(Stop::Close(code)), Some(theirs)) => read.contains(&theirs.decided) && theirs.close == Some(code),
        (Some(Stop::Violation(violation)), Some(theirs)) => {
            read.contains(&theirs.decided) && theirs.any_of.contains(&violation)
        }
        (Some(_), None) => false,
    }
}
