//! Seats, joining, leaving.

use std::{
    sync::{Weak, atomic::AtomicBool},
    task::{Wake, Waker},
};

use super::*;

#[test]
fn two_ready_legs_of_one_channel_are_joined_whoever_came_first() {
    for (first, second) in [(Side::Client, Side::Backend), (Side::Backend, Side::Client)] {
        let board = Board::new();
        let host = board.waiting(1, first, &rules(|_| ()));
        assert_eq!(board.gauges(), Gauges { channels: 1, reserved: 0, waiting: 1, pairs: 0 });
        let mut guest = board.seat(2, second, &rules(|_| ()));
        assert_eq!(board.gauges(), Gauges { channels: 1, reserved: 1, waiting: 1, pairs: 0 });
        assert_eq!(guest.ready(&2), Readied::Join { partner: conn(1), handle: 1 });
        assert_eq!(board.gauges(), Gauges { channels: 1, reserved: 0, waiting: 0, pairs: 1 });
        let pair = together(guest, host);
        assert_eq!(pair.pair.conns, [conn(2), conn(1)]);
        drop(pair);
        board.assert_empty();
    }
}

#[test]
fn both_seats_of_a_channel_share_the_text_of_its_id() {
    let board = Board::new();
    let first = board.waiting(1, Side::Client, &rules(|_| ()));
    let same = ChannelId::new(board.key.channel.as_str()).unwrap();
    let asked = Board { registry: Arc::clone(&board.registry), key: Key::of(&rules(|_| ()), same), now: board.now };
    assert_ne!(asked.key.channel.as_str().as_ptr(), board.key.channel.as_str().as_ptr(), "another text");
    let second = asked.seat(2, Side::Backend, &rules(|_| ()));
    assert_eq!(second.key().channel.as_str().as_ptr(), first.key().channel.as_str().as_ptr());
}

#[test]
fn equal_ids_of_different_namespaces_never_meet() {
    let board = Board::new();
    let _client = board.waiting(1, Side::Client, &rules(|_| ()));
    let elsewhere = Key::of(&RendezvousRules::new("other"), board.key.channel.clone());
    let there = Board { registry: Arc::clone(&board.registry), key: elsewhere, now: board.now };
    let _backend = there.waiting(2, Side::Backend, &rules(|_| ()));
    assert_eq!(board.gauges(), Gauges { channels: 2, reserved: 0, waiting: 2, pairs: 0 });
}

#[test]
fn a_reserved_partner_is_not_joined_before_its_101_is_flushed() {
    let board = Board::new();
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let mut client = board.seat(1, Side::Client, &rules(|_| ()));
    assert_eq!(client.ready(&1), Readied::Wait { deadline: client.deadline() });
    assert_eq!(backend.ready(&2), Readied::Join { partner: conn(1), handle: 1 });
}

#[test]
fn if_a_reserved_partner_fails_the_other_waits_on_with_its_original_deadline() {
    let mut board = Board::new();
    let client = board.waiting(1, Side::Client, &rules(|r| r.pairing_timeout = 30 * SECOND));
    let deadline = board.now + 30 * SECOND;
    for id in 2..5 {
        board.now += 5 * SECOND;
        drop(board.seat(id, Side::Backend, &rules(|_| ())));
        assert_eq!(client.deadline(), deadline);
        assert_eq!(board.gauges().waiting, 1);
    }
    drop(client);
    board.assert_empty();
}

#[test]
fn each_leg_waits_as_long_as_its_own_route_says() {
    let board = Board::new();
    let client = board.waiting(1, Side::Client, &rules(|r| r.pairing_timeout = 7 * SECOND));
    let backend = board.seat(2, Side::Backend, &rules(|r| r.pairing_timeout = 90 * SECOND));
    assert_eq!(client.deadline(), board.now + 7 * SECOND);
    assert_eq!(backend.deadline(), board.now + 90 * SECOND);
    let endless = rules(|r| r.pairing_timeout = Duration::MAX);
    drop(client);
    assert!(board.seat(3, Side::Client, &endless).deadline() > board.now + 90 * SECOND);
}

