//! The spread: each session has its turn.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use cordboard::model::ConnId;
use futures_util::future::join_all;

use crate::{
    board, pair, routed, sessions, stopped,
    support::{
        upstream::Upstream,
        wire::{CLOSE, Wire, bare, close, masked},
    },
};

const SPREAD: Duration = Duration::from_secs(4);

/// Hears the Close of a proxy that drains and answers it. When that was, by the leg's address.
async fn closed(mut wire: Wire, frame: fn(u8, &[u8]) -> Vec<u8>) -> (String, Instant) {
    assert_eq!(wire.expect_close().await.map(|(code, _)| code), Some(1012));
    let told = Instant::now();
    wire.write(&frame(CLOSE, &close(1012, ""))).await;
    (wire.stream.local_addr().unwrap().to_string(), told)
}

#[tokio::test]
async fn each_session_is_closed_on_both_sides_in_its_turn_and_none_is_forgotten() {
    let upstream = Upstream::bind().await;
    let mut proxy = board("grace: 20s, spread: 4s", "", &upstream);
    let (mut dialled_in, mut dialled) = (Vec::new(), Vec::new());
    for n in 0..60 {
        let (client, backend) = pair(&proxy, &n.to_string()).await;
        dialled_in.extend([client, backend]);
        let (client, service) = routed(&proxy, &upstream).await;
        dialled_in.push(client);
        dialled.push(service);
    }
    let signalled = Instant::now();
    proxy.signal("TERM");
    let (told, _) = tokio::join!(
        join_all(dialled_in.into_iter().map(|wire| closed(wire, masked))),
        join_all(dialled.into_iter().map(|wire| closed(wire, bare))),
    );
    let told: HashMap<String, Instant> = told.into_iter().collect();
    assert_eq!(stopped(&mut proxy), Some(0));
    let lines = sessions(&proxy);
    assert_eq!(lines.len(), 120);
    let mut turns = Vec::new();
    for line in &lines {
        assert_eq!(line["outcome"], "drained", "{line:#}");
        let conn = u64::from_str_radix(line["conn"].as_str().unwrap(), 16).unwrap();
        let turn = SPREAD.mul_f64(ConnId::from_raw(conn).fraction());
        turns.push(turn);
        for leg in ["peer", "partner_peer"] {
            let Some(peer) = line.get(leg) else { continue };
            let told = told[peer.as_str().unwrap()].duration_since(signalled);
            assert!(told >= turn, "told after {told:?}, and its turn was after {turn:?}: {line:#}");
        }
    }
    // Some have their turn early and some late; the early ones do not wait for the late ones.
    turns.sort();
    assert!(turns[0] < SPREAD / 10 && turns[119] > SPREAD * 9 / 10, "{turns:?}");
    let first = told.values().min().unwrap().duration_since(signalled);
    assert!(first < turns[119], "the first was told after {first:?}");
}
