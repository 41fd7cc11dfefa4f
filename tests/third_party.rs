//! Other people's WebSocket libraries talk through us: Python's `websockets` and Node's `ws`, each on either side of the
//! other and of itself, and the handshake with curl.
//!
//! `make test-tools` installs the libraries; without them these tests fail and say so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use support::{CHAT, Proxy, upstream::Refusing};

/// How long a peer may talk; interpreters start slowly.
const TALK: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug)]
enum Library {
    Python,
    Node,
}

use Library::{Node, Python};

const PAIRS: [(Library, Library); 4] = [(Python, Python), (Python, Node), (Node, Python), (Node, Node)];

fn tools() -> PathBuf {
    // `target/tmp`, whatever `target` is called.
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools")
}

impl Library {
    /// The interpreter with the script, the library being there.
    fn command(self) -> Command {
        let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/third_party").join(name);
        let (program, script, probe) = match self {
            Python => {
                let installed = tools().join("venv/bin/python");
                let fallback = || if installed.exists() { installed.into_os_string() } else { "python3".into() };
                let program = std::env::var_os("CORDBOARD_TEST_PYTHON").unwrap_or_else(fallback);
                (program, script("talk.py"), ["-c", "import websockets.asyncio.server"])
            }
            Node => ("node".into(), script("talk.mjs"), ["-e", "require('ws').WebSocketServer.name"]),
        };
        let new = || {
            let mut command = Command::new(&program);
            if std::env::var_os("NODE_PATH").is_none() {
                command.env("NODE_PATH", tools().join("node_modules"));
            }
            command.stdin(Stdio::null());
            command
        };
        let there = new().args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(
            there.is_ok_and(|status| status.success()),
            "{} with its WebSocket library is missing; install it: make test-tools",
            Path::new(&program).display()
        );
        let mut command = new();
        command.arg(script);
        command
    }

    fn start(self, arguments: &[&str]) -> Peer {
        Peer::start(self.command().args(arguments))
    }
}

/// A process of somebody else's, killed by its id when it is dropped.
struct Peer {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Peer {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn line(&self, what: &str) -> String {
        self.lines.recv_timeout(TALK).unwrap_or_else(|_| panic!("it ended, or said nothing in {TALK:?}: {what}"))
    }

    /// The address it listens on.
    fn address(&self) -> SocketAddr {
        self.line("its address").strip_prefix("listening ").unwrap().parse().unwrap()
    }

    /// Both of its connections have ended, each as the caller and it agreed.
    fn heard_both_ends(&self) {
        assert_eq!(self.line("the first end"), "closed 4001 caller is done");
        assert_eq!(self.line("the second end"), "closed 4002 answerer is done");
    }

    fn talked(mut self, who: &str) {
        assert_eq!(self.line(who), "talked", "{who}");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn they_talk_in_a_rendezvous_without_compression() {
    let proxy = Proxy::with(CHAT);
    for (n, (caller, backend)) in PAIRS.into_iter().enumerate() {
        let answering = backend.start(&["backend", &proxy.ws(&format!("/chat/connect?channelId={n}"))]);
        let calling = caller.start(&["caller", &proxy.ws(&format!("/chat?channelId={n}")), "cord.v2", ""]);
        calling.talked(&format!("{caller:?} with {backend:?}"));
        answering.heard_both_ends();
    }
    proxy.metric_becomes("cordboard_channels", 0.0);
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"rendezvous\",outcome=\"paired\"}", 8.0);
}

#[test]
fn they_talk_through_the_router_with_compression_and_subprotocol_end_to_end() {
    for (caller, service) in PAIRS {
        let answering = service.start(&["service"]);
        let proxy = Proxy::with(&format!(
            "routes: [{{name: ws, match: {{path: /ws}}, mode: router, service: talk}}]\n\
             services: {{talk: {{endpoints: ['ws://{}']}}}}\n",
            answering.address()
        ));
        let calling = caller.start(&["caller", &proxy.ws("/ws"), "cord.v1", "permessage-deflate"]);
        calling.talked(&format!("{caller:?} with {service:?}"));
        answering.heard_both_ends();
        proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"router\",outcome=\"routed\"}", 2.0);
    }
}

#[test]
fn they_talk_through_a_route_for_plain_http_as_through_a_tunnel() {
    for (caller, service) in PAIRS {
        let answering = service.start(&["service"]);
        let proxy = Proxy::with(&format!(
            "routes: [{{name: web, match: {{path: /}}, mode: http, service: talk}}]\n\
             services: {{talk: {{endpoints: ['http://{}']}}}}\n",
            answering.address()
        ));
        let idle = proxy.metric("cordboard_tasks");
        let calling = caller.start(&["caller", &proxy.ws("/ws"), "cord.v1", "permessage-deflate"]);
        calling.talked(&format!("{caller:?} with {service:?}"));
        answering.heard_both_ends();
        // Nothing of the two is left, neither towards them nor towards the service.
        proxy.metric_becomes("cordboard_tasks", idle);
    }
}

/// What curl shows of the answer for an address. After a 101 it waits until the proxy ends the connection.
fn curl(proxy: &Proxy, path: &str) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "20", "--include", "--no-buffer", "--header", "Connection: Upgrade"])
        .args(["--header", "Upgrade: websocket", "--header", "Sec-WebSocket-Version: 13"])
        .args(["--header", "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==", "--http1.1"])
        .arg(format!("http://{}{path}", proxy.address))
        .output()
        .unwrap_or_else(|error| panic!("curl: {error}; install it: apt-get install curl"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_handshake_test_with_curl_gets_its_101() {
    let nobody = Refusing::bind();
    let proxy = Proxy::with(&format!(
        "{CHAT}    rendezvous: {{pairing_timeout: 300ms}}\n    limits: {{close: 100ms}}\n  - {{name: ws, match: {{path: /ws}}, mode: router, service: gone}}\n\
         services: {{gone: {{endpoints: ['ws://{}']}}}}\n",
        nobody.address
    ));
    let head = curl(&proxy, "/chat?channelId=1").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    for field in ["upgrade: websocket", "connection: upgrade", "x-channel-id: 1"] {
        assert!(head.contains(&format!("{field}\r\n")), "{field} is missing in {head}");
    }
    // SHA-1 of the key and the GUID of RFC 6455 §1.3, in lower case as all of this head.
    assert!(head.contains(&"sec-websocket-accept: qGEgH3En71di5rrssAZTmtRTyFk=\r\n".to_lowercase()), "{head}");
    assert!(curl(&proxy, "/ws").starts_with("HTTP/1.1 502 "));
}
