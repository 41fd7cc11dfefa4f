//! A bad plugin harms one call: the client of that call is told, the operator reads which plugin it was, and the next
//! call is as good as any.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counters are small and whole

mod support;

#[path = "policy/cache.rs"]
mod cache;
#[path = "policy/calls.rs"]
mod calls;
#[path = "policy/chain.rs"]
mod chain;
#[path = "policy/filters.rs"]
mod filters;
#[path = "policy/granted.rs"]
mod granted;
#[path = "policy/guests.rs"]
mod guests;
#[path = "policy/instances.rs"]
mod instances;
#[path = "policy/load.rs"]
mod load;
#[path = "policy/output.rs"]
mod output;
#[path = "policy/schema.rs"]
mod schema;
#[path = "policy/swaps.rs"]
mod swaps;
#[path = "policy/wasi.rs"]
mod wasi;

use std::sync::atomic::{AtomicUsize, Ordering};

use guests::puppet;
use support::{Proxy, Setup, http, status, upgrade};

/// A proxy with a puppet on `/told` (rendezvous) and `/dial` (router) and the built-in policy on `/chat`. `settings` are
/// further keys of the puppet, `more` further lines of the file.
fn with_puppet(settings: &str, more: &str) -> Proxy {
    with_plugin(puppet(), settings, more)
}

/// The same with another plugin in the puppet's place.
fn with_plugin(component: &[u8], settings: &str, more: &str) -> Proxy {
    setup(component, settings, more).start()
}

fn setup(component: &[u8], settings: &str, more: &str) -> Setup {
    let setup = Setup::new(&yaml(settings, more));
    setup.put("puppet.wasm", component);
    setup
}

fn yaml(settings: &str, more: &str) -> String {
    format!(
        "plugins:
  puppet: {{component: puppet.wasm{settings}}}
  rendezvous: {{component: 'builtin:rendezvous'}}
routes:
  - {{name: told, match: {{path: /told}}, mode: rendezvous, plugins: [puppet]}}
  - {{name: dial, match: {{path: /dial}}, mode: router, plugins: [puppet], service: dead}}
  - {{name: chat, match: {{path: /chat}}, mode: rendezvous, plugins: [rendezvous]}}
services: {{dead: {{endpoints: ['ws://127.0.0.1:1']}}}}
{more}"
    )
}

/// What a handshake was answered with.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The cause as `x-cordboard-error` has it; empty where there is none.
    fn cause(&self) -> &str {
        self.field("x-cordboard-error").unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            line.to_ascii_lowercase().starts_with(&format!("{name}: ")).then(|| &line[name.len() + 2..])
        })
    }
}

fn handshake(proxy: &Proxy, target: &str) -> Answer {
    let (head, body) = http(proxy.address, &upgrade(target, ""));
    Answer { status: status(&head), head, body }
}

/// Identity of the plugin that serves under this name.
fn identity(proxy: &Proxy, plugin: &str) -> String {
    let page: serde_json::Value = serde_json::from_str(&proxy.get("/generation")).unwrap();
    let plugins = page["plugins"].as_array().unwrap();
    plugins.iter().find(|shown| shown["name"] == plugin).unwrap()["identity"].as_str().unwrap().to_owned()
}

/// How often the puppet failed in this way.
fn failures(proxy: &Proxy, failure: &str) -> f64 {
    let version = identity(proxy, "puppet");
    let labels = format!("plugin=\"puppet\",version=\"{version}\",failure=\"{failure}\"");
    proxy.metric(&format!("cordboard_plugin_version_failures_total{{{labels}}}"))
}

/// Asks the puppet for something bad and asserts that nothing but this one call suffers. Gives the log line.
fn harms_one_call(proxy: &Proxy, target: &str, cause: &str, failure: &str) -> String {
    let before = failures(proxy, failure);
    let told = proxy.log().len();
    let answer = handshake(proxy, target);
    assert_eq!((answer.status, answer.cause()), (503, cause), "{target}: {}", proxy.log().join("\n"));
    assert!((failures(proxy, failure) - before - 1.0).abs() < 0.5, "{target}: failure={failure} was not counted");
    let line = report(proxy, told);
    let (version, route) = (identity(proxy, "puppet"), &target[1..5]);
    let refused =
        proxy.logged(&["handshake refused", &format!("conn={} ", field(&line, "conn")), &format!("cause={cause}")]);
    assert!(refused.contains(&format!("route={route}")), "{refused}");
    for part in
        ["plugin=puppet", &format!("version={version}"), &format!("route={route}"), &format!("failure={failure}")]
    {
        assert!(line.contains(part), "{part} does not stand in {line}");
    }
    is_well(proxy);
    line
}

/// Both plugins decide as ever.
fn is_well(proxy: &Proxy) {
    // Each on a channel of its own: the seats of those before need not be free yet.
    static CHANNEL: AtomicUsize = AtomicUsize::new(0);
    let channel = CHANNEL.fetch_add(1, Ordering::Relaxed);
    let puppet = handshake(proxy, &format!("/told?c-well-{channel}"));
    assert_eq!(puppet.status, 101, "the puppet after a bad call: {}\n{}", puppet.head, proxy.log().join("\n"));
    let other = handshake(proxy, &format!("/chat?channelId={channel}"));
    assert_eq!(other.status, 101, "another plugin after a bad call: {}", other.head);
}

/// The one line about a failed policy since the log had `told` lines.
fn report(proxy: &Proxy, told: usize) -> String {
    let found = || {
        proxy.log().split_off(told).into_iter().filter(|line| line.contains("a policy failed: ")).collect::<Vec<_>>()
    };
    support::eventually("the report of a failed policy", || found().pop());
    let lines = found();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.into_iter().next().unwrap()
}

/// A field of a log line that is not quoted.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let rest =
        &line[line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 2..];
    rest.split_whitespace().next().unwrap()
}
