//! What the README says is so: its walk-throughs are run, its first policy is built and swapped, its tables are compared
//! with the code.
//!
//! So it is with the page of hooks, whose examples in Rust the SDK tests.
//!
//! A comment before a fenced block names it: `<!-- walk-through: NAME -->` for lines to paste, `<!-- prints: NAME -->`
//! for what they print, `<!-- file: PATH -->` for a file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "readme/plugins.rs"]
mod plugins;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cordboard::error::Cause;
use support::{
    Proxy, Setup,
    demo::Demo,
    eventually, http,
    shell::{Background, bash, output},
    status, upgrade,
};

const README: &str = include_str!("../README.md");
const ERRORS: &str = include_str!("../docs/errors.md");
const HOOKS: &str = include_str!("../docs/hooks.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The fenced block of the README after a comment.
fn block(comment: &str) -> String {
    block_of(README, comment)
}

fn block_of(document: &str, comment: &str) -> String {
    let comment = format!("<!-- {comment} -->");
    let mut lines = document.lines().skip_while(|line| *line != comment).skip(1);
    let fence = lines.next().unwrap_or_else(|| panic!("there is no {comment}"));
    assert!(fence.starts_with("```"), "{comment} stands before {fence:?}");
    lines.take_while(|line| *line != "```").fold(String::new(), |text, line| text + line + "\n")
}

/// Where the README's addresses are in this test.
struct Here {
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Here {
    fn of(demo: &Demo) -> Self {
        let addresses =
            [("127.0.0.1:8080", demo.proxy), ("127.0.0.1:9901", demo.admin), ("127.0.0.1:9002", demo.backend)];
        Self { addresses: addresses.into() }
    }

    /// A walk-through with the real addresses.
    fn walk_through(&self, name: &str) -> String {
        let mut script = block(&format!("walk-through: {name}"));
        for (written, real) in &self.addresses {
            script = script.replace(written, &real.to_string());
        }
        script
    }

    fn prints_what_it_says(&self, name: &str) {
        assert_eq!(output(bash(&self.walk_through(name))), block(&format!("prints: {name}")), "{name}");
    }
}

#[test]
fn the_walk_throughs_print_what_they_say_with_the_demo() {
    let demo = Demo::start();
    let here = Here::of(&demo);
    for name in ["trigger", "rendezvous", "router"] {
        here.prints_what_it_says(name);
    }
    // Curl gives up after its second: exit code 28.
    let answer = output(bash(&format!("{{ {}}} || [ $? = 28 ]", here.walk_through("handshake"))));
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols"), "{answer}");
}

#[test]
fn the_walk_throughs_work_without_the_demo_and_with_an_echo_service_of_ones_own() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let demo = fs::read_to_string(Path::new(ROOT).join("config/demo.yaml")).unwrap();
    let demo = demo
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace("127.0.0.1:9001", &free.to_string());
    let setup = Setup::new("");
    setup.put("cordboard.yaml", demo.as_bytes());
    let proxy = setup.start();
    let here = Here { addresses: vec![("127.0.0.1:8080", proxy.address)] };
    here.prints_what_it_says("rendezvous");
    let answer = output(bash(&here.walk_through("handshake")));
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("x-cordboard-error: no-endpoint"), "{answer}");
    let service = block("walk-through: echo-service").replace("9001", &free.port().to_string());
    let _service = Background::start(bash(&service));
    let router = upgrade("/ws/echo", "");
    eventually("the echo service", || (status(&http(proxy.address, &router).0) == 101).then_some(()));
    here.prints_what_it_says("router");
}

