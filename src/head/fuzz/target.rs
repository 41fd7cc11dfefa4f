//! Paths, queries, cookies and authorities, against the percent decoder of another crate and plain restatements.

use http::{HeaderMap, HeaderValue, Request, Uri, Version, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{
    error::Cause,
    fuzzing::Input,
    head::target::{check_head, cookie, query_pairs, query_param, segments, unreserved},
};

/// Reads the input as one of the things that a target is made of.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => path(&String::from_utf8_lossy(input.rest())),
        1 => spelling(&String::from_utf8_lossy(input.rest())),
        2 => query(&String::from_utf8_lossy(input.rest())),
        3 => cookies(&String::from_utf8_lossy(input.text()), input.rest()),
        _ => head(&mut input),
    }
}

/// What a raw segment decodes to, or `None` where it must be refused.
fn decoded(raw: &str) -> Option<String> {
    let escapes_are_whole = raw.match_indices('%').all(|(at, _)| {
        raw.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    let refused = |c: char| c == '/' || c == '\\' || c.is_control();
    let fine = escapes_are_whole && raw.is_ascii() && !text.contains(refused) && text != "." && text != "..";
    fine.then(|| text.into_owned())
}

fn path(path: &str) {
    let wanted: Option<Vec<String>> = path.strip_prefix('/').and_then(|rest| rest.split('/').map(decoded).collect());
    match segments(path) {
        Ok(found) => {
            assert_eq!(Some(&found), wanted.as_ref(), "{path:?}");
            let encoded = |text: &String| format!("/{}", utf8_percent_encode(text, NON_ALPHANUMERIC));
            let again = segments(&found.iter().map(encoded).collect::<String>());
            assert_eq!(again.ok(), Some(found), "what is encoded anew is the same");
        }
        Err(refusal) => {
            assert!(wanted.is_none(), "{path:?} was refused: {}", refusal.reason);
            assert_eq!(refusal.cause, Cause::BadPath);
            assert!(refusal.reason.len() < 200 && !refusal.reason.contains(char::is_control), "one short line");
        }
    }
}

/// One spelling for what means the same (RFC 3986 §6.2.2), escape by escape.
pub(super) fn spelled(path: &str) -> String {
    let (mut text, mut rest) = (String::new(), path);
    while let Some(c) = rest.chars().next() {
        let escape = rest.get(..3).filter(|e| c == '%' && e[1..].bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escape.map(|escape| (escape, percent_decode_str(escape).next().unwrap())) {
            Some((_, byte)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => text.push(char::from(byte)),
            Some((escape, _)) => text.push_str(&escape.to_ascii_uppercase()),
            None => text.push(c),
        }
        rest = &rest[escape.map_or(c.len_utf8(), str::len)..];
    }
    text
}

fn spelling(path: &str) {
    let found = unreserved(path);
    assert_eq!(found, spelled(path));
    if let Ok(segments_as_received) = segments(path) {
        assert_eq!(segments(&found).unwrap(), segments_as_received, "it means the same");
    }
}

fn query(raw: &str) {
    let decoded = |raw: &str| {
        // Bad escapes stay as they are in the other decoder; here they make all of it stay.
        let escapes = raw.split('%').skip(1);
        let mut whole = escapes.map(|rest| rest.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit())));
        match percent_decode_str(raw).decode_utf8() {
            Ok(text) if whole.all(|whole| whole) => text.into_owned(),
            _ => raw.to_owned(),
        }
    };
    let mut wanted = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let end = pair.find('=').unwrap_or(pair.len());
        wanted.push((decoded(&pair[..end]), decoded(pair.get(end + 1..).unwrap_or_default())));
    }
    let found: Vec<_> = query_pairs(raw).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert_eq!(found, wanted);
    for (name, _) in &found {
        let first = wanted.iter().find(|(wanted, _)| wanted == name).map(|(_, value)| value.clone());
        assert_eq!(query_param(raw, name), first, "the first of a name counts");
    }
}

fn cookies(name: &str, lines: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut wanted = None;
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        headers.append(header::COOKIE, value);
        for pair in std::str::from_utf8(line).unwrap_or_default().split(';') {
            if let Some(at) = pair.find('=').filter(|at| pair[..*at].trim() == name) {
                wanted = wanted.or(Some(pair[at + 1..].trim()));
            }
        }
    }
    assert_eq!(cookie(&headers, name), wanted);
}

fn head(input: &mut Input<'_>) {
    let version = [Version::HTTP_11, Version::HTTP_10][usize::from(input.byte() % 2)];
    let Ok(uri) = Uri::try_from(input.text()) else { return };
    let mut request = Request::new(());
    *request.version_mut() = version;
    *request.uri_mut() = uri;
    let mut hosts = Vec::new();
    for line in input.rest().split(|byte| *byte == b'\n') {
        // A line that begins with a colon is some other field.
        let (name, line) = match line {
            [b':', line @ ..] => (header::ACCEPT, line),
            line => (header::HOST, line),
        };
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        if name == header::HOST {
            hosts.push(value.clone());
        }
        request.headers_mut().append(name, value);
    }
    let parts = request.into_parts().0;
    let utf8 = parts.headers.values().all(|value| std::str::from_utf8(value.as_bytes()).is_ok());
    match check_head(&parts) {
        Ok(authority) => {
            assert!(utf8 && hosts.len() <= 1);
            assert!(hosts.len() == 1 || version == Version::HTTP_10, "HTTP/1.1 names its host");
            assert_eq!(authority.is_empty(), hosts.is_empty() && parts.uri.authority().is_none());
            assert!(authority.is_empty() || is_authority(&authority), "{authority:?}");
            let target = parts.uri.authority().map(http::uri::Authority::as_str);
            let host = hosts.first().map(|host| host.to_str().unwrap());
            assert_eq!(authority, target.or(host).unwrap_or_default(), "it is one that was received");
            if let (Some(target), Some(host)) = (target, host) {
                let name = |text: &str| {
                    let end = text.find(']').map_or_else(|| text.find(':'), |end| Some(end + 1)).unwrap_or(text.len());
                    text[..end].to_ascii_lowercase()
                };
                assert_eq!(name(target), name(host), "both name the same host");
            }
        }
        Err(refusal) => assert_eq!(refusal.cause, Cause::BadHeader),
    }
}

/// RFC 3986 §3.2, as narrow as a log line needs it.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.find(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let address = |c: char| c.is_ascii_hexdigit() || ":.".contains(c);
    let host_is_fine = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.contains(':') && inside.chars().all(address),
        None => !host.is_empty() && host.chars().all(named),
    };
    let port_is_fine =
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.chars().all(|c| c.is_ascii_digit()));
    host_is_fine && port_is_fine
}