#[test]
fn a_leg_whose_guest_fails_on_the_way_waits_again() {
    let board = Board::new();
    let client = board.waiting(1, Side::Client, &rules(|_| ()));
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let _ = backend.ready(&2);
    assert_eq!(board.gauges().pairs, 1);
    drop(backend);
    assert_eq!((board.gauges().pairs, board.gauges().waiting), (0, 1));
    drop(client);
    board.assert_empty();
}

#[test]
fn an_id_is_free_in_the_moment_its_pair_ends() {
    let board = Board::new();
    for _ in 0..10_000 {
        drop(board.pair());
        board.assert_empty();
    }
}

/// A handle that looks at its registry when it is dropped.
#[derive(Clone)]
struct Spy {
    registry: Weak<Registry<Self>>,
    key: Key,
    /// What it saw that must not be; a panic in a destructor would end the tests.
    wrong: Arc<OnceLock<&'static str>>,
}

impl Drop for Spy {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        let channel = registry.channels.try_get(&self.key);
        if channel.is_locked() {
            let _ = self.wrong.set("a handle is dropped while its shard is held");
        } else if channel.is_present() && registry.gauges().pairs == 0 {
            let _ = self.wrong.set("one seat of a pair is free before the other");
        }
    }
}

#[test]
fn both_seats_of_a_pair_are_freed_at_once_and_handles_are_dropped_afterwards() {
    let (registry, rules) = (Arc::new(Registry::default()), rules(|_| ()));
    let key = Key::of(&rules, ChannelId::new("c").unwrap());
    let wrong = Arc::new(OnceLock::new());
    let spies = [(1, Side::Client), (2, Side::Backend)].map(|(id, side)| {
        let arrival = Arrival { conn: conn(id), side, identity: None, offers: Vec::new() };
        let Reservation::Seated { mut seat, .. } = registry.reserve(&key, arrival, &rules, None, Instant::now()) else {
            panic!("{id} is not seated");
        };
        let spy = Spy { registry: Arc::downgrade(&registry), key: key.clone(), wrong: Arc::clone(&wrong) };
        let _ = seat.ready(&spy);
        (seat, spy)
    });
    assert_eq!(registry.gauges().pairs, 1);
    let [(client, _), (backend, _)] = spies;
    drop(together(client, backend));
    assert_eq!(wrong.get(), None);
    assert_eq!(registry.scan(), Gauges::default());
}

#[test]
fn a_guest_whose_host_left_before_it_came_keeps_its_seat_and_joins_the_next_one() {
    let board = Board::new();
    let client = board.waiting(1, Side::Client, &rules(|_| ()));
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let _ = backend.ready(&2);
    drop(client);
    // Nobody is joined with a leg that is between two sessions, and nobody takes its seat.
    let _next = board.waiting(3, Side::Client, &rules(|_| ()));
    assert_eq!(occupied(board.ask(4, Side::Backend, &rules(|_| ()), None)), (conn(2), None));
    assert_eq!(backend.rejoin(&2), Readied::Join { partner: conn(3), handle: 3 });
}

#[test]
fn a_guest_that_finds_its_hosts_session_over_waits_with_its_original_deadline() {
    let mut board = Board::new();
    let mut client = board.waiting(1, Side::Client, &rules(|_| ()));
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let deadline = backend.deadline();
    let _ = backend.ready(&2);
    board.now += SECOND;
    // The host's seat is not cleaned up yet: the guest frees it, and the late clean-up touches no successor.
    assert_eq!(backend.rejoin(&2), Readied::Wait { deadline });
    assert_eq!(client.rejoin(&1), Readied::Lost(Cause::PartnerGone));
    let mut successor = board.seat(3, Side::Client, &rules(|_| ()));
    drop(client);
    assert_eq!(successor.ready(&3), Readied::Join { partner: conn(2), handle: 2 });
}

