//! Real threads on one key.

use std::{
    sync::{Barrier, atomic::AtomicU64},
    thread,
};

use super::*;

const THREADS: u64 = 8;
const ROUNDS: u64 = 3_000;

/// Every seat won is entered here and taken out before it is freed: two winners of one seat would collide.
#[derive(Default)]
struct Entered([AtomicU64; 2]);

impl Entered {
    fn enter(&self, seat: &Seat<Handle>, id: u64) {
        let old = self.0[seat.side() as usize].swap(id, Ordering::SeqCst);
        assert_eq!(old, 0, "{id} and {old} both sit as {:?}", seat.side());
    }

    fn exit(&self, side: Side, id: u64) {
        let old = self.0[side as usize].swap(0, Ordering::SeqCst);
        assert_eq!(old, id, "the seat of {id} was taken while it was held");
    }
}

#[test]
fn no_seat_is_won_twice_and_nothing_is_left_behind_on_real_threads() {
    let board = Board::new();
    let (entered, start) = (Entered::default(), Barrier::new(8));
    let joined = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (board, entered, start, joined) = (&board, &entered, &start, &joined);
            scope.spawn(move || {
                start.wait();
                let side = if thread % 2 == 0 { Side::Client } else { Side::Backend };
                for round in 1..=ROUNDS {
                    let id = thread * ROUNDS + round;
                    let Reservation::Seated { mut seat, evicted } = board.ask(id, side, &rules(|_| ()), None) else {
                        thread::yield_now();
                        continue;
                    };
                    assert_eq!(evicted, None);
                    entered.enter(&seat, id);
                    if !round.is_multiple_of(7) {
                        match seat.ready(&id) {
                            Readied::Join { partner, handle } => {
                                assert_eq!(conn(handle), partner);
                                joined.fetch_add(1, Ordering::SeqCst);
                            }
                            Readied::Wait { .. } => {
                                for _ in 0..round % 5 {
                                    thread::yield_now();
                                }
                            }
                            Readied::Lost(cause) => panic!("lost for {cause:?}"),
                        }
                    }
                    entered.exit(side, id);
                    drop(seat);
                }
            });
        }
    });
    assert!(joined.into_inner() > 0, "the threads never met");
    board.assert_empty();
}

#[test]
fn of_many_threads_that_replace_one_holder_exactly_one_evicts_it() {
    for round in 0..300 {
        let board = Board::new();
        let pair = board.pair();
        let start = Barrier::new(4);
        let (seats, evictions): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            let racers: Vec<_> = (10..14)
                .map(|id| {
                    let (board, start) = (&board, &start);
                    scope.spawn(move || {
                        start.wait();
                        match board.ask(id, Side::Client, &replacing(), Some((1, Life::Alive))) {
                            Reservation::Seated { seat, evicted } => (Some(seat), evicted),
                            Reservation::Occupied { .. } => (None, None),
                            refused => panic!("{refused:?}"),
                        }
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).unzip()
        });
        assert_eq!(seats.iter().flatten().count(), 1, "round {round}");
        assert_eq!(evictions.iter().flatten().count(), 1, "round {round}");
        drop((seats, pair));
        board.assert_empty();
    }
}
