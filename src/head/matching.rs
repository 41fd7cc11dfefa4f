//! What a route's `match` means: conditions on a request, all of which must hold. Pure; compiled once a configuration.
//!
//! Paths are compared percent-decoded, segment by segment, so that a route means the same whatever way a caller spells
//! its path. Names of hosts and header fields do not depend on case, everything else does.

use std::fmt;

use http::{HeaderMap, HeaderName, Method};

use super::{
    pattern::{Captured, Pattern},
    target,
};

/// The conditions of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which paths.
    pub path: PathRule,
    /// Which hosts; empty is any.
    pub hosts: Vec<HostRule>,
    /// Which methods; empty is any.
    pub methods: Vec<Method>,
    /// Header fields: one of a field's lines must fit.
    pub headers: Vec<(HeaderName, ValueRule)>,
    /// Query parameters by decoded name: one of its values must fit.
    pub query: Vec<(String, ValueRule)>,
    /// Cookies by name: the first of that name must fit.
    pub cookies: Vec<(String, ValueRule)>,
}

/// Which paths, percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// Begins with these segments: `/chat` is `chat`, and `/` has none and fits every path.
    Prefix(Vec<String>),
    /// Is these segments. A trailing slash counts.
    Exact(Vec<String>),
    /// The decoded path, segments joined with slashes, is matched; what is captured serves rewriting.
    Regex(Pattern),
}

/// Which hosts, in lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// This one.
    Exact(String),
    /// Every name that ends with this and has at least one label more; begins with a dot.
    Below(String),
}

/// Which values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueRule {
    /// This one.
    Exact(String),
    /// Those that begin with this.
    Prefix(String),
    /// Those in which the expression is found.
    Regex(Pattern),
    /// Whether there is one.
    Present(bool),
}

/// What of a request routes are matched on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The method.
    pub method: &'a Method,
    /// The authority that it is for.
    pub authority: &'a str,
    /// The decoded segments of the path.
    pub segments: &'a [String],
    /// The query, as received.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

/// The condition of a route that a request does not fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss<'a> {
    /// The path is another.
    Path,
    /// The method is.
    Method,
    /// The host is.
    Host,
    /// No line of this field fits.
    Header(&'a HeaderName),
    /// No value of this parameter fits.
    Query(&'a str),
    /// This cookie does not fit.
    Cookie(&'a str),
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Host => f.write_str("host"),
            Self::Header(name) => write!(f, "headers.{name}"),
            Self::Query(name) => write!(f, "query.{name}"),
            Self::Cookie(name) => write!(f, "cookie.{name}"),
        }
    }
}

impl Match {
    /// Every path that begins with these segments, whatever else the request has.
    #[must_use]
    pub const fn prefix(segments: Vec<String>) -> Self {
        Self {
            path: PathRule::Prefix(segments),
            hosts: Vec::new(),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            cookies: Vec::new(),
        }
    }

