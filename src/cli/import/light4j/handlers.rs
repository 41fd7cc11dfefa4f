//! `handler.yml`: which paths lead to which WebSocket handler.
//!
//! A path, or `defaultHandlers` for all others, names handlers by alias, or chains of them. Of these the two WebSocket
//! handlers become routes. Whatever else stands there is reported: what does the same here, or that nothing does.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::{Node, Place},
    report::Report,
    settings::{Kind, Settings},
};
use crate::config::{
    Problem,
    diagnose::{escaped as plain, quoted},
};

/// How deep chains may name chains.
const MAX_DEPTH: usize = 16;

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    Rendezvous,
    Router,
}

impl Handler {
    fn of(class: &str) -> Option<Self> {
        let class = class.rsplit('.').next().unwrap_or(class);
        match class {
            "WebSocketRendezvousHandler" => Some(Self::Rendezvous),
            "WebSocketRouterHandler" => Some(Self::Router),
            _ => None,
        }
    }

    /// Its class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Rendezvous => "WebSocketRendezvousHandler",
            Self::Router => "WebSocketRouterHandler",
        }
    }
}

/// How a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matching {
    Prefix(String),
    Regex(String),
}

/// A path that leads to a WebSocket handler.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) handler: Handler,
    pub(super) matching: Matching,
    /// What stood there, and where.
    pub(super) from: String,
}

/// What `handler.yml` says of WebSockets.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    /// In order.
    pub(super) served: Vec<Served>,
    /// Whether there is anything at all.
    pub(super) known: bool,
}

struct Reader<'a> {
    /// Class by alias.
    aliases: BTreeMap<&'a str, &'a str>,
    chains: BTreeMap<&'a str, &'a [Node]>,
    reached: BTreeSet<&'static str>,
    /// Handlers of other kinds, in the order in which they stand there.
    others: Vec<(String, Place)>,
}

impl Handlers {
    /// Reads it; what is not carried over goes to the report.
    pub(super) fn read(settings: &Settings, report: &mut Report) -> Result<Self, Box<Problem>> {
        if !settings.has(Kind::Handler) {
            return Ok(Self::default());
        }
        let get = |key| settings.get(Kind::Handler, key);
        if let Some(enabled) = get("enabled")? {
            // As light-4j brings it; false would switch the whole of it off.
            if !super::boolean(&enabled.node)? {
                return Err(enabled.node.place.problem("the handlers are switched off, so there is nothing to import"));
            }
        }
        let (handlers, chains, paths, default) =
            (get("handlers")?, get("chains")?, get("paths")?, get("defaultHandlers")?);
        let mut reader =
            Reader { aliases: BTreeMap::new(), chains: BTreeMap::new(), reached: BTreeSet::new(), others: Vec::new() };
        let mut registered = Vec::new();
        if let Some(handlers) = &handlers {
            for item in handlers.node.items("- com.example.SomeHandler@alias")? {
                let text = item.text("com.example.SomeHandler@alias")?;
                let (class, alias) = text.split_once('@').unwrap_or((text, text));
                if let Some(first) = reader.aliases.insert(alias.trim(), class.trim()) {
                    let message = format!("the alias {} is that of {} already", quoted(alias), quoted(first));
                    return Err(item.place.problem(message));
                }
                registered.extend(Handler::of(class.trim()).map(|handler| (handler, &item.place)));
            }
        }
        if let Some(chains) = &chains {
            for chain in chains.node.entries("default: [exception, router]")? {
                reader.chains.insert(&chain.key, chain.node.items("[exception, router]")?);
            }
        }
        let mut served = Vec::new();
        if let Some(paths) = &paths {
            for path in paths.node.items("- {path: /chat, method: GET, exec: [rendezvous]}")? {
                served.extend(reader.path(path, report)?);
            }
        }
        if let Some(default) = &default {
            let handlers = reader.expand(default.node.items("[default]")?)?;
            let everything = || Matching::Prefix("/".to_owned());
            served.extend(handlers.into_iter().map(|handler| Served {
                handler,
                matching: everything(),
                from: default.from.clone(),
            }));
        }
        if paths.is_none() && default.is_none() {
            // So it stands in the documentation: a chain and nothing that leads to it.
            for (name, items) in reader.chains.clone() {
                for handler in reader.expand(items)? {
                    let from = format!("chain {}, which nothing names: taken for every path", quoted(name));
                    served.push(Served { handler, matching: Matching::Prefix("/".to_owned()), from });
                }
            }
        }
        for (handler, place) in registered {
            if !reader.reached.contains(handler.class()) {
                report.lost(place, format!("no path leads to {}", handler.class()));
            }
        }
        for (name, place) in reader.others {
            match equivalent(&name) {
                Ok(same) => report.differs(format!("handler {} ({place}): {same}", quoted(&name))),
                Err(hint) => report.lost(&place, format!("handler {} has no counterpart{hint}", quoted(&name))),
            }
        }
        Ok(Self { served, known: true })
    }
}

