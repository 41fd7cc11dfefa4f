//! A run: every row, and in each the repetitions of all peers in turn, so that what disturbs the machine disturbs all.
//!
//! Peers are started once and wait while others are measured. One that is missing is noted and left out; one that breaks
//! is noted and started anew.

mod callgrind;
mod idle;
mod messages;
mod start;
pub mod swaps;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    echo::Echo,
    peer::{Peer, Process, Tools, descriptors, on_path},
    relay,
    results::{Machine, Results},
    row::{Counted, Row, Work},
    wrong,
};

/// The path that is routed; its policy knows it.
const ROUTED: &str = "/ws/echo";

/// What to run, and how long.
#[derive(Debug)]
pub struct Options {
    /// Which rows.
    pub rows: Vec<Row>,
    /// Which peers.
    pub peers: Vec<Peer>,
    /// Repetitions of each row.
    pub repetitions: usize,
    /// How long each is measured.
    pub time: Duration,
    /// Idle sessions that are opened; fewer where descriptors are short.
    pub sessions: usize,
    /// The router's policy as a file, for swaps.
    pub policy: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the harness itself fails; what goes wrong with a peer is in the results.
pub fn run(options: &Options, tools: &Tools) -> io::Result<Results> {
    let descriptors = descriptors();
    let service = Echo::listen(threads(), None)?;
    let address = service.address.ok_or_else(|| wrong("the echo does not listen"))?;
    let Options { repetitions, time, .. } = *options;
    let (machine, seconds) = (Machine::this()?, time.as_secs_f64());
    let results = Results { machine, repetitions, seconds, ..Results::default() };
    let mut run = Run {
        options,
        tools,
        service: address,
        running: BTreeMap::new(),
        lives: BTreeMap::new(),
        descriptors,
        results,
    };
    run.find_peers();
    for row in &options.rows {
        eprintln!("{} ({})", row.id, row.title);
        run.row(row);
    }
    Ok(run.results)
}

/// Threads of the load, and of the echo: half of the machine's each.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

struct Run<'a> {
    options: &'a Options,
    tools: &'a Tools,
    service: SocketAddr,
    running: BTreeMap<Peer, Process>,
    /// For callgrind: instructions of a life with few messages, and how many they were.
    lives: BTreeMap<Peer, (u64, u64)>,
    /// How many this process may have, and each peer.
    descriptors: u64,
    results: Results,
}

impl Run<'_> {
    /// Notes the versions of those that are there, and which are not.
    fn find_peers(&mut self) {
        for peer in &self.options.peers {
            match self.tools.version(*peer) {
                Ok(version) => drop(self.results.versions.insert(peer.id().to_owned(), version)),
                Err(error) => self.results.problem(error.to_string()),
            }
        }
    }

    /// The peers that are there and can do this.
    fn able(&self, work: Work) -> Vec<Peer> {
        let there = self.options.peers.iter().copied().filter(|peer| self.results.versions.contains_key(peer.id()));
        let can = |peer: &Peer| match work {
            Work::Routed(_) => true,
            Work::Handshakes(_) => !matches!(peer, Peer::Copying | Peer::Filtered { .. }),
            Work::Paired(_) | Work::Swaps { .. } | Work::Idle { paired: true } => *peer == Peer::Cordboard,
            Work::Start | Work::Idle { paired: false } => {
                !matches!(peer, Peer::None | Peer::Copying | Peer::Filtered { .. })
            }
            // As many as can be counted in a minute or two.
            Work::Callgrind(counted) => match peer {
                Peer::Filtered { reads: false } => matches!(counted, Counted::Messages(_)),
                Peer::Cordboard | Peer::Nginx { large: true } | Peer::Relay(relay::Kind::Copy | relay::Kind::Epoll) => {
                    true
                }
                _ => false,
            },
        };
        there.filter(can).collect()
    }

    fn row(&mut self, row: &Row) {
        let mut peers = self.able(row.work);
        if matches!(row.work, Work::Callgrind(_)) && on_path("valgrind").is_none() {
            return self.results.problem("instructions are not counted by callgrind: valgrind is missing".to_owned());
        }
        // Memory of a session and instructions hardly vary.
        let repetitions = match row.work {
            Work::Callgrind(_) => 1,
            Work::Idle { .. } => self.options.repetitions.min(2),
            _ => self.options.repetitions,
        };
        for _ in 0..repetitions {
            for peer in peers.clone() {
                if let Err(error) = self.once(row, peer) {
                    self.results.problem(format!("{}, {}: {error}", row.id, peer.title()));
                    // It may be broken in a way that it would not get over.
                    self.running.remove(&peer);
                    peers.retain(|other| *other != peer);
                }
            }
            if peers.len() > 1 {
                peers.rotate_left(1);
            }
        }
        self.progress(row);
    }

    fn once(&mut self, row: &Row, peer: Peer) -> io::Result<()> {
        match row.work {
            Work::Routed(talk) => self.routed(row, peer, talk),
            Work::Paired(talk) => self.paired(row, peer, talk),
            Work::Handshakes(shake) => self.handshakes(row, peer, shake),
            Work::Idle { paired } => self.idle(row, peer, paired),
            Work::Swaps { new } => self.swaps(row, peer, new),
            Work::Start => self.start(row, peer),
            Work::Callgrind(counted) => self.callgrind(row, peer, counted),
        }
    }

    /// Where a peer takes connections, and its process; it is started if need be.
    fn reach(&mut self, peer: Peer) -> io::Result<(SocketAddr, Option<u32>)> {
        if peer == Peer::None {
            return Ok((self.service, None));
        }
        let process = match self.running.entry(peer) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(place) => place.insert(peer.start(self.tools, crate::peer::free_address()?, self.service)?),
        };
        Ok((process.address, Some(process.id())))
    }

    /// A line for each metric, for who watches.
    fn progress(&self, row: &Row) {
        let Some(peers) = self.results.values.get(row.id) else { return };
        for (peer, metrics) in peers {
            let shown = metrics.iter().filter_map(|(metric, values)| {
                crate::stats::Summary::of(values).map(|summary| format!("{metric:?} {:.2}", summary.median))
            });
            eprintln!("  {peer:15} {}", shown.collect::<Vec<_>>().join("  "));
        }
    }
}

/// The paths of a channel's two legs, of channels that nobody has used.
fn channels() -> (impl Fn(usize) -> String, impl Fn(usize) -> String) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let run = NEXT.fetch_add(1, Relaxed);
    let client = move |number| format!("/pair?channelId={run}-{number}");
    let backend = move |number| format!("/pair/connect?channelId={run}-{number}");
    (client, backend)
}

/// Waits, at most until `stop` holds.
fn wait(time: Duration, stop: impl Fn() -> bool) {
    let end = Instant::now() + time;
    while !stop() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left.min(Duration::from_millis(20)));
    }
}
