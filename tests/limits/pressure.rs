//! Back-pressure: who does not read slows its partner, and costs one buffer; who takes nothing at all is cut.

use std::time::Duration;

use futures_util::{StreamExt as _, future::join_all, stream};

use crate::support::{
    board::{Account, Board, Mode, Who, codes, everywhere},
    peers::{
        deaf::Deaf,
        flooder::{Flooder, is_heard, pours_into_one_frame},
        sipper::Sipper,
    },
    wire::{CLOSE, End, close},
};

/// Most messages of a flood that the kernel's buffers on the way can hold: 60 MB are far more.
const MOST: u64 = 1000;

#[tokio::test]
async fn a_leg_that_takes_no_byte_is_cut_after_stall_and_the_other_told() {
    let board = Board::with("stall: 5s, ping_every: 0").await;
    everywhere(async |place| {
        let call = board.call(place).await;
        let mut deaf = Deaf::turns(call.rude);
        let mut flooder = Flooder::new(call.other, 1);
        flooder.until_it_is_full(MOST).await;
        let (mut other, _) = flooder.stops().await;
        let told = place.1.broken();
        assert_eq!(other.hears_code().await, Some(told), "{place:?}");
        call.record.its_seat_is_free().await;
        assert_eq!(deaf.ends().await, End::Reset);
        other.leaves(told).await;
        call.record
            .shows(&Account {
                cause: "stalled",
                detail: None,
                by_rude: Some(true),
                rude: codes(None, None),
                other: codes(told, told),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}

/// A leg reads slowly what is sent to it without end, for longer than it would have if it read nothing; then all that is
/// left. Nothing is lost, and nothing ends but by a Close.
async fn is_slow_and_lives(limits: &str) {
    let board = Board::with(limits).await;
    everywhere(async |place| {
        let call = board.call(place).await;
        let mut flooder = Flooder::new(call.other, 2);
        let mut sipper = Sipper::new(call.rude);
        tokio::select! {
            _ = sipper.sips(Duration::from_secs(12)) => {}
            () = flooder.goes_on() => {}
        }
        let (total, mut rude) = (flooder.begun(), sipper.gulps());
        let ((mut other, _), ()) = tokio::join!(flooder.stops(), is_heard(&mut rude, 2, total));
        other.say(CLOSE, &close(1000, "")).await;
        assert_eq!(rude.hears_code().await, Some(1000), "{place:?}");
        rude.leaves(1000).await;
        assert_eq!(other.hears_code().await, Some(1000));
        other.parts().await;
        call.record
            .shows(&Account {
                cause: "closed",
                detail: None,
                by_rude: Some(false),
                rude: codes(1000, 1000),
                other: codes(1000, 1000),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}

// Regression: a socket that the kernel calls full until a third of it is free looked like one that takes nothing.
#[tokio::test]
async fn a_leg_that_reads_slowly_is_not_cut_however_full_its_socket_stays() {
    is_slow_and_lives("stall: 5s, ping_every: 0").await;
}

// Regression: our Ping stood behind what a slow reader had still to read, and it was cut for not answering in time.
#[tokio::test]
async fn a_leg_that_reads_slowly_has_time_to_come_to_our_ping() {
    is_slow_and_lives("ping_every: 300ms, pong_within: 5s, stall: 0").await;
}

#[tokio::test]
async fn a_producer_that_we_do_not_read_is_alive_however_long_its_consumer_takes_nothing() {
    // Longer than it takes to be found dead, several times.
    const PAUSE: Duration = Duration::from_secs(12);
    let board = Board::with("ping_every: 200ms, pong_within: 5s, stall: 0").await;
    everywhere(async |place| {
        let call = board.call(place).await;
        let mut deaf = Deaf::turns(call.rude);
        let mut flooder = Flooder::new(call.other, 4);
        // Until its socket is full the consumer must show life; then no Ping of ours reaches it.
        tokio::select! {
            () = flooder.until_it_is_full(MOST) => {}
            () = deaf.shows_life_for_ever() => {}
        }
        let taken = flooder.taken();
        flooder.waits(PAUSE).await;
        assert_eq!(flooder.taken(), taken, "nothing was taken meanwhile");
        let (total, mut rude) = (flooder.begun(), deaf.listens());
        let ((mut other, _), ()) = tokio::join!(flooder.stops(), is_heard(&mut rude, 4, total));
        // Of the Pongs that kept it alive, and of our Pings.
        other.say(CLOSE, &close(1000, "")).await;
        assert_eq!(rude.hears_code().await, Some(1000), "{place:?}");
        rude.leaves(1000).await;
        call.record
            .shows(&Account {
                cause: "closed",
                detail: None,
                by_rude: Some(false),
                rude: codes(1000, 1000),
                other: codes(1000, 1000),
            })
            .await;
    })
    .await;
    board.is_at_rest();
}

// Regression: what it had not taken was left to the kernel, which went on offering it.
#[tokio::test]
async fn a_leg_that_reads_nothing_holds_up_a_close_no_longer_than_close_and_is_cut() {
    let board = Board::with("message: 0, ping_every: 0, lifetime: 6s, close: 2s").await;
    everywhere(async |place| {
        let mut call = board.call(place).await;
        let mut deaf = Deaf::turns(call.rude);
        pours_into_one_frame(&mut call.other).await;
        assert_eq!(call.other.hears_code().await, Some(1001), "{place:?}");
        // An answer would not be read either, because it stands behind the flood.
        call.record
            .shows(&Account {
                cause: "lifetime",
                detail: None,
                by_rude: None,
                rude: codes(None, None),
                other: codes(None, 1001),
            })
            .await;
        // Only now it reads what its kernel has, so that this is no help to it.
        assert_eq!(deaf.ends().await, End::Reset, "{place:?}");
    })
    .await;
    board.is_at_rest();
    board.proxy.metric_becomes("cordboard_closes_overdue_total", 8.0);
}

/// Resident memory of the proxy in bytes, the most of a few looks.
fn resident(board: &Board) -> f64 {
    (0..5).map(|_| board.proxy.metric("cordboard_resident_memory_bytes")).fold(0.0, f64::max)
}

#[tokio::test]
async fn two_hundred_stopped_receivers_cost_a_buffer_each_and_lose_nothing() {
    const PAIRS: usize = 200;
    /// Two buffers of 64 KiB, and what a session needs beside.
    const MOST_BYTES: f64 = (2 * 64 * 1024 + 8 * 1024) as f64;
    /// What the allocator may keep.
    const LEFT_BYTES: f64 = (4 << 20) as f64;
    let board = Board::with("ping_every: 0, stall: 0").await;
    let mut floods = Vec::new();
    for n in 0..PAIRS {
        let mode = if n % 2 == 0 { Mode::Rendezvous } else { Mode::Router };
        let who = if n / 2 % 2 == 0 { Who::Client } else { Who::Backend };
        let call = board.call((mode, who)).await;
        floods.push((n as u64, Flooder::new(call.other, n as u64), Deaf::turns(call.rude), call.record));
    }
    let idle = resident(&board);
    // Each sender is slowed down, or it would send more than the kernel can hold.
    join_all(floods.iter_mut().map(|(_, flooder, ..)| flooder.until_it_is_full(MOST))).await;
    let full = resident(&board);
    let each = (full - idle) / PAIRS as f64;
    let taken = floods.iter().map(|(_, flooder, ..)| flooder.taken()).sum::<u64>() / PAIRS as u64;
    assert!(each <= MOST_BYTES, "{each} bytes a pair, of {taken} that its sender got rid of");
    assert!(each * PAIRS as f64 > MOST_BYTES, "this test has no pressure: {each} bytes a pair");

    let mut read = stream::iter(floods)
        .map(async |(seed, flooder, deaf, record)| {
            let (total, mut rude) = (flooder.begun(), deaf.listens());
            let ((other, _), ()) = tokio::join!(flooder.stops(), is_heard(&mut rude, seed, total));
            (rude, other, record)
        })
        .buffer_unordered(8);
    let mut legs = Vec::new();
    while let Some(leg) = read.next().await {
        legs.push(leg);
    }
    let after = resident(&board);
    println!(
        "{PAIRS} pairs: {idle} bytes resident, {full} with stopped receivers, {after} once all was read; \
         {taken} bytes were sent by each"
    );
    assert!(after - idle <= LEFT_BYTES, "{idle} bytes before, {full} under pressure, {after} after it");
    for (mut rude, mut other, record) in legs {
        rude.say(CLOSE, &close(1000, "")).await;
        assert_eq!(other.hears_code().await, Some(1000));
        other.leaves(1000).await;
        assert_eq!(rude.hears_code().await, Some(1000));
        rude.parts().await;
        let account = Account {
            cause: "closed",
            detail: None,
            by_rude: Some(true),
            rude: codes(1000, 1000),
            other: codes(1000, 1000),
        };
        record.shows(&account).await;
    }
    board.is_at_rest();
}
