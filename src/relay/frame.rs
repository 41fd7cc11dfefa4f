//! Frame headers (RFC 6455 §5.2): parsed, checked and, for our own control frames, written.
//!
//! A header is judged as soon as the bytes that decide are there and before anything of it is passed on, so that the
//! other leg never sees half a header in front of a violation. Payloads are not looked at here.

use super::mask;
use crate::error::Cause;

/// Longest payload of a control frame (RFC 6455 §5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// Longest control frame as received: two bytes, a mask, the payload.
pub(super) const MAX_CONTROL_FRAME: usize = 2 + 4 + MAX_CONTROL;

/// Bytes of the longest header: two, a length of eight, a mask.
pub(super) const MAX_HEADER: usize = 2 + 8 + 4;

/// The opcodes of RFC 6455 §11.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    /// Goes on with the message of an earlier frame.
    Continuation = 0x0,
    /// First frame of a text message.
    Text = 0x1,
    /// First frame of a binary message.
    Binary = 0x2,
    /// The last frame of a direction.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping, or stands for itself.
    Pong = 0xa,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of this kind may stand inside a fragmented message (RFC 6455 §5.5).
    pub(super) const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// What a peer did that ends its session. Its text is [`Violation::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    Reserved,
    Opcode,
    Unmasked,
    Masked,
    Length,
    Control,
    Continuation,
    Interrupted,
    ClosePayload,
    CloseReason,
    MessageTooBig,
    TooManyFragments,
    Text,
}

impl Violation {
    /// The row of the error table: label and close code.
    pub(super) const fn cause(self) -> Cause {
        match self {
            Self::CloseReason | Self::Text => Cause::InvalidUtf8,
            Self::MessageTooBig => Cause::MessageTooBig,
            Self::TooManyFragments => Cause::TooManyFragments,
            _ => Cause::Protocol,
        }
    }

    /// The text of the Close that the violator gets.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Reserved => "reserved bits without an extension",
            Self::Opcode => "reserved opcode",
            Self::Unmasked => "frames of this side must be masked",
            Self::Masked => "frames of this side must not be masked",
            Self::Length => "payload length not in its shortest form",
            Self::Control => "fragmented or long control frame",
            Self::Continuation => "continuation of no message",
            Self::Interrupted => "new message inside another",
            Self::ClosePayload => "invalid close code or payload",
            Self::CloseReason => "close reason is not UTF-8",
            Self::MessageTooBig => "message too big",
            Self::TooManyFragments => "too many fragments",
            Self::Text => "text message is not UTF-8",
        }
    }
}

/// What the next header of a direction must look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect {
    /// The sender dialled us, so it masks; one that we dialled must not (RFC 6455 §5.1).
    pub(super) masked: bool,
    /// An extension was negotiated end to end, so its bits are not ours to judge.
    pub(super) reserved: bool,
    /// A fragmented message is open.
    pub(super) continuing: bool,
}

/// A frame header, complete and acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Last frame of its message.
    pub(super) fin: bool,
    /// What it carries.
    pub(super) opcode: Opcode,
    /// Masking key, from frames of a client.
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload that follow.
    pub(super) payload: u64,
    /// Bytes of the header itself, 2 to 14.
    pub(super) size: usize,
}

impl Header {
    /// Reads the header that `bytes` begin with; `None` if more bytes are needed.
    ///
    /// # Errors
    /// The [`Violation`], as soon as the bytes that show it are there.
    pub(super) fn parse(bytes: &[u8], expect: Expect) -> Result<Option<Self>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(Violation::Opcode)?;
        if first & 0x70 != 0 && !expect.reserved {
            return Err(Violation::Reserved);
        }
        let masked = second & 0x80 != 0;
        if masked != expect.masked {
            return Err(if masked { Violation::Masked } else { Violation::Unmasked });
        }
        let (fin, short) = (first & 0x80 != 0, second & 0x7f);
        if opcode.is_control() {
            if !fin || usize::from(short) > MAX_CONTROL {
                return Err(Violation::Control);
            }
        } else if (opcode == Opcode::Continuation) != expect.continuing {
            return Err(if expect.continuing { Violation::Interrupted } else { Violation::Continuation });
        }
        let (payload, extended) = match short {
            126 => match rest.first_chunk() {
                Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(bytes) => (u64::from_be_bytes(*bytes), 8),
                None => return Ok(None),
            },
            short => (u64::from(short), 0),
        };
        // The shortest form must be used, and the top bit of the longest is zero (RFC 6455 §5.2).
        if (extended == 2 && payload < 126) || (extended == 8 && (payload < 1 << 16 || payload >> 63 != 0)) {
            return Err(Violation::Length);
        }
        let mut size = 2 + extended;
        let mut mask = None;
        if masked {
            let Some(key) = rest.get(extended..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
            mask = Some(*key);
            size += 4;
        }
        Ok(Some(Self { fin, opcode, mask, payload, size }))
    }
}

/// Appends a control frame of ours, masked where the peer expects that. Payload over [`MAX_CONTROL`] is cut off.
pub(super) fn put_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    // At most 125, so it always fits.
    let length = u8::try_from(payload.len()).unwrap_or(0);
    out.push(0x80 | opcode as u8);
    match mask {
        None => {
            out.push(length);
            out.extend_from_slice(payload);
        }
        Some(key) => {
            out.push(0x80 | length);
            out.extend_from_slice(&key);
            out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
}

/// Appends a data frame of ours, masked where the peer expects that.
pub(super) fn put_data(out: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8], mask: Option<[u8; 4]>) {
    out.reserve(MAX_HEADER + payload.len());
    out.push(if fin { 0x80 } else { 0 } | opcode as u8);
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => out.push(masked + short),
        (_, Ok(middle)) => {
            out.push(masked + 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked + 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
    let begin = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(out, begin, begin, length, key);
    }
}

#[cfg(test)]
mod tests;
