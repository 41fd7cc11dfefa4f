//! Handshakes: connect, upgrade, one message and its echo, a Close and its answer, the end of the connection; then anew.
//!
//! Recorded is the time from the connect, or from when it was due, to the 101. The peer ends the connection first, as
//! RFC 6455, section 7.1.1, wants it of servers.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    sync::Arc,
    time::Instant,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketFlags, SocketType},
};

use super::{
    Gauge, Latencies, Running, STUCK, TICK, Told, latencies,
    pace::{Pace, Pacer},
};
use crate::{
    frame::{self, Script},
    poll::{Events, Flags, Poll},
    session, wrong,
};

/// Bytes of the one message.
const SIZE: usize = 64;
/// What a server sends for our Close.
const CLOSED: [u8; 4] = [frame::CLOSE, 2, 3, 0xe8];
/// More at once means that an open loop is not kept up with.
const MOST: usize = 4000;
const TIMER: usize = usize::MAX;

/// How handshakes are made.
#[derive(Clone, Copy, Debug)]
pub struct Shake {
    /// Handshakes at once, in a closed loop.
    pub at_once: usize,
    /// Closed or open loop.
    pub pace: Pace,
}

impl Shake {
    /// Begins to shake hands with `address`, at `path`.
    #[must_use]
    pub fn start(&self, threads: usize, address: SocketAddr, path: &str) -> Running {
        let threads = threads.clamp(1, self.at_once.max(1));
        let request: Arc<[u8]> = session::request(path).into();
        let Self { at_once, pace } = *self;
        let workers = (0..threads).map(|number| {
            let request = Arc::clone(&request);
            // As even as it goes.
            let share = at_once / threads + usize::from(number < at_once % threads);
            let pace = match pace {
                Pace::Open(rate) => Pace::Open(rate / threads as f64),
                Pace::Closed => Pace::Closed,
            };
            move |gauge: &Gauge| Worker::new(address, request)?.run(share, pace, gauge)
        });
        Running::start(workers.collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Connecting,
    Upgrading,
    Echoing,
    Closing,
}

struct Attempt {
    stream: TcpStream,
    step: Step,
    begun: Instant,
    got: Vec<u8>,
}

struct Worker {
    address: SocketAddr,
    request: Arc<[u8]>,
    script: Script,
    close: Vec<u8>,
    attempts: Vec<Option<Attempt>>,
    free: Vec<usize>,
    poll: Poll,
    latencies: Latencies,
}

impl Worker {
    fn new(address: SocketAddr, request: Arc<[u8]>) -> io::Result<Self> {
        let (attempts, free) = (Vec::new(), Vec::new());
        let (script, close) = (Script::new(SIZE, 1), frame::close());
        Ok(Self { address, request, script, close, attempts, free, poll: Poll::new()?, latencies: latencies()? })
    }

    fn run(mut self, at_once: usize, pace: Pace, gauge: &Gauge) -> io::Result<Told> {
        let mut pacer = None;
        match pace {
            Pace::Closed => (0..at_once).try_for_each(|_| self.begin(Instant::now()))?,
            Pace::Open(rate) => {
                let new = Pacer::new(rate)?;
                self.poll.add(&new, TIMER, Flags::IN)?;
                pacer = Some(new);
            }
        }
        let mut moved = Instant::now();
        let mut events = Events::new();
        loop {
            let stopping = gauge.is_stopping();
            let waiting = self.attempts.len() - self.free.len();
            if stopping && waiting == 0 {
                return Ok(Told { latencies: self.latencies, tenths: Vec::new(), each: Vec::new(), done: 0 });
            }
            self.poll.wait(Some(TICK), &mut events)?;
            if waiting == 0 || events.iter().any(|(at, _)| *at != TIMER) {
                moved = Instant::now();
            } else if moved.elapsed() > STUCK {
                return Err(wrong(format!("nothing came for {STUCK:?}, and {waiting} handshakes wait")));
            }
            for &(at, _) in &events {
                if at == TIMER {
                    while let Some(due) = pacer.as_mut().filter(|_| !stopping).map_or(Ok(None), Pacer::next_due)? {
                        self.begin(due)?;
                    }
                } else if self.step(at, gauge)? {
                    self.attempts[at] = None;
                    self.free.push(at);
                    gauge.count(1);
                    if pace == Pace::Closed && !stopping {
                        self.begin(Instant::now())?;
                    }
                }
            }
        }
    }

    fn begin(&mut self, begun: Instant) -> io::Result<()> {
        if self.attempts.len() - self.free.len() >= MOST {
            return Err(wrong(format!("{MOST} handshakes wait: the rate is more than the proxy can do")));
        }
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(wrong(format!("a connect: {error}"))),
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.attempts.push(None);
            self.attempts.len() - 1
        });
        self.poll.add(&socket, at, Flags::OUT)?;
        let stream = TcpStream::from(socket);
        self.attempts[at] = Some(Attempt { stream, step: Step::Connecting, begun, got: Vec::new() });
        Ok(())
    }

