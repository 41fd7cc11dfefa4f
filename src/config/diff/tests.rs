#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use super::*;
use crate::config::{Source, parse};

const BASE: &str = "
listeners: [{name: main, address: '127.0.0.1:8080'}, {name: other, address: '127.0.0.1:0'}]
plugins: {rendezvous: {component: 'builtin:rendezvous'}, router: {component: 'builtin:router'}}
routes:
  - {name: chat, match: {path: /chat}, mode: rendezvous, plugins: [rendezvous]}
  - {name: ws, match: {path: /ws}, mode: router, service: up}
  - {name: web, match: {path: /}, mode: http, service: up}
services: {up: {endpoints: ['ws://a:1', 'ws://b:1']}}
";

fn config(text: &str) -> Config {
    let source = Source { name: "test.yaml".into(), dir: "/etc/cordboard".into(), text: text.into() };
    parse(&source).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// The base with this put in the place of that.
fn with(this: &str, that: &str) -> Config {
    assert!(BASE.contains(this), "{this}");
    config(&BASE.replace(this, that))
}

fn shown(before: &Config, after: &Config) -> Vec<String> {
    diff(before, after).iter().map(ToString::to_string).collect()
}

#[test]
fn each_change_is_told_by_section_name_and_key() {
    let table: &[(&str, &str, &[&str])] = &[
        ("8080", "8081", &["listeners.main changed: address"]),
        ("name: main,", "name: front,", &["listeners.front added", "listeners.main removed"]),
        ("8080'", "8080', establish: 3s, head: 1KiB", &["listeners.main changed: establish, head"]),
        ("8080'", "8080', http2: {streams: 3}", &["listeners.main changed: http2"]),
        ("8080'", "8080', trusted_proxies: [10.0.0.0/8]", &["listeners.main changed: trusted_proxies"]),
        (", {name: other, address: '127.0.0.1:0'}", "", &["listeners.other removed"]),
        ("\nplugins", "\nadmin: {address: null}\nplugins", &["admin changed: address"]),
        (
            "\nplugins",
            "\nlog: {level: debug, sessions: false, decisions: true}\nplugins",
            &["log changed: level, sessions, decisions"],
        ),
        (
            "\nplugins",
            "\nreload: {watch: poll, quiet: 1s, generations: 2, history: 3}\nplugins",
            &["reload changed: watch, quiet, generations, history"],
        ),
        ("\nplugins", "\ndrain: {grace: 3s}\nplugins", &["drain changed: grace, spread"]),
        ("\nplugins", "\nworkers: 3\nplugins", &["workers changed"]),
        ("'builtin:router'", "'builtin:rendezvous'", &["plugins.router changed: component"]),
        ("'builtin:router'", "'builtin:router', config: {a: 1}", &["plugins.router changed: config"]),
        (
            "'builtin:router'",
            "'builtin:router', on_failure: open, limits: {queue: 1}",
            &["plugins.router changed: limits, on_failure"],
        ),
        ("router: {", "dialler: {", &["plugins.dialler added", "plugins.router removed"]),
        ("path: /ws", "path: /wss", &["routes.ws changed: match"]),
        ("path: /ws", "path: /ws, method: [GET]", &["routes.ws changed: match"]),
        ("mode: http", "mode: router", &["routes.web changed: mode"]),
        (
            "plugins: [rendezvous]}",
            "plugins: [router, rendezvous], limits: {idle: 3s}}",
            &["routes.chat changed: plugins, limits"],
        ),
        (
            "plugins: [rendezvous]}",
            "plugins: [rendezvous], rendezvous: {hold: 1KiB}}",
            &["routes.chat changed: rendezvous"],
        ),
        ("router, service: up", "router, plugins: [router]", &["routes.ws changed: plugins, service"]),
        ("http, service: up", "http, service: up, http: {answer: 3s}", &["routes.web changed: http"]),
        ("'ws://a:1', ", "", &["services.up changed: endpoints"]),
        ("'ws://b:1']", "'ws://b:1'], connect_timeout: 3s", &["services.up changed: connect_timeout"]),
        ("services: {", "services: {more: {endpoints: ['ws://c:1']}, ", &["services.more added"]),
    ];
    let base = config(BASE);
    assert_eq!(shown(&base, &base), [""; 0]);
    for (this, that, wanted) in table {
        let changed = with(this, that);
        assert_eq!(shown(&base, &changed), *wanted, "{this} -> {that}");
        // And back: what was added is removed, what changed changes.
        let back: Vec<_> = wanted
            .iter()
            .map(|line| match line.rsplit_once(' ') {
                Some((name, "added")) => format!("{name} removed"),
                Some((name, "removed")) => format!("{name} added"),
                _ => (*line).to_owned(),
            })
            .collect();
        assert_eq!(shown(&changed, &base), back, "{that} -> {this}");
    }
}

#[test]
fn routes_that_are_asked_in_another_order_are_told_and_new_ones_between_them_are_not() {
    let (ws, web) = (
        "  - {name: ws, match: {path: /ws}, mode: router, service: up}\n",
        "  - {name: web, match: {path: /}, mode: http, service: up}\n",
    );
    let swapped = with(&format!("{ws}{web}"), &format!("{web}{ws}"));
    let base = config(BASE);
    assert_eq!(shown(&base, &swapped), ["routes.web moved", "routes.ws moved"]);
    let between = with(web, &format!("{}{web}", ws.replace("name: ws", "name: new").replace("/ws", "/new")));
    assert_eq!(shown(&base, &between), ["routes.new added"]);
}

#[test]
fn every_section_of_the_reference_file_is_compared() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.yaml")).unwrap();
    let whole = config(&text);
    assert_eq!(shown(&whole, &whole), [""; 0]);
    let sections: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(':').filter(|(key, _)| key.bytes().all(|c| c.is_ascii_lowercase())))
        .map(|(key, _)| key.to_owned())
        .collect();
    assert!(sections.len() >= 9, "{sections:?}");
    let known = [
        Section::Listeners,
        Section::Admin,
        Section::Log,
        Section::Reload,
        Section::Plugins,
        Section::Routes,
        Section::Services,
        Section::Trust,
        Section::Fetch,
        Section::Drain,
        Section::Workers,
    ];
    for section in sections {
        assert!(known.iter().any(|known| known.key() == section), "{section}");
    }
}

