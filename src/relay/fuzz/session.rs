//! A whole session between two scripted peers: it never spins, it keeps within its memory, each peer gets the frames of
//! the other in order and nothing behind a Close, and when both peers have ended, time ends the session.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{
    heard::Heard,
    script::{payload, size},
};
use crate::{
    error::Cause,
    fuzzing::Input,
    model::{Limits, PingMode},
    relay::{
        pipe,
        pump::ping_payload,
        session::Next,
        tests::rig::{BACKEND, BINARY, CLIENT, CLOSE, CONT, PING, PONG, Peer, Rig, Seen, TEXT, code, frame, quiet},
    },
};

/// Bytes of scripts are few, but one may ask for much.
const MOST_SENT: usize = 200_000;

/// Bytes of the longest header.
const MAX_HEADER: usize = 14;

const CLIENT_SIDE: usize = 0;
const BACKEND_SIDE: usize = 1;

/// How a peer's stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// It goes on.
    Nothing,
    /// A Close with this code.
    Close(u16),
    /// FIN without a Close.
    Fin,
    /// What is no frame, half a frame, or over a limit; or a reset.
    Broken,
}

struct Actor {
    peer: Peer,
    masked: bool,
    /// What its partner may get of it.
    sent: Vec<Seen>,
    /// A frame of which only a part was sent.
    half: Option<Seen>,
    open: bool,
    message: usize,
    fragments: u32,
    last: Last,
    /// Most bytes of it that are read at once.
    chunk: usize,
    /// It sends nothing more: half a frame, FIN or a reset was the last of it.
    silent: bool,
    heard: Heard,
}

impl Actor {
    fn new(peer: &Peer, masked: bool) -> Self {
        Self {
            peer: peer.clone(),
            masked,
            sent: Vec::new(),
            half: None,
            open: false,
            message: 0,
            fragments: 0,
            last: Last::Nothing,
            chunk: usize::MAX,
            silent: false,
            heard: Heard::default(),
        }
    }

    fn says(&mut self, seen: Seen) {
        let key = self.masked.then_some([0x5a, 0x13, 0xe7, 0x9c]);
        self.peer.says(&frame(seen.fin, seen.opcode, &seen.payload, key));
        if self.last == Last::Nothing {
            self.sent.push(seen);
        }
    }

    /// Something that ends what can be understood of it.
    fn breaks(&mut self, bytes: &[u8]) {
        self.peer.says(bytes);
        if self.last == Last::Nothing {
            self.last = Last::Broken;
        }
    }
}

struct Play {
    rig: Rig,
    actors: [Actor; 2],
    limits: Limits,
    hold: usize,
    joined: bool,
    /// Only what two friendly peers with time for each other do: then all must arrive.
    calm: bool,
    /// Pings and Pongs pass, so that they are compared as well.
    relays: bool,
}

/// Plays the script that the input says.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.byte();
    let (routed, waits, terminate) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    let seconds = |on: bool, value: u64| if on { Duration::from_secs(value) } else { Duration::ZERO };
    let limits = Limits {
        message: if flags & 8 != 0 { 1000 } else { 0 },
        fragments: if flags & 8 != 0 { 3 } else { 0 },
        ping: if terminate { PingMode::Terminate } else { PingMode::Relay },
        ping_every: seconds(flags & 16 != 0, 5),
        pong_within: seconds(flags & 32 != 0, 3),
        stall: seconds(flags & 64 != 0, 7),
        idle: seconds(flags & 128 != 0, 60),
        ..quiet()
    };
    let hold = usize::from(input.byte()) * 16;
    let rig = match (waits, routed) {
        (true, _) => Rig::waiting(&limits, hold, Duration::from_secs(20)),
        (false, true) => Rig::routed(&limits),
        (false, false) => Rig::rendezvous(&limits),
    };
    if !waits {
        // There is no hold, so that its byte is free.
        let big = [u64::MAX, 1, 100, 1000][hold / 16 % 4];
        rig.client.splices(big);
        rig.backend.splices(big);
    }
    let actors = [Actor::new(&rig.client, true), Actor::new(&rig.backend, waits || !routed)];
    let mut play = Play { rig, actors, limits, hold, joined: !waits, calm: true, relays: !waits && !terminate };
    let mut total = 0;
    while !input.is_empty() && total < MOST_SENT {
        total += play.act(&mut input);
        play.look();
    }
    play.end();
}

