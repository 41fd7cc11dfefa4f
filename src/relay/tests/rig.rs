//! Two scripted peers and a session between them.

mod frames;

use std::{cell::RefCell, collections::VecDeque, io, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;

pub(in crate::relay) use self::frames::*;
use crate::{
    model::{ConnId, Limits},
    moment::Moment,
    relay::{
        End, LegReport, Party, Report,
        owner::Owned,
        pipe::Pipe,
        session::{Next, Session, Wants},
        side::{Io, Traits},
    },
};

pub(in crate::relay) const CLIENT: ConnId = ConnId::from_raw(0xc);
pub(in crate::relay) const BACKEND: ConnId = ConnId::from_raw(0xb);

/// What stands between a scripted peer and the session.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // a script, not a state machine
struct Wire {
    to_us: VecDeque<u8>,
    fin: bool,
    reset: bool,
    chunk: usize,
    from_us: Vec<u8>,
    window: usize,
    /// Counts as full while this much is not free, as a kernel's queue does; asked for itself it takes what it can.
    coarse: usize,
    insisted: bool,
    shut: bool,
    aborted: bool,
    closed: bool,
    reads: usize,
    /// What was written waits for what follows.
    held_back: bool,
    /// What it says in frames of so many bytes passes by a pipe.
    big: u64,
    piped: usize,
}

/// The test's hand on a peer.
#[derive(Clone, Debug)]
pub(in crate::relay) struct Peer(Rc<RefCell<Wire>>);

/// The session's end of it.
pub(in crate::relay) struct Fake(Rc<RefCell<Wire>>);

impl Peer {
    pub(in crate::relay) fn new() -> (Self, Fake) {
        let wire = Rc::new(RefCell::new(Wire {
            to_us: VecDeque::new(),
            fin: false,
            reset: false,
            chunk: usize::MAX,
            from_us: Vec::new(),
            window: usize::MAX,
            coarse: 0,
            insisted: false,
            shut: false,
            aborted: false,
            closed: false,
            reads: 0,
            held_back: false,
            big: u64::MAX,
            piped: 0,
        }));
        (Self(Rc::clone(&wire)), Fake(wire))
    }

    /// Sends bytes.
    pub(in crate::relay) fn says(&self, bytes: &[u8]) -> &Self {
        self.0.borrow_mut().to_us.extend(bytes);
        self
    }

    /// Sends FIN behind what it sent.
    pub(in crate::relay) fn ends(&self) -> &Self {
        self.0.borrow_mut().fin = true;
        self
    }

    /// Resets: what it sent can still be read, nothing can be written.
    pub(in crate::relay) fn resets(&self) -> &Self {
        self.0.borrow_mut().reset = true;
        self
    }

    /// Lets at most so many bytes through at one read.
    pub(in crate::relay) fn dribbles(&self, chunk: usize) {
        self.0.borrow_mut().chunk = chunk;
    }

    /// Lets frames of at least so many bytes that it says pass by a pipe.
    pub(in crate::relay) fn splices(&self, big: u64) -> &Self {
        self.0.borrow_mut().big = big;
        self
    }

    /// How many bytes of it have gone into a pipe.
    pub(in crate::relay) fn piped(&self) -> usize {
        self.0.borrow().piped
    }

    /// Takes at most so many more bytes.
    pub(in crate::relay) fn takes(&self, bytes: usize) -> &Self {
        self.0.borrow_mut().window = bytes;
        self
    }

    /// Counts as full until so many bytes are free.
    pub(in crate::relay) fn counts_as_full_below(&self, bytes: usize) {
        self.0.borrow_mut().coarse = bytes;
    }

    /// What it has got since the last call.
    pub(in crate::relay) fn hears(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().from_us)
    }

    /// The same as frames, by the oracle.
    pub(in crate::relay) fn frames(&self) -> Vec<Seen> {
        read_frames(&self.hears())
    }

    /// Bytes that were sent and not read.
    pub(in crate::relay) fn unread(&self) -> usize {
        self.0.borrow().to_us.len()
    }

    /// Whether it has got FIN.
    pub(in crate::relay) fn got_fin(&self) -> bool {
        self.0.borrow().shut
    }

    /// Whether the socket is closed, and by RST.
    pub(in crate::relay) fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    pub(in crate::relay) fn is_cut(&self) -> bool {
        self.0.borrow().closed && self.0.borrow().aborted
    }

    /// How often it was read or tried to be read.
    pub(in crate::relay) fn reads(&self) -> usize {
        self.0.borrow().reads
    }
}

