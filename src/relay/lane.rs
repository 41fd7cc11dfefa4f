//! A thread that moves the frames of many sessions: one loop over an edge-triggered epoll set.
//!
//! Each socket is registered once, for everything. What epoll says is kept as a flag of the socket ([`Tcp`]), and only a
//! call that comes up short takes the flag away, so no call is made that could only say "not now". A session is
//! [stepped](Session::step) when one of its sockets is ready for what it waits for, when its mailbox rings, or when its
//! deadline has come. It never blocks the loop; one that has more to do than a step allows comes again after the others.
//!
//! A session comes in by [`Inbox::post`] and its [`Owner`](super::Owner) is told of its end. What leads to one may run here,
//! too, as an [errand], on [sockets that no session has yet](loose).

mod errand;
mod inbox;
mod loose;
mod seats;
mod tcp;
mod timers;

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use mio::{Events, Poll, Token, event::Event};
use slab::Slab;
use tokio::runtime::Handle;

pub(crate) use self::errand::{is_rung, ring_at};
pub(crate) use self::loose::{LaneListener, LaneStream};
pub(super) use self::{
    errand::Errand,
    inbox::{Begin, Bell, Inbox, Newcomer},
};
use self::{
    errand::Errands,
    inbox::{Queue, WAKE},
    seats::Seats,
    tcp::Tcp,
    timers::Timers,
};
use super::{
    End, LegReport, Mailbox, Report,
    buffer::Buffer,
    close::CloseFrame,
    mailbox::Command,
    owner::Owned,
    session::{Next, Session, Wants},
    side::Io as _,
};
use crate::{error::Cause, moment::Moment, tuning::LASTED};

thread_local! {
    /// The lane whose thread this is.
    static HERE: RefCell<Option<Arc<Inbox>>> = const { RefCell::new(None) };
}

/// Events taken from the kernel at once: what is behind them comes with the next call.
const EVENTS: usize = 256;

/// Steps of a session in a row, where each finds something new to do, before the others have their turn.
const STEPS: usize = 4;

/// Of sessions and errands that come at once, for so many room is kept.
const KEPT: usize = 64;

/// For how long errands go on before frames have their turn.
const FOR_ERRANDS: Duration = Duration::from_millis(1);

/// An errand whose turn it is.
enum Due {
    Begin(Errand),
    GoOn(usize),
}

/// A session in its place.
struct Resident {
    session: Session<Tcp>,
    mailbox: Mailbox,
    /// For when its timer is set.
    armed: Option<Moment>,
    /// Its turn will come.
    queued: bool,
    rung: bool,
    /// Its sockets have what those have of a session that lasts.
    settled: bool,
}

/// What a turn came to.
enum Turn {
    Again,
    Wait(Option<Moment>),
    Done,
}

/// The loop and its sessions.
pub(super) struct Lane {
    poll: Poll,
    inbox: Arc<Inbox>,
    residents: Slab<Box<Resident>>,
    seats: Seats,
    /// Whose turn it is.
    ready: Vec<usize>,
    timers: Timers,
    errands: Errands,
    /// Errands whose turn it is.
    due: VecDeque<Due>,
    /// What others leave is swapped for this.
    emptied: Queue,
    /// Where errands go that take long, and what they use works.
    runtime: Option<Handle>,
    /// The buffer of the short way, from the first message on.
    spare: Option<Buffer>,
}