#[test]
fn the_configurations_are_accepted() {
    for file in ["nutshell.yaml", "matching.yaml", "forward.yaml", "placeholders.yaml"] {
        let setup = Setup::new("");
        setup.put(file, block(&format!("file: {file}")).as_bytes());
        let checked = support::binary().arg("check").arg(setup.file(file)).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_configurations_of_the_page_of_hooks_are_accepted() {
    let named = HOOKS.lines().filter_map(|line| line.strip_prefix("<!-- file: ")?.strip_suffix(" -->"));
    let mut count = 0;
    for file in named {
        let setup = Setup::new("");
        setup.put(file, block_of(HOOKS, &format!("file: {file}")).as_bytes());
        let mut command = support::binary();
        // 32 bytes in base64.
        command.env("FIELD_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").arg("check").arg(setup.file(file));
        let checked = command.output().unwrap();
        assert!(checked.status.success(), "{file}: {}", String::from_utf8_lossy(&checked.stderr));
        count += 1;
    }
    assert_eq!(count, 3);
}

/// Where `cordboard` is the binary of the tests.
fn with_binary(mut command: Command) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_cordboard")).parent().unwrap();
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_str().unwrap();
    let path = format!("{}:{path}", binary.display());
    command.env("PATH", path);
    command
}

/// The project of the README; what it was built with is there for the next run.
struct FirstPolicy {
    parent: PathBuf,
    here: Here,
    config: PathBuf,
}

impl FirstPolicy {
    fn begin(demo: &Demo) -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
        let (project, kept) = (parent.join("first-policy"), parent.join("target"));
        if project.exists() {
            fs::remove_dir_all(&project).unwrap();
        }
        fs::create_dir_all(&kept).unwrap();
        let first = Self { parent, here: Here::of(demo), config: demo.config.clone() };
        first.paste("new-policy");
        std::os::unix::fs::symlink(kept, project.join("target")).unwrap();
        for file in ["first-policy/src/lib.rs", "first-policy/cases.yaml"] {
            fs::write(first.parent.join(file), block(&format!("file: {file}"))).unwrap();
        }
        first
    }

    fn script(&self, name: &str) -> Command {
        let script = self
            .here
            .walk_through(name)
            .replace("$(ls -t /tmp/cordboard-demo-*/demo.yaml | head -n 1)", &self.config.display().to_string());
        let mut command = with_binary(bash(&script));
        command.current_dir(&self.parent);
        command
    }

    fn paste(&self, name: &str) {
        output(self.script(name));
    }
}

#[test]
fn the_first_policy_builds_decides_and_is_swapped_while_a_conversation_goes_on() {
    let demo = Demo::start();
    let knock = |role: &str| status(&http(demo.proxy, &upgrade(&format!("/chat?channelId={role}&as={role}"), "")).0);
    let decides = |what, role, expected| eventually(what, || (knock(role) == expected).then_some(()));
    let first = FirstPolicy::begin(&demo);

    assert_eq!(knock("operator"), 101, "the built-in policy does not look at `as`");
    first.paste("first-policy");
    decides("the first policy", "operator", 403);

    let mut command = first.script("agent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut meeting = command.spawn().unwrap();
    let mut said = [0; 16];
    let mut out = meeting.stdout.take().unwrap();
    out.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"They are joined.");

    let policy = first.parent.join("first-policy/build/first-policy.wasm");
    let old = fs::read(&policy).unwrap();
    first.paste("swap");
    decides("the changed policy", "agent", 403);
    let refused = output(bash(&first.here.walk_through("refused")));
    assert!(refused.starts_with("HTTP/1.1 403 Forbidden") && refused.contains("There is no such role."), "{refused}");
    assert!(refused.contains("x-cordboard-error: rejected"), "{refused}");

    // To and fro, from here on with compiled code at hand: live within a second of the save, unless the machine is busy.
    let new = fs::read(&policy).unwrap();
    let swaps = [(&old, "operator"), (&new, "agent")].into_iter().cycle().take(6).map(|(component, refused)| {
        let saved = Instant::now();
        fs::write(&policy, component).unwrap();
        decides("a swapped policy", refused, 403);
        saved.elapsed()
    });
    let fastest = swaps.min().unwrap();
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");

    meeting.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(meeting.wait().unwrap().success() && rest.contains("agent hears: are you still there?"), "{rest}");
}

#[test]
fn the_table_of_causes_is_that_of_the_code() {
    let dash = |code: u16| if code == 0 { "–".to_owned() } else { code.to_string() };
    let rows = Cause::ALL.iter().map(|cause| {
        let row = cause.row();
        format!("| `{}` | {} | {} | {} |\n", row.label, dash(row.status), dash(row.close), row.reason)
    });
    let table = "| cause | status | close | meaning |\n|---|---|---|---|\n".to_owned() + &rows.collect::<String>();
    let (_, rest) = README.split_once("<!-- causes -->\n").unwrap();
    let (written, _) = rest.split_once("<!-- /causes -->").unwrap();
    assert!(written == table, "the README's table of causes should be\n{table}");
}

