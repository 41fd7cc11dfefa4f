//! Whatever the peers do and in whatever order: each gets a well-formed stream that ends with one Close at most, what it
//! gets is the beginning of what the other sent, and the session ends.

use std::{io::Cursor, time::Duration};

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use super::rig::*;
use crate::{
    error::Cause,
    model::{Limits, PingMode},
    relay::session::Next,
};

#[derive(Clone, Debug)]
enum Act {
    Data { size: usize, fin: bool },
    Ping,
    Pong,
    Close,
    Garbage(Vec<u8>),
    Takes(usize),
    Dribbles(usize),
    Ends,
    Resets,
    Time(u64),
    Probe,
    Order(Cause),
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let size = prop_oneof![4 => 0..200_usize, 1 => 0..100_000_usize];
    let act = prop_oneof![
        10 => (size, any::<bool>()).prop_map(|(size, fin)| Act::Data { size, fin }),
        2 => Just(Act::Ping),
        2 => Just(Act::Pong),
        1 => Just(Act::Close),
        1 => proptest::collection::vec(any::<u8>(), 1..20).prop_map(Act::Garbage),
        4 => (0..2000_usize).prop_map(Act::Takes),
        2 => Just(Act::Takes(usize::MAX)),
        2 => (1..5000_usize).prop_map(Act::Dribbles),
        1 => Just(Act::Ends),
        1 => Just(Act::Resets),
        2 => (1..8_u64).prop_map(Act::Time),
        1 => Just(Act::Probe),
        1 => prop_oneof![Just(Cause::Draining), Just(Cause::Replaced), Just(Cause::Dead)].prop_map(Act::Order),
    ];
    proptest::collection::vec((any::<bool>(), act), 1..40)
}

/// The data that a stream carries. Fails on anything malformed, on bytes behind a Close, and on masks that do not fit;
/// a stream that breaks off inside a frame is fine.
fn data_of(bytes: &[u8], masked: bool) -> Result<Vec<u8>, TestCaseError> {
    let mut cursor = Cursor::new(bytes);
    let mut data = Vec::new();
    while let Some((header, length)) =
        FrameHeader::parse(&mut cursor).map_err(|e| TestCaseError::fail(e.to_string()))?
    {
        let at = usize::try_from(cursor.position()).unwrap();
        let opcode = u8::from(header.opcode);
        prop_assert_eq!(header.mask.is_some(), masked);
        let end = bytes.len().min(at + usize::try_from(length).unwrap());
        if opcode < CLOSE {
            let key = header.mask.unwrap_or_default();
            data.extend(bytes[at..end].iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key));
        }
        prop_assert!(opcode != CLOSE || end == bytes.len(), "bytes behind a Close");
        cursor.set_position(end as u64);
    }
    Ok(data)
}

struct Script {
    rig: Rig,
    routed: bool,
    /// What each peer has sent as data, and whether its message is open.
    sent: [Vec<u8>; 2],
    open: [bool; 2],
    heard: [Vec<u8>; 2],
}

impl Script {
    fn act(&mut self, who: bool, act: &Act) {
        let at = usize::from(who);
        let peer = if who { self.rig.backend.clone() } else { self.rig.client.clone() };
        let key = (!(who && self.routed)).then_some([0x5a, 0x13, 0xe7, 0x9c]);
        match act {
            Act::Data { size, fin } => {
                let first = self.sent[at].len();
                let payload: Vec<u8> = (first..first + size).map(|n| (n ^ (n >> 8)).to_le_bytes()[0]).collect();
                let opcode = if self.open[at] { CONT } else { BINARY };
                self.open[at] = !fin;
                peer.says(&frame(*fin, opcode, &payload, key));
                self.sent[at].extend(payload);
            }
            Act::Ping => drop(peer.says(&frame(true, PING, b"ping", key))),
            Act::Pong => drop(peer.says(&frame(true, PONG, b"pong", key))),
            Act::Close => drop(peer.says(&frame(true, CLOSE, &code(1000, "bye"), key))),
            Act::Garbage(bytes) => drop(peer.says(&[&[0xf3, 0xff][..], bytes].concat())),
            Act::Takes(bytes) => drop(peer.takes(*bytes)),
            Act::Dribbles(bytes) => peer.dribbles(*bytes),
            Act::Ends => drop(peer.ends()),
            Act::Resets => drop(peer.resets()),
            Act::Time(seconds) => drop(self.rig.after(Duration::from_secs(*seconds))),
            Act::Probe => self.rig.session.probe(if who { BACKEND } else { CLIENT }, oneshot::channel().0),
            Act::Order(cause) => self.rig.session.close(Some(if who { BACKEND } else { CLIENT }), *cause, self.rig.now),
        }
        self.rig.run();
        self.heard[0].extend(self.rig.client.hears());
        self.heard[1].extend(self.rig.backend.hears());
    }

    fn check(mut self) -> Result<(), TestCaseError> {
        for act in [Act::Takes(usize::MAX), Act::Time(1)] {
            self.act(false, &act);
            self.act(true, &act);
        }
        self.rig.session.close(None, Cause::Draining, self.rig.now);
        self.act(false, &Act::Time(30));
        prop_assert_eq!(self.rig.run(), Next::Done);
        prop_assert!(self.rig.client.is_closed() && self.rig.backend.is_closed());
        let [to_client, to_backend] = &self.heard;
        prop_assert!(self.sent[1].starts_with(&data_of(to_client, false)?));
        prop_assert!(self.sent[0].starts_with(&data_of(to_backend, self.routed)?));
        Ok(())
    }
}

fn script(rig: Rig, routed: bool) -> Script {
    Script { rig, routed, sent: Default::default(), open: [false; 2], heard: Default::default() }
}

fn limits(terminate: bool) -> Limits {
    let ping = if terminate { PingMode::Terminate } else { PingMode::Relay };
    Limits {
        ping,
        ping_every: Duration::from_secs(5),
        pong_within: Duration::from_secs(3),
        stall: Duration::from_secs(7),
        ..quiet()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pair_comes_to_a_good_end(
        acts in acts(),
        routed in any::<bool>(),
        terminate in any::<bool>(),
        big in prop_oneof![Just(u64::MAX), Just(1), 1..2000_u64],
    ) {
        let limits = limits(terminate);
        let mut script = script(if routed { Rig::routed(&limits) } else { Rig::rendezvous(&limits) }, routed);
        script.rig.client.splices(big);
        script.rig.backend.splices(big);
        for (who, act) in &acts {
            script.act(*who, act);
        }
        script.check()?;
    }

    #[test]
    fn a_leg_that_waits_and_is_joined_or_not_comes_to_a_good_end(acts in acts(), alone in 0..20_usize) {
        let limits = limits(false);
        let mut script = script(Rig::waiting(&limits, 3000, Duration::from_secs(20)), false);
        for (_, act) in acts.iter().take(alone) {
            script.act(false, act);
        }
        if script.rig.join(&limits, b"") {
            for (who, act) in acts.iter().skip(alone) {
                script.act(*who, act);
            }
        } else {
            script.rig.forget_backend();
        }
        script.check()?;
    }
}
