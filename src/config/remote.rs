//! Components that come over the network: the URL of a file, or a reference to a registry (OCI). Text to value and back.

use std::{fmt, sync::Arc};

use super::service::host_and_port;
use crate::signature::{hex, unhex};

/// Longest URL and longest reference, in bytes.
const LONGEST: usize = 2048;
/// Longest URL that a server may lead to; signed ones are long.
const LONGEST_LOCATION: usize = 8 << 10;
/// Longest tag (OCI distribution specification).
const LONGEST_TAG: usize = 128;
/// Longest name of a repository (the same).
const LONGEST_REPOSITORY: usize = 255;

/// Where a component comes from that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remote {
    /// A file of a web server.
    Url(Url),
    /// An artifact of a registry.
    Oci(Oci),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Oci(oci) => oci.fmt(f),
        }
    }
}

impl Remote {
    /// Whether the reference itself says what it must hash to.
    #[must_use]
    pub const fn is_digest(&self) -> bool {
        matches!(self, Self::Oci(Oci { digest: Some(_), .. }))
    }
}

/// `http://` or `https://`, without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    /// Whether it is `https`.
    pub secure: bool,
    /// Name or address, without brackets.
    pub host: Arc<str>,
    /// By default that of the scheme.
    pub port: u16,
    /// Path and query, as they are sent.
    pub target: Arc<str>,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST { Err("is longer than 2048 bytes") } else { Self::of(text) }
    }

    fn of(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("is not a URL")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("is not the URL of a web server"),
        };
        if text.bytes().any(|c| !c.is_ascii_graphic() || matches!(c, b'"' | b'<' | b'>' | b'\\' | b'`')) {
            return Err("has characters that are to be percent-encoded");
        }
        if rest.contains('#') {
            return Err("has a fragment, which no server sees");
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("holds a user name; users and passwords belong to `fetch.hosts`");
        }
        let (host, port) = host_and_port(authority).ok_or("has no valid host")?;
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => self::port(port).ok_or("has no valid port: 1 to 65535")?,
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { secure, host: host.to_ascii_lowercase().into(), port, target: target.into() })
    }

    /// Where a `Location` of at most 8 KiB leads from here.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub fn join(&self, location: &str) -> Result<Self, &'static str> {
        let location = location.split('#').next().unwrap_or_default();
        if location.len() > LONGEST_LOCATION {
            return Err("is longer than 8 KiB");
        }
        // In a query a URL is no more than a text.
        if location.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)) {
            return Self::of(location);
        }
        let scheme = if self.secure { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Self::of(&format!("{scheme}://{rest}"));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location {
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            query if query.starts_with('?') => format!("{path}{query}"),
            relative => format!("{}/{relative}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Self::of(&format!("{scheme}://{}{target}", self.authority()))
    }

    /// Scheme, host and port: whom a password is for (RFC 6454).
    #[must_use]
    pub fn origin(&self) -> (bool, &str, u16) {
        (self.secure, &self.host, self.port)
    }

    /// `host:port`, without the port of the scheme.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == if self.secure { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// All of it, the query too, which may be a secret.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}://{}{}", if self.secure { "https" } else { "http" }, self.authority(), self.target)
    }
}

/// As messages show it: of a query only that it is there.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        match text.split_once('?') {
            Some((path, _)) => write!(f, "{path}?…"),
            None => f.write_str(&text),
        }
    }
}

/// `oci://REGISTRY/REPOSITORY:TAG`, `oci://REGISTRY/REPOSITORY@sha256:…`, or with both, of which the digest counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oci {
    /// `host[:port]`.
    pub registry: Arc<str>,
    /// Its name there.
    pub repository: Arc<str>,
    /// A name that may stand for something else tomorrow.
    pub tag: Option<Arc<str>>,
    /// SHA-256 of the manifest.
    pub digest: Option<[u8; 32]>,
}

