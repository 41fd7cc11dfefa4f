//! Messages that are looked at: put together, held up, replaced, answered, and put back in order.

mod order;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::rig::*;
use crate::{
    error::Cause,
    model::{CloseFrame, Direction, MessageKind, Oversize, Payload},
    relay::{
        Passed, Promise, Reply, Screen, Screened, Wanted,
        mailbox::{Command, Mailbox, mailbox},
        screen,
    },
};

/// What a screen does with a message, by its text.
type Judge = fn(Direction, Payload) -> Screened;

/// Wants what it is told to want, and says what becomes of it at once or when it is told to.
struct Script {
    judge: Judge,
    /// Longest message that is wanted, for each direction; none if nothing is.
    most: Mutex<[Option<u32>; 2]>,
    wanted: Arc<Wanted>,
    oversize: Oversize,
    slow: AtomicBool,
    asked: Mutex<Vec<(Promise, Direction, Payload)>>,
    seen: Mutex<Vec<(Direction, Payload)>>,
}

impl Script {
    fn want(&self, most: [Option<u32>; 2]) {
        let before = std::mem::replace(&mut *self.most.lock().unwrap(), most);
        for direction in Direction::ALL {
            let [before, now] = [before, most].map(|most| most[direction as usize].is_some());
            if before != now {
                self.wanted.change(direction, now);
            }
        }
    }
}

impl Screen for Script {
    fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted)
    }

    fn wants(&self, direction: Direction, _: MessageKind) -> Option<u32> {
        self.most.lock().unwrap()[direction as usize]
    }

    fn oversize(&self, _: Direction, _: MessageKind) -> Oversize {
        self.oversize
    }

    fn look(&self, direction: Direction, message: Payload, reply: &Reply) -> Option<Screened> {
        self.seen.lock().unwrap().push((direction, message.clone()));
        if !self.slow.load(Ordering::Relaxed) {
            return Some((self.judge)(direction, message));
        }
        self.asked.lock().unwrap().push((reply.promise(), direction, message));
        None
    }
}

/// `drop`, `emit`, `both`, `reply` and `close` are what they say; all else goes on.
fn by_word(_: Direction, message: Payload) -> Screened {
    let made = |text: &str| Payload { kind: MessageKind::Text, bytes: text.as_bytes().to_vec() };
    let mut screened = Screened { passed: Vec::new(), replies: Vec::new(), close: None };
    match message.bytes.as_slice() {
        b"drop" => {}
        b"emit" => screened.passed.push(Passed::Made(made("made"))),
        b"both" => {
            screened.passed.push(Passed::Unchanged(message));
            screened.passed.push(Passed::Made(made("made")));
        }
        b"reply" => screened.replies.push(made("answer")),
        b"close" => {
            screened.replies.push(made("last words"));
            screened.close = Some((Cause::Filtered, CloseFrame { code: 4000, reason: "enough".to_owned() }));
        }
        _ => screened.passed.push(Passed::Unchanged(message)),
    }
    screened
}

struct Stage {
    rig: Rig,
    screen: Arc<Script>,
    mailbox: Mailbox,
}

const EVERYTHING: [Option<u32>; 2] = [Some(u32::MAX), Some(u32::MAX)];

impl Stage {
    fn new(rig: Rig, most: [Option<u32>; 2], oversize: Oversize) -> Self {
        let screen = Arc::new(Script {
            judge: by_word,
            most: Mutex::default(),
            wanted: Arc::default(),
            oversize,
            slow: AtomicBool::new(false),
            asked: Mutex::default(),
            seen: Mutex::default(),
        });
        screen.want(most);
        let (_, mailbox) = mailbox();
        let mut this = Self { rig, screen, mailbox };
        if this.rig.session.sides.len() == 2 {
            this.begin();
        }
        this
    }

    fn begin(&mut self) {
        let screen: Arc<dyn screen::Screen> = Arc::<Script>::clone(&self.screen);
        self.rig.session.screen_with(screen, &self.mailbox.handle(), self.rig.now);
    }

    fn routed() -> Self {
        Self::new(Rig::routed(&quiet()), EVERYTHING, Oversize::Pass)
    }

    fn slowly(self) -> Self {
        self.screen.slow.store(true, Ordering::Relaxed);
        self
    }

