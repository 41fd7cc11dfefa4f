//! `routes`: which connections are for whom, and under which limits.

use std::{collections::HashSet, ops::RangeInclusive, sync::Arc, time::Duration};

use super::{
    Admission, Route, RouteKind,
    check::{Check, Range},
    diagnose::quoted,
    file::{HttpFile, LimitsFile, RendezvousFile, RouteFile},
    matching,
    part::Text,
    tree::At,
    validate::Unique,
};
use crate::{
    head::matching::PathRule,
    model::{
        Accept, BackendFirst, HostHeader, HttpRules, Limits, Mode, PingMode, RendezvousRules, Second, ServiceId,
        SubprotocolRule,
    },
};

/// Most subprotocols of a route.
const MAX_SUBPROTOCOLS: usize = 32;
/// Longest subprotocol, in bytes.
const MAX_SUBPROTOCOL_BYTES: usize = 128;

const MILLI: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MONTH: Duration = Duration::from_hours(30 * 24);

/// The names that routes may use; none where they could not be read.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// Of plugins.
    pub(super) plugins: Option<&'a [String]>,
    /// Of services.
    pub(super) services: Option<&'a [String]>,
}

/// All routes that can be used; those that cannot are reported.
pub(super) fn routes(check: &mut Check, at: &At<'_>, files: Vec<RouteFile>, names: &Names<'_>) -> Vec<Arc<Route>> {
    let mut unique = Unique::default();
    let mut routes = Vec::with_capacity(files.len());
    for (index, file) in files.into_iter().enumerate() {
        let at = at.index(index);
        if let Some(route) = route(check, &at, file, names) {
            unique.check(check, &at.key("name"), &route.name);
            routes.push(Arc::new(route));
        }
    }
    routes
}

fn route(check: &mut Check, at: &At<'_>, file: RouteFile, names: &Names<'_>) -> Option<Route> {
    let name_at = at.key("name");
    let name = check.required(&name_at, &file.name, "a name for logs and plugins");
    let name = name.and_then(|name| check.name(&name_at, name));
    let matching = matching::matching(check, &at.key("match"), &file.matching.unwrap_or_default());
    let plugins = plugins(check, &at.key("plugins"), file.plugins.unwrap_or_default(), names.plugins);
    let service = service(check, &at.key("service"), &file.service, names.services);
    let hosts = [("preserve", HostHeader::Preserve), ("endpoint", HostHeader::Endpoint)];
    let host = check.choice(&at.key("host"), &file.host, HostHeader::default(), &hosts, &[]);
    let route_path = match matching.as_ref().map(|matching| &matching.path) {
        Some(PathRule::Regex(pattern)) => Some(pattern),
        _ => None,
    };
    let rewrite_at = at.key("rewrite");
    let rewrite = matching::rewrite(check, &rewrite_at, file.rewrite.as_deref().unwrap_or_default(), route_path);
    let limits_at = at.key("limits");
    let limits_file = file.limits.unwrap_or_default();
    let limits = limits(check, &limits_at, &limits_file);
    let admission = admission(check, &limits_at, &limits_file);
    let mode = mode(check, &at.key("mode"), &file.mode)?;
    if mode != Mode::Http && file.http.is_some() {
        check.misplaced(&at.key("http"), format!("has no meaning with `mode: {}`", mode.name()), None);
    }
    let rules = http(check, &at.key("http"), &file.http.unwrap_or_default());
    let kind = match mode {
        Mode::Rendezvous => {
            if service.is_some() {
                let hint = "a rendezvous joins two connections that dialled in; nothing is dialled".to_owned();
                check.misplaced(&at.key("service"), "has no meaning with `mode: rendezvous`", Some(hint));
            }
            if plugins.is_empty() {
                let hint = "plugins: [rendezvous]".to_owned();
                check.misplaced(&at.key("plugins"), "a rendezvous needs a plugin that names the roles", Some(hint));
            }
            if !rewrite.is_empty() {
                let hint = "nothing is sent on: a rendezvous joins two connections that dialled in".to_owned();
                check.misplaced(&rewrite_at, "has no meaning with `mode: rendezvous`", Some(hint));
            }
            let default = RendezvousRules::new(name.as_deref().unwrap_or_default());
            let file = file.rendezvous.unwrap_or_default();
            RouteKind::Rendezvous(rendezvous(check, &at.key("rendezvous"), &file, default))
        }
        mode @ (Mode::Router | Mode::Http) => {
            if file.rendezvous.is_some() {
                let message = format!("has no meaning with `mode: {}`", mode.name());
                check.misplaced(&at.key("rendezvous"), message, None);
            }
            let unread = at.key("plugins").is_wrong() || at.key("service").is_wrong();
            if service.is_none() && plugins.is_empty() && !unread {
                let hint = "add `plugins: [router]` or `service: NAME`".to_owned();
                check.misplaced(at, "without plugins and service nobody knows what to dial", Some(hint));
            }
            let service = service.flatten();
            if mode == Mode::Http { RouteKind::Http { service, rules } } else { RouteKind::Router { service } }
        }
    };
    Some(Route { name: name?, matching: matching?, kind, plugins, host, rewrite, limits, admission })
}

