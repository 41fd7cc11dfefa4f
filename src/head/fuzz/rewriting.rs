//! What rules make of a path, a query and fields, against the same rules carried out on lists.

use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use percent_encoding::{percent_decode_str, percent_encode_byte};
use regex::Regex;

use super::{
    headers::{Line, line, owned},
    rules::{Parts, expression, replaced},
    target::spelled,
};
use crate::{
    fuzzing::Input,
    head::{
        pattern::Template,
        rewrite::{Change, Rewrite, Rule},
        target,
    },
};

const NAMES: [&str; 4] = ["n", "a b", "ü", "x"];
const FIELDS: [&str; 4] = ["x-one", "x-two", "cookie", "host"];

/// A change, for the reference.
enum Wanted {
    Remove,
    Replace(&'static Regex, Parts),
    Set(Parts),
    Append(Parts),
}

fn change<N>(name: N, input: &mut Input<'_>, of: Option<&'static Expression>) -> (Change<N>, Wanted) {
    match input.byte() % 4 {
        0 => (Change::Remove(name), Wanted::Remove),
        1 => {
            let of = expression(input);
            let (parts, template) = Parts::read(input, Some(of));
            (Change::Replace(name, of.1.clone(), template), Wanted::Replace(&of.0, parts))
        }
        2 => {
            let (parts, template) = Parts::read(input, of);
            (Change::Set(name, template), Wanted::Set(parts))
        }
        _ => {
            let (parts, template) = Parts::read(input, of);
            (Change::Append(name, template), Wanted::Append(parts))
        }
    }
}

type Expression = (Regex, crate::head::pattern::Pattern);

/// What is sent on, as the reference has it.
struct State {
    path: String,
    rewritten: bool,
    query: Vec<String>,
    /// There is one, even if it is empty.
    has_query: bool,
    fields: Vec<Line>,
    good: bool,
}

/// Some rules and a request.
pub(super) fn rewriting(input: &mut Input<'_>) {
    let Ok(mut target) = PathAndQuery::try_from(input.text()) else { return };
    if target::segments(target.path()).is_err() {
        return;
    }
    let lines: Vec<Line> = (0..input.byte() % 6).filter_map(|_| line(input)).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in &lines {
        headers.append(name, value.clone());
    }
    let (target_before, headers_before) = (target.clone(), headers.clone());
    let query = target.query();
    let mut state = State {
        path: target.path().to_owned(),
        rewritten: false,
        query: query.unwrap_or_default().split('&').map(str::to_owned).collect(),
        has_query: query.is_some(),
        fields: owned(&headers),
        good: true,
    };
    if query.unwrap_or_default().is_empty() {
        state.query.clear();
    }

    let route = (input.byte() % 2 == 1).then(|| expression(input));
    let decoded_path = percent_decode_str(target.path()).decode_utf8().unwrap().into_owned();
    let by_route = route.map(|of| (of.0.captures(&decoded_path), of.1.captures(&decoded_path)));
    let route = route.filter(|_| by_route.as_ref().is_some_and(|(found, _)| found.is_some()));
    let mut rules = Vec::new();
    for _ in 0..input.byte() % 4 {
        let own = (input.byte() % 2 == 1).then(|| expression(input));
        let to: Option<(Parts, Template)> = own.filter(|_| input.byte() % 2 == 1).map(|of| Parts::of_path(input, of));
        let of = own.or(route);
        let mut rule = Rule { path: own.map(|of| of.1.clone()), ..Rule::default() };
        rule.to = to.as_ref().map(|(_, template)| template.clone());
        let (mut query, mut fields) = (Vec::new(), Vec::new());
        for _ in 0..input.byte() % 3 {
            let name = NAMES[usize::from(input.byte()) % NAMES.len()];
            let (change, wanted) = change(name.to_owned(), input, of);
            rule.query.push(change);
            query.push((name, wanted));
        }
        for _ in 0..input.byte() % 3 {
            let name = HeaderName::from_static(FIELDS[usize::from(input.byte()) % FIELDS.len()]);
            let (change, wanted) = change(name.clone(), input, of);
            rule.headers.push(change);
            fields.push((name, wanted));
        }
        rules.push(rule);
        if state.good {
            let found_by_route = by_route.as_ref().and_then(|(found, _)| found.as_ref());
            state.carry_out(own, to.map(|(parts, _)| parts), &query, &fields, found_by_route);
        }
    }

    let untouched = rules.iter().all(|rule| rule.to.is_none() && rule.query.is_empty() && rule.headers.is_empty());
    let rewrite = Rewrite(rules);
    let result = rewrite.apply(&mut target, &mut headers, by_route.as_ref().and_then(|(_, found)| found.as_ref()));
    state.good &= !state.rewritten || target::segments(&state.path).is_ok();
    match result {
        Ok(()) => {
            assert!(state.good, "{rewrite:?} was carried out on {target_before}");
            let query = (state.has_query || !state.query.is_empty()).then(|| state.query.join("&"));
            assert_eq!(target.path(), state.path);
            assert_eq!(target.query().map(str::to_owned), query, "{rewrite:?} on {target_before}");
            assert!(target::segments(target.path()).is_ok(), "the next hop gets a path that we would take");
            let same = |a: &HeaderMap, b: &[Line]| {
                a.keys().all(|name| {
                    let b: Vec<_> = b.iter().filter(|line| line.0 == *name).map(|line| &line.1).collect();
                    a.get_all(name).iter().collect::<Vec<_>>() == b
                }) && a.len() == b.len()
            };
            assert!(same(&headers, &state.fields), "{headers:?} is not {:?}", state.fields);
            if untouched {
                // An absolute target may have no path, which is `/`.
                assert_eq!((target.to_string(), headers), (target_before.to_string(), headers_before), "as it came");
            }
        }
        Err(why) => {
            assert!(!state.good || state.path.len() > 60_000, "{why}, though {} is fine", state.path);
            assert!(!why.contains('\n'), "one line: {why}");
        }
    }
}

/// Percent-decoded if that gives text and every escape is whole.
fn decoded(raw: &str) -> String {
    let mut escapes = raw.split('%').skip(1);
    let whole = escapes.all(|rest| rest.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit())));
    let text = percent_decode_str(raw).decode_utf8().ok().filter(|_| whole);
    text.map_or_else(|| raw.to_owned(), std::borrow::Cow::into_owned)
}

