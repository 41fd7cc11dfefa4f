//! Who the client is behind the socket, and what the next hop is told of it.
//!
//! Pure functions. `X-Forwarded-*` and `Forwarded` (RFC 7239) are believed from trusted peers only: those of others are
//! dropped and set anew, those of trusted ones are added to. The client is the last address in the chain that is not a
//! trusted proxy's, so that whatever a client writes in front of it has no effect. Where a request has both fields,
//! `X-Forwarded-For` counts, which is the one that proxies maintain.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority};
use ipnet::IpNet;

use super::headers::{is_token, split_outside_quotes};
use crate::model::Client;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a field says who the client was.
#[must_use]
pub fn is_forwarded(name: &HeaderName) -> bool {
    name == header::FORWARDED || name.as_str().starts_with("x-forwarded-")
}

/// Finds the client of a request that came from `peer`; `tls` tells whether that socket spoke TLS.
#[must_use]
pub fn client(peer: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return Client { remote: peer, tls, trusted: false };
    }
    let mut remote = peer;
    // From the nearest hop outwards; behind what is no address nothing can be believed.
    for node in chain(headers).iter().rev() {
        let Some(address) = node_address(node) else { break };
        remote = address;
        if !is_trusted(&address) {
            break;
        }
    }
    let proto = plain_elements(headers, &X_FORWARDED_PROTO).last().map(str::to_owned);
    let proto = proto.or_else(|| parameter(told(headers).last()?, "proto"));
    let tls = proto.map_or(tls, |proto| proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss"));
    Client { remote, tls, trusted: true }
}

/// The hops that trusted proxies tell of, the client's first.
fn chain(headers: &HeaderMap) -> Vec<String> {
    if headers.contains_key(X_FORWARDED_FOR) {
        return plain_elements(headers, &X_FORWARDED_FOR).map(str::to_owned).collect();
    }
    told(headers).into_iter().map(|element| parameter(element, "for").unwrap_or_default()).collect()
}

/// What stands between the commas of all lines of a field, trimmed, empty elements left out. `X-Forwarded-*` knows no
/// quoted strings: a quotation mark of a client's must not swallow what a proxy put behind it.
fn plain_elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    lines(headers, name).flat_map(|line| trimmed(line.split(',')))
}

/// The elements of `Forwarded`. In a line with a quoted string that does not end every comma separates, for the same
/// reason: what proxies put behind it is still whole.
fn told(headers: &HeaderMap) -> Vec<&str> {
    let of_line = |line| -> Vec<&str> {
        if is_balanced(line) {
            trimmed(split_outside_quotes(line, ',')).collect()
        } else {
            trimmed(line.split(',')).collect()
        }
    };
    lines(headers, &header::FORWARDED).flat_map(of_line).collect()
}

fn lines<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|line| std::str::from_utf8(line.as_bytes()).ok())
}

fn trimmed<'h>(elements: impl Iterator<Item = &'h str>) -> impl Iterator<Item = &'h str> {
    elements.map(|element| element.trim_matches([' ', '\t'])).filter(|element| !element.is_empty())
}

/// Whether every quoted string in it ends (RFC 9110 §5.6.4).
fn is_balanced(text: &str) -> bool {
    // A separator that stands behind the text is found outside quoted strings only.
    let (separator, text) = ('\0', [text, "\0"].concat());
    split_outside_quotes(&text, separator).count() > 1
}

/// The value of a parameter of a `Forwarded` element, without quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    let pairs = split_outside_quotes(element, ';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim();
    Some(match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace('\\', ""),
        None => value.to_owned(),
    })
}

