// Texts of a few lines are put together here, where allocations do not matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string, clippy::format_collect)]

mod placeholders;
mod schema;
mod warnings;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{file::File, part::Part as _, *};
use crate::head::matching::PathRule;
use crate::model::{Accept, Second};

const LISTENER: &str = "listeners: [ { name: main, address: \"127.0.0.1:0\" } ]\n";

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), dir: PathBuf::from("/etc/cordboard"), text: text.to_owned() }
}

fn read(text: &str) -> Result<Config, Vec<Problem>> {
    parse(&source("test.yaml", text))
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// The text of a file of the project.
fn text_of(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn file_of(path: &str) -> Config {
    read(&text_of(path)).unwrap_or_else(|problems| panic!("{path}\n{}", shown(&problems)))
}

/// Name and text of every file in a directory of the project, in order.
fn files_in(directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "yaml"));
    names.into_iter().map(|name| (name.clone(), text_of(&format!("{directory}/{name}")))).collect()
}

#[test]
fn every_valid_file_is_accepted() {
    for directory in ["config", "tests/config/valid"] {
        let files = files_in(directory);
        assert!(files.len() >= 3, "{directory}");
        for (name, text) in files {
            let config = parse(&source(&name, &text)).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
            assert_eq!(parse(&source(&name, &text)).as_ref(), Ok(&config), "{name} reads the same twice");
        }
    }
}

