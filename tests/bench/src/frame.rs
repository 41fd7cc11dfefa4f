//! WebSocket frames, as far as a load generator needs them: messages that are made once, and an echo that turns what it
//! is given without assembling a message.
//!
//! Nothing here does I/O, and nothing is validated beyond what an echo must know; the peers under test do that.

use std::io;

use crate::wrong;

/// What stands for the length where two or eight bytes of it follow.
const MIDDLE: u8 = 0x7e;
const LONG: u8 = 0x7f;
/// First byte of a binary message in one frame.
const BINARY: u8 = 0x82;
/// First byte of a Close.
pub const CLOSE: u8 = 0x88;
/// The most bytes of a frame's header: two, eight of a length, four of a mask.
const LONGEST: usize = 14;

/// The messages of a load, over and over: each with content and a mask of its own, framed as the client sends it and as
/// it comes back. What a connection sends and receives are two endless streams of which every byte is known beforehand,
/// so a byte that is lost, doubled, changed or out of its order is found when it comes.
#[derive(Debug)]
pub struct Script {
    sent: Vec<u8>,
    echoed: Vec<u8>,
    /// How many different messages there are; more than are in flight on a connection.
    pub messages: u64,
    /// Bytes of one message as it is sent, header and mask included.
    pub sent_frame: u64,
    /// Bytes of one message as it comes back.
    pub echoed_frame: u64,
}

impl Script {
    /// Messages of `size` bytes, of which a connection has at most `in_flight` on their way.
    #[must_use]
    pub fn new(size: usize, in_flight: usize) -> Self {
        let messages = (in_flight + 1).max(((1 << 20) / size.max(1)).clamp(3, 251));
        let (mut sent, mut echoed) = (Vec::new(), Vec::new());
        let mut dice = 0x0c0d_b0a4_d000_0001;
        for _ in 0..messages {
            let key = random(&mut dice).to_le_bytes();
            let key = [key[0] | 1, key[1], key[2], key[3]];
            header(&mut sent, BINARY, size as u64, Some(key));
            header(&mut echoed, BINARY, size as u64, None);
            let from = echoed.len();
            while echoed.len() < from + size {
                let eight = random(&mut dice).to_le_bytes();
                echoed.extend_from_slice(&eight[..(from + size - echoed.len()).min(8)]);
            }
            let masked = sent.len();
            sent.extend_from_slice(&echoed[from..]);
            mask(&mut sent[masked..], key);
        }
        let count = messages as u64;
        Self {
            messages: count,
            sent_frame: sent.len() as u64 / count,
            echoed_frame: echoed.len() as u64 / count,
            sent,
            echoed,
        }
    }

    /// What is sent from byte `at` of the stream on, up to where the messages begin anew.
    #[must_use]
    pub fn to_send(&self, at: u64) -> &[u8] {
        from(&self.sent, at)
    }

    /// What is to come back from byte `at` of the stream on, up to where the messages begin anew.
    #[must_use]
    pub fn to_come(&self, at: u64) -> &[u8] {
        from(&self.echoed, at)
    }
}

fn from(cycle: &[u8], at: u64) -> &[u8] {
    let at = at % cycle.len() as u64;
    &cycle[usize::try_from(at).unwrap_or(0)..]
}

/// Appends a frame's header.
pub fn header(out: &mut Vec<u8>, first: u8, length: u64, key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | MIDDLE);
            out.extend(middle.to_be_bytes());
        }
        _ => {
            out.push(masked | LONG);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend(key.into_iter().flatten());
}

/// A Close with code 1000, as a client sends it.
#[must_use]
pub fn close() -> Vec<u8> {
    let (key, mut payload) = ([0x11, 0x22, 0x33, 0x44], 1000_u16.to_be_bytes());
    mask(&mut payload, key);
    let mut frame = Vec::with_capacity(8);
    header(&mut frame, CLOSE, 2, Some(key));
    frame.extend(payload);
    frame
}

/// Masks or unmasks; the first byte with the key's first.
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let eight = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ eight).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// One direction of an echo: takes a stream of frames in pieces of any size and gives it back, the mask taken off or
/// another put on. A Close is given back too, and is the last.
#[derive(Debug)]
pub struct Turn {
    mask: Option<[u8; 4]>,
    header: [u8; LONGEST],
    had: usize,
    left: u64,
    /// What the payload is to be combined with, beginning with its next byte.
    key: [u8; 4],
    closed: bool,
}

impl Turn {
    /// `mask`: that of the frames that it gives; none from a server.
    #[must_use]
    pub fn new(mask: Option<[u8; 4]>) -> Self {
        Self { mask, header: [0; LONGEST], had: 0, left: 0, key: [0; 4], closed: false }
    }

