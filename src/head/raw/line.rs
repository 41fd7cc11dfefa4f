//! Lines that end with CR LF, and the field lines among them (RFC 9112 §2.2, §5).

use std::ops::Range;

use memchr::memchr;

use super::{Bounds, Violation};
use crate::error::Cause;

/// Most bytes of a peer that a message repeats.
const SHOWN: usize = 40;

/// Which bytes of a value are allowed: visible ones, spaces, tabs, and those that are not ASCII (RFC 9110 §5.5).
const IN_VALUE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte, 0x09 | 0x20..=0x7e | 0x80..=0xff);
        byte += 1;
    }
    table
};

/// Which bytes a token is made of (RFC 9110 §5.6.2).
const IN_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        // The cast loses nothing: the loop ends at 255.
        #[allow(clippy::cast_possible_truncation)]
        let char = byte as u8;
        table[byte] = char.is_ascii_alphanumeric()
            || matches!(
                char,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

pub(super) fn in_token(byte: u8) -> bool {
    IN_TOKEN.get(usize::from(byte)).copied().unwrap_or_default()
}

pub(super) fn in_value(byte: u8) -> bool {
    IN_VALUE.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Lines up to an empty one: a head, or trailers. Begins where the bytes that are shown to it begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// Where the next line begins.
    start: usize,
    /// Lines so far.
    pub(super) lines: usize,
}

impl Section {
    /// The next line without its end; none if that is not there yet.
    ///
    /// # Errors
    /// Its end is not CR LF, or the section is longer than `most` bytes.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        searched: &mut usize,
        most: usize,
    ) -> Result<Option<Range<usize>>, Violation> {
        let within = bytes.get(..most).unwrap_or(bytes);
        let unsearched = within.get(*searched..).unwrap_or_default();
        let Some(found) = memchr(b'\n', unsearched) else {
            *searched = within.len();
            return if bytes.len() < most {
                Ok(None)
            } else {
                Err(Violation::new(Cause::HeadTooLarge, format!("more than {most} bytes stand before the empty line")))
            };
        };
        let (start, end) = (self.start, *searched + found);
        self.start = end + 1;
        *searched = end + 1;
        self.lines += 1;
        match end.checked_sub(1).filter(|cr| *cr >= start && within.get(*cr) == Some(&b'\r')) {
            Some(cr) => Ok(Some(start..cr)),
            None => Err(bad("it ends with LF without CR").at(self.lines)),
        }
    }

    /// Where the last line that was read ends.
    pub(super) const fn end(&self) -> usize {
        self.start
    }
}

pub(super) fn bad(what: impl Into<String>) -> Violation {
    Violation::new(Cause::BadHead, what)
}

/// Name and value of a field line; the value without the white space around it.
///
/// # Errors
/// It is folded, has no colon, or holds what does not belong there.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let end = line.iter().position(|byte| !in_token(*byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let Some((b':', value)) = rest.split_first().filter(|_| !name.is_empty()) else {
        return Err(misnamed(line));
    };
    if let Some(byte) = value.iter().copied().find(|byte| !in_value(*byte)) {
        // A value may be a secret, so it is not repeated.
        return Err(bad(format!("the value of {} holds {}", shown(name), described(byte))));
    }
    Ok((name, trimmed(value)))
}

/// What is wrong with a line that does not begin with a name and a colon.
fn misnamed(line: &[u8]) -> Violation {
    if let Some(b' ' | b'\t') = line.first() {
        return bad("it begins with white space: a folded line, or one before the first field");
    }
    let Some(name) = memchr(b':', line).and_then(|colon| line.get(..colon)) else {
        return bad("it has no colon");
    };
    match name.iter().copied().find(|byte| !in_token(*byte)) {
        Some(byte) => bad(format!("the name \"{}\" holds {}", shown(name), described(byte))),
        None => bad("nothing stands before the colon"),
    }
}

/// Counts a field line.
///
/// # Errors
/// There are more than the bound allows.
pub(super) fn count(fields: &mut usize, bounds: &Bounds) -> Result<(), Violation> {
    *fields += 1;
    if *fields > bounds.fields {
        return Err(Violation::new(Cause::HeadTooLarge, format!("there are more than {} fields", bounds.fields)));
    }
    Ok(())
}

/// Without the white space around it.
pub(super) fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The beginning of a peer's bytes, as they may stand in a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..SHOWN);
    format!("{}{}", cut.unwrap_or(bytes).escape_ascii(), if cut.is_some() { "..." } else { "" })
}

/// A byte that is out of place.
pub(super) fn described(byte: u8) -> String {
    match byte {
        b' ' => "a space".to_owned(),
        b'\t' => "a tab".to_owned(),
        b'\r' => "a CR that does not end the line".to_owned(),
        0x21..=0x7e => format!("the character {}", char::from(byte)),
        _ => format!("the byte 0x{byte:02x}"),
    }
}