/// Everything but unreserved characters escaped, byte by byte.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            percent_encode_byte(byte).to_owned()
        }
    };
    text.bytes().map(byte).collect()
}

impl State {
    fn carry_out(
        &mut self,
        own: Option<&'static Expression>,
        to: Option<Parts>,
        query: &[(&str, Wanted)],
        fields: &[(HeaderName, Wanted)],
        by_route: Option<&regex::Captures<'_>>,
    ) {
        let path = spelled(&self.path);
        let by_own = own.map(|of| of.0.captures(&path));
        let found = match &by_own {
            Some(None) => return,
            Some(Some(found)) => Some(found),
            None => by_route,
        };
        if let (Some(to), Some(found)) = (to, found) {
            let new = replaced(&path, found, &to.expand(Some(found), str::to_owned));
            self.path = if new.starts_with('/') { new } else { format!("/{new}") };
            self.rewritten = true;
        }
        // The route's expression is matched with the decoded path, a rule's with the path as it is spelled.
        let group = |text: &str| if own.is_some() { decoded(text) } else { text.to_owned() };
        // A query of which nothing is left goes, one that was empty stays.
        self.has_query &= query.is_empty();
        for (name, wanted) in query {
            self.edit_query(name, wanted, |parts| parts.expand(found, group));
        }
        for (name, wanted) in fields {
            if self.good {
                self.edit_field(name, wanted, |parts| parts.expand(found, group));
            }
        }
    }

    fn edit_query(&mut self, name: &str, wanted: &Wanted, expand: impl Fn(&Parts) -> String) {
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        let is_named = |pair: &String| !pair.is_empty() && split(pair).0 == name;
        let spelled = |value: &str| format!("{}={}", encoded(name), encoded(value));
        match wanted {
            Wanted::Remove => self.query.retain(|pair| !is_named(pair)),
            Wanted::Replace(of, to) => {
                for pair in self.query.iter_mut().filter(|pair| is_named(pair)) {
                    let value = split(pair).1;
                    if let Some(found) = of.captures(&value) {
                        *pair = spelled(&replaced(&value, &found, &to.expand(Some(&found), str::to_owned)));
                    }
                }
            }
            Wanted::Set(value) => {
                let new = spelled(&expand(value));
                match self.query.iter().position(is_named) {
                    Some(first) => {
                        self.query[first] = new;
                        let behind = self.query.split_off(first + 1);
                        self.query.extend(behind.into_iter().filter(|pair| !is_named(pair)));
                    }
                    None => self.query.push(new),
                }
            }
            Wanted::Append(value) => self.query.push(spelled(&expand(value))),
        }
    }

    fn edit_field(&mut self, name: &HeaderName, wanted: &Wanted, expand: impl Fn(&Parts) -> String) {
        let read = |text: String| {
            let host = *name != "host" || text.parse::<http::uri::Authority>().is_ok();
            HeaderValue::from_bytes(text.as_bytes()).ok().filter(|_| host)
        };
        match wanted {
            Wanted::Remove => self.fields.retain(|line| line.0 != *name),
            Wanted::Replace(of, to) => {
                for line in self.fields.iter_mut().filter(|line| line.0 == *name) {
                    let Ok(text) = std::str::from_utf8(line.1.as_bytes()).map(str::to_owned) else { continue };
                    let Some(found) = of.captures(&text) else { continue };
                    match read(replaced(&text, &found, &to.expand(Some(&found), str::to_owned))) {
                        Some(value) => line.1 = value,
                        None => self.good = false,
                    }
                }
            }
            Wanted::Set(value) | Wanted::Append(value) => {
                let Some(value) = read(expand(value)) else {
                    self.good = false;
                    return;
                };
                if matches!(wanted, Wanted::Set(_)) {
                    self.fields.retain(|line| line.0 != *name);
                }
                self.fields.push((name.clone(), value));
            }
        }
    }
}
