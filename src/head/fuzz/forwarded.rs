//! Who the client is and what is said of it: whatever a client writes, a proxy before us decides, and the next hop reads
//! what we wrote.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use super::headers::{Line, owned, split};
use crate::{
    fuzzing::Input,
    head::forwarded::{Forwarded, client, is_forwarded},
    model::Client,
};

const XFF: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Names an address that the input chooses, and tells whether it is one of a trusted proxy.
fn address(choice: u8) -> (IpAddr, bool) {
    let last = choice >> 3;
    match choice % 6 {
        0 | 1 => (Ipv4Addr::new(10, 1, 2, last).into(), true),
        2 => (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()).into(), true),
        3 => (Ipv4Addr::new(203, 0, 113, last).into(), false),
        4 => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into(), false),
        _ => (Ipv4Addr::new(203, 0, 113, last).to_ipv6_mapped().into(), false),
    }
}

/// An address as proxies write it (RFC 7239 §6; `X-Forwarded-For` knows the same forms without quotes).
fn node(address: IpAddr, port: bool, quotes: bool) -> String {
    let (text, needs_quotes) = match (address, port) {
        (IpAddr::V4(address), false) => (address.to_string(), false),
        (IpAddr::V4(address), true) => (format!("{address}:4711"), true),
        (IpAddr::V6(address), false) => (format!("[{address}]"), true),
        (IpAddr::V6(address), true) => (format!("[{address}]:4711"), true),
    };
    if quotes && needs_quotes { format!("\"{text}\"") } else { text }
}

/// A value as a client may write it: one that is not UTF-8 is refused before.
fn field(input: &mut Input<'_>) -> Option<HeaderValue> {
    let text = std::str::from_utf8(input.text()).ok()?;
    HeaderValue::from_bytes(text.as_bytes()).ok().filter(|value| !value.is_empty())
}

/// Builds a request that came through proxies which add to what the client wrote.
pub fn forwarded(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let (peer, peer_is_trusted) = address(input.byte());
    let (tls, of_rfc_7239, own_lines) = (choice & 1 != 0, choice & 2 != 0, choice & 4 != 0);
    let nets: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];

    let written = field(&mut input);
    let nodes: Vec<(IpAddr, bool)> = (0..(choice >> 4) % 4).map(|_| address(input.byte())).collect();
    let name = if of_rfc_7239 { header::FORWARDED } else { XFF };
    let mut lines: Vec<Vec<u8>> = written.iter().map(|value| value.as_bytes().to_vec()).collect();
    for (address, _) in &nodes {
        let port = input.byte() % 2 == 1;
        let element = if of_rfc_7239 {
            format!("proto=http;for={}", node(*address, port, true))
        } else {
            node(*address, port, false)
        };
        match lines.last_mut().filter(|_| !own_lines) {
            Some(line) => line.extend_from_slice(format!(", {element}").as_bytes()),
            None => lines.push(element.into_bytes()),
        }
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for line in lines {
        headers.append(name.clone(), HeaderValue::from_bytes(&line).unwrap());
    }
    let others = [
        header::FORWARDED,
        XFF,
        HeaderName::from_static("x-forwarded-proto"),
        HeaderName::from_static("x-forwarded-host"),
    ];
    for other in others {
        // Where there are both fields, the other one counts.
        let counts = other == name || other == XFF;
        if let Some(value) = field(&mut input).filter(|_| !counts) {
            headers.append(other, value);
        }
    }

    let found = client(peer, tls, &headers, &nets);
    assert_eq!(found.trusted, peer_is_trusted);
    if !peer_is_trusted {
        assert_eq!((found.remote, found.tls), (peer.to_canonical(), tls), "whatever it says");
    } else if let Some((remote, _)) = nodes.iter().rfind(|(_, trusted)| !trusted) {
        assert_eq!(found.remote, remote.to_canonical(), "whatever it writes in front");
    }
    let authority = String::from_utf8_lossy(input.rest()).into_owned();
    said(&headers, peer, found, &authority);
}

/// What the next hop reads.
fn said(headers: &HeaderMap, peer: IpAddr, client: Client, authority: &str) {
    let mut after = headers.clone();
    Forwarded { peer, client, authority }.set(&mut after);
    let others =
        |headers: &HeaderMap| owned(headers).into_iter().filter(|(name, _)| !is_forwarded(name)).collect::<Vec<Line>>();
    assert_eq!(others(&after), others(headers), "the others stay");

    let one = |name: &str| {
        let mut values = after.get_all(name).iter();
        let first = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        assert!(values.next().is_none() || client.trusted, "{name} stands once");
        first
    };
    assert!(after.get_all(XFF).iter().count() == 1 && after.get_all(header::FORWARDED).iter().count() == 1);
    let chain = one("x-forwarded-for").unwrap();
    let nearest = chain.rsplit(',').next().unwrap().trim();
    assert_eq!(nearest.parse(), Ok(peer.to_canonical()), "the next hop finds us last in {chain:?}");
    let elements = split(&one("forwarded").unwrap());
    let said = parameters(elements.last().unwrap());
    let parameter = |name: &str| said.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let node = parameter("for").unwrap_or_else(|| panic!("the next hop misses us in {elements:?}"));
    assert_eq!(node.trim_start_matches('[').trim_end_matches(']').parse(), Ok(peer.to_canonical()));
    assert_eq!(parameter("proto").as_deref(), Some(if client.tls { "https" } else { "http" }));
    assert_eq!(said.len(), 2 + usize::from(parameter("host").is_some()), "nothing else is said");
    if let Some(host) = parameter("host") {
        assert_eq!(host, authority);
        assert!(one("x-forwarded-port").is_some());
    }
    if !client.trusted {
        assert_eq!((elements.len(), chain), (1, peer.to_canonical().to_string()), "nothing of its own is left");
        assert_eq!(one("x-forwarded-proto"), parameter("proto"));
        assert_eq!(one("x-forwarded-host"), parameter("host"));
        assert!(one("x-forwarded-port").is_none_or(|port| port.parse::<u16>().is_ok()));
    }
}

/// The parameters of one element of `Forwarded` (RFC 7239 §4), unquoted. Panics on anything else.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (name, value) = rest.split_once('=').expect("a parameter has a value");
        let (mut plain, mut end) = (String::new(), None);
        let quoted = value.strip_prefix('"');
        let mut chars = quoted.unwrap_or(value).chars();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted.is_some() => {
                    end = chars.next();
                    break;
                }
                ';' if quoted.is_none() => {
                    end = Some(c);
                    break;
                }
                '\\' if quoted.is_some() => plain.extend(chars.next()),
                c => {
                    let token = c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
                    assert!(quoted.is_some() || token, "{c:?} in a token");
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
