//! The echo behind the proxies: own epoll threads, frames turned in pieces, a buffer for each thread and none for a
//! connection that has nothing to send.
//!
//! It either listens, as a service that a proxy dials, or dials in, as the backend of a rendezvous does. Its threads end
//! when the [`Echo`] is dropped. One mistake can be ordered, so that it can be shown that mistakes are found.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{io::Errno, net::SendFlags};

use crate::{
    frame::Turn,
    poll::{Events, Flags, Poll},
    session,
};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;
/// How often a thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
const LISTENER: usize = usize::MAX;

/// What a backend that dials in puts on its frames.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// A running echo.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens; nowhere if it dialled in.
    pub address: Option<SocketAddr>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A byte that comes back changed: the one with this number on each connection, heads not counted.
pub type Mistake = Option<u64>;

impl Echo {
    /// Listens on a free port of loopback, with so many threads.
    pub fn listen(threads: usize, mistake: Mistake) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        // More than may come before the first is accepted.
        rustix::net::listen(&listener, 4096)?;
        let mut echo = Self::new(Some(listener.local_addr()?));
        for _ in 0..threads.max(1) {
            let listener = listener.try_clone()?;
            let worker = Worker::new(mistake)?;
            worker.poll.add(&listener, LISTENER, Flags::IN | Flags::EXCLUSIVE)?;
            echo.start(worker, Some(listener));
        }
        Ok(echo)
    }

    /// Dials `count` sessions at `address`, with the path that `path` gives for the number of each.
    pub fn dial(threads: usize, address: SocketAddr, count: usize, path: &dyn Fn(usize) -> String) -> io::Result<Self> {
        let mut workers = (0..threads.max(1)).map(|_| Worker::new(None)).collect::<io::Result<Vec<_>>>()?;
        for number in 0..count {
            let at = number % workers.len();
            workers[at].take(session::open(address, &path(number))?, State::Open(Turn::new(Some(MASK))))?;
        }
        let mut echo = Self::new(None);
        for worker in workers {
            echo.start(worker, None);
        }
        Ok(echo)
    }

    fn new(address: Option<SocketAddr>) -> Self {
        Self { address, ending: Arc::default(), threads: Vec::new() }
    }

    fn start(&mut self, mut worker: Worker, listener: Option<TcpListener>) {
        let ending = Arc::clone(&self.ending);
        self.threads.push(thread::spawn(move || {
            if let Err(error) = worker.run(listener.as_ref(), &ending) {
                eprintln!("the echo broke: {error}");
            }
        }));
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // It has told on standard error what went wrong.
            let _ = thread.join();
        }
    }
}

enum State {
    /// A request that is not whole yet.
    Head(Vec<u8>),
    Open(Turn),
}

struct Connection {
    stream: TcpStream,
    state: State,
    /// What could not be sent; until it is, nothing is read.
    unsent: Vec<u8>,
    sent: u64,
}

struct Worker {
    poll: Poll,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    input: Vec<u8>,
    output: Vec<u8>,
    mistake: Mistake,
}

impl Worker {
    fn new(mistake: Mistake) -> io::Result<Self> {
        let (input, output) = (vec![0; BUFFER], Vec::with_capacity(2 * BUFFER));
        Ok(Self { poll: Poll::new()?, connections: Vec::new(), free: Vec::new(), input, output, mistake })
    }

    fn take(&mut self, stream: TcpStream, state: State) -> io::Result<()> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.poll.add(&stream, at, Flags::IN)?;
        self.connections[at] = Some(Connection { stream, state, unsent: Vec::new(), sent: 0 });
        Ok(())
    }

    fn run(&mut self, listener: Option<&TcpListener>, ending: &AtomicBool) -> io::Result<()> {
        let mut events = Events::new();
        while !ending.load(Relaxed) {
            self.poll.wait(Some(TICK), &mut events)?;
            for &(at, _) in &events {
                if at == LISTENER {
                    listener.map_or(Ok(()), |listener| self.accept(listener))?;
                } else if !self.serve(at) {
                    self.drop(at)?;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    self.take(stream, State::Head(Vec::new()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Taken out of the set first: while another process is being started, that has the socket too, and closing it here
    /// would not end its events.
    fn drop(&mut self, at: usize) -> io::Result<()> {
        if let Some(connection) = self.connections[at].take() {
            self.poll.remove(&connection.stream)?;
            self.free.push(at);
        }
        Ok(())
    }

    /// Whether the connection stays. One that breaks is the client's to report: it misses its echo.
    fn serve(&mut self, at: usize) -> bool {
        let Some(connection) = &mut self.connections[at] else { return false };
        let before = connection.unsent.is_empty();
        let stays = if before {
            connection.read(&mut self.input, &mut self.output, self.mistake)
        } else {
            let unsent = std::mem::take(&mut connection.unsent);
            connection.send(&unsent)
        };
        let after = connection.unsent.is_empty();
        let watched = before == after || {
            let flags = if after { Flags::IN } else { Flags::OUT };
            self.poll.modify(&connection.stream, at, flags).is_ok()
        };
        stays.unwrap_or(false) && watched
    }
}

impl Connection {
    fn read(&mut self, input: &mut [u8], output: &mut Vec<u8>, mistake: Mistake) -> io::Result<bool> {
        let read = match rustix::io::read(&self.stream, &mut *input) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let input = &input[..read];
        output.clear();
        match &mut self.state {
            State::Open(turn) => turn.turn(input, output)?,
            State::Head(head) => {
                head.extend_from_slice(input);
                let Some(end) = session::head_end(head)? else { return Ok(true) };
                let (head, rest) = head.split_at(end);
                let mut turn = Turn::new(None);
                output.extend(session::answer(head)?);
                turn.turn(rest, output)?;
                self.state = State::Open(turn);
                return self.send(output);
            }
        }
        let at = mistake.and_then(|mistake| usize::try_from(mistake.checked_sub(self.sent)?).ok());
        if let Some(byte) = at.and_then(|at| output.get_mut(at)) {
            *byte ^= 0x40;
        }
        self.sent += output.len() as u64;
        self.send(output)
    }

    /// Sends, keeps what could not be sent, and says whether there may be more.
    fn send(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let sent = match rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(!self.unsent.is_empty() || !matches!(&self.state, State::Open(turn) if turn.is_closed()))
    }
}
