//! Rendezvous: two that dialled in are joined by channel id, and hear of each other what they would hear without us.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "rendezvous/endings.rs"]
mod endings;
#[path = "rendezvous/keep_alive.rs"]
mod keep_alive;
#[path = "rendezvous/seats.rs"]
mod seats;
#[path = "rendezvous/subprotocols.rs"]
mod subprotocols;
#[path = "rendezvous/takeover.rs"]
mod takeover;
#[path = "rendezvous/traffic.rs"]
mod traffic;

use support::{CHAT, Proxy};

/// A proxy whose rendezvous route at `/chat` has these settings and limits, each the inside of a YAML flow map.
fn chat(rendezvous: &str, limits: &str) -> Proxy {
    Proxy::with(&format!("{CHAT}    rendezvous: {{{rendezvous}}}\n    limits: {{{limits}}}\n"))
}

const CLIENT: &str = "/chat?channelId=1";
const BACKEND: &str = "/chat/connect?channelId=1";
