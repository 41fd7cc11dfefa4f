//! Loads: threads that talk to a proxy, each with several connections in one epoll set, until they are told to stop.
//!
//! A load counts what is done while it runs, records how long each took while it is being measured, and reports the
//! first thing that was wrong: a byte that differs, a connection that ends, an echo that does not come. What was begun
//! when it is stopped is finished and checked too.

pub mod pace;
pub mod shake;
pub mod talk;

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::wrong;

/// How long a load may make no progress before it is said to be stuck.
const STUCK: Duration = Duration::from_secs(10);
/// How often a thread looks at what it is told.
const TICK: Duration = Duration::from_millis(20);

/// A tenth of a second, of which an open loop tells by itself.
pub const TENTH: Duration = Duration::from_millis(100);

/// Latencies in nanoseconds, with three significant digits.
pub type Latencies = Histogram<u64>;

/// An empty histogram from 100 ns to 5 minutes.
pub fn latencies() -> io::Result<Latencies> {
    Latencies::new_with_bounds(100, 300_000_000_000, 3).map_err(|error| wrong(format!("a histogram: {error}")))
}

/// What a load is told, and what it tells while it runs.
#[derive(Debug, Default)]
pub struct Gauge {
    measuring: AtomicBool,
    since: OnceLock<Instant>,
    stopping: AtomicBool,
    failed: AtomicBool,
    done: AtomicU64,
}

impl Gauge {
    /// Whether latencies are recorded.
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Relaxed)
    }

    /// In which tenth of a second since latencies were first recorded it is now.
    pub fn tenth(&self, now: Instant) -> usize {
        let since = self.since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(*since));
        // It fits for longer than any run.
        usize::try_from(since.as_nanos() / TENTH.as_nanos()).unwrap_or_default()
    }

    /// Whether nothing new is to be begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// Messages or handshakes that are done.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    fn count(&self, done: u64) {
        self.done.fetch_add(done, Relaxed);
    }
}

/// A load that runs.
#[derive(Debug)]
pub struct Running {
    gauge: Arc<Gauge>,
    threads: Vec<JoinHandle<io::Result<Told>>>,
}

/// What a thread of a load tells at its end.
#[derive(Debug)]
pub struct Told {
    /// How long each message or handshake took.
    pub latencies: Latencies,
    /// The same in nanoseconds, of each [`TENTH`] of an open loop of messages; otherwise empty.
    pub tenths: Vec<Vec<u64>>,
    /// Messages done while it was measured, of each connection; empty for handshakes.
    pub each: Vec<u64>,
    /// Messages or handshakes in all, measured or not.
    pub done: u64,
}

impl Running {
    fn start<W: FnOnce(&Gauge) -> io::Result<Told> + Send + 'static>(workers: Vec<W>) -> Self {
        let gauge = Arc::new(Gauge::default());
        let threads = workers.into_iter().map(|worker| {
            let gauge = Arc::clone(&gauge);
            thread::spawn(move || {
                let told = worker(&gauge);
                if told.is_err() {
                    gauge.failed.store(true, Relaxed);
                }
                told
            })
        });
        Self { threads: threads.collect(), gauge }
    }

    /// Whether something was wrong; [`Self::stop`] says what.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.gauge.failed.load(Relaxed)
    }

    /// Messages or handshakes that are done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.gauge.done()
    }

    /// From now on, or no longer, latencies are recorded.
    pub fn measure(&self, on: bool) {
        self.gauge.since.get_or_init(Instant::now);
        self.gauge.measuring.store(on, Relaxed);
    }

    /// Waits until so many are done, or something is wrong.
    pub fn until(&self, done: u64) {
        while self.done() < done && !self.has_failed() {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Ends the load.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn stop(self) -> io::Result<Told> {
        self.gauge.stopping.store(true, Relaxed);
        let mut all = Told { latencies: latencies()?, tenths: Vec::new(), each: Vec::new(), done: 0 };
        let mut first = Ok(());
        for thread in self.threads {
            match thread.join().unwrap_or_else(|_| Err(wrong("a thread of the load panicked"))) {
                Ok(told) => {
                    all.each.extend(told.each);
                    all.tenths.resize(all.tenths.len().max(told.tenths.len()), Vec::new());
                    all.tenths.iter_mut().zip(told.tenths).for_each(|(all, told)| all.extend(told));
                    all.latencies.add(&told.latencies).map_err(|error| wrong(format!("a histogram: {error}")))?;
                }
                Err(error) => first = first.and(Err(error)),
            }
        }
        all.done = self.gauge.done();
        first.map(|()| all)
    }
}
