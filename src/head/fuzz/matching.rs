//! What routes match, against the conditions restated over text.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;

use super::rules::{EXPRESSIONS, expression};
use crate::{
    fuzzing::Input,
    head::{
        matching::{HostRule, Match, PathRule, Subject, ValueRule},
        target,
    },
};

/// Words of which rules and requests are made, so that they meet.
const WORDS: [&str; 10] = ["", "a", "b", "ab", "abc", "A", "a b", "ü", "a%b", "+"];
const HOSTS: [&str; 6] = ["a", "example", "x.example", "a.x.example", "[::1]", "127.0.0.1"];

fn word(input: &mut Input<'_>) -> String {
    match usize::from(input.byte()) {
        known @ 0..200 => WORDS[known % WORDS.len()].to_owned(),
        _ => String::from_utf8_lossy(input.text()).into_owned(),
    }
}

fn value_rule(input: &mut Input<'_>) -> ValueRule {
    match input.byte() % 5 {
        0 => ValueRule::Exact(word(input)),
        1 => ValueRule::Prefix(word(input)),
        2 => ValueRule::Regex(expression(input).1.clone()),
        3 => ValueRule::Present(true),
        _ => ValueRule::Present(false),
    }
}

fn fits(rule: &ValueRule, values: &[String]) -> bool {
    match rule {
        ValueRule::Exact(wanted) => values.contains(wanted),
        ValueRule::Prefix(wanted) => values.iter().any(|value| value.get(..wanted.len()) == Some(wanted)),
        ValueRule::Regex(wanted) => {
            let (compiled, _) = EXPRESSIONS.iter().find(|(_, pattern)| pattern == wanted).unwrap();
            values.iter().any(|value| compiled.find(value).is_some())
        }
        ValueRule::Present(wanted) => *wanted != values.is_empty(),
    }
}

/// A whole route's conditions and a request.
pub(super) fn matching(input: &mut Input<'_>) {
    let chosen = input.byte();
    let raw = String::from_utf8_lossy(input.text()).into_owned();
    let Ok(segments) = target::segments(&raw) else { return };
    let path = percent_decode_str(&raw).decode_utf8().expect("it was accepted").into_owned();
    let of_rule: Vec<String> = (0..input.byte() % 4).map(|_| word(input)).filter(|word| !word.contains('/')).collect();
    let joined = |segments: &[String]| segments.iter().fold(String::new(), |text, segment| text + "/" + segment);
    let (rule, path_fits) = match chosen % 3 {
        0 => (PathRule::Prefix(of_rule.clone()), format!("{path}/").starts_with(&(joined(&of_rule) + "/"))),
        1 => (PathRule::Exact(of_rule.clone()), !of_rule.is_empty() && path == joined(&of_rule)),
        _ => {
            let (compiled, pattern) = expression(input);
            (PathRule::Regex(pattern.clone()), compiled.find(&path).is_some())
        }
    };

    let mut wanted = path_fits;
    let mut conditions = Match { path: rule, ..Match::prefix(Vec::new()) };
    let methods = [Method::GET, Method::POST, Method::HEAD];
    let method = methods[usize::from(input.byte() % 3)].clone();
    if chosen & 8 != 0 {
        conditions.methods = methods[..=usize::from(input.byte() % 3)].to_vec();
        wanted &= conditions.methods.contains(&method);
    }

    let host = HOSTS[usize::from(input.byte()) % HOSTS.len()];
    let authority = match input.byte() % 4 {
        0 => "",
        1 => ":80",
        2 => ":",
        // Names alone may end with a dot.
        _ if host.ends_with(']') => "",
        _ => ".",
    };
    let authority =
        if input.byte().is_multiple_of(2) { format!("{host}{authority}") } else { host.to_ascii_uppercase() };
    if chosen & 16 != 0 {
        let known = HOSTS[usize::from(input.byte()) % HOSTS.len()];
        let below = input.byte().is_multiple_of(2);
        conditions.hosts =
            vec![if below { HostRule::Below(format!(".{known}")) } else { HostRule::Exact(known.to_owned()) }];
        wanted &= if below {
            host.strip_suffix(known).is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        } else {
            host == known
        };
    }

    let name = HeaderName::from_static("x-n");
    let lines: Vec<String> = (0..input.byte() % 3).map(|_| word(input)).collect();
    let mut headers = HeaderMap::new();
    let mut values = Vec::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            headers.append(&name, value);
            values.push(line);
        }
    }
    if chosen & 32 != 0 {
        let rule = value_rule(input);
        wanted &= fits(&rule, &values);
        conditions.headers.push((name, rule));
    }

    let pairs: Vec<(String, String)> = (0..input.byte() % 3).map(|_| (word(input), word(input))).collect();
    let plain = |text: &String| !text.contains(['&', '=', '%']);
    let query = pairs.iter().filter(|(name, value)| plain(name) && plain(value));
    let query: Vec<String> = query.map(|(name, value)| format!("{name}={value}")).collect();
    if chosen & 64 != 0 {
        let (name, rule) = (word(input), value_rule(input));
        let of_name = query.iter().filter_map(|pair| pair.strip_prefix(&name)?.strip_prefix('='));
        wanted &= fits(&rule, &of_name.map(str::to_owned).collect::<Vec<_>>());
        conditions.query.push((name, rule));
    }

    let cookie = pairs.iter().filter(|(name, value)| !format!("{name}{value}").contains([';', '=']));
    let cookie: Vec<String> = cookie.map(|(name, value)| format!("{name}={value}")).collect();
    if let Ok(value) = HeaderValue::from_bytes(cookie.join("; ").as_bytes()) {
        headers.append(header::COOKIE, value);
        if chosen & 128 != 0 {
            let (name, rule) = (word(input).trim().to_owned(), value_rule(input));
            let first = cookie.iter().filter_map(|pair| pair.split_once('=')).find(|(found, _)| found.trim() == name);
            wanted &= fits(&rule, &first.map(|(_, value)| value.trim().to_owned()).into_iter().collect::<Vec<_>>());
            conditions.cookies.push((name, rule));
        }
    }

    let (query, whole) = (query.join("&"), conditions.clone());
    let query = (!query.is_empty()).then_some(&query[..]);
    let subject = Subject { method: &method, authority: &authority, segments: &segments, query, headers: &headers };
    assert_eq!(whole.matches(&subject), wanted, "{conditions:?} of {subject:?}");
    let captured = whole.captures(&segments).is_some();
    assert_eq!(captured, path_fits && matches!(whole.path, PathRule::Regex(_)), "what matched is captured");
}
