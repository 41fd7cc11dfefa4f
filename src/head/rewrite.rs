//! What a route's `rewrite` means: changes of path, query and header fields on the way to the service. Pure; compiled
//! once a configuration.
//!
//! Rules are carried out in order, each on what the ones before it left. What no rule touches goes out as it came, byte
//! for byte. A rule's `path` is looked for in the path as received, with the escapes of unreserved characters undone
//! (RFC 3986 §6.2.2.2), so that a caller cannot escape its way around it. Groups go into a path as they stand there, and
//! percent-decoded into queries and header fields.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
    uri::{Authority, PathAndQuery},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    pattern::{Captured, Pattern, Template},
    target,
};

/// Everything but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The `rewrite` of a route; it may have no rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite(pub Vec<Rule>);

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The rule counts only where this is found in the path; its groups are those of the templates. Without it the
    /// groups are those of the route's own path expression.
    pub path: Option<Pattern>,
    /// What the part of the path that was found becomes.
    pub to: Option<Template>,
    /// Changes of query parameters, by decoded name.
    pub query: Vec<Change<String>>,
    /// Changes of header fields.
    pub headers: Vec<Change<HeaderName>>,
}

/// A change of what has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<N> {
    /// There is none of it any more.
    Remove(N),
    /// In each of its values the first match is replaced; the template's groups are those of this match.
    Replace(N, Pattern, Template),
    /// It has this value only.
    Set(N, Template),
    /// It has this value, too.
    Append(N, Template),
}

impl Rewrite {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Carries out the rules; `route` is what the route's path expression captured, decoded.
    ///
    /// # Errors
    /// A line for the caller: what came out is not a path, a host or a header value. A path is judged by the rules for
    /// paths that come in, so that no group can smuggle in a dot segment.
    pub fn apply(
        &self,
        target: &mut PathAndQuery,
        headers: &mut HeaderMap,
        route: Option<&Captured>,
    ) -> Result<(), String> {
        let mut path = Cow::Borrowed(target.path());
        let mut query = target.query().map(Cow::Borrowed);
        for rule in &self.0 {
            let mut found = route.cloned();
            if let Some(pattern) = &rule.path {
                let spelled = target::unreserved(&path);
                let Some(raw) = pattern.captures(&spelled) else { continue };
                if let Some(to) = &rule.to {
                    path = Cow::Owned(rooted(raw.replaced_in(&spelled, &to.expand(Some(&raw)))));
                }
                found = Some(raw.map(|group| target::decoded_or_raw(group).into_owned()));
            }
            for change in &rule.query {
                query = edit_query(query.as_deref().unwrap_or_default(), change, found.as_ref()).map(Cow::Owned);
            }
            for change in &rule.headers {
                edit_headers(headers, change, found.as_ref())?;
            }
        }
        if let Cow::Owned(path) = &path {
            target::segments(path).map_err(|refusal| format!("{} once it is rewritten", refusal.reason))?;
        }
        let whole = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        if whole != target.as_str() {
            *target = PathAndQuery::try_from(whole).map_err(|_| "the rewritten path is not valid".to_owned())?;
        }
        Ok(())
    }
}

fn rooted(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/{path}") }
}

/// One change of a raw query; none if nothing is left of it.
fn edit_query(raw: &str, change: &Change<String>, found: Option<&Captured>) -> Option<String> {
    let named = |pair: &str, name: &str| {
        let raw_name = pair.split_once('=').map_or(pair, |(name, _)| name);
        !pair.is_empty() && target::decoded_or_raw(raw_name) == name
    };
    let spelled = |name: &str, value: &str| {
        format!("{}={}", utf8_percent_encode(name, RESERVED), utf8_percent_encode(value, RESERVED))
    };
    let mut pairs: Vec<Cow<'_, str>> =
        if raw.is_empty() { Vec::new() } else { raw.split('&').map(Cow::Borrowed).collect() };
    match change {
        Change::Remove(name) => pairs.retain(|pair| !named(pair, name)),
        Change::Replace(name, pattern, to) => {
            for pair in pairs.iter_mut().filter(|pair| named(pair, name)) {
                let value = target::decoded_or_raw(pair.split_once('=').map_or("", |(_, value)| value)).into_owned();
                if let Some(captured) = pattern.captures(&value) {
                    *pair = Cow::Owned(spelled(name, &captured.replaced_in(&value, &to.expand(Some(&captured)))));
                }
            }
        }
        Change::Set(name, value) => {
            let new = spelled(name, &value.expand(found));
            let first = pairs.iter().position(|pair| named(pair, name));
            let mut at = 0;
            pairs.retain(|pair| {
                let keep = !named(pair, name) || Some(at) == first;
                at += 1;
                keep
            });
            match first {
                Some(first) => pairs[first] = Cow::Owned(new),
                None => pairs.push(Cow::Owned(new)),
            }
        }
        Change::Append(name, value) => pairs.push(Cow::Owned(spelled(name, &value.expand(found)))),
    }
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn edit_headers(headers: &mut HeaderMap, change: &Change<HeaderName>, found: Option<&Captured>) -> Result<(), String> {
    match change {
        Change::Remove(name) => {
            if headers.contains_key(name) {
                // `HeaderMap::remove` would move the last field into the gap.
                *headers = super::headers::retain(headers, |kept| kept != name);
            }
        }
        Change::Replace(name, pattern, to) => {
            let lines: Vec<_> = headers.get_all(name).iter().cloned().collect();
            let mut replaced = Vec::with_capacity(lines.len());
            for line in lines {
                let found = std::str::from_utf8(line.as_bytes()).ok();
                let found = found.and_then(|text| pattern.captures(text).map(|captured| (text, captured)));
                replaced.push(match found {
                    Some((text, captured)) => value_of(name, &captured.replaced_in(text, &to.expand(Some(&captured))))?,
                    None => line,
                });
            }
            if let Entry::Occupied(mut lines) = headers.entry(name) {
                for (line, value) in lines.iter_mut().zip(replaced) {
                    *line = value;
                }
            }
        }
        Change::Set(name, value) => drop(headers.insert(name, value_of(name, &value.expand(found))?)),
        Change::Append(name, value) => drop(headers.append(name, value_of(name, &value.expand(found))?)),
    }
    Ok(())
}

fn value_of(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    if name == header::HOST && text.parse::<Authority>().is_err() {
        return Err("the rewritten Host header is not a valid authority".to_owned());
    }
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| format!("the rewritten header {name} is not a valid value"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
