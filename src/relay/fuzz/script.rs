//! Streams out of the fuzzer's bytes: mostly frames, so that what is deep is reached, and anything between them.

use crate::{
    fuzzing::Input,
    relay::{
        pump::ping_payload,
        tests::rig::{BINARY, CLOSE, CONT, PING, PONG, TEXT, frame},
    },
};

/// A stream that is so long has short frames from then on, so that a run takes no time.
const LONG: usize = 75_000;

/// Lengths at which the form of a header or the use of a buffer changes.
const EDGES: [usize; 12] = [0, 125, 126, 127, 128, 255, 256, 65_391, 65_392, 65_535, 65_536, 70_000];

/// A stream of one peer, by all that is left of the input.
pub(super) fn stream(input: &mut Input<'_>, masked: bool) -> Vec<u8> {
    let (mut out, mut open) = (Vec::new(), false);
    while !input.is_empty() && out.len() < LONG + 10_000 {
        let kind = input.byte();
        // Most frames have the mask that they must have.
        let masked = masked != (kind >= 0xfc);
        match kind % 8 {
            0..=3 => {
                let fin = kind & 0x10 == 0;
                let opcode = if open { CONT } else { [TEXT, BINARY][usize::from(kind >> 5) % 2] };
                open = !fin;
                let size = size(input).min(LONG.saturating_sub(out.len()).max(200));
                data(&mut out, (fin, opcode), size, masked, input);
            }
            4 => {
                let opcode = [PING, PONG, PING, CLOSE][usize::from(kind >> 4) % 4];
                let size = usize::from(input.byte() % 128);
                let payload = input.bytes(size);
                let key = key(input, masked);
                out.extend(frame(kind & 8 == 0 || kind < 0xc0, opcode, payload, key));
            }
            5 => {
                let number = u32::from(input.byte() % 8);
                let key = key(input, masked);
                out.extend(frame(true, PONG, &ping_payload(number), key));
            }
            6 => {
                let code = input.word();
                let reason = input.text();
                let payload = [&code.to_be_bytes()[..], &reason[..reason.len().min(123)]].concat();
                let key = key(input, masked);
                out.extend(frame(true, CLOSE, &payload, key));
            }
            _ => {
                let most = usize::from(input.byte());
                out.extend_from_slice(input.bytes(most));
            }
        }
    }
    out
}

/// The length of a payload: mostly short, sometimes one of the edges.
pub(super) fn size(input: &mut Input<'_>) -> usize {
    match usize::from(input.byte()) {
        edge @ 240.. => EDGES[edge % EDGES.len()],
        long @ 220.. => (long - 219) * 300,
        short => short,
    }
}

/// A key, sometimes one of zeros or of equal bytes.
pub(super) fn key(input: &mut Input<'_>, masked: bool) -> Option<[u8; 4]> {
    masked.then(|| {
        let seed = input.byte();
        [seed, seed.rotate_left(3), seed.wrapping_mul(31), !seed]
            .map(|byte| if seed.is_multiple_of(16) { seed } else { byte })
    })
}

/// A payload in which any shift shows.
pub(super) fn payload(size: usize, fill: u8) -> Vec<u8> {
    (0..size).map(|at| (at ^ (at >> 8)).to_le_bytes()[0] ^ fill).collect()
}

fn data(out: &mut Vec<u8>, (fin, opcode): (bool, u8), size: usize, masked: bool, input: &mut Input<'_>) {
    // Text that an endpoint accepts.
    let payload = payload(size, input.byte()).into_iter().map(|byte| if opcode == BINARY { byte } else { byte & 0x7f });
    let key = key(input, masked);
    out.extend(frame(fin, opcode, &payload.collect::<Vec<_>>(), key));
}
