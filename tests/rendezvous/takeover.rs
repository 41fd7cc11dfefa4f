//! A second one in the same role: the holder is probed, then it stays, makes way, or is found dead.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::{
    BACKEND, CLIENT, chat,
    support::{
        CHAT, Proxy,
        dial::{alive, converse, dial, hear, hear_close, not_before, say},
        status,
        wire::{PING, TEXT, Wire},
    },
};

async fn refused_with_409(proxy: &Proxy, path: &str) {
    let answer = Wire::open_with(proxy.address, path, "", b"").await;
    assert_eq!(status(&answer.head), 409, "{}", answer.head);
    assert_eq!(answer.field("x-cordboard-error"), Some("seat-taken"));
}

// Regression: a second client or backend took over the map entry, and the one before it stayed open but deaf.
#[tokio::test]
async fn a_second_one_in_a_role_is_refused_while_the_first_lives() {
    let proxy = Proxy::with(CHAT);
    let mut client = dial(&proxy, CLIENT).await;
    alive(&mut client, refused_with_409(&proxy, CLIENT)).await;
    let mut backend = dial(&proxy, BACKEND).await;
    alive(&mut client, refused_with_409(&proxy, CLIENT)).await;
    alive(&mut backend, refused_with_409(&proxy, BACKEND)).await;
    converse(&mut client, &mut backend, "undisturbed").await;
}

#[tokio::test]
async fn a_backend_that_waits_holds_its_seat_too() {
    let proxy = Proxy::with(CHAT);
    let mut backend = dial(&proxy, BACKEND).await;
    alive(&mut backend, refused_with_409(&proxy, BACKEND)).await;
    let mut client = dial(&proxy, CLIENT).await;
    converse(&mut client, &mut backend, "first come").await;
}

#[tokio::test]
async fn a_waiting_leg_is_replaced_with_4409_and_what_it_held_is_dropped() {
    let proxy = chat("second_client: replace, second_backend: replace", "");
    for (path, other) in [(CLIENT, BACKEND), (BACKEND, CLIENT)] {
        let mut old = dial(&proxy, path).await;
        say(&mut old, "held for a partner").await;
        let (mut new, to_old) = tokio::join!(dial(&proxy, path), hear_close(&mut old));
        assert_eq!(to_old, Some((4409, "replaced by a newer connection".to_owned())));
        let mut partner = dial(&proxy, other).await;
        converse(&mut new, &mut partner, "the newer one").await;
        crate::support::dial::part(new, partner).await;
    }
    proxy.metric_becomes("cordboard_sessions_ended_total{mode=\"rendezvous\",outcome=\"replaced\"}", 2.0);
}

// Regression: a second backend orphaned the first, whose socket stayed open and was never told.
#[tokio::test]
async fn replacing_one_of_a_pair_closes_the_old_leg_with_4409_and_its_partner_with_1001() {
    let proxy = chat("second_client: replace, second_backend: replace", "");
    for (path, other) in [(CLIENT, BACKEND), (BACKEND, CLIENT)] {
        let mut old = dial(&proxy, path).await;
        let mut partner = dial(&proxy, other).await;
        converse(&mut old, &mut partner, "joined").await;
        let (mut new, to_old, to_partner) =
            tokio::join!(dial(&proxy, path), hear_close(&mut old), hear_close(&mut partner));
        assert_eq!(to_old, Some((4409, "replaced by a newer connection".to_owned())));
        assert_eq!(to_partner, Some((1001, "the other side is gone".to_owned())));
        // The newcomer waits, for a new partner.
        let mut fresh = dial(&proxy, other).await;
        converse(&mut new, &mut fresh, "joined anew").await;
        crate::support::dial::part(new, fresh).await;
    }
}

/// A socket that stays open, whose kernel acknowledges, and behind which nobody reads.
async fn silent(proxy: &Proxy, path: &str) -> Wire {
    Wire::open(proxy.address, path).await
}

#[tokio::test]
async fn a_waiting_holder_that_shows_no_life_makes_way_after_the_probe() {
    let proxy = chat("probe: 200ms", "");
    let mut dead = silent(&proxy, CLIENT).await;
    // Before its session runs it would count as alive.
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    let begun = Instant::now();
    // What it was asked is read at once: the cut that follows throws away what lies unread.
    let (mut client, asked) = tokio::join!(dial(&proxy, CLIENT), dead.frame());
    not_before(begun, Duration::from_millis(200));
    assert_eq!(asked.map(|frame| frame.first), Some(PING), "the dead one was asked");
    let mut backend = dial(&proxy, BACKEND).await;
    converse(&mut client, &mut backend, "the living").await;
    dead.expect_end().await;
    proxy.logged(&["session ended", "outcome=replaced", "cause=dead"]);
}

#[tokio::test]
async fn a_joined_holder_that_shows_no_life_makes_way_and_its_partner_is_told() {
    let proxy = chat("probe: 200ms", "");
    let mut dead = silent(&proxy, CLIENT).await;
    let mut backend = dial(&proxy, BACKEND).await;
    dead.send(TEXT, b"a last sign of life").await;
    assert_eq!(hear(&mut backend).await, Message::text("a last sign of life"));
    let (mut client, told) = tokio::join!(dial(&proxy, CLIENT), hear_close(&mut backend));
    assert_eq!(told.map(|(code, _)| code), Some(1001));
    let mut next = dial(&proxy, BACKEND).await;
    converse(&mut client, &mut next, "the living").await;
    drop(dead);
}

#[tokio::test]
async fn a_probe_is_not_heard_by_the_partner() {
    let proxy = Proxy::with(CHAT);
    let mut client = dial(&proxy, CLIENT).await;
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    alive(&mut client, refused_with_409(&proxy, CLIENT)).await;
    say(&mut client, "the pong was not relayed").await;
    backend.expect(TEXT, b"the pong was not relayed").await;
    backend.send(TEXT, b"nor the ping").await;
    assert_eq!(hear(&mut client).await, Message::text("nor the ping"));
}

#[tokio::test]
async fn a_leg_that_is_not_read_because_its_hold_is_full_counts_as_alive() {
    let proxy = chat("probe: 100ms, hold: 16B", "");
    let mut client = Wire::open(proxy.address, CLIENT).await;
    client.send(TEXT, b"more than sixteen bytes").await;
    client.send(TEXT, b"not read").await;
    // Nobody answers a Ping here, yet it is we who do not listen.
    proxy.metric_becomes("cordboard_legs_waiting", 1.0);
    for _ in 0..3 {
        refused_with_409(&proxy, CLIENT).await;
    }
    let mut backend = Wire::open(proxy.address, BACKEND).await;
    backend.expect(TEXT, b"more than sixteen bytes").await;
    backend.expect(TEXT, b"not read").await;
}
