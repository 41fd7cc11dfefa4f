//! Instructions in user space of a message or a handshake, counted by valgrind: exact where the hardware cannot be asked,
//! and the same on every machine. The kernel's are not in it.
//!
//! What a process needs for its start and its end, and messages for their handshakes, is counted in a life with hardly a
//! message, and taken off.

use std::{io, time::Duration};

use super::{ROUTED, Run};
use crate::{
    load::{pace::Pace, talk::Talk},
    peer::{Peer, Plan, Process, free_address},
    results::Metric,
    row::{CALLGRIND_CONNECTIONS as CONNECTIONS, Counted, Row},
    wrong,
};

/// Payload that is passed on, in bytes; and at least and at most so many messages.
const PAYLOAD: u64 = 64 << 20;
const LEAST: u64 = 40;
const MOST: u64 = 40_000;
/// Handshakes, beside which the few messages of the life without do not count.
const HANDSHAKES: u64 = 3000;
/// Messages of the life without, one on each connection, of the smallest size.
const FEW: Counted = Counted::Messages(Talk { connections: CONNECTIONS, size: 64, in_flight: 1, pace: Pace::Closed });

impl Run<'_> {
    pub(super) fn callgrind(&mut self, row: &Row, peer: Peer, of: Counted) -> io::Result<()> {
        let (without, few) = if let Some(counted) = self.lives.get(&peer) {
            *counted
        } else {
            // Before that a life that leaves behind what the later ones find, such as compiled code: valgrind's processor
            // is another one than the machine's.
            self.counted(peer, FEW, 1)?;
            let counted = self.counted(peer, FEW, 1)?;
            self.lives.insert(peer, counted);
            counted
        };
        let (at_least, few) = match of {
            Counted::Messages(talk) => ((PAYLOAD / talk.size as u64).clamp(LEAST, MOST), few),
            Counted::Handshakes(_) => (HANDSHAKES, CONNECTIONS as u64),
        };
        let (with, many) = self.counted(peer, of, at_least)?;
        let instructions = with.checked_sub(without).ok_or_else(|| wrong("a longer life has fewer instructions"))?;
        self.results.add(row.id, peer, Metric::Callgrind, instructions as f64 / many.saturating_sub(few) as f64);
        Ok(())
    }

    /// Instructions of a process's whole life, and how many messages it passed on, or handshakes.
    fn counted(&self, peer: Peer, of: Counted, at_least: u64) -> io::Result<(u64, u64)> {
        let plan = Plan::new(peer, self.tools, free_address()?, self.service)?.under_callgrind();
        let process = Process::start(peer, plan)?;
        let running = match of {
            Counted::Messages(talk) => talk.start(1, process.address, &|_| ROUTED.to_owned())?,
            Counted::Handshakes(shake) => shake.start(1, process.address, ROUTED),
        };
        running.until(at_least);
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
