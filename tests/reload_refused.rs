//! Broken saves to a running proxy: each is refused with its reason in the log, in the metric and at `/generation`, and
//! what served before serves on.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "policy/guests.rs"]
#[allow(dead_code)]
mod guests;

use std::{fs, os::unix::fs::symlink, process::Command};

use guests::{Guest, ROLES, SILENT, detect_role, puppet};
use serde_json::Value;
use support::{
    Proxy, Setup,
    dial::{Ws, converse, dial},
    eventually, http, status, upgrade,
};

const POLICY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rendezvous.wasm"));
const VALUES: &[u8] = b"parameter: channelId\n";

/// What is sound: a policy of one's own, one that does as it is told, and a value from the values file.
const SOUND: &str = "
plugins:
  policy: {component: policy.wasm, config: {channelQuery: ['${parameter}']}}
  puppet: {component: puppet.wasm, config: {do: X}, limits: {init: 300ms}}
routes:
  - {name: chat, match: {path: /chat}, mode: rendezvous, plugins: [policy]}
  - {name: told, match: {path: /told}, mode: rendezvous, plugins: [puppet]}
services: {dead: {endpoints: ['ws://127.0.0.1:1']}}
";

type Break = Box<dyn Fn(&Setup)>;

/// Name, what is done to the files, and the reason that is given.
type Case = (&'static str, Break, &'static str);

/// The configuration with a change.
fn edit(from: &'static str, to: &'static str) -> Break {
    assert!(SOUND.contains(from), "{from}");
    Box::new(move |setup| setup.write(&SOUND.replace(from, to)))
}

/// The configuration with a line more at its end.
fn line(line: &'static str) -> Break {
    Box::new(move |setup| setup.write(&format!("{SOUND}{line}\n")))
}

/// Another content of a file.
fn put(name: &'static str, content: impl Into<Vec<u8>>) -> Break {
    let content = content.into();
    Box::new(move |setup| setup.put(name, &content))
}

/// Another thing in the place of a file.
fn instead(name: &'static str, make: impl Fn(&std::path::Path) + 'static) -> Break {
    Box::new(move |setup| {
        fs::remove_file(setup.file(name)).unwrap();
        make(&setup.file(name));
    })
}

