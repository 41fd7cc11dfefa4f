//! The threads that move frames, and the way of a session to one of them.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::time::Instant;

use super::{
    LaneListener, Leg, Mailbox, Owner,
    lane::{Begin, Errand, Inbox, Lane, Newcomer},
    owner::Owned,
};
use crate::stream::Stream;

/// Runs sessions on threads of its own. A session stays on the thread where it began, and its [`Owner`] is told of its
/// end whatever happens. Dropping this cuts what is left.
pub struct Relay {
    lanes: Vec<Arc<Inbox>>,
    /// Whose turn it is where several have equally little to do.
    turn: AtomicUsize,
}

impl Relay {
    /// With this many threads, one for each core if 0.
    ///
    /// # Errors
    /// When the system has no threads or descriptors left: each thread takes two.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut relay = Self { lanes: Vec::with_capacity(threads), turn: AtomicUsize::new(0) };
        for number in 0..threads {
            let lane = Lane::new()?;
            relay.lanes.push(lane.inbox());
            // It ends with its inbox's word, which `drop` says.
            thread::Builder::new().name(format!("relay-{number}")).spawn(move || lane.run())?;
        }
        Ok(relay)
    }

    /// Runs a routed session to its end: `client` dialled us, `upstream` we dialled.
    pub fn run_pair(&self, client: Leg, upstream: Leg, mailbox: Mailbox, owner: Box<dyn Owner>) {
        self.run(Begin::Pair(client, upstream), mailbox, Owned::by(owner, true));
    }

    /// Runs a rendezvous leg from its 101 to its end: it waits until `deadline` for [`Handle::join`](super::Handle::join),
    /// up to `hold` bytes of what it says are kept meanwhile, and goes on as a pair.
    pub fn run_waiting(&self, leg: Leg, mailbox: Mailbox, deadline: Instant, hold: usize, owner: Box<dyn Owner>) {
        self.run(Begin::Waiting(leg, deadline, hold), mailbox, Owned::by(owner, false));
    }

    /// What has all its errands polled once: what they wait for without being woken has come.
    pub fn ring_errands(&self) -> impl Fn() + Send + Sync + 'static {
        let lanes = self.lanes.clone();
        move || lanes.iter().for_each(|lane| lane.ring_errands())
    }

    /// How often a session has had its turn, since the start. Sessions that have nothing to do have none.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.turns()).sum()
    }

    /// Errands that were run, or went on, on the runtime because many had taken long.
    #[must_use]
    pub fn errands_elsewhere(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.elsewhere()).sum()
    }

    fn run(&self, begin: Begin, mailbox: Mailbox, owner: Owned) {
        let (Begin::Pair(leg, _) | Begin::Waiting(leg, ..)) = &begin;
        // Where its handshake ran, its socket is.
        let near = match &leg.stream {
            Stream::Lane(stream) if !stream.lane().has_stopped() => Some(stream.lane()),
            _ => None,
        };
        if let Some(lane) = near.or_else(|| self.least()).map(Arc::clone) {
            lane.post(Newcomer { begin, mailbox, owner });
        }
    }

    /// The lane with the least to do.
    fn least(&self) -> Option<&Arc<Inbox>> {
        let (before, behind) = self.lanes.split_at(self.turn.fetch_add(1, Ordering::Relaxed) % self.lanes.len());
        // One whose loop has ended, which only a mistake of ours could bring about, is not asked.
        behind.iter().chain(before).filter(|lane| !lane.has_stopped()).min_by_key(|lane| lane.load())
    }

    /// Has a listening socket watched that does not block.
    ///
    /// # Errors
    /// The system watches no more sockets.
    pub(crate) fn watch_listener(&self, socket: TcpListener) -> io::Result<LaneListener> {
        let lane = self.least().ok_or_else(stopped)?;
        LaneListener::watch(socket, lane)
    }

    /// Runs what leads to a session on the thread that will have it: `errand` is made there, for a socket that was accepted
    /// and does not block. While such errands take long they run on the runtime, whose context this needs.
    ///
    /// # Errors
    /// The system watches no more sockets. Where that shows only on the other thread, it says so in the log.
    pub fn run_errand<F>(&self, stream: TcpStream, errand: impl FnOnce(Stream) -> F + Send + 'static) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lane = self.least().ok_or_else(stopped)?;
        if lane.is_brisk() {
            lane.send(Errand::of(stream, errand));
        } else {
            lane.count_elsewhere();
            let errand = errand(Stream::Runtime(tokio::net::TcpStream::from_std(stream)?));
            #[allow(clippy::disallowed_methods)] // whoever waits for it tracks the future
            tokio::spawn(errand);
        }
        Ok(())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the threads of the relay have ended")
}

impl Relay {
    /// Ends its threads, and cuts what is left.
    pub fn stop(&self) {
        for lane in &self.lanes {
            lane.stop();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