impl<'a> Reader<'a> {
    fn path(&mut self, item: &'a Node, report: &mut Report) -> Result<Vec<Served>, Box<Problem>> {
        let example = "{path: /chat, method: GET, exec: [rendezvous]}";
        let (mut path, mut method, mut exec) = (None, None, None);
        for entry in item.entries(example)? {
            match entry.key.as_str() {
                "path" => path = Some(&entry.node),
                "method" => method = Some(&entry.node),
                "exec" => exec = Some(&entry.node),
                other => report.lost(&entry.place, format!("{} of a path has no counterpart", quoted(other))),
            }
        }
        let (Some(path), Some(exec)) = (path, exec) else {
            if path.is_none() && exec.is_none() {
                // What it holds instead, such as `source`, has been reported.
                return Ok(Vec::new());
            }
            return Err(item.place.problem_with("a path needs `path` and `exec`", example));
        };
        let template = path.text("/chat")?;
        let matching = matching(template).map_err(|why| {
            path.place.problem_with(format!("{} {why}", quoted(template)), "a path such as /chat or /chat/{room}")
        })?;
        let handlers = self.expand(exec.items("[rendezvous]")?)?;
        let method = method.map(|node| node.text("GET")).transpose()?.unwrap_or("GET");
        let shown = format!("{} {}", plain(method), plain(template));
        if handlers.is_empty() {
            let hint = "no WebSocket handler; if a service is to answer, write a route of `mode: http`";
            report.lost(&item.place, format!("path {shown} leads to {hint}"));
            return Ok(Vec::new());
        }
        if !method.eq_ignore_ascii_case("GET") {
            let hint = "a WebSocket upgrade is a GET, so nothing ever came of it";
            report.lost(&item.place, format!("path {shown} leads to a WebSocket handler: {hint}"));
            return Ok(Vec::new());
        }
        let from = format!("path {shown}, {}", item.place);
        Ok(handlers
            .into_iter()
            .map(|handler| Served { handler, matching: matching.clone(), from: from.clone() })
            .collect())
    }

    /// The WebSocket handlers that a list of aliases and chains comes to; the others are remembered.
    fn expand(&mut self, items: &'a [Node]) -> Result<Vec<Handler>, Box<Problem>> {
        let mut found = Vec::new();
        self.collect(items, 0, &mut found)?;
        Ok(found)
    }

    fn collect(&mut self, items: &'a [Node], depth: usize, found: &mut Vec<Handler>) -> Result<(), Box<Problem>> {
        for item in items {
            let name = item.text("the alias of a handler, or the name of a chain")?;
            if depth == MAX_DEPTH {
                return Err(item.place.problem(format!("the chain {} leads back to itself", quoted(name))));
            }
            if let Some(chain) = self.chains.get(name).copied() {
                self.collect(chain, depth + 1, found)?;
                continue;
            }
            // The documentation leaves out the classes of handlers that are not its subject.
            let class = self.aliases.get(name).copied().unwrap_or(name);
            match Handler::of(class) {
                Some(handler) => {
                    self.reached.insert(handler.class());
                    if !found.contains(&handler) {
                        found.push(handler);
                    }
                }
                None if self.others.iter().any(|(known, _)| known == name) => {}
                None => self.others.push((name.to_owned(), item.place.clone())),
            }
        }
        Ok(())
    }
}

/// What a path of light-4j matches: exactly it there; here, as its documentation means it, also what lies below it.
fn matching(template: &str) -> Result<Matching, &'static str> {
    let path = template.trim_end_matches('*');
    if !path.starts_with('/') {
        return Err("does not start with a slash");
    }
    if !path.is_ascii() || path.contains(['?', '#', '*']) || path.chars().any(char::is_control) {
        return Err("is not a path");
    }
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    if path == "/" {
        return Ok(Matching::Prefix("/".to_owned()));
    }
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let decoded =
        |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8().map(|text| text.to_string());
    let bad = |segment: &&str| {
        let text = decoded(segment);
        !text.is_ok_and(|text| !matches!(text.as_str(), "" | "." | "..") && !text.contains(['/', '\\', '\0']))
    };
    if segments.iter().any(bad) {
        return Err("has a segment that no request can have");
    }
    if !path.contains(['{', '}']) {
        return Ok(Matching::Prefix(path.to_owned()));
    }
    let mut regex = "^".to_owned();
    for segment in segments {
        regex.push('/');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.contains(['{', '}']) => regex.push_str("[^/]+"),
            _ if segment.contains(['{', '}']) => return Err("has a template that is not a whole segment"),
            // It was decoded once already.
            _ => regex.push_str(&regex::escape(&decoded(segment).unwrap_or_default())),
        }
    }
    Ok(Matching::Regex(regex + "(/|$)"))
}

/// What does here what another handler did; or a hint where nothing does.
fn equivalent(name: &str) -> Result<&'static str, &'static str> {
    let name = name.to_ascii_lowercase();
    let table: [(&[&str], Result<&str, &str>); 10] = [
        (&["exception"], Ok("every refusal is an answer with its cause, and needs no handler")),
        (&["metrics", "prometheus"], Ok("/metrics of the admin address is always there")),
        (&["health"], Ok("/livez and /readyz of the admin address are always there")),
        (&["traceability", "correlation"], Err("; header fields are passed on to services as they come")),
        (&["header"], Err("; see `rewrite` of a route")),
        (&["security", "jwt", "basic", "apikey", "sso", "stateless"], {
            Err("; write a policy that looks at the header, or authenticate in front")
        }),
        (&["limit"], Err("; see `limits.upgrades_per_second` of a route and `connections_per_ip` of a listener")),
        (&["cors"], Err("; CORS headers are the service's to send")),
        (&["proxy", "router"], Err("; HTTP goes through a route of `mode: http`")),
        (&["audit"], Err("; the log has a line for each session")),
    ];
    let row = table.into_iter().find(|(words, _)| words.iter().any(|word| name.contains(word)));
    row.map_or(Err(""), |(_, what)| what)
}
