//! Instructions in user space of a message, counted by valgrind: exact where the hardware cannot be asked, and the same
//! on every machine. The kernel's are not in it.
//!
//! Two processes are loaded, one with more messages than the other, so that start and end, which both have, cancel out.

use std::{io, time::Duration};

use super::{ROUTED, Run};
use crate::{
    load::talk::Talk,
    peer::{Peer, Plan, Process, free_address},
    results::Metric,
    row::Row,
    wrong,
};

/// Payload that the longer load has more than the shorter one, in bytes; and at least so many messages.
const MORE: u64 = 64 << 20;
const LEAST: u64 = 60;
const MOST: u64 = 3000;

impl Run<'_> {
    pub(super) fn callgrind(&mut self, row: &Row, peer: Peer, talk: Talk) -> io::Result<()> {
        let more = (MORE / talk.size as u64).clamp(LEAST, MOST);
        let few = self.counted(peer, talk, 10)?;
        let many = self.counted(peer, talk, 10 + more)?;
        let instructions = many.0.saturating_sub(few.0) as f64;
        self.results.add(row.id, peer, Metric::Callgrind, instructions / (many.1 - few.1) as f64);
        Ok(())
    }

    /// Instructions of a process's whole life, and the messages that it passed on.
    fn counted(&mut self, peer: Peer, talk: Talk, messages: u64) -> io::Result<(u64, u64)> {
        let plan = Plan::new(peer, self.tools, free_address()?, self.service)?.under_callgrind();
        let process = Process::start(peer, plan)?;
        let running = talk.start(1, process.address, &|_| ROUTED.to_owned())?;
        running.until(messages * talk.connections as u64);
        let done = running.stop()?.done;
        Ok((collected(&process.end(Duration::from_mins(1))?)?, done))
    }
}

/// The sum over all processes of what valgrind printed at their end.
fn collected(log: &str) -> io::Result<u64> {
    let counts: Vec<u64> = log
        .lines()
        .filter_map(|line| line.split_once("Collected :").and_then(|(_, count)| count.trim().parse().ok()))
        .collect();
    if counts.is_empty() { Err(wrong("valgrind printed no count")) } else { Ok(counts.iter().sum()) }
}
