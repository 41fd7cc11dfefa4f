//! Distribution: components come from web servers and registries, pinned or signed; what is not what it should be is
//! refused, and what came once serves again without a network.
//!
//! The web server is the tests' own, because it has to misbehave; the registry is a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

#[path = "distribution/broken.rs"]
mod broken;
#[path = "distribution/commands.rs"]
mod commands;
#[path = "distribution/offline.rs"]
mod offline;
#[path = "distribution/registries.rs"]
mod registries;
#[path = "distribution/signed.rs"]
mod signed;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use support::{
    CHAT, PATIENCE, Proxy, Setup, binary,
    files::{Authority, Files},
    http, status, upgrade,
};
use tempfile::TempDir;

/// Two components that differ in what they decide: one gives roles, with the other nobody has one.
const GIVES_ROLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/rendezvous.wasm"));
const GIVES_NO_ROLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/router.wasm"));

fn sha256(bytes: &[u8]) -> String {
    cordboard::signature::hex(&Sha256::digest(bytes))
}

/// The chat, whose policy is this plugin, and other sections.
fn chat(plugin: &str, more: &str) -> String {
    CHAT.replace("component: 'builtin:rendezvous'", plugin) + more
}

/// What a client is answered: 101 where there are roles, 403 where there are none.
fn handshake(proxy: &Proxy) -> u16 {
    status(&http(proxy.address, &upgrade("/chat?channelId=1", "")).0)
}

