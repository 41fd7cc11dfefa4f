//! What all sessions of the soak share: how far it is, what went wrong, what was done.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{
    talk::Line,
    wire::{self, Reader, Writer},
};
use crate::support::Proxy;

/// How long something may take before it counts as stuck. A swap on a busy machine compiles for seconds.
pub const STUCK: Duration = Duration::from_mins(2);

/// What sessions know of each other's outcome: `(mode, outcome)` as the counter is labelled.
pub type Ended = (&'static str, &'static str);

pub struct World {
    pub proxy: SocketAddr,
    /// Swaps that are published.
    pub swaps: watch::Sender<usize>,
    /// A swap is about to be published.
    pub swapping: watch::Sender<bool>,
    /// Sessions without an end of their own finish what they say and close.
    pub stop: AtomicBool,
    /// Legs that stopped in the middle of a message, by the number of swaps they had seen.
    pub halted: Vec<AtomicUsize>,
    pub messages: AtomicU64,
    pub bytes: AtomicU64,
    pub pings: AtomicU64,
    /// How long handshakes took that nothing held up on purpose.
    pub handshakes: Mutex<Vec<Duration>>,
    /// And those of two at once that policies held up.
    pub slow: Mutex<Vec<Duration>>,
    /// Legs joined with one that came under a later generation.
    pub joined_later: AtomicU64,
    /// Handshakes during which a swap was published.
    pub crossed: AtomicU64,
    ended: Mutex<BTreeMap<Ended, u64>>,
    failures: Mutex<Vec<String>>,
    next: AtomicU64,
    lines: Mutex<Vec<Weak<Line>>>,
    dialled: Mutex<HashMap<u64, oneshot::Sender<(Reader, Writer)>>>,
}

impl World {
    pub fn new(proxy: SocketAddr, swaps: usize) -> Self {
        Self {
            proxy,
            swaps: watch::Sender::new(0),
            swapping: watch::Sender::new(false),
            stop: AtomicBool::new(false),
            halted: (0..=swaps + 1).map(|_| AtomicUsize::new(0)).collect(),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            handshakes: Mutex::default(),
            slow: Mutex::default(),
            joined_later: AtomicU64::new(0),
            crossed: AtomicU64::new(0),
            ended: Mutex::default(),
            failures: Mutex::default(),
            next: AtomicU64::new(1),
            lines: Mutex::default(),
            dialled: Mutex::default(),
        }
    }

    /// A number for a session.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, SeqCst)
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// Waits for this many swaps, or for the end of the soak. Gives how many there were.
    pub async fn swapped(&self, swaps: usize) -> usize {
        let mut seen = self.swaps.subscribe();
        let first = *seen.borrow_and_update();
        let enough = |now: &usize| *now >= first + swaps || self.stopping();
        // The sender lives in `self`.
        let now = *seen.wait_for(enough).await.unwrap();
        now - first
    }

    pub fn failed(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    pub fn expect(&self, ended: Ended, times: u64) {
        *self.ended.lock().unwrap().entry(ended).or_default() += times;
    }

    pub fn expected(&self, ended: Ended) -> u64 {
        self.ended.lock().unwrap().get(&ended).copied().unwrap_or(0)
    }

    pub fn shook(&self, took: Duration) {
        self.handshakes.lock().unwrap().push(took);
    }

    /// Fails the test with what went wrong so far.
    pub fn check(&self, proxy: &Proxy) {
        // Not held while it panics: others may have something to add.
        let failures = self.failures.lock().unwrap().clone();
        if failures.is_empty() {
            return;
        }
        let log = proxy.log();
        let tail = log[log.len().saturating_sub(20)..].join("\n");
        let events: Vec<_> = log.iter().filter(|line| !line.contains("session ended")).cloned().collect();
        let events = events[events.len().saturating_sub(40)..].join("\n");
        let shown = failures[..failures.len().min(20)].join("\n");
        panic!(
            "the log but for ended sessions ends with:\n{events}\nand with them:\n{tail}\n{}\n{} failures, first of \
             all:\n{shown}",
            proxy.get("/generation"),
            failures.len()
        );
    }

    /// Waits until every task has ended.
    pub fn join(&self, proxy: &Proxy, what: &str, mut tasks: JoinSet<()>) {
        self.until(proxy, what, || {
            while let Some(joined) = tasks.try_join_next() {
                joined.unwrap_or_else(|error| self.failed(error.to_string()));
            }
            tasks.is_empty().then_some(())
        });
        self.check(proxy);
    }

    /// Waits for a condition without hiding a failure.
    pub fn until<T>(&self, proxy: &Proxy, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + STUCK;
        loop {
            self.check(proxy);
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "waited {STUCK:?} in vain for: {what}\n{}", self.accounts());
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// A line that is told of when the soak is stuck.
    pub fn watch(&self, line: &Arc<Line>) {
        let mut lines = self.lines.lock().unwrap();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
    }

    fn accounts(&self) -> String {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(Weak::upgrade).map(|line| line.account()).take(20).collect::<Vec<_>>().join("\n")
    }

    /// The connection that the proxy will dial for a session.
    pub fn upstream(&self, session: u64) -> oneshot::Receiver<(Reader, Writer)> {
        let (sender, receiver) = oneshot::channel();
        self.dialled.lock().unwrap().insert(session, sender);
        receiver
    }

    /// The service behind the routes: hands each connection to the session that its target names.
    pub async fn serve(&self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(wire::answer(stream))),
                    Err(error) => self.failed(format!("the service cannot accept: {error}")),
                },
                Some(answered) = connections.join_next() => match answered.unwrap() {
                    Ok(Some((target, reader, writer))) => self.hand_over(&target, (reader, writer)),
                    Ok(None) => self.failed("a dial of the proxy ended without a request".to_owned()),
                    Err(error) => self.failed(format!("a dial of the proxy: {error}")),
                },
            }
        }
    }

    fn hand_over(&self, target: &str, connection: (Reader, Writer)) {
        let session = target.rsplit_once("session=").and_then(|(_, number)| number.parse().ok());
        let waiting = session.and_then(|session: u64| self.dialled.lock().unwrap().remove(&session));
        if waiting.is_none_or(|waiting| waiting.send(connection).is_err()) {
            self.failed(format!("nobody waits for a dial to {target}"));
        }
    }
}

/// Opens a connection from an address of its own; nothing is sent yet.
pub async fn connect(world: &World, session: u64) -> Result<TcpStream, String> {
    wire::connect(world.proxy, wire::address_of(session)).await.map_err(|error| format!("connect: {error}"))
}
