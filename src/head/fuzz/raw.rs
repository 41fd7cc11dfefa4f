//! The judge of raw requests against the parser that reads them afterwards: where each request ends, it is the same for
//! both, and nothing in a head could make a laxer reader see another end.

use httparse::{EMPTY_HEADER, Header, Status};

use crate::{
    fuzzing::Input,
    head::raw::{Bounds, HTTP2_PREFACE, Place, Scanner, Violation},
};

const MOST_FIELDS: usize = 12;

const METHODS: [&str; 4] = ["GET", "POST", "OPTIONS", "x-y"];
const TARGETS: [&str; 6] = ["/", "/a/b?c=d", "*", "http://a/x", "http://b", "/%2F{}"];
const FIELDS: [&str; 16] = [
    "Host: a",
    "Content-Length: 5",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "transfer-encoding:\tCHUNKED ",
    "X: 1",
    "Upgrade: websocket",
    "Connection: upgrade, x",
    "Upgrade: h2c",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: +5",
    "content-length : 5",
    " folded",
    "Host: b",
    "X:\u{fc}",
    "Empty:",
];
const ENDS: [&str; 4] = ["\r\n", "\n", "\r", "\r\r\n"];
const CHUNKS: [&str; 8] = [
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "a;b=c\r\n0123456789\r\n",
    "0\r\nX: 1\r\n\r\n",
    "5\nhello\n",
    "0x5\r\n",
    "05 \r\n",
    "5\r\nhell",
];

/// Requests out of the input's bytes, and how many there are if all of them are good.
fn requests(input: &mut Input<'_>) -> (Vec<u8>, Option<u64>) {
    let (mut out, mut good) = (Vec::new(), Some(0));
    while !input.is_empty() && out.len() < 20_000 {
        let choice = input.byte();
        match choice % 4 {
            0 => {
                let body = [
                    ("", ""),
                    ("Content-Length: 5\r\n", "hello"),
                    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
                ][usize::from(choice >> 2) % 3];
                let target = ["/", "/a/b?c=d", "http://a/x"][usize::from(choice >> 4) % 3];
                let method = METHODS[usize::from(choice >> 6) % 2];
                out.extend(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{}\r\n{}", body.0, body.1).bytes());
                good = good.map(|good| good + 1);
            }
            1 => {
                good = None;
                let method = METHODS[usize::from(choice >> 2) % METHODS.len()];
                let target = TARGETS[usize::from(choice >> 4) % TARGETS.len()];
                let version = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"][usize::from(choice >> 6)];
                out.extend(format!("{method} {target} {version}\r\n").bytes());
                for _ in 0..input.byte() % 6 {
                    let choice = input.byte();
                    out.extend(FIELDS[usize::from(choice) % FIELDS.len()].bytes());
                    out.extend(ENDS[if choice < 0xf0 { 0 } else { usize::from(input.byte()) % ENDS.len() }].bytes());
                }
                out.extend(b"\r\n");
            }
            2 => {
                good = None;
                out.extend(CHUNKS[usize::from(choice >> 2) % CHUNKS.len()].bytes());
            }
            _ => {
                good = None;
                out.extend_from_slice(input.bytes(usize::from(choice >> 2)));
            }
        }
    }
    (out, good)
}

/// What a connection comes to.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    passed: usize,
    heads: u64,
    place: Place,
    violation: Option<Violation>,
}

/// Shows the bytes in pieces of these lengths, over and over.
fn judge(bytes: &[u8], pieces: &[usize], bounds: Bounds) -> Verdict {
    let mut scanner = Scanner::new(bounds);
    let (mut passed, mut shown) = (0, 0);
    for piece in pieces.iter().cycle() {
        shown = bytes.len().min(shown + piece);
        let scan = scanner.scan(&bytes[passed..shown]);
        passed += scan.passed;
        if scan.violation.is_some() || shown == bytes.len() {
            return Verdict { passed, heads: scanner.heads(), place: scanner.place(), violation: scan.violation };
        }
        assert!(shown - passed <= bounds.head, "{} bytes are held back", shown - passed);
    }
    unreachable!("there are pieces");
}

/// Judges a connection's bytes.
pub fn raw(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let head = if choice & 1 == 0 { 4096 } else { 150 };
    let bounds = Bounds { head, fields: MOST_FIELDS, chunk_extensions: 10, http2: choice & 2 != 0 };
    let cuts: Vec<usize> = (0..=choice >> 6).map(|_| usize::from(input.byte()) + 1).collect();
    let (bytes, good) = if choice & 4 == 0 { requests(&mut input) } else { (input.rest().to_vec(), None) };

    let verdict = judge(&bytes, &[bytes.len()], bounds);
    for pieces in [&cuts[..], &[1]] {
        let cut = judge(&bytes, pieces, bounds);
        assert_eq!(cut, verdict, "in pieces of {pieces:?}");
    }
    assert_eq!(verdict.violation.is_some(), verdict.place == Place::Refused);
    if let Some(violation) = &verdict.violation {
        let text = violation.to_string();
        assert!(text.len() < 400 && !text.contains(char::is_control), "one short line: {text:?}");
    }
    if let Some(good) = good.filter(|_| head > 150) {
        assert_eq!(verdict.violation, None);
        assert_eq!((verdict.passed, verdict.heads, verdict.place), (bytes.len(), good, Place::Between));
    }
    read(&bytes[..verdict.passed], &verdict, bounds);
}

