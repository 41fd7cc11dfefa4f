//! From the start of a process to its first connection, and to the first echo through it. Ours has its compiled policies
//! in the cache: the first start of a run, which is not measured, puts them there.

use std::{io, time::Instant};

use super::{ROUTED, Run};
use crate::{
    load::{pace::Pace, talk::Talk},
    peer::{Peer, free_address},
    results::Metric,
    row::Row,
};

impl Run<'_> {
    pub(super) fn start(&mut self, row: &Row, peer: Peer) -> io::Result<()> {
        // The run's own was started before, with the same cache.
        self.reach(peer)?;
        let begun = Instant::now();
        let process = peer.start(self.tools, free_address()?, self.service)?;
        let talk = Talk { connections: 1, size: 64, in_flight: 1, pace: Pace::Closed };
        let running = talk.start(1, process.address, &|_| ROUTED.to_owned())?;
        running.until(1);
        let echoed = begun.elapsed();
        running.stop()?;
        self.results.add(row.id, peer, Metric::Ready, process.ready_after.as_secs_f64() * 1e3);
        self.results.add(row.id, peer, Metric::FirstEcho, echoed.as_secs_f64() * 1e3);
        Ok(())
    }
}
