//! The bytes of an HTTP/1 connection before anything else reads them: where each request ends, and whether any reader
//! could see it end elsewhere.
//!
//! Pure and without I/O: [`Scanner::scan`] is shown bytes and says how many of them are judged and may be passed on.
//! Every request is judged, also the later ones of a kept connection, so it follows bodies to their ends. What two
//! programs could read in two ways (request smuggling) is a [`Violation`], which ends the connection: nothing of that head
//! and nothing behind it is passed on. The verdict depends on the bytes alone, not on the pieces they come in.
//!
//! Strict is RFC 9112 without any leniency it allows, and more: lines end with CR LF; one empty line at most stands before
//! a request; a field line has a name made of token characters, a colon right behind it, and a value without control
//! characters, and is not folded; the version is HTTP/1.1 or HTTP/1.0; `Host` stands once; a body has one `Content-Length`
//! of digits or a `Transfer-Encoding` that is `chunked` and nothing else, and never both; chunk sizes are digits, their
//! lines end with CR LF.
//!
//! Behind the head of an upgrade request everything passes unjudged, for it may be frames. If the upgrade is refused, the
//! connection must end with the answer, because bytes behind it cannot be told from a request.

mod chunked;
mod line;
mod request;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

use std::fmt;

use self::{
    chunked::Size,
    line::Section,
    request::{Body, Request},
};
use crate::{error::Cause, model::Refusal};

/// What a client that speaks HTTP/2 by prior knowledge sends first (RFC 9113 §3.4).
pub const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest request target, in bytes: what [`http::Uri`] can hold.
pub const MAX_TARGET: usize = 65_534;

/// How much a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Largest head, from its first byte to its empty line, in bytes; also largest section of trailers.
    pub head: usize,
    /// Most field lines of a head, and of a section of trailers.
    pub fields: usize,
    /// Most bytes of chunk extensions in one body.
    pub chunk_extensions: usize,
    /// Whether a connection may begin with [`HTTP2_PREFACE`]; everything passes unjudged then.
    pub http2: bool,
}

/// Which part of the connection comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A head, of which nothing has been seen.
    Between,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// What is not judged: frames behind an upgrade request, or HTTP/2.
    Through,
    /// Nothing: a violation was found.
    Refused,
}

/// What was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Row of the table in `error.rs`.
    pub cause: Cause,
    /// The line of the head, from 1; none in a body.
    pub line: Option<usize>,
    /// What is wrong with it; bytes of the peer are escaped.
    pub what: String,
    /// The path that was asked for, without its query; empty where it is not known.
    pub path: String,
}

impl Violation {
    fn new(cause: Cause, what: impl Into<String>) -> Self {
        Self { cause, line: None, what: what.into(), path: String::new() }
    }

    /// The same, found in a line.
    fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// As it is told to the client.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        Refusal::because(self.cause, self.to_string())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} of the request: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Violation {}

/// What [`Scanner::scan`] has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Scan {
    /// How many of the bytes may be passed on; the others are to be shown again, with more behind them.
    pub passed: usize,
    /// What is wrong with what comes then.
    pub violation: Option<Violation>,
}

/// The judge of one connection.
#[derive(Clone, Debug)]
pub struct Scanner {
    bounds: Bounds,
    state: State,
    /// Heads passed on.
    heads: u64,
    /// Where in the bytes that were not passed on the search for a line's end goes on.
    searched: usize,
}

#[derive(Clone, Debug)]
enum State {
    /// Before a request; whether its empty line has been.
    Between {
        blank: bool,
    },
    Head(Request),
    /// So many bytes of a body of known length.
    Length(u64),
    /// A chunk's size.
    ChunkSize {
        extensions: usize,
    },
    /// So many bytes of a chunk.
    ChunkData {
        left: u64,
        extensions: usize,
    },
    /// The line end behind a chunk.
    ChunkEnd {
        extensions: usize,
    },
    Trailers(Section),
    Through,
    Refused,
}

