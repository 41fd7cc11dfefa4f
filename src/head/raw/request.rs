//! A request's head, line by line: what it is, and what follows it (RFC 9112 §3, §6).

use std::ops::Range;

use super::{
    Bounds, MAX_TARGET, Violation,
    line::{self, Section, bad, described, in_token, shown},
};
use crate::{error::Cause, head::target};

/// Longest body that is believed, in bytes; a length beyond it overflows in some reader.
const MAX_LENGTH: u64 = i64::MAX.unsigned_abs();
/// How much of a path is kept for the log, in bytes.
const MAX_PATH_KEPT: usize = 256;

/// What follows a head.
pub(super) enum Body {
    /// So many bytes, perhaps none.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Perhaps frames.
    Upgrade,
}

/// What is known of a head so far.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // what was seen and what was not
pub(super) struct Request {
    section: Section,
    fields: usize,
    /// Where the target stands, from the beginning of the head.
    target: Range<usize>,
    http11: bool,
    /// Scheme and authority of a target in absolute form.
    absolute: Option<(String, String)>,
    host: bool,
    /// The `Host`, where it has to agree with the target.
    host_to_compare: String,
    length: Option<u64>,
    chunked: bool,
    asks_upgrade: bool,
    upgrade: Upgrade,
}

/// What the `Upgrade` fields name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Upgrade {
    /// Nothing, or HTTP/2 only, to which nobody here upgrades.
    #[default]
    Nothing,
    /// Something else.
    Other,
    /// WebSocket.
    WebSocket,
}

/// Refuses what cannot begin a request, at once: a peer that speaks something else may never send a line's end.
pub(super) fn check_first_byte(byte: u8) -> Result<(), Violation> {
    match byte {
        _ if in_token(byte) => Ok(()),
        0x16 => Err(bad("this looks like TLS, and plain HTTP is spoken here")),
        b'\r' | b'\n' => Err(bad("more than an empty line that ends with CR LF stands before it")),
        _ => Err(bad(format!("a request cannot begin with {}", described(byte)))),
    }
}

impl Request {
    /// The path that is asked for, as far as it is known.
    pub(super) fn path(&self, bytes: &[u8]) -> String {
        let target = bytes.get(self.target.clone()).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        String::from_utf8_lossy(path.get(..MAX_PATH_KEPT).unwrap_or(path)).into_owned()
    }