#[test]
fn what_a_running_proxy_cannot_change_is_named() {
    let base = config(BASE);
    let head = |text: &str| with("\nplugins", &format!("\n{text}\nplugins"));
    let table: &[(&str, &[&str])] = &[
        ("workers: 3", &["workers"]),
        ("admin: {address: null}", &["admin.address"]),
        ("log: {level: debug, format: json, sessions: false}", &["log.format", "log.level"]),
        ("log: {sessions: false}", &[]),
        ("reload: {watch: off, history: 2}", &[]),
        ("drain: {grace: 1s}", &[]),
    ];
    for (text, wanted) in table {
        let restart: Vec<_> = diff(&base, &head(text)).iter().flat_map(Change::needs_restart).collect();
        assert_eq!(restart, *wanted, "{text}");
    }
    assert!(diff(&base, &with("8080", "8081")).iter().all(|change| change.needs_restart().is_empty()));
}

/// Names and addresses.
type Listed<'a> = &'a [(&'a str, &'a str)];
/// Kept, opened, closed.
type Wanted<'a> = (&'a [(usize, usize)], &'a [usize], &'a [usize]);

#[test]
fn sockets_go_on_by_name_and_address_then_by_address() {
    let all = |texts: &[(&str, &str)]| {
        let listeners: Vec<_> =
            texts.iter().map(|(name, address)| format!("{{name: {name}, address: '{address}'}}")).collect();
        config(&BASE.replace(
            "{name: main, address: '127.0.0.1:8080'}, {name: other, address: '127.0.0.1:0'}",
            &listeners.join(", "),
        ))
        .listeners
    };
    let (one, two, any) = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:0");
    let table: &[(Listed<'_>, Listed<'_>, Wanted<'_>)] = &[
        (&[("a", one)], &[("a", one)], (&[(0, 0)], &[], &[])),
        (&[("a", one)], &[("a", two)], (&[], &[0], &[0])),
        // Another name for the same socket.
        (&[("a", one)], &[("b", one)], (&[(0, 0)], &[], &[])),
        // Names that are swapped keep their sockets' addresses.
        (&[("a", one), ("b", two)], &[("a", two), ("b", one)], (&[(1, 0), (0, 1)], &[], &[])),
        (&[("a", one), ("b", two)], &[("b", two), ("a", one)], (&[(1, 0), (0, 1)], &[], &[])),
        // Any free port is known by its name alone.
        (&[("a", any), ("b", any)], &[("b", any), ("c", any)], (&[(1, 0)], &[1], &[0])),
        (&[("a", any)], &[("a", one)], (&[], &[0], &[0])),
        (&[("a", one)], &[("a", one), ("b", two)], (&[(0, 0)], &[1], &[])),
        (&[("a", one), ("b", two)], &[("b", two)], (&[(1, 0)], &[], &[0])),
    ];
    for (before, after, (kept, opened, closed)) in table {
        let sockets = pair_listeners(&all(before), &all(after));
        assert_eq!(
            sockets,
            Sockets { kept: kept.to_vec(), opened: opened.to_vec(), closed: closed.to_vec() },
            "{before:?} -> {after:?}"
        );
    }
}