fn mode(check: &mut Check, at: &At<'_>, field: &Text) -> Option<Mode> {
    check.required(at, field, "`rendezvous`, `router` or `http`")?;
    let modes = Mode::ALL.map(|mode| (mode.name(), Some(mode)));
    check.choice(at, field, None, &modes, &["pipeline"])
}

fn plugins(check: &mut Check, at: &At<'_>, list: Vec<String>, known: Option<&[String]>) -> Vec<Arc<str>> {
    let mut seen = HashSet::new();
    for (index, name) in list.iter().enumerate() {
        let at = at.index(index);
        let known = known.is_none_or(|known| check.known(&at, "plugin", name, known.iter().map(String::as_str)));
        if known && !seen.insert(name) {
            check.wrong(&at, format!("{} stands twice in this list", quoted(name)), None);
        }
    }
    list.into_iter().map(Arc::from).collect()
}

/// None if the key is absent; none inside if there is no such service, which is reported.
#[allow(clippy::option_option)] // absent and unusable are told apart, so that one mistake is one problem
fn service(check: &mut Check, at: &At<'_>, field: &Text, known: Option<&[String]>) -> Option<Option<ServiceId>> {
    let id = check.text(at, field)?;
    let known = known.is_none_or(|known| check.known(at, "service", id, known.iter().map(String::as_str)));
    // An id that breaks the rules is reported where the service is defined.
    Some(ServiceId::new(id).ok().filter(|_| known))
}

fn rendezvous(check: &mut Check, at: &At<'_>, file: &RendezvousFile, default: RendezvousRules) -> RendezvousRules {
    let seconds = [("reject", Second::Reject), ("replace", Second::Replace)];
    let namespace_at = at.key("namespace");
    let namespace = check.text(&namespace_at, &file.namespace);
    let namespace = namespace.and_then(|name| check.name(&namespace_at, name));
    let accepts = [("at_once", Accept::AtOnce), ("when_paired", Accept::WhenPaired)];
    let firsts = [("wait", BackendFirst::Wait), ("reject", BackendFirst::Reject)];
    let rules = [("lenient", SubprotocolRule::Lenient), ("strict", SubprotocolRule::Strict)];
    let pairing = Range { min: 10 * MILLI, max: 24 * HOUR, zero: None };
    let probe = Range { min: 10 * MILLI, max: MINUTE, zero: None };
    let hold = Range { min: 1, max: 16 << 20, zero: Some("nothing") };
    RendezvousRules {
        namespace: namespace.unwrap_or(default.namespace),
        accept: check.choice(&at.key("accept"), &file.accept, default.accept, &accepts, &[]),
        pairing_timeout: check.duration(
            &at.key("pairing_timeout"),
            &file.pairing_timeout,
            default.pairing_timeout,
            &pairing,
        ),
        backend_first: check.choice(&at.key("backend_first"), &file.backend_first, default.backend_first, &firsts, &[]),
        second_client: check.choice(
            &at.key("second_client"),
            &file.second_client,
            default.second_client,
            &seconds,
            &[],
        ),
        second_backend: check.choice(
            &at.key("second_backend"),
            &file.second_backend,
            default.second_backend,
            &seconds,
            &[],
        ),
        probe: check.duration(&at.key("probe"), &file.probe, default.probe, &probe),
        hold: check.memory(&at.key("hold"), &file.hold, default.hold, &hold),
        subprotocols: subprotocols(check, &at.key("subprotocols"), file.subprotocols.as_deref().unwrap_or_default()),
        subprotocol: check.choice(&at.key("subprotocol"), &file.subprotocol, default.subprotocol, &rules, &[]),
    }
}