#[test]
fn a_backend_that_comes_first_waits_or_is_refused() {
    let board = Board::new();
    let strict = rules(|r| r.backend_first = BackendFirst::Reject);
    assert_eq!(refused(board.ask(1, Side::Backend, &strict, None)), Cause::BackendFirst);
    board.assert_empty();
    let backend = board.waiting(2, Side::Backend, &rules(|_| ()));
    // It is not even probed for one that is refused anyway.
    assert_eq!(refused(board.ask(3, Side::Backend, &strict, None)), Cause::BackendFirst);
    drop(backend);
    let _client = board.seat(4, Side::Client, &strict);
    let _after_a_reserved_client = board.seat(5, Side::Backend, &strict);
}

#[test]
fn a_connection_never_sits_on_both_sides_of_its_channel() {
    let board = Board::new();
    let _client = board.waiting(1, Side::Client, &rules(|_| ()));
    assert_eq!(refused(board.ask(1, Side::Backend, &rules(|_| ()), None)), Cause::Internal);
    assert_eq!(refused(board.ask(1, Side::Client, &replacing(), Some((1, Life::Alive)))), Cause::Internal);
}

#[test]
fn roles_without_a_seat_are_a_mismatch_of_role_and_mode() {
    assert_eq!(Side::try_from(&Side::Client.role()), Ok(Side::Client));
    assert_eq!(Side::try_from(&Side::Backend.role()), Ok(Side::Backend));
    assert_eq!(Side::try_from(&Role::Routed), Err(Cause::RoleModeMismatch));
}

#[test]
fn a_101_that_waits_for_the_partner_is_woken_by_it() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let board = Board::new();
    let mut client = board.seat(1, Side::Client, &when_paired());
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut answer = Box::pin(client.may_answer());
    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // One that comes and goes wakes it for nothing.
    drop(board.seat(2, Side::Backend, &rules(|_| ())));
    assert!(flag.0.swap(false, Ordering::SeqCst));
    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let _backend = board.seat(3, Side::Backend, &rules(|_| ()));
    assert!(flag.0.load(Ordering::SeqCst));
    assert_eq!(answer.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(None)));
}

#[test]
fn two_legs_whose_101s_wait_for_each_other_both_go_on() {
    let board = Board::new();
    let mut client = board.seat(1, Side::Client, &when_paired());
    assert!(poll_once(client.may_answer()).is_pending());
    let mut backend = board.seat(2, Side::Backend, &when_paired());
    assert_eq!(poll_once(backend.may_answer()), Poll::Ready(Ok(None)));
    assert_eq!(poll_once(client.may_answer()), Poll::Ready(Ok(None)));
    assert_eq!(backend.ready(&2), Readied::Wait { deadline: backend.deadline() });
    assert_eq!(client.ready(&1), Readied::Join { partner: conn(2), handle: 2 });
}

#[test]
fn a_101_that_may_go_out_at_once_waits_for_nobody() {
    fn may_move_between_workers<T: Send + 'static>(_: &T) {}
    let board = Board::new();
    let mut seat = board.seat(9, Side::Client, &rules(|_| ()));
    may_move_between_workers(&seat);
    let answer = async move { seat.may_answer().await };
    may_move_between_workers(&answer);
    drop(answer);
    assert_eq!(poll_once(board.seat(1, Side::Backend, &rules(|_| ())).may_answer()), Poll::Ready(Ok(None)));
    board.assert_empty();
}

#[test]
fn seats_of_different_channels_are_no_pair_and_none_is_left_behind() {
    let board = Board::new();
    let one = board.seat(1, Side::Client, &rules(|_| ()));
    let elsewhere = Key::of(&rules(|_| ()), ChannelId::new("d").unwrap());
    let arrival = Arrival { conn: conn(2), side: Side::Backend, identity: None, offers: Vec::new() };
    let other = seated(board.registry.reserve(&elsewhere, arrival, &rules(|_| ()), None, board.now));
    assert_eq!(board.gauges().reserved, 2);
    let _pair = together(one, other);
    board.assert_empty();
}