#[test]
fn the_page_of_errors_has_a_line_for_each_cause_and_tells_what_to_do() {
    let dash = |code: u16| if code == 0 { "–".to_owned() } else { code.to_string() };
    let (_, rest) = ERRORS.split_once("<!-- causes -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /causes -->").unwrap();
    let lines: Vec<_> = table.lines().skip(2).collect();
    for (nth, cause) in Cause::ALL.iter().enumerate() {
        let row = cause.row();
        let source = format!("{:?}", row.source).to_lowercase();
        let known = format!(
            "| `{}` | {} / {}: {} | {}, {source} | ",
            row.label,
            dash(row.status),
            dash(row.close),
            row.reason,
            row.level
        );
        let line = lines.get(nth).unwrap_or_else(|| panic!("a line is missing that begins with {known}"));
        let written = line.strip_prefix(known.as_str()).unwrap_or_else(|| panic!("{known} expected: {line}"));
        let (happened, to_do) = written.strip_suffix(" |").unwrap().split_once(" | ").unwrap();
        assert!(happened.len() > 20 && to_do.len() > 20, "{line}");
    }
    assert_eq!(lines.len(), Cause::ALL.len());
}

#[test]
fn every_metric_of_the_documents_is_there() {
    let proxy = Proxy::with(&format!(
        "{}  - {{name: plain, match: {{path: /plain}}, mode: http, service: up}}\n\
         services: {{up: {{endpoints: ['http://127.0.0.1:1']}}}}\n",
        support::CHAT
    ));
    // Some series appear with the first thing they count.
    let (head, _) = http(proxy.address, &upgrade("/chat?channelId=1", ""));
    assert_eq!(status(&head), 101);
    assert_eq!(status(&http(proxy.address, &upgrade("/nowhere", "")).0), 404);
    let page = proxy.get("/metrics");
    let there: BTreeSet<_> = page.lines().filter_map(|line| line.split([' ', '{']).next()).collect();
    let named = README.split('`').chain(ERRORS.split('`')).filter(|word| word.starts_with("cordboard_"));
    let mut count = 0;
    // These come with grants, and with `dump`; `tests/policy/granted.rs` and `tests/plugin/dump.rs` look at them.
    let granted = [
        "cordboard_plugin_bucket_",
        "cordboard_plugin_custom_",
        "cordboard_plugin_metrics_dropped_",
        "cordboard_plugin_dumps_",
    ];
    let named = named.map(|name| name.split('{').next().unwrap());
    for name in named.filter(|name| !granted.iter().any(|begun| name.starts_with(begun))) {
        let histogram = format!("{name}_bucket");
        assert!(there.contains(name) || there.contains(histogram.as_str()), "{name} is not in\n{page}");
        count += 1;
    }
    assert!(count > 10, "metrics are named");
}

#[test]
fn every_dependency_is_explained_and_every_linked_file_exists() {
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    let (_, section) = manifest.split_once("\n[dependencies]\n").unwrap();
    let names = section.split("\n[").next().unwrap().lines().filter_map(|line| line.split_once(" = "));
    for (name, _) in names {
        assert!(README.contains(&format!("`{name}`")), "{name} is not explained");
    }
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let anchor = link.strip_prefix('#');
        match anchor {
            Some(anchor) => assert!(headings().contains(anchor), "no heading for #{anchor}"),
            None if link.starts_with("https://") => {}
            None => assert!(Path::new(ROOT).join(link).exists(), "{link} does not exist"),
        }
    }
}

/// The anchors that GitHub makes of the headings.
fn headings() -> BTreeSet<String> {
    let headings = README.lines().filter_map(|line| line.strip_prefix("## "));
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_exit_code_and_every_outcome_is_named() {
    use cordboard::cli::exit;
    for code in exit::ALL {
        assert!(README.contains(&format!("\n| {code} | ")), "{code}");
    }
    for outcome in cordboard::model::Outcome::ALL {
        assert!(README.contains(&format!("`{}`", outcome.label())), "{outcome:?}");
    }
}