/// Reads what was passed on as the next reader does, which must come to the same heads and the same place.
fn read(bytes: &[u8], verdict: &Verdict, bounds: Bounds) {
    let (mut at, mut heads) = (0, 0);
    if bounds.http2 && bytes.starts_with(HTTP2_PREFACE) {
        assert_eq!((verdict.heads, verdict.place), (0, Place::Through));
        return;
    }
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest == b"\r\n" {
            break;
        }
        let mut fields = [EMPTY_HEADER; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let size = match request.parse(rest) {
            Ok(Status::Complete(size)) => size,
            other => panic!("passed, but it reads {other:?} from \"{}\"", rest.escape_ascii()),
        };
        heads += 1;
        assert!(size <= bounds.head + 2, "a head of {size} bytes");
        assert_plain(&rest[..size]);
        let named = |name: &'static str| {
            let is = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
            request.headers.iter().filter(is).map(|field| field.value).collect::<Vec<_>>()
        };
        at += size;
        if verdict.place == Place::Through && heads == verdict.heads {
            assert!(!named("upgrade").is_empty(), "what is not judged may be frames");
            assert!(
                named("transfer-encoding").is_empty() && named("content-length").iter().all(|length| *length != b"5")
            );
            return;
        }
        assert!(named("host").len() == 1 || request.version == Some(0) && named("host").is_empty());
        at += match (&named("content-length")[..], &named("transfer-encoding")[..]) {
            ([], []) => 0,
            ([length], []) => {
                assert!(length.iter().all(u8::is_ascii_digit));
                std::str::from_utf8(length).unwrap().parse::<usize>().unwrap().min(usize::MAX / 2)
            }
            ([], [coding]) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked") && request.version == Some(1));
                let Some(size) = chunked(&bytes[at..]) else {
                    assert_eq!((verdict.heads, at_rest(verdict)), (heads, Place::Body), "in the middle of a body");
                    return;
                };
                size
            }
            framing => panic!("two readers, two lengths: {framing:?}"),
        };
    }
    assert_eq!(verdict.heads, heads);
    if verdict.violation.is_none() {
        let place = if at > bytes.len() { Place::Body } else { Place::Between };
        // Of a head that is not complete nothing is passed on.
        assert!(verdict.place == place || (verdict.place, place) == (Place::Head, Place::Between), "{verdict:?}");
    }
}

/// The place, where a violation has not hidden it.
fn at_rest(verdict: &Verdict) -> Place {
    if verdict.violation.is_some() { Place::Body } else { verdict.place }
}

/// What even a lax reader reads in one way: lines that end with CR LF and have no other CR or LF, no folded lines, no
/// white space before a colon, no control characters.
fn assert_plain(head: &[u8]) {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text = head.strip_suffix(b"\r\n\r\n").expect("an empty line ends it");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let line = if at + 1 < lines.len() { line.strip_suffix(b"\r").expect("LF stands behind CR") } else { line };
        assert!(!line.is_empty(), "nothing stands behind an empty line");
        assert!(line.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()), "{}", line.escape_ascii());
        if at > 0 {
            let name = line.split(|byte| *byte == b':').next().unwrap();
            assert!(name.len() < line.len() && !name.is_empty());
            assert!(name.iter().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte)));
        }
    }
}

/// The length of a chunked body with its trailers, or none if it is not complete.
fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        assert!(rest[..line].ends_with(b"\r") && !rest[..line - 1].contains(&b'\r'), "a chunk's line ends with CR LF");
        let Ok(Status::Complete((begin, size))) = httparse::parse_chunk_size(rest) else {
            panic!("no chunk: \"{}\"", rest.escape_ascii());
        };
        assert_eq!(begin, line + 1);
        assert!(rest[0].is_ascii_hexdigit() && !rest[..line].contains(&b' ') || rest[..line].contains(&b';'));
        at += begin;
        if size == 0 {
            let mut trailers = [EMPTY_HEADER; MOST_FIELDS];
            return match httparse::parse_headers(&bytes[at..], &mut trailers) {
                Ok(Status::Complete((size, _))) => Some(at + size),
                Ok(Status::Partial) => None,
                Err(error) => panic!("trailers were passed, but: {error}"),
            };
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        match bytes.get(end..end.checked_add(2)?) {
            Some(line_end) => assert_eq!(line_end, b"\r\n", "a chunk ends where it says"),
            None => return None,
        }
        at = end + 2;
    }
}
