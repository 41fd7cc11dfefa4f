//! The state machine of a session: one leg that waits, or two that are joined. Sans-I/O: streams are an [`Io`] that
//! never blocks, time is given. [`Session::step`] does what can be done and says what to wait for.
//!
//! Here is the way of the bytes; the short one of most of them is in [`super::straight`], that of big frames in
//! [`super::bulk`], how a session ends is in [`super::closing`], what time does to it in [`super::clocks`].

use std::{io, ops::Range};

use tokio::sync::oneshot;

use super::{
    End, Report,
    buffer::{Buffer, HEADROOM, SIZE},
    bulk::Bulk,
    clocks::Calm,
    close::CloseFrame,
    owner::Owned,
    pending::Writable,
    pump::{Orders, Stop},
    screening::Screening,
    side::{Flow, Flushed, Input, Io, Side, Traits},
    sides::Sides,
};
use crate::{
    error::Cause,
    model::{ConnId, PingMode},
    moment::Moment,
};

/// Reads of each leg in one step, so that a bulk transfer leaves room for its neighbours on the worker.
const TURNS: usize = 4;

/// Where reads go in a buffer.
pub(super) const READ: Range<usize> = HEADROOM..SIZE;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is more to do; let others run first.
    Again,
    /// Nothing can be done before one of these.
    Wait(Wants),
    /// Every socket is gone.
    Done,
}

/// What reading a leg came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// There was nothing to read, or nothing may be read.
    Nothing,
    /// All that there was, for now.
    All,
    /// There may be more, or its stream has ended.
    More,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    /// Which legs are to be read.
    pub(super) read: [bool; 2],
    /// Which legs have bytes waiting that they did not take.
    pub(super) write: [bool; 2],
    /// When time alone changes something.
    pub(super) deadline: Option<Moment>,
}

/// Why a session ends: the first reason stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    pub(super) detail: Option<&'static str>,
    pub(super) by: Option<ConnId>,
}

/// What both legs are told, each when the other has nothing left to say.
#[derive(Clone, Debug)]
pub(super) struct Farewell {
    pub(super) frame: CloseFrame,
    /// How long that is waited for.
    pub(super) until: Moment,
}

/// One leg that waits, or two that are joined.
pub(super) struct Session<I> {
    /// One or two; a leg that is over stays for its report.
    pub(super) sides: Sides<I>,
    /// Bytes taken from a waiting leg; megabytes at most.
    hold: u32,
    /// Until when a lone leg waits.
    pub(super) patience: Option<Moment>,
    /// Pings are answered here: no partner, or a leg's limits say so.
    answer: bool,
    pub(super) calm: Calm,
    /// What is read can [pass straight](Session::pass_straight). Whatever is done to a session but that takes it away, and a step
    /// gives it back.
    pub(super) straight: bool,
    begun: Moment,
    pub(super) joined: Moment,
    /// When the last data frame, or a piece of one, was read.
    pub(super) active: Moment,
    pub(super) ending: Option<Box<Ending>>,
    /// Legs were let go of by order.
    pub(super) cut: bool,
    pub(super) owner: Owned,
    pub(super) farewell: Option<Box<Farewell>>,
    /// Who looks at its messages.
    pub(super) screening: Option<Box<Screening>>,
}

impl<I: Io> Session<I> {
    /// A leg that waits for its partner until `patience`; up to `hold` bytes of what it says are kept meanwhile.
    pub(super) fn waiting((io, traits): (I, Traits), hold: usize, patience: Moment, owner: Owned, now: Moment) -> Self {
        // Its partner will have dialled us as well.
        let strip = true;
        let hold = u32::try_from(hold).unwrap_or(u32::MAX);
        Self { hold, patience: Some(patience), ..Self::alone(Side::new(io, traits, strip, now), owner, now) }
    }

    /// Two legs, joined from the beginning.
    pub(super) fn pair(first: (I, Traits), second: (I, Traits), owner: Owned, now: Moment) -> Self {
        let strip = second.1.end == End::Server;
        let mut session = Self::alone(Side::new(first.0, first.1, strip, now), owner, now);
        session.join(second, now);
        session
    }

    fn alone(side: Side<I>, owner: Owned, now: Moment) -> Self {
        Self {
            sides: Sides::one(side),
            hold: 0,
            patience: None,
            answer: true,
            calm: Calm::UNKNOWN,
            straight: false,
            begun: now,
            joined: now,
            active: now,
            ending: None,
            cut: false,
            owner,
            farewell: None,
            screening: None,
        }
    }

    /// Whether a partner may come: the leg still waits and has not left. Call it after a step, so that what the leg has
    /// sent is known.
    pub(super) fn may_join(&mut self, now: Moment) -> bool {
        if self.sides.len() > 1 || self.ending.is_some() {
            return false;
        }
        if self.sides[0].io.as_ref().is_none_or(Io::hung_up) {
            // Its end stands behind bytes that are not read because the hold is full.
            self.stream_ended(0, now);
            return false;
        }
        true
    }