    /// Whether a Close has been given back.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Appends to `out` what is to be sent for `input`.
    ///
    /// # Errors
    /// When frames have a mask where the sender must not mask, or none where it must.
    pub fn turn(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !self.closed && !input.is_empty() {
            if self.left == 0 {
                input = self.head(input, out)?;
            }
            let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
            let at = out.len();
            out.extend_from_slice(&input[..now]);
            mask(&mut out[at..], self.key);
            self.key.rotate_left(now % 4);
            self.left -= now as u64;
            input = &input[now..];
            // A header that is not whole yet ends the input.
            self.closed = self.left == 0 && self.had == 0 && self.header[0] == CLOSE;
        }
        Ok(())
    }

    /// Takes what there is of a header, and gives it out when it is whole.
    fn head<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> io::Result<&'a [u8]> {
        let mut used = 0;
        while self.had < self.wanted() {
            let Some(byte) = input.get(used) else { return Ok(&input[used..]) };
            self.header[self.had] = *byte;
            self.had += 1;
            used += 1;
        }
        let (first, second) = (self.header[0], self.header[1]);
        // A server masks nothing, so who gives no mask gets one.
        if (second & 0x80 != 0) == self.mask.is_some() {
            return Err(wrong(format!("a frame of the wrong side: {first:#x} {second:#x}")));
        }
        let mut at = 2;
        let mut number = |bytes: usize| {
            at += bytes;
            self.header[at - bytes..at].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        self.left = match second & 0x7f {
            MIDDLE => number(2),
            LONG => number(8),
            short => u64::from(short),
        };
        let theirs = if self.mask.is_some() { [0; 4] } else { [0, 1, 2, 3].map(|byte| self.header[at + byte]) };
        let ours = self.mask.unwrap_or_default();
        self.key = [0, 1, 2, 3].map(|byte| theirs[byte] ^ ours[byte]);
        header(out, first, self.left, self.mask);
        self.had = 0;
        Ok(&input[used..])
    }

    /// Bytes of the header that has begun.
    fn wanted(&self) -> usize {
        if self.had < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            MIDDLE => 2,
            LONG => 8,
            _ => 0,
        };
        2 + length + if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }
}

/// `SplitMix64`: repeatable.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// All that a script sends, in pieces of `piece` bytes.
    fn turned(script: &Script, mask: Option<[u8; 4]>, input: &[u8], piece: usize) -> Vec<u8> {
        let (mut turn, mut out) = (Turn::new(mask), Vec::new());
        for piece in input.chunks(piece) {
            turn.turn(piece, &mut out).unwrap();
        }
        assert!(!turn.is_closed(), "{script:?}");
        out
    }

    #[test]
    fn an_echo_gives_back_what_came_wherever_it_was_cut() {
        for size in [1, 64, 125, 126, 1024, 65_535, 65_536] {
            let script = Script::new(size, 2);
            for piece in [1, 3, 7, 4096, usize::MAX] {
                let echoed = turned(&script, None, script.to_send(0), piece);
                assert!(echoed == script.to_come(0), "{size} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn one_that_masks_is_undone_by_one_that_unmasks() {
        let script = Script::new(1000, 1);
        let masked = turned(&script, Some([1, 2, 3, 4]), script.to_come(0), 11);
        assert_ne!(masked, script.to_come(0));
        assert!(turned(&script, None, &masked, 13) == script.to_come(0));
    }

    #[test]
    fn messages_differ_within_what_may_be_in_flight() {
        let script = Script::new(64, 16);
        let frame = usize::try_from(script.echoed_frame).unwrap();
        let mut frames: Vec<_> = script.to_come(0).chunks(frame).collect();
        assert_eq!(frames.len() as u64, script.messages);
        frames.sort_unstable();
        frames.dedup();
        assert_eq!(frames.len() as u64, script.messages);
    }

    #[test]
    fn a_close_is_echoed_and_is_the_last() {
        let (mut turn, mut out) = (Turn::new(None), Vec::new());
        turn.turn(&[&close()[..], &[0x82, 0x80, 0, 0, 0, 0]].concat(), &mut out).unwrap();
        assert!(turn.is_closed());
        assert_eq!(out, [CLOSE, 2, 3, 0xe8]);
    }

    #[test]
    fn an_empty_message_is_echoed() {
        let (mut turn, mut out) = (Turn::new(None), Vec::new());
        turn.turn(&[0x82, 0x80, 9, 9, 9, 9, 0x82, 0x81, 0, 0, 0, 0, 7], &mut out).unwrap();
        assert_eq!(out, [0x82, 0, 0x82, 1, 7]);
    }

    #[test]
    fn frames_of_the_wrong_side_are_refused() {
        assert!(Turn::new(None).turn(&[0x82, 0x00], &mut Vec::new()).is_err());
        assert!(Turn::new(Some([1; 4])).turn(&[0x82, 0x80, 0, 0, 0, 0], &mut Vec::new()).is_err());
    }
}