fn subprotocols(check: &mut Check, at: &At<'_>, list: &[String]) -> Vec<Arc<str>> {
    if list.len() > MAX_SUBPROTOCOLS {
        check.misplaced(at, format!("{} subprotocols are more than {MAX_SUBPROTOCOLS}", list.len()), None);
        return Vec::new();
    }
    let mut seen = HashSet::new();
    for (index, name) in list.iter().enumerate() {
        let at = at.index(index);
        if !is_token(name) {
            let rule = format!("1 to {MAX_SUBPROTOCOL_BYTES} ASCII characters without spaces and separators");
            check.wrong(&at, format!("{} is not a subprotocol: {rule}", quoted(name)), None);
        } else if !seen.insert(name) {
            check.wrong(&at, format!("{} stands twice in this list", quoted(name)), None);
        }
    }
    list.iter().map(|name| name.as_str().into()).collect()
}

/// A token of RFC 9110 §5.6.2, as RFC 6455 §4.1 wants each subprotocol to be.
fn is_token(text: &str) -> bool {
    let tchar = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.len() <= MAX_SUBPROTOCOL_BYTES && text.bytes().all(tchar)
}

fn http(check: &mut Check, at: &At<'_>, file: &HttpFile) -> HttpRules {
    let default = HttpRules::default();
    let answer = Range { min: 10 * MILLI, max: 24 * HOUR, zero: Some("none") };
    let idle = Range { min: 100 * MILLI, max: 24 * HOUR, zero: Some("none") };
    let expect = Range { min: 10 * MILLI, max: MINUTE, zero: Some("at once") };
    let body = Range { min: 1, max: 1 << 40, zero: Some("none") };
    HttpRules {
        answer: check.duration(&at.key("answer"), &file.answer, default.answer, &answer),
        idle: check.duration(&at.key("idle"), &file.idle, default.idle, &idle),
        expect: check.duration(&at.key("expect"), &file.expect, default.expect, &expect),
        body: check.size(&at.key("body"), &file.body, default.body, &body),
    }
}

fn limits(check: &mut Check, at: &At<'_>, file: &LimitsFile) -> Limits {
    const FRAGMENTS: RangeInclusive<u32> = 0..=1_000_000;
    let default = Limits::default();
    let none = Some("none");
    let long = Range { min: 100 * MILLI, max: MONTH, zero: none };
    let every = Range { min: 100 * MILLI, max: HOUR, zero: none };
    let within = Range { min: 10 * MILLI, max: 10 * MINUTE, zero: none };
    let stall = Range { min: 100 * MILLI, max: HOUR, zero: none };
    // Without an end the socket of a peer that never answers our Close would be kept for ever.
    let close = Range { min: 10 * MILLI, max: MINUTE, zero: None };
    let message = Range { min: 1, max: 1 << 40, zero: none };
    let splice = Range { min: 4 << 10, max: 1 << 40, zero: none };
    let pings = [("relay", PingMode::Relay), ("terminate", PingMode::Terminate)];
    Limits {
        message: check.size(&at.key("message"), &file.message, default.message, &message),
        fragments: check.count(&at.key("fragments"), &file.fragments, default.fragments, &FRAGMENTS),
        splice: check.size(&at.key("splice"), &file.splice, default.splice, &splice),
        idle: check.duration(&at.key("idle"), &file.idle, default.idle, &long),
        lifetime: check.duration(&at.key("lifetime"), &file.lifetime, default.lifetime, &long),
        ping: check.choice(&at.key("ping"), &file.ping, default.ping, &pings, &[]),
        ping_every: check.duration(&at.key("ping_every"), &file.ping_every, default.ping_every, &every),
        pong_within: check.duration(&at.key("pong_within"), &file.pong_within, default.pong_within, &within),
        stall: check.duration(&at.key("stall"), &file.stall, default.stall, &stall),
        close: check.duration(&at.key("close"), &file.close, default.close, &close),
    }
}

fn admission(check: &mut Check, at: &At<'_>, file: &LimitsFile) -> Admission {
    let default = Admission::default();
    let rate_at = at.key("upgrades_per_second");
    Admission {
        connections: check.count(&at.key("connections"), &file.connections, default.connections, &(0..=10_000_000)),
        upgrades_per_second: check.count(
            &rate_at,
            &file.upgrades_per_second,
            default.upgrades_per_second,
            &(0..=1_000_000),
        ),
    }
}
