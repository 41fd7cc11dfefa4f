//! Which fields end at this hop, what a policy's edits do, and what is said of the client: against plain restatements
//! over a list of lines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    fuzzing::Input,
    head::headers::{Forwarded, apply_edits, elements, end_to_end, end_to_end_answer, has_token},
    model::Edit,
};

/// Names that a rule speaks of come up by a byte of the input; others are spelt out.
const NAMES: [&str; 20] = [
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
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "x-forwarded-for",
    "forwarded",
    "cookie",
    "accept",
    "x-one",
    "x-two",
];

type Line = (HeaderName, HeaderValue);

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
    edits(&headers, &mut input);
    forwarded(&mut headers, choice, &mut input);
}

fn name(input: &mut Input<'_>) -> String {
    match usize::from(input.byte()) {
        known @ 0..200 => NAMES[known % NAMES.len()].to_owned(),
        _ => String::from_utf8_lossy(input.text()).into_owned(),
    }
}

fn line(input: &mut Input<'_>) -> Option<Line> {
    let name = HeaderName::try_from(name(input)).ok()?;
    let value = HeaderValue::from_bytes(input.text()).ok()?;
    Some((name, value))
}

/// The elements of a line, character by character (RFC 9110 §5.6.1, §5.6.4).
fn split(line: &str) -> Vec<String> {
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

fn owned(headers: &HeaderMap) -> Vec<Line> {
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
    let mut edited = headers.clone();
    let result = apply_edits(&mut edited, &edits);
    let Ok(()) = result else {
        assert_eq!(owned(&edited), owned(headers), "nothing is done by halves");
        return;
    };
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

fn forwarded(headers: &mut HeaderMap, choice: u8, input: &mut Input<'_>) {
    let remote = match choice >> 6 {
        0 => IpAddr::from(Ipv4Addr::from_bits(u32::from(input.word()) << 8)),
        1 => IpAddr::from(Ipv6Addr::from_bits(u128::from(input.word()) << 40)),
        _ => IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
    };
    let tls = choice & 32 != 0;
    let authority = String::from_utf8_lossy(input.rest()).into_owned();
    let before = owned(headers);
    Forwarded { remote, authority: &authority, tls }.set(headers);

    let ours = |name: &HeaderName| {
        ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]
            .contains(&name.as_str())
    };
    let others = |lines: Vec<Line>| lines.into_iter().filter(|(name, _)| !ours(name)).collect::<Vec<_>>();
    assert_eq!(others(owned(headers)), others(before), "the others stay");
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map(|value| value.to_str().expect("visible ASCII").to_owned());
        assert!(values.next().is_none(), "{name} stands once");
        first
    };
    let said = parameters(&one("forwarded").unwrap());
    let parameter = |name: &str| said.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let address = parameter("for").unwrap();
    let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().unwrap();
    assert_eq!(address, remote.to_canonical());
    assert_eq!(one("x-forwarded-for"), Some(address.to_string()));
    assert_eq!(parameter("proto"), one("x-forwarded-proto"));
    assert_eq!(one("x-forwarded-proto").as_deref(), Some(if tls { "https" } else { "http" }));
    assert_eq!(said.len(), 2 + usize::from(parameter("host").is_some()), "nothing else is said");
    if let Some(host) = parameter("host") {
        assert_eq!(host, authority);
        assert_eq!(one("x-forwarded-host"), Some(host));
        assert!(one("x-forwarded-port").is_some_and(|port| port.parse::<u16>().is_ok()));
    }
}

/// The parameters of one element of `Forwarded` (RFC 7239 §4), unquoted. Panics on anything else.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (name, value) = rest.split_once('=').expect("a parameter has a value");
        let mut plain = String::new();
        let mut chars = value.chars();
        let quoted = value.starts_with('"');
        if quoted {
            chars.next();
        }
        let mut end = None;
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted => {
                    end = chars.next();
                    break;
                }
                ';' if !quoted => {
                    end = Some(c);
                    break;
                }
                '\\' if quoted => plain.extend(chars.next()),
                c => {
                    assert!(quoted || c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c), "{c:?} in a token");
                    plain.push(c);
                }
            }
        }
        found.push((name.to_owned(), plain));
        rest = chars.as_str();
        match end {
            None => return found,
            Some(c) => assert_eq!(c, ';'),
        }
    }
}
