//! Which fields end at this hop, what a policy's edits do, and which upgrades are good: against plain restatements over a
//! list of lines.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};

use crate::{
    error::Cause,
    fuzzing::Input,
    head::{
        headers::{apply_edits, check_edits, elements, end_to_end, end_to_end_answer, has_token, is_token},
        upgrade::{Asked, inspect},
    },
    model::Edit,
};

/// Names that a rule speaks of come up by a byte of the input; others are spelt out.
pub(super) const NAMES: [&str; 21] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
    "host",
    "content-length",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "x-forwarded-for",
    "forwarded",
    "cookie",
    "accept",
    "x-one",
    "x-two",
];

pub(super) type Line = (HeaderName, HeaderValue);

/// Builds a head and does to it what the proxy does.
pub fn headers(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let lines: Vec<Line> = (0..choice % 12).filter_map(|_| line(&mut input)).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in &lines {
        headers.append(name, value.clone());
    }
    lists(&headers, &lines);
    hops(&headers, &lines);
    upgrade(&headers, choice);
    edits(&headers, &mut input);
}

pub(super) fn name(input: &mut Input<'_>) -> String {
    match usize::from(input.byte()) {
        known @ 0..200 => NAMES[known % NAMES.len()].to_owned(),
        _ => String::from_utf8_lossy(input.text()).into_owned(),
    }
}

pub(super) fn line(input: &mut Input<'_>) -> Option<Line> {
    let name = HeaderName::try_from(name(input)).ok()?;
    let value = HeaderValue::from_bytes(input.text()).ok()?;
    Some((name, value))
}

/// The elements of a line, character by character (RFC 9110 §5.6.1, §5.6.4).
pub(super) fn split(line: &str) -> Vec<String> {
    let (mut all, mut element, mut chars) = (Vec::new(), String::new(), line.chars());
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            ',' if !quoted => all.push(std::mem::take(&mut element)),
            '\\' if quoted => {
                element.push(c);
                element.extend(chars.next());
            }
            c => {
                quoted ^= c == '"';
                element.push(c);
            }
        }
    }
    all.push(element);
    let blank = |c: char| c == ' ' || c == '\t';
    all.iter().map(|element| element.trim_matches(blank).to_owned()).filter(|element| !element.is_empty()).collect()
}

fn all_elements(lines: &[Line], of: &HeaderName) -> Vec<String> {
    let lines = lines.iter().filter(|(name, _)| name == of);
    lines.flat_map(|(_, value)| split(std::str::from_utf8(value.as_bytes()).unwrap_or_default())).collect()
}

fn lists(headers: &HeaderMap, lines: &[Line]) {
    for name in headers.keys() {
        let found: Vec<&str> = elements(headers, name).collect();
        assert_eq!(found, all_elements(lines, name));
        for element in found {
            assert!(has_token(headers, name, &element.to_ascii_uppercase()), "tokens have no case");
        }
        assert!(!has_token(headers, name, ""));
    }
}

fn ends_here(name: &str) -> bool {
    name.starts_with("proxy-") || NAMES[..9].contains(&name)
}

