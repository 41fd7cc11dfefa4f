//! What differs between two configurations: pure, from two values to a list of changes.
//!
//! A [`Change`] names what changed by section, name and key, never by value: values may be secrets. The comparison takes
//! every type apart field by field, so that a field that is added to one does not compile until it is compared here.
//! [`pair_listeners`] says which sockets go on, which are opened and which are closed.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Config, Drain, Fetch, Listener, Log, PluginConfig, Reload, Route, Service, Trust};

/// A part of the file, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `listeners`.
    Listeners,
    /// `admin`.
    Admin,
    /// `log`.
    Log,
    /// `reload`.
    Reload,
    /// `plugins`.
    Plugins,
    /// `routes`.
    Routes,
    /// `services`.
    Services,
    /// `trust`.
    Trust,
    /// `fetch`.
    Fetch,
    /// `drain`.
    Drain,
    /// `workers`.
    Workers,
}

impl Section {
    /// Its key in the file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Listeners => "listeners",
            Self::Admin => "admin",
            Self::Log => "log",
            Self::Reload => "reload",
            Self::Plugins => "plugins",
            Self::Routes => "routes",
            Self::Services => "services",
            Self::Trust => "trust",
            Self::Fetch => "fetch",
            Self::Drain => "drain",
            Self::Workers => "workers",
        }
    }
}

/// What became of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These of its keys have other values.
    Changed(Vec<&'static str>),
    /// Other ones stand before it now. Only where the order means something: routes.
    Moved,
}

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub section: Section,
    /// Its name, where the section has several.
    pub name: Option<Arc<str>>,
    /// What became of it.
    pub what: What,
}

impl Change {
    fn new(section: Section, name: Option<&Arc<str>>, what: What) -> Self {
        Self { section, name: name.cloned(), what }
    }

    /// The keys that a running proxy cannot change.
    #[must_use]
    pub fn needs_restart(&self) -> Vec<String> {
        let fixed: &[&str] = match self.section {
            Section::Admin => &["address"],
            Section::Log => &["format", "level", "queue"],
            Section::Workers => return vec![self.section.key().to_owned()],
            _ => &[],
        };
        let What::Changed(keys) = &self.what else { return Vec::new() };
        keys.iter().filter(|key| fixed.contains(*key)).map(|key| format!("{}.{key}", self.section.key())).collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.section.key())?;
        if let Some(name) = &self.name {
            write!(f, ".{name}")?;
        }
        match &self.what {
            What::Added => f.write_str(" added"),
            What::Removed => f.write_str(" removed"),
            What::Moved => f.write_str(" moved"),
            What::Changed(keys) if keys.is_empty() => f.write_str(" changed"),
            What::Changed(keys) => write!(f, " changed: {}", keys.join(", ")),
        }
    }
}

/// The keys whose values differ. Every field of the type must be given, by the key it has in the file.
macro_rules! differing {
    ($type:ident { $($field:ident => $key:literal),* $(,)? }, $before:expr, $after:expr) => {{
        let ($type { $($field: _),* }, before, after) = ($before, $before, $after);
        let all = [$(($key, before.$field != after.$field)),*];
        all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect::<Vec<_>>()
    }};
}

/// What `after` changes about `before`, in the order of the file's sections, names in alphabetical order.
#[must_use]
pub fn diff(before: &Config, after: &Config) -> Vec<Change> {
    // Every section is compared below.
    let Config {
        listeners: _,
        admin,
        log: _,
        reload: _,
        plugins: _,
        routes: _,
        services: _,
        trust: _,
        fetch: _,
        drain: _,
        workers,
    } = before;
    let mut changes =
        named(Section::Listeners, &by_name(&before.listeners), &by_name(&after.listeners), |one, other| {
            listener(one, other)
        });
    let single =
        |section, keys: Vec<&'static str>| (!keys.is_empty()).then(|| Change::new(section, None, What::Changed(keys)));
    changes.extend(single(Section::Admin, if *admin == after.admin { Vec::new() } else { vec!["address"] }));
    changes.extend(single(
        Section::Log,
        differing!(Log { format => "format", level => "level", sessions => "sessions", decisions => "decisions", queue => "queue" }, &before.log, &after.log),
    ));
    changes.extend(single(
        Section::Reload,
        differing!(
            Reload { watch => "watch", quiet => "quiet", generations => "generations", oldest => "oldest", sessions => "sessions", history => "history" },
            &before.reload,
            &after.reload
        ),
    ));
    changes.extend(named(Section::Plugins, &before.plugins, &after.plugins, |one, other| plugin(one, other)));
    changes.extend(routes(before, after));
    let by_id = |config: &Config| -> BTreeMap<Arc<str>, Arc<Service>> {
        config.services.iter().map(|(id, service)| (id.as_str().into(), Arc::clone(service))).collect()
    };
    changes.extend(named(Section::Services, &by_id(before), &by_id(after), |one, other| service(one, other)));
    changes.extend(single(
        Section::Trust,
        differing!(Trust { keys => "keys", require => "require" }, &before.trust, &after.trust),
    ));
    changes.extend(single(
        Section::Fetch,
        differing!(
            Fetch { timeout => "timeout", refresh => "refresh", ca_file => "ca_file", docker_config => "docker_config", hosts => "hosts" },
            &before.fetch,
            &after.fetch
        ),
    ));
    changes.extend(single(
        Section::Drain,
        differing!(
            Drain { delay => "delay", grace => "grace", close_code => "close_code", spread => "spread" },
            &before.drain,
            &after.drain
        ),
    ));
    if *workers != after.workers {
        changes.push(Change::new(Section::Workers, None, What::Changed(Vec::new())));
    }
    changes
}

