//! One direction's messages, taken out of its frames where they are wanted and put back into frames. Without I/O.
//!
//! What comes in are the frames that the [pump](super::pump) has judged, as they would go to the other leg; what goes out
//! are those of messages that are not wanted, as they came, and one frame for each message that was looked at. Control
//! frames keep their place. Nothing of a message that is wanted goes out before it is known what becomes of it, and
//! nothing behind it either.
//!
//! Bounds: of a message at most as many bytes are kept as are wanted; what comes behind one that is being looked at is
//! at most one read, for nothing more is read then.

use super::{
    End,
    frame::{Expect, Header, Opcode, Violation, put_data},
    mask,
    pump::Pump,
    screen::{Passed, Reply, Screen, Screened},
};
use crate::{
    error::Cause,
    model::{CloseFrame, Direction, MessageKind, Oversize, Payload},
};

/// What becomes of the bytes of the current message.
#[derive(Debug)]
enum Fate {
    /// They go on as they come.
    Pass,
    /// They go nowhere.
    Drop,
    /// They are put together.
    Gather(Payload),
}

/// Why no more is taken.
#[derive(Debug)]
enum Halt {
    /// A message is being looked at.
    Asked,
    /// The direction has ended.
    Over,
}

/// What the direction ends with.
#[derive(Debug)]
pub(super) enum Ended {
    /// A message that breaks a rule.
    Violation(Violation),
    /// Somebody's word.
    Closed(Cause, CloseFrame),
}

/// What is ready to go out.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Frames for the other leg; the last one perhaps not to its end.
    pub(super) out: Vec<u8>,
    /// The last place in `out` between two frames.
    pub(super) boundary: Option<usize>,
    /// The last place in `out` between two messages.
    pub(super) gap: Option<usize>,
    /// Messages that end in `out`.
    pub(super) messages: u64,
    /// Whole frames for the leg that sends.
    pub(super) replies: Vec<u8>,
    /// Messages in `replies`.
    pub(super) replied: u64,
    /// The direction ends behind that.
    pub(super) ended: Option<Ended>,
}

/// The state of one direction.
pub(super) struct Sieve {
    direction: Direction,
    /// The frames that come in are masked.
    masked: bool,
    /// Who we are towards the leg that they go to, and towards the one that they come from.
    to: End,
    from: End,
    fate: Fate,
    /// A message is open: what comes next is its continuation.
    open: bool,
    /// Payload of the current frame that is still to come.
    left: u64,
    /// It ends its message.
    last: bool,
    /// Its key, and the same turned to the next byte.
    key: Option<[u8; 4]>,
    turned: [u8; 4],
    halt: Option<Halt>,
    /// Frames that came behind a message that is being looked at.
    backlog: Vec<u8>,
}

impl Sieve {
    /// For a stream at its beginning, or one that `pump` is in the midst of: what is left of its current message goes on
    /// as it comes. `from` and `to` say who we are towards its two ends.
    pub(super) fn new(direction: Direction, (from, to): (End, End), pump: Option<&Pump>) -> Self {
        Self {
            direction,
            // Where both are ours, masks are off already.
            masked: from == End::Server && to == End::Client,
            to,
            from,
            fate: Fate::Pass,
            open: pump.is_some_and(|pump| !pump.at_gap()),
            left: pump.map_or(0, Pump::remaining),
            last: pump.is_some_and(Pump::is_last),
            key: None,
            turned: [0; 4],
            halt: None,
            backlog: Vec::new(),
        }
    }