fn importing(interface: &str, package: &str) -> Vec<u8> {
    let import = format!(r#"(import "{interface}" "get" (func $get (result i32)))"#);
    let module = format!("(module {import} {SILENT} {})", detect_role("(drop (call $get))"));
    let items = format!("import {interface}; {ROLES}");
    Guest { packages: &[package], ..Guest::of(&items) }.build(&module)
}

fn configurations() -> Vec<Case> {
    let laughs = (1..10).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))
    });
    vec![
        ("a bracket that is not closed", line("workers: ["), "unclosed bracket"),
        ("a bracket on its line", edit("[policy]", "[policy"), "mismatched bracket '[' closed by '}'"),
        (
            "a bracket some lines above",
            line("drain: {grace: 5s\nlog: {level: info}"),
            "; the `{` at 12:8 is not closed",
        ),
        ("a tab", line("log:\n\tlevel: info"), "tabs disallowed"),
        ("a null byte", line("log: {level: \"in\0fo\"}"), "unexpected character"),
        ("a key twice", line("services: {}"), "duplicate mapping key `services`"),
        ("two documents", line("---\nworkers: 1"), "multiple found"),
        ("an alias without an anchor", line("workers: *many"), "reference to unknown value"),
        ("a tag", line("workers: !many 5"), "unsupported tag"),
        ("a billion laughs", put("cordboard.yaml", laughs), "cordboard.yaml:"),
        ("a staircase", put("cordboard.yaml", "[".repeat(100_000)), "cordboard.yaml:1:"),
        ("an unknown key", line("worker: 5"), "unknown key `worker`; did you mean `workers`?"),
        (
            "a list for a map",
            edit("{path: /chat}", "[/chat]"),
            "routes[0].match: a map of keys and values belongs here",
        ),
        ("a map for a list", edit("[policy]", "{policy: 1}"), "routes[0].plugins: a list belongs here"),
        ("a list for a value", line("workers: [5]"), "workers: a single value belongs here"),
        ("a word for a number", line("workers: many"), "workers: `many` is not a whole number"),
        ("a number out of range", line("workers: 1025"), "workers: `1025` is out of range: 0 to 1024"),
        ("a duration without a unit", line("drain: {grace: 5}"), "drain.grace: `5` has no unit"),
        ("an unknown word", edit("mode: rendezvous, plugins: [policy]", "mode: meeting"), "`meeting` is not one of"),
        ("an unknown plugin", edit("[policy]", "[polcy]"), "there is no plugin `polcy`; did you mean `policy`?"),
        (
            "an unknown service",
            line("").then_edit("mode: rendezvous, plugins: [puppet]", "mode: router, service: deed"),
            "there is no service `deed`; did you mean `dead`?",
        ),
        ("two routes of one name", edit("name: told", "name: chat"), "`chat` stands twice"),
        (
            "a key of a later version",
            edit("'ws://127.0.0.1:1'", "{url: 'ws://127.0.0.1:1', weight: 2}"),
            "services.dead.endpoints[0].weight: not in this version",
        ),
        ("no file", Box::new(|setup| fs::remove_file(setup.path()).unwrap()), "cordboard.yaml: No such file"),
        ("an empty file", put("cordboard.yaml", ""), "at least one listener is needed"),
        ("nothing but a comment", put("cordboard.yaml", "# soon\n"), "at least one listener is needed"),
        ("a text", put("cordboard.yaml", "not a configuration"), "a map of keys and values belongs here"),
        (
            "what is not UTF-8",
            put("cordboard.yaml", b"workers: \xff".as_slice()),
            "1:10: from here on this is not UTF-8",
        ),
        ("UTF-16", put("cordboard.yaml", b"\xff\xfew\0".as_slice()), "1:1: from here on this is not UTF-8"),
        ("a huge file", put("cordboard.yaml", "#".repeat((8 << 20) + 1)), "the file is larger than 8 MiB"),
        (
            "a folder",
            instead("cordboard.yaml", |path| fs::create_dir(path).unwrap()),
            "this is a directory, not a file",
        ),
        (
            "a pipe that nobody writes to",
            instead("cordboard.yaml", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
            "this is a pipe or a device, not a file",
        ),
        (
            "a link to itself",
            instead("cordboard.yaml", |path| symlink(path, path).unwrap()),
            "Too many levels of symbolic links",
        ),
        ("a link to nothing", instead("cordboard.yaml", |path| symlink("nothing", path).unwrap()), "No such file"),
        (
            "what cannot be read",
            // Nobody may read this at its beginning, whoever they are.
            instead("cordboard.yaml", |path| symlink("/proc/self/mem", path).unwrap()),
            "Input/output error",
        ),
        ("a change that needs a restart", line("workers: 3"), "a change of `workers` needs a restart"),
        ("an address that nobody may reach", line("").with_admin("192.0.2.1:9901"), "is not a loopback address"),
        ("another address", line("").with_listener("192.0.2.1:80"), "listener"),
    ]
}

