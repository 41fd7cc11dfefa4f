//! Rows of messages and of handshakes.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{ROUTED, Run, channels, threads, wait};
use crate::{
    cost::Meter,
    echo::Echo,
    load::{Latencies, Running, TENTH, shake::Shake, talk::Talk},
    peer::Peer,
    results::Metric,
    row::Row,
    stats::Summary,
};

/// How long a load runs before it is measured.
const WARM: Duration = Duration::from_millis(200);

impl Run<'_> {
    pub(super) fn routed(&mut self, row: &Row, peer: Peer, talk: Talk) -> io::Result<()> {
        let (address, process) = self.reach(peer)?;
        let running = talk.start(threads(), address, &|_| ROUTED.to_owned())?;
        self.measure(row, peer, process, running, Some(talk.size))
    }

    pub(super) fn paired(&mut self, row: &Row, peer: Peer, talk: Talk) -> io::Result<()> {
        let (address, process) = self.reach(peer)?;
        let (client, backend) = channels();
        let _echo = Echo::dial(threads(), address, talk.connections, &backend)?;
        let running = talk.start(threads(), address, &client)?;
        self.measure(row, peer, process, running, Some(talk.size))
    }

    pub(super) fn handshakes(&mut self, row: &Row, peer: Peer, shake: Shake) -> io::Result<()> {
        let (address, process) = self.reach(peer)?;
        let running = shake.start(threads(), address, ROUTED);
        self.measure(row, peer, process, running, None)
    }

    /// Measures a load that has begun, and ends it. `size`: bytes of a message's payload.
    fn measure(
        &mut self,
        row: &Row,
        peer: Peer,
        process: Option<u32>,
        running: Running,
        size: Option<usize>,
    ) -> io::Result<()> {
        wait(WARM, || running.has_failed());
        let meter = process.map(Meter::start).transpose();
        running.measure(true);
        let (before, begun) = (running.done(), Instant::now());
        wait(self.options.time, || running.has_failed());
        let now = || (begun.elapsed().as_secs_f64(), (running.done() - before) as f64);
        let measured = meter.and_then(|meter| match meter {
            Some(meter) => meter.stop(now).map(|(cost, now)| (Some(cost), now)),
            None => Ok((None, now())),
        });
        running.measure(false);
        // What went wrong with the load says more than that the process has gone.
        let told = running.stop()?;

        let (cost, (seconds, done)) = measured?;
        let mut add = |metric, value| self.results.add(row.id, peer, metric, value);
        add(Metric::Rate, done / seconds);
        if let Some(size) = size {
            add(Metric::Throughput, done * size as f64 / seconds / 1e6);
        }
        if let Some(cost) = cost {
            let micros = cost.cpu.as_secs_f64() * 1e6 / done;
            add(Metric::Cpu, micros);
            add(Metric::UserCpu, micros * cost.user);
            if let Some(counts) = cost.counts {
                let thousands = |count: u64| count as f64 / done / 1000.0;
                add(Metric::UserInstructions, thousands(counts.user));
                add(Metric::KernelInstructions, thousands(counts.kernel));
                add(Metric::Cycles, thousands(counts.cycles));
            }
        }
        percentiles(&told.latencies, &mut add);
        if let Some(usual) = usual(&told.tenths, self.options.time) {
            add(Metric::P99Tenth, usual);
        }
        Ok(())
    }
}

/// The microseconds that 99 % were within in a usual tenth of a second: the median of those that were measured in full.
fn usual(tenths: &[Vec<u64>], time: Duration) -> Option<f64> {
    let full = usize::try_from(time.as_nanos() / TENTH.as_nanos()).unwrap_or(usize::MAX);
    let p99s = tenths.iter().take(full).filter_map(|tenth| {
        let mut sorted = tenth.clone();
        sorted.sort_unstable();
        Some(*sorted.get((sorted.len() * 99).div_ceil(100).checked_sub(1)?)? as f64 / 1000.0)
    });
    Summary::of(&p99s.collect::<Vec<_>>()).map(|summary| summary.median)
}

pub(super) fn percentiles(latencies: &Latencies, mut add: impl FnMut(Metric, f64)) {
    for (metric, percentile) in [(Metric::P50, 50.0), (Metric::P99, 99.0), (Metric::P999, 99.9)] {
        add(metric, latencies.value_at_percentile(percentile) as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_tenth_is_that_in_the_middle_and_only_those_in_full_count() {
        let tenth = |from: u64| (from..from + 200).map(|micros| micros * 1000).rev().collect::<Vec<_>>();
        // Of 200, two may be later.
        let tenths = [tenth(1), tenth(5001), tenth(101), Vec::new(), tenth(1)];
        assert_eq!(usual(&tenths, Duration::from_millis(499)), Some(298.0));
        assert_eq!(usual(&tenths[..1], Duration::from_millis(800)), Some(198.0));
        assert_eq!(usual(&[], Duration::from_millis(800)), None);
    }
}
