//! Many schedules of arrivals, flushed 101s, failures, probes, evictions, deadlines and late clean-ups on a virtual clock,
//! each step checked against a model that knows the rules in their plainest form.
//!
//! `CORDBOARD_SIM_SEED` replays the one schedule a failure names, `CORDBOARD_SIM_SCHEDULES` runs more than the default.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use super::{
    seeded::{Replay, Rng, seeds},
    *,
};

const STEPS: usize = 100;
const CHANNELS: usize = 3;

#[derive(Clone)]
struct Wish {
    channel: usize,
    arrival: Arrival,
    rules: RendezvousRules,
}

/// Where a leg is in its life, and who owns its guard.
enum Leg {
    /// Before a seat; `Some` while it probes a holder.
    Asking { wish: Wish, probing: Option<ConnId> },
    /// Seated, before its 101.
    Answering(Seat<Handle>),
    /// Its 101 is on the wire.
    Flushing(Seat<Handle>),
    /// Its session waits.
    Waiting(Seat<Handle>),
    /// Joined, on its way to a session.
    Travelling(Seat<Handle>, Handle),
    /// Its session runs a pair, its own leg and a guest's.
    Open(Together<Handle>),
    /// Its session is over and takes nothing any more, its clean-up is late.
    Closing(#[expect(dead_code, reason = "owned for its drop")] Seat<Handle>),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Sits {
    Reserved,
    Ready,
    Taken { with: ConnId, session: Handle },
}

/// What the model knows of a seat's holder.
#[derive(Clone)]
struct Model {
    wish: Wish,
    deadline: Instant,
    sits: Sits,
    named: Option<Arc<str>>,
}

/// How often what happened, so that a simulation of nothing does not pass.
type Events = BTreeMap<&'static str, u64>;

struct Sim {
    rng: Rng,
    registry: Arc<Registry<Handle>>,
    now: Instant,
    next: u64,
    legs: BTreeMap<u64, Leg>,
    model: BTreeMap<u64, Model>,
    lost: BTreeMap<u64, Cause>,
    evicted: BTreeSet<ConnId>,
    mail: Vec<Evicted<Handle>>,
    events: Events,
}

/// Ids are small here, so the printed one is the number.
fn raw(conn: ConnId) -> u64 {
    u64::from_str_radix(&conn.to_string(), 16).unwrap()
}

impl Sim {
    fn new(seed: u64) -> Self {
        Self {
            rng: Rng(seed),
            registry: Arc::default(),
            now: Instant::now(),
            next: 1,
            legs: BTreeMap::new(),
            model: BTreeMap::new(),
            lost: BTreeMap::new(),
            evicted: BTreeSet::new(),
            mail: Vec::new(),
            events: Events::new(),
        }
    }

    fn holder(&self, channel: usize, side: Side) -> Option<(u64, &Model)> {
        let mut all = self.model.iter().filter(|(_, m)| m.wish.channel == channel && m.wish.arrival.side == side);
        let holder = all.next().map(|(&id, model)| (id, model));
        assert!(all.next().is_none(), "two hold one seat");
        holder
    }