impl Scanner {
    /// For a connection that begins.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, state: State::Between { blank: false }, heads: 0, searched: 0 }
    }

    /// How many heads were passed on.
    #[must_use]
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// What comes next.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self.state {
            State::Between { .. } => Place::Between,
            State::Head(_) => Place::Head,
            State::Length(_)
            | State::ChunkSize { .. }
            | State::ChunkData { .. }
            | State::ChunkEnd { .. }
            | State::Trailers(_) => Place::Body,
            State::Through => Place::Through,
            State::Refused => Place::Refused,
        }
    }

    /// The path that the head under way asks for, without its query; empty where it is not known yet. `bytes` are those
    /// that were not passed on.
    #[must_use]
    pub fn path(&self, bytes: &[u8]) -> String {
        match &self.state {
            State::Head(request) => request.path(bytes),
            _ => String::new(),
        }
    }

    /// Judges what comes: all bytes that were not passed on before, and what was received since.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            match self.step(rest) {
                Ok(0) => return Scan { passed, violation: None },
                Ok(step) => {
                    passed += step;
                    self.searched = 0;
                }
                Err(violation) => {
                    self.state = State::Refused;
                    return Scan { passed, violation: Some(violation) };
                }
            }
        }
    }

    /// Judges the next part; 0 if it is not complete.
    fn step(&mut self, rest: &[u8]) -> Result<usize, Violation> {
        let Some(first) = rest.first() else { return Ok(0) };
        let searched = &mut self.searched;
        match &mut self.state {
            State::Between { blank } => {
                if self.bounds.http2 && self.heads == 0 && !*blank {
                    if rest.starts_with(HTTP2_PREFACE) {
                        self.state = State::Through;
                        return Ok(rest.len());
                    }
                    if HTTP2_PREFACE.starts_with(rest) {
                        return Ok(0);
                    }
                }
                match (first, rest.get(1)) {
                    (b'\r', None) => return Ok(0),
                    (b'\r', Some(b'\n')) if !*blank => {
                        *blank = true;
                        return Ok(2);
                    }
                    _ => {}
                }
                request::check_first_byte(*first)?;
                self.state = State::Head(Request::default());
                self.step(rest)
            }
            State::Head(request) => {
                let judged = request.read(rest, searched, &self.bounds);
                let judged = judged.map_err(|violation| Violation { path: request.path(rest), ..violation })?;
                let Some((end, body)) = judged else { return Ok(0) };
                self.heads += 1;
                self.state = match body {
                    Body::Length(length) => State::of_length(length),
                    Body::Chunked => State::ChunkSize { extensions: 0 },
                    Body::Upgrade => State::Through,
                };
                Ok(end)
            }
            State::Length(left) => {
                let taken = at_most(rest, *left);
                self.state = State::of_length(*left - taken as u64);
                Ok(taken)
            }
            State::ChunkSize { extensions } => {
                let size = chunked::size(rest, searched, *extensions, &self.bounds)?;
                let Some(Size { end, bytes, extensions }) = size else { return Ok(0) };
                self.state = match bytes {
                    0 => State::Trailers(Section::default()),
                    left => State::ChunkData { left, extensions },
                };
                Ok(end)
            }
            State::ChunkData { left, extensions } => {
                let taken = at_most(rest, *left);
                self.state = match *left - taken as u64 {
                    0 => State::ChunkEnd { extensions: *extensions },
                    left => State::ChunkData { left, extensions: *extensions },
                };
                Ok(taken)
            }
            State::ChunkEnd { extensions } => {
                if !chunked::ends(rest)? {
                    return Ok(0);
                }
                self.state = State::ChunkSize { extensions: *extensions };
                Ok(2)
            }
            State::Trailers(section) => {
                let judged = chunked::trailers(section, rest, searched, &self.bounds)?;
                let Some(end) = judged else { return Ok(0) };
                self.state = State::of_length(0);
                Ok(end)
            }
            State::Through => Ok(rest.len()),
            State::Refused => Ok(0),
        }
    }
}

impl State {
    const fn of_length(length: u64) -> Self {
        if length == 0 { Self::Between { blank: false } } else { Self::Length(length) }
    }
}

fn at_most(rest: &[u8], left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(rest.len())
}
