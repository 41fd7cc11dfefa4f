//! The threads that move frames, and the way of a session to one of them.

use std::{io, sync::Arc, thread};

use tokio::time::Instant;

use super::{
    Leg, Mailbox, Owner,
    lane::{Begin, Inbox, Lane, Newcomer},
    owner::Owned,
};

/// Runs sessions on threads of its own. A session stays on the thread where it began, and its [`Owner`] is told of its
/// end whatever happens. Dropping this cuts what is left.
pub struct Relay {
    lanes: Vec<Arc<Inbox>>,
}

impl Relay {
    /// With this many threads, one for each core if 0.
    ///
    /// # Errors
    /// When the system has no threads or descriptors left: each thread takes two.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut relay = Self { lanes: Vec::with_capacity(threads) };
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

    /// How often a session has had its turn, since the start. Sessions that have nothing to do have none.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.turns()).sum()
    }

    fn run(&self, begin: Begin, mailbox: Mailbox, owner: Owned) {
        // One whose loop has ended, which only a mistake of ours could bring about, is not asked.
        let lanes = self.lanes.iter().filter(|lane| !lane.has_stopped());
        if let Some(lane) = lanes.min_by_key(|lane| lane.sessions()) {
            lane.post(Newcomer { begin, mailbox, owner });
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.stop();
        }
    }
}

#[cfg(test)]
mod tests;