/// An address with or without port and brackets; none for `unknown` and obfuscated names (RFC 7239 §6).
fn node_address(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(node);
    let address = bare.parse().ok().or_else(|| node.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// What the next hop is told of the client.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The socket's peer: the client, or a proxy before us.
    pub peer: IpAddr,
    /// The client, by [`client`].
    pub client: Client,
    /// The authority it asked for; empty where it named none.
    pub authority: &'a str,
}

impl Forwarded<'_> {
    /// Sets `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` and `Forwarded` (RFC 7239): for a peer that is not trusted
    /// in place of any, for a trusted one behind its own.
    ///
    /// The port is the one the client named, else the scheme's default. An authority that cannot stand in a field is
    /// left out.
    pub fn set(&self, headers: &mut HeaderMap) {
        if !self.client.trusted {
            if headers.keys().any(is_forwarded) {
                *headers = super::headers::retain(headers, |name| !is_forwarded(name));
            }
            return self.begin(headers);
        }
        let before = chain(headers);
        let told: Vec<String> = told(headers).into_iter().map(well_formed).collect();
        let peer = self.peer.to_canonical();
        let (proto, default_port) = self.scheme();
        let authority = self.authority.parse::<Authority>().ok();
        let address = text(peer);
        let own = self.element(&node(peer, &address), authority.is_some());

        // Either chain is made from the other where a proxy before us keeps only one.
        let addresses = before.iter().cloned().chain([address]);
        let mut elements = told;
        if elements.is_empty() {
            elements.extend(before.iter().map(|hop| {
                let address = node_address(hop);
                address.map_or_else(
                    || "for=unknown".to_owned(),
                    |address| format!("for={}", node(address, &address.to_string())),
                )
            }));
        }
        elements.push(own);
        let replaced =
            [(X_FORWARDED_FOR, addresses.collect::<Vec<_>>().join(", ")), (header::FORWARDED, elements.join(", "))];
        let mut kept = vec![(X_FORWARDED_PROTO, proto.to_owned())];
        if let Some(authority) = authority {
            kept.push((X_FORWARDED_HOST, self.authority.to_owned()));
            kept.push((X_FORWARDED_PORT, authority.port_u16().unwrap_or(default_port).to_string()));
        }
        kept.retain(|(name, _)| !headers.contains_key(name));
        for (name, value) in replaced.into_iter().chain(kept) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }

    /// For a peer that is the client itself: nothing stands there yet. Nearly all handshakes come this way.
    fn begin(&self, headers: &mut HeaderMap) {
        let peer = self.peer.to_canonical();
        let (proto, default_port) = self.scheme();
        let authority = self.authority.parse::<Authority>().ok();
        let address = text(peer);
        let element = self.element(&node(peer, &address), authority.is_some());
        let value = |text: String| HeaderValue::try_from(text).ok();
        let fields = [
            (X_FORWARDED_FOR, value(address)),
            (header::FORWARDED, value(element)),
            (X_FORWARDED_PROTO, Some(HeaderValue::from_static(proto))),
            (X_FORWARDED_HOST, authority.as_ref().and_then(|_| HeaderValue::from_str(self.authority).ok())),
            (X_FORWARDED_PORT, authority.map(|authority| authority.port_u16().unwrap_or(default_port).into())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }

    /// The scheme the client spoke, and its port.
    const fn scheme(&self) -> (&'static str, u16) {
        if self.client.tls { ("https", 443) } else { ("http", 80) }
    }

    /// What we say in `Forwarded` of a node. Pieced together: formatting costs more.
    fn element(&self, node: &str, named: bool) -> String {
        let (proto, _) = self.scheme();
        let mut element = String::with_capacity(node.len() + self.authority.len() + 32);
        element.push_str("for=");
        element.push_str(node);
        if named {
            element.push_str(";host=");
            push_quoted(&mut element, self.authority);
        }
        element.push_str(";proto=");
        element.push_str(proto);
        element
    }
}

/// An element behind which another can be read.
fn well_formed(element: &str) -> String {
    if is_balanced(element) { element.to_owned() } else { "for=unknown".to_owned() }
}

/// An address as it is written. One of IPv4 is pieced together, too.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// An address, whose text is `text`, as `Forwarded` has it (RFC 7239 §6).
fn node(address: IpAddr, text: &str) -> Cow<'_, str> {
    if address.is_ipv6() { format!("\"[{text}]\"").into() } else { text.into() }
}

/// A token as it is, anything else as a quoted string (RFC 9110 §5.6.4).
fn push_quoted(out: &mut String, text: &str) {
    if is_token(text) {
        return out.push_str(text);
    }
    out.push('"');
    for part in text.split_inclusive(['\\', '"']) {
        let plain = part.trim_end_matches(['\\', '"']);
        out.push_str(plain);
        if plain.len() < part.len() {
            out.push('\\');
            out.push_str(&part[plain.len()..]);
        }
    }
    out.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn found(peer: &str, trusted: &[&str], fields: &[(&str, &str)]) -> (String, bool, bool) {
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let client = client(peer.parse().unwrap(), false, &map(fields), &trusted);
        (client.remote.to_string(), client.tls, client.trusted)
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        let spoofed = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=1.2.3.4"), ("x-forwarded-proto", "https")];
        assert_eq!(found("192.0.2.1", &[], &spoofed), ("192.0.2.1".into(), false, false));
        assert_eq!(found("192.0.2.1", &["10.0.0.0/8"], &spoofed), ("192.0.2.1".into(), false, false));
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxys() {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"];
        let client = |fields: &[(&str, &str)]| found("10.0.0.1", &trusted, fields).0;
        assert_eq!(client(&[]), "10.0.0.1");
        assert_eq!(client(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.9.9.9")]), "2.2.2.2", "1.1.1.1 is hearsay");
        assert_eq!(client(&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]), "2.2.2.2");
        assert_eq!(client(&[("x-forwarded-for", "10.1.1.1, 10.2.2.2")]), "10.1.1.1", "all are proxies: the first");
        assert_eq!(client(&[("x-forwarded-for", "1.1.1.1, unknown, 10.2.2.2")]), "10.2.2.2");
        assert_eq!(client(&[("x-forwarded-for", "3.3.3.3:99")]), "3.3.3.3");
        assert_eq!(client(&[("x-forwarded-for", "2001:db8::7")]), "2001:db8::7");
        assert_eq!(client(&[("x-forwarded-for", "::ffff:3.3.3.3")]), "3.3.3.3");
        assert_eq!(client(&[("forwarded", "for=1.1.1.1, For=\"[2001:db8::7]:80\";proto=https")]), "2001:db8::7");
        assert_eq!(client(&[("forwarded", "for=_hidden, for=10.2.2.2")]), "10.2.2.2");
        assert_eq!(client(&[("x-forwarded-for", "4.4.4.4"), ("forwarded", "for=5.5.5.5")]), "4.4.4.4");
        assert_eq!(found("::ffff:10.0.0.1", &trusted, &[("x-forwarded-for", "1.1.1.1")]).0, "1.1.1.1");
        assert_eq!(found("2001:db8:1::5", &trusted, &[("x-forwarded-for", "1.1.1.1")]).0, "1.1.1.1");
    }

    #[test]
    fn a_quotation_mark_of_a_client_hides_nothing_that_a_proxy_put_behind_it() {
        let client = |fields: &[(&str, &str)]| found("10.0.0.1", &["10.0.0.0/8"], fields);
        for written in ["\"", "\"a\\", "1.1.1.1, \"x"] {
            let chain = format!("{written}, 203.0.113.9, 10.2.2.2");
            assert_eq!(client(&[("x-forwarded-for", &chain)]).0, "203.0.113.9", "{chain}");
        }
        for written in ["for=\"", "for=\"a\\", "for=1.1.1.1, by=\"x"] {
            let chain = format!("{written}, for=\"[2001:db8::9]:1\";proto=https, for=10.2.2.2");
            assert_eq!(client(&[("forwarded", &chain)]).0, "2001:db8::9", "{chain}");
            let chain = format!("{written}, proto=https;for=203.0.113.9");
            assert_eq!(client(&[("forwarded", &chain)]), ("203.0.113.9".into(), true, true), "{chain}");
        }
        assert!(client(&[("x-forwarded-proto", "\", https")]).1);
        assert_eq!(
            client(&[("forwarded", "for=203.0.113.9;by=\"a,b\"")]).0,
            "203.0.113.9",
            "one that ends separates nothing"
        );
    }

    #[test]
    fn the_scheme_is_what_a_trusted_proxy_says() {
        let tls = |fields: &[(&str, &str)]| found("10.0.0.1", &["10.0.0.1/32"], fields).1;
        assert!(!tls(&[]));
        assert!(tls(&[("x-forwarded-proto", "http, HTTPS")]));
        assert!(tls(&[("forwarded", "for=a;proto=http, for=b;proto=https")]));
        assert!(!tls(&[("x-forwarded-proto", "http"), ("forwarded", "proto=https")]));
    }

    fn told(peer: &str, trusted: bool, authority: &str, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut headers = map(fields);
        let peer = peer.parse().unwrap();
        let trusted = if trusted { vec![IpNet::from(peer)] } else { Vec::new() };
        let client = client(peer, false, &headers, &trusted);
        Forwarded { peer, client, authority }.set(&mut headers);
        let mut list: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        list.sort();
        list
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_a_stranger_says_is_dropped_and_ours_is_set() {
        let spoofed = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-user", "root"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(
            told("192.0.2.1", false, "a.b:8080", &spoofed),
            pairs(&[
                ("forwarded", "for=192.0.2.1;host=\"a.b:8080\";proto=http"),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-host", "a.b:8080"),
                ("x-forwarded-port", "8080"),
                ("x-forwarded-proto", "http"),
            ])
        );
    }

    #[test]
    fn what_a_trusted_proxy_says_is_kept_and_the_chain_grows() {
        let said = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/p"),
        ];
        assert_eq!(
            told("10.0.0.1", true, "inner", &said),
            pairs(&[
                ("forwarded", "for=1.1.1.1, for=10.0.0.1;host=inner;proto=https"),
                ("x-forwarded-for", "1.1.1.1, 10.0.0.1"),
                ("x-forwarded-host", "public"),
                ("x-forwarded-port", "8443"),
                ("x-forwarded-prefix", "/p"),
                ("x-forwarded-proto", "https"),
            ])
        );
        let said = [("forwarded", "for=\"x, for=1.1.1.1")];
        assert_eq!(
            told("10.0.0.1", true, "", &said)[0].1,
            "for=unknown, for=1.1.1.1, for=10.0.0.1;proto=http",
            "what does not end would hide the rest from the next hop"
        );
        let said = [("forwarded", "for=1.1.1.1;proto=https, for=\"[2001:db8::1]\"")];
        assert_eq!(
            told("10.0.0.1", true, "", &said),
            pairs(&[
                ("forwarded", "for=1.1.1.1;proto=https, for=\"[2001:db8::1]\", for=10.0.0.1;proto=http"),
                ("x-forwarded-for", "1.1.1.1, [2001:db8::1], 10.0.0.1"),
                ("x-forwarded-proto", "http"),
            ])
        );
    }
}
