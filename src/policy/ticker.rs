//! The epoch ticker: while policy calls run, the engine's epoch goes up every [`TICK`], so that a guest is interrupted;
//! while none does, its thread sleeps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// How often a running guest is interrupted: the precision of every policy deadline.
pub(super) const TICK: Duration = Duration::from_millis(5);
/// Ticks without a call after which the thread sleeps: a wake-up for each call of a busy proxy would cost more.
const LINGER: u32 = 20;

#[derive(Default)]
struct Shared {
    calls: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// Owns the thread; dropping it ends the thread.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The epoch goes up while this lives.
pub(super) struct Busy<'a>(&'a Shared);

impl Ticker {
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (seen, engine) = (Arc::clone(&shared), engine.clone());
        let thread = thread::Builder::new().name("policy-ticker".into()).spawn(move || run(&seen, &engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// No guest is interrupted any more, for who counts instructions.
    pub(super) fn rest(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
            while !thread.is_finished() {
                thread::yield_now();
            }
        }
    }

    pub(super) fn busy(&self) -> Busy<'_> {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        // The thread announces its sleep before it looks at `calls` a last time, so one of the two sees the other.
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Busy(&self.shared)
    }
}

fn run(shared: &Shared, engine: &Engine) {
    let mut idle = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.calls.load(Ordering::SeqCst) > 0 {
            idle = 0;
            thread::park_timeout(TICK);
            engine.increment_epoch();
        } else if idle < LINGER {
            idle += 1;
            thread::park_timeout(TICK);
        } else {
            shared.asleep.store(true, Ordering::SeqCst);
            if shared.calls.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the ticker has been printed by its thread; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