impl Play {
    /// Does what the next bytes say and tells about how many bytes that was.
    fn act(&mut self, input: &mut Input<'_>) -> usize {
        let act = input.byte();
        let who = if self.joined { usize::from(act >> 7) } else { CLIENT_SIDE };
        let kind = act & 0x1f;
        if kind == 0x1f && !self.joined {
            return self.join(input);
        }
        let actor = &mut self.actors[who];
        if actor.silent && kind < 20 {
            return 1;
        }
        match kind {
            0..=9 => return self.data(who, act & 0x40 == 0, size(input)),
            10..=12 => actor.says(Seen::plain(PING, &[kind; 5])),
            13..=14 => actor.says(Seen::plain(PONG, &[kind; 5])),
            15 => {
                // An answer to a Ping of ours, or to none.
                let key = actor.masked.then_some([1, 2, 3, 4]);
                actor.peer.says(&frame(true, PONG, &ping_payload(u32::from(input.byte() % 4)), key));
            }
            16..=17 => {
                let number = [1000, 1001, 3000, 4999, 1005][usize::from(input.byte()) % 5];
                let text = if number == 1005 { Vec::new() } else { code(number, "bye") };
                actor.says(Seen::plain(CLOSE, &text));
                if actor.last == Last::Nothing {
                    actor.last = Last::Close(number);
                }
            }
            18 => {
                let bad: [&[u8]; 6] = [
                    &[0x83, 0x80],
                    &[0xb1, 0x80, 0, 0, 0, 0],
                    &[0x09, 0x80, 0, 0, 0, 0],
                    &[0x89, 0xfe, 0, 126],
                    &[0x83, 0x00],
                    &[0x88, 0x01, 0x03, 0x88, 0x81, 0, 0, 0, 0, 3],
                ];
                actor.breaks(bad[usize::from(input.byte()) % bad.len()]);
                self.calm = false;
            }
            19 => self.half(who, size(input), input.byte()),
            20..=22 => {
                actor.peer.takes(usize::from(input.word()));
                self.calm = false;
            }
            23 => drop(actor.peer.takes(usize::MAX)),
            24 => {
                actor.chunk = usize::from(input.word()).max(1);
                actor.peer.dribbles(actor.chunk);
            }
            25 => {
                actor.peer.ends();
                actor.silent = true;
                if actor.last == Last::Nothing {
                    actor.last = Last::Fin;
                }
            }
            26 => {
                actor.peer.resets();
                actor.silent = true;
                actor.last = Last::Broken;
                self.calm = false;
            }
            27..=28 => {
                self.calm = false;
                self.rig.after(Duration::from_millis(u64::from(input.word())));
            }
            29 => self.rig.session.probe([CLIENT, BACKEND][who], oneshot::channel().0),
            _ => {
                let causes = [Cause::Draining, Cause::Replaced, Cause::Dead, Cause::Internal];
                let choice = input.byte();
                let leg = (choice & 4 == 0).then_some([CLIENT, BACKEND][who]);
                self.rig.session.close(leg, causes[usize::from(choice % 4)], self.rig.now);
                self.calm = false;
            }
        }
        1
    }

    fn data(&mut self, who: usize, fin: bool, size: usize) -> usize {
        let actor = &mut self.actors[who];
        // Read in a bounded number of steps, so that a run takes no time.
        let size = size.min(actor.chunk.saturating_mul(100));
        let opcode = if actor.open { CONT } else { [TEXT, BINARY][size % 2] };
        if actor.last == Last::Nothing {
            actor.message += size;
            actor.fragments += 1;
            let over = self.limits.message != 0
                && (actor.message as u64 > self.limits.message || actor.fragments > self.limits.fragments);
            if over {
                actor.last = Last::Broken;
                self.calm = false;
            } else if fin {
                (actor.message, actor.fragments) = (0, 0);
            }
        }
        actor.open = !fin;
        let payload = payload(size, actor.sent.len().to_le_bytes()[0]);
        actor.says(Seen { fin, opcode, masked: false, payload });
        size
    }