impl Wire {
    /// How many of `most` bytes can be read at once.
    fn readable(&self, most: usize) -> io::Result<usize> {
        match (self.to_us.len().min(most).min(self.chunk), self.fin, self.reset) {
            (length @ 1.., ..) => Ok(length),
            (0, _, true) => Err(io::ErrorKind::ConnectionReset.into()),
            (0, true, _) => Ok(0),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// How many of `most` bytes can be written at once.
    fn writable(&mut self, most: usize) -> io::Result<usize> {
        assert!(!self.shut, "nothing is written behind FIN");
        if self.reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let length = most.min(self.window);
        let insisted = std::mem::take(&mut self.insisted);
        if length == 0 || (self.window < self.coarse && !insisted) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.window -= length;
        Ok(length)
    }
}

impl Io for Fake {
    fn is_readable(&self) -> bool {
        true
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a read of nothing looks like the end");
        let mut wire = self.0.borrow_mut();
        wire.reads += 1;
        let length = wire.readable(buffer.len())?;
        for (place, byte) in buffer.iter_mut().zip(wire.to_us.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }

    fn try_write(&mut self, buffer: &[u8], more: bool) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        let length = wire.writable(buffer.len())?;
        wire.held_back = more && length == buffer.len();
        wire.from_us.extend_from_slice(&buffer[..length]);
        Ok(length)
    }

    fn big(&self) -> u64 {
        self.0.borrow().big
    }

    fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wire = self.0.borrow();
        let length = wire.readable(buffer.len())?;
        for (place, byte) in buffer.iter_mut().zip(wire.to_us.iter().take(length)) {
            *place = *byte;
        }
        Ok(length)
    }

    fn try_fill(&mut self, pipe: &mut Pipe, most: usize) -> io::Result<usize> {
        assert_eq!(pipe.len(), 0, "what is left of another frame would pass, or another session's");
        assert!(most > 0, "a read of nothing looks like the end");
        let mut wire = self.0.borrow_mut();
        let length = wire.readable(most)?;
        let bytes: Vec<u8> = wire.to_us.iter().copied().take(length).collect();
        let length = pipe.write(&bytes)?;
        wire.to_us.drain(..length);
        wire.piped += length;
        Ok(length)
    }

    fn try_drain(&mut self, pipe: &mut Pipe) -> io::Result<usize> {
        let mut wire = self.0.borrow_mut();
        let mut bytes = vec![0; wire.writable(pipe.len())?];
        assert_eq!(pipe.read(&mut bytes)?, bytes.len(), "it has what it says it has");
        wire.from_us.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn shutdown_write(&mut self) {
        let mut wire = self.0.borrow_mut();
        wire.shut = true;
        wire.held_back = false;
    }

    fn insist(&mut self) {
        self.0.borrow_mut().insisted = true;
    }

    fn abort(&mut self) {
        self.0.borrow_mut().aborted = true;
    }

    fn has_more(&self) -> bool {
        !self.0.borrow().to_us.is_empty()
    }

    fn hung_up(&self) -> bool {
        let wire = self.0.borrow();
        wire.fin || wire.reset
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let mut wire = self.0.borrow_mut();
        wire.closed = true;
        wire.held_back = false;
    }
}

/// Limits without any clock.
pub(in crate::relay) fn quiet() -> Limits {
    Limits {
        message: 0,
        fragments: 0,
        splice: 1,
        idle: Duration::ZERO,
        lifetime: Duration::ZERO,
        ping_every: Duration::ZERO,
        pong_within: Duration::ZERO,
        stall: Duration::ZERO,
        close: Duration::from_secs(5),
        ..Limits::default()
    }
}

pub(in crate::relay) fn traits(party: Party, end: End, limits: &Limits) -> Traits {
    let conn = if party == Party::Client { CLIENT } else { BACKEND };
    Traits { conn, party, end, limits: Arc::new(limits.clone()), extensions: false, early: Bytes::new() }
}

/// A session with its peers and its own time.
pub(in crate::relay) struct Rig {
    pub(in crate::relay) session: Session<Fake>,
    pub(in crate::relay) client: Peer,
    pub(in crate::relay) backend: Peer,
    pub(in crate::relay) now: Moment,
    backend_io: Option<Fake>,
}

impl Rig {
    /// A client and an upstream.
    pub(in crate::relay) fn routed(limits: &Limits) -> Self {
        Self::pair(End::Client, limits)
    }

    /// A client and a backend that both dialled us.
    pub(in crate::relay) fn rendezvous(limits: &Limits) -> Self {
        Self::pair(End::Server, limits)
    }

    fn pair(end: End, limits: &Limits) -> Self {
        let (client, client_io) = Peer::new();
        let (backend, backend_io) = Peer::new();
        let now = Moment::now();
        let session = Session::pair(
            (client_io, traits(Party::Client, End::Server, limits)),
            (backend_io, traits(Party::Backend, end, limits)),
            Owned::default(),
            now,
        );
        Self { session, client, backend, now, backend_io: None }
    }

    /// A client that waits, and a backend that has not come yet.
    pub(in crate::relay) fn waiting(limits: &Limits, hold: usize, patience: Duration) -> Self {
        let (client, client_io) = Peer::new();
        let (backend, backend_io) = Peer::new();
        let now = Moment::now();
        let traits = traits(Party::Client, End::Server, limits);
        let session = Session::waiting((client_io, traits), hold, now + patience, Owned::default(), now);
        Self { session, client, backend, now, backend_io: Some(backend_io) }
    }

    /// The backend comes, with bytes right behind its handshake; `false` if it is refused.
    pub(in crate::relay) fn join(&mut self, limits: &Limits, early: &[u8]) -> bool {
        self.run();
        if !self.session.may_join(self.now) {
            return false;
        }
        self.attach(limits, early);
        self.run();
        true
    }

    /// The same, and nothing else happens yet.
    pub(in crate::relay) fn attach(&mut self, limits: &Limits, early: &[u8]) {
        let traits = Traits { early: Bytes::copy_from_slice(early), ..traits(Party::Backend, End::Server, limits) };
        self.session.join((self.backend_io.take().expect("it comes once"), traits), self.now);
    }

    /// The backend that was refused goes away.
    pub(in crate::relay) fn forget_backend(&mut self) {
        self.backend_io = None;
    }

    /// Steps until nothing can be done. A session that spins, taking steps that move no byte, fails here.
    pub(in crate::relay) fn run(&mut self) -> Next {
        let (mut moved, mut idle) = (self.moved(), 0);
        loop {
            match self.session.step(self.now) {
                Next::Again => {}
                Next::Wait(wants) if is_ready(&self.session, &wants) => {}
                next => {
                    let held_back = [&self.client, &self.backend].map(|peer| peer.0.borrow().held_back);
                    assert_eq!(held_back, [false; 2], "nothing follows what was held back");
                    return next;
                }
            }
            idle = if self.moved() == moved { idle + 1 } else { 0 };
            assert!(idle < 100, "it runs without end");
            moved = self.moved();
        }
    }

    /// Changes with each byte that is read or written.
    fn moved(&self) -> (usize, usize) {
        let (client, backend) = (self.client.0.borrow(), self.backend.0.borrow());
        (client.to_us.len() + backend.to_us.len(), client.from_us.len() + backend.from_us.len())
    }

    /// The same, and what it waits for.
    pub(in crate::relay) fn wants(&mut self) -> Wants {
        match self.run() {
            Next::Wait(wants) => wants,
            next => panic!("it does not wait: {next:?}"),
        }
    }

    /// Lets time pass, at each deadline on the way a step.
    pub(in crate::relay) fn after(&mut self, time: Duration) -> Next {
        let until = self.now + time;
        for _ in 0..10_000 {
            match self.run() {
                Next::Wait(Wants { deadline: Some(deadline), .. }) if deadline <= until => {
                    assert!(deadline > self.now, "a deadline that is due stays due");
                    self.now = deadline;
                }
                _ => {
                    self.now = until;
                    return self.run();
                }
            }
        }
        panic!("time does not pass");
    }

    /// Whether the first end was announced.
    pub(in crate::relay) fn is_ending(&self) -> bool {
        self.session.ending.is_some()
    }

    pub(in crate::relay) fn report(&self) -> Report {
        self.session.report(self.now)
    }

    pub(in crate::relay) fn legs(&self) -> (LegReport, LegReport) {
        let legs = self.report().legs;
        (legs[0].clone(), legs[1].clone())
    }

    pub(in crate::relay) fn is_over(&mut self) -> bool {
        self.run() == Next::Done
    }
}

/// Whether a leg that is to be read has something, as a poll of its socket would say.
fn is_ready(session: &Session<Fake>, wants: &Wants) -> bool {
    let mut wanted = session.sides.iter().zip(wants.read).filter(|(_, wanted)| *wanted);
    wanted.any(|(side, _)| side.io.as_ref().is_some_and(|io| io.has_more() || io.hung_up()))
}
