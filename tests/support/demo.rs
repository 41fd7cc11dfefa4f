//! `cordboard demo` as a process, read as its user reads it: what it prints is all that is known of it.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use super::{binary, eventually, lines};

/// The ports that the demo uses where they are free.
pub const DEFAULT_PORTS: [u16; 5] = [8080, 9901, 9001, 9002, 9003];

/// A running demo.
pub struct Demo {
    /// For its temporary files.
    pub folder: tempfile::TempDir,
    /// All that it printed.
    pub text: String,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub echo: SocketAddr,
    pub backend: SocketAddr,
    pub page: SocketAddr,
    pub config: PathBuf,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// The default ports, as far as they were free: ours now, so that the demo needs others.
    _taken: Vec<TcpListener>,
}

impl Demo {
    /// Starts it while every default port is taken.
    pub fn start() -> Self {
        let taken = DEFAULT_PORTS.iter().filter_map(|port| TcpListener::bind(("127.0.0.1", *port)).ok()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut child = binary()
            .arg("demo")
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines(child.stdout.take().unwrap());
        let log = lines(child.stderr.take().unwrap());
        let text = eventually("the lines to try", || {
            assert!(child.try_wait().unwrap().is_none(), "the demo ended: {}", log.lock().unwrap().join("\n"));
            let lines = out.lock().unwrap();
            // The last paragraph.
            lines.iter().any(|line| line.contains("/metrics")).then(|| lines.join("\n"))
        });
        let after = |label: &str, scheme: &str| {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label)).unwrap();
            let address = line.trim_start().strip_prefix(scheme).unwrap();
            address.split_whitespace().next().unwrap().parse().unwrap()
        };
        let config = text.lines().find_map(|line| line.trim().ends_with("/demo.yaml").then(|| line.trim())).unwrap();
        Self {
            proxy: after("proxy", "ws://"),
            admin: after("admin", "http://"),
            echo: after("echo", "ws://"),
            backend: after("backend", "http://"),
            page: after("page", "http://"),
            config: config.into(),
            folder,
            text,
            child,
            log,
            _taken: taken,
        }
    }

    /// The lines under a heading, as they would be pasted into a shell.
    pub fn lines_to_paste(&self, heading: &str) -> String {
        let mut lines = self.text.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
        let pasted: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).map(str::trim_start).collect();
        assert!(!pasted.is_empty(), "no lines under {heading} in:\n{}", self.text);
        pasted.join("\n")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Sends a signal and waits for the end.
    pub fn ended_by(&mut self, signal: &str) -> ExitStatus {
        super::kill(self.child.id(), signal);
        eventually("the end of the demo", || self.child.try_wait().unwrap())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