/// A folder for a certificate, keys and the cache, which outlives proxies.
struct Place {
    dir: TempDir,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), authority: Authority::new() };
        place.authority.write(&place.path("ca.pem"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A web server with TLS that this place believes.
    async fn server(&self) -> Files {
        Files::secure(&self.authority).await
    }

    /// The chat with this plugin; TLS is believed.
    fn chat(&self, plugin: &str, fetch: &str, more: &str) -> String {
        let ca = self.path("ca.pem");
        chat(plugin, &format!("fetch: {{ca_file: '{}', {fetch}}}\n{more}", ca.display()))
    }

    fn setup(yaml: &str) -> Setup {
        Setup::new(yaml)
    }

    /// The proxy with this configuration, and the cache of this place.
    fn start(&self, yaml: &str) -> Proxy {
        let cache = self.path("cache").display().to_string();
        Proxy::run(Self::setup(yaml), &[], &["--code-cache", &cache])
    }

    /// What it says that does not start, and its exit code.
    fn refused(&self, yaml: &str) -> (i32, String) {
        let setup = Self::setup(yaml);
        let mut command = binary();
        command.args(["run", "--config"]).arg(setup.path()).arg("--code-cache").arg(self.path("cache"));
        ends(command)
    }

    /// Where the cache keeps a component.
    fn cached(&self, wasm: &[u8]) -> PathBuf {
        self.path("cache").join("components").join(format!("{}.wasm", sha256(wasm)))
    }

    /// A key, and the text of its public key.
    fn key(&self, name: &str) -> (PathBuf, String) {
        let path = self.path(&format!("{name}.pem"));
        let (code, text) = run(&["plugin", "keygen", &shown(&path)]);
        assert_eq!(code, 0, "{text}");
        let public = text.lines().find_map(|line| line.strip_prefix("public key ")).unwrap();
        (path, public.to_owned())
    }

    /// The signature of a component, by this key.
    fn signature(&self, wasm: &[u8], key: &Path) -> Vec<u8> {
        let (file, output) = (self.path("to-sign.wasm"), self.path("signed.sig"));
        fs::write(&file, wasm).unwrap();
        let _ = fs::remove_file(&output);
        let (code, text) = run(&["plugin", "sign", &shown(&file), "--key", &shown(key), "--output", &shown(&output)]);
        assert_eq!(code, 0, "{text}");
        fs::read(output).unwrap()
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Exit code and all that is said.
fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
}

/// The same of a command that must come to an end, and is ended if it does not.
fn ends(mut command: Command) -> (i32, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + 2 * PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
            let text = said(&child.wait_with_output().unwrap()).1;
            panic!("it did not end; it said:\n{text}");
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    said(&child.wait_with_output().unwrap())
}

fn run(arguments: &[&str]) -> (i32, String) {
    said(&binary().args(arguments).output().unwrap())
}

/// Orders a reload and tells what became of it.
fn reload(proxy: &Proxy) -> String {
    run(&["reload", "--admin", &proxy.admin.to_string()]).1
}

fn pinned(url: &str, wasm: &[u8]) -> String {
    format!("component: '{url}', sha256: {}", sha256(wasm))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_component_is_fetched_once_and_then_never_asked_for() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "", "");
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    proxy.logged(&["INFO", "a component was fetched", &server.url("/own.wasm"), &sha256(GIVES_ROLES)]);
    proxy.metric_becomes("cordboard_component_looks_total{result=\"fetched\"}", 1.0);
    drop(proxy);
    assert_eq!(server.asked().len(), 1);
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    reload(&proxy);
    assert_eq!(server.asked().len(), 1, "{:?}", server.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_is_not_what_is_pinned_is_refused_and_not_kept() {
    let (place, server) = (Place::new(), Files::plain().await);
    server.serve(&[("/own.wasm", GIVES_NO_ROLES)]);
    let yaml = place.chat(&pinned(&server.url("/own.wasm"), GIVES_ROLES), "", "");
    let (code, text) = place.refused(&yaml);
    let expected = format!("hashes to {}, but `sha256` pins {}", sha256(GIVES_NO_ROLES), sha256(GIVES_ROLES));
    assert!(code == 78 && text.contains(&expected) && text.contains("plugins.rendezvous.component"), "{code} {text}");
    assert!(!place.cached(GIVES_NO_ROLES).exists() && !place.cached(GIVES_ROLES).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_neither_pinned_nor_signed_is_refused_before_anything_is_asked() {
    let (place, server) = (Place::new(), Files::plain().await);
    let (code, text) = place.refused(&place.chat(&format!("component: '{}'", server.url("/own.wasm")), "", ""));
    assert!(code == 78 && text.contains("nothing tells it from what somebody put in its place"), "{text}");
    let never = "trust: {require: never}\n";
    let (code, text) = place.refused(&place.chat(&format!("component: '{}'", server.url("/own.wasm")), "", never));
    assert!(code == 78 && text.contains("comes without TLS"), "{text}");
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_alone_vouches_where_nothing_more_is_required_and_new_content_serves_at_a_reload() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let yaml = place.chat(&format!("component: '{}'", server.url("/own.wasm")), "", "trust: {require: never}\n");
    let proxy = place.start(&yaml);
    assert_eq!(handshake(&proxy), 101);
    server.serve(&[("/own.wasm", GIVES_NO_ROLES)]);
    // Who saves a file did not ask for another component: nobody is asked.
    let before = proxy.generation();
    proxy.setup.write(&(yaml.clone() + "log: {sessions: false}\n"));
    let now = proxy.reloaded(before);
    assert_eq!((handshake(&proxy), server.asked().len()), (101, 1));
    reload(&proxy);
    assert_eq!(proxy.generation(), now + 1, "{}", proxy.log().join("\n"));
    assert_eq!(handshake(&proxy), 403);
    proxy.logged(&["a new generation serves", "why=asked", "plugins.rendezvous changed: component"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_changed_is_not_sent_again() {
    let place = Place::new();
    let server = place.server().await;
    server.say(|asked| match asked.headers.get("if-none-match").map(String::as_str) {
        Some("\"1\"") => support::files::Answer::status(304),
        _ => support::files::Answer::ok(GIVES_ROLES).with("ETag", "\"1\""),
    });
    let yaml = place.chat(&format!("component: '{}'", server.url("/own.wasm")), "", "trust: {require: never}\n");
    let proxy = place.start(&yaml);
    reload(&proxy);
    proxy.metric_becomes("cordboard_component_looks_total{result=\"unchanged\"}", 1.0);
    assert_eq!((proxy.generation(), handshake(&proxy)), (1, 101));
    let seen: Vec<_> = server.asked().iter().map(|asked| asked.headers.contains_key("if-none-match")).collect();
    // The file is looked at when the proxy begins to watch it, too, but not the component.
    assert_eq!(seen, [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_is_not_pinned_is_looked_at_from_time_to_time() {
    let place = Place::new();
    let server = place.server().await;
    server.serve(&[("/own.wasm", GIVES_ROLES)]);
    let plugin = format!("component: '{}'", server.url("/own.wasm"));
    let proxy = place.start(&place.chat(&plugin, "refresh: 1s", "trust: {require: never}\n"));
    assert_eq!(handshake(&proxy), 101);
    server.serve(&[("/own.wasm", GIVES_NO_ROLES)]);
    assert_eq!(proxy.reloaded(1), 2);
    assert_eq!(handshake(&proxy), 403);
    proxy.logged(&["a new generation serves", "why=refresh"]);
}