    /// Runs, and delivers what was said meanwhile.
    fn run(&mut self) {
        self.rig.run();
        while let Some(command) = self.mailbox.next() {
            let Command::Screened { at, screened } = command else { panic!("{command:?}") };
            self.rig.session.screened(at, *screened, self.rig.now);
            self.rig.run();
        }
    }

    /// Says what becomes of the message that was asked about first; whether there was one.
    fn say(&mut self) -> bool {
        let asked = {
            let mut asked = self.screen.asked.lock().unwrap();
            if asked.is_empty() { None } else { Some(asked.remove(0)) }
        };
        let Some((promise, direction, message)) = asked else { return false };
        promise.keep((self.screen.judge)(direction, message));
        self.run();
        true
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.screen.seen.lock().unwrap().iter().map(|(_, message)| message.bytes.clone()).collect()
    }
}

/// Payloads of data messages, put together.
fn messages(frames: &[Seen]) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    let mut open = Vec::new();
    for frame in frames.iter().filter(|frame| frame.opcode < CLOSE) {
        open.extend_from_slice(&frame.payload);
        if frame.fin {
            whole.push(std::mem::take(&mut open));
        }
    }
    assert!(open.is_empty(), "a message without its end");
    whole
}

#[test]
fn frames_pass_as_they_came_where_nothing_is_wanted() {
    let mut it = Stage::new(Rig::routed(&quiet()), [None, Some(u32::MAX)], Oversize::Pass);
    let bytes = [
        frame(false, TEXT, b"dr", Some([1, 2, 3, 4])),
        frame(true, CONT, b"op", Some([5, 6, 7, 8])),
        masked(TEXT, b"drop"),
    ]
    .concat();
    it.rig.client.says(&bytes);
    it.run();
    assert_eq!(it.rig.backend.hears(), bytes);
    assert!(it.seen().is_empty());
}

#[test]
fn a_message_in_pieces_is_seen_whole_and_goes_on_in_one_frame() {
    let mut it = Stage::routed();
    it.rig.client.says(&frame(false, TEXT, b"one ", Some([1, 2, 3, 4])));
    it.run();
    assert!(it.rig.backend.hears().is_empty(), "nothing goes on before it is known what becomes of it");
    it.rig.client.says(&masked(PING, b"between"));
    it.rig.client.says(&frame(false, CONT, b"", Some([1, 2, 3, 4])));
    it.rig.client.says(&frame(true, CONT, b"two", Some([5, 6, 7, 8])));
    it.run();
    assert_eq!(it.seen(), [b"one two"]);
    let seen = it.rig.backend.frames();
    assert_eq!(seen.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [PING, TEXT]);
    assert!(seen.iter().all(|frame| frame.masked && frame.fin), "a service gets masked frames");
    assert_eq!(seen[1].payload, b"one two");
    let (client, backend) = it.rig.legs();
    assert_eq!((client.messages_in, backend.messages_out), (1, 1));
}

#[test]
fn each_action_is_carried_out_both_ways() {
    // (said, to the other side, to the sender)
    let table: [(&str, &[&str], &[&str]); 6] = [
        ("hello", &["hello"], &[]),
        ("drop", &[], &[]),
        ("emit", &["made"], &[]),
        ("both", &["both", "made"], &[]),
        ("reply", &[], &["answer"]),
        ("", &[""], &[]),
    ];
    for rendezvous in [false, true] {
        for (said, to_other, to_sender) in table {
            let text = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
            let limits = quiet();
            let rig = || if rendezvous { Rig::rendezvous(&limits) } else { Rig::routed(&limits) };
            let mut it = Stage::new(rig(), EVERYTHING, Oversize::Pass);
            it.rig.client.says(&masked(TEXT, said.as_bytes()));
            it.run();
            assert_eq!(messages(&it.rig.backend.frames()), text(to_other), "{said}");
            let answers = it.rig.client.frames();
            assert_eq!(messages(&answers), text(to_sender), "{said}");
            assert!(answers.iter().all(|frame| !frame.masked));

            let mut it = Stage::new(rig(), EVERYTHING, Oversize::Pass);
            let said_back = if rendezvous { masked(TEXT, said.as_bytes()) } else { plain(TEXT, said.as_bytes()) };
            it.rig.backend.says(&said_back);
            it.run();
            assert_eq!(messages(&it.rig.client.frames()), text(to_other), "{said}");
            let answers = it.rig.backend.frames();
            assert_eq!(messages(&answers), text(to_sender), "{said}");
            assert!(answers.iter().all(|frame| frame.masked != rendezvous));
        }
    }
}

