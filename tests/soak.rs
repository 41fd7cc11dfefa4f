//! The two long proofs: swaps that nobody notices, and connections of which nothing stays.
//!
//! They are small here, so that every run has them, and full with `CORDBOARD_SOAK=full` (`make soak`), which also shows
//! what handshakes cost. One runs at a time: they look at processor time and memory.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
// Counters are read as floating point; they are small and whole.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unchecked_time_subtraction)]

#[path = "soak/broken.rs"]
mod broken;
#[path = "soak/content.rs"]
mod content;
#[path = "soak/cycles.rs"]
mod cycles;
#[path = "soak/figures.rs"]
mod figures;
#[path = "soak/kinds.rs"]
mod kinds;
#[path = "soak/measure.rs"]
mod measure;
#[path = "soak/sessions.rs"]
mod sessions;
mod support;
#[path = "soak/swap.rs"]
mod swap;
#[path = "soak/talk.rs"]
mod talk;
#[path = "soak/wire.rs"]
mod wire;
#[path = "soak/world.rs"]
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static ALONE: Mutex<()> = Mutex::new(());

/// The only one that runs, with as many descriptors as it can have.
fn alone() -> MutexGuard<'static, ()> {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn full() -> bool {
    std::env::var("CORDBOARD_SOAK").is_ok_and(|scale| scale == "full")
}

#[test]
fn swaps_of_policies_and_configuration_cut_lose_and_cross_nothing() {
    let _alone = alone();
    swap::run(if full() { &swap::Scale::FULL } else { &swap::Scale::SMALL });
}

#[test]
fn swaps_cut_lose_and_cross_nothing_where_every_session_has_a_filter_that_moves() {
    let _alone = alone();
    swap::run(&if full() { swap::Scale::FULL } else { swap::Scale::SMALL }.filtered("migrate"));
}

#[test]
fn swaps_cut_lose_and_cross_nothing_where_every_session_keeps_its_filter() {
    let _alone = alone();
    swap::run(&if full() { swap::Scale::FULL } else { swap::Scale::SMALL }.filtered("pin"));
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let _alone = alone();
    cycles::run(if full() { &cycles::Scale::FULL } else { &cycles::Scale::SMALL });
}

#[test]
fn handshakes_succeed_during_swaps_and_their_cost_is_shown() {
    let _alone = alone();
    measure::run(if full() { &measure::Scale::FULL } else { &measure::Scale::SMALL });
}
