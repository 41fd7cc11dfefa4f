//! One direction's transformation, without I/O: bytes as received in, bytes for the other leg out, in the same buffer.
//!
//! Headers are parsed and judged; payloads pass in pieces as they come, verbatim or unmasked in place. Held back until
//! complete are a header (so that nothing of a violation passes) and a control frame (at most 131 bytes, so that its
//! meaning is known). State between two reads is a few counters and what is held back; never a payload.

use std::ops::Range;

use super::{
    close,
    frame::{Expect, Header, MAX_CONTROL, Opcode, Violation},
    mask,
};

/// First bytes of our keep-alive Pings; a 32-bit counter follows. Their Pongs are recognised by it and swallowed.
const MARKER: [u8; 4] = *b"\xc0rd\xb0";

/// Payload of our Ping number `count`.
pub(super) fn ping_payload(count: u32) -> [u8; 8] {
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&MARKER);
    payload[4..].copy_from_slice(&count.to_be_bytes());
    payload
}

/// Whether a Pong answers one of our first `count` Pings.
fn is_ours(pong: &[u8], count: u32) -> bool {
    let Some((marker, number)) = pong.split_first_chunk() else { return false };
    let Ok(number) = number.try_into().map(u32::from_be_bytes) else { return false };
    *marker == MARKER && (1..=count).contains(&number)
}

/// What becomes of control frames, and what data frames are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    /// Pings are answered by us and Pongs go no further; otherwise both pass.
    pub(super) answer: bool,
    /// How many Pings of our own this leg has been sent.
    pub(super) pings: u32,
    /// Most frames of one message; 0 for any number.
    pub(super) fragments: u32,
    /// Most bytes of one message; 0 for any number.
    pub(super) message: u64,
    /// Payload from which on a frame is big, so that it had better pass by a pipe.
    pub(super) big: u64,
}

/// Whether it is more than the `most` bytes of a message, 0 being any number.
const fn exceeds(bytes: u64, most: u64) -> bool {
    most != 0 && bytes > most
}

/// Why a direction stops: what follows in the input is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A Close with this code ([`close::NO_STATUS`] without one).
    Close(u16),
    /// Nothing of the offending frame is in the output.
    Violation(Violation),
}

/// What came of one read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    /// Where in the buffer the bytes for the other leg stand.
    pub(super) out: Range<usize>,
    /// The last place in `out` at which a frame of ours may be put between two of theirs.
    pub(super) boundary: Option<usize>,
    /// The last place in `out` at which a message of ours may be put between two of theirs.
    pub(super) gap: Option<usize>,
    /// Messages whose last byte is in `out`.
    pub(super) messages: u64,
    /// Whether a data frame was among it.
    pub(super) data: bool,
    /// Payload of the newest Ping that we are to answer (RFC 6455 §5.5.3 allows to answer that one only).
    pub(super) ping: Option<Vec<u8>>,
    /// Whether the direction ends here.
    pub(super) stop: Option<Stop>,
}

impl Digest {
    /// Of one whole message that passes as it is.
    pub(super) fn whole(out: Range<usize>) -> Self {
        let place = Some(out.end);
        Self { boundary: place, gap: place, out, messages: 1, data: true, ..Self::default() }
    }
}

/// The state of one direction.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // none follows from another
pub(super) struct Pump {
    expect: Expect,
    /// The receiver must get unmasked what the sender masked.
    strip: bool,
    /// Payload bytes of the current data frame that are still to come.
    remaining: u64,
    /// Its key, turned to the next byte.
    key: [u8; 4],
    /// It ends its message.
    fin: bool,
    /// Bytes of the open message so far, by its headers.
    message: u64,
    /// Frames of the open message so far.
    fragments: u32,
    /// The last data frame was big, and such frames pass as they are.
    bulk: bool,
    /// Nothing more will come.
    pub(super) dry: bool,
    /// An incomplete header or control frame.
    #[allow(clippy::box_collection)] // sessions are many, and nearly all have none
    split: Option<Box<Vec<u8>>>,
}

impl Pump {
    /// At the beginning of a stream. `masked`: the sender is a client of ours; `strip`: so is the receiver.
    pub(super) const fn new(masked: bool, strip: bool, extensions: bool) -> Self {
        Self {
            expect: Expect { masked, reserved: extensions, continuing: false },
            strip: strip && masked,
            remaining: 0,
            key: [0; 4],
            fin: true,
            message: 0,
            fragments: 0,
            bulk: false,
            dry: false,
            split: None,
        }
    }

    /// Whether the output so far ends with a whole frame.
    pub(super) const fn at_boundary(&self) -> bool {
        self.remaining == 0
    }

    /// Whether the output so far ends with a whole message.
    pub(super) const fn at_gap(&self) -> bool {
        self.remaining == 0 && !self.expect.continuing
    }

    /// Whether the current data frame, or the latest one, ends its message.
    pub(super) const fn is_last(&self) -> bool {
        self.fin
    }

