//! The `chunked` transfer coding (RFC 9112 §7.1), without white space, without sizes that overflow, and with bounded
//! extensions and trailers.

use memchr::memchr;

use super::{
    Bounds, Violation,
    line::{self, Section},
};
use crate::error::Cause;

/// Most digits of a chunk's size.
const MAX_DIGITS: usize = 16;

/// A chunk's first line.
pub(super) struct Size {
    /// Its length with its end.
    pub(super) end: usize,
    /// How many bytes follow; 0 is the last chunk.
    pub(super) bytes: u64,
    /// Bytes of extensions in this body so far.
    pub(super) extensions: usize,
}

fn bad(what: impl Into<String>) -> Violation {
    Violation::new(Cause::BadBody, what)
}

/// Reads a chunk's first line; none if it is not complete. `extensions` is how many bytes of them were there before.
///
/// # Errors
/// It is not a size in hexadecimal digits, perhaps followed by extensions, or holds more of those than `bounds` allow.
pub(super) fn size(
    bytes: &[u8],
    searched: &mut usize,
    extensions: usize,
    bounds: &Bounds,
) -> Result<Option<Size>, Violation> {
    let left = bounds.chunk_extensions.saturating_sub(extensions);
    let most = MAX_DIGITS + left + 2;
    let within = bytes.get(..most).unwrap_or(bytes);
    let Some(found) = memchr(b'\n', within.get(*searched..).unwrap_or_default()) else {
        *searched = within.len();
        return if bytes.len() < most { Ok(None) } else { Err(bad("the line of a chunk's size does not end")) };
    };
    let lf = *searched + found;
    let Some((b'\r', text)) = within.get(..lf).and_then(|line| line.split_last()) else {
        return Err(bad("the line of a chunk's size ends with LF without CR"));
    };
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = text.split_at(digits);
    let size = std::str::from_utf8(digits).ok().and_then(|digits| i64::from_str_radix(digits, 16).ok());
    let Some(size) = size.and_then(|size| u64::try_from(size).ok()).filter(|_| digits.len() <= MAX_DIGITS) else {
        return Err(bad(format!("\"{}\" is not the size of a chunk", line::shown(text))));
    };
    match extension.first() {
        None | Some(b';') => {}
        Some(byte) => return Err(bad(format!("the size of a chunk is followed by {}", line::described(*byte)))),
    }
    if let Some(byte) = extension.iter().copied().find(|byte| !line::in_value(*byte)) {
        return Err(bad(format!("the extension of a chunk holds {}", line::described(byte))));
    }
    if extension.len() > left {
        let most = bounds.chunk_extensions;
        return Err(bad(format!("the chunk extensions of one body are longer than {most} bytes")));
    }
    Ok(Some(Size { end: lf + 1, bytes: size, extensions: extensions + extension.len() }))
}

/// Whether a chunk is followed by its line end; false if that is not complete.
///
/// # Errors
/// Something else follows.
pub(super) fn ends(bytes: &[u8]) -> Result<bool, Violation> {
    match bytes {
        [b'\r'] => Ok(false),
        [b'\r', b'\n', ..] => Ok(true),
        _ => Err(bad("a chunk is longer than its size")),
    }
}

/// Reads the trailers to their empty line; gives the length of the section, or none if it is not complete.
///
/// # Errors
/// They break the rules for fields, or name one that decides where a message goes or ends (RFC 9110 §6.5.1).
pub(super) fn trailers(
    section: &mut Section,
    bytes: &[u8],
    searched: &mut usize,
    bounds: &Bounds,
) -> Result<Option<usize>, Violation> {
    let in_body = |violation: Violation| bad(format!("in the trailers: {}", violation.what));
    while let Some(range) = section.next(bytes, searched, bounds.head).map_err(in_body)? {
        let text = bytes.get(range).unwrap_or_default();
        if text.is_empty() {
            return Ok(Some(section.end()));
        }
        let mut fields = section.lines - 1;
        line::count(&mut fields, bounds).map_err(in_body)?;
        let (name, _) = line::field(text).map_err(in_body)?;
        let forbidden: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
        if forbidden.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
            return Err(bad(format!("{} stands in the trailers", line::shown(name))));
        }
    }
    Ok(None)
}
