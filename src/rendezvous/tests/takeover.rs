//! A second one in the same role: probed, refused, replaced.

use super::*;

#[test]
fn a_second_one_in_the_same_role_has_the_holder_probed_first() {
    let board = Board::new();
    let _client = board.waiting(1, Side::Client, &rules(|_| ()));
    assert_eq!(occupied(board.ask(2, Side::Client, &rules(|_| ()), None)), (conn(1), Some(1)));
    assert_eq!(occupied(board.ask(2, Side::Client, &replacing(), None)), (conn(1), Some(1)));
}

#[test]
fn a_living_holder_is_not_disturbed_where_a_second_one_is_rejected() {
    let board = Board::new();
    let _pair = board.pair();
    let one_way = rules(|r| r.second_backend = Second::Replace);
    assert_eq!(refused(board.ask(3, Side::Client, &one_way, Some((1, Life::Alive)))), Cause::SeatTaken);
    let other_way = rules(|r| r.second_client = Second::Replace);
    assert_eq!(refused(board.ask(3, Side::Backend, &other_way, Some((2, Life::Alive)))), Cause::SeatTaken);
    assert_eq!(board.gauges().pairs, 1);
}

#[test]
fn a_silent_waiting_holder_makes_way_even_where_a_second_one_is_rejected() {
    let board = Board::new();
    let mut client = board.waiting(1, Side::Client, &rules(|_| ()));
    let answer = board.ask_as(2, Side::Client, Some("somebody else"), &[], &rules(|_| ()), Some((1, Life::Dead)));
    let (mut newcomer, evicted) = seated_instead(answer);
    let gone = Evicted { conn: conn(1), handle: Some(1), cause: Cause::Dead, partner: None };
    assert_eq!(evicted, Some(gone));
    assert_eq!(client.rejoin(&1), Readied::Lost(Cause::Dead));
    // The late clean-up of the old one does not evict its successor.
    drop(client);
    assert_eq!(newcomer.ready(&2), Readied::Wait { deadline: newcomer.deadline() });
}

#[test]
fn one_that_yields_makes_way_whatever_the_rules_and_the_subjects_say() {
    let board = Board::new();
    let _old = board.waiting(1, Side::Client, &rules(|_| ()));
    let answer = board.ask_as(2, Side::Client, Some("somebody else"), &[], &rules(|_| ()), Some((1, Life::Yields)));
    let (_new, evicted) = seated_instead(answer);
    assert_eq!(evicted, Some(Evicted { conn: conn(1), handle: Some(1), cause: Cause::Replaced, partner: None }));
    // Of one that has no session yet, too, and of nobody else.
    let (_newest, evicted) = seated_instead(board.ask(3, Side::Client, &rules(|_| ()), Some((2, Life::Yields))));
    assert_eq!(evicted, Some(Evicted { conn: conn(2), handle: None, cause: Cause::Replaced, partner: None }));
    assert_eq!(occupied(board.ask(4, Side::Client, &rules(|_| ()), Some((2, Life::Yields)))), (conn(3), None));
}

#[test]
fn one_that_must_not_be_joined_with_just_anybody_is_told_who_sits_opposite() {
    let board = Board::new();
    let ask = |id, side, verdict, opposite| {
        let arrival = Arrival { conn: conn(id), side, identity: None, offers: Vec::new() };
        board.registry.reserve_opposite(&board.key, arrival, &rules(|_| ()), verdict, opposite, board.now)
    };
    let nobody = Opposite::Only(None);
    let _client = seated(ask(1, Side::Client, None, nobody));
    for known in [nobody, Opposite::Only(Some(conn(9)))] {
        let answer = ask(2, Side::Backend, None, known);
        assert!(matches!(answer, Reservation::Opposite { holder } if holder == conn(1)), "{answer:?}");
    }
    assert_eq!(board.gauges().reserved, 1);
    let _backend = seated(ask(2, Side::Backend, None, Opposite::Only(Some(conn(1)))));
    // Who replaces one of two that are not joined yet sits opposite the other.
    let answer = ask(3, Side::Backend, Some((conn(2), Life::Yields)), nobody);
    assert!(matches!(answer, Reservation::Opposite { holder } if holder == conn(1)), "{answer:?}");
    // Who ends a pair sits opposite nobody.
    let board = Board::new();
    let _pair = board.pair();
    let arrival = Arrival { conn: conn(3), side: Side::Client, identity: None, offers: Vec::new() };
    let yields = Some((conn(1), Life::Yields));
    let answer = board.registry.reserve_opposite(&board.key, arrival, &rules(|_| ()), yields, nobody, board.now);
    assert_eq!(seated_instead(answer).1.map(|gone| gone.conn), Some(conn(1)));
}

