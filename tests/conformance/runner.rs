//! Runs cases on a link: `run.py` with the fuzzer and the echo, and the proxy between them.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    link::Link,
    support::{Proxy, shell},
    verdict::{CaseId, Verdict},
};

/// Cases that are run together.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Ids and globs, with commas between them.
    pub cases: &'a str,
    /// How many at once.
    pub parallel: usize,
    /// How long one of them may take by our clock.
    pub limit: Duration,
}

/// What came of a case, and what the suite says about it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub said: String,
}

/// What came of the cases.
pub type Outcomes = BTreeMap<CaseId, Outcome>;

/// The process of the fuzzer, killed by its id when it is dropped; the echo ends with it.
struct Runner {
    child: Child,
    lines: Receiver<Value>,
    /// Longest silence.
    patience: Duration,
}

impl Runner {
    fn start(link: Link, Batch { cases, parallel, limit }: Batch<'_>) -> Self {
        let mut command = Command::new(shell::python());
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/run.py"));
        command.args([link.shape(), cases, &parallel.to_string(), &limit.as_secs().to_string()]);
        if std::env::var_os("NODE_PATH").is_none() {
            command.env("NODE_PATH", shell::tools().join("node_modules"));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; install it: make test-tools", shell::python().display()));
        let out = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { child, lines, patience: limit + Duration::from_mins(1) }
    }

    /// The next line; `None` if it ended, or hangs.
    fn line(&self) -> Option<Value> {
        self.lines.recv_timeout(self.patience).ok()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs cases on a link.
pub fn run(link: Link, batch: Batch<'_>) -> Outcomes {
    let mut runner = Runner::start(link, batch);
    let first = runner.line().unwrap_or_else(|| {
        panic!(
            "{} cannot be run; the reason stands above. If a package is missing, install it: make test-tools",
            batch.cases
        )
    });
    let port = first["port"].as_u64().map(|port| u16::try_from(port).unwrap());
    let proxy = link.proxy(port);
    writeln!(runner.child.stdin.as_mut().unwrap(), "{}", link.to_dial(port, proxy.as_ref())).unwrap();

    let none = Outcome { verdict: Verdict::NONE, said: "the runner ended before it".to_owned() };
    let selected = first["selected"].as_array().unwrap();
    let mut outcomes: Outcomes =
        selected.iter().map(|case| (case.as_str().unwrap().parse().unwrap(), none.clone())).collect();
    while let Some(line) = runner.line() {
        let Some(case) = line["case"].as_str() else { continue };
        let text = |key: &str| line[key].as_str().unwrap();
        let verdict = Verdict::new(text("behavior"), text("closing")).unwrap();
        outcomes.insert(case.parse().unwrap(), Outcome { verdict, said: text("said").to_owned() });
    }
    if let Some(proxy) = proxy {
        nothing_is_left(&proxy);
    }
    outcomes
}

/// No case may leave a session behind, or be a failure of the proxy itself.
fn nothing_is_left(proxy: &Proxy) {
    for mode in ["router", "rendezvous"] {
        proxy.metric_becomes(&format!("cordboard_sessions{{mode=\"{mode}\"}}"), 0.0);
    }
    let errors = proxy.log().into_iter().filter(|line| line.contains("ERROR")).collect::<Vec<_>>();
    assert!(errors.is_empty(), "the proxy logged:\n{}", errors.join("\n"));
}
