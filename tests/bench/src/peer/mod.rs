//! The proxies of a comparison: how each is configured at its best, started, and ended.
//!
//! All run two workers, without access logs, on a free port of loopback, in front of one service. Their configurations
//! and what they print lie in a folder of the run. A process is ended by its id when its [`Process`] is dropped, and
//! what it had started with it.

mod config;
mod process;
mod tools;

use std::{io, net::SocketAddr};

pub(crate) use config::Plan;
pub use process::{Process, descriptors, free_address};
pub use tools::{Tools, on_path};

use crate::relay;

/// Workers of every peer.
pub const WORKERS: usize = 2;

/// A proxy in one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// No proxy: the service itself, to see what load and echo come to alone.
    None,
    /// Ours, with the built-in policies.
    Cordboard,
    /// Ours, with `limits.splice: 0`: what copies every byte, as pairs that dialled in do.
    Copying,
    /// Ours, with a message filter in Rust on each session.
    Filtered {
        /// It reads each message of at most 64 KiB, both ways, and lets it pass; otherwise it wants none.
        reads: bool,
    },
    /// nginx; with buffers of 64 KiB or with its defaults.
    Nginx {
        /// `proxy_buffer_size 64k`
        large: bool,
    },
    /// `HAProxy`.
    Haproxy {
        /// `option splice-request` and `splice-response`
        splicing: bool,
    },
    /// Envoy.
    Envoy {
        /// With a request filter in WebAssembly that reads a header.
        filter: bool,
    },
    /// One of our relays.
    Relay(relay::Kind),
}

impl Peer {
    /// All, ours first.
    pub const ALL: [Self; 15] = [
        Self::Cordboard,
        Self::Copying,
        Self::Filtered { reads: false },
        Self::Filtered { reads: true },
        Self::Nginx { large: false },
        Self::Nginx { large: true },
        Self::Haproxy { splicing: false },
        Self::Haproxy { splicing: true },
        Self::Envoy { filter: false },
        Self::Envoy { filter: true },
        Self::Relay(relay::Kind::Copy),
        Self::Relay(relay::Kind::Epoll),
        Self::Relay(relay::Kind::Splice),
        Self::Relay(relay::Kind::Messages),
        Self::None,
    ];

    /// How it is named on the command line and in results.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cordboard => "cordboard",
            Self::Copying => "cordboard-copy",
            Self::Filtered { reads: false } => "cordboard-no-interest",
            Self::Filtered { reads: true } => "cordboard-filter",
            Self::Nginx { large: false } => "nginx",
            Self::Nginx { large: true } => "nginx-64k",
            Self::Haproxy { splicing: false } => "haproxy",
            Self::Haproxy { splicing: true } => "haproxy-splice",
            Self::Envoy { filter: false } => "envoy",
            Self::Envoy { filter: true } => "envoy-wasm",
            Self::Relay(kind) => kind.name(),
        }
    }

    /// How it is named in tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "no proxy",
            Self::Cordboard => "Cordboard",
            Self::Copying => "Cordboard, splicing off",
            Self::Filtered { reads: false } => "Cordboard, a filter that wants nothing",
            Self::Filtered { reads: true } => "Cordboard, a filter that reads all",
            Self::Nginx { large: false } => "nginx",
            Self::Nginx { large: true } => "nginx, 64 KiB buffers",
            Self::Haproxy { splicing: false } => "HAProxy",
            Self::Haproxy { splicing: true } => "HAProxy, splicing",
            Self::Envoy { filter: false } => "Envoy",
            Self::Envoy { filter: true } => "Envoy, Wasm filter",
            Self::Relay(relay::Kind::Copy) => "tokio copy relay",
            Self::Relay(relay::Kind::Epoll) => "epoll relay",
            Self::Relay(relay::Kind::Splice) => "splice relay",
            Self::Relay(relay::Kind::Messages) => "tungstenite relay",
        }
    }

    /// Those of these ids; all where none is named.
    ///
    /// # Errors
    /// An id that none has, and those that there are.
    pub fn chosen(ids: &[String]) -> Result<Vec<Self>, String> {
        if ids.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let named = |id: &String| {
            let known = || format!("there is no peer `{id}`; there are {}", Self::ALL.map(Self::id).join(", "));
            Self::ALL.into_iter().find(|peer| peer.id() == id).ok_or_else(known)
        };
        ids.iter().map(named).collect()
    }

    /// Whether it is a proxy that others run, against which the bars are set.
    #[must_use]
    pub fn is_rival(self) -> bool {
        matches!(self, Self::Nginx { .. } | Self::Haproxy { .. } | Self::Envoy { .. })
    }

    /// Writes what it needs and starts it.
    ///
    /// # Errors
    /// When its program is missing, or it does not take connections in time.
    pub fn start(self, tools: &Tools, listen: SocketAddr, service: SocketAddr) -> io::Result<Process> {
        Process::start(self, Plan::new(self, tools, listen, service)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_chosen_by_id_in_that_order() {
        let chosen = |ids: &[&str]| Peer::chosen(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(chosen(&[]).unwrap(), Peer::ALL);
        assert_eq!(chosen(&["nginx-64k", "cordboard"]).unwrap(), [Peer::Nginx { large: true }, Peer::Cordboard]);
        let unknown = chosen(&["cordboard", "nginx-64"]).unwrap_err();
        assert!(unknown.starts_with("there is no peer `nginx-64`; there are cordboard, cordboard-copy, "), "{unknown}");
    }
}