/// Compares things that have names.
fn named<T>(
    section: Section,
    before: &BTreeMap<Arc<str>, T>,
    after: &BTreeMap<Arc<str>, T>,
    keys: impl Fn(&T, &T) -> Vec<&'static str>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, one) in before {
        match after.get(name) {
            None => changes.push(Change::new(section, Some(name), What::Removed)),
            Some(other) => {
                let keys = keys(one, other);
                if !keys.is_empty() {
                    changes.push(Change::new(section, Some(name), What::Changed(keys)));
                }
            }
        }
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    changes.extend(new.map(|name| Change::new(section, Some(name), What::Added)));
    changes.sort_by(|one, other| one.name.cmp(&other.name));
    changes
}

fn by_name(listeners: &[Listener]) -> BTreeMap<Arc<str>, &Listener> {
    listeners.iter().map(|listener| (Arc::clone(&listener.name), listener)).collect()
}

fn listener(one: &Listener, other: &Listener) -> Vec<&'static str> {
    differing!(
        Listener {
            name => "name",
            address => "address",
            establish => "establish",
            trusted_proxies => "trusted_proxies",
            linger => "linger",
            idle => "idle",
            head => "head",
            head_fields => "head_fields",
            chunk_extensions => "chunk_extensions",
            connections => "connections",
            connections_per_ip => "connections_per_ip",
            http2 => "http2",
        },
        one,
        other
    )
}

fn plugin(one: &PluginConfig, other: &PluginConfig) -> Vec<&'static str> {
    differing!(
        PluginConfig {
            name => "name",
            component => "component",
            sha256 => "sha256",
            signature => "signature",
            signed_by => "signed_by",
            config => "config",
            grants => "grants",
            limits => "limits",
            on_failure => "on_failure",
            dump => "dump",
            recheck => "recheck",
            recheck_on_swap => "recheck_on_swap",
        },
        one,
        other
    )
}

fn service(one: &Service, other: &Service) -> Vec<&'static str> {
    differing!(
        Service {
            id => "id",
            endpoints => "endpoints",
            balance => "balance",
            connect_timeout => "connect_timeout",
            pool => "pool",
        },
        one,
        other
    )
}

fn route(one: &Route, other: &Route) -> Vec<&'static str> {
    let mut keys = differing!(
        Route {
            name => "name",
            matching => "match",
            kind => "mode",
            plugins => "plugins",
            host => "host",
            rewrite => "rewrite",
            limits => "limits",
            admission => "admission",
        },
        one,
        other
    );
    if one.mode() == other.mode() {
        // What only this mode has is told by its own key.
        keys.retain(|key| *key != "mode");
        if one.service() != other.service() {
            keys.push("service");
        }
        if one.rendezvous() != other.rendezvous() {
            keys.push("rendezvous");
        }
        if one.http() != other.http() {
            keys.push("http");
        }
    }
    keys
}

/// Routes by name, and which of those that stay are asked in another order.
fn routes(before: &Config, after: &Config) -> Vec<Change> {
    let by_name = |config: &Config| -> BTreeMap<Arc<str>, Arc<Route>> {
        config.routes.iter().map(|route| (Arc::clone(&route.name), Arc::clone(route))).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let stay = |config: &Config| -> Vec<Arc<str>> {
        let names = config.routes.iter().map(|route| Arc::clone(&route.name));
        names.filter(|name| old.contains_key(name) && new.contains_key(name)).collect()
    };
    let (order, other) = (stay(before), stay(after));
    let mut changes = named(Section::Routes, &old, &new, |one, other| route(one, other));
    // Those that lie between the first and the last place of which the order differs: enough to say where to look.
    let moved = order.iter().zip(&other).filter(|(one, other)| one != other);
    changes.extend(moved.map(|(_, name)| Change::new(Section::Routes, Some(name), What::Moved)));
    changes
}

/// What becomes of the sockets of listeners: places in `before` and in `after`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// They go on, whatever else of the listener changed, even its name: `(before, after)`.
    pub kept: Vec<(usize, usize)>,
    /// They are bound before anything is closed.
    pub opened: Vec<usize>,
    /// They accept what their backlog has and are closed.
    pub closed: Vec<usize>,
}

/// Which sockets go on: those of an equal name and address, then those of an equal address, for an address is held
/// once. A listener on port 0, of which there may be several, is known by its name alone.
#[must_use]
pub fn pair_listeners(before: &[Listener], after: &[Listener]) -> Sockets {
    let mut sockets = Sockets::default();
    let mut free: Vec<usize> = (0..before.len()).collect();
    let mut wanted: Vec<usize> = (0..after.len()).collect();
    let same_name = |old: &Listener, new: &Listener| old.name == new.name && old.address == new.address;
    let same_port = |old: &Listener, new: &Listener| old.address.port() != 0 && old.address == new.address;
    for fits in [&same_name as &dyn Fn(&Listener, &Listener) -> bool, &same_port] {
        wanted.retain(|new| {
            let found = free.iter().position(|old| fits(&before[*old], &after[*new]));
            if let Some(place) = found {
                sockets.kept.push((free.remove(place), *new));
            }
            found.is_none()
        });
    }
    (sockets.opened, sockets.closed) = (wanted, free);
    sockets
}

#[cfg(test)]
mod tests;