    /// Goes on with one. Whether it is done.
    fn step(&mut self, at: usize, gauge: &Gauge) -> io::Result<bool> {
        let Some(attempt) = &mut self.attempts[at] else { return Ok(false) };
        if attempt.step == Step::Connecting {
            if let Some(error) = attempt.stream.take_error()? {
                return Err(wrong(format!("a connect: {error}")));
            }
            send(&attempt.stream, &self.request)?;
            attempt.step = Step::Upgrading;
            self.poll.modify(&attempt.stream, at, Flags::IN)?;
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        let read = match rustix::io::read(&attempt.stream, &mut buffer[..]) {
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(error) => return Err(attempt.says(&format!("the connection broke: {error}"))),
        };
        if read == 0 {
            let done = attempt.step == Step::Closing && attempt.got == CLOSED;
            return if done { Ok(true) } else { Err(attempt.says("the connection ended")) };
        }
        attempt.got.extend_from_slice(&buffer[..read]);
        match attempt.step {
            Step::Upgrading => {
                let Some(end) = session::head_end(&attempt.got)? else { return Ok(false) };
                session::check_answer(&attempt.got[..end])?;
                if end < attempt.got.len() {
                    return Err(attempt.says("bytes after the 101"));
                }
                if gauge.is_measuring() {
                    let took = attempt.begun.elapsed().as_nanos();
                    self.latencies.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
                }
                let frame = usize::try_from(self.script.sent_frame).unwrap_or(0);
                send(&attempt.stream, &self.script.to_send(0)[..frame])?;
                attempt.next(Step::Echoing);
            }
            Step::Echoing => {
                let frame = usize::try_from(self.script.echoed_frame).unwrap_or(0);
                let wanted = &self.script.to_come(0)[..frame];
                if !wanted.starts_with(&attempt.got) {
                    return Err(attempt.says("not the echo"));
                }
                if attempt.got.len() == wanted.len() {
                    send(&attempt.stream, &self.close)?;
                    attempt.next(Step::Closing);
                }
            }
            Step::Closing if !CLOSED.starts_with(&attempt.got) => return Err(attempt.says("not the Close")),
            Step::Closing | Step::Connecting => {}
        }
        Ok(false)
    }
}

impl Attempt {
    fn next(&mut self, step: Step) {
        self.step = step;
        self.got.clear();
    }

    fn says(&self, what: &str) -> io::Error {
        wrong(format!("a handshake, {:?}: {what}; it has {:02x?}", self.step, self.got))
    }
}

/// Less than a socket's buffer, so it is taken at once.
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(sent) => Err(wrong(format!("only {sent} of {} bytes were taken", bytes.len()))),
        Err(error) => Err(wrong(format!("the connection broke: {error}"))),
    }
}
