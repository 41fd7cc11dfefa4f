//! `match` and `rewrite` of a route: which requests it is for, and how they are changed on the way.

use std::{borrow::Cow, collections::BTreeMap};

use http::{HeaderName, Method};
use percent_encoding::percent_decode_str;

use super::{
    check::Check,
    diagnose::quoted,
    file::{ChangesFile, MatchFile, OneOrMany, RewriteFile, ValueFile, ValueMap},
    part::{Field, Text},
    tree::At,
};
use crate::head::{
    headers::policy_name,
    matching::{HostRule, Match, PathRule, ValueRule},
    pattern::{Pattern, Template},
    rewrite::{Change, Rewrite, Rule},
};

/// Most rules of one `rewrite`, and most conditions or changes in one list.
const MOST: usize = 64;

/// What `match` says.
pub(super) fn matching(check: &mut Check, at: &At<'_>, file: &MatchFile) -> Option<Match> {
    let path = path(check, at, file);
    let hosts = list(check, &at.key("host"), file.host.as_ref(), host);
    let methods = list(check, &at.key("method"), file.method.as_ref(), method);
    let headers = conditions(check, &at.key("headers"), file.headers.as_ref(), |check, at, name| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| check.misplaced(at, format!("{} is not a header name", quoted(name)), None))
            .ok()
    });
    let plain = |_: &mut Check, _: &At<'_>, name: &str| Some(name.to_owned());
    let query = conditions(check, &at.key("query"), file.query.as_ref(), plain);
    let cookies = conditions(check, &at.key("cookie"), file.cookie.as_ref(), plain);
    Some(Match { path: path?, hosts, methods, headers, query, cookies })
}

/// The one of `path`, `exact_path` and `path_regex` that must be there.
fn path(check: &mut Check, at: &At<'_>, file: &MatchFile) -> Option<PathRule> {
    let keys = [("path", &file.path), ("exact_path", &file.exact_path), ("path_regex", &file.path_regex)];
    let mut set = keys.into_iter().filter(|(_, field)| !matches!(field, Field::Absent | Field::Null));
    let Some((key, field)) = set.next() else {
        let what = "the beginning of a path, such as `/chat`; `/` matches every path";
        check.required(&at.key("path"), &file.path, what)?;
        return None;
    };
    if let Some((other, _)) = set.next() {
        let hint = "one of `path`, `exact_path` and `path_regex`".to_owned();
        check.misplaced(&at.key(other), format!("stands beside `{key}`"), Some(hint));
        return None;
    }
    let at = at.key(key);
    let text = check.text(&at, field)?;
    if key == "path_regex" {
        return pattern(check, &at, text).map(PathRule::Regex);
    }
    let read =
        segments(text, key == "exact_path").map_err(|why| check.wrong(&at, format!("{} {why}", quoted(text)), None));
    let read = read.ok()?;
    Some(if key == "path" { PathRule::Prefix(read) } else { PathRule::Exact(read) })
}

/// Decodes a path by the rules for the paths of requests: what they may not hold could never match. A slash at the end
/// counts in an exact path only.
fn segments(path: &str, exact: bool) -> Result<Vec<String>, &'static str> {
    if !exact && matches!(path, "" | "/") {
        return Ok(Vec::new());
    }
    let rest = path.strip_prefix('/').ok_or("does not start with a slash")?;
    if !path.is_ascii() {
        return Err("holds a character that is not ASCII; percent-encode it");
    }
    if path.contains(['?', '#']) {
        return Err("holds a query or a fragment; only the path is matched");
    }
    let (front, last) = match rest.strip_suffix('/') {
        Some(front) => (front, exact.then(String::new)),
        None if exact && rest.is_empty() => return Ok(vec![String::new()]),
        None => (rest, None),
    };
    front.split('/').map(segment).chain(last.map(Ok)).collect()
}

fn segment(raw: &str) -> Result<String, &'static str> {
    let escapes = raw.split('%').skip(1);
    if !escapes.clone().all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|c| c.is_ascii_hexdigit())) {
        return Err("holds a percent sign without two hexadecimal digits");
    }
    let text = percent_decode_str(raw).decode_utf8().map_err(|_| "holds escapes that are not UTF-8")?;
    match &*text {
        "" => Err("holds an empty segment"),
        "." | ".." => Err("holds a dot segment, which no request may have"),
        text if text.contains(['/', '\\']) => Err("holds an escaped slash or a backslash, which no request may have"),
        text if text.chars().any(char::is_control) => Err("holds a control character, which no request may have"),
        text => Ok(text.to_owned()),
    }
}

