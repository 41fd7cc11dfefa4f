//! Messages over open sessions: a closed loop keeps so many in flight on each connection, an open loop sends at a rate.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use rustix::{io::Errno, net::SendFlags};

use super::{
    Gauge, Latencies, Running, STUCK, TICK, Told, latencies,
    pace::{Pace, Pacer},
};
use crate::{
    frame::Script,
    poll::{Events, Flags, Poll},
    session, wrong,
};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;
const TIMER: usize = usize::MAX;

/// What is said.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    /// Sessions.
    pub connections: usize,
    /// Bytes of a message's payload.
    pub size: usize,
    /// Messages that are on their way on each connection, in a closed loop.
    pub in_flight: usize,
    /// Closed or open loop.
    pub pace: Pace,
}

impl Talk {
    /// Opens the sessions, whose paths `path` gives, and begins to talk.
    pub fn start(&self, threads: usize, address: SocketAddr, path: &dyn Fn(usize) -> String) -> io::Result<Running> {
        let threads = threads.clamp(1, self.connections);
        let script = Arc::new(Script::new(self.size, self.in_flight));
        let mut shares: Vec<Vec<Line>> = (0..threads).map(|_| Vec::new()).collect();
        for number in 0..self.connections {
            let stream = session::open(address, &path(number))?;
            shares[number % threads].push(Line::new(number, stream, &script));
        }
        let Self { in_flight, pace, .. } = *self;
        let pace = match pace {
            Pace::Open(rate) => Pace::Open(rate / threads as f64),
            Pace::Closed => Pace::Closed,
        };
        let workers = shares.into_iter().map(|lines| {
            let script = Arc::clone(&script);
            move |gauge: &Gauge| Worker::new(lines, script)?.run(pace, in_flight, gauge)
        });
        Ok(Running::start(workers.collect()))
    }
}

/// One session. Both streams of bytes are endless and known; see [`Script`].
#[derive(Debug)]
struct Line {
    number: usize,
    stream: TcpStream,
    /// Where in the script it begins, so that no two say the same at the same time.
    sent_from: u64,
    echoed_from: u64,
    sent: u64,
    /// Up to where it may send.
    granted: u64,
    received: u64,
    /// When each message on its way was to be sent.
    begun: VecDeque<Instant>,
    blocked: bool,
    measured: u64,
}

impl Line {
    fn new(number: usize, stream: TcpStream, script: &Script) -> Self {
        let first = number as u64 % script.messages;
        let (sent_from, echoed_from) = (first * script.sent_frame, first * script.echoed_frame);
        let begun = VecDeque::new();
        let (sent, granted, received, measured) = (0, 0, 0, 0);
        Self { number, stream, sent_from, echoed_from, sent, granted, received, begun, blocked: false, measured }
    }

    fn grant(&mut self, script: &Script, begun: Instant) {
        self.granted += script.sent_frame;
        self.begun.push_back(begun);
    }

    /// Sends what it may, as far as the socket takes it.
    fn send(&mut self, script: &Script) -> io::Result<()> {
        self.blocked = false;
        while self.sent < self.granted {
            let bytes = script.to_send(self.sent_from + self.sent);
            let most = usize::try_from(self.granted - self.sent).unwrap_or(usize::MAX);
            let bytes = &bytes[..most.min(bytes.len())];
            match rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    self.sent += sent as u64;
                    self.blocked = sent < bytes.len();
                }
                Err(Errno::AGAIN) => self.blocked = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.says(&format!("cannot be written: {error}"))),
            }
            if self.blocked {
                break;
            }
        }
        Ok(())
    }

    /// Compares what came. Gives how many messages are whole with it.
    fn check(&mut self, script: &Script, mut bytes: &[u8]) -> io::Result<u64> {
        let before = self.received / script.echoed_frame;
        while !bytes.is_empty() {
            let wanted = script.to_come(self.echoed_from + self.received);
            let length = wanted.len().min(bytes.len());
            if bytes[..length] != wanted[..length] {
                let at = bytes.iter().zip(wanted).position(|(came, wanted)| came != wanted).unwrap_or(0);
                let (came, wanted) = (bytes[at], wanted[at]);
                let at = self.received + at as u64;
                return Err(self.says(&format!("byte {at} of the echo is {came:#04x} instead of {wanted:#04x}")));
            }
            self.received += length as u64;
            bytes = &bytes[length..];
        }
        let whole = self.received / script.echoed_frame - before;
        if whole > self.begun.len() as u64 {
            return Err(self.says("more came back than was sent"));
        }
        Ok(whole)
    }

    fn says(&self, what: &str) -> io::Error {
        wrong(format!("connection {}: {what}", self.number))
    }
}

struct Worker {
    lines: Vec<Line>,
    script: Arc<Script>,
    poll: Poll,
    latencies: Latencies,
    tenths: Vec<Vec<u64>>,
}

