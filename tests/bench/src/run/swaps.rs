//! Handshakes and messages while the router's policy is swapped twice a second, beside the same without swaps.
//!
//! Both loads are open loops, far below what the proxy can do, so that what is seen is the swap and not a queue. The
//! component is changed by a section that nobody reads: to the proxy it is another one. It is put in place by rename,
//! and the proxy is told to read its files.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{ROUTED, Run, messages::percentiles, threads, wait};
use crate::{
    load::{Told, pace::Pace, shake::Shake, talk::Talk},
    peer::{Peer, Plan, Process, free_address},
    results::Metric,
    row::Row,
    session::PATIENCE,
    wrong,
};

/// The component that is swapped. Its deadlines are longer than by default, so that what a busy machine makes late is
/// measured, not refused.
const ROUTER: &str = "component: router.wasm, limits: { decision: 20s, init: 50s }";
/// From one swap to the next.
const EVERY: Duration = Duration::from_millis(500);
/// How long each half is measured: that many times as long as another row.
const TIMES: u32 = 15;
const SHAKE: Shake = Shake { at_once: 0, pace: Pace::Open(200.0) };
const TALK: Talk = Talk { connections: 32, size: 64, in_flight: 1, pace: Pace::Open(3200.0) };

impl Run<'_> {
    pub(super) fn swaps(&mut self, row: &Row, peer: Peer, new: bool) -> io::Result<()> {
        let Some(policy) = &self.options.policy else { return Err(wrong("no policy was given to swap (--policy)")) };
        let (listen, admin) = (free_address()?, free_address()?);
        let dir = self.tools.dir(row.id)?;
        let mut swaps = Swaps { admin, original: fs::read(policy)?, file: dir.join("router.wasm"), new, made: 0 };
        swaps.put()?;
        let plan = Plan::cordboard(self.tools, row.id, listen, admin, self.service, ROUTER, true, "")?;
        let process = Process::start(peer, plan)?;
        if !new {
            // Both are in the cache from here on.
            swaps.swap()?;
            swaps.swap()?;
        }
        let time = self.options.time * TIMES;
        for swapping in [false, true] {
            let swapper = swapping.then_some(&mut swaps);
            let Phase { shaken, talked, swaps, seconds } = phase(process.address, time, swapper)?;
            let id = if swapping { row.id.to_owned() } else { without(row.id) };
            let messages = of_messages(&id);
            percentiles(&shaken.latencies, |metric, value| self.results.add(&id, peer, metric, value));
            percentiles(&talked.latencies, |metric, value| self.results.add(&messages, peer, metric, value));
            let sum = talked.each.iter().sum::<u64>() as f64;
            let least = talked.each.iter().min().copied().unwrap_or(0) as f64;
            self.results.add(&messages, peer, Metric::Rate, sum / seconds);
            self.results.add(&messages, peer, Metric::Slowest, least / (sum / talked.each.len() as f64));
            self.results.add(&id, peer, Metric::Swaps, f64::from(swaps) / seconds);
        }
        Ok(())
    }
}

/// The row of the same handshakes without swaps.
#[must_use]
pub fn without(row: &str) -> String {
    format!("{row}-without")
}

/// The row of the messages beside these handshakes.
#[must_use]
pub fn of_messages(row: &str) -> String {
    format!("{row}-messages")
}

struct Phase {
    shaken: Told,
    talked: Told,
    swaps: u32,
    seconds: f64,
}

fn phase(address: SocketAddr, time: Duration, swapper: Option<&mut Swaps>) -> io::Result<Phase> {
    let talking = TALK.start(threads(), address, &|_| ROUTED.to_owned())?;
    let shaking = SHAKE.start(threads(), address, ROUTED);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapping = swapper.map(|swaps| scope.spawn(|| swaps.run(&over)));
        let failed = || talking.has_failed() || shaking.has_failed();
        wait(time / 10, failed);
        talking.measure(true);
        shaking.measure(true);
        let begun = Instant::now();
        wait(time, failed);
        let seconds = begun.elapsed().as_secs_f64();
        talking.measure(false);
        shaking.measure(false);
        over.store(true, Relaxed);
        let swaps = swapping.map(|thread| thread.join().unwrap_or_else(|_| Err(wrong("the swapping panicked"))));
        let (talked, shaken) = (talking.stop(), shaking.stop());
        Ok(Phase { talked: talked?, shaken: shaken?, swaps: swaps.transpose()?.unwrap_or(0), seconds })
    })
}

struct Swaps {
    admin: SocketAddr,
    original: Vec<u8>,
    file: PathBuf,
    new: bool,
    made: u32,
}

impl Swaps {
    /// Swaps until it is over. Gives how often.
    fn run(&mut self, over: &AtomicBool) -> io::Result<u32> {
        let before = self.made;
        let mut due = Instant::now();
        while !over.load(Relaxed) {
            self.swap()?;
            due += EVERY;
            wait(due.saturating_duration_since(Instant::now()), || over.load(Relaxed));
        }
        Ok(self.made - before)
    }

    fn swap(&mut self) -> io::Result<()> {
        self.made += 1;
        self.put()?;
        self.reload()
    }

    /// Puts the next component into its place: the original with a custom section (id 0, length, name) at its end.
    fn put(&self) -> io::Result<()> {
        // One that is new is so to the cache of compiled code too, which outlives this run.
        let number = if self.new {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
        } else {
            u128::from(self.made % 2)
        };
        let name = format!("swap {number:020}");
        let length = u8::try_from(name.len()).unwrap_or(0);
        let section = [&[0, length + 1, length], name.as_bytes()].concat();
        let beside = self.file.with_extension("new");
        fs::write(&beside, [&self.original[..], &section].concat())?;
        fs::rename(beside, &self.file)
    }

    /// Has the proxy read its files, and waits until what they say serves.
    fn reload(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request =
            format!("POST /reload HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let applied = answer.starts_with("HTTP/1.1 200") && answer.contains("\"generation\"");
        if applied { Ok(()) } else { Err(wrong(format!("a swap was not made: {answer}"))) }
    }
}