    /// Sends a frame that breaks off.
    fn half(&mut self, who: usize, size: usize, part: u8) {
        let actor = &mut self.actors[who];
        let opcode = if actor.open { CONT } else { BINARY };
        let size = size.min(actor.chunk.saturating_mul(100));
        let whole = payload(size + 1, 7);
        let key = actor.masked.then_some([1, 2, 3, 4]);
        let bytes = frame(true, opcode, &whole, key);
        let there = usize::from(part) * (bytes.len() - 1) / 255;
        if actor.last == Last::Nothing {
            let over = self.limits.message != 0 && (actor.message + size + 1) as u64 > self.limits.message
                || self.limits.fragments != 0 && actor.fragments + 1 > self.limits.fragments;
            if !over {
                actor.half = Some(Seen { fin: true, opcode, masked: false, payload: whole });
            }
        }
        actor.breaks(&bytes[..there]);
        actor.silent = true;
        self.calm = false;
    }

    /// The partner comes, if it may.
    fn join(&mut self, input: &mut Input<'_>) -> usize {
        let size = usize::from(input.byte());
        let early = Seen::plain(BINARY, &payload(size, 1));
        self.joined = true;
        if self.rig.join(&self.limits, &frame(true, BINARY, &early.payload, Some([4, 3, 2, 1]))) {
            self.actors[BACKEND_SIDE].sent.push(early);
        } else {
            self.rig.forget_backend();
            self.calm = false;
        }
        size
    }

    /// Lets the session do what it can, and looks at what it did.
    fn look(&mut self) -> Next {
        let next = self.rig.run();
        // What is read fits into the hold; a header of which the first bytes were read before comes on top.
        let held = self.hold + MAX_HEADER;
        let bound = if self.rig.session.sides.len() > 1 { pipe::SIZE.max(held) } else { held };
        for side in &self.rig.session.sides {
            assert!(side.flow.pending.len() <= bound, "{} bytes are kept", side.flow.pending.len());
            assert!(side.pong().is_none_or(|pong| pong.len() <= 125));
        }
        for at in 0..2 {
            let bytes = self.actors[at].peer.hears();
            let masked = !self.actors[at].masked;
            self.actors[at].heard.hear(&bytes, masked);
        }
        next
    }

    /// Both peers end.
    fn end(mut self) {
        if self.calm && self.joined {
            self.end_calmly();
        }
        for actor in &self.actors {
            actor.peer.ends();
            if self.limits.stall.is_zero() {
                // Without that clock two peers that take nothing are waited for.
                actor.peer.takes(usize::MAX);
            }
        }
        self.look();
        self.rig.after(Duration::from_hours(10));
        if !self.joined {
            self.rig.forget_backend();
        }
        assert_eq!(self.look(), Next::Done, "the session ends");
        assert!(self.rig.client.is_closed() && self.rig.backend.is_closed());
        self.compare();
    }

    /// Two friendly peers say goodbye: everything arrives, and nothing has to wait for a clock.
    fn end_calmly(&mut self) {
        for at in 0..2 {
            self.actors[at].peer.dribbles(usize::MAX);
            if self.actors[at].last == Last::Nothing {
                self.actors[at].says(Seen::plain(CLOSE, &code(1000, "")));
                self.actors[at].last = Last::Close(1000);
            }
        }
        self.look();
        let [client, backend] = &self.actors;
        for (from, to) in [(client, backend), (backend, client)] {
            // Who leaves without a Close is let go of and gets no more.
            if to.last != Last::Fin {
                let sent = from.sent.iter().filter(|seen| seen.opcode < CLOSE).count();
                assert_eq!(to.heard.whole_data(), sent, "all that was sent has arrived");
            }
        }
        if let (Last::Close(_), Last::Close(_)) = (client.last, backend.last) {
            let report = self.rig.report();
            assert_eq!(report.cause, Cause::Closed);
            for (leg, partner) in [(0, 1), (1, 0)] {
                let Last::Close(code) = self.actors[leg].last else { continue };
                assert_eq!(report.legs[leg].close_received, Some(code));
                assert_eq!(report.legs[partner].close_sent, Some(code));
            }
        }
        self.actors[0].peer.ends();
        self.actors[1].peer.ends();
        assert_eq!(self.look(), Next::Done, "nothing is left to wait for");
    }

    /// What each has heard is the beginning of what the other has sent.
    fn compare(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.actors[to].heard.is_beginning_of(
                &self.actors[from].sent,
                self.actors[from].half.as_ref(),
                self.relays,
            );
        }
    }
}