#[test]
fn a_close_comes_behind_the_answer_and_reaches_both() {
    let mut it = Stage::routed();
    it.rig.client.says(&[masked(TEXT, b"first"), masked(TEXT, b"close"), masked(TEXT, b"never")].concat());
    it.run();
    let (client, backend) = (it.rig.client.frames(), it.rig.backend.frames());
    assert_eq!(messages(&client), [b"last words"]);
    assert_eq!(messages(&backend), [b"first"]);
    assert_eq!((code_of(&client), code_of(&backend)), (Some(4000), Some(4000)));
    assert_eq!(it.rig.report().cause, Cause::Filtered);
    assert_eq!(it.seen().len(), 2);
}

#[test]
fn what_comes_behind_a_slow_message_waits_and_the_other_direction_does_not() {
    let mut it = Stage::routed().slowly();
    it.screen.want([Some(100), None]);
    it.rig.client.says(&[masked(TEXT, b"one"), masked(BINARY, b"two"), masked(PING, b"p")].concat());
    it.rig.backend.says(&plain(TEXT, b"back"));
    it.run();
    assert!(it.rig.backend.hears().is_empty());
    assert_eq!(messages(&it.rig.client.frames()), [b"back"]);
    // What comes now is not even read.
    it.rig.client.says(&masked(TEXT, b"emit"));
    let reads = it.rig.client.reads();
    it.run();
    assert_eq!(it.rig.client.reads(), reads);
    while it.say() {}
    let seen = it.rig.backend.frames();
    assert_eq!(seen.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), [TEXT, BINARY, PING, TEXT]);
    assert_eq!(messages(&seen), [&b"one"[..], b"two", b"made"]);
}

#[test]
fn a_close_or_an_end_behind_a_slow_message_waits_for_it() {
    for end in ["close", "fin", "violation"] {
        let mut it = Stage::routed().slowly();
        it.rig.client.says(&masked(TEXT, b"both"));
        match end {
            "close" => it.rig.client.says(&masked(CLOSE, &code(4001, "bye"))),
            "fin" => it.rig.client.ends(),
            _ => it.rig.client.says(&[0xff, 0x80]),
        };
        it.run();
        assert!(it.rig.backend.hears().is_empty(), "{end}");
        assert!(it.say());
        let seen = it.rig.backend.frames();
        assert_eq!(messages(&seen), [&b"both"[..], b"made"], "{end}");
        assert_eq!(code_of(&seen), Some(if end == "close" { 4001 } else { 1001 }), "{end}");
    }
}

#[test]
fn a_promise_that_is_dropped_ends_the_session() {
    let mut it = Stage::routed().slowly();
    it.rig.client.says(&masked(TEXT, b"one"));
    it.run();
    it.screen.asked.lock().unwrap().clear();
    it.run();
    assert_eq!(it.rig.report().cause, Cause::FilterFailed);
    let (client, backend) = (it.rig.client.frames(), it.rig.backend.frames());
    assert_eq!((code_of(&client), code_of(&backend)), (Some(1011), Some(1011)));
}

#[test]
fn a_longer_message_is_treated_as_it_was_declared() {
    for in_pieces in [false, true] {
        let long = if in_pieces {
            let key = Some([9, 8, 7, 6]);
            [frame(false, TEXT, b"123", key), frame(false, CONT, b"45", key), frame(true, CONT, b"6", key)].concat()
        } else {
            masked(TEXT, b"123456")
        };
        for oversize in [Oversize::Pass, Oversize::Drop, Oversize::Close] {
            let mut it = Stage::new(Rig::routed(&quiet()), [Some(5), Some(5)], oversize);
            it.rig.client.says(&[masked(TEXT, b"12345"), long.clone(), masked(TEXT, b"emit")].concat());
            it.run();
            let seen = it.rig.backend.frames();
            match oversize {
                Oversize::Pass => assert_eq!(messages(&seen), [&b"12345"[..], b"123456", b"made"]),
                Oversize::Drop => assert_eq!(messages(&seen), [&b"12345"[..], b"made"]),
                Oversize::Close => {
                    assert_eq!(messages(&seen), [b"12345"]);
                    assert_eq!(code_of(&it.rig.client.frames()), Some(1009));
                    assert_eq!(it.rig.report().cause, Cause::MessageTooBig);
                }
            }
        }
    }
}