impl Worker {
    fn new(lines: Vec<Line>, script: Arc<Script>) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (at, line) in lines.iter().enumerate() {
            poll.add(&line.stream, at, Flags::IN)?;
        }
        Ok(Self { lines, script, poll, latencies: latencies()?, tenths: Vec::new() })
    }

    fn run(mut self, pace: Pace, in_flight: usize, gauge: &Gauge) -> io::Result<Told> {
        let mut pacer = None;
        match pace {
            Pace::Closed => self.fill(in_flight)?,
            Pace::Open(rate) => {
                let new = Pacer::new(rate)?;
                self.poll.add(&new, TIMER, Flags::IN)?;
                pacer = Some(new);
            }
        }
        let mut buffer = vec![0; BUFFER];
        let (mut turn, mut moved) = (0, Instant::now());
        let mut events = Events::new();
        loop {
            let stopping = gauge.is_stopping();
            let waiting = self.lines.iter().any(|line| !line.begun.is_empty());
            if stopping && !waiting {
                let each = self.lines.iter().map(|line| line.measured).collect();
                return Ok(Told { latencies: self.latencies, tenths: self.tenths, each, done: 0 });
            }
            self.poll.wait(Some(TICK), &mut events)?;
            if !waiting || events.iter().any(|(at, _)| *at != TIMER) {
                moved = Instant::now();
            } else if moved.elapsed() > STUCK {
                return Err(self.stuck());
            }
            for &(at, flags) in &events {
                if at == TIMER {
                    if let Some(pacer) = pacer.as_mut().filter(|_| !stopping) {
                        self.send_due(pacer, &mut turn)?;
                    }
                    continue;
                }
                if flags.intersects(Flags::IN | Flags::HUP | Flags::ERR) {
                    self.receive(at, &mut buffer, pace == Pace::Closed, gauge)?;
                }
                if flags.contains(Flags::OUT) {
                    self.send(at)?;
                }
            }
        }
    }

    /// Sends on every line what may be in flight.
    fn fill(&mut self, in_flight: usize) -> io::Result<()> {
        for at in 0..self.lines.len() {
            for _ in 0..in_flight {
                self.lines[at].grant(&self.script, Instant::now());
            }
            self.send(at)?;
        }
        Ok(())
    }

    /// In turn, one line after the other.
    fn send_due(&mut self, pacer: &mut Pacer, turn: &mut usize) -> io::Result<()> {
        while let Some(due) = pacer.next_due()? {
            self.lines[*turn].grant(&self.script, due);
            self.send(*turn)?;
            *turn = (*turn + 1) % self.lines.len();
        }
        Ok(())
    }

    fn receive(&mut self, at: usize, buffer: &mut [u8], closed: bool, gauge: &Gauge) -> io::Result<()> {
        let line = &mut self.lines[at];
        let whole = match rustix::io::read(&line.stream, &mut *buffer) {
            Ok(0) => return Err(line.says("ended")),
            Ok(read) => line.check(&self.script, &buffer[..read])?,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(line.says(&format!("cannot be read: {error}"))),
        };
        if whole == 0 {
            return Ok(());
        }
        let (now, measuring) = (Instant::now(), gauge.is_measuring());
        let mut tenth = None;
        if measuring && !closed {
            let at = gauge.tenth(now);
            self.tenths.resize(self.tenths.len().max(at + 1), Vec::new());
            tenth = self.tenths.get_mut(at);
        }
        for begun in line.begun.drain(..usize::try_from(whole).unwrap_or(usize::MAX)) {
            if measuring {
                let took = u64::try_from((now - begun).as_nanos()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(took);
                if let Some(tenth) = &mut tenth {
                    tenth.push(took);
                }
            }
        }
        line.measured += if measuring { whole } else { 0 };
        gauge.count(whole);
        if closed && !gauge.is_stopping() {
            (0..whole).for_each(|_| line.grant(&self.script, now));
            self.send(at)?;
        }
        Ok(())
    }

    /// Sends, and has the set tell when it can go on where it could not.
    fn send(&mut self, at: usize) -> io::Result<()> {
        let line = &mut self.lines[at];
        let before = line.blocked;
        // Of what comes first when it is blocked, nothing can be sent out of turn.
        line.send(&self.script)?;
        if line.blocked != before {
            let flags = if line.blocked { Flags::IN | Flags::OUT } else { Flags::IN };
            self.poll.modify(&line.stream, at, flags)?;
        }
        Ok(())
    }

    fn stuck(&self) -> io::Error {
        let waiting = self.lines.iter().filter(|line| !line.begun.is_empty());
        let (count, missing) = waiting.fold((0, 0), |(count, missing), line| (count + 1, missing + line.begun.len()));
        wrong(format!("nothing came for {STUCK:?}: {count} connections miss {missing} echoes"))
    }
}
