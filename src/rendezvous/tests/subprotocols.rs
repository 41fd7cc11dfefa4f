//! Rule 7, between two legs of either order.

use super::*;

fn on_list(list: &[&str]) -> RendezvousRules {
    rules(|r| r.subprotocols = list.iter().map(|&name| name.into()).collect())
}

fn strict(mut rules: RendezvousRules) -> RendezvousRules {
    rules.subprotocol = SubprotocolRule::Strict;
    rules
}

/// What the second leg gets after a first one: `Ok(name)`, none as `-`, or the cause of its refusal.
fn second(first: &[&str], offers: &[&str], rules: &RendezvousRules) -> Result<String, Cause> {
    let mut answers = [(Side::Client, Side::Backend), (Side::Backend, Side::Client)].map(|(early, late)| {
        let board = Board::new();
        let _holder = seated(board.ask_as(1, early, None, first, rules, None));
        match board.ask_as(2, late, None, offers, rules, None) {
            Reservation::Seated { seat, .. } => Ok(name(&seat)),
            answer => Err(refused(answer)),
        }
    });
    assert_eq!(answers[0], answers[1], "the roles differ");
    std::mem::replace(&mut answers[0], Err(Cause::Internal))
}

fn name(seat: &Seat<Handle>) -> String {
    seat.subprotocol().map_or_else(|| "-".to_owned(), ToString::to_string)
}

const MISMATCH: Result<String, Cause> = Err(Cause::SubprotocolMismatch);

#[test]
fn the_first_leg_gets_the_first_of_its_offers_that_is_on_the_list() {
    let first = |offers: &[&str], rules: &RendezvousRules| {
        name(&seated(Board::new().ask_as(1, Side::Client, None, offers, rules, None)))
    };
    assert_eq!(first(&["x", "b", "a"], &on_list(&["a", "b"])), "b");
    assert_eq!(first(&["x", "b"], &on_list(&[])), "x");
    assert_eq!(first(&["x"], &on_list(&["a"])), "-");
    assert_eq!(first(&[], &on_list(&["a"])), "-");
    assert_eq!(first(&["A"], &on_list(&["a"])), "-", "names are case-sensitive");
}

#[test]
fn a_lenient_second_leg_must_have_offered_the_same_or_none() {
    let lenient = on_list(&[]);
    assert_eq!(second(&["a", "b"], &["b", "a"], &lenient), Ok("a".into()));
    assert_eq!(second(&["a"], &[], &lenient), Ok("-".into()));
    assert_eq!(second(&["a"], &["b"], &lenient), MISMATCH);
    assert_eq!(second(&[], &[], &lenient), Ok("-".into()));
    assert_eq!(second(&[], &["a"], &lenient), MISMATCH);
}

#[test]
fn a_strict_second_leg_must_have_offered_the_same() {
    let strict = strict(on_list(&[]));
    assert_eq!(second(&["a"], &["b", "a"], &strict), Ok("a".into()));
    assert_eq!(second(&["a"], &[], &strict), MISMATCH);
    assert_eq!(second(&["a"], &["b"], &strict), MISMATCH);
    assert_eq!(second(&[], &[], &strict), Ok("-".into()));
}

#[test]
fn offers_of_which_none_is_on_the_list_mean_no_subprotocol() {
    let list = on_list(&["a"]);
    assert_eq!(second(&["x"], &["y"], &list), Ok("-".into()));
    assert_eq!(second(&[], &["y"], &strict(list.clone())), Ok("-".into()));
    assert_eq!(second(&["a"], &["y"], &list), MISMATCH);
    assert_eq!(second(&["x"], &["a"], &list), MISMATCH);
}

#[test]
fn a_second_leg_is_never_given_what_its_own_route_does_not_allow() {
    let board = Board::new();
    let _client = seated(board.ask_as(1, Side::Client, None, &["a"], &on_list(&["a"]), None));
    let answer = board.ask_as(2, Side::Backend, None, &["a", "b"], &on_list(&["b"]), None);
    assert_eq!(refused(answer), Cause::SubprotocolMismatch);
}

#[test]
fn the_remaining_legs_subprotocol_rules_for_a_newcomer() {
    let board = Board::new();
    let client = seated(board.ask_as(1, Side::Client, None, &["b", "a"], &on_list(&[]), None));
    let _backend = seated(board.ask_as(2, Side::Backend, None, &["a", "b"], &on_list(&[]), None));
    drop(client);
    let answer = board.ask_as(3, Side::Client, None, &["a"], &on_list(&[]), None);
    assert_eq!(refused(answer), Cause::SubprotocolMismatch);
    assert_eq!(name(&seated(board.ask_as(4, Side::Client, None, &["a", "b"], &on_list(&[]), None))), "b");
}

#[test]
fn a_101_held_back_names_what_both_legs_can_speak() {
    let board = Board::new();
    let mut client = seated(board.ask_as(1, Side::Client, None, &["a", "b"], &when_paired(), None));
    assert_eq!(client.subprotocol(), None);
    let backend = seated(board.ask_as(2, Side::Backend, None, &["b"], &on_list(&[]), None));
    assert_eq!(name(&backend), "b");
    // That backend fails before the client's 101 is on its way: nothing is settled yet.
    drop(backend);
    assert!(poll_once(client.may_answer()).is_pending());
    let mut backend = seated(board.ask_as(3, Side::Backend, None, &["c", "a"], &when_paired(), None));
    assert_eq!(poll_once(client.may_answer()), Poll::Ready(Ok(Some("a".into()))));
    assert_eq!(poll_once(backend.may_answer()), Poll::Ready(Ok(Some("a".into()))));
    assert_eq!((name(&client), name(&backend)), ("a".to_owned(), "a".to_owned()));
    // Now it is.
    drop(backend);
    let answer = board.ask_as(4, Side::Backend, None, &["b"], &when_paired(), None);
    assert_eq!(refused(answer), Cause::SubprotocolMismatch);
}

#[test]
fn a_101_held_back_and_a_second_leg_with_nothing_in_common_do_not_meet() {
    let board = Board::new();
    let _client = seated(board.ask_as(1, Side::Client, None, &["a"], &when_paired(), None));
    assert_eq!(refused(board.ask_as(2, Side::Backend, None, &["b"], &when_paired(), None)), Cause::SubprotocolMismatch);
    let strict = strict(when_paired());
    assert_eq!(refused(board.ask_as(3, Side::Backend, None, &[], &strict, None)), Cause::SubprotocolMismatch);
    let mut silent = seated(board.ask_as(4, Side::Backend, None, &[], &when_paired(), None));
    assert_eq!(poll_once(silent.may_answer()), Poll::Ready(Ok(None)));
}