    /// Whether a request fulfils every condition.
    #[must_use]
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.miss(subject).is_none()
    }

    /// The first condition that a request does not fulfil.
    #[must_use]
    pub fn miss(&self, subject: &Subject<'_>) -> Option<Miss<'_>> {
        if !self.path.matches(subject.segments) {
            return Some(Miss::Path);
        }
        if !self.methods.is_empty() && !self.methods.contains(subject.method) {
            return Some(Miss::Method);
        }
        if !self.hosts.is_empty() {
            let host = host_of(subject.authority);
            if !self.hosts.iter().any(|rule| rule.matches(&host)) {
                return Some(Miss::Host);
            }
        }
        let header = self.headers.iter().find(|(name, rule)| {
            let lines = subject.headers.get_all(name).iter();
            // Every value is UTF-8; one that is not would fit nothing.
            !rule.matches(lines.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()))
        });
        if let Some((name, _)) = header {
            return Some(Miss::Header(name));
        }
        let query = self.query.iter().find(|(name, rule)| {
            let pairs: Vec<_> = target::query_pairs(subject.query.unwrap_or_default()).collect();
            !rule.matches(pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value))
        });
        if let Some((name, _)) = query {
            return Some(Miss::Query(name));
        }
        let cookie =
            self.cookies.iter().find(|(name, rule)| !rule.matches(target::cookie(subject.headers, name).into_iter()));
        cookie.map(|(name, _)| Miss::Cookie(name))
    }

    /// Whether it certainly matches every request that `other` matches. False where that would take more than a comparison
    /// of the conditions, such as of two regular expressions.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        fn fits(wide: &ValueRule, narrow: &ValueRule) -> bool {
            match (wide, narrow) {
                (ValueRule::Present(true), ValueRule::Present(there)) => *there,
                (ValueRule::Present(true), _) => true,
                (ValueRule::Prefix(wide), ValueRule::Exact(text) | ValueRule::Prefix(text)) => text.starts_with(wide),
                (wide, narrow) => wide == narrow,
            }
        }
        fn all<N: PartialEq>(wide: &[(N, ValueRule)], narrow: &[(N, ValueRule)]) -> bool {
            wide.iter().all(|(name, wide)| narrow.iter().any(|(other, narrow)| name == other && fits(wide, narrow)))
        }
        let host = |narrow: &HostRule| {
            self.hosts.iter().any(|wide| match (wide, narrow) {
                (HostRule::Below(wide), HostRule::Below(narrow)) => narrow.ends_with(wide),
                (wide, HostRule::Exact(host)) => wide.matches(host),
                (HostRule::Exact(_), HostRule::Below(_)) => false,
            })
        };
        let listed = |empty: bool, narrow: bool| empty || !narrow;
        self.path.covers(&other.path)
            && listed(self.hosts.is_empty(), other.hosts.is_empty())
            && (self.hosts.is_empty() || other.hosts.iter().all(host))
            && listed(self.methods.is_empty(), other.methods.is_empty())
            && (self.methods.is_empty() || other.methods.iter().all(|method| self.methods.contains(method)))
            && all(&self.headers, &other.headers)
            && all(&self.query, &other.query)
            && all(&self.cookies, &other.cookies)
    }

    /// What the path's expression captured, if the path is matched by one.
    #[must_use]
    pub fn captures(&self, segments: &[String]) -> Option<Captured> {
        match &self.path {
            PathRule::Regex(pattern) => pattern.captures(&joined(segments)),
            PathRule::Prefix(_) | PathRule::Exact(_) => None,
        }
    }
}

impl PathRule {
    /// Whether it certainly fits every path that `other` fits.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(wide), Self::Prefix(narrow) | Self::Exact(narrow)) => narrow.starts_with(wide),
            (Self::Prefix(wide), Self::Regex(_)) => wide.is_empty(),
            (Self::Regex(pattern), Self::Exact(path)) => pattern.is_match(&joined(path)),
            (wide, narrow) => wide == narrow,
        }
    }

    /// Whether a path with these segments fits.
    #[must_use]
    pub fn matches(&self, segments: &[String]) -> bool {
        match self {
            Self::Prefix(prefix) => segments.starts_with(prefix),
            Self::Exact(exact) => segments == exact,
            Self::Regex(pattern) => pattern.is_match(&joined(segments)),
        }
    }
}

fn joined(segments: &[String]) -> String {
    segments.iter().fold(String::new(), |path, segment| path + "/" + segment)
}

impl HostRule {
    /// Whether a host, in lower case and without port, fits.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host == exact,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        }
    }
}