#[test]
fn replacing_a_paired_leg_ends_its_pair_and_the_newcomer_waits() {
    for (id, side, partner) in [(1, Side::Client, 2), (2, Side::Backend, 1)] {
        let board = Board::new();
        let pair = board.pair();
        // Either leg is reached through the session of the one that waited.
        assert_eq!(occupied(board.ask(3, side, &replacing(), None)), (conn(id), Some(1)));
        let (mut newcomer, evicted) = seated_instead(board.ask(3, side, &replacing(), Some((id, Life::Alive))));
        let partner = Some(conn(partner));
        assert_eq!(evicted, Some(Evicted { conn: conn(id), handle: Some(1), cause: Cause::Replaced, partner }));
        assert_eq!(board.gauges(), Gauges { channels: 1, reserved: 1, waiting: 0, pairs: 0 });
        assert_eq!(newcomer.ready(&3), Readied::Wait { deadline: newcomer.deadline() });
        drop(pair);
        assert_eq!(board.gauges().waiting, 1);
    }
}

#[test]
fn a_backend_may_replace_a_paired_one_where_a_first_one_is_refused() {
    let board = Board::new();
    let _pair = board.pair();
    let both = rules(|r| (r.second_backend, r.backend_first) = (Second::Replace, BackendFirst::Reject));
    let (_newcomer, evicted) = seated_instead(board.ask(3, Side::Backend, &both, Some((2, Life::Alive))));
    assert_eq!(evicted.map(|gone| gone.conn), Some(conn(2)));
}

#[test]
fn only_the_same_identity_replaces_and_two_anonymous_legs_are_the_same() {
    let cases = [
        (None, None, true),
        (Some("a"), Some("a"), true),
        (Some("a"), Some("b"), false),
        (Some("a"), None, false),
        (None, Some("a"), false),
    ];
    for (old, new, allowed) in cases {
        let board = Board::new();
        let mut seat = seated(board.ask_as(1, Side::Client, old, &[], &rules(|_| ()), None));
        let _ = seat.ready(&1);
        match board.ask_as(2, Side::Client, new, &[], &replacing(), Some((1, Life::Alive))) {
            Reservation::Seated { evicted: Some(evicted), .. } => {
                assert!(allowed, "{old:?} was replaced by {new:?}");
                assert_eq!((evicted.conn, evicted.cause), (conn(1), Cause::Replaced));
            }
            answer => {
                assert!(!allowed, "{old:?} was not replaced by {new:?}");
                assert_eq!(refused(answer), Cause::SeatTaken);
            }
        }
    }
}

#[test]
fn a_reserved_holder_counts_as_alive_and_learns_of_its_replacement_when_it_is_ready() {
    let board = Board::new();
    let mut client = board.seat(1, Side::Client, &rules(|_| ()));
    assert_eq!(occupied(board.ask(2, Side::Client, &rules(|_| ()), None)), (conn(1), None));
    for life in [Life::Alive, Life::Dead] {
        assert_eq!(refused(board.ask(2, Side::Client, &rules(|_| ()), Some((1, life)))), Cause::SeatTaken);
    }
    let (_newcomer, evicted) = seated_instead(board.ask(2, Side::Client, &replacing(), Some((1, Life::Alive))));
    let gone = Evicted { conn: conn(1), handle: None, cause: Cause::Replaced, partner: None };
    assert_eq!(evicted, Some(gone));
    assert_eq!(client.ready(&1), Readied::Lost(Cause::Replaced));
}