    /// Puts what is held back in front of `at` and returns where the input begins. There must be
    /// [`HEADROOM`](super::buffer::HEADROOM) before `at`.
    pub(super) fn restore(&mut self, buffer: &mut [u8], at: usize) -> usize {
        let Some(split) = self.split.take() else { return at };
        let begin = at - split.len();
        buffer[begin..at].copy_from_slice(&split);
        begin
    }

    /// Turns the bytes of `input` into those for the other leg.
    pub(super) fn process(&mut self, buffer: &mut [u8], input: Range<usize>, orders: Orders) -> Digest {
        if self.passes_whole(&buffer[input.clone()], orders.message) {
            self.bulk = false;
            return Digest::whole(input);
        }
        let (clean, between) = (self.at_boundary(), self.at_gap());
        let mut digest = Digest::default();
        let mut cursor = Cursor { buffer, read: input.start, end: input.end, start: input.start, write: input.start };
        while cursor.read < cursor.end {
            if self.remaining > 0 {
                self.pass_payload(&mut cursor, &mut digest);
                continue;
            }
            let rest = &cursor.buffer[cursor.read..cursor.end];
            let taken = match Header::parse(rest, self.expect) {
                Err(violation) => Err(Stop::Violation(violation)),
                Ok(None) => Ok(false),
                Ok(Some(header)) if header.opcode.is_control() => {
                    self.pass_control(&header, &mut cursor, &mut digest, orders)
                }
                Ok(Some(header)) => self.open_frame(&header, &mut cursor, &mut digest, orders),
            };
            match taken {
                Ok(true) => {}
                Ok(false) => {
                    let split = &cursor.buffer[cursor.read..cursor.end];
                    self.split = (!split.is_empty()).then(|| Box::new(split.to_vec()));
                    break;
                }
                Err(stop) => {
                    digest.stop = Some(stop);
                    break;
                }
            }
        }
        digest.out = cursor.start..cursor.write;
        if clean && digest.boundary.is_none() {
            digest.boundary = Some(cursor.start);
        }
        if between && digest.gap.is_none() {
            digest.gap = Some(cursor.start);
        }
        digest
    }

    /// Whether these bytes are one whole message in one frame with the shortest header, which passes as it is: the usual
    /// case, judged here as [`Header::parse`] would. There is nothing to [restore](Pump::restore) before them. `most` bytes may
    /// a message have, 0 for any number.
    #[inline]
    pub(super) fn passes_whole(&self, bytes: &[u8], most: u64) -> bool {
        let &[first, second, ..] = bytes else { return false };
        let header = if self.expect.masked { 6 } else { 2 };
        let payload = usize::from(second & 0x7f);
        matches!(first, 0x81 | 0x82)
            && (second & 0x80 != 0) == self.expect.masked
            && payload < 126
            && bytes.len() == header + payload
            && self.remaining == 0
            && !self.expect.continuing
            && !self.strip
            && !exceeds(payload as u64, most)
            && self.split.is_none()
    }

    /// Judges a data frame by its header and passes that on.
    fn open_frame(
        &mut self,
        header: &Header,
        cursor: &mut Cursor<'_>,
        digest: &mut Digest,
        orders: Orders,
    ) -> Result<bool, Stop> {
        self.judge(header, orders).map_err(Stop::Violation)?;
        self.enter(header);
        self.bulk = !self.strip && header.payload >= orders.big;
        digest.data = true;
        cursor.header(header, self.strip);
        if self.remaining == 0 {
            self.end_frame(cursor, digest);
        }
        Ok(true)
    }

    /// Whether a data frame keeps within the limits of its message.
    fn judge(&self, header: &Header, orders: Orders) -> Result<(), Violation> {
        if exceeds(self.message.saturating_add(header.payload), orders.message) {
            return Err(Violation::MessageTooBig);
        }
        if orders.fragments != 0 && self.fragments >= orders.fragments {
            return Err(Violation::TooManyFragments);
        }
        Ok(())
    }

    /// Begins the payload of a data frame.
    fn enter(&mut self, header: &Header) {
        self.expect.continuing = !header.fin;
        self.fin = header.fin;
        self.remaining = header.payload;
        self.key = header.mask.unwrap_or_default();
        (self.message, self.fragments) = if header.fin {
            (0, 0)
        } else {
            (self.message.saturating_add(header.payload), self.fragments.saturating_add(1))
        };
    }

    /// Whether the next bytes may be those of a big frame, which passes as it is.
    pub(super) const fn is_bulk(&self) -> bool {
        self.bulk && self.split.is_none()
    }

    /// Big frames are treated as others until the next one has begun.
    pub(super) const fn end_bulk(&mut self) {
        self.bulk = false;
    }