/// An `# expect:` with a position is the beginning of a problem, and there is one for each; others stand anywhere.
#[test]
fn every_invalid_file_is_refused_with_the_messages_it_expects() {
    let files = files_in("tests/config/invalid");
    assert!(files.len() >= 40, "only {} files", files.len());
    let mut wrong = Vec::new();
    for (name, text) in files {
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# expect: ")).collect();
        let (placed, other): (Vec<&str>, Vec<&str>) =
            expected.iter().partition(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        assert!(!placed.is_empty(), "{name} expects nothing");
        let Err(problems) = parse(&source(&name, &text)) else { panic!("{name} is accepted") };
        let all = shown(&problems);
        let fits =
            |(problem, expected): (&Problem, &&str)| problem.to_string().starts_with(&format!("{name}:{expected}"));
        let placed = problems.len() == placed.len() && problems.iter().zip(&placed).all(fits);
        if !placed || !other.iter().all(|line| all.contains(line)) {
            wrong.push(format!("{name} expects\n  {}\nand says\n{all}\n", expected.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_shows_the_defaults() {
    let config = file_of("config/reference.yaml");
    let least = "plugins: { p: { component: \"builtin:p\" } }\n\
        services: { s: { endpoints: [\"ws://127.0.0.1:9001\"] } }\n\
        routes: [ { name: chat, match: { path: / }, mode: rendezvous, plugins: [p] } ]\n";
    let default = read(&format!("{LISTENER}{least}")).unwrap();

    for listener in [&config.listeners[0], &default.listeners[0]] {
        let times = (listener.establish, listener.idle, listener.linger);
        assert_eq!(times, (Listener::ESTABLISH, Listener::IDLE, Listener::LINGER));
        let bounds = (listener.head, listener.head_fields, listener.chunk_extensions);
        assert_eq!(bounds, (Listener::HEAD, Listener::HEAD_FIELDS, Listener::CHUNK_EXTENSIONS));
        assert_eq!((listener.connections, listener.connections_per_ip), (0, 0));
        assert_eq!(listener.http2, Http2Rules::default());
    }
    let forwarded: Vec<_> = config.routes.iter().filter_map(|route| route.http()).collect();
    assert_eq!(forwarded, [&HttpRules::default()]);
    assert_eq!((config.admin, default.admin), (Some(DEFAULT_ADMIN), Some(DEFAULT_ADMIN)));
    assert_eq!((config.log, default.log), (Log::default(), Log::default()));
    assert_eq!((config.reload, default.reload), (Reload::default(), Reload::default()));
    assert_eq!((config.drain, default.drain), (Drain::default(), Drain::default()));
    assert_eq!((config.workers, default.workers), (0, 0));
    assert_eq!((config.trust.require, default.trust), (Require::default(), Trust::default()));
    let hosts = std::collections::BTreeMap::new();
    assert_eq!((Fetch { hosts, ..config.fetch }, default.fetch), (Fetch::default(), Fetch::default()));
    for plugin in config.plugins.values().chain(default.plugins.values()) {
        assert_eq!((plugin.limits, plugin.on_failure), (PluginLimits::default(), OnFailure::default()));
        assert_eq!(plugin.sha256, None);
    }
    for route in config.routes.iter().chain(&default.routes) {
        assert_eq!(route.limits, Limits::default());
    }
    assert_eq!(config.routes[0].rendezvous(), Some(&RendezvousRules::new("chat")));
    assert_eq!(default.routes[0].rendezvous(), Some(&RendezvousRules::new("chat")));
    for service in config.services.values().chain(default.services.values()) {
        assert_eq!((service.balance, service.connect_timeout), (Balance::default(), Service::CONNECT_TIMEOUT));
        assert_eq!(service.pool, PoolRules::default());
    }
}

#[test]
fn the_reference_holds_every_key_that_works_and_no_other() {
    let file = File::read(&yaml::read(&text_of("config/reference.yaml")).unwrap());
    let printed = format!("{file:?}");
    let keys = |absent: bool| -> BTreeSet<&str> {
        let fields = printed.split([',', '{', '[', '(']).filter_map(|field| field.trim().split_once(": "));
        let fields = fields.filter(|(_, value)| (value.starts_with("Absent") || value.starts_with("None")) == absent);
        fields.map(|(key, _)| key).collect()
    };
    // A key may be absent in one place (`rendezvous` of a router route) when it stands in another.
    let missing: Vec<_> = keys(true).difference(&keys(false)).copied().collect();
    assert!(missing.is_empty(), "not in the reference: {missing:?}");
    // It shows no key of later versions.
    assert_eq!(printed.matches("Later(Some(").count(), 0);
}

#[test]
fn the_demo_joins_both_ways() {
    let demo = file_of("config/demo.yaml");
    assert_eq!(demo.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(demo.admin, Some(DEFAULT_ADMIN));
    let [chat, sockets, trigger, page] = &demo.routes[..] else { panic!("{:?}", demo.routes) };
    assert_eq!((&*chat.name, chat.mode(), &*chat.plugins[0]), ("chat", Mode::Rendezvous, "rendezvous"));
    assert_eq!(chat.rendezvous().unwrap().pairing_timeout, Duration::from_mins(10));
    assert_eq!((&*sockets.name, sockets.mode(), sockets.service()), ("sockets", Mode::Router, None));
    assert_eq!(&**demo.plugins["router"].config.as_json(), r#"{"pathPrefixService":{"/ws/echo":"echo"}}"#);
    for (route, name) in [(trigger, "trigger"), (page, "page")] {
        assert_eq!((&*route.name, route.mode()), (name, Mode::Http));
    }
    for (id, authority) in [("echo", "127.0.0.1:9001"), ("backend", "127.0.0.1:9002"), ("page", "127.0.0.1:9003")] {
        let endpoint = &demo.services[&ServiceId::new(id).unwrap()].endpoints[0];
        assert_eq!((&*endpoint.authority, endpoint.transport), (authority, Transport::Plain));
    }
}

#[test]
fn aliases_and_merges_give_what_they_repeat() {
    let config = file_of("tests/config/valid/anchors.yaml");
    let [a, b] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!((a.limits.message, b.limits.message), (64 << 10, 64 << 10));
    assert_eq!((a.limits.idle, b.limits.idle), (Duration::from_mins(2), Duration::ZERO));
    assert_eq!(b.plugins, a.plugins);
    let rules = b.rendezvous().unwrap();
    assert_eq!((&*rules.namespace, rules.second_client, rules.accept), ("b", Second::Replace, Accept::AtOnce));
    assert_eq!(b.matching.path, PathRule::Prefix(vec!["b c".to_owned()]));
}

#[test]
fn values_arrive_as_they_were_written() {
    let config = file_of("tests/config/valid/off-values.yaml");
    let own = &config.plugins["own"];
    let json = r#"{"zeta":[1,2.5,"yes","010","1_000",null],"alpha":{"8080":"x"},"on":"off"}"#;
    assert_eq!((&**own.config.as_json(), own.config.as_value().is_object()), (json, true));
    assert_eq!(own.component, Component::File("/etc/cordboard/policies/own.wasm".into()));
    assert_eq!(own.sha256.map(|hash| (hash[0], hash[7], hash[31])), Some((0x01, 0xef, 0xef)));
    assert_eq!((own.on_failure, own.limits.host_copy), (OnFailure::Open, 64 << 10));
    assert_eq!((config.admin, config.workers, config.reload.watch), (None, 1024, Watch::Off));
    // A short `grace` takes the default of `spread` with it.
    let five = Duration::from_secs(5);
    assert_eq!(config.drain, Drain { delay: Duration::ZERO, grace: five, close_code: 4000, spread: five });
    let service = &config.services[&ServiceId::new("a").unwrap()];
    let ends: Vec<_> = service.endpoints.iter().map(|end| (&*end.authority, end.env_tag.as_deref())).collect();
    assert_eq!(ends, [("a.internal:80", None), ("[::1]:9001", Some("dev"))]);
    assert_eq!(config.routes[0].service(), Some(&service.id));
    assert!(config.routes[0].matching.path.matches(&[]) && config.routes[0].matching.path.matches(&["x".to_owned()]));
}

#[test]
fn a_prefix_matches_whole_segments_only() {
    let config = file_of("config/minimal.yaml");
    let chat = &config.routes[0].matching.path;
    let matches = |segments: &[&str]| chat.matches(&segments.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(matches(&["chat"]) && matches(&["chat", ""]) && matches(&["chat", "connect"]));
    assert!(!matches(&["chatter"]) && !matches(&[]) && !matches(&["", "chat"]) && !matches(&["Chat"]));
}

#[test]
fn the_order_of_a_plugins_keys_makes_a_difference() {
    let with =
        |config: &str| read(&format!("{LISTENER}plugins: {{ p: {{ component: \"builtin:p\", config: {config} }} }}"));
    assert_eq!(with("{ a: 1, b: 2 }"), with("{ \"a\": 1,   b: 0x2 }"));
    assert_ne!(with("{ a: 1, b: 2 }"), with("{ b: 2, a: 1 }"));
}

#[test]
fn a_hostile_file_is_refused_before_it_costs_anything() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..10 {
        laughs += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","));
    }
    let files = [
        ("billion laughs", laughs),
        ("brackets", "[".repeat(100_000)),
        ("braces", "{a: ".repeat(100_000)),
        ("dashes", "- ".repeat(100_000)),
        ("staircase", (0..5_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect()),
        ("a large scalar many times", format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 2_000].join(","))),
        ("too large", "#".repeat(yaml::MAX_BYTES + 1)),
    ];
    for (name, text) in files {
        let started = Instant::now();
        assert!(read(&text).is_err(), "{name}");
        // Milliseconds, really; the bound is for a busy machine.
        assert!(started.elapsed() < Duration::from_secs(2), "{name} took {:?}", started.elapsed());
    }
}

#[test]
fn problems_come_in_the_order_of_the_file_and_not_without_end() {
    let listeners = |count| (0..count).map(|n| format!("  - name: a b\n    address: {n}\n")).collect::<String>();
    let problems = read(&format!("listeners:\n{}", listeners(3))).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7]);
    assert_eq!(read(&format!("listeners:\n{}", listeners(500))).unwrap_err().len(), 100);
}

#[test]
fn a_problem_is_shown_with_its_line_a_caret_and_what_to_do() {
    let route = "  - name: a\n    match: { path: / }\n    limits: { idel: 5m }\n    mode: router\n    service: s\n";
    let text = format!("{LISTENER}routes:\n{route}services: {{ s: {{ endpoints: [\"ws://127.0.0.1:9001\"] }} }}\n");
    let shown = shown(&read(&text).unwrap_err());
    let expected = "test.yaml:5:15: routes[0].limits: unknown key `idel`\n  \
        |\n5 |     limits: { idel: 5m }\n  |               ^\n  = did you mean `idle`?";
    assert_eq!(shown, expected);
}

/// The valid files, as the ground that mutations start from.
fn seeds() -> Vec<String> {
    files_in("config").into_iter().chain(files_in("tests/config/valid")).map(|(_, text)| text).collect()
}

/// A way to damage a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Insert(usize, String),
    DeleteLine(usize),
    RepeatLine(usize),
    Indent(usize),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let text = prop_oneof![
        "[\\[\\]{}:,&*!|>'\"%@`#?<~ \t\r\n-]{1,4}",
        Just("<<: *limits".to_owned()),
        Just("\u{feff}\u{2028}\u{0}".to_owned()),
        Just("99999999999999999999h".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        4 => (any::<usize>(), text).prop_map(|(at, text)| Damage::Insert(at, text)),
        4 => any::<usize>().prop_map(Damage::DeleteLine),
        4 => any::<usize>().prop_map(Damage::RepeatLine),
        4 => any::<usize>().prop_map(Damage::Indent),
        1 => any::<usize>().prop_map(Damage::Cut),
    ]
}

fn apply(text: &str, damage: &Damage) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return String::new();
    }
    match damage {
        Damage::Flip(at, byte) => {
            let at = at % bytes.len();
            bytes[at] ^= byte;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Damage::Insert(at, text) => {
            let at = at % bytes.len();
            bytes.splice(at..at, text.bytes());
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Damage::Cut(at) => return String::from_utf8_lossy(&bytes[..at % bytes.len()]).into_owned(),
        Damage::DeleteLine(at) => drop(lines.remove(at % lines.len())),
        Damage::RepeatLine(at) => lines.insert(at % lines.len(), lines[at % lines.len()]),
        Damage::Indent(at) => lines.insert(at % lines.len(), "  "),
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_accepted_or_refused_and_never_panics(
        seed in prop::sample::select(seeds()),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let text = damages.iter().fold(seed, |text, damage| apply(&text, damage));
        if let Err(problems) = read(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert_ne!(&*problem.message, check::UNEXPLAINED);
                prop_assert!(problem.line >= 1 && problem.column >= 1);
                // Only what we put between the lines may move the cursor of a terminal.
                prop_assert!(!problem.to_string().contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }
}
