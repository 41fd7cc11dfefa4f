//! A peer that runs.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Stdio},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::{Peer, config::Plan};
use crate::{session::PATIENCE, wrong};

/// Ports that the kernel gives to nobody of its own accord (see `net.ipv4.ip_local_port_range`), so that none is taken
/// as a source between being found and being bound.
const PORTS: std::ops::Range<u16> = 12_000..32_000;
/// How long a peer may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// A process, and where it is to be found.
#[derive(Debug)]
pub struct Process {
    /// Where it takes connections.
    pub address: SocketAddr,
    /// From its start to the first connection that it took.
    pub ready_after: Duration,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it and waits until it takes connections.
    pub(crate) fn start(peer: Peer, plan: Plan) -> io::Result<Self> {
        let Plan { mut command, listen, log } = plan;
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begun = Instant::now();
        let child = command.spawn().map_err(|error| wrong(format!("{} cannot be started: {error}", peer.title())))?;
        let mut process = Self { address: listen, ready_after: Duration::ZERO, child, log };
        while !accepts(listen) {
            let ended = process.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let why = ended.map_or("does not listen".to_owned(), |status| format!("ended with {status}"));
                return Err(wrong(format!("{} {why}: {}", peer.title(), process.told())));
            }
            thread::park_timeout(Duration::from_micros(200));
        }
        process.ready_after = begun.elapsed();
        Ok(process)
    }

    /// The process at the root of its tree.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it printed.
    #[must_use]
    pub fn told(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(600)..]).trim().to_owned()
    }
}

impl Process {
    /// Has it end, and waits at most so long. Gives all that it printed.
    ///
    /// # Errors
    /// When it does not end; then it is killed.
    pub fn end(mut self, within: Duration) -> io::Result<String> {
        if !self.ask_to_end(within) {
            return Err(wrong("it does not end when it is asked to"));
        }
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// Asks, because a master that is killed leaves its workers. Whether it has ended.
    fn ask_to_end(&mut self, within: Duration) -> bool {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return true;
        }
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It fails only if the process has gone, which is what is wanted.
            let _ = kill_process(id, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > within {
                return false;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ask_to_end(GRACE) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a connection is taken. One to itself, which loopback makes of equal ports, does not count.
fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own != address))
}

/// An address of loopback that nobody has.
pub fn free_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs at once begin elsewhere.
    let seed = u16::try_from(std::process::id() % 509).unwrap_or(0) * 37;
    for _ in PORTS {
        let port = PORTS.start + (seed + NEXT.fetch_add(1, Relaxed)) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(wrong("no port is free"))
}

/// How many descriptors a process may have; raised to what is allowed when first asked.
#[must_use]
pub fn descriptors() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            limit = wanted;
        }
    }
    // Without a limit, more than anybody needs here.
    limit.current.unwrap_or(1 << 20).min(1 << 20)
}