    /// Joins the partner; what was held goes to it first.
    pub(super) fn join(&mut self, (io, traits): (I, Traits), now: Moment) {
        self.straight = false;
        debug_assert_eq!(self.sides.len(), 1, "a session has two legs at most");
        let first = &self.sides[0];
        let mut second = Side::new(io, traits, first.end == End::Server, now);
        second.report.messages_out = first.report.messages_in;
        self.answer = [&first.limits, &second.limits].iter().any(|limits| limits.ping == PingMode::Terminate);
        self.patience = None;
        self.joined = now;
        self.active = now;
        self.calm = Calm::UNKNOWN;
        self.owner.join();
        self.sides.add(second);
    }

    /// Asks a leg for a sign of life. The answer is `true` at its next byte, or at once if it is not being read;
    /// `false` if it is over. The caller limits the wait.
    pub(super) fn probe(&mut self, conn: ConnId, reply: oneshot::Sender<bool>) {
        self.straight = false;
        let Some(at) = self.position(conn).filter(|_| self.ending.is_none()) else {
            let _ = reply.send(false);
            return;
        };
        if self.appetite(at).is_none() {
            let _ = reply.send(true);
            return;
        }
        self.sides[at].ask(reply);
    }

    /// Does what can be done now.
    pub(super) fn step(&mut self, now: Moment) -> Next {
        if self.pass_straight(&mut None, now) {
            return Next::Wait(Wants { read: [true; 2], write: [false; 2], deadline: self.calm.end() });
        }
        self.straight = false;
        self.tick(now);
        let mut progress = true;
        for _ in 0..TURNS {
            let mut pulled = [Pulled::Nothing; 2];
            for (at, pulled) in pulled.iter_mut().enumerate().take(self.sides.len()) {
                *pulled = self.pull(at, now);
            }
            progress = pulled.iter().any(|pulled| *pulled != Pulled::Nothing);
            for at in 0..self.sides.len() {
                progress |= self.push(at, now);
            }
            if self.ending.is_none() && !pulled.contains(&Pulled::More) {
                // The usual case: a message has gone through, and the socket it came from has no more for now. What a
                // write has made room for shows by the readiness that is waited for.
                progress = false;
                break;
            }
            progress |=
                self.farewell.is_some() && self.say_farewell(pulled.map(|pulled| pulled != Pulled::Nothing), now);
            for at in 0..self.sides.len() {
                progress |= self.settle(at);
            }
            if !progress {
                break;
            }
        }
        if self.sides.iter().all(|side| side.io.is_none()) {
            return Next::Done;
        }
        if progress { Next::Again } else { Next::Wait(self.wants(now)) }
    }

    /// What is to be waited for, and who is being listened to meanwhile.
    fn wants(&mut self, now: Moment) -> Wants {
        let mut wants = Wants { read: [false; 2], write: [false; 2], deadline: None };
        let alone = self.sides.len() == 1 && self.ending.is_none();
        for at in 0..self.sides.len() {
            let reading = self.appetite(at).is_some();
            let side = &mut self.sides[at];
            side.listen(reading, now);
            side.report.hold_filled |= alone && !reading;
            wants.read[at] = reading;
            wants.write[at] = side.blocked.is_some();
        }
        wants.deadline = self.next_wake(now);
        self.straight = self.is_straight();
        wants
    }

    /// How much of a leg may be read now; `None` for back-pressure, a full hold, or its end.
    fn appetite(&self, at: usize) -> Option<usize> {
        let side = &self.sides[at];
        if side.io.is_none() || side.eof {
            return None;
        }
        if side.input != Input::Open || self.is_deaf(at) {
            return Some(READ.len());
        }
        if self.sides.len() > 1 {
            // Nor while a message is being looked at, or more was answered than is taken.
            let free = side.flow.is_empty() && side.replies() < SIZE;
            return free.then_some(READ.len());
        }
        // The buffer's size would do, but what is read must fit into the hold.
        let room = (self.hold as usize).saturating_sub(side.flow.pending.len());
        (room > 0).then_some(room.min(READ.len()))
    }

    /// Whether there is nobody to take what this leg says.
    fn is_deaf(&self, at: usize) -> bool {
        match self.partner(at) {
            Some(partner) => !self.sides[partner].takes_frames(),
            None => self.ending.is_some(),
        }
    }

    /// The other leg.
    pub(super) fn partner(&self, at: usize) -> Option<usize> {
        (self.sides.len() > 1).then_some(1 - at)
    }

    /// Which leg a connection is.
    pub(super) fn position(&self, conn: ConnId) -> Option<usize> {
        self.sides.iter().position(|side| side.conn() == conn)
    }

    /// Reads a leg once.
    fn pull(&mut self, at: usize, now: Moment) -> Pulled {
        let Some(room) = self.appetite(at) else { return Pulled::Nothing };
        let side = &mut self.sides[at];
        if !side.may_have_more() {
            return Pulled::Nothing;
        }
        let mut room = room;
        let sieved = self.screening.is_some() && side.input == Input::Open && self.is_sieved(at);
        let side = &mut self.sides[at];
        if side.input == Input::Open && side.flow.pump.is_bulk() && !side.has_early() && !self.is_deaf(at) {
            match self.pull_bulk(at, now) {
                Bulk::Done(pulled) => return pulled,
                Bulk::Read(most) => room = room.min(most),
            }
        }
        let side = &mut self.sides[at];
        let mut buffer = Buffer::take();
        let read = side.read(&mut buffer[HEADROOM..HEADROOM + room]);
        self.take_in(at, buffer, read, room, sieved, now)
    }

