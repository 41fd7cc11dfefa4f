//! The yardstick: loads a proxy with WebSockets, measures what that costs it, and compares it with its peers in one run.
//!
//! The proxy and its peers run as processes of their own, on loopback and on free ports; the load and the echo behind
//! the proxies run in this one. Every byte that comes back is compared, in order. What is measured is the cost to the
//! proxy's process tree, because that holds on machines where rates do not.

pub mod cost;
pub mod echo;
pub mod frame;
pub mod load;
pub mod network;
pub mod peer;
pub mod poll;
pub mod relay;
pub mod report;
pub mod results;
pub mod row;
pub mod run;
pub mod session;
pub mod stats;

use std::io;

/// Something that a peer, or the machine, did wrong.
pub(crate) fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}
