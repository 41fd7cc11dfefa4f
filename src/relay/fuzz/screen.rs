//! A session whose messages are looked at, between two scripted peers: each hears what became of the messages of the other,
//! in their order and whole, and nothing behind a Close; also if a promise to judge one is broken the session ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{heard::Heard, script::size};
use crate::{
    error::Cause,
    fuzzing::Input,
    model::{CloseFrame, Direction, MessageKind, Oversize, Payload},
    relay::{
        Passed, Promise, Reply, Screen, Screened, Wanted,
        buffer::SIZE,
        mailbox::{Command, Mailbox, mailbox},
        session::Next,
        tests::rig::{BACKEND, BINARY, CLIENT, CLOSE, CONT, PING, Peer, Rig, TEXT, code, frame, quiet},
    },
};

/// Bytes of scripts are few, but one may ask for much.
const MOST_SENT: usize = 200_000;
/// Bytes of the longest message of a script, and of what is made of one.
const LONGEST: usize = 71_000;

/// What becomes of a message that is looked at, by its fifth byte; the first four are its number.
const PASSES: u8 = b'p';
const GOES: u8 = b'd';
const CHANGES: u8 = b'c';
const GROWS: u8 = b'g';
const ANSWERED: u8 = b'a';
const ENDS: u8 = b'e';

/// What the screen knows and was told.
#[derive(Default)]
struct State {
    /// Longest message that is wanted, for each direction; none if nothing is.
    most: [Option<u32>; 2],
    slow: bool,
    close: bool,
    asked: VecDeque<(Promise, Direction, Payload)>,
    /// What each peer sent, by its number.
    sent: [Vec<Payload>; 2],
    /// Which of it was looked at.
    seen: [Vec<usize>; 2],
}

#[derive(Default)]
struct Look {
    state: Mutex<State>,
    wanted: Arc<Wanted>,
}

impl Look {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn want(&self, direction: Direction, most: Option<u32>) {
        let before = std::mem::replace(&mut self.state().most[direction as usize], most);
        if before.is_some() != most.is_some() {
            self.wanted.change(direction, most.is_some());
        }
    }
}

impl Screen for Look {
    fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted)
    }

    fn wants(&self, direction: Direction, _: MessageKind) -> Option<u32> {
        self.state().most[direction as usize]
    }

    fn oversize(&self, _: Direction, _: MessageKind) -> Oversize {
        if self.state().close { Oversize::Close } else { Oversize::Pass }
    }

    fn look(&self, direction: Direction, message: Payload, reply: &Reply) -> Option<Screened> {
        let mut state = self.state();
        let at = direction as usize;
        assert!(state.asked.iter().all(|(_, other, _)| *other != direction), "one after the other");
        let number = number(&message.bytes);
        assert!(state.seen[at].last().is_none_or(|last| *last < number), "each once, in order");
        assert!(state.sent[at][number] == message, "whole, and as it was sent");
        state.seen[at].push(number);
        if !state.slow {
            return Some(judged(message));
        }
        state.asked.push_back((reply.promise(), direction, message));
        None
    }
}

fn number(message: &[u8]) -> usize {
    std::str::from_utf8(&message[..4]).unwrap().parse().unwrap()
}

fn judged(message: Payload) -> Screened {
    let made = |what: &str| Payload {
        kind: message.kind,
        bytes: [what.as_bytes(), &message.bytes[..message.bytes.len().min(300)]].concat(),
    };
    let mut screened = Screened { passed: Vec::new(), replies: Vec::new(), close: None };
    match message.bytes[4] {
        GOES => {}
        CHANGES => screened.passed.push(Passed::Made(made("changed "))),
        GROWS => {
            let after = made("after ");
            screened.passed = vec![Passed::Made(made("before ")), Passed::Unchanged(message), Passed::Made(after)];
        }
        ANSWERED => screened.replies.push(made("answer ")),
        ENDS => {
            screened.replies.push(made("answer "));
            screened.close = Some((Cause::Filtered, CloseFrame { code: 4000, reason: "enough".to_owned() }));
        }
        _ => screened.passed.push(Passed::Unchanged(message)),
    }
    screened
}

