//! What a direction must make of a stream, said by a program that has the whole stream before it, keeps every frame and
//! writes each anew with the oracle's codec.

use std::ops::RangeInclusive;

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, OpCode},
};

use super::frame::{Judged, judge};
use crate::relay::{
    frame::{Expect, Violation},
    pump::{Orders, ping_payload},
};

/// How the direction is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) masked: bool,
    pub(super) strip: bool,
    pub(super) extensions: bool,
    pub(super) orders: Orders,
    /// Zero is none, as in the configuration.
    pub(super) message: u64,
    pub(super) fragments: u32,
}

/// Why and when the direction ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// Bytes of the input that it takes to know.
    pub(super) decided: usize,
    /// The code of a good Close, 1005 for none.
    pub(super) close: Option<u16>,
    /// Otherwise one of these.
    pub(super) any_of: Vec<Violation>,
}

/// A frame of which at least the header was there; a control frame only if it was whole. Places are counts of bytes of
/// the input.
#[derive(Debug)]
struct Frame {
    header_end: usize,
    /// Where it ends, or would end.
    end: usize,
    /// Bytes of its payload that the stream has.
    there: usize,
    /// Where its bytes for the other leg end.
    out_end: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Data { fin: bool },
    Ping(Vec<u8>),
    Pong,
    Close,
}

impl Kind {
    const fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. })
    }
}

/// The whole truth about a stream.
pub(super) struct Reference {
    /// All bytes for the other leg.
    pub(super) out: Vec<u8>,
    pub(super) stop: Option<Ending>,
    answer: bool,
    frames: Vec<Frame>,
}

impl Reference {
    pub(super) fn of(stream: &[u8], rules: &Rules) -> Self {
        let mut all = Self { out: Vec::new(), stop: None, answer: rules.orders.answer, frames: Vec::new() };
        let (mut at, mut message, mut fragments) = (0, 0_u128, 0_u32);
        while at < stream.len() && all.stop.is_none() {
            let expect = Expect { masked: rules.masked, reserved: rules.extensions, continuing: fragments > 0 };
            match judge(&stream[at..], expect) {
                Judged::More => break,
                Judged::Bad { any_of, decided } => {
                    all.stop = Some(Ending { decided: at + decided, close: None, any_of });
                }
                Judged::Good { header, payload, size } => {
                    let header_end = at + size;
                    if let OpCode::Data(_) = header.opcode {
                        message += u128::from(payload);
                        fragments += 1;
                        let mut any_of = Vec::new();
                        if rules.message != 0 && message > u128::from(rules.message) {
                            any_of.push(Violation::MessageTooBig);
                        }
                        if rules.fragments != 0 && fragments > rules.fragments {
                            any_of.push(Violation::TooManyFragments);
                        }
                        if !any_of.is_empty() {
                            all.stop = Some(Ending { decided: header_end, close: None, any_of });
                            break;
                        }
                        if header.is_final {
                            (message, fragments) = (0, 0);
                        }
                    }
                    let length = usize::try_from(payload).unwrap_or(usize::MAX);
                    at = header_end.saturating_add(length);
                    all.take(&header, header_end, length, &stream[header_end..at.min(stream.len())], rules);
                }
            }
        }
        all
    }

    /// Notes a frame of `length` bytes, of which `there` are in the stream, and what becomes of it.
    fn take(&mut self, header: &FrameHeader, header_end: usize, length: usize, there: &[u8], rules: &Rules) {
        let end = header_end.saturating_add(length);
        let key = header.mask.unwrap_or_default();
        let plain: Vec<u8> = there.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
        let kind = match header.opcode {
            OpCode::Data(_) => Kind::Data { fin: header.is_final },
            OpCode::Control(_) if there.len() < length => return,
            OpCode::Control(Control::Ping) => Kind::Ping(plain.clone()),
            OpCode::Control(Control::Close) => {
                let judged = judge_close(&plain);
                self.stop =
                    Some(Ending { decided: end, close: judged.ok(), any_of: judged.err().into_iter().collect() });
                if judged.is_err() {
                    return;
                }
                Kind::Close
            }
            OpCode::Control(_) => Kind::Pong,
        };
        let passes = match &kind {
            Kind::Data { .. } | Kind::Close => true,
            Kind::Ping(_) => !rules.orders.answer,
            Kind::Pong => !rules.orders.answer && !answers_ours(&plain, rules.orders.pings),
        };
        if passes {
            let mask = header.mask.filter(|_| !rules.strip);
            FrameHeader { mask, ..header.clone() }.format(length as u64, &mut self.out).unwrap();
            self.out.extend_from_slice(if rules.strip { &plain } else { there });
        }
        self.frames.push(Frame { header_end, end, there: there.len(), out_end: self.out.len(), kind });
    }