fn components() -> Vec<Case> {
    let core = wat::parse_str("(module)").unwrap();
    let items = ROLES.replace("0.1.0", "0.2.0");
    let changes = [("package cordboard:plugin@0.1.0", "package cordboard:plugin@0.2.0")];
    let newer = Guest { changes: &changes, ..Guest::of(&items) };
    let newer = newer.build(&format!("(module {SILENT} {})", detect_role("")).replace("@0.1.0#", "@0.2.0#"));
    let wasi = importing("wasi:sockets/raw@0.2.0", "package wasi:sockets@0.2.0; interface raw { get: func() -> u32; }");
    let own = importing("foo:bar/baz", "package foo:bar; interface baz { get: func() -> u32; }");
    vec![
        ("no component", Box::new(|setup| fs::remove_file(setup.file("policy.wasm")).unwrap()), "No such file"),
        ("an empty component", put("policy.wasm", ""), "the file is empty"),
        ("half a component", put("policy.wasm", &POLICY[..POLICY.len() / 2]), "cannot be compiled"),
        ("a component with a flipped bit", put("policy.wasm", flipped(POLICY)), "policy.wasm): "),
        ("a core module", put("policy.wasm", core), "this is a core WebAssembly module, not a component"),
        ("a text as a component", put("policy.wasm", "(component)"), "this is not a WebAssembly component"),
        (
            "a folder as a component",
            instead("policy.wasm", |path| fs::create_dir(path).unwrap()),
            "this is a directory",
        ),
        ("a WASI import that is not there", put("policy.wasm", wasi), "wasi:sockets/raw@0.2.0"),
        ("an import that nobody grants", put("policy.wasm", own), "imports `foo:bar/baz`"),
        ("a later version of the contract", put("policy.wasm", newer), "0.2.0"),
        ("an unknown built-in", edit("component: policy.wasm", "component: 'builtin:policy'"), "no `builtin:policy`"),
        ("an init that traps", edit("do: X", "do: T"), "could not be instantiated"),
        ("an init that panics", edit("do: X", "do: P"), "it said: refused\\nby its"),
        ("an init that refuses", edit("do: X", "do: R"), "`init` refused the configuration: refused"),
        ("an init that does not end", edit("do: X", "do: L"), "`init` did not answer within 300ms"),
        ("a describe that does not end", edit("do: X", "do: D"), "`describe` did not answer within 300ms"),
        ("an init that reads a request", edit("do: X", "do: Q"), "was called outside of a call"),
        (
            "another hash",
            edit(
                "policy.wasm,",
                "policy.wasm, sha256: '0000000000000000000000000000000000000000000000000000000000000000',",
            ),
            "`sha256` pins 0000",
        ),
    ]
}

fn values() -> Vec<Case> {
    vec![
        (
            "no values file",
            Box::new(|setup| fs::remove_file(setup.file("values.yaml")).unwrap()),
            "values.yaml: No such",
        ),
        ("a name without a value", put("values.yaml", "other: 1\n"), "`${parameter}` stands for nothing: "),
        ("broken values", put("values.yaml", "parameter: [\n"), "values.yaml:1:12: "),
        ("a list of values", put("values.yaml", "- parameter\n"), "a map from names to values belongs here"),
        ("a name that is none", put("values.yaml", "a b: 1\n"), "`a b` is not a name"),
        ("values that are not UTF-8", put("values.yaml", b"\xff".as_slice()), "values.yaml:1:1: from here on"),
        ("a value that a policy refuses", put("values.yaml", "parameter: {}\n"), "`init` refused the configuration"),
        ("a placeholder that is none", edit("${parameter}", "${para meter}"), "a placeholder whose name"),
        ("a placeholder without an end", edit("${parameter}", "${parameter"), "a placeholder without its `}`"),
        ("a placeholder as a key", line("workers: {'${parameter}': 1}"), "a key cannot be a placeholder"),
    ]
}