struct Actor {
    peer: Peer,
    masked: bool,
    /// Of its stream, what it has not said yet.
    queue: VecDeque<u8>,
    /// Most bytes of it that are read at once.
    chunk: usize,
    closes: bool,
    /// Nothing more can be understood of it.
    silent: bool,
    heard: Heard,
}

impl Actor {
    fn new(peer: &Peer, masked: bool) -> Self {
        Self {
            peer: peer.clone(),
            masked,
            queue: VecDeque::new(),
            chunk: usize::MAX,
            closes: false,
            silent: false,
            heard: Heard::default(),
        }
    }

    fn plans(&mut self, fin: bool, opcode: u8, payload: &[u8]) {
        self.queue.extend(frame(fin, opcode, payload, self.masked.then_some([0x5a, 0x13, 0xe7, 0x9c])));
    }

    fn says(&mut self, bytes: usize) {
        let said: Vec<u8> = self.queue.drain(..bytes.min(self.queue.len())).collect();
        self.peer.says(&said);
    }

    /// Says what it has planned, and this.
    fn breaks(&mut self, bytes: &[u8]) {
        self.says(usize::MAX);
        self.peer.says(bytes);
        self.silent = true;
    }
}

struct Play {
    rig: Rig,
    look: Arc<Look>,
    mailbox: Mailbox,
    actors: [Actor; 2],
    joined: bool,
    /// Nobody misbehaves or ends anything: then all must arrive.
    calm: bool,
    /// In the end all promises are dropped.
    mute: bool,
}

/// Plays the script that the input says.
pub fn screen(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let (routed, waits) = (flags & 1 != 0, flags & 2 != 0);
    let hold = if waits { usize::from(input.byte()) * 16 } else { 0 };
    let rig = match (waits, routed) {
        (true, _) => Rig::waiting(&quiet(), hold, Duration::from_hours(1)),
        (false, true) => Rig::routed(&quiet()),
        (false, false) => Rig::rendezvous(&quiet()),
    };
    if flags & 4 != 0 {
        rig.client.splices(1000);
        rig.backend.splices(1000);
    }
    let look = Arc::<Look>::default();
    *look.state() = State { slow: flags & 16 != 0, close: flags & 32 != 0, ..State::default() };
    if flags & 8 == 0 {
        look.want(Direction::ALL[0], Some(u32::MAX));
        look.want(Direction::ALL[1], Some(u32::MAX));
    }
    let actors = [Actor::new(&rig.client, true), Actor::new(&rig.backend, waits || !routed)];
    let (_, mailbox) = mailbox();
    let (calm, mute) = (flags & 32 == 0, flags & 64 != 0);
    let mut play = Play { rig, look, mailbox, actors, joined: false, calm, mute };
    if !waits {
        play.begin();
    }
    let mut total = 0;
    while !input.is_empty() && total < MOST_SENT {
        total += play.act(&mut input);
        play.run();
    }
    play.end();
}

impl Play {
    /// Both legs are there.
    fn begin(&mut self) {
        self.joined = true;
        let look: Arc<dyn Screen> = Arc::<Look>::clone(&self.look);
        self.rig.session.screen_with(look, &self.mailbox.handle(), self.rig.now);
    }