#[test]
fn a_leg_whose_101_is_held_back_is_woken_and_refused_when_it_is_replaced() {
    let board = Board::new();
    let mut client = board.seat(1, Side::Client, &when_paired());
    let mut answer = Box::pin(client.may_answer());
    assert!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let _newcomer = seated_instead(board.ask(2, Side::Client, &replacing(), Some((1, Life::Alive))));
    assert_eq!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(Cause::SeatTaken)));
}

#[test]
fn a_verdict_counts_only_about_the_connection_that_holds_the_seat() {
    let board = Board::new();
    let first = board.waiting(1, Side::Client, &rules(|_| ()));
    drop(first);
    let _second = board.waiting(2, Side::Client, &rules(|_| ()));
    let late = board.ask(3, Side::Client, &replacing(), Some((1, Life::Dead)));
    assert_eq!(occupied(late), (conn(2), Some(2)));
}

#[test]
fn a_newcomer_that_is_refused_for_its_subprotocol_replaces_nobody_but_the_dead() {
    let board = Board::new();
    let mut client = seated(board.ask_as(1, Side::Client, None, &["a"], &rules(|_| ()), None));
    let _ = client.ready(&1);
    let backend = seated(board.ask_as(2, Side::Backend, None, &["a"], &rules(|_| ()), None));
    let ask = |life| board.ask_as(3, Side::Client, None, &["b"], &replacing(), Some((1, life)));
    assert_eq!(refused(ask(Life::Alive)), Cause::SubprotocolMismatch);
    assert_eq!(board.gauges(), Gauges { channels: 1, reserved: 1, waiting: 1, pairs: 0 });
    match ask(Life::Dead) {
        Reservation::Refused { cause: Cause::SubprotocolMismatch, evicted: Some(gone) } => {
            assert_eq!((gone.conn, gone.cause, gone.handle), (conn(1), Cause::Dead, Some(1)));
        }
        other => panic!("{other:?}"),
    }
    drop(backend);
    board.assert_empty();
}

#[test]
fn replacing_a_waiting_leg_leaves_its_reserved_partner_where_it_is() {
    let board = Board::new();
    let _client = board.waiting(1, Side::Client, &rules(|_| ()));
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let (mut newcomer, evicted) = seated_instead(board.ask(3, Side::Client, &replacing(), Some((1, Life::Alive))));
    assert_eq!(evicted.and_then(|gone| gone.partner), None);
    let _ = newcomer.ready(&3);
    assert_eq!(backend.ready(&2), Readied::Join { partner: conn(3), handle: 3 });
}

#[test]
fn a_guest_on_its_way_to_a_replaced_host_learns_that_its_partner_is_gone() {
    let board = Board::new();
    let _client = board.waiting(1, Side::Client, &rules(|_| ()));
    let mut backend = board.seat(2, Side::Backend, &rules(|_| ()));
    let _ = backend.ready(&2);
    let (_newcomer, evicted) = seated_instead(board.ask(3, Side::Client, &replacing(), Some((1, Life::Alive))));
    assert_eq!(evicted.and_then(|gone| gone.partner), Some(conn(2)));
    assert_eq!(backend.rejoin(&2), Readied::Lost(Cause::PartnerGone));
}

#[test]
fn it_is_the_subject_that_is_the_same_and_not_all_that_is_known_of_it() {
    let known = |subject: Option<&str>, token: &str| {
        let subject = subject.map(ToOwned::to_owned);
        Some(Arc::new(Identity { subject, token_id: Some(token.to_owned()), ..Identity::default() }))
    };
    for (old, new) in [(known(Some("a"), "1"), known(Some("a"), "2")), (known(None, "1"), None)] {
        let board = Board::new();
        let ask = |id, identity, verdict| {
            let arrival = Arrival { conn: conn(id), side: Side::Client, identity, offers: Vec::new() };
            board.registry.reserve(&board.key, arrival, &replacing(), verdict, board.now)
        };
        let _old = seated(ask(1, old, None));
        let (_new, evicted) = seated_instead(ask(2, new, Some((conn(1), Life::Alive))));
        assert_eq!(evicted.map(|gone| gone.cause), Some(Cause::Replaced));
    }
}