    /// Whether a message is being looked at.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.halt, Some(Halt::Asked))
    }

    /// Whether what went out ends with a whole frame.
    pub(super) const fn at_boundary(&self) -> bool {
        !matches!(self.fate, Fate::Pass) || self.left == 0
    }

    /// Whether what went out ends with a whole message.
    pub(super) const fn at_gap(&self) -> bool {
        !matches!(self.fate, Fate::Pass) || !self.open
    }

    /// Whether it stands between two messages, so that the stream can do without it.
    pub(super) const fn is_idle(&self) -> bool {
        !self.open && self.halt.is_none()
    }

    /// Takes what came next.
    pub(super) fn take(&mut self, bytes: &[u8], screen: &dyn Screen, reply: &Reply) -> Sifted {
        let mut sifted = Sifted::default();
        if self.at_boundary() {
            sifted.boundary = Some(0);
        }
        if self.at_gap() {
            sifted.gap = Some(0);
        }
        self.sift(bytes, screen, reply, &mut sifted);
        sifted
    }

    /// Learns what becomes of the message that was looked at, and goes on with what came behind it.
    pub(super) fn resume(&mut self, screened: Screened, screen: &dyn Screen, reply: &Reply) -> Sifted {
        let mut sifted = Sifted { boundary: Some(0), gap: Some(0), ..Sifted::default() };
        if self.is_busy() {
            self.halt = None;
            self.carry_out(screened, None, &mut sifted);
            let backlog = std::mem::take(&mut self.backlog);
            self.sift(&backlog, screen, reply, &mut sifted);
        }
        sifted
    }

    /// Lets go of everything: nobody takes it any more.
    pub(super) fn stop(&mut self) {
        self.halt = Some(Halt::Over);
        self.fate = Fate::Drop;
        self.backlog = Vec::new();
    }

    fn sift(&mut self, mut bytes: &[u8], screen: &dyn Screen, reply: &Reply, sifted: &mut Sifted) {
        while !bytes.is_empty() {
            match self.halt {
                Some(Halt::Asked) => return self.backlog.extend_from_slice(bytes),
                Some(Halt::Over) => return,
                None => {}
            }
            let done = if self.left > 0 {
                let length = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.payload(&bytes[..length], sifted);
                bytes = &bytes[length..];
                self.left == 0
            } else {
                // Headers come whole, and have been judged.
                let expect = Expect { masked: self.masked, reserved: true, continuing: self.open };
                let Ok(Some(header)) = Header::parse(bytes, expect) else {
                    debug_assert!(false, "the pump lets whole headers pass");
                    return self.end(Ended::Violation(Violation::Continuation), sifted);
                };
                if header.opcode.is_control() {
                    let length = header.size + usize::try_from(header.payload).unwrap_or_default();
                    sifted.out.extend_from_slice(&bytes[..length]);
                    bytes = &bytes[length..];
                    // Nothing of ours may follow a Close.
                    if header.opcode != Opcode::Close {
                        sifted.boundary = Some(sifted.out.len());
                        sifted.gap = if self.at_gap() { sifted.boundary } else { sifted.gap };
                    }
                    continue;
                }
                if let Err(ended) = self.begin(&header, screen, sifted) {
                    return self.end(ended, sifted);
                }
                if matches!(self.fate, Fate::Pass) {
                    sifted.out.extend_from_slice(&bytes[..header.size]);
                }
                bytes = &bytes[header.size..];
                self.left == 0
            };
            if done && let Err(ended) = self.frame_over(screen, reply, sifted) {
                return self.end(ended, sifted);
            }
        }
    }

    /// Decides what becomes of a data frame's bytes.
    fn begin(&mut self, header: &Header, screen: &dyn Screen, sifted: &mut Sifted) -> Result<(), Ended> {
        if !self.open {
            let kind = if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
            self.fate = match screen.wants(self.direction, kind) {
                None => Fate::Pass,
                Some(_) => Fate::Gather(Payload { kind, bytes: Vec::new() }),
            };
        }
        let to = self.to;
        if let Fate::Gather(message) = &mut self.fate {
            let kind = message.kind;
            let whole = (message.bytes.len() as u64).saturating_add(header.payload);
            // Interest may have been taken back meanwhile.
            if screen.wants(self.direction, kind).is_none_or(|most| whole > u64::from(most)) {
                match screen.oversize(self.direction, kind) {
                    Oversize::Close => return Err(Ended::Violation(Violation::MessageTooBig)),
                    Oversize::Drop => self.fate = Fate::Drop,
                    Oversize::Pass => {
                        if self.open {
                            // Its first frames were put together; the rest follows as it comes.
                            put_data(&mut sifted.out, opcode(kind), false, &message.bytes, key_to(to));
                        }
                        self.fate = Fate::Pass;
                    }
                }
            } else if header.fin && !self.open {
                // All of it is announced; what a peer only announces takes no memory of ours.
                message.bytes.reserve(usize::try_from(header.payload).unwrap_or_default().min(1 << 16));
            }
        }
        self.open = true;
        self.left = header.payload;
        self.last = header.fin;
        self.key = header.mask;
        self.turned = header.mask.unwrap_or_default();
        Ok(())
    }

    fn payload(&mut self, bytes: &[u8], sifted: &mut Sifted) {
        match &mut self.fate {
            Fate::Pass => sifted.out.extend_from_slice(bytes),
            Fate::Drop => {}
            Fate::Gather(message) => {
                let begin = message.bytes.len();
                message.bytes.extend_from_slice(bytes);
                if self.masked {
                    mask::apply(&mut message.bytes, begin, begin, bytes.len(), self.turned);
                    self.turned = mask::rotate(self.turned, bytes.len());
                }
            }
        }
        self.left -= bytes.len() as u64;
    }

    /// A data frame is through, and perhaps its message.
    fn frame_over(&mut self, screen: &dyn Screen, reply: &Reply, sifted: &mut Sifted) -> Result<(), Ended> {
        let passes = matches!(self.fate, Fate::Pass);
        if passes {
            sifted.boundary = Some(sifted.out.len());
        }
        if !self.last {
            return Ok(());
        }
        self.open = false;
        if passes {
            sifted.gap = sifted.boundary;
            sifted.messages += 1;
        }
        let Fate::Gather(message) = std::mem::replace(&mut self.fate, Fate::Pass) else { return Ok(()) };
        if message.kind == MessageKind::Text && std::str::from_utf8(&message.bytes).is_err() {
            return Err(Ended::Violation(Violation::Text));
        }
        match screen.look(self.direction, message, reply) {
            // Its sender's key may be used once more for its sender's bytes.
            Some(screened) => self.carry_out(screened, self.key, sifted),
            None => self.halt = Some(Halt::Asked),
        }
        Ok(())
    }

    fn carry_out(&mut self, screened: Screened, key: Option<[u8; 4]>, sifted: &mut Sifted) {
        for passed in screened.passed {
            let (message, mask) = match passed {
                Passed::Unchanged(message) => (message, key.or_else(|| key_to(self.to))),
                Passed::Made(message) => (message, key_to(self.to)),
            };
            put_data(&mut sifted.out, opcode(message.kind), true, &message.bytes, mask);
            sifted.messages += 1;
        }
        sifted.boundary = Some(sifted.out.len());
        sifted.gap = sifted.boundary;
        for message in screened.replies {
            put_data(&mut sifted.replies, opcode(message.kind), true, &message.bytes, key_to(self.from));
            sifted.replied += 1;
        }
        if let Some((cause, frame)) = screened.close {
            self.end(Ended::Closed(cause, frame), sifted);
        }
    }

    fn end(&mut self, ended: Ended, sifted: &mut Sifted) {
        self.stop();
        sifted.ended = Some(ended);
    }
}

/// A key for a frame of ours, where it is expected.
fn key_to(end: End) -> Option<[u8; 4]> {
    (end == End::Client).then(mask::random_key)
}

const fn opcode(kind: MessageKind) -> Opcode {
    match kind {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}