    /// Does what the next bytes say and tells about how many bytes that was.
    fn act(&mut self, input: &mut Input<'_>) -> usize {
        let act = input.byte();
        let who = if self.joined { usize::from(act >> 7) } else { 0 };
        let actor = &mut self.actors[who];
        let silent = actor.silent || actor.closes;
        match act & 0x1f {
            0..=9 if silent => {}
            0..=9 => return self.message(who, usize::from(act >> 5 & 3), size(input), input.byte()),
            10..=12 => actor.says(usize::from(input.word())),
            13..=14 => actor.says(usize::MAX),
            15..=16 => {
                let most = [None, Some(u32::MAX), Some(u32::from(input.byte()))][usize::from(act >> 5) % 3];
                self.look.want(Direction::ALL[who], most);
            }
            17 => {
                let mut state = self.look.state();
                state.slow = !state.slow;
            }
            18..=21 => drop(self.answer()),
            22 => {
                let asked = self.look.state().asked.pop_front();
                self.calm &= asked.is_none();
            }
            23 => drop(actor.peer.takes(usize::from(input.word()))),
            24 => {
                actor.chunk = usize::from(input.word()).max(64);
                actor.peer.dribbles(actor.chunk);
            }
            25 => {
                // Who does not answer a Close is waited for only so long.
                self.calm &= self.actors.iter().all(|actor| !actor.closes);
                self.rig.after(Duration::from_millis(u64::from(input.word())));
            }
            26 if !silent => {
                actor.plans(true, CLOSE, &code(1000, ""));
                actor.closes = true;
            }
            27 => {
                actor.peer.ends();
                actor.silent = true;
                self.calm = false;
            }
            28 => {
                actor.peer.resets();
                actor.silent = true;
                self.calm = false;
            }
            29 if !silent => {
                let bad: [&[u8]; 3] = [&[0x83, 0x80], &[0xb1, 0x80, 0, 0, 0, 0], &[0x09, 0x80, 0, 0, 0, 0]];
                actor.breaks(bad[usize::from(input.byte()) % bad.len()]);
                self.calm = false;
            }
            30 => {
                let causes = [Cause::Draining, Cause::Replaced, Cause::Dead, Cause::Internal];
                let choice = input.byte();
                let leg = (choice & 4 == 0).then_some([CLIENT, BACKEND][who]);
                self.rig.session.close(leg, causes[usize::from(choice % 4)], self.rig.now);
                self.calm = false;
            }
            31 if !self.joined => self.join(),
            _ => {}
        }
        1
    }

    /// A message, cut into frames, with Pings between them.
    fn message(&mut self, who: usize, cuts: usize, size: usize, kind: u8) -> usize {
        let mut state = self.look.state();
        let sent = &mut state.sent[who];
        let actor = &mut self.actors[who];
        let size = size.min(actor.chunk.saturating_mul(100));
        let verdict = [PASSES, PASSES, GOES, CHANGES, GROWS, ANSWERED, PASSES, ENDS][usize::from(kind & 7)];
        let ends = verdict == ENDS && kind & 8 != 0;
        let verdict = if verdict == ENDS && !ends { PASSES } else { verdict };
        let mut bytes = format!("{:04}{}", sent.len(), char::from(verdict)).into_bytes();
        bytes.extend((0..size).map(|at| b'a' + (at % 26).to_le_bytes()[0]));
        let (opcode, kind_of) = if kind & 16 == 0 { (TEXT, MessageKind::Text) } else { (BINARY, MessageKind::Binary) };
        if kind & 0xe0 == 0xe0 && opcode == TEXT {
            // No UTF-8.
            bytes.push(0xff);
            self.calm = false;
        }
        self.calm &= !ends;
        let part = bytes.len() / (cuts + 1) + 1;
        let parts = bytes.chunks(part).count();
        for (n, piece) in bytes.chunks(part).enumerate() {
            if kind & 0x20 != 0 {
                actor.plans(true, PING, b"between");
            }
            actor.plans(n + 1 == parts, if n == 0 { opcode } else { CONT }, piece);
        }
        sent.push(Payload { kind: kind_of, bytes });
        size
    }

    fn join(&mut self) {
        self.rig.run();
        if self.rig.session.may_join(self.rig.now) {
            self.rig.attach(&quiet(), &[]);
            self.begin();
        } else {
            self.rig.forget_backend();
            self.calm = false;
            // It is not asked again.
            self.joined = true;
        }
    }