    /// Reads on to the empty line; then gives the length of the head and what follows it.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        searched: &mut usize,
        bounds: &Bounds,
    ) -> Result<Option<(usize, Body)>, Violation> {
        while let Some(range) = self.section.next(bytes, searched, bounds.head)? {
            let text = bytes.get(range).unwrap_or_default();
            let line = self.section.lines;
            if line == 1 {
                self.request_line(text).map_err(|violation| violation.at(line))?;
            } else if text.is_empty() {
                return Ok(Some((self.section.end(), self.body()?)));
            } else {
                line::count(&mut self.fields, bounds)?;
                line::field(text)
                    .and_then(|(name, value)| self.field(name, value))
                    .map_err(|violation| violation.at(line))?;
            }
        }
        Ok(None)
    }

    /// `method SP target SP version`, with single spaces and nothing around them.
    fn request_line(&mut self, text: &[u8]) -> Result<(), Violation> {
        let mut words = text.splitn(3, |byte| *byte == b' ');
        let (method, target, version) = (words.next().unwrap_or_default(), words.next(), words.next());
        if let Some(byte) = method.iter().copied().find(|byte| !in_token(*byte)) {
            return Err(bad(format!("the method \"{}\" holds {}", shown(method), described(byte))));
        }
        let (Some(target), Some(version)) = (target, version) else {
            return Err(bad("it is not a method, a target and a version"));
        };
        self.target = method.len() + 1..method.len() + 1 + target.len();
        self.http11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Violation::new(
                    Cause::HttpVersion,
                    format!("{} is not spoken here", version.escape_ascii()),
                ));
            }
            // Not repeated: it may be the rest of a target that holds a space, and a secret.
            _ => return Err(bad("the target is not followed by one space and a version")),
        };
        if target.len() > MAX_TARGET {
            return Err(Violation::new(Cause::HeadTooLarge, format!("the target is longer than {MAX_TARGET} bytes")));
        }
        self.target(method, target)
    }

    /// The forms of RFC 9112 §3.2, each where it belongs.
    fn target(&mut self, method: &[u8], target: &[u8]) -> Result<(), Violation> {
        if method == b"CONNECT" {
            return Err(bad("CONNECT is for forward proxies, and this is none"));
        }
        match target {
            [b'/', ..] => path_and_query(target),
            b"*" if method == b"OPTIONS" => Ok(()),
            b"*" => Err(bad("the target * belongs to OPTIONS")),
            _ => {
                let Some(colon) = target.windows(3).position(|three| three == b"://") else {
                    return Err(bad("the target is neither a path nor a URI"));
                };
                let (scheme, rest) = target.split_at(colon);
                let known: [&[u8]; 4] = [b"http", b"https", b"ws", b"wss"];
                if !known.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                    return Err(bad(format!("the scheme \"{}\" is not spoken here", shown(scheme))));
                }
                let rest = rest.get(3..).unwrap_or_default();
                let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let authority = rest.get(..end).unwrap_or_default();
                self.absolute = Some((text(scheme).to_ascii_lowercase(), text(authority)));
                path_and_query(rest.get(end..).unwrap_or_default())
            }
        }
    }

    /// Keeps what decides where the request goes and where it ends.
    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Violation> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => {
                if self.host {
                    return Err(Violation::new(Cause::BadHeader, "there is more than one Host header"));
                }
                self.host = true;
                if self.absolute.is_some() {
                    self.host_to_compare = String::from_utf8_lossy(value).into_owned();
                }
            }
            7 if is("upgrade") => {
                for protocol in list(value) {
                    let named = if protocol.eq_ignore_ascii_case(b"websocket") {
                        Upgrade::WebSocket
                    } else if protocol.eq_ignore_ascii_case(b"h2c") || protocol.is_empty() {
                        Upgrade::Nothing
                    } else {
                        Upgrade::Other
                    };
                    if named > self.upgrade {
                        self.upgrade = named;
                    }
                }
            }
            10 if is("connection") => {
                self.asks_upgrade |= list(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(bad("there is more than one Content-Length"));
                }
                let digits = Some(value).filter(|value| value.iter().all(u8::is_ascii_digit));
                let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
                let length = digits.and_then(|digits| digits.parse().ok()).filter(|length| *length <= MAX_LENGTH);
                let Some(length) = length else {
                    return Err(bad(format!("\"{}\" is not a Content-Length", shown(value))));
                };
                self.length = Some(length);
            }
            17 if is("transfer-encoding") => {
                if self.chunked {
                    return Err(bad("there is more than one Transfer-Encoding"));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Violation::new(
                        Cause::TransferCoding,
                        format!("the Transfer-Encoding \"{}\" is not chunked", shown(value)),
                    ));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What follows, by all that was said.
    fn body(&self) -> Result<Body, Violation> {
        if self.chunked && !self.http11 {
            return Err(bad("Transfer-Encoding does not belong in HTTP/1.0"));
        }
        if self.chunked && self.length.is_some() {
            return Err(bad("Content-Length and Transfer-Encoding exclude each other"));
        }
        if self.http11 && !self.host {
            return Err(Violation::new(Cause::BadHeader, "the Host header is missing"));
        }
        if let Some((scheme, authority)) = &self.absolute {
            let host = Some(self.host_to_compare.as_str()).filter(|_| self.host);
            target::check_absolute(scheme, authority, host)
                .map_err(|refusal| Violation::new(refusal.cause, refusal.reason))?;
        }
        let upgrades = self.http11
            && match self.upgrade {
                Upgrade::Nothing => false,
                Upgrade::Other => self.asks_upgrade,
                // Whether it asks correctly is decided later; until then it is one.
                Upgrade::WebSocket => true,
            };
        if upgrades {
            return if self.chunked || self.length.is_some_and(|length| length > 0) {
                Err(Violation::new(Cause::BadUpgrade, "a request for an upgrade has no body"))
            } else {
                Ok(Body::Upgrade)
            };
        }
        Ok(if self.chunked { Body::Chunked } else { Body::Length(self.length.unwrap_or(0)) })
    }
}

/// Path and query, in the characters that [`http::Uri`] takes; either may be absent.
fn path_and_query(text: &[u8]) -> Result<(), Violation> {
    let query = text.iter().position(|byte| *byte == b'?').unwrap_or(text.len());
    let wrong = |(at, byte): (usize, u8)| match byte {
        0x21 | 0x24..=0x3b | 0x3d | b'?' | 0x40..=0x5f | 0x61..=0x7e | 0x80.. => false,
        b'"' => at >= query,
        b'`' => at < query,
        _ => true,
    };
    if let Some((at, byte)) = text.iter().copied().enumerate().find(|found| wrong(*found)) {
        let part = if at < query { "path" } else { "query" };
        return Err(bad(format!("the {part} holds {}, which must be percent-encoded", described(byte))));
    }
    if std::str::from_utf8(text).is_err() {
        return Err(bad("the target is not UTF-8"));
    }
    Ok(())
}

/// The elements of a list; quotes mean nothing here, so that nothing hides in them.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(line::trimmed)
}
