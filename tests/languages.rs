//! Every template in every language: begun, built with the lines of its manifest, checked, and tried with the cases that
//! are the same for all of them. Those in Rust are part of `make test`; the others want compilers and packages of their own
//! and are run by `make languages`.
//!
//! What a project's own lines install is kept for the next project of the language, and for the next run.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod support;

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Proxy, binary, http, upgrade};

/// Of every language.
const KINDS: [&str; 8] =
    ["rendezvous", "router", "authorizer", "filter", "rechecker", "pairer", "rewriter", "observer"];
/// What lines of manifests install into a project, and what compilers keep there.
const KEPT: [&str; 3] = ["node_modules", ".venv", "target"];

#[test]
fn policies_in_rust() {
    all("rust", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_javascript_on_quickjs() {
    all("javascript", &["--engine", "quickjs"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_javascript_on_starlingmonkey() {
    all("javascript", &["--engine", "starlingmonkey"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_typescript_on_quickjs() {
    all("typescript", &["--engine", "quickjs"]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_typescript_on_starlingmonkey() {
    // QuickJS has checked and run each of the sources, and this engine all kinds in JavaScript, which is what it gets here,
    // too. What is left is that the two go together, for decisions and for messages.
    for kind in ["rendezvous", "filter"] {
        project("typescript", &["--engine", "starlingmonkey"], kind);
    }
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_python() {
    all("python", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_c() {
    all("c", &[]);
}

#[test]
#[ignore = "`make languages` runs it"]
fn policies_in_go() {
    all("go", &[]);
}

/// What the package for Go makes of the host's capabilities, in the proxy and in tests of a policy. Projects do without.
#[test]
#[ignore = "`make languages` runs it"]
fn capabilities_in_go() {
    const SAID: &str = "\
random: 100000 100000 false
absent: true <nil>
set: <nil> <nil>
got: seven <nil>
empty: true 0 <nil>
sum: -5 <nil>
sum: 1099511627771 <nil>
no number: conflict
compared: false <nil>
compared: false <nil>
compared: true <nil>
compared: true <nil>
deleted: <nil> <nil>
absent: true <nil>
no service: not-found
endpoints: 2 <nil>
endpoint: 10.0.0.3:8003 false true 0 [{env_tag dev}]
endpoint: 10.0.0.4:8004 false true 0 []
endpoints: 1 <nil>
endpoint: 10.0.0.3:8003 false true 0 [{env_tag dev}]
endpoints: 0 <nil>
answer: 203 {x-said POST b} hello!
elsewhere: denied
";
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/languages");
    let begun = begin("go", &[], "authorizer", "probe");
    let begun = begun.path().join("probe");
    fs::copy(sources.join("capabilities.go"), begun.join("policy.go")).unwrap();
    fs::copy(sources.join("capabilities_test.go"), begun.join("policy_test.go")).unwrap();
    fs::copy(sources.join("lifetimes_test.go"), begun.join("cordboard/lifetimes_test.go")).unwrap();
    fs::write(begun.join("said.txt"), SAID).unwrap();
    let world = fs::read_to_string(begun.join("wit/world.wit")).unwrap();
    let imports = ["random", "metrics", "key-value", "discovery", "http-client"];
    let imports = imports.map(|name| format!("import cordboard:host/{name}@0.1.0;\n")).concat();
    fs::write(begun.join("wit/world.wit"), world.replace("  include", &format!("{imports}  include"))).unwrap();
    let Workshop { dir, _lock } = workshop(&begun, "go");
    plugin("go", &dir, &["build", "--install"]);
    let tests = "PATH=\"$PWD/.venv/bin:$PATH\" go test ./... 2>&1";
    let tests = Command::new("sh").args(["-c", tests]).current_dir(&dir).output().unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));

    let site = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = site.local_addr().unwrap();
    let answer = thread::spawn(move || {
        let (mut stream, _) = site.accept().unwrap();
        let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"hello") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
            asked.extend_from_slice(&buffer[..read]);
        }
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.contains("\r\nx-a: b\r\n"), "{asked}");
        let method = asked.split(' ').next().unwrap();
        write!(stream, "HTTP/1.1 203 Said\r\nx-said: {method} b\r\ncontent-length: 6\r\n\r\nhello!").unwrap();
    });
    let proxy = Proxy::with(&format!(
        "
plugins:
  probe:
    component: {}
    config: {{ site: 'http://{address}/' }}
    limits: {{ memory: 64MiB, decision: 5s }}
    grants:
      random: true
      metrics: true
      key_value: {{ kept: {{}} }}
      discovery: true
      http_client: {{ allow: ['{address}'] }}
  rendezvous: {{ component: 'builtin:rendezvous' }}
routes: [{{ name: all, match: {{ path: / }}, mode: rendezvous, plugins: [probe, rendezvous] }}]
services: {{ users: {{ endpoints: [{{ url: 'ws://10.0.0.3:8003', env_tag: dev }}, 'ws://10.0.0.4:8004'] }} }}
",
        dir.join("build/probe.wasm").display()
    ));
    let (_, said) = http(proxy.address, &upgrade("/chat?channelId=1", ""));
    assert_eq!(said, SAID);
    answer.join().unwrap();
    let (_, series) = http(proxy.admin, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    for line in [
        "asked_total{plugin=\"probe\"} 2",
        "asked_total{plugin=\"probe\",by=\"go\"} 1",
        "depth{plugin=\"probe\",in=\"b\",of=\"a\"} -1.5",
        "took_sum{plugin=\"probe\"} 0.25",
    ] {
        assert!(series.contains(&format!("cordboard_plugin_custom_{line}\n")), "{line}:\n{series}");
    }
}

fn all(language: &str, more: &[&str]) {
    for kind in KINDS {
        project(language, more, kind);
    }
}

/// Runs a command of `cordboard plugin` in a folder.
fn plugin(language: &str, dir: &Path, arguments: &[&str]) -> String {
    let mut command = binary();
    if language == "rust" {
        // Without a network, and as on a machine that never had one.
        command.env("CARGO_NET_OFFLINE", "true").env("CARGO_HOME", empty("cargo-home"));
    }
    let output = command.arg("plugin").args(arguments).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{language}: plugin {arguments:?}: {}\n{out}{err}", output.status);
    out
}

/// Begins a project, in a folder of its name.
fn begin(language: &str, more: &[&str], kind: &str, name: &str) -> tempfile::TempDir {
    let begun = tempfile::tempdir().unwrap();
    plugin(language, begun.path(), &[&["new", name, "--lang", language, "--kind", kind], more].concat());
    begun
}

/// Begins a project, builds it, checks it and runs its cases.
fn project(language: &str, more: &[&str], kind: &str) {
    let name = format!("{kind}-in-{language}");
    let begun = begin(language, more, kind, &name);
    let begun = begun.path().join(&name);
    let cases = fs::read_to_string(begun.join("cases.yaml")).unwrap();
    let same = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plugins/templates/cases/{kind}.yaml"));
    assert_eq!(cases, fs::read_to_string(same).unwrap(), "the cases are the same in all languages");

    let engine = [language, &more.concat()].concat();
    let Workshop { dir, _lock } = workshop(&begun, &engine);
    plugin(language, &dir, &["build", "--install"]);
    plugin(language, &dir, &["check"]);
    let tried = plugin(language, &dir, &["test"]);
    let (count, wanted) = (tried.matches("ok      ").count(), cases.matches("- name: ").count());
    assert!(count == wanted && count > 3, "{name}: {count} of {wanted} cases were run:\n{tried}");
    if let Some(table) = env::var_os("CORDBOARD_LANGUAGES_TABLE") {
        row(&PathBuf::from(table), &engine, kind, &plugin(language, &dir, &["bench", "--json"]));
    }
}

/// A folder in which nothing is; of the same path each time, which is among the compiler's flags.
fn empty(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Adds what `plugin bench` measured to a file, a line of JSON for each project.
fn row(table: &Path, language: &str, kind: &str, bench: &str) {
    let now: Value = serde_json::from_str::<Value>(bench).unwrap()["now"].clone();
    let line = json!({ "language": language, "kind": kind, "bench": now });
    let before = fs::read_to_string(table).unwrap_or_default();
    fs::write(table, format!("{before}{line}\n")).unwrap();
}

/// A folder in which projects of a language are built, one after the other.
struct Workshop {
    dir: PathBuf,
    /// Held until the project has been tried: what the next one of any test brings would lie among its files.
    _lock: File,
}

/// The folder of a language, with what was installed there, and nothing else but this project: tools know their own paths,
/// so that they cannot be moved to it.
fn workshop(begun: &Path, language: &str) -> Workshop {
    let mut hash = Sha256::new();
    // Other lines may want other tools. The project's name is no reason to install anything anew.
    for file in ["plugin.yaml", "package.json"] {
        let text = fs::read_to_string(begun.join(file)).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.contains("name") && !line.contains("component:"));
        lines.for_each(|line| hash.update(line));
    }
    let digest = u64::from_be_bytes(hash.finalize()[..8].try_into().unwrap());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("languages").join(format!("{language}-{digest:016x}"));
    fs::create_dir_all(&dir).unwrap();
    let lock = File::create(dir.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if KEPT.iter().any(|kept| entry.file_name() == *kept) || begun.join(entry.file_name()).is_file() {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    copy(begun, &dir);
    Workshop { dir, _lock: lock }
}

/// Copies what is not there as it is: what a compiler has seen keeps its time.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else if fs::read(&source).unwrap() != fs::read(&target).unwrap_or_default() {
            fs::copy(&source, &target).unwrap();
        }
    }
}
