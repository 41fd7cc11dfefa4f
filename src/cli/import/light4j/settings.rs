//! Which file is which, and what a key of light-4j is after everything was taken together.
//!
//! A file is known by its name or else by its keys; the order in which files are given does not matter. Where a file is
//! not given, light-4j takes the one that it brings, in which every key is a placeholder: so a key is looked up in its
//! file or, without the file, in the values.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    document::{Node, Place, Source, Value},
    values::Values,
};
use crate::config::{Problem, diagnose::quoted};

/// A configuration file of light-4j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Rendezvous,
    Router,
    Handler,
    Server,
    Registry,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Rendezvous, Self::Router, Self::Handler, Self::Server, Self::Registry];

    /// The name of the file without its extension, and of its section in the values.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rendezvous => "websocket-rendezvous",
            Self::Router => "websocket-router",
            Self::Handler => "handler",
            Self::Server => "server",
            Self::Registry => "direct-registry",
        }
    }

    /// The keys that are looked at.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Rendezvous => &["enabled", "backendPath"],
            Self::Router => &["enabled", "defaultProtocol", "defaultEnvTag", "idleTimeoutMs", "pathPrefixService"],
            Self::Handler => &["enabled", "handlers", "chains", "paths", "defaultHandlers"],
            Self::Server => &["ip", "httpPort", "enableHttp", "httpsPort", "enableHttps"],
            Self::Registry => &["directUrls"],
        }
    }

    /// The keys by which a file of another name is known.
    fn is_told_by(self, key: &str) -> bool {
        key != "enabled" && key != "ip" && self.keys().contains(&key)
    }
}

/// The value of a key, without placeholders.
pub(super) struct Found {
    pub(super) node: Node,
    /// Key and place, for comments.
    pub(super) from: String,
}

/// Everything that light-4j was told.
pub(super) struct Settings {
    files: BTreeMap<Kind, Node>,
    values: Values,
}

impl Settings {
    /// Takes the files together.
    pub(super) fn read(sources: &[Arc<Source>]) -> Result<Self, Vec<Problem>> {
        let mut settings = Self { files: BTreeMap::new(), values: Values::default() };
        let mut problems = Vec::new();
        for source in sources {
            if let Err(problem) = settings.add(source) {
                problems.push(*problem);
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn add(&mut self, source: &Arc<Source>) -> Result<(), Box<Problem>> {
        let root = Node::parse(source)?;
        let Some(kind) = recognise(source, &root)? else {
            return self.values.add(&root, &Kind::ALL.map(Kind::name));
        };
        root.entries("enabled: true")?;
        if let Some(first) = self.files.get(&kind) {
            let message = format!("this is a second {}.yml; the first is {}", kind.name(), first.place);
            return Err(root.place.problem_with(message, "give each file once; values.yml may be several"));
        }
        self.files.insert(kind, root);
        Ok(())
    }

    /// Whether there is anything of this kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        let key = |key: &&str| self.values.get(&format!("{}.{key}", kind.name())).is_some();
        // All of them are asked for, so that all of them count as used.
        self.files.contains_key(&kind) || kind.keys().iter().filter(|name| key(name)).count() > 0
    }

    /// A key of a file; none where nobody says anything.
    pub(super) fn get(&self, kind: Kind, key: &str) -> Result<Option<Found>, Box<Problem>> {
        let found = |node: &Node, key: &str| {
            let node = self.values.resolve(node)?;
            let from = format!("{key}, {}", node.place);
            Ok(Found { node, from })
        };
        if let Some(file) = self.files.get(&kind) {
            let entry = file.entries("enabled: true")?.iter().find(|entry| entry.key == key);
            return entry.map(|entry| found(&entry.node, key)).transpose();
        }
        let name = format!("{}.{key}", kind.name());
        self.values.get(&name).map(|entry| found(&entry.node, &name)).transpose()
    }

    /// What nobody has looked at: place and text.
    pub(super) fn left_over(&self) -> Vec<(Place, String)> {
        let mut left = Vec::new();
        for (kind, root) in &self.files {
            let Value::Map(entries) = &root.value else { continue };
            let unknown = entries.iter().filter(|entry| !kind.keys().contains(&entry.key.as_str()));
            left.extend(unknown.map(|entry| (entry.place.clone(), counterpart(&entry.key))));
        }
        for entry in self.values.unused() {
            let overruled = self.files.keys().find(|kind| {
                let key = entry.key.strip_prefix(kind.name()).and_then(|rest| rest.strip_prefix('.'));
                key.is_some_and(|key| kind.keys().contains(&key))
            });
            let text = match overruled {
                Some(kind) => format!("{} has no effect: {}.yml has no placeholder for it", entry.key, kind.name()),
                None => counterpart(&entry.key),
            };
            left.push((entry.place.clone(), text));
        }
        left
    }
}

/// Which file it is; none for values.
fn recognise(source: &Source, root: &Node) -> Result<Option<Kind>, Box<Problem>> {
    let stem = Path::new(&source.name).file_stem().unwrap_or_default().to_string_lossy();
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == stem) {
        return Ok(Some(kind));
    }
    if stem == "values" {
        return Ok(None);
    }
    let keys: Vec<_> = match &root.value {
        Value::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    };
    let section = |key: &&&str| Kind::ALL.iter().any(|kind| key.split('.').next() == Some(kind.name()));
    let is_values = keys.iter().any(|key| section(&key));
    let mut kinds = Kind::ALL.into_iter().filter(|kind| keys.iter().any(|key| kind.is_told_by(key)));
    match (kinds.next(), kinds.next(), is_values) {
        (None, None, true) => Ok(None),
        (Some(kind), None, false) => Ok(Some(kind)),
        (first, ..) => {
            let why = if first.is_some() || is_values { "could be more than one" } else { "is none" };
            let names: Vec<_> = Kind::ALL.iter().map(|kind| format!("{}.yml", kind.name())).collect();
            let message =
                format!("by its name and its keys {} {why} of the files that are known here", quoted(source.short()));
            Err(root
                .place
                .problem_with(message, &format!("name it as light-4j does: {}, values.yml", names.join(", "))))
        }
    }
}

/// What is to be said of a key that has no counterpart.
fn counterpart(key: &str) -> String {
    let section = key.split('.').next().unwrap_or(key);
    let hint = match section {
        "consul" | "service" | "cluster" => "; discovery is not in this version: list endpoints under `services`",
        "client" | "tls" => "; TLS towards services is not in this version",
        "jwt" | "security" | "openapi-security" | "apikey" | "basic-auth" => {
            "; write a policy that looks at the header, or authenticate in front"
        }
        "cors" => "; CORS headers are the service's to send",
        "limit" => "; see `limits.upgrades_per_second` of a route and `connections_per_ip` of a listener",
        "router" | "proxy" => "; HTTP goes through a route of `mode: http`",
        "metrics" | "prometheus" | "influxdb" => "; /metrics of the admin address is always there",
        "logging" => "; see `log`",
        _ => "",
    };
    format!("{} has no counterpart{hint}", quoted(key))
}