/// What is left of the lines, by name in the order in which names first came, as a map gives them.
fn grouped(lines: &[Line], keep: impl Fn(&str) -> bool) -> Vec<Line> {
    let mut names: Vec<&HeaderName> = Vec::new();
    for (name, _) in lines {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let of = |name: &HeaderName| lines.iter().filter(|line| line.0 == *name).cloned().collect::<Vec<_>>();
    names.into_iter().filter(|name| keep(name.as_str())).flat_map(of).collect()
}

pub(super) fn owned(headers: &HeaderMap) -> Vec<Line> {
    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn hops(headers: &HeaderMap, lines: &[Line]) {
    let named = all_elements(lines, &header::CONNECTION);
    let keep = |name: &str| {
        let stays = name == "host" || name.starts_with("sec-websocket-");
        !ends_here(name) && (stays || !named.iter().any(|named| named.eq_ignore_ascii_case(name)))
    };
    let passed = end_to_end(headers);
    assert_eq!(owned(&passed), grouped(lines, keep), "what passes, and in which order");
    assert_eq!(end_to_end(&passed), passed, "nothing is left to end here");
    let answer = |name: &str| keep(name) && !name.starts_with("sec-websocket-") && name != "content-length";
    assert_eq!(owned(&end_to_end_answer(headers)), grouped(lines, answer));
}

fn edits(headers: &HeaderMap, input: &mut Input<'_>) {
    let count = input.byte() % 6;
    let edits: Vec<Edit> = (0..count)
        .map(|_| {
            let choice = input.byte();
            let name = name(input);
            let value = String::from_utf8_lossy(input.text()).into_owned();
            match choice % 3 {
                0 => Edit::Set(name, value),
                1 => Edit::Append(name, value),
                _ => Edit::Remove(name),
            }
        })
        .collect();
    let Ok(checked) = check_edits(&edits) else { return };
    let mut edited = headers.clone();
    apply_edits(&mut edited, &checked);
    for (name, _) in headers.iter().chain(&edited) {
        let fixed = ends_here(name.as_str()) || name.as_str().starts_with("sec-websocket-") || name == "content-length";
        let values = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        let before = values(headers);
        if fixed {
            assert_eq!(values(&edited), before, "{name} is the proxy's own");
            continue;
        }
        // The same, field by field.
        let mut wanted = before;
        for edit in &edits {
            let (Edit::Set(of, value) | Edit::Append(of, value)) = edit else {
                if matches!(edit, Edit::Remove(of) if name.as_str().eq_ignore_ascii_case(of)) {
                    wanted.clear();
                }
                continue;
            };
            if name.as_str().eq_ignore_ascii_case(of) {
                if matches!(edit, Edit::Set(..)) {
                    wanted.clear();
                }
                wanted.push(HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        assert_eq!(values(&edited), wanted, "{name}");
    }
    if headers.get_all(header::HOST).iter().count() == 1 {
        assert_eq!(edited.get_all(header::HOST).iter().count(), 1, "Host is neither doubled nor removed");
    }
}

/// RFC 6455 §4.2.1, on the fields as elements and lines.
fn upgrade(headers: &HeaderMap, choice: u8) {
    let mut request = Request::new(());
    *request.method_mut() = if choice & 0x80 == 0 { Method::GET } else { Method::POST };
    *request.version_mut() = if choice & 0x40 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
    *request.headers_mut() = headers.clone();
    let values = |name: &str| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let has =
        |name: &HeaderName, token: &str| elements(headers, name).any(|element| element.eq_ignore_ascii_case(token));
    match inspect(&request.into_parts().0) {
        Ok(Asked::Plain) => assert!(!has(&header::UPGRADE, "websocket")),
        Ok(Asked::Upgrade(asked)) => {
            assert!(choice & 0xc0 == 0 && has(&header::UPGRADE, "websocket") && has(&header::CONNECTION, "upgrade"));
            assert!(values("transfer-encoding").is_empty());
            assert!(
                values("content-length")
                    .iter()
                    .all(|length| std::str::from_utf8(length).unwrap().trim().parse() == Ok(0))
            );
            assert_eq!(
                values("sec-websocket-version").iter().map(|value| value.trim_ascii()).collect::<Vec<_>>(),
                [b"13"]
            );
            assert!(is_base64(asked.key.as_bytes()), "{}", asked.key);
            assert_eq!(
                values("sec-websocket-key").iter().map(|value| value.trim_ascii()).collect::<Vec<_>>(),
                [asked.key.as_bytes()]
            );
            let mut offers: Vec<&str> = elements(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
            assert!(offers.iter().all(|offer| is_token(offer)));
            let mut seen = std::collections::HashSet::new();
            offers.retain(|offer| seen.insert(*offer));
            assert_eq!(asked.subprotocols, offers);
            assert_eq!(
                asked.extensions,
                headers.get_all("sec-websocket-extensions").iter().cloned().collect::<Vec<_>>()
            );
        }
        Err(refusal) => {
            assert!(has(&header::UPGRADE, "websocket"));
            assert!(matches!(refusal.cause, Cause::BadUpgrade | Cause::BadVersion));
        }
    }
}

/// Whether it is what an encoder writes (RFC 4648 §4).
fn is_base64(text: &[u8]) -> bool {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let end = text.iter().position(|digit| *digit == b'=').unwrap_or(text.len());
    let (mut bits, mut unused) = (0_u32, 0_u32);
    for digit in &text[..end] {
        let Some(value) = DIGITS.iter().position(|known| known == digit) else { return false };
        bits = (bits << 6) | u32::try_from(value).unwrap();
        unused = (unused + 6) % 8;
        bits &= (1 << unused) - 1;
    }
    bits == 0
        && unused < 6
        && text.len().is_multiple_of(4)
        && text.len() - end < 3
        && text[end..].iter().all(|b| *b == b'=')
}