/// Changes of the lines that the setup puts first.
trait Head {
    fn with_admin(self, address: &'static str) -> Break;
    fn with_listener(self, address: &'static str) -> Break;
    fn then_edit(self, from: &'static str, to: &'static str) -> Break;
}

impl Head for Break {
    fn with_admin(self, address: &'static str) -> Break {
        head(self, "admin: {address: '127.0.0.1:0'}", &format!("admin: {{address: '{address}'}}"))
    }

    fn with_listener(self, address: &'static str) -> Break {
        head(self, "address: '127.0.0.1:0'}]", &format!("address: '{address}'}}]"))
    }

    fn then_edit(self, from: &'static str, to: &'static str) -> Break {
        head(self, from, to)
    }
}

fn head(first: Break, from: &'static str, to: &str) -> Break {
    let to = to.to_owned();
    Box::new(move |setup| {
        // Both in one save: what lies between them is nobody's to see.
        let aside = Setup::new(SOUND);
        first(&aside);
        let text = fs::read_to_string(aside.path()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        setup.put("cordboard.yaml", text.replace(from, &to).as_bytes());
    })
}

/// With the version of a section in its middle changed.
fn flipped(component: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes[8] ^= 0x40;
    bytes
}

struct Stage {
    proxy: Proxy,
    client: Ws,
    backend: Ws,
    handshakes: usize,
}

impl Stage {
    async fn set() -> Self {
        let setup = Setup::new(SOUND);
        setup.put("policy.wasm", POLICY);
        setup.put("puppet.wasm", puppet());
        setup.put("values.yaml", VALUES);
        let values = setup.file("values.yaml").display().to_string();
        let proxy = Proxy::run(setup, &[], &["--values", &values]);
        let client = dial(&proxy, "/chat?channelId=live").await;
        let backend = dial(&proxy, "/chat/connect?channelId=live").await;
        let stage = Self { proxy, client, backend, handshakes: 0 };
        let looks = || stage.proxy.metric("cordboard_reloads_total{result=\"unchanged\"}") > 0.5;
        eventually("the first look at the files", || looks().then_some(()));
        stage
    }

    /// The session that was there first, and a handshake now.
    async fn is_well(&mut self, when: &str) {
        converse(&mut self.client, &mut self.backend, when).await;
        self.handshakes += 1;
        let target = upgrade(&format!("/chat?channelId={}", self.handshakes), "");
        assert_eq!(status(&http(self.proxy.address, &target).0), 101, "{when}");
    }

    fn page(&self) -> Value {
        serde_json::from_str(&self.proxy.get("/generation")).unwrap()
    }

    async fn refuses(&mut self, (name, break_it, reason): &Case) {
        self.is_well(&format!("before {name}")).await;
        let refused = || self.proxy.metric("cordboard_reloads_total{result=\"refused\"}");
        let (before, told) = (refused(), self.proxy.log().len());
        break_it(&self.proxy.setup);
        // A save that is seen half done is refused as well, and then for what it became.
        let said = || {
            let lines = self.proxy.log().split_off(told);
            let refusal = lines.iter().any(|line| line.contains("was refused; generation 1 serves on"));
            (refusal && lines.iter().any(|line| line.contains("refused: ") && line.contains(reason))).then_some(())
        };
        eventually(&format!("{name} to be refused because of: {reason}"), said);
        assert!(refused() > before + 0.5, "{name} is counted");
        let page = eventually(name, || Some(self.page()).filter(|page| !page["refused"].is_null()));
        // The log has one line for a problem: place, message and what to do; the page has the file's line as well.
        let problems = page["refused"]["problems"].to_string().replace("\\\\", "\\");
        let shown = reason.split("; ").next().unwrap();
        assert!(page["generation"] == 1 && problems.contains(shown), "{name}: {page:#}");
        self.is_well(&format!("after {name}")).await;
        self.mend(name);
    }

    fn mend(&self, name: &str) {
        let setup = &self.proxy.setup;
        for file in ["cordboard.yaml", "policy.wasm"] {
            if fs::symlink_metadata(setup.file(file)).is_ok_and(|kind| kind.is_dir()) {
                fs::remove_dir(setup.file(file)).unwrap();
            }
        }
        setup.put("policy.wasm", POLICY);
        setup.put("values.yaml", VALUES);
        setup.write(SOUND);
        eventually(&format!("the files of generation 1 after {name}"), || {
            self.page()["refused"].is_null().then_some(())
        });
        assert_eq!(self.page()["generation"], 1, "{name}");
    }
}

async fn all_are_refused(cases: Vec<Case>, least: usize) {
    assert!(cases.len() >= least, "only {}", cases.len());
    let mut stage = Stage::set().await;
    for case in &cases {
        stage.refuses(case).await;
    }
    assert_eq!(stage.proxy.generation(), 1);
    // And what is sound is still taken.
    stage.proxy.setup.write(&SOUND.replace("name: told", "name: moved"));
    stage.proxy.reloaded(1);
    stage.is_well("at the end").await;
}

#[tokio::test]
async fn every_broken_configuration_is_refused_and_the_old_one_serves_on() {
    all_are_refused(configurations(), 30).await;
}

#[tokio::test]
async fn every_broken_component_is_refused_and_the_old_one_serves_on() {
    all_are_refused(components(), 15).await;
}

#[tokio::test]
async fn every_broken_values_file_is_refused_and_the_old_one_serves_on() {
    all_are_refused(values(), 10).await;
}

#[tokio::test]
async fn a_byte_order_mark_breaks_nothing() {
    let mut stage = Stage::set().await;
    let text = fs::read(stage.proxy.setup.path()).unwrap();
    stage.proxy.setup.put("cordboard.yaml", &[b"\xef\xbb\xbf", text.as_slice()].concat());
    stage.proxy.reloaded(1);
    stage.is_well("with a mark").await;
}