impl Oci {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("oci://").ok_or("is not a reference to a registry")?;
        if text.len() > LONGEST {
            return Err("is longer than 2048 bytes");
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => {
                let hash = digest.strip_prefix("sha256:").and_then(unhex);
                (rest, Some(hash.ok_or("has no valid digest: `@sha256:` and 64 hexadecimal digits")?))
            }
        };
        let (registry, name) = rest.split_once('/').ok_or("names no repository")?;
        let (host, port) = host_and_port(registry).ok_or("has no valid registry: `host` or `host:port`")?;
        if port.is_some_and(|port| self::port(port).is_none()) || host.is_empty() {
            return Err("has no valid port: 1 to 65535");
        }
        let (repository, tag) = name.split_once(':').map_or((name, None), |(name, tag)| (name, Some(tag)));
        let is_segment = |part: &str| {
            let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
            !part.is_empty()
                && part.bytes().all(|c| inner(c) || matches!(c, b'.' | b'_' | b'-'))
                && part.bytes().next().is_some_and(inner)
                && part.bytes().next_back().is_some_and(inner)
        };
        if repository.len() > LONGEST_REPOSITORY || !repository.split('/').all(is_segment) {
            return Err("has no valid repository: lower case letters, digits and `.`, `_`, `-`, `/` between them");
        }
        let is_tag = |tag: &str| {
            (1..=LONGEST_TAG).contains(&tag.len())
                && tag.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
                && !tag.starts_with(['.', '-'])
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("has no valid tag: up to 128 letters, digits, `.`, `_` and `-`");
        }
        if tag.is_none() && digest.is_none() {
            return Err("names neither a tag nor a digest");
        }
        Ok(Self {
            registry: registry.to_ascii_lowercase().into(),
            repository: repository.into(),
            tag: tag.map(Into::into),
            digest,
        })
    }

    /// What is asked for at the registry: the digest, or else the tag.
    #[must_use]
    pub fn wanted(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest_text(&digest),
            (None, tag) => tag.as_deref().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for Oci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{}", digest_text(&digest)))
    }
}

/// `sha256:…`.
#[must_use]
pub fn digest_text(sha256: &[u8; 32]) -> String {
    format!("sha256:{}", hex(sha256))
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| *number != 0 && text.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_without_their_queries() {
        let url = Url::parse("HTTPS://Files.Example:8443/a/b.wasm?token=x").unwrap();
        assert_eq!(
            (url.secure, &*url.host, url.port, &*url.target),
            (true, "files.example", 8443, "/a/b.wasm?token=x")
        );
        assert_eq!(url.to_string(), "https://files.example:8443/a/b.wasm?…");
        let plain = Url::parse("http://[::1]?x").unwrap();
        assert_eq!(
            (&*plain.host, plain.port, &*plain.target, plain.authority()),
            ("::1", 80, "/?x", "[::1]".to_owned())
        );
        for (text, why) in [
            ("ftp://a/b", "web server"),
            ("https://u:p@a/b", "user name"),
            ("https:///b", "valid host"),
            ("https://a:0/b", "valid port"),
            ("https://a/b c", "percent-encoded"),
            ("https://a/b#c", "fragment"),
            ("a/b", "not a URL"),
        ] {
            assert!(Url::parse(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn a_location_is_relative_to_where_it_was_said() {
        let url = Url::parse("https://a:8443/x/y.wasm?z").unwrap();
        for (location, leads_to) in [
            ("https://b/c#d", "https://b/c"),
            ("//b/c", "https://b/c"),
            ("/c?d", "https://a:8443/c?d"),
            ("c", "https://a:8443/x/c"),
            ("?q", "https://a:8443/x/y.wasm?q"),
            ("/c?from=https://b/c", "https://a:8443/c?from=https://b/c"),
            ("c?from=https://b/c", "https://a:8443/x/c?from=https://b/c"),
        ] {
            assert_eq!(url.join(location).unwrap().text(), leads_to, "{location}");
        }
        assert!(url.join("ftp://b/c").unwrap_err().contains("web server"));
        assert!(url.join(&format!("/c?{}", "x".repeat(8000))).is_ok());
        assert!(url.join(&format!("/c?{}", "x".repeat(8192))).unwrap_err().contains("8 KiB"));
    }

    #[test]
    fn references_have_a_registry_a_repository_and_a_tag_or_a_digest() {
        let oci = Oci::parse("oci://Registry.example:5000/team/own-policy:1.2").unwrap();
        assert_eq!((&*oci.registry, &*oci.repository), ("registry.example:5000", "team/own-policy"));
        assert_eq!((oci.wanted().as_str(), oci.digest), ("1.2", None));
        let digest = "a".repeat(64);
        let oci = Oci::parse(&format!("oci://r/x:1@sha256:{digest}")).unwrap();
        assert_eq!(oci.wanted(), format!("sha256:{digest}"));
        assert_eq!(oci.to_string(), format!("oci://r/x:1@sha256:{digest}"));
        for (text, why) in [
            ("oci://r", "no repository"),
            ("oci://r/x", "neither a tag nor"),
            ("oci://r/X:1", "valid repository"),
            ("oci://r/x/:1", "valid repository"),
            ("oci://r/x:-1", "valid tag"),
            ("oci://r:x/x:1", "valid port"),
            ("oci:///x:1", "valid registry"),
            ("oci://r/x@sha256:12", "valid digest"),
        ] {
            assert!(Oci::parse(text).unwrap_err().contains(why), "{text}: {:?}", Oci::parse(text));
        }
    }
}
