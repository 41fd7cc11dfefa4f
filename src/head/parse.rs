//! Heads that need no more of HTTP: requests that were judged, and what switches protocols. Pure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, request::Parts};

/// What most heads that we write fit into, in bytes.
const ROOM: usize = 512;

/// Reads the request head that `bytes` begin with, of one that [`Scanner`](super::raw::Scanner) let pass, and says where
/// it ends. Values are views of `bytes`.
///
/// None where it is not whole or not HTTP/1; whoever reads HTTP says what is wrong then.
#[must_use]
pub fn request(bytes: &Bytes) -> Option<(Parts, usize)> {
    let mut fields = vec![httparse::EMPTY_HEADER; lines(bytes)];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(end) = request.parse(bytes).ok()? else { return None };
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    parts.uri = Uri::from_maybe_shared(bytes.slice_ref(request.path?.as_bytes())).ok()?;
    parts.version = if request.version? == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.headers = headers(bytes, request.headers)?;
    Some((parts, end))
}

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    /// Its status.
    pub status: StatusCode,
    /// Its version.
    pub version: Version,
    /// Its fields; values are views of what was read.
    pub headers: HeaderMap,
    /// Bytes that it takes.
    pub length: usize,
}

/// Reads the answer's head that `bytes` begin with; `Ok(None)` if more bytes are needed.
///
/// # Errors
/// It is none. Whoever reads HTTP says what is wrong.
pub fn answer(bytes: &Bytes) -> Result<Option<AnswerHead>, httparse::Error> {
    let mut fields = vec![httparse::EMPTY_HEADER; lines(bytes)];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = answer.parse(bytes)? else { return Ok(None) };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(httparse::Error::Status)?;
    let version = if answer.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let headers = headers(bytes, answer.headers).ok_or(httparse::Error::HeaderValue)?;
    Ok(Some(AnswerHead { status, version, headers, length }))
}

/// As many fields as there can be.
fn lines(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// Fields of `bytes`.
fn headers(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value)).ok()?;
        headers.append(HeaderName::from_bytes(field.name.as_bytes()).ok()?, value);
    }
    Some(headers)
}

/// A 101 as it is sent.
#[must_use]
pub fn switching(headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(ROOM);
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in headers {
        put_field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Appends a field line.
pub fn put_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_in_parts_and_says_where_it_ends() {
        let bytes = Bytes::from_static(
            b"\r\nGET /a?b HTTP/1.1\r\nHost: h\r\nX-Twice: 1\r\nx-twice:  2 \r\nEmpty:\r\n\r\n\x81\x00",
        );
        let (parts, end) = request(&bytes).unwrap();
        assert_eq!(&bytes[end..], b"\x81\x00");
        assert_eq!(
            (parts.method, parts.uri.to_string(), parts.version),
            (Method::GET, "/a?b".into(), Version::HTTP_11)
        );
        let values =
            |name: &str| parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((values("x-twice"), values("empty")), (vec!["1", "2"], vec![""]));
    }

    #[test]
    fn half_a_head_is_none() {
        let whole = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n";
        for end in 0..whole.len() {
            assert!(request(&Bytes::copy_from_slice(&whole[..end])).is_none(), "{end}");
        }
        assert_eq!(request(&Bytes::from_static(whole)).unwrap().0.version, Version::HTTP_10);
    }

    #[test]
    fn an_answer_comes_in_pieces_or_is_none() {
        let whole = Bytes::from_static(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\nmore");
        let head = answer(&whole).unwrap().unwrap();
        assert_eq!((head.status, head.version), (StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11));
        assert_eq!((&head.headers["upgrade"], head.length), (&HeaderValue::from_static("websocket"), whole.len() - 4));
        for end in 0..head.length {
            assert!(answer(&whole.slice(..end)).unwrap().is_none(), "{end}");
        }
        assert!(answer(&Bytes::from_static(b"SSH-2.0-X\r\n\r\n")).is_err());
    }

    #[test]
    fn a_switch_is_written_as_it_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.append("set-cookie", HeaderValue::from_static("a"));
        headers.append("set-cookie", HeaderValue::from_static("b"));
        let text = String::from_utf8(switching(&headers)).unwrap();
        let expected =
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n";
        assert_eq!(text, expected);
    }
}