#[test]
fn a_change_of_interest_takes_effect_at_the_next_message() {
    let mut it = Stage::new(Rig::routed(&quiet()), [None, None], Oversize::Pass);
    let key = Some([9, 8, 7, 6]);
    it.rig.client.says(&frame(false, TEXT, b"dr", key));
    it.rig.client.says(&frame(false, CONT, b"o", key)[..4]);
    it.run();
    it.screen.want(EVERYTHING);
    it.rig.client.says(&frame(false, CONT, b"o", key)[4..]);
    it.rig.client.says(&[frame(true, CONT, b"p", key), masked(TEXT, b"drop"), masked(TEXT, b"emit")].concat());
    it.run();
    assert_eq!(messages(&it.rig.backend.frames()), [&b"drop"[..], b"made"]);
    it.screen.want([None, None]);
    it.rig.client.says(&masked(TEXT, b"emit"));
    it.run();
    assert_eq!(messages(&it.rig.backend.frames()), [b"emit"]);
    assert!(it.rig.session.sides[0].flow.sieve.is_none(), "what wants nothing costs nothing");
}

#[test]
fn an_answer_stands_between_two_messages_of_the_other_side() {
    let mut it = Stage::new(Rig::routed(&quiet()), [Some(100), None], Oversize::Pass);
    it.rig.backend.says(&frame(false, TEXT, b"first ", None));
    it.run();
    it.rig.client.says(&masked(TEXT, b"reply"));
    it.run();
    let mut seen = it.rig.client.frames();
    assert_eq!(seen.len(), 1, "a message must not stand in another");
    it.rig.backend.says(&[frame(true, CONT, b"half", None), plain(TEXT, b"next")].concat());
    it.run();
    seen.extend(it.rig.client.frames());
    assert_eq!(messages(&seen), [&b"first half"[..], b"next", b"answer"]);
}

#[test]
fn an_answer_comes_before_a_close_that_is_on_its_way_and_never_behind_it() {
    for closed_before in [false, true] {
        let mut it = Stage::new(Rig::routed(&quiet()), [Some(100), None], Oversize::Pass);
        it.rig.client.takes(if closed_before { usize::MAX } else { 0 });
        it.rig.backend.says(&plain(CLOSE, &code(4001, "bye")));
        it.run();
        it.rig.client.says(&masked(TEXT, b"reply"));
        it.run();
        it.rig.client.takes(usize::MAX);
        it.run();
        let seen = it.rig.client.frames();
        let expected: &[u8] = if closed_before { &[CLOSE] } else { &[TEXT, CLOSE] };
        assert_eq!(seen.iter().map(|frame| frame.opcode).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_text_that_is_not_utf_8_ends_the_session() {
    let mut it = Stage::routed();
    it.rig.client.says(&[masked(BINARY, b"\xff"), masked(TEXT, b"\xc3\x28")].concat());
    it.run();
    assert_eq!(code_of(&it.rig.client.frames()), Some(1007));
    assert_eq!(messages(&it.rig.backend.frames()), [b"\xff"]);
    assert_eq!(it.rig.report().cause, Cause::InvalidUtf8);
}

#[test]
fn what_a_leg_said_while_it_waited_is_looked_at_when_its_partner_comes() {
    let rig = Rig::waiting(&quiet(), 1000, Duration::from_secs(10));
    let mut it = Stage::new(rig, EVERYTHING, Oversize::Pass);
    let key = Some([9, 8, 7, 6]);
    it.rig.client.says(&[masked(TEXT, b"emit"), frame(false, TEXT, b"dr", key)].concat());
    it.run();
    assert!(it.rig.session.may_join(it.rig.now));
    it.rig.attach(&quiet(), b"");
    it.begin();
    it.run();
    assert_eq!(messages(&it.rig.backend.frames()), [b"made"]);
    it.rig.client.says(&[frame(true, CONT, b"op", key), masked(TEXT, b"both")].concat());
    it.run();
    assert_eq!(messages(&it.rig.backend.frames()), [&b"both"[..], b"made"]);
}