/// The host of an authority in lower case, without port, and without the dot that may end a full name.
#[must_use]
pub fn host_of(authority: &str) -> String {
    let host = match authority.rfind(':') {
        // The colons of an IPv6 address stand in brackets.
        Some(colon) if !authority.ends_with(']') => authority.get(..colon).unwrap_or(authority),
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl ValueRule {
    /// Whether one of these values fits.
    pub fn matches<'v>(&self, mut values: impl Iterator<Item = &'v str>) -> bool {
        match self {
            Self::Exact(exact) => values.any(|value| value == exact),
            Self::Prefix(prefix) => values.any(|value| value.starts_with(prefix.as_str())),
            Self::Regex(pattern) => values.any(|value| pattern.is_match(value)),
            Self::Present(wanted) => values.next().is_some() == *wanted,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn segments(path: &str) -> Vec<String> {
        target::segments(path).unwrap()
    }

    /// Whether `rule` takes a request, given as method, authority, target and `name: value` lines.
    fn takes(rule: &Match, method: &str, authority: &str, target: &str, lines: &[(&'static str, &str)]) -> bool {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        rule.matches(&Subject {
            method: &method.parse().unwrap(),
            authority,
            segments: &segments(path),
            query,
            headers: &headers,
        })
    }

    fn of_path(path: PathRule) -> Match {
        Match { path, ..Match::prefix(Vec::new()) }
    }

    #[test]
    fn a_path_is_matched_by_decoded_segments() {
        let prefix = Match::prefix(segments("/a/b"));
        let exact = of_path(PathRule::Exact(segments("/a/b")));
        let regex = of_path(PathRule::Regex(Pattern::new("^/a/[^/]+$").unwrap()));
        let all = Match::prefix(Vec::new());
        for (path, expected) in [
            ("/a/b", [true, true, true, true]),
            ("/%61/b", [true, true, true, true]),
            ("/a/b/", [true, false, false, true]),
            ("/a/b/c", [true, false, false, true]),
            ("/a/bc", [false, false, true, true]),
            ("/a", [false, false, false, true]),
            ("//a/b", [false, false, false, true]),
            ("/A/b", [false, false, false, true]),
            ("/", [false, false, false, true]),
        ] {
            let found = [&prefix, &exact, &regex, &all].map(|rule| takes(rule, "GET", "h", path, &[]));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn an_expression_sees_the_decoded_path_and_captures_from_it() {
        let rule = of_path(PathRule::Regex(Pattern::new("^/t/(?<tenant>[^/]+)/").unwrap()));
        assert!(takes(&rule, "GET", "h", "/t/gr%C3%BCn%20x/y", &[]));
        let found = rule.captures(&segments("/t/gr%C3%BCn%20x/y")).unwrap();
        assert_eq!(format!("{found:?}").matches("grün x").count(), 2);
        assert_eq!(Match::prefix(Vec::new()).captures(&segments("/t/x/y")), None);
    }

    #[test]
    fn a_host_is_matched_without_port_and_case_and_a_wildcard_needs_a_label() {
        let hosts = vec![HostRule::Exact("chat.example".into()), HostRule::Below(".example.org".into())];
        let rule = Match { hosts, ..Match::prefix(Vec::new()) };
        for (authority, expected) in [
            ("chat.example", true),
            ("CHAT.example:8080", true),
            ("chat.example.", true),
            ("a.example.org", true),
            ("a.b.example.org:1", true),
            ("example.org", false),
            (".example.org", false),
            ("badexample.org", false),
            ("", false),
            ("[::1]:80", false),
        ] {
            assert_eq!(takes(&rule, "GET", authority, "/", &[]), expected, "{authority}");
        }
        assert_eq!((host_of("[::1]:80"), host_of("[::1]")), ("[::1]".into(), "[::1]".into()));
    }

    #[test]
    fn methods_headers_query_and_cookies_must_all_fit() {
        let value = |rule: ValueRule| vec![("n".to_owned(), rule)];
        let header = HeaderName::from_static("x-n");
        let any = || Match::prefix(Vec::new());
        let rules = [
            Match { methods: vec![Method::GET, Method::HEAD], ..any() },
            Match { headers: vec![(header, ValueRule::Exact("1".into()))], ..any() },
            Match { query: value(ValueRule::Prefix("ab".into())), ..any() },
            Match { cookies: value(ValueRule::Regex(Pattern::new("^c+$").unwrap())), ..any() },
        ];
        let fits = |method: &str, target: &str, lines: &[(&'static str, &str)]| {
            rules.each_ref().map(|rule| takes(rule, method, "h", target, lines))
        };
        assert_eq!(fits("GET", "/", &[]), [true, false, false, false]);
        assert_eq!(fits("POST", "/?n=abc", &[("X-N", "1")].map(|_| ("x-n", "1"))), [false, true, true, false]);
        assert_eq!(fits("HEAD", "/?m=ab&n=x&n=a%62", &[("cookie", "a=b; n=cc")]), [true, false, true, true]);
        assert_eq!(fits("GET", "/", &[("x-n", "2"), ("x-n", "1"), ("cookie", "n=cd")]), [true, true, false, false]);
    }

    #[test]
    fn presence_is_a_condition_of_its_own() {
        let rule = |present| Match {
            headers: vec![(HeaderName::from_static("upgrade"), ValueRule::Present(present))],
            ..Match::prefix(Vec::new())
        };
        assert!(takes(&rule(true), "GET", "h", "/", &[("upgrade", "")]));
        assert!(!takes(&rule(true), "GET", "h", "/", &[]));
        assert!(takes(&rule(false), "GET", "h", "/", &[]));
        assert!(!takes(&rule(false), "GET", "h", "/", &[("upgrade", "websocket")]));
    }
}