impl Lane {
    /// A lane without sessions.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(poll.registry())?);
        Ok(Self {
            poll,
            seats: Seats::new(Arc::clone(&inbox)),
            inbox,
            residents: Slab::new(),
            ready: Vec::new(),
            timers: Timers::default(),
            errands: Errands::default(),
            due: VecDeque::new(),
            emptied: Queue::default(),
            runtime: Handle::try_current().ok(),
            spare: None,
        })
    }

    pub(super) fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.inbox)
    }

    /// Runs until [`Inbox::stop`].
    pub(super) fn run(self) {
        HERE.set(Some(self.inbox()));
        let runtime = self.runtime.clone();
        // Also for what is dropped in the end.
        let _context = runtime.as_ref().map(Handle::enter);
        self.go_round();
    }

    fn go_round(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut turns = Vec::new();
        let mut now = Moment::now();
        loop {
            if self.open(now) {
                return;
            }
            if !self.due.is_empty() {
                now = self.run_errands();
                // What they have led to has its turn at once; they themselves only behind the frames.
                if self.open(now) {
                    return;
                }
            }
            let rests = self.ready.is_empty() && self.due.is_empty() && self.inbox.lie_down();
            let timers = || [self.timers.wait(now), self.errands.wait(now)].into_iter().flatten().min();
            let wait = if rests { timers() } else { Some(Duration::ZERO) };
            let polled = self.poll.poll(&mut events, wait);
            self.inbox.woken();
            if let Err(error) = polled
                && error.kind() != io::ErrorKind::Interrupted
            {
                // What else it could be is a mistake of ours; the deadlines of the sessions still come.
                tracing::error!(%error, "a relay thread cannot wait for its sockets");
                #[allow(clippy::disallowed_methods)] // there is nothing else to wait for
                std::thread::sleep(Duration::from_millis(10));
            }
            now = Moment::now();
            for event in &events {
                match event.token() {
                    WAKE => {}
                    Token(marked) if marked & loose::MARK != 0 => self.note_placed(marked & !loose::MARK, event),
                    Token(token) => self.note(token, event),
                }
            }
            while let Some(place) =
                self.timers.due(now, |place, at| self.residents.get_mut(place).is_some_and(|it| it.is_due(at)))
            {
                self.queue(place);
            }
            while let Some(place) = self.errands.due(now) {
                self.due.push_back(Due::GoOn(place));
            }
            std::mem::swap(&mut self.ready, &mut turns);
            self.inbox.count_turns(turns.len());
            for place in turns.drain(..) {
                self.turn(place, now);
            }
        }
    }

    /// Takes what others have left; whether it is to stop.
    fn open(&mut self, now: Moment) -> bool {
        if !self.inbox.take(&mut self.emptied) {
            return false;
        }
        let mut left = std::mem::take(&mut self.emptied);
        for newcomer in left.new.drain(..) {
            self.admit(newcomer, now);
        }
        for place in left.rung.drain(..) {
            self.ring(place);
        }
        self.due.extend(left.woken.drain(..).map(Due::GoOn));
        if std::mem::take(&mut left.all) {
            self.due.extend(self.errands.all().map(Due::GoOn));
        }
        self.due.extend(left.errands.drain(..).map(Due::Begin));
        // With its room, for the next time; that of many at once is not kept.
        left.new.shrink_to(KEPT);
        left.errands.shrink_to(KEPT);
        self.emptied = left;
        self.emptied.stop
    }

    /// Lets errands go on, as far as they may hold up the frames; gives the time it is then.
    fn run_errands(&mut self) -> Moment {
        let begun = Moment::now();
        let mut now = begun;
        while now.since(begun) < FOR_ERRANDS
            && let Some(due) = self.due.pop_front()
        {
            now = match due {
                Due::Begin(errand) => self.errands.begin(errand, &self.inbox, self.runtime.as_ref(), now),
                Due::GoOn(place) => self.errands.go_on(place, &self.inbox, self.runtime.as_ref(), now),
            };
        }
        now
    }

    /// Gives a session its place.
    fn admit(&mut self, newcomer: Newcomer, now: Moment) {
        let vacant = self.residents.vacant_entry();
        let place = vacant.key();
        let Newcomer { begin, mailbox, mut owner } = newcomer;
        let seats = &mut self.seats;
        let opened = match begin {
            Begin::Pair(first, second) => {
                let accounts = [&first, &second].map(|leg| LegReport::new(leg.id, leg.party));
                let screen = second.screen.clone();
                let first = seats.open(first, 2 * place);
                let both = first.and_then(|first| Ok((first, seats.open(second, 2 * place + 1)?)));
                let session = |(first, second)| {
                    let mut session = Session::pair(first, second, Owned::default(), now);
                    if let Some(screen) = screen {
                        session.screen_with(screen, &mailbox.handle(), now);
                    }
                    session
                };
                both.map(session).map_err(|error| (error, accounts.to_vec()))
            }
            Begin::Waiting(leg, deadline, hold) => {
                let accounts = [LegReport::new(leg.id, leg.party)];
                let leg = seats.open(leg, 2 * place);
                let session = |leg| Session::waiting(leg, hold, deadline.into(), Owned::default(), now);
                leg.map(session).map_err(|error| (error, accounts.to_vec()))
            }
        };
        match opened {
            Ok(mut session) => {
                session.owner = owner;
                let short = u32::try_from(place).unwrap_or(u32::MAX);
                mailbox.ring_at(Bell { inbox: Arc::clone(&self.inbox), place: short });
                let resident = Resident { session, mailbox, armed: None, queued: false, rung: false, settled: false };
                vacant.insert(Box::new(resident));
                // There may be mail already.
                self.ring(place);
            }
            Err((error, legs)) => {
                tracing::error!(%error, "sockets cannot be watched; a session ends at its beginning");
                owner.ended(Report {
                    cause: Cause::Internal,
                    detail: Some("the system cannot watch its sockets"),
                    ended_by: None,
                    joined: legs.len() > 1,
                    cut: false,
                    duration: Duration::ZERO,
                    legs,
                });
                self.left(place);
            }
        }
    }

    /// A place is free, and the sockets of its session are closed.
    fn left(&mut self, place: usize) {
        for token in [2 * place, 2 * place + 1] {
            self.seats.leave(token);
        }
        self.inbox.left();
        self.timers.forget_if_many(self.residents.len(), |place, at| {
            self.residents.get(place).is_some_and(|resident| resident.armed == Some(at))
        });
    }

    fn queue(&mut self, place: usize) {
        if let Some(resident) = self.residents.get_mut(place)
            && !std::mem::replace(&mut resident.queued, true)
        {
            self.ready.push(place);
        }
    }

    fn ring(&mut self, place: usize) {
        if let Some(resident) = self.residents.get_mut(place) {
            resident.rung = true;
            self.queue(place);
        }
    }

    /// Keeps what the kernel says of a socket that an errand has, or had.
    fn note_placed(&mut self, place: usize, event: &Event) {
        match self.seats.token(place) {
            Some(token) => self.note(token, event),
            None => self.inbox.loose.note(event),
        }
    }

    /// Keeps what the kernel says of a session's socket.
    fn note(&mut self, token: usize, event: &Event) {
        let place = token / 2;
        let side = self.residents.get_mut(place).and_then(|resident| resident.session.sides.get_mut(token % 2));
        if let Some(side) = side
            && let Some(io) = &mut side.io
        {
            io.note(event);
            // That it takes bytes concerns only who has some for it.
            if io.is_readable() || side.blocked.is_some() {
                self.queue(place);
            }
        }
    }

    /// A session's turn.
    fn turn(&mut self, place: usize, now: Moment) {
        let Some(resident) = self.residents.get_mut(place) else { return };
        resident.queued = false;
        let (seats, spare) = (&mut self.seats, &mut self.spare);
        // A session that panics takes no other with it. Nothing of it is used again.
        let turn = catch_unwind(AssertUnwindSafe(|| resident.turn(seats, spare, place, now)));
        match turn {
            Ok(Turn::Again) => self.queue(place),
            Ok(Turn::Wait(deadline)) => {
                let deadline = deadline.into_iter().chain(resident.settles()).min();
                if let Some(deadline) = deadline
                    && let Some(at) = self.timers.set(resident.armed, deadline, place, now)
                {
                    resident.armed = Some(at);
                }
            }
            Ok(Turn::Done) => {
                let resident = self.residents.remove(place);
                // Its owner's panic is reported where it happens.
                let _ = catch_unwind(AssertUnwindSafe(|| resident.end(now)));
                self.left(place);
            }
            Err(_) => {
                drop(self.residents.remove(place));
                self.left(place);
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Resident {
    /// Whether the timer that fires at `at` is the one that is set.
    fn is_due(&mut self, at: Moment) -> bool {
        self.armed.take_if(|armed| *armed == at).is_some()
    }

    /// When its sockets are to be settled, if they are not yet.
    fn settles(&self) -> Option<Moment> {
        (!self.settled).then(|| self.session.joined + LASTED)
    }

    fn settle(&mut self) {
        self.settled = true;
        for side in &self.session.sides {
            if let Some(io) = &side.io {
                io.settle(side.end == End::Client, side.limits.stall);
            }
        }
    }

    fn turn(&mut self, seats: &mut Seats, spare: &mut Option<Buffer>, place: usize, now: Moment) -> Turn {
        if self.settles().is_some_and(|at| at <= now) {
            self.settle();
        }
        if !self.rung && self.session.pass_straight(spare, now) {
            return Turn::Wait(self.session.calm.end());
        }
        for _ in 0..STEPS {
            let next = self.session.step(now);
            // Also while bytes keep coming: a session must not be deaf to its owner.
            let obeyed = std::mem::take(&mut self.rung) && self.obey(seats, place, now);
            match next {
                Next::Done => return Turn::Done,
                Next::Again => return Turn::Again,
                Next::Wait(wants) if !obeyed && !self.is_ready(&wants) => return Turn::Wait(wants.deadline),
                Next::Wait(_) => {}
            }
        }
        Turn::Again
    }

    /// Whether a leg is ready for what is wanted of it.
    fn is_ready(&self, wants: &Wants) -> bool {
        let mut sides = self.session.sides.iter().enumerate();
        sides.any(|(at, side)| {
            side.io.as_ref().is_some_and(|io| wants.read[at] && io.is_readable() || wants.write[at] && io.is_writable())
        })
    }

    /// Carries out what the mailbox holds. Runs right after a step, so that a leg that has left is known to have left.
    fn obey(&mut self, seats: &mut Seats, place: usize, now: Moment) -> bool {
        let Self { session, mailbox, settled, .. } = self;
        let mut any = false;
        while let Some(command) = mailbox.next() {
            any = true;
            match command {
                Command::Join(ticket) => {
                    if session.may_join(now)
                        && let Some(leg) = ticket.redeem()
                    {
                        let screen = leg.screen.clone();
                        match seats.open(*leg, 2 * place + 1) {
                            Ok(leg) => {
                                session.join(leg, now);
                                *settled = false;
                                if let Some(screen) = screen {
                                    session.screen_with(screen, &mailbox.handle(), now);
                                }
                            }
                            Err(error) => {
                                tracing::error!(%error, "a socket cannot be watched; its session ends");
                                session.drop_all(Cause::Internal);
                            }
                        }
                    }
                }
                Command::Probe { conn, reply } => session.probe(conn, reply),
                Command::Close { conn, cause } => session.close(conn, cause, now),
                Command::Dismiss { conn, cause, frame } => session.dismiss(conn, cause, (*frame).into(), now),
                Command::Drain { conn, .. } if conn.is_some_and(|conn| session.position(conn).is_none()) => {}
                Command::Drain { code, cause, .. } => {
                    session.take_leave(CloseFrame { code, ..CloseFrame::of(cause) }, cause, now);
                }
                Command::Cut { cause } => session.cut_off(cause),
                Command::Screened { at, screened } => session.screened(at, *screened, now),
            }
        }
        any
    }

    fn end(self, now: Moment) {
        let report = self.session.report(now);
        let Self { mut session, mailbox, .. } = self;
        let mut owner = std::mem::take(&mut session.owner);
        owner.ending();
        // Whoever gets the report finds the mailbox closed.
        drop((session, mailbox));
        owner.ended(report);
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use std::mem::size_of;

    use super::{Resident, Tcp};
    use crate::relay::side::Side;

    /// As with what is kept of each leg elsewhere: there may be a hundred thousand of each.
    #[test]
    fn what_is_kept_of_each_session_stays_small() {
        assert!(size_of::<Resident>() <= 128, "{}", size_of::<Resident>());
        let both = size_of::<(Side<Tcp>, Option<Side<Tcp>>)>();
        assert!(both <= 384, "{both}");
    }
}