    /// Says what becomes of the message that was asked about first; whether there was one.
    fn answer(&mut self) -> bool {
        let asked = self.look.state().asked.pop_front();
        let Some((promise, _, message)) = asked else { return false };
        promise.keep(judged(message));
        true
    }

    /// Lets the session do what it can, and looks at what it did.
    fn run(&mut self) -> Next {
        let mut next = self.rig.run();
        while let Some(command) = self.mailbox.next() {
            let Command::Screened { at, screened } = command else { panic!("{command:?}") };
            self.rig.session.screened(at, *screened, self.rig.now);
            next = self.rig.run();
        }
        for side in &self.rig.session.sides {
            assert!(side.flow.pending.len() <= 2 * LONGEST + SIZE, "{} bytes are kept", side.flow.pending.len());
            assert!(side.replies() <= SIZE + 400, "{} bytes of answers are kept", side.replies());
        }
        for actor in &mut self.actors {
            let bytes = actor.peer.hears();
            actor.heard.hear(&bytes, !actor.masked);
        }
        next
    }

    fn end(mut self) {
        self.calm &= self.joined;
        for actor in &mut self.actors {
            actor.peer.takes(usize::MAX);
            actor.peer.dribbles(usize::MAX);
        }
        self.finish();
        if self.calm {
            // Nothing may follow the Close of a partner, answers neither.
            let answered = self.actors.iter().all(|actor| !actor.closes);
            self.compare(answered);
            for actor in self.actors.iter_mut().filter(|actor| !actor.closes) {
                actor.plans(true, CLOSE, &code(1000, ""));
            }
            self.finish();
            assert!(self.actors.iter().all(|actor| actor.heard.close() == Some(1000)));
        }
        for actor in &self.actors {
            actor.peer.ends();
        }
        if self.calm {
            assert_eq!(self.run(), Next::Done, "nothing is left to wait for");
        } else {
            self.run();
            self.rig.after(Duration::from_hours(10));
            // Whoever promised to judge a message always says something, or that it says nothing.
            let promised = std::mem::take(&mut self.look.state().asked);
            drop(promised);
            self.run();
            self.rig.after(Duration::from_hours(10));
            if !self.joined {
                self.rig.forget_backend();
            }
            assert_eq!(self.run(), Next::Done, "the session ends");
        }
        assert!(self.rig.client.is_closed() && self.rig.backend.is_closed());
        self.compare(false);
    }

    /// Says what is left, and what becomes of it unless nobody says that.
    fn finish(&mut self) {
        for actor in self.actors.iter_mut().filter(|actor| !actor.silent) {
            actor.says(usize::MAX);
        }
        self.run();
        while (self.calm || !self.mute) && self.answer() {
            self.run();
        }
    }

    /// What each has heard is the beginning of what became of what the other sent, all of it if all is calm, and of what
    /// itself was answered.
    fn compare(&self, answered: bool) {
        let state = self.look.state();
        for (from, to) in [(0, 1), (1, 0)] {
            let (mut passed, mut answers) = (Vec::new(), Vec::new());
            for (number, message) in state.sent[from].iter().enumerate() {
                if state.seen[from].contains(&number) {
                    passed.extend(judged(message.clone()).passed.into_iter().map(|passed| match passed {
                        Passed::Unchanged(message) | Passed::Made(message) => message,
                    }));
                } else {
                    passed.push(message.clone());
                }
            }
            for number in &state.seen[to] {
                answers.extend(judged(state.sent[to][*number].clone()).replies);
            }
            let heard = self.actors[to].heard.messages();
            let (heard_answers, heard): (Vec<_>, Vec<_>) =
                heard.into_iter().partition(|message| message.bytes.starts_with(b"answer "));
            assert!(passed.starts_with(&heard), "of {from} another hears what nobody said, or in another order");
            assert!(answers.starts_with(&heard_answers), "{to} is answered what nobody said, or in another order");
            assert!(!self.calm || heard.len() == passed.len(), "all that passes has arrived");
            assert!(!answered || heard_answers.len() == answers.len(), "all answers have arrived");
        }
    }
}