    /// The frames whose header is among the first `read` bytes.
    fn begun(&self, read: usize) -> &[Frame] {
        &self.frames[..self.frames.partition_point(|frame| frame.header_end <= read)]
    }

    /// The frames that end among the first `read` bytes.
    fn ended(&self, read: usize) -> &[Frame] {
        &self.frames[..self.frames.partition_point(|frame| frame.end <= read)]
    }

    /// The frames that end in this part of the input.
    fn ending(&self, read: &RangeInclusive<usize>) -> &[Frame] {
        &self.ended(*read.end())[self.ended(read.start() - 1).len()..]
    }

    /// How many bytes are out once `read` bytes are in.
    pub(super) fn out_by(&self, read: usize) -> usize {
        // A control frame passes once it is whole.
        let passes = |frame: &&Frame| frame.kind.is_data() || frame.end <= read;
        self.begun(read).iter().rfind(passes).map_or(0, |frame| {
            let payload_read = frame.there.min(read - frame.header_end);
            frame.out_end - (frame.there - payload_read)
        })
    }

    /// The last place among the first `read` bytes, as a place of the output, where a frame of ours may stand; none if
    /// it is before `from`.
    pub(super) fn boundary(&self, from: usize, read: usize) -> Option<usize> {
        let last = self.ended(read).iter().rfind(|frame| frame.kind != Kind::Close);
        Some(last.map_or(0, |frame| frame.out_end)).filter(|place| *place >= from)
    }

    /// Whether the output ends with a whole frame once `read` bytes are in.
    pub(super) fn at_boundary(&self, read: usize) -> bool {
        self.begun(read).iter().rfind(|frame| frame.kind.is_data()).is_none_or(|frame| frame.end <= read)
    }

    /// How many messages end in this part of the input.
    pub(super) fn messages(&self, read: &RangeInclusive<usize>) -> u64 {
        self.ending(read).iter().filter(|frame| frame.kind == Kind::Data { fin: true }).count() as u64
    }

    /// Whether a data frame, or a piece of one, is passed on when the bytes behind `from` up to `to` come.
    pub(super) fn data(&self, from: usize, to: usize) -> bool {
        self.begun(to)[self.ended(from).len()..].iter().any(|frame| frame.kind.is_data())
    }

    /// The newest Ping that ends in this part of the input, if we are to answer it.
    pub(super) fn ping(&self, read: &RangeInclusive<usize>) -> Option<&[u8]> {
        self.ending(read).iter().rev().filter(|_| self.answer).find_map(|frame| match &frame.kind {
            Kind::Ping(payload) => Some(&payload[..]),
            _ => None,
        })
    }
}

/// Which Closes are accepted: the oracle's opinion, and 1014, which has been registered since.
fn judge_close(payload: &[u8]) -> Result<u16, Violation> {
    match payload {
        [] => Ok(1005),
        [_] => Err(Violation::ClosePayload),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() && code != 1014 {
                return Err(Violation::ClosePayload);
            }
            std::str::from_utf8(reason).map_or(Err(Violation::CloseReason), |_| Ok(code))
        }
    }
}

fn answers_ours(pong: &[u8], pings: u32) -> bool {
    (1..=pings).any(|number| ping_payload(number) == pong)
}
