//! What the tests stand on: the real binary as a process of its own, on free ports, with its log at hand.
//!
//! Nothing here sleeps for a fixed time: [`eventually`] looks again until what is expected is there or [`PATIENCE`] is
//! over. A proxy that is dropped is killed by its id.
#![allow(dead_code)] // each test file uses a part
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

pub mod board;
pub mod browser;
pub mod demo;
pub mod dial;
pub mod echo;
pub mod files;
pub mod peers;
pub mod registry;
pub mod shell;
pub mod site;
pub mod upstream;
pub mod wire;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long something may take that should happen at once; generous, because machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until `look` gives something, and fails with `what` if it does not in time.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same for the async tests.
pub async fn soon<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A configuration in a folder of its own.
pub struct Setup {
    pub dir: TempDir,
}

impl Setup {
    /// `yaml` is everything but `listeners` and `admin`, which get free ports; `reload.quiet` is short.
    pub fn new(yaml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setup = Self { dir };
        setup.write(yaml);
        setup
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("cordboard.yaml")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the configuration by rename, as editors and deployers do.
    pub fn write(&self, yaml: &str) {
        let head = "listeners: [{name: main, address: '127.0.0.1:0'}]\nadmin: {address: '127.0.0.1:0'}\n";
        let reload =
            if yaml.contains("\nreload:") || yaml.starts_with("reload:") { "" } else { "reload: {quiet: 20ms}\n" };
        self.put("cordboard.yaml", format!("{head}{reload}{yaml}").as_bytes());
    }

    /// Puts a file into the folder by rename.
    pub fn put(&self, name: &str, content: &[u8]) {
        let temporary = self.file(&format!(".{name}.new"));
        fs::write(&temporary, content).unwrap();
        fs::rename(&temporary, self.file(name)).unwrap();
    }

    pub fn start(self) -> Proxy {
        Proxy::start(self, &[])
    }
}

/// A running proxy: the real binary.
pub struct Proxy {
    pub setup: Setup,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// The binary, with the compiled code of the tests' own cache.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

pub fn lines(source: impl std::io::Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            sink.lock().unwrap().push(line);
        }
    });
    lines
}

impl Proxy {
    /// Starts it with a configuration as [`Setup::new`] takes it.
    pub fn with(yaml: &str) -> Self {
        Setup::new(yaml).start()
    }

    pub fn start(setup: Setup, envs: &[(&str, &str)]) -> Self {
        Self::run(setup, envs, &[])
    }

    /// With further arguments.
    pub fn run(setup: Setup, envs: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = binary();
        command.args(["run", "--config"]).arg(setup.path()).args(arguments).envs(envs.iter().copied());
        Self::spawn(setup, command)
    }

    /// Starts it with a command of one's own.
    pub fn spawn(setup: Setup, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let mut find = |prefix: &str| {
            let line = eventually(prefix, || {
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("the proxy did not start: {status}\n{}", log.lock().unwrap().join("\n"));
                }
                out.lock().unwrap().iter().find_map(|line| line.strip_prefix(prefix).map(ToOwned::to_owned))
            });
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let address = find("listening on ");
        let admin = find("admin on http://");
        Self { setup, address, admin, child, log }
    }

    /// `ws://…` of a path.
    pub fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a log line that holds all of these.
    pub fn logged(&self, parts: &[&str]) -> String {
        let find = || self.log().into_iter().find(|line| parts.iter().all(|part| line.contains(part)));
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = find() {
                return line;
            }
            assert!(Instant::now() < end, "no log line holds {parts:?}; the log is:\n{}", self.log().join("\n"));
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Body of an admin page.
    pub fn get(&self, path: &str) -> String {
        http(self.admin, &format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")).1
    }

    /// Value of a metric: the sum of the series that have these labels, written as in the exposition text, and maybe
    /// others. 0 if there is none yet.
    pub fn metric(&self, name: &str) -> f64 {
        let (name, wanted) = name.split_once('{').unwrap_or((name, "}"));
        let wanted: Vec<_> = wanted.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
        let page = self.get("/metrics");
        let values = page.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (named, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
            let fits = named == name && wanted.iter().all(|label| labels.contains(label));
            if fits { value.parse::<f64>().ok() } else { None }
        });
        values.sum()
    }

    /// Waits until a metric has this value.
    pub fn metric_becomes(&self, name: &str, value: f64) {
        self.metric_is(name, &format!("become {value}"), |is| (is - value).abs() < 0.5);
    }

    /// Waits until a metric is at most this.
    pub fn metric_falls_to(&self, name: &str, most: f64) {
        self.metric_is(name, &format!("fall to {most}"), |is| is < most + 0.5);
    }

    fn metric_is(&self, name: &str, what: &str, wanted: impl Fn(f64) -> bool) {
        let mut last = f64::NAN;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            last = self.metric(name);
            if wanted(last) {
                return;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        panic!("{name} is {last} and did not {what}; the log is:\n{}", self.log().join("\n"));
    }

    /// Number of the generation that serves.
    pub fn generation(&self) -> u64 {
        let page: serde_json::Value = serde_json::from_str(&self.get("/generation")).unwrap();
        page["generation"].as_u64().unwrap()
    }

    /// Waits until a newer generation than `before` serves.
    pub fn reloaded(&self, before: u64) -> u64 {
        eventually("a new generation", || Some(self.generation()).filter(|number| *number > before))
    }

    pub fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Waits for the process to end.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the end of the proxy", || self.child.try_wait().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that a test started.
pub fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Sends raw bytes and reads to the end: head and body of the answer.
pub fn http(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    // An answer to a connection that stays open ends with its body, which for a 101 is nothing.
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&answer)),
        }
        if complete(&answer) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

fn complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.starts_with("HTTP/1.1 101") {
        return true;
    }
    head.lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(str::trim).map(ToOwned::to_owned)
        })
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

/// A valid upgrade request; `more` is further header lines, each with its line end.
pub fn upgrade(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// The status of an answer's head.
pub fn status(head: &str) -> u16 {
    head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A rendezvous route at `/chat` and the built-in policy.
pub const CHAT: &str = "
plugins: {rendezvous: {component: 'builtin:rendezvous'}}
routes:
  - name: chat
    match: {path: /chat}
    mode: rendezvous
    plugins: [rendezvous]
";