fn pattern(check: &mut Check, at: &At<'_>, text: &str) -> Option<Pattern> {
    let hint = || Some("the syntax is that of Rust's `regex`, without look-around and back-references".to_owned());
    Pattern::new(text).map_err(|why| check.wrong(at, format!("{} {why}", quoted(text)), hint())).ok()
}

fn template(check: &mut Check, at: &At<'_>, text: &str, pattern: Option<&Pattern>) -> Option<Template> {
    let read = Template::new(text, pattern);
    read.map_err(|why| check.wrong(at, format!("{} {why}", quoted(text)), None)).ok()
}

fn too_many(check: &mut Check, at: &At<'_>, length: usize) -> bool {
    if length > MOST {
        check.misplaced(at, format!("{length} are more than {MOST}"), None);
    }
    length > MOST
}

fn list<T>(
    check: &mut Check,
    at: &At<'_>,
    file: Option<&OneOrMany>,
    read: impl Fn(&mut Check, &At<'_>, &str) -> Option<T>,
) -> Vec<T> {
    match file {
        None => Vec::new(),
        Some(OneOrMany::One(text)) => read(check, at, text).into_iter().collect(),
        Some(OneOrMany::Many(texts)) => {
            if texts.is_empty() {
                check.misplaced(at, "an empty list matches nothing", Some("leave the key out".to_owned()));
            }
            if too_many(check, at, texts.len()) {
                return Vec::new();
            }
            texts.iter().enumerate().filter_map(|(index, text)| read(check, &at.index(index), text)).collect()
        }
    }
}

fn host(check: &mut Check, at: &At<'_>, text: &str) -> Option<HostRule> {
    let (name, wildcard) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = !wildcard && address.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = !name.is_empty()
        && name.split('.').all(|label| !label.is_empty())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c));
    if !is_address && !is_name {
        let hint = "`chat.example.org`, `*.example.org` or an address, without port; IPv6 in brackets".to_owned();
        check.wrong(at, format!("{} is not a host", quoted(text)), Some(hint));
        return None;
    }
    let name = name.to_ascii_lowercase();
    Some(if wildcard { HostRule::Below(format!(".{name}")) } else { HostRule::Exact(name) })
}

fn method(check: &mut Check, at: &At<'_>, text: &str) -> Option<Method> {
    let read = Method::from_bytes(text.as_bytes()).ok().filter(|_| text == text.to_ascii_uppercase());
    if read.is_none() {
        let hint = "methods are in capitals: `GET`, `POST`; a WebSocket upgrade is a `GET`".to_owned();
        check.wrong(at, format!("{} is not a method", quoted(text)), Some(hint));
    }
    read
}