    fn saw(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    fn session(&self, id: u64) -> Option<Handle> {
        match self.model[&id].sits {
            Sits::Reserved => None,
            Sits::Ready => Some(id),
            Sits::Taken { session, .. } => Some(session),
        }
    }

    fn arrive(&mut self) {
        let (id, rng) = (self.next, &mut self.rng);
        self.next += 1;
        let rules = RendezvousRules {
            accept: rng.pick(&[Accept::AtOnce, Accept::AtOnce, Accept::WhenPaired]),
            pairing_timeout: SECOND * u32::try_from(1 + rng.below(30)).unwrap(),
            backend_first: rng.pick(&[BackendFirst::Wait, BackendFirst::Wait, BackendFirst::Reject]),
            second_client: rng.pick(&[Second::Reject, Second::Replace]),
            second_backend: rng.pick(&[Second::Reject, Second::Replace]),
            subprotocol: rng.pick(&[SubprotocolRule::Lenient, SubprotocolRule::Strict]),
            ..RendezvousRules::new("chat")
        };
        let offers: &[&str] = rng.pick(&[&[][..], &["a"], &["a"], &["a", "b"], &["b", "a"]]);
        let arrival = Arrival {
            conn: conn(id),
            side: rng.pick(&[Side::Client, Side::Backend]),
            identity: rng.pick(&[None, None, Some(named("s"))]),
            offers: offers.iter().map(|&name| name.into()).collect(),
        };
        let channel = usize::try_from(rng.below(CHANNELS as u64)).unwrap();
        self.ask(id, Wish { channel, arrival, rules }, None);
    }

    fn ask(&mut self, id: u64, wish: Wish, verdict: Option<(ConnId, Life)>) {
        let (channel, side, rules) = (wish.channel, wish.arrival.side, wish.rules.clone());
        let same = self.holder(channel, side).map(|(id, m)| (id, m.clone()));
        let other = self.holder(channel, side.opposite()).map(|(id, m)| (id, m.clone()));
        let about = |id: u64| verdict.filter(|(about, _)| *about == conn(id)).map(|(_, life)| life);
        let key = Key::of(&rules, ChannelId::new(&channel.to_string()).unwrap());
        match self.registry.reserve(&key, wish.arrival.clone(), &rules, verdict, self.now) {
            Reservation::Occupied { holder, handle } => {
                let (held_by, _) = same.unwrap();
                assert_eq!(holder, conn(held_by));
                assert_eq!(about(held_by), None);
                assert_eq!(handle, self.session(held_by));
                self.legs.insert(id, Leg::Asking { wish, probing: Some(holder) });
            }
            Reservation::Opposite { .. } => unreachable!("anybody may sit there"),
            Reservation::Refused { cause, evicted } => {
                match cause {
                    Cause::BackendFirst => assert!(side == Side::Backend && other.is_none()),
                    Cause::SeatTaken => {
                        let (held_by, holder) = same.unwrap();
                        assert!(about(held_by) == Some(Life::Alive) || holder.sits == Sits::Reserved);
                        let replaces = rules.second(&side.role()) == Second::Replace;
                        assert!(!replaces || holder.wish.arrival.identity != wish.arrival.identity);
                    }
                    Cause::SubprotocolMismatch => {
                        self.saw("mismatch");
                        assert!(!matches!(other.unwrap().1.sits, Sits::Taken { .. }));
                    }
                    _ => panic!("{cause:?}"),
                }
                self.was_evicted(evicted, verdict);
            }
            Reservation::Seated { seat, evicted } => {
                assert!(side == Side::Client || rules.backend_first == BackendFirst::Wait || other.is_some());
                assert_eq!(evicted.as_ref().map(|gone| gone.conn), same.as_ref().map(|(id, _)| conn(*id)));
                if let Some((_, holder)) = &same
                    && evicted.as_ref().is_some_and(|gone| gone.cause == Cause::Replaced)
                {
                    assert_eq!(holder.wish.arrival.identity, wish.arrival.identity);
                    assert_eq!(rules.second(&side.role()), Second::Replace);
                }
                self.was_evicted(evicted, verdict);
                let deadline = self.now + rules.pairing_timeout;
                assert_eq!(seat.deadline(), deadline);
                let named = seat.subprotocol().cloned();
                self.model.insert(id, Model { wish, deadline, sits: Sits::Reserved, named });
                self.legs.insert(id, Leg::Answering(seat));
            }
        }
    }

    fn was_evicted(&mut self, evicted: Option<Evicted<Handle>>, verdict: Option<(ConnId, Life)>) {
        let Some(gone) = evicted else { return };
        assert!(self.evicted.insert(gone.conn), "{} is reported twice", gone.conn);
        assert_eq!(gone.handle, self.session(raw(gone.conn)));
        assert_eq!(verdict.map(|(about, _)| about), Some(gone.conn));
        assert!(gone.cause == Cause::Replaced || verdict == Some((gone.conn, Life::Dead)));
        assert!(gone.cause == Cause::Replaced || gone.handle.is_some(), "a leg without a session is not dead");
        self.saw(if gone.cause == Cause::Dead { "dead" } else { "replaced" });
        let old = self.model.remove(&raw(gone.conn)).unwrap();
        self.lost.insert(raw(gone.conn), gone.cause);
        let partner = match old.sits {
            Sits::Taken { with, .. } => Some(with),
            _ => None,
        };
        assert_eq!(gone.partner, partner);
        if let Some(partner) = partner {
            self.saw("unpaired");
            self.model.remove(&raw(partner)).unwrap();
            self.lost.insert(raw(partner), Cause::PartnerGone);
        }
        self.mail.push(gone);
    }

    /// The model's side of a dropped guard.
    fn left(&mut self, id: u64) {
        let Some(old) = self.model.remove(&id) else { return };
        if let Sits::Taken { with, session } = old.sits {
            let partner = self.model.get_mut(&raw(with)).unwrap();
            partner.sits = if session == raw(with) { Sits::Ready } else { Sits::Reserved };
        }
    }

    fn readied(&mut self, id: u64, seat: Seat<Handle>, answer: &Readied<Handle>) {
        let Some(me) = self.model.get(&id).cloned() else {
            assert_eq!(*answer, Readied::Lost(self.lost[&id]));
            return;
        };
        let partner = self.holder(me.wish.channel, me.wish.arrival.side.opposite()).map(|(id, m)| (id, m.clone()));
        match partner {
            Some((host, partner)) if partner.sits == Sits::Ready => {
                assert_eq!(*answer, Readied::Join { partner: conn(host), handle: host });
                assert!(matches!(self.legs[&host], Leg::Waiting(_) | Leg::Closing(_)), "{host} cannot be joined");
                if me.named != partner.named {
                    let silent = if me.named.is_none() { &me } else { &partner };
                    assert!(silent.named.is_none() && silent.wish.arrival.offers.is_empty(), "subprotocols differ");
                }
                self.saw("joined");
                self.model.get_mut(&id).unwrap().sits = Sits::Taken { with: conn(host), session: host };
                self.model.get_mut(&host).unwrap().sits = Sits::Taken { with: conn(id), session: host };
                self.legs.insert(id, Leg::Travelling(seat, host));
            }
            _ => {
                assert_eq!(*answer, Readied::Wait { deadline: me.deadline });
                self.model.get_mut(&id).unwrap().sits = Sits::Ready;
                self.legs.insert(id, Leg::Waiting(seat));
            }
        }
    }

    fn may_answer(&mut self, id: u64, mut seat: Seat<Handle>) {
        let seated = self.model.get(&id).map(|me| (me.wish.channel, me.wish.arrival.side, me.wish.rules.accept));
        let partner = seated.is_some_and(|(channel, side, _)| self.holder(channel, side.opposite()).is_some());
        let polled = poll_once(seat.may_answer());
        match (seated, polled) {
            (None, answer) => assert_eq!(answer, Poll::Ready(Err(Cause::SeatTaken))),
            (Some((.., accept)), Poll::Ready(Ok(named))) => {
                assert!(partner || accept == Accept::AtOnce, "a 101 without a partner");
                self.model.get_mut(&id).unwrap().named = named;
                self.legs.insert(id, Leg::Flushing(seat));
            }
            (Some((.., accept)), Poll::Pending) => {
                assert!(!partner && accept == Accept::WhenPaired, "a 101 held back from a partner");
                if self.now < seat.deadline() {
                    self.legs.insert(id, Leg::Answering(seat));
                    return;
                }
                drop(seat);
                self.left(id);
            }
            (Some(_), Poll::Ready(Err(cause))) => panic!("{id} holds its seat and is refused for {cause:?}"),
        }
    }

    /// The session's timer fired: whoever has waited too long leaves.
    fn expire(&mut self, id: u64, seat: Seat<Handle>) {
        if self.now < seat.deadline() {
            self.legs.insert(id, Leg::Waiting(seat));
            return;
        }
        drop(seat);
        self.left(id);
        self.saw("expired");
    }

    fn deliver(&mut self, id: u64, mut seat: Seat<Handle>, host: Handle) {
        match self.legs.remove(&host) {
            Some(Leg::Waiting(hosts)) => drop(self.legs.insert(host, Leg::Open(together(hosts, seat)))),
            Some(Leg::Open(_)) => panic!("{host} is joined twice"),
            over => {
                // Its session is over, so the guest may clean up behind it.
                let late = self.model.get(&id).is_some_and(|me| matches!(me.sits, Sits::Taken { .. }));
                if late {
                    self.model.remove(&host).unwrap();
                    self.lost.insert(host, Cause::PartnerGone);
                    self.model.get_mut(&id).unwrap().sits = Sits::Reserved;
                }
                self.legs.extend(over.map(|leg| (host, leg)));
                self.saw(if late { "late" } else { "rejoined" });
                let answer = seat.rejoin(&id);
                self.readied(id, seat, &answer);
            }
        }
    }

    /// The leg's life goes on, or ends, by one event.
    fn step_leg(&mut self, id: u64) {
        let fails = self.rng.one_in(8);
        match self.legs.remove(&id).unwrap() {
            Leg::Asking { .. } if fails => {}
            Leg::Asking { wish, probing } => {
                let verdict = probing.map(|holder| {
                    // A prober that is wrong about a leg without a session changes nothing.
                    (holder, if self.rng.one_in(3) { Life::Dead } else { Life::Alive })
                });
                self.ask(id, wish, verdict);
            }
            Leg::Answering(seat) if !fails => self.may_answer(id, seat),
            Leg::Flushing(mut seat) if !fails => {
                let answer = seat.ready(&id);
                self.readied(id, seat, &answer);
            }
            Leg::Travelling(seat, host) if !fails => self.deliver(id, seat, host),
            Leg::Waiting(seat) if !fails => self.expire(id, seat),
            Leg::Waiting(seat) if self.rng.one_in(2) => drop(self.legs.insert(id, Leg::Closing(seat))),
            Leg::Open(pair) => {
                let legs = pair.pair.conns.map(raw);
                drop(pair);
                for id in legs {
                    self.model.remove(&id);
                }
            }
            guard => {
                drop(guard);
                self.left(id);
            }
        }
    }

    /// A session learns of an eviction and ends.
    fn step_mail(&mut self) {
        let at = usize::try_from(self.rng.below(self.mail.len() as u64)).unwrap();
        let gone = self.mail.swap_remove(at);
        let Some(session) = gone.handle else { return };
        match self.legs.remove(&session) {
            Some(Leg::Waiting(seat)) => assert!(seat.conn() == gone.conn || Some(seat.conn()) == gone.partner),
            Some(Leg::Open(pair)) => assert!(pair.pair.conns.contains(&gone.conn)),
            over => self.legs.extend(over.map(|leg| (session, leg))),
        }
    }

    fn check(&self) {
        let mut expected = Gauges::default();
        for channel in 0..CHANNELS {
            let holders = [self.holder(channel, Side::Client), self.holder(channel, Side::Backend)];
            expected.channels += usize::from(holders.iter().any(Option::is_some));
            let count = |sits: fn(&Sits) -> bool| holders.iter().flatten().filter(|(_, m)| sits(&m.sits)).count();
            expected.reserved += count(|sits| *sits == Sits::Reserved);
            expected.waiting += count(|sits| *sits == Sits::Ready);
            let taken = count(|sits| matches!(sits, Sits::Taken { .. }));
            assert!(taken == 0 || taken == 2, "half a pair");
            expected.pairs += taken / 2;
        }
        assert_eq!(self.registry.gauges(), expected);
        assert_eq!(self.registry.scan(), expected);
        assert_eq!(self.registry.channels.len(), expected.channels);
    }

    fn run(mut self) -> Events {
        for _ in 0..STEPS {
            match self.rng.below(10) {
                0..=2 => self.arrive(),
                3 => self.now += Duration::from_millis(self.rng.below(4_000)),
                4 if !self.mail.is_empty() => self.step_mail(),
                _ if !self.legs.is_empty() => {
                    let ids: Vec<_> = self.legs.keys().copied().collect();
                    let id = self.rng.pick(&ids);
                    self.step_leg(id);
                }
                _ => {}
            }
            self.check();
        }
        drop(mem::take(&mut self.legs));
        self.model.clear();
        self.check();
        self.events
    }
}

#[test]
fn no_schedule_breaks_a_rule_and_every_schedule_ends_empty() {
    let seeds = seeds();
    let many = seeds.end - seeds.start >= 1_000;
    let mut total = Events::default();
    for seed in seeds {
        let _replay = Replay(seed);
        for (event, times) in Sim::new(seed).run() {
            *total.entry(event).or_default() += times;
        }
    }
    let events = ["dead", "expired", "joined", "late", "mismatch", "rejoined", "replaced", "unpaired"];
    assert!(!many || total.keys().eq(&events), "some never happened: {total:?}");
}