    /// What becomes of what a read of a leg came to, into a buffer with so much room.
    pub(super) fn take_in(
        &mut self,
        at: usize,
        buffer: Buffer,
        read: io::Result<usize>,
        room: usize,
        sieved: bool,
        now: Moment,
    ) -> Pulled {
        let side = &mut self.sides[at];
        match read {
            Ok(0) => self.stream_ended(at, now),
            Ok(bytes) => {
                side.heard(bytes, now);
                if side.input == Input::Open {
                    self.digest(at, buffer, bytes, sieved, now);
                }
                if bytes < room {
                    return Pulled::All;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Pulled::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.stream_ended(at, now),
        }
        Pulled::More
    }

    /// What becomes of a leg's control frames, how many frames its messages may have, and which of them are big.
    pub(super) fn orders(&self, at: usize) -> Orders {
        let side = &self.sides[at];
        let pipes = side.io.as_ref().filter(|_| side.flow.sieve.is_none());
        let big = pipes.map_or(u64::MAX, Io::big).max(side.splices_from());
        let limits = &side.limits;
        Orders {
            answer: self.answer,
            pings: side.pulse.count,
            fragments: limits.fragments,
            message: limits.message,
            big,
        }
    }

    /// Makes of what was read what the partner gets.
    fn digest(&mut self, at: usize, mut buffer: Buffer, bytes: usize, sieved: bool, now: Moment) {
        let deaf = self.is_deaf(at);
        let partner = self.partner(at);
        let orders = self.orders(at);
        let side = &mut self.sides[at];
        let begin = side.flow.pump.restore(&mut buffer, HEADROOM);
        let digest = side.flow.pump.process(&mut buffer, begin..HEADROOM + bytes, orders);
        side.report.messages_in += digest.messages;
        if let Some(ping) = &digest.ping {
            side.owe_pong(ping.as_slice());
        }
        match partner {
            _ if deaf => {}
            Some(_) if sieved => self.sift(at, &buffer[digest.out.clone()], now),
            Some(partner) => {
                let sent = if digest.stop.is_none() { self.pass(partner, &buffer[digest.out.clone()], now) } else { 0 };
                let pending = &mut self.sides[at].flow.pending;
                if sent < digest.out.len() {
                    pending.put(buffer, &digest);
                    pending.advance(sent);
                }
            }
            None => side.flow.pending.hold(&buffer, &digest),
        }
        if let Some(partner) = partner.filter(|_| !deaf && !sieved) {
            self.sides[partner].report.messages_out += digest.messages;
        }
        if digest.data {
            self.active = now;
        }
        match digest.stop {
            None => {}
            // A message before it has ended the session.
            Some(_) if self.sides[at].input != Input::Open => {}
            Some(Stop::Close(code)) => self.close_received(at, code, now),
            Some(Stop::Violation(violation)) => self.violated(at, violation, now),
        }
    }

    /// Writes what came for a leg that has nothing else to be told: the usual case. What it does not take is pending.
    pub(super) fn pass(&mut self, at: usize, bytes: &[u8], now: Moment) -> usize {
        let side = &mut self.sides[at];
        if bytes.is_empty() || side.blocked.is_some() || side.deadline.is_some() || !side.is_served(None) {
            return 0;
        }
        // A failure comes again when the rest is written.
        side.send(Writable::Bytes(bytes), false, now).unwrap_or_default()
    }

    /// Writes what a leg is owed.
    pub(super) fn push(&mut self, at: usize, now: Moment) -> bool {
        let (side, source) = self.split(at);
        if side.is_served(source.as_deref()) {
            return false;
        }
        match side.flush(source, now) {
            Flushed::Nothing => false,
            Flushed::Progress => true,
            Flushed::Failed => {
                self.write_failed(at, now);
                true
            }
        }
    }

    /// A leg and what its partner has for it.
    fn split(&mut self, at: usize) -> (&mut Side<I>, Option<&mut Flow>) {
        let (side, other) = self.sides.with_other(at);
        (side, other.map(|other| &mut other.flow))
    }

    /// The account of the session, as it stands.
    pub(super) fn report(&self, now: Moment) -> Report {
        // A session that is dropped half-way ended for a reason of ours.
        let ending = self.ending.as_deref();
        let ending = ending.copied().unwrap_or(Ending { cause: Cause::Internal, detail: None, by: None });
        Report {
            cause: ending.cause,
            detail: ending.detail,
            ended_by: ending.by,
            joined: self.sides.len() > 1,
            cut: self.cut,
            duration: now.since(self.begun),
            legs: self.sides.iter().map(|side| side.report.clone()).collect(),
        }
    }
}