fn conditions<N>(
    check: &mut Check,
    at: &At<'_>,
    file: Option<&BTreeMap<String, ValueFile>>,
    name: impl Fn(&mut Check, &At<'_>, &str) -> Option<N>,
) -> Vec<(N, ValueRule)> {
    let Some(file) = file else { return Vec::new() };
    if too_many(check, at, file.len()) {
        return Vec::new();
    }
    let mut conditions = Vec::with_capacity(file.len());
    for (key, value) in file {
        let at = at.key(key);
        let (name, rule) = (name(check, &at, key), value_rule(check, &at, value));
        conditions.extend(name.zip(rule));
    }
    conditions
}

fn value_rule(check: &mut Check, at: &At<'_>, file: &ValueFile) -> Option<ValueRule> {
    let ValueMap { prefix, regex, present } = match file {
        ValueFile::Exact(text) => return Some(ValueRule::Exact(text.clone())),
        ValueFile::Map(map) => map,
    };
    let is_set = |field: &Text| !matches!(field, Field::Absent);
    match [prefix, regex, present].map(is_set) {
        [true, false, false] => check.text(&at.key("prefix"), prefix).map(|text| ValueRule::Prefix(text.to_owned())),
        [false, true, false] => {
            let at = at.key("regex");
            let text = check.text(&at, regex)?;
            pattern(check, &at, text).map(ValueRule::Regex)
        }
        [false, false, true] => Some(ValueRule::Present(check.flag(&at.key("present"), present, true))),
        _ => {
            let hint = "a text, or one of `{ prefix: … }`, `{ regex: … }`, `{ present: true }`".to_owned();
            check.wrong(at, "is not one condition", Some(hint));
            None
        }
    }
}

/// What `rewrite` says; `route` is the path expression of the route.
pub(super) fn rewrite(check: &mut Check, at: &At<'_>, files: &[RewriteFile], route: Option<&Pattern>) -> Rewrite {
    if too_many(check, at, files.len()) {
        return Rewrite::default();
    }
    Rewrite(files.iter().enumerate().filter_map(|(index, file)| rule(check, &at.index(index), file, route)).collect())
}

fn rule(check: &mut Check, at: &At<'_>, file: &RewriteFile, route: Option<&Pattern>) -> Option<Rule> {
    let path_at = at.key("path");
    let path = check.text(&path_at, &file.path).map(|text| pattern(check, &path_at, text));
    let path = match path {
        Some(unreadable @ None) => return unreadable.map(|_: Pattern| Rule::default()),
        Some(path) => path,
        None => None,
    };
    let to_at = at.key("to");
    let to = match (&path, check.text(&to_at, &file.to)) {
        (Some(path), Some(text)) => target(check, &to_at, text, path),
        (None, Some(_)) => {
            check.misplaced(
                &to_at,
                "has no meaning without `path`",
                Some("add what it replaces: `path: ^/x`".to_owned()),
            );
            None
        }
        (_, None) => None,
    };
    if matches!(file.to, Field::Absent) && file.query.is_none() && file.header.is_none() {
        check.misplaced(at, "changes nothing", Some("add `to`, `query` or `header`".to_owned()));
    }
    let groups = path.as_ref().or(route);
    let query_at = at.key("query");
    let query = changes(check, &query_at, file.query.as_ref(), groups, |_, _, name| Some(name.to_owned()));
    let headers = changes(check, &at.key("header"), file.header.as_ref(), groups, |check, at, name| {
        policy_name(name).map_err(|why| check.misplaced(at, why, None)).ok()
    });
    Some(Rule { path, to, query, headers })
}

/// The template of a path. It is put into the path as it is, so it must be spelled as paths are.
fn target(check: &mut Check, at: &At<'_>, text: &str, path: &Pattern) -> Option<Template> {
    let template = template(check, at, text, Some(path))?;
    let allowed = |c: char| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c);
    if template.literals().any(|literal| !literal.chars().all(allowed)) {
        let hint = "percent-encode it; a query is changed with `query`".to_owned();
        check.wrong(at, format!("{} holds a character that a path may not have", quoted(text)), Some(hint));
        return None;
    }
    Some(template)
}

fn changes<N>(
    check: &mut Check,
    at: &At<'_>,
    file: Option<&ChangesFile>,
    groups: Option<&Pattern>,
    name: impl Fn(&mut Check, &At<'_>, &str) -> Option<N>,
) -> Vec<Change<N>> {
    let Some(ChangesFile { remove, replace, set, append }) = file else { return Vec::new() };
    let mut changes = Vec::new();
    let remove_at = at.key("remove");
    for (index, text) in remove.iter().flatten().enumerate() {
        changes.extend(name(check, &remove_at.index(index), text).map(Change::Remove));
    }
    let replace_at = at.key("replace");
    for (key, file) in replace.iter().flatten() {
        let at = replace_at.key(key);
        let (regex_at, to_at) = (at.key("regex"), at.key("to"));
        let name = name(check, &at, key);
        let regex = check.required(&regex_at, &file.regex, "what is replaced, a regular expression");
        let regex = regex.and_then(|text| pattern(check, &regex_at, text));
        let to = check.required(&to_at, &file.to, "what comes in its place").map(Cow::Borrowed);
        let to = regex.as_ref().zip(to).and_then(|(regex, text)| template(check, &to_at, &text, Some(regex)));
        changes.extend(name.zip(regex).zip(to).map(|((name, regex), to)| Change::Replace(name, regex, to)));
    }
    for (key, list, change) in [
        ("set", set, Change::Set as fn(N, Template) -> Change<N>),
        ("append", append, Change::Append as fn(N, Template) -> Change<N>),
    ] {
        let list_at = at.key(key);
        for (key, text) in list.iter().flatten() {
            let at = list_at.key(key);
            let (name, value) = (name(check, &at, key), template(check, &at, text, groups));
            changes.extend(name.zip(value).map(|(name, value)| change(name, value)));
        }
    }
    let written = remove.iter().flatten().count()
        + replace.iter().flatten().count()
        + [set, append].iter().flat_map(|list| list.iter().flatten()).count();
    if written == 0 {
        check.misplaced(at, "changes nothing", Some("add `remove`, `replace`, `set` or `append`".to_owned()));
    }
    if too_many(check, at, written) {
        changes.clear();
    }
    changes
}
