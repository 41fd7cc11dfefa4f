//! The rules of the rendezvous as sentences, a simulation of many schedules, and real threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod pairing;
mod seeded;
mod simulation;
mod subprotocols;
mod takeover;
mod threads;

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::*;
use crate::model::{Accept, BackendFirst, Second, SubprotocolRule};

/// A session's handle: here just its number.
type Handle = u64;

const SECOND: Duration = Duration::from_secs(1);

fn conn(raw: u64) -> ConnId {
    ConnId::from_raw(raw)
}

fn rules(change: impl FnOnce(&mut RendezvousRules)) -> RendezvousRules {
    let mut rules = RendezvousRules::new("chat");
    change(&mut rules);
    rules
}

fn replacing() -> RendezvousRules {
    rules(|r| (r.second_client, r.second_backend) = (Second::Replace, Second::Replace))
}

fn when_paired() -> RendezvousRules {
    rules(|r| r.accept = Accept::WhenPaired)
}

fn named(subject: &str) -> Arc<Identity> {
    Arc::new(Identity { subject: Some(subject.to_owned()), ..Identity::default() })
}

/// Two that have met, until this is dropped.
struct Together<H> {
    registry: Arc<Registry<H>>,
    key: Key,
    pair: Pair,
}

fn together<H>(one: Seat<H>, other: Seat<H>) -> Together<H> {
    let (registry, key) = (Arc::clone(one.registry()), one.key().clone());
    let pair = Pair { side: one.side(), conns: [one.conn(), other.conn()] };
    one.meet(other);
    Together { registry, key, pair }
}

impl<H> Drop for Together<H> {
    fn drop(&mut self) {
        self.registry.part(&self.key, self.pair);
    }
}

/// A registry and a clock; one channel unless said otherwise. Sessions are numbered like their legs.
struct Board {
    registry: Arc<Registry<Handle>>,
    key: Key,
    now: Instant,
}

impl Board {
    fn new() -> Self {
        let key = Key::of(&RendezvousRules::new("chat"), ChannelId::new("c").unwrap());
        Self { registry: Arc::default(), key, now: Instant::now() }
    }

    fn ask(&self, id: u64, side: Side, rules: &RendezvousRules, verdict: Option<(u64, Life)>) -> Reservation<Handle> {
        self.ask_as(id, side, None, &[], rules, verdict)
    }

    fn ask_as(
        &self,
        id: u64,
        side: Side,
        subject: Option<&str>,
        offers: &[&str],
        rules: &RendezvousRules,
        verdict: Option<(u64, Life)>,
    ) -> Reservation<Handle> {
        let arrival = Arrival {
            conn: conn(id),
            side,
            identity: subject.map(named),
            offers: offers.iter().map(|&name| name.into()).collect(),
        };
        let verdict = verdict.map(|(about, life)| (conn(about), life));
        self.registry.reserve(&self.key, arrival, rules, verdict, self.now)
    }

    fn seat(&self, id: u64, side: Side, rules: &RendezvousRules) -> Seat<Handle> {
        seated(self.ask(id, side, rules, None))
    }

    /// A leg that waits with its session `id`.
    fn waiting(&self, id: u64, side: Side, rules: &RendezvousRules) -> Seat<Handle> {
        let mut seat = self.seat(id, side, rules);
        assert_eq!(seat.ready(&id), Readied::Wait { deadline: seat.deadline() });
        seat
    }

    /// A waiting client 1 and its backend 2, joined; their session is 1.
    fn pair(&self) -> Together<Handle> {
        let client = self.waiting(1, Side::Client, &rules(|_| ()));
        let mut backend = self.seat(2, Side::Backend, &rules(|_| ()));
        assert_eq!(backend.ready(&2), Readied::Join { partner: conn(1), handle: 1 });
        together(client, backend)
    }

    fn gauges(&self) -> Gauges {
        let gauges = self.registry.gauges();
        assert_eq!(gauges, self.registry.scan());
        assert_eq!(gauges.channels, self.registry.channels.len());
        gauges
    }

    fn assert_empty(&self) {
        assert_eq!(self.gauges(), Gauges::default());
    }
}

fn seated(answer: Reservation<Handle>) -> Seat<Handle> {
    let (seat, evicted) = seated_instead(answer);
    assert_eq!(evicted, None);
    seat
}

fn seated_instead(answer: Reservation<Handle>) -> (Seat<Handle>, Option<Evicted<Handle>>) {
    match answer {
        Reservation::Seated { seat, evicted } => (seat, evicted),
        other => panic!("not seated but {other:?}"),
    }
}

fn refused(answer: Reservation<Handle>) -> Cause {
    match answer {
        Reservation::Refused { cause, evicted: None } => cause,
        other => panic!("not refused but {other:?}"),
    }
}

fn occupied(answer: Reservation<Handle>) -> (ConnId, Option<Handle>) {
    match answer {
        Reservation::Occupied { holder, handle } => (holder, handle),
        other => panic!("not occupied but {other:?}"),
    }
}

/// One poll of a future that must not need more.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