    /// Bytes of the current data frame that are still to come.
    pub(super) const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The header that `bytes`, the next of the stream, begin with, if it is a big data frame's and nothing is wrong with
    /// it. All else is left to [`Pump::process`].
    pub(super) fn foresee(&self, bytes: &[u8], orders: Orders) -> Option<Header> {
        let header = Header::parse(bytes, self.expect).ok().flatten()?;
        let big = !header.opcode.is_control() && header.payload >= orders.big;
        (big && self.judge(&header, orders).is_ok()).then_some(header)
    }

    /// Begins a data frame that was [foreseen](Pump::foresee). Its header passes with its payload.
    pub(super) fn begin(&mut self, header: &Header) {
        self.enter(header);
        // Both are below 2^63.
        self.remaining += header.size as u64;
    }

    /// Counts bytes of the current data frame that pass elsewhere, as they are; tells how many messages they end.
    pub(super) fn skip(&mut self, bytes: usize) -> u64 {
        debug_assert!(!self.strip && bytes as u64 <= self.remaining, "the rest of one frame that passes as it is");
        self.remaining = self.remaining.saturating_sub(bytes as u64);
        u64::from(self.remaining == 0 && self.fin)
    }

    /// Passes on what is there of the current data frame.
    fn pass_payload(&mut self, cursor: &mut Cursor<'_>, digest: &mut Digest) {
        let there = cursor.end - cursor.read;
        let length = usize::try_from(self.remaining).map_or(there, |remaining| remaining.min(there));
        cursor.payload(length, self.strip.then_some(self.key));
        self.key = mask::rotate(self.key, length);
        self.remaining -= length as u64;
        digest.data = true;
        if self.remaining == 0 {
            self.end_frame(cursor, digest);
        }
    }

    fn end_frame(&self, cursor: &Cursor<'_>, digest: &mut Digest) {
        digest.boundary = Some(cursor.write);
        if self.fin {
            digest.gap = digest.boundary;
            digest.messages += 1;
        }
    }

    /// Handles a control frame once it is complete; `Ok(false)` until then.
    fn pass_control(
        &self,
        header: &Header,
        cursor: &mut Cursor<'_>,
        digest: &mut Digest,
        orders: Orders,
    ) -> Result<bool, Stop> {
        // At most 125, as the header was judged.
        let length = usize::try_from(header.payload).unwrap_or(MAX_CONTROL);
        if cursor.end - cursor.read < header.size + length {
            return Ok(false);
        }
        let mut copy = [0; MAX_CONTROL];
        let payload = &mut copy[..length];
        payload.copy_from_slice(&cursor.buffer[cursor.read + header.size..][..length]);
        mask::xor_bytes(payload, header.mask.unwrap_or_default());

        let mut closed = None;
        let passes = match header.opcode {
            Opcode::Close => {
                // Where the other leg gets one of ours instead, that goes to the boundary before and ends its stream.
                closed = Some(close::judge(payload).map_err(Stop::Violation)?);
                true
            }
            Opcode::Ping if orders.answer => {
                digest.ping = Some(payload.to_vec());
                false
            }
            Opcode::Pong => !orders.answer && !is_ours(payload, orders.pings),
            _ => true,
        };
        if passes {
            cursor.header(header, self.strip);
            cursor.payload(length, header.mask.filter(|_| self.strip));
            // Nothing of ours may follow a Close, so there is no place for it behind one.
            if closed.is_none() {
                digest.boundary = Some(cursor.write);
                if !self.expect.continuing {
                    digest.gap = digest.boundary;
                }
            }
        } else {
            cursor.read += header.size + length;
        }
        closed.map_or(Ok(true), |code| Err(Stop::Close(code)))
    }
}

/// Reads ahead of where it writes, in one buffer.
struct Cursor<'a> {
    buffer: &'a mut [u8],
    read: usize,
    end: usize,
    /// Where the output begins.
    start: usize,
    write: usize,
}

impl Cursor<'_> {
    /// Moves a header to the output, without its key and mask bit if they are stripped.
    fn header(&mut self, header: &Header, strip: bool) {
        let kept = if strip { header.size - 4 } else { header.size };
        if self.start == self.write {
            // Nothing is out yet: begin so that the payload needs no move.
            self.start = self.read + header.size - kept;
            self.write = self.start;
        }
        if self.write != self.read {
            self.buffer.copy_within(self.read..self.read + kept, self.write);
        }
        if strip {
            self.buffer[self.write + 1] &= 0x7f;
        }
        self.read += header.size;
        self.write += kept;
    }

    /// Moves payload to the output, unmasked if there is a key.
    fn payload(&mut self, length: usize, key: Option<[u8; 4]>) {
        if self.start == self.write {
            self.start = self.read;
            self.write = self.read;
        }
        if let Some(key) = key {
            mask::apply(self.buffer, self.read, self.write, length, key);
        } else if self.write != self.read {
            self.buffer.copy_within(self.read..self.read + length, self.write);
        }
        self.read += length;
        self.write += length;
    }
}

#[cfg(test)]
mod tests;
